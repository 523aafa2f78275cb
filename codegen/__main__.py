"""The command line behind ./generate.sh."""

import argparse
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import combinations, product
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from ._errors import GenerationError, printable
from ._project import DOCUMENT, PACKAGE

TRACEBACK = "GENERATE_TRACEBACK"
"""The environment variable that makes a run end with the traceback of a bug in codegen."""

DESCRIPTION = """\
Regenerate the client from the vendored OpenAPI document.

  openapi.yaml -> overrides/overlay.yaml, overrides/annotations.yaml
               -> our reader, kinds and templates (codegen/) -> ruff
               -> generated/oneloop_api, docs/operations.md

A run that fails leaves the old client in place, and the same inputs give the same bytes.

  ./generate.sh --add create-a-jwt.md     # a page of the API's documentation, as published
  ./generate.sh --document api.yaml --no-overlays --leave-out --output build/api
"""
EXIT_CODES = """\
exit codes: 0 done; 1 failed, or --check, --diff or --lint found something; 2 wrong usage;
130, 143 or 129 stopped by Ctrl-C, SIGTERM or a closed terminal
"""


class Stopped(KeyboardInterrupt):
    """SIGTERM or SIGHUP arrived. The argument is its number."""


def main(argv: list[str] | None = None) -> int:
    """Run with arguments; return the exit code, as `EXIT_CODES` explains them."""
    options = _options(argv)
    # Not at the top: --help and wrong usage need no toolchain.
    from . import _run, _tree

    run = _run.Run(options)
    try:
        with _stoppable(), warnings.catch_warnings(), _tree.signals(signal.SIG_BLOCK):
            warnings.simplefilter("ignore")  # the tools warn about what the document contains
            run.generate()
        return run.finish()
    except (GenerationError, OSError) as error:
        return run.failed(str(error))
    except KeyboardInterrupt as stop:
        number = stop.args[0] if isinstance(stop, Stopped) else signal.SIGINT
        how = "interrupted" if number == signal.SIGINT else "terminated"
        result = "the new client is in place" if run.published else "nothing was changed"
        return run.failed(f"{how}; {result}", 128 + number)
    except Exception as bug:
        if os.environ.get(TRACEBACK):
            raise
        text = f"{options.document.name}: {type(bug).__name__}: {bug!s:.200}"
        return run.failed(printable(f"{text}; set {TRACEBACK}=1 for a traceback"))


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP stop the run as Ctrl-C does, so that it tidies up."""

    def stop(number: int, _: FrameType | None) -> NoReturn:
        raise Stopped(number)

    with ExitStack() as stack:
        for one in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(one) == signal.SIG_DFL:  # not ignored, as SIGHUP is under nohup
                stack.callback(signal.signal, one, signal.signal(one, stop))
        yield


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = _Parser(
        prog="./generate.sh",
        usage="%(prog)s [OPTION ...]",
        description=DESCRIPTION,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def option(group: Any, name: str, text: str, **more: Any) -> None:
        if not more:
            more = {"action": "store_true"}
        group.add_argument(f"--{name}", help=text, **more)

    files = {"type": Path, "nargs": "+", "action": "extend", "metavar": "FILE", "default": []}
    file = {"type": Path, "metavar": "FILE"}
    inputs = parser.add_argument_group("what is generated, and from what")
    option(inputs, "document", "instead of openapi.yaml", **file, default=DOCUMENT)
    folder = {"type": Path, "metavar": "DIR", "default": PACKAGE}
    option(inputs, "output", "instead of generated/oneloop_api", **folder)
    option(inputs, "overlay", "instead of ours, which only fit our own API's versions", **files)
    option(inputs, "no-overlays", "generate from the document as published")
    option(inputs, "leave-out", "generate the rest if operations are not supported; list them")
    option(inputs, "add", "merge pages first: Markdown with OpenAPI blocks, YAML, JSON", **files)
    which = inputs.add_mutually_exclusive_group()
    for prefer, whose in (("ours", "the document"), ("theirs", "a page")):
        text = f"with --add: where definitions differ, {whose} is right"
        option(which, prefer, text, action="store_const", const=prefer, dest="prefer")
    modes = parser.add_argument_group("instead of regenerating")
    option(modes, "check", "change nothing; list the files that would change, and exit with 1")
    option(modes, "dry-run", "change nothing; print what would change")
    text = "compare with an older document or git revision; exit with 1 on breaking changes"
    option(modes, "diff", text, metavar="OTHER")
    option(modes, "lint", "list likely mistakes in the document, each with an action that mends it")
    forms = ("text", "markdown", "changelog", "json")
    option(modes, "format", "of --diff and --lint", choices=forms, metavar="|".join(forms))
    more = parser.add_argument_group("in addition")
    option(more, "prune", "remove stale overrides from the overlays")
    option(more, "report", "write what became of each operation as JSON, even on failure", **file)
    option(more, "patched", "write the patched document, as YAML or JSON by its suffix", **file)
    option(more, "demo", "afterwards refill a meter over HTTP against the local sandbox")
    option(more, "quiet", "print nothing but errors")
    options = parser.parse_args(argv)
    _refuse_contradictions(parser, options)
    return options


MODES = ("check", "dry_run", "diff", "lint")
CONTRADICTIONS = (
    *combinations(MODES, 2),
    *product(MODES, ["demo"]),
    *product(("check", "diff", "lint"), ("add", "prune")),
    ("overlay", "no_overlays"),
    ("lint", "report"),
)
"""Pairs of options that cannot be given together."""


def _refuse_contradictions(parser: _Parser, options: argparse.Namespace) -> None:
    for pair in CONTRADICTIONS:
        first, second = (f"--{name.replace('_', '-')}" for name in pair)
        if all(vars(options)[name] for name in pair):
            parser.error(f"argument {second}: not allowed with argument {first}")
    if options.format and not (options.diff or options.lint):
        parser.error("argument --format: only allowed with argument --diff or --lint")
    if options.format == "changelog" and options.lint:
        parser.error("argument --format: changelog is only allowed with argument --diff")
    options.format = options.format or "text"
    if options.prefer and not options.add:
        parser.error(f"argument --{options.prefer}: only allowed with argument --add")


if __name__ == "__main__":
    sys.exit(main())
