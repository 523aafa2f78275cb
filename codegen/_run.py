"""A run of ./generate.sh: read, patch, parse, render, publish, and tell what was found."""

import argparse
import hashlib
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from . import _document, _merge, _overlays, _parser, _project, _render, _report, _structure, _tree
from ._api import Api
from ._errors import GenerationError, say
from ._overlays import Stale
from ._project import shown
from ._views import names


class Run:
    """One run, with what it has found so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.writes = not (options.check or options.dry_run)
        self.source: Path = options.document
        self.name = _file_name(self.source)
        self.overlays: list[Path] = []
        self.text = ""
        self.document: dict[str, Any] = {}
        self.patched: dict[str, Any] = {}
        self.api: Api | None = None
        self.different: list[str] = []
        self.published = False

    def generate(self) -> None:
        """Do all that can fail, and publish the new client unless nothing is to be written."""
        output = self.options.output
        with _tree.draft(output if self.writes else None, self.progress) as draft:
            if output.exists() and not _replaceable(output):
                problem = "is not a generated package; it is not replaced"
                raise GenerationError(f"{shown(output)} {problem}")
            with _tree.signals(signal.SIG_UNBLOCK):  # stopping here leaves nothing half done
                old = self.read()
                files = self.patch()
                new = draft / "oneloop_api"
                page = self.render(new, files)
                self.different = _tree.differences(output, new)
                if self.text != old:
                    files[self.source.resolve()] = self.text.encode()
                listed = _project.PAGE if output == _project.PACKAGE else None
                if listed and not (listed.exists() and listed.read_bytes() == page.encode()):
                    files[listed] = page.encode()
                self.different += [f"changed: {shown(path)}" for path in files]
            if self.different and self.writes:
                if _document.read_text(self.source) != old:
                    raise GenerationError(f"{self.name} was changed during the run: run it again")
                _tree.publish(output, new, files)
                self.published = True

    def read(self) -> str:
        """Read the document and add pages to it; return its text before that."""
        options = self.options
        self.document = _document.read_document(self.source)
        self.text = old = _document.read_text(self.source)
        self.overlays, why = self.chosen_overlays()
        applied = ", ".join(map(shown, self.overlays)) or "no overlays"
        self.progress(f"1/4 read     {self.name}, {applied}{why}")
        if options.add:
            ours = _merge.Page(self.name, self.document)
            merged = _merge.merge(old, ours, _merge.read_pages(options.add), options.prefer)
            self.document, self.text = merged.document, merged.text
            self.progress(f"    add      {merged.summary}")
        return old

    def chosen_overlays(self) -> tuple[list[Path], str]:
        """Return the overlays to apply, and why these, if that is not obvious."""
        if self.options.overlay or self.options.no_overlays:
            return self.options.overlay, ""
        if self.source.resolve() == _project.DOCUMENT.resolve():
            return _project.OVERLAYS, ""
        ours = _document.parse_yaml(_document.read_text(_project.DOCUMENT), _project.DOCUMENT.name)
        if _title(ours) == _title(self.document) and _ids(ours) & _ids(self.document):
            return _project.OVERLAYS, f" (a version of {_project.DOCUMENT.name})"
        return [], f" (another API than {_project.DOCUMENT.name}; --overlay FILE applies one)"

    def patch(self) -> dict[Path, bytes]:
        """Apply the overlays; return new texts of those that are pruned."""
        actions = _overlays.read_actions(*self.overlays)
        self.progress(f"2/4 patch    {len(actions)} overrides")
        self.patched, stale = _overlays.patch(self.document, actions)
        if self.options.patched:
            _write(self.options.patched, _report.document_text(self.patched, self.options.patched))
        pruned = self.stale(stale)
        name = f"{self.name} as patched by the overlays" if actions else self.name
        _structure.refuse(name, _structure.slow_patterns(self.patched))
        _document.check_document(self.patched, name)
        return pruned

    def stale(self, stale: list[Stale]) -> dict[Path, bytes]:
        """Tell which overrides are stale; return new texts of the overlays with --prune."""
        fixes = [one for one in stale if not one.action.annotates]
        if fixes and not self.options.prune:
            raise _report.stale_fixes(stale)
        if not stale:
            return {}
        texts = _overlays.prune(stale)
        for line in _report.stale_lines(stale, texts, pruned=self.options.prune):
            self.warn(line)
        if not self.options.prune:
            return {}
        return {path: text.encode() for path, text in texts.items()}

    def render(self, new: Path, pruned: dict[Path, bytes]) -> str:
        """Generate the package into a folder; return the page of operations."""
        self.progress("3/4 generate")
        self.api = api = _parser.parse(self.patched, names.of_classes())
        if api.refused and not self.options.leave_out:
            count = len(_report.operations(self.patched))
            raise _report.refusal(self.name, api.refused, count)
        page = _render.render(api, self.patched, new, self.name)
        inputs = {self.name: self.text.encode()}
        for path in self.overlays:
            content = pruned[path] if path in pruned else path.read_bytes()
            ours = path.resolve().is_relative_to(_project.ROOT / "overrides")
            inputs[_unused(f"overrides/{path.name}" if ours else _file_name(path), inputs)] = (
                content
            )
        inputs |= {f"codegen/{name}": code for name, code in _render.templates().items()}
        _render.write_manifest(new, inputs)
        return page

    # --- what a run tells ------------------------------------------------------------------------

    def progress(self, line: str) -> None:
        """Print a line unless --quiet is given."""
        if not self.options.quiet:
            say(line, sys.stdout)

    def warn(self, line: str) -> None:
        """Print a line to stderr unless --quiet is given."""
        if not self.options.quiet:
            say(line, sys.stderr)

    def finish(self) -> int:
        """Tell the result and return the exit code."""
        options, output = self.options, shown(self.options.output)
        refused = self.api.refused if self.api else []
        for line in _report.left_out(refused):
            self.warn(f"left out: {line}")
        self.write_report(None)
        if self.writes:
            count = f"{len(self.different)} files changed" if self.different else "nothing changed"
            self.progress(f"4/4 write    {count} in {output}")
            return _demo() if options.demo else 0
        self.progress(f"4/4 compare  {len(self.different)} differences")
        if options.dry_run:
            for line in self.different:
                self.progress(f"  {line}")
            return 0
        if self.different:
            say(f"generate.sh: {output} is not what would be generated:", sys.stdout)
            for line in self.different:
                say(f"  {line}", sys.stdout)
            say(f"Run {shlex.join(self.command())} and commit what it changes.", sys.stdout)
        return 1 if self.different else 0

    def command(self) -> list[str]:
        """Return the command that makes what --check expects."""
        options, command = self.options, ["./generate.sh"]
        if options.document != _project.DOCUMENT:
            command += ["--document", str(options.document)]
        if options.overlay:
            command += ["--overlay", *map(str, options.overlay)]
        command += [f"--{one}" for one in ("no-overlays", "leave-out") if _given(options, one)]
        if options.output != _project.PACKAGE:
            command += ["--output", str(options.output)]
        return command

    def failed(self, text: str, code: int = 1) -> int:
        """Tell why the run failed and return its exit code."""
        for number, line in enumerate(text.split("\n")):
            say(line if number else f"generate.sh: {line}", sys.stderr)
        try:
            self.write_report(text.partition("\n")[0])
        except OSError as error:
            say(f"generate.sh: {error}", sys.stderr)
        return code

    def write_report(self, error: str | None) -> None:
        """Write the file of --report."""
        if not self.options.report:
            return
        digest = hashlib.sha256(self.text.encode()).hexdigest() if self.text else None
        about = {
            "name": self.name,
            "sha256": digest,
            "overlays": [_file_name(path) for path in self.overlays],
        }
        report = _report.as_json(self.document, self.patched, self.api, about, error)
        _write(self.options.report, report)


def _given(options: argparse.Namespace, name: str) -> bool:
    return bool(vars(options)[name.replace("-", "_")])


def _demo() -> int:
    command = [sys.executable, str(_project.ROOT / "examples" / "refill.py")]
    return subprocess.run(command, check=False).returncode


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8", "backslashreplace"))


def _file_name(path: Path) -> str:
    """Return the name of a file as text, even if its bytes are not UTF-8 in this locale."""
    return path.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _unused(name: str, taken: dict[str, bytes]) -> str:
    number, unused = 1, name
    while unused in taken:
        number += 1
        unused = f"{name} ({number})"
    return unused


def _replaceable(output: Path) -> bool:
    """Whether a folder is empty or was generated: nothing else may be replaced."""
    manifest = output / "manifest.json"
    if manifest.is_file():
        return '"generated by": "./generate.sh"' in manifest.read_text("utf-8", "replace")
    return output.is_dir() and not any(output.iterdir())


def _title(document: dict[str, Any]) -> Any:
    info = document.get("info")
    return info.get("title") if isinstance(info, dict) else None


def _ids(document: dict[str, Any]) -> set[str]:
    return {name for name in _report.operations(document).values() if name}
