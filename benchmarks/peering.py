"""The peers that are compared, and the virtual environment of each."""

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
    """The peers or their environments could not be set up."""


@frozen
class Peer:
    """One of the clients or model libraries that are compared.

    Attributes:
        name: The name of its module and, if it has any, of its requirements file in `peers`.
        title: Its name in reports.
        statement: The import statement that is timed; empty if there is nothing to import.
        version: A Python expression for its version; empty if it has no version of its own.
        ours: Whether it is this SDK or a part of it.
        codec: Whether its models are measured separately.
        calls: Whether it makes calls; if not, only its models are measured.
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
"""Peers that run in the development environment and need no installation."""


def chosen(names: list[str]) -> list[Peer]:
    """Return the peers with these names, or all peers.

    Raises:
        SetupError: A name is unknown, or this oneloop does not have the extra for it.
    """
    unknown = set(names) - {peer.name for peer in PEERS}
    if unknown:
        raise SetupError(f"no such peer: {', '.join(sorted(unknown))}")
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    available = [peer for peer in PEERS if peer.name != "fast" or "fast" in extras]
    if "fast" in names and "fast" not in extras:
        raise SetupError("this oneloop has no extra `fast`")
    return [peer for peer in available if peer.name in names or not names]


def interpreter(peer: Peer) -> Path:
    """Return the Python of a peer's environment, creating it if it is missing or out of date.

    Raises:
        SetupError: It could not be created.
    """
    folder = VENVS / peer.name
    python = folder / "bin" / "python"
    stamp = folder / "made-of"
    wanted = _made_of(peer)
    if stamp.is_file() and stamp.read_text("utf-8") == wanted:
        return python
    venv = (sys.executable, "-I", "-m", "venv", "--without-pip", "--clear")
    _run(f"create {folder.relative_to(ROOT)}", *venv, folder)
    requirements = HERE / "peers" / f"{peer.name}.txt"
    if requirements.exists():
        _install(python, "--require-hashes", "--only-binary", ":all:", "-r", requirements)
    if peer.name == "vendor":
        _install_vendor(python)
    (packages,) = folder.glob("lib/python3*/site-packages")
    if peer.name == "plain":
        _generate_plain(packages / "plain_client")
    if peer.ours:  # our sources, by relative paths, as in scripts/venv
        up = "../" * 6
        (packages / "oneloop.pth").write_text(
            "".join(f"{up}{part}\n" for part in ("src", "generated", "overrides")), "utf-8"
        )
    stamp.write_text(wanted, "utf-8")  # last, so that an interrupted run leaves no stamp
    return python


def _made_of(peer: Peer) -> str:
    """Return a digest of everything that an environment depends on."""
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
    """Build and install the vendor's client, which is published as source only.

    The setuptools of the development environment builds it.
    """
    with tempfile.TemporaryDirectory() as folder:
        pip = (*_PIP, "wheel", "-qq", "--disable-pip-version-check")
        source = ("--require-hashes", "--no-deps", "--no-build-isolation", "--no-binary", ":all:")
        locked = ROOT / "requirements" / "vendor.txt"
        _run(f"build {locked.name}", *pip, *source, "-w", folder, "-r", locked)
        (wheel,) = Path(folder).glob("*.whl")
        _install(python, wheel)


def _generate_plain(package: Path) -> None:
    """Generate a client for the refill alone, with the generator's own templates."""
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
        config.write_text('{"post_hooks": []}', "utf-8")  # formatting does not affect its speed
        command = (sys.executable, "-I", "-m", "openapi_python_client", "generate")
        options = ("--meta", "none", "--config", config, "--output-path", package)
        _run("generate the plain client", *command, "--path", source, *options)


def _run(purpose: str, *command: str | Path) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        output = (result.stderr or result.stdout).strip().splitlines() or ["no output"]
        raise SetupError(f"could not {purpose}: {output[-1]}")
