"""A run of ./generate.sh: read, patch, parse, render, publish, and report."""

import argparse
import hashlib
import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _document, _overlays, _parser, _project, _render, _report, _tree
from ._api import Api
from ._errors import GenerationError, say
from ._findings import Finding
from ._overlays import Stale
from ._project import shown
from ._quirks import quirks
from ._views import names

if TYPE_CHECKING:
    from ._changes import Changes


_PROVENANCE = {"manifest.json", "spec.py"}
"""Files that change whenever an input does, although nothing may change for applications."""


class Run:
    """One run, with what it has found so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.answers = bool(options.diff or options.lint)
        """Whether stdout is for the answer to a question alone."""
        self.writes = not (options.check or options.dry_run or self.answers)
        self.source: Path = options.document
        self.name = _file_name(self.source)
        self.overlays: list[Path] = []
        self.text = ""
        self.document: dict[str, Any] = {}
        self.patched: dict[str, Any] = {}
        self.stale: list[Stale] = []
        self.problems: list[Finding] = []
        self.api: Api | None = None
        self.changes: Changes | None = None
        self.different: list[str] = []
        self.beside: list[Path] = []
        """The files beside the package that the run changes."""
        self.published = False

    def generate(self) -> None:
        """Do all that can fail, and publish the new client unless nothing is to be written."""
        output = self.options.output
        if output.exists() and not _replaceable(output):
            problem = "is not a generated package; it is not replaced"
            raise GenerationError(f"{shown(output)} {problem}")
        with _tree.draft(output if self.writes else None, self.progress) as draft:
            with _tree.signals(signal.SIG_UNBLOCK):  # stopping here leaves nothing half done
                old = self.read()
                self.refuse_another_api()
                files = self.patch()
                if self.options.lint:
                    return
                new = draft / "oneloop_api"
                page = self.render(new, files)
                if self.options.diff:
                    self.compare_with(self.options.diff, new, draft / "other")
                    return
                self.different = _tree.differences(output, new)
                told = {line.split(": ")[1] for line in self.different} - _PROVENANCE
                if told and not self.options.check:
                    self.compare_with_old(new)
                self.refuse_stale_fixes()
                if self.text != old:
                    files[self.source.resolve()] = self.text.encode()
                listed = _project.PAGE if output == _project.PACKAGE else None
                if listed and not (listed.exists() and listed.read_bytes() == page.encode()):
                    files[listed] = page.encode()
                self.beside = list(files)
            if (self.different or files) and self.writes:
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
            from . import _merge  # not at the top: most runs do not need its YAML library

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
        if self.of_our_api():
            return _project.OVERLAYS, f" (a version of {_project.DOCUMENT.name})"
        return [], f" (another API than {_project.DOCUMENT.name}; --overlay FILE applies one)"

    def of_our_api(self) -> bool:
        """Whether the document is openapi.yaml or seems to be another version of it."""
        name = _project.DOCUMENT.name
        ours = _document.parse_yaml(_document.read_text(_project.DOCUMENT), name)
        return _title(ours) == _title(self.document) and not _ids(ours).isdisjoint(
            _ids(self.document)
        )

    def refuse_another_api(self) -> None:
        """Stop a run that would replace our package with one of another API."""
        if not self.writes or self.options.output.resolve() != _project.PACKAGE.resolve():
            return
        if self.source.resolve() != _project.DOCUMENT.resolve() and not self.of_our_api():
            problem = f"{self.name} describes another API than {_project.DOCUMENT.name}"
            package = shown(_project.PACKAGE)
            remedy = f"--output DIR generates it elsewhere; {package} stays as it is"
            raise GenerationError(f"{problem}: {remedy}")

    def patch(self) -> dict[Path, bytes]:
        """Apply the overlays; return new texts of those that are pruned."""
        actions = _overlays.read_actions(*self.overlays)
        self.progress(f"2/4 patch    {len(actions)} overrides")
        self.patched, self.stale = _overlays.patch(self.document, actions)
        if self.options.patched:
            _write(self.options.patched, _report.document_text(self.patched, self.options.patched))
        texts = {}
        if self.stale and (self.options.prune or not self.stale_fixes):
            texts = _overlays.prune(self.stale)
            for line in _report.stale_lines(self.stale, texts, pruned=self.options.prune):
                self.warn(line)
        name = f"{self.name} as patched by the overlays" if actions else self.name
        try:
            _document.check_document(self.patched, name)
            self.problems = _document.problems(self.patched)
            ours = self.overlays == _project.OVERLAYS
            if self.problems and ours and not self.options.leave_out:
                # Our own document is to have no faults.
                raise GenerationError(*(f"{name}: {_report.line(one)}" for one in self.problems))
        except GenerationError:
            self.refuse_stale_fixes()  # they are the likelier cause
            raise
        return {path: text.encode() for path, text in texts.items()} if self.options.prune else {}

    @property
    def stale_fixes(self) -> bool:
        """Whether fixes are stale, beside annotations."""
        return not all(one.action.annotates for one in self.stale)

    def refuse_stale_fixes(self) -> None:
        """Stop the run if fixes are stale, unless they are removed or only asked about."""
        if self.stale_fixes and not (self.options.prune or self.answers):
            raise _report.stale_fixes(self.stale)

    def render(self, new: Path, pruned: dict[Path, bytes]) -> str:
        """Generate the package into a folder; return the page of operations."""
        self.progress("3/4 generate")
        sources = {self.name: self.text.encode()}
        for path in self.overlays:
            content = pruned[path] if path in pruned else path.read_bytes()
            ours = path.resolve().is_relative_to(_project.ROOT / "overrides")
            name = f"overrides/{path.name}" if ours else _file_name(path)
            sources[_unused(name, sources)] = content
        is_ours = self.overlays == _project.OVERLAYS  # `oneloop` has the clients of our API
        try:
            self.api = api = _parser.parse(self.patched, names.of_classes(), self.problems)
            page = _render.render(
                api, self.patched, new, self.name, sources, has_clients=not is_ours
            )
            if api.refused and not (self.options.leave_out or self.options.diff):
                count = len(_report.operations(self.patched))
                raise _report.refusal(self.name, api.refused, count)
        except GenerationError:
            self.refuse_stale_fixes()
            raise
        code = {f"codegen/{name}": text for name, text in _render.templates().items()}
        _render.write_manifest(new, sources | code)
        return page

    def compare_with(self, other: str, new: Path, folder: Path) -> None:
        """Compare the new package with another version, for --diff."""
        from ._changes import Side, compare, side_of

        folder.mkdir()
        sources = _project.ROOT / "src"
        places = {"document": self.source, "output": self.options.output, "sources": sources}
        old = side_of(other, folder, generated, overlays=self.overlays, **places)
        document = json.loads((new / "document.json").read_bytes())
        stale = _report.stale_entries(self.stale)
        self.changes = compare(old, Side(self.name, document, new), sources, stale)

    def compare_with_old(self, new: Path) -> None:
        """Compare the new package with the one in place, if there is one of the same API."""
        output: Path = self.options.output
        files = output / "document.json", new / "document.json"
        if not files[0].is_file():
            return
        try:
            from ._changes import Side, compare

            old, document = (json.loads(file.read_bytes()) for file in files)
            if _same_api(old, document):
                sides = Side(shown(output), old, output), Side(self.name, document, new)
                changes = compare(*sides, stale=_report.stale_entries(self.stale))
                self.changes = changes if changes.python or old != document else None
        except Exception as error:  # noqa: BLE001 - it may have been edited in any way
            line = f"{type(error).__name__}: {_document.one_line(error)}"
            self.warn(f"no change report, as {shown(output)} cannot be compared: {line}")

    # --- what a run reports ----------------------------------------------------------------------

    def progress(self, line: str) -> None:
        """Print a line, not among an answer, unless --quiet is given."""
        if not self.options.quiet:
            say(line, sys.stderr if self.answers else sys.stdout)

    def warn(self, line: str) -> None:
        """Print a line to stderr unless --quiet is given."""
        if not self.options.quiet:
            say(line, sys.stderr)

    def finish(self) -> int:
        """Print the result and return the exit code."""
        options, output = self.options, shown(self.options.output)
        self.write_report(None)
        if options.lint:
            found = quirks(self.patched)
            _report.show_findings(found, self.name, options.format)
            return 1 if found else 0
        for line in _report.remarks(self.api) if self.api else ():
            self.warn(line)
        if options.diff and self.changes:
            _report.show_changes(self.changes, options.format)
            return 1 if self.changes.breaking else 0
        count = len(self.different)
        if self.writes:
            told = f"{count} files changed" if count else "nothing changed"
            beside = "".join(f"; {shown(path)} changed" for path in self.beside)
            self.progress(f"4/4 write    {told} in {output}{beside}")
        self.different += [f"changed: {shown(path)}" for path in self.beside]
        if not self.writes:
            self.progress(f"4/4 compare  {len(self.different)} differences")
        if options.check:
            return self.checked(output)
        for line in self.different if options.dry_run else ():
            self.progress(f"  {line}")
        if found := quirks(self.patched):
            where = f"{self.command('--lint')} shows {'them' if len(found) > 1 else 'it'}"
            if options.add and not self.writes:
                where += " when the pages are added"
            self.progress(
                f"{_report.counted(len(found), 'quirk')} that no override answers: {where}"
            )
        self.show_changes()
        return _demo() if options.demo else 0

    def checked(self, output: str) -> int:
        """Print what --check found and return the exit code."""
        if self.different:
            say(f"generate.sh: {output} is not what would be generated:", sys.stdout)
            for line in self.different:
                say(f"  {line}", sys.stdout)
            say(f"Run {self.command()} and commit what it changes.", sys.stdout)
        elsewhere, skipped = self.second_reading()
        for line in elsewhere:
            say(f"generate.sh: {line}", sys.stdout)
        if skipped:
            self.progress(f"openapi-python-client, our second reader, skips {skipped} operations")
        return 1 if self.different or elsewhere else 0

    def second_reading(self) -> tuple[list[str], int]:
        """Return how openapi-python-client reads our document otherwise, and what it skips."""
        if not (self.api and self.overlays == _project.OVERLAYS):
            return [], 0
        from . import _second  # not at the top: openapi-python-client takes a second to import

        return _second.differences(self.patched, self.api)

    def show_changes(self) -> None:
        """Print what the run changes for applications."""
        if self.changes and not self.options.quiet:
            _report.show_changes(self.changes, "text")

    def command(self, *more: str) -> str:
        """Return a command like that of this run, without what it prints or writes beside."""
        options, command = self.options, ["./generate.sh", *more]
        if options.document != _project.DOCUMENT:
            command += ["--document", str(options.document)]
        if options.overlay:
            command += ["--overlay", *map(str, options.overlay)]
        command += [f"--{one}" for one in ("no-overlays", "leave-out") if _given(options, one)]
        if options.output != _project.PACKAGE:
            command += ["--output", str(options.output)]
        return shlex.join(command)

    def failed(self, text: str, code: int = 1) -> int:
        """Print why the run failed and return its exit code."""
        self.show_changes()
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


def generated(path: Path, overlays: Sequence[Path], package: Path) -> dict[str, Any]:
    """Generate the package of another document, as far as that is possible; return the document."""
    actions = _overlays.read_actions(*overlays)
    document, _ = _overlays.patch(_document.read_document(path), actions)
    api = _parser.parse(document, names.of_classes(), _document.problems(document))
    has_clients = list(overlays) != _project.OVERLAYS
    _render.render(api, document, package, path.name, has_clients=has_clients)
    read: dict[str, Any] = json.loads((package / "document.json").read_bytes())
    return read


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


def _same_api(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether documents seem to be versions of one API: they share a title or operations."""
    return _title(one) == _title(other) or not _ids(one).isdisjoint(_ids(other))


def _title(document: dict[str, Any]) -> Any:
    info = document.get("info")
    return info.get("title") if isinstance(info, dict) else None


def _ids(document: dict[str, Any]) -> set[str]:
    return {name for name in _report.operations(document).values() if name}
