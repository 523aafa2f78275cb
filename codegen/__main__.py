"""The command line behind ./generate.sh."""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from ._errors import GenerationError, printable, say

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "openapi.yaml"
PACKAGE = ROOT / "generated" / "oneloop_api"
PAGE = ROOT / "docs" / "operations.md"
"""The list of all operations in the documentation. It is published with PACKAGE."""
OVERLAYS = [ROOT / "overrides" / name for name in ("overlay.yaml", "annotations.yaml")]
"""Applied in this order."""

TRACEBACK = "GENERATE_TRACEBACK"
"""The environment variable that makes a run end with the traceback of a bug in codegen."""

DESCRIPTION = """\
Regenerate the client from the vendored OpenAPI document.

  openapi.yaml -> overrides/overlay.yaml, overrides/annotations.yaml
               -> openapi-python-client with our kinds and templates (codegen/) -> ruff
               -> generated/oneloop_api, docs/operations.md

A run that fails leaves the old client in place; what a killed run left behind is put right by the
next one. The same inputs give the same bytes.

  ./generate.sh --add create-a-jwt.md     # a page of the API's documentation, as published
"""


def main(argv: list[str] | None = None) -> int:
    """Run with arguments; return the exit code.

    0: done; 1: failed, or --check found differences; 2: wrong usage; 130: interrupted.
    """
    options = _options(argv)
    result = "nothing was changed"
    try:
        with warnings.catch_warnings(), _ctrl_c(signal.SIG_BLOCK):
            warnings.simplefilter("ignore")  # the tools warn about what the document contains
            different = _generate(options)
            if different and not options.check:
                result = "the new client is in place"
        _report(different, options)
        if options.check:
            return 1 if different else 0
        return _demo() if options.demo else 0
    except (GenerationError, OSError) as error:
        _fail(str(error))
        return 1
    except KeyboardInterrupt:
        _fail(f"interrupted; {result}")
        return 130
    except Exception as bug:
        if os.environ.get(TRACEBACK):
            raise
        text = f"{options.document.name}: {type(bug).__name__}: {bug!s:.200}"
        _fail(printable(f"{text}; set {TRACEBACK}=1 for a traceback"))
        return 1


@contextmanager
def _ctrl_c(how: int) -> Iterator[None]:
    """Block or unblock SIGINT for a while. One that was blocked is delivered when that ends."""
    before = signal.pthread_sigmask(how, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _fail(text: str) -> None:
    for number, line in enumerate(text.split("\n")):
        say(line if number else f"generate.sh: {line}", sys.stderr)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = _Parser(
        prog="./generate.sh",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group()
    text = "change nothing; exit 1 and list the files that are not what would be generated"
    what.add_argument("--check", action="store_true", help=text)
    text = "regenerate, then refill a meter over HTTP against the local sandbox"
    what.add_argument("--demo", action="store_true", help=text)
    text = "first merge pages into the document: Markdown with an OpenAPI block, YAML or JSON"
    parser.add_argument(
        "--add", type=Path, nargs="+", action="extend", metavar="FILE", default=[], help=text
    )
    which = parser.add_mutually_exclusive_group()
    for prefer, whose in (("ours", "the document's"), ("theirs", "the page's")):
        text = f"with --add: where definitions differ, {whose} is right"
        which.add_argument(
            f"--{prefer}", action="store_const", const=prefer, dest="prefer", help=text
        )
    text = "another document than openapi.yaml"
    parser.add_argument("--document", type=Path, metavar="FILE", default=DOCUMENT, help=text)
    text = "another package folder than generated/oneloop_api"
    parser.add_argument("--output", type=Path, metavar="DIR", default=PACKAGE, help=text)
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    options = parser.parse_args(argv)
    if options.check and options.add:
        parser.error("argument --add: not allowed with argument --check")
    if options.prefer and not options.add:
        parser.error(f"argument --{options.prefer}: only allowed with argument --add")
    return options


def _generate(options: argparse.Namespace) -> list[str]:
    """Generate, publish unless it is a --check, and return the differences from the old client."""
    # Not at the top: --help must work before the toolchain is installed.
    from . import _document, _merge, _parser, _render, _structure, _tree
    from ._views import names

    source, output = options.document, options.output
    if output.exists() and not _replaceable(output):
        raise GenerationError(f"{_shown(output)} is not a generated package; it is not replaced")
    with _tree.draft(None if options.check else output) as draft:
        with _ctrl_c(signal.SIG_UNBLOCK):  # stopping here leaves nothing half done
            _progress(options, f"1/4 read     {source.name}")
            document = _document.read_document(source)
            text = old = _document.read_text(source)
            if options.add:
                ours = _merge.Page(source.name, document)
                merged = _merge.merge(text, ours, _merge.read_pages(options.add), options.prefer)
                document, text = merged.document, merged.text
                _progress(options, f"    add      {merged.summary}")
            actions = _document.read_actions(*OVERLAYS)
            _progress(options, f"2/4 patch    {len(actions)} overrides")
            patched = _document.patch(document, actions)
            name = f"{source.name} as patched by the overlays"
            _document.check_document(patched, name)
            _structure.refuse(name, _document.problems(patched))
            _progress(options, "3/4 generate")
            new = draft / "oneloop_api"
            api = _parser.parse(patched, names.of_classes())
            page = _render.render(api, patched, new)
            [say(str(x)[:300], sys.stdout) for x in (*api.refused, *api.findings)]
            inputs = {
                "openapi.yaml": text.encode(),
                **{f"overrides/{path.name}": path.read_bytes() for path in OVERLAYS},
                **{f"codegen/{name}": code for name, code in _render.templates().items()},
            }
            _render.write_manifest(new, inputs)
            different = _tree.differences(output, new)
            files = {source.resolve(): text.encode()} if text != old else {}
            if output == PACKAGE and not (PAGE.exists() and PAGE.read_bytes() == page.encode()):
                files[PAGE] = page.encode()
                different.append(f"changed: {_shown(PAGE)}")
        if different and not options.check:
            if _document.read_text(source) != old:
                raise GenerationError(f"{source.name} was changed during the run: run it again")
            _tree.publish(output, new, files)
    return different


def _replaceable(output: Path) -> bool:
    """Whether a folder is empty or was generated: nothing else may be replaced."""
    manifest = output / "manifest.json"
    if manifest.is_file():
        return '"generated by": "./generate.sh"' in manifest.read_text("utf-8", "replace")
    return output.is_dir() and not any(output.iterdir())


def _progress(options: argparse.Namespace, step: str) -> None:
    if not options.quiet:
        say(step, sys.stdout)


def _report(different: list[str], options: argparse.Namespace) -> None:
    output = _shown(options.output)
    if not options.check:
        count = f"{len(different)} files changed" if different else "nothing changed"
        _progress(options, f"4/4 write    {count} in {output}")
        return
    _progress(options, f"4/4 compare  {len(different)} differences")
    if different:
        command = ["./generate.sh"]
        if options.document != DOCUMENT:
            command += ["--document", str(options.document)]
        if options.output != PACKAGE:
            command += ["--output", str(options.output)]
        say(f"generate.sh: {output} is not what would be generated:", sys.stdout)
        for line in different:
            say(f"  {line}", sys.stdout)
        say(f"Run {shlex.join(command)} and commit what it changes.", sys.stdout)


def _demo() -> int:
    command = [sys.executable, str(ROOT / "examples" / "refill.py")]
    return subprocess.run(command, check=False).returncode


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


if __name__ == "__main__":
    sys.exit(main())
