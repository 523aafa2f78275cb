"""The peers that are compared, and the virtual environment of each."""

import hashlib
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
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
        blocking: Whether these include blocking calls.
        shares: The name of the peer whose environment it uses; empty if it has one of its own.
    """

    name: str
    title: str
    statement: str = ""
    version: str = ""
    ours: bool = False
    codec: bool = False
    calls: bool = True
    blocking: bool = True
    shares: str = ""


def _of(distribution: str) -> str:
    return f"__import__('importlib.metadata').metadata.version('{distribution}')"


_OURS = "__import__('oneloop').__version__"

PEERS = [
    Peer("raw", "raw socket"),
    Peer("engine", "bare pyreqwest", "import pyreqwest.client", _of("pyreqwest")),
    Peer("default", "**oneloop**", "import oneloop", _OURS, ours=True, codec=True),
    Peer(
        "default_httpx",
        '**oneloop, `transport="httpx"`**',
        *("import oneloop", _OURS),
        ours=True,
        shares="default",
    ),
    Peer("aiohttp", "bare aiohttp", "import aiohttp", _of("aiohttp"), blocking=False),
    Peer("niquests", "bare niquests", "import niquests", _of("niquests")),
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
    Peer("unkey", "unkey-py (Speakeasy)", "from unkey.py import Unkey", _of("unkey.py")),
    Peer("fern", "squareup (Fern)", "from square import Square", _of("squareup")),
    Peer("stripe", "stripe", "import stripe", _of("stripe")),
    Peer("stainless", "orb-billing (Stainless)", "import orb", _of("orb-billing")),
]

QUICK = ["raw", "default", "httpx", "slots"]
"""Peers that run in the development environment and need no installation."""

PORTED = ["raw", "default", "httpx"]
"""Peers that are also measured under other versions of Python."""


@frozen
class Python:
    """An interpreter.

    Attributes:
        executable: Its path.
        version: Its version, such as 3.13.0.
        build: What `sys.version` is there.
    """

    executable: Path
    version: str
    build: str


RUNNING = Python(Path(sys.executable), platform.python_version(), sys.version)
"""The interpreter of this process, under which all peers are measured."""

_DESCRIBE = (
    "import json, platform, sys, venv;"
    "print(json.dumps([sys.executable, platform.python_version(), sys.version]))"
)


def chosen(names: list[str]) -> list[Peer]:
    """Return the peers with these names, or all peers.

    Raises:
        SetupError: A name is unknown.
    """
    unknown = set(names) - {peer.name for peer in PEERS}
    if unknown:
        raise SetupError(f"no such peer: {', '.join(sorted(unknown))}")
    return [peer for peer in PEERS if peer.name in names or not names]


def described(name: str) -> Python:
    """Return the interpreter with this name or path.

    Raises:
        SetupError: There is none, or it is too old or cannot create environments.
    """
    try:
        command = (shutil.which(name) or name, "-I", "-c", _DESCRIBE)
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise SetupError(f"cannot run {name}: {error.strerror}") from None
    if result.returncode != 0:
        raise SetupError(f"{name} cannot be used: {_last(result)}")
    executable, version, build = json.loads(result.stdout)
    if tuple(map(int, version.split(".")[:2])) < (3, 11):
        raise SetupError(f"{name} is Python {version}; oneloop needs 3.11 or later")
    return Python(Path(executable), version, build)


def installed() -> list[Python]:
    """Return the interpreters on the PATH, one for each minor version that oneloop supports."""
    found = []
    for name in (f"python3.{minor}" for minor in range(11, 15)):
        try:
            found.append(described(name))
        except SetupError:
            continue  # not installed, or a launcher that does not start it
    return others(found)


def others(pythons: Iterable[Python]) -> list[Python]:
    """Return these interpreters without the running version and without duplicates, sorted."""
    by_version = {python.version: python for python in pythons}
    by_version.pop(RUNNING.version, None)
    return [by_version[version] for version in sorted(by_version, key=sortable)]


def sortable(version: str) -> list[str]:
    """Return something for which 3.9 is smaller than 3.10."""
    return [part.zfill(4) for part in version.split(".")]


def interpreter(peer: Peer, python: Python = RUNNING) -> Path:
    """Return the Python of a peer's environment, creating it if it is missing or out of date.

    Raises:
        SetupError: It could not be created.
    """
    name = peer.shares or peer.name
    folder = VENVS / (name if python is RUNNING else f"{name}-{python.version}")
    made = folder / "bin" / "python"
    stamp = folder / "made-of"
    wanted = _made_of(name, python)
    if stamp.is_file() and stamp.read_text("utf-8") == wanted:
        return made
    venv = (python.executable, "-I", "-m", "venv", "--without-pip", "--clear")
    _run(f"create {folder.relative_to(ROOT)}", *venv, folder)
    requirements = HERE / "peers" / f"{name}.txt"
    if requirements.exists():
        _install(made, "--require-hashes", "--only-binary", ":all:", "-r", requirements)
    if peer.name == "vendor":
        _install_vendor(made)
    (packages,) = folder.glob("lib/python3*/site-packages")
    if peer.name == "plain":
        _generate_plain(packages / "plain_client")
    if peer.ours:  # our sources, by relative paths, as in scripts/venv
        up = "../" * 6
        (packages / "oneloop.pth").write_text(
            "".join(f"{up}{part}\n" for part in ("src", "generated", "overrides")), "utf-8"
        )
    stamp.write_text(wanted, "utf-8")  # last, so that an interrupted run leaves no stamp
    return made


def _made_of(name: str, python: Python) -> str:
    """Return a digest of everything that an environment depends on."""
    sources = [HERE / "peers" / f"{name}.txt", Path(__file__)]
    if name == "plain":
        sources += [ROOT / "openapi.yaml", ROOT / "requirements" / "generate.txt"]
    if name == "vendor":
        sources.append(ROOT / "requirements" / "vendor.txt")
    texts = [path.read_text("utf-8") for path in sources if path.exists()]
    return hashlib.sha256(repr([str(ROOT), python.build, *texts]).encode()).hexdigest()


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
        raise SetupError(f"could not {purpose}: {_last(result)}")


def _last(result: subprocess.CompletedProcess[str]) -> str:
    """Return the last line that a command has printed."""
    output = (result.stderr or result.stdout).strip().splitlines() or ["no output"]
    return output[-1]
