"""The command line behind ./generate.sh."""

import argparse
import os
import shlex
import subprocess
import sys
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

from ._errors import GenerationError, printable, say
from ._interrupts import held

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "openapi.yaml"
PACKAGE = ROOT / "generated" / "oneloop_api"
PAGE = ROOT / "docs" / "operations.md"
"""The page that lists all operations; it belongs to PACKAGE."""
OVERLAYS = [ROOT / "overrides" / name for name in ("overlay.yaml", "annotations.yaml")]
"""Applied in this order."""

TRACEBACK = "GENERATE_TRACEBACK"
"""The environment variable that asks for the traceback of a fault of ours."""

DESCRIPTION = """\
Regenerate the client from the vendored OpenAPI document.

  openapi.yaml -> overrides/overlay.yaml, overrides/annotations.yaml
               -> openapi-python-client with our kinds and templates (codegen/) -> ruff
               -> generated/oneloop_api, docs/operations.md

A run that fails leaves the old client in place. The same inputs give the same bytes.

  ./generate.sh --add create-a-jwt.md     # a page of the API's documentation, as published
"""


def main(argv: list[str] | None = None) -> int:
    """Run with arguments; return the exit code: 0 done, 1 different or failed, 2 usage."""
    options = _options(argv)
    run = Run()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the tools, about what a document holds
            code = _generate(options, run)
        return code or (_demo() if options.demo else 0)
    except (GenerationError, OSError) as error:
        _fail(str(error))
        return 1
    except KeyboardInterrupt:
        with held():
            _fail(f"interrupted; {run.result}")
        return 130
    except Exception as fault:
        if os.environ.get(TRACEBACK):
            raise
        kind = type(fault).__name__
        told = f"{options.document.name}: {kind}: {fault!s:.200}; {TRACEBACK}=1 shows where"
        _fail(printable(told))
        return 1


class Run:
    """How far a run has come."""

    result = "nothing was changed"


def _fail(text: str) -> None:
    for number, line in enumerate(text.split("\n")):
        say(line if number else f"generate.sh: {line}", sys.stderr)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(argv)
    if options.check and options.add:
        parser.error("argument --add: not allowed with argument --check")
    if options.prefer and not options.add:
        parser.error(f"argument --{options.prefer}: only allowed with argument --add")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="./generate.sh",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--check",
        action="store_true",
        help="change nothing; exit 1 and list the files that are not what would be generated",
    )
    what.add_argument(
        "--demo",
        action="store_true",
        help="regenerate, then refill a meter over HTTP against the local sandbox",
    )
    parser.add_argument(
        "--add",
        type=Path,
        nargs="+",
        action="extend",
        metavar="FILE",
        default=[],
        help="first merge pages into the document: Markdown with an OpenAPI block, YAML or JSON",
    )
    which = parser.add_mutually_exclusive_group()
    for prefer, whose in (("ours", "the document's"), ("theirs", "the added")):
        which.add_argument(
            f"--{prefer}",
            action="store_const",
            const=prefer,
            dest="prefer",
            help=f"with --add: where definitions differ, {whose} is right",
        )
    parser.add_argument(
        "--document",
        type=Path,
        metavar="FILE",
        default=DOCUMENT,
        help="another document than openapi.yaml",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        default=PACKAGE,
        help="another package folder than generated/oneloop_api",
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return parser


def _generate(options: argparse.Namespace, run: Run) -> int:
    # Not at the top: --help must work before the toolchain is installed.
    from . import _document, _merge, _render, _structure, _tree

    def progress(step: str) -> None:
        if not options.quiet:
            say(step, sys.stdout)

    progress(f"1/4 read     {options.document.name}")
    document = _document.read_document(options.document)
    text = old = _document.read_text(options.document)
    if options.add:
        ours = _merge.Page(options.document.name, document)
        merged = _merge.merge(text, ours, _merge.read_pages(options.add), options.prefer)
        document, text = merged.document, merged.text
        progress(f"    add      {merged.summary}")
    actions = _document.read_actions(*OVERLAYS)
    progress(f"2/4 patch    {len(actions)} overrides")
    patched = _document.patch(document, actions)
    name = f"{options.document.name} as patched by the overlays"
    _structure.refuse_patterns(patched, name)
    _document.check_document(patched, name)
    if options.output.exists() and not _replaceable(options.output):
        raise GenerationError(f"{_shown(options.output)} is no generated package: not replaced")
    with _tree.drafts(None if options.check else options.output) as draft:
        new = draft / "oneloop_api"
        progress("3/4 generate")
        page = _render.render(patched, new)
        inputs = {
            "openapi.yaml": text.encode(),
            **{f"overrides/{path.name}": path.read_bytes() for path in OVERLAYS},
            **{f"codegen/{name}": text for name, text in _render.templates().items()},
        }
        _render.write_manifest(new, inputs)
        different = _tree.differences(options.output, new)
        files = {options.document: text.encode()} if text != old else {}
        if options.output == PACKAGE and page.encode() != _content(PAGE):
            files[PAGE] = page.encode()
            different.append(f"changed: {_shown(PAGE)}")
        if different and not options.check:
            if _document.read_text(options.document) != old:
                raise GenerationError(
                    f"{options.document.name} has changed meanwhile: run it again"
                )
            # What is published is taken back if the rest fails, and not torn by Ctrl-C.
            with held(), ExitStack() as published:
                for path, content in files.items():
                    published.enter_context(_tree.rewritten(path.resolve(), content))
                _tree.replace(options.output, new, draft)
                run.result = "the new client is in place"
    if options.check:
        progress(f"4/4 compare  {len(different)} differences")
        return _report(different, options)
    progress(f"4/4 write    {_count(different)} in {_shown(options.output)}")
    return 0


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _replaceable(output: Path) -> bool:
    """Whether a folder is empty or was generated: nothing else may be replaced."""
    manifest = output / "manifest.json"
    if manifest.is_file():
        return '"generated by": "./generate.sh"' in manifest.read_text("utf-8", "replace")
    return output.is_dir() and not any(output.iterdir())


def _report(different: list[str], options: argparse.Namespace) -> int:
    if not different:
        return 0
    say(f"generate.sh: {_shown(options.output)} is not what would be generated:", sys.stdout)
    for line in different:
        say(f"  {line}", sys.stdout)
    command = ["./generate.sh"]
    if options.document != DOCUMENT:
        command += ["--document", str(options.document)]
    if options.output != PACKAGE:
        command += ["--output", str(options.output)]
    say(f"Run {shlex.join(command)} and commit what it changes.", sys.stdout)
    return 1


def _demo() -> int:
    command = [sys.executable, str(ROOT / "examples" / "refill.py")]
    return subprocess.run(command, check=False).returncode


def _count(different: list[str]) -> str:
    return f"{len(different)} files changed" if different else "nothing changed"


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


if __name__ == "__main__":
    sys.exit(main())
