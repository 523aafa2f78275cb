"""Who is compared, and the environment that each runs in."""

import hashlib
import json
import subprocess
import sys
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path

from attrs import frozen
from ruamel.yaml import YAML

HERE = Path(__file__).parent
ROOT = HERE.parent
VENVS = HERE / ".venvs"


class SetupError(Exception):
    """An environment could not be made."""


@frozen
class Peer:
    """One of those that are compared.

    Attributes:
        name: Its module in `peers`, and its requirements there, if it has any.
        title: What reports call it.
        statement: The import that its import time is of; none where there is nothing to import.
        version: Expression of its version; none where it has none of its own.
        ours: Whether it is this SDK, or a part of it.
        codec: Whether its models are measured alone.
        calls: Whether it makes calls; if not, it is there for its models.
    """

    name: str
    title: str
    statement: str = ""
    version: str = ""
    ours: bool = False
    codec: bool = False
    calls: bool = True


def _of(distribution: str) -> str:
    return f"__import__('importlib.metadata').metadata.version('{distribution}')"


_OURS = "__import__('oneloop').__version__"

PEERS = [
    Peer("raw", "raw socket"),
    Peer("engine", "bare pyreqwest", "import pyreqwest.client", _of("pyreqwest")),
    Peer("fast", "**oneloop, `fast`**", "import oneloop", _OURS, ours=True),
    Peer("default", "**oneloop**", "import oneloop", _OURS, ours=True, codec=True),
    Peer("httpx", "bare httpx", "import httpx", _of("httpx")),
    Peer(
        "plain",
        "plain openapi-python-client",
        "from plain_client.client import AuthenticatedClient;"
        "from plain_client.api.default import refill_billing_limit",
        repr(metadata.version("openapi-python-client")),
        codec=True,
    ),
    Peer("slots", "slots by hand", ours=True, codec=True, calls=False),
    Peer("msgspec", "msgspec", version=_of("msgspec"), codec=True, calls=False),
    Peer(
        "vendor",
        "oneloop-python (vendor's)",
        "from oneloop_client.client import Oneloop",
        _of("oneloop-python"),
    ),
    Peer("fern", "squareup (Fern)", "from square import Square", _of("squareup")),
    Peer("stripe", "stripe", "import stripe", _of("stripe")),
    Peer("stainless", "orb-billing (Stainless)", "import orb", _of("orb-billing")),
]

QUICK = ["raw", "engine", "default", "httpx", "slots"]
"""Those that run in the development environment, with nothing to install."""


def chosen(names: list[str]) -> list[Peer]:
    """Return the peers of these names, or all of them, that there are."""
    unknown = set(names) - {peer.name for peer in PEERS}
    if unknown:
        raise SetupError(f"no such peer: {', '.join(sorted(unknown))}")
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    there = [peer for peer in PEERS if peer.name != "fast" or "fast" in extras]
    if "fast" in names and "fast" not in extras:
        raise SetupError("this oneloop has no extra `fast`")
    return [peer for peer in there if peer.name in names or not names]


def interpreter(peer: Peer) -> Path:
    """Return the Python of a peer's environment, which is made if it is not there or out of date.

    Raises:
        SetupError: It could not be made.
    """
    folder = VENVS / peer.name
    python = folder / "bin" / "python"
    stamp = folder / "made-of"
    wanted = _made_of(peer)
    if stamp.is_file() and stamp.read_text("utf-8") == wanted:
        return python
    venv = (sys.executable, "-I", "-m", "venv", "--without-pip", "--clear")
    _run(f"make {folder.relative_to(ROOT)}", *venv, folder)
    requirements = HERE / "peers" / f"{peer.name}.txt"
    if requirements.exists():
        _install(python, "--require-hashes", "--only-binary", ":all:", "-r", requirements)
    if peer.name == "vendor":
        _install_vendor(python)
    (packages,) = folder.glob("lib/python3*/site-packages")
    if peer.name == "plain":
        _generate_plain(packages / "plain_client")
    if peer.ours:  # as scripts/venv does it: our sources, wherever the clone is
        up = "../" * 6
        (packages / "oneloop.pth").write_text(
            "".join(f"{up}{part}\n" for part in ("src", "generated", "overrides")), "utf-8"
        )
    stamp.write_text(wanted, "utf-8")  # last: an interrupted run leaves no stamp
    return python


def _made_of(peer: Peer) -> str:
    """Return all that an environment depends on, in one word."""
    sources = [HERE / "peers" / f"{peer.name}.txt", Path(__file__)]
    if peer.name == "plain":
        sources += [ROOT / "openapi.yaml", ROOT / "requirements" / "generate.txt"]
    if peer.name == "vendor":
        sources.append(ROOT / "requirements" / "vendor.txt")
    texts = [path.read_text("utf-8") for path in sources if path.exists()]
    return hashlib.sha256(repr([str(ROOT), sys.version, *texts]).encode()).hexdigest()


_PIP = (
    *(sys.executable, "-I", ROOT / "scripts" / "registry.py"),
    *(sys.executable, "-I", "-m", "pip"),
)
"""pip without settings of this machine that are for other environments."""


def _install(python: Path, *what: str | Path) -> None:
    pip = (*_PIP, "--python", python, "install")
    quiet = ("-qq", "--disable-pip-version-check", "--no-deps")
    _run(f"install {Path(what[-1]).name}", *pip, *quiet, *what)


def _install_vendor(python: Path) -> None:
    """Install what is published as source only, built by the setuptools of the development venv."""
    with tempfile.TemporaryDirectory() as folder:
        pip = (*_PIP, "wheel", "-qq", "--disable-pip-version-check")
        source = ("--require-hashes", "--no-deps", "--no-build-isolation", "--no-binary", ":all:")
        locked = ROOT / "requirements" / "vendor.txt"
        _run(f"build {locked.name}", *pip, *source, "-w", folder, "-r", locked)
        (wheel,) = Path(folder).glob("*.whl")
        _install(python, wheel)


def _generate_plain(package: Path) -> None:
    """Generate a client of the refill alone, by the generator's own templates."""
    document = YAML(typ="safe").load(ROOT / "openapi.yaml")
    path = "/api/v1/customer-billing/refill"
    document["paths"] = {path: document["paths"][path]}
    schemas = document["components"]["schemas"]
    used: dict[str, object] = {}
    todo: list[object] = [document["paths"]]
    while todo:
        node = todo.pop()
        if isinstance(node, list):
            todo.extend(node)
        elif isinstance(node, dict):
            name = str(node.get("$ref", "")).removeprefix("#/components/schemas/")
            if name and name not in used:
                used[name] = schemas[name]
                todo.append(schemas[name])
            todo.extend(node.values())
    document["components"]["schemas"] = used
    with tempfile.TemporaryDirectory() as folder:
        source, config = Path(folder) / "refill.json", Path(folder) / "config.json"
        source.write_text(json.dumps(document), "utf-8")
        config.write_text('{"post_hooks": []}', "utf-8")  # how it is formatted costs no time
        command = (sys.executable, "-I", "-m", "openapi_python_client", "generate")
        options = ("--meta", "none", "--config", config, "--output-path", package)
        _run("generate the plain client", *command, "--path", source, *options)


def _run(purpose: str, *command: str | Path) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        said = (result.stderr or result.stdout).strip().splitlines() or ["it does not say why"]
        raise SetupError(f"could not {purpose}: {said[-1]}")
