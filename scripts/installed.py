"""Check that what a requirements file pins is installed beside this Python and can be imported.

    python -I scripts/installed.py FILE

Exits 1 and prints what is wrong with the first package that is not.
"""

import re
import sys
from importlib import import_module, metadata
from pathlib import Path

PIN = re.compile(r"^([\w.-]+)==([^\s;]+)( ;)?", re.MULTILINE)


def normal(name: str) -> str:
    """Return the name of a package as requirements files spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def check(requirements: str) -> None:
    """Import the modules of each pinned package.

    Raises:
        LookupError: A package is not installed, or not in the pinned version.
        Exception: Whatever a module raises when it is imported.
    """
    modules: dict[str, list[str]] = {}
    for module, packages in metadata.packages_distributions().items():
        if not module.startswith("_") and module.isidentifier():  # as compiled parts of others are
            for package in packages:
                modules.setdefault(normal(package), []).append(module)
    pins: dict[str, list[str]] = {}  # several if another Python takes another version
    conditional: set[str] = set()
    for name, version, condition in PIN.findall(requirements):
        pins.setdefault(name, []).append(version)
        if condition:
            conditional.add(name)
    for name, versions in pins.items():
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            if name in conditional:  # such as one for Windows alone
                continue
            raise LookupError(f"{name} is not installed in {sys.prefix}") from None
        if found not in versions:
            pinned = " or ".join(versions)
            raise LookupError(f"{name} {found} is installed in {sys.prefix}, not {pinned}")
        for module in modules.get(name, []):
            import_module(module)
    import_module("oneloop")


if __name__ == "__main__":
    try:
        check(Path(sys.argv[1]).read_text("utf-8"))
    except Exception as error:  # noqa: BLE001 - a broken package may raise anything
        sys.exit(f"{type(error).__name__}: {error}")
