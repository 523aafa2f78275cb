"""`python -m oneloop`, and the command `oneloop`: the command line, if its extra is installed."""

import sys
from contextlib import suppress
from importlib.util import find_spec

MISSING = """\
oneloop: the command line needs the extra "cli", which is not installed.
Install it with: pip install 'oneloop[cli]'
"""


def main() -> int:
    """Run the command line and return its exit status."""
    # Whether they are there, not whether they can be imported: an error in them is not this case.
    if not (find_spec("typer") and find_spec("rich")):
        with suppress(AttributeError, OSError):  # the standard error may be closed or full
            sys.stderr.write(MISSING)
        return 2
    from .cli._app import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
