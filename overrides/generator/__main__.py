"""The command line behind ./generate.sh."""

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

from ._errors import GenerationError

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "openapi.yaml"
PACKAGE = ROOT / "generated" / "oneloop_api"

DESCRIPTION = """\
Regenerate the client from the vendored OpenAPI document.

  openapi.yaml -> overrides/overlay.yaml -> openapi-python-client with overrides/generator
               -> ruff -> generated/oneloop_api

A run that fails leaves the old client in place. The same inputs give the same bytes.
"""


def main(argv: list[str] | None = None) -> int:
    """Run with arguments; return the exit code: 0 done, 1 different or failed, 2 usage."""
    options = _parser().parse_args(argv)
    try:
        code = _generate(options)
        return code or (_demo() if options.demo else 0)
    except (GenerationError, OSError) as error:
        print(f"generate.sh: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
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


def _generate(options: argparse.Namespace) -> int:
    # Not at the top: --help must work before the toolchain is installed.
    from . import _document, _render, _tree

    def progress(step: str) -> None:
        if not options.quiet:
            print(step, flush=True)

    overlay_path = ROOT / "overrides" / "overlay.yaml"
    progress(f"1/4 read     {options.document.name}")
    document = _document.read_document(options.document)
    actions = _document.read_actions(overlay_path)
    progress(f"2/4 patch    {len(actions)} overrides")
    patched = _document.patch(document, actions)
    _document.check_document(patched, f"{options.document.name} as patched by overlay.yaml")
    if options.output.exists() and not _replaceable(options.output):
        raise GenerationError(f"{_shown(options.output)} is no generated package: not replaced")
    with _tree.drafts(None if options.check else options.output) as draft:
        new = draft / "oneloop_api"
        progress("3/4 generate")
        _render.render(patched, new)
        inputs = {
            "openapi.yaml": options.document.read_bytes(),
            "overrides/overlay.yaml": overlay_path.read_bytes(),
            **{f"overrides/generator/{name}": text for name, text in _render.templates().items()},
        }
        _render.write_manifest(new, inputs)
        different = _tree.differences(options.output, new)
        if different and not options.check:
            _tree.replace(options.output, new, draft)
    if options.check:
        progress(f"4/4 compare  {len(different)} differences")
        return _report(different, options)
    progress(f"4/4 write    {_count(different)} in {_shown(options.output)}")
    return 0


def _replaceable(output: Path) -> bool:
    return output.is_dir() and ((output / "manifest.json").exists() or not any(output.iterdir()))


def _report(different: list[str], options: argparse.Namespace) -> int:
    if not different:
        return 0
    print(f"generate.sh: {_shown(options.output)} is not what would be generated:")
    for line in different:
        print(f"  {line}")
    command = ["./generate.sh"]
    if options.document != DOCUMENT:
        command += ["--document", str(options.document)]
    if options.output != PACKAGE:
        command += ["--output", str(options.output)]
    print(f"Run {shlex.join(command)} and commit what it changes.")
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
