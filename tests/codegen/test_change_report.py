"""The parts of a change report beside documents: Python code, sides from git, and text."""

# ruff: noqa: E501 - code stands here as it is read

import io
import subprocess
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from codegen._changes import Change, Changes, Side, _python, _text, compare, side_of
from codegen._errors import GenerationError
from codegen._findings import Finding

Document = dict[str, Any]


def change(what: str, effect: str = "broken", **more: Any) -> Change:
    """Return a change, of a function unless other things are given."""
    given = {"of": "", "part": "python", "name": "client.call()", **more}
    return Change(what=what, effect=effect, **given)  # type: ignore[arg-type]


def changes(**more: Any) -> Changes:
    """Return a report with these parts."""
    empty: Any = {"old": "a", "new": "b", "version": "0.1.0"}
    lists: Any = {key: [] for key in ("document", "words", "python", "quirks", "stale")}
    return Changes(**{**empty, **lists, **more})


# --- Python ---------------------------------------------------------------------------------------

CODE = {
    "api/v1/call.py": """
def call(*, a: int, b: "str | None" = None, c: int = 1, d: "Sequence[str]", e: str = "", h: "tuple[int]" = (), i: float = 1) -> Call[A | None]: ...
""",
    "models/a.py": """
class A(Base):
    x: int
    y: dict[str, str | None]
    z: dict[str, int]
    k: int
    ONE = "one"
    @property
    def flag(self) -> bool: ...
    def method(self) -> "unreadable type": ...
class B: ...
class C: ...
""",
    "models/__init__.py": "",
}
CHANGED = {
    "api/v1/call.py": """
def call(*, a: float, b: str, d: "Sequence[str | int]", e: str = "x", f: int = 0, g: int, h: "list[int]" = (), i: int = 1) -> Call[A]: ...
""",
    "api/v1/other.py": "def call() -> Call[None]: ...\n",
    "models/a.py": """
class A:
    x: int | None
    y: dict[str, str]
    z: dict[int, int]
    def k(self) -> int: ...
    w: int
    ONE = "two"
    TWO = "two"
    @property
    def flag(self) -> bool: ...
    def method(self, more: int = 0) -> int: ...
    def new(self) -> int: ...
    def _private(self) -> int: ...
C = 1
""",
    "models/__init__.py": "# changed\n",
}


def written(folder: Path, files: dict[str, str]) -> Path:
    """Write files into a folder and return it."""
    for name, code in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    return folder


def test_python(tmp_path: Path) -> None:
    """The API is reported with the names that users type."""
    old, new = (written(tmp_path / name, code) for name, code in (("a", CODE), ("b", CHANGED)))
    found = [f"{one.effect}: {_text._line(one, str)}" for one in _python.compare(old, new)]
    assert found == [
        "broken: client.call(b=): optional -> required",
        "broken: client.call(c=) removed: int",
        "changed: client.call(e=): default '' -> 'x'",
        "broken: client.call(g=) added: int, required",
        "changed: client.call(a=): type int -> float",
        "changed: client.call(d=): type Sequence[str] -> Sequence[str | int]",
        "added: client.call(f=): int",
        "broken: client.call(h=): type tuple[int] -> list[int]",
        "broken: client.call(i=): type float -> int",
        "changed: client.call(): returns A | None -> A",
        "added: client.other()",
        "broken: models.A: base class was removed",
        "broken: models.A.k: public object points to a different kind of object",
        "broken: models.B removed",
        "broken: models.C removed",
        "broken: models.A.x: type int -> int | None",
        "changed: models.A.y: type dict[str, str | None] -> dict[str, str]",
        "broken: models.A.z: type dict[str, int] -> dict[int, int]",
        "added: models.A.w: int",
        "broken: models.A.ONE: value 'one' -> 'two'",
        "added: models.A.TWO",
        "added: models.A.method(more=): int",
        "broken: models.A.method(): returns 'unreadable type' -> int",
        "added: models.A.new(): int",
    ]
    assert _python.compare(old, old) == []


PUBLIC = {
    "oneloop_core/__init__.py": "class Error: ...\n",
    "oneloop/_client.py": "class Client:\n    def __init__(self, *, key: str): ...\n"
    "    def close(self, now: bool): ...\n",
    "oneloop/__init__.py": """
from oneloop_api import models
from oneloop_core import Error
from ._client import Client
__all__ = ["Client", "Error", "missing", "models"]
""",
}


def test_what_oneloop_exports(tmp_path: Path) -> None:
    """Hand-written classes are compared too, if the old side has sources of its own."""
    client = "class Client:\n    def __init__(self, *, token: str, key: str = ''): ...\n"
    client += "    def close(self, now: bool = False, *, then: int = 0): ...\n"
    client += "    def open(self): ...\n"
    exports = PUBLIC["oneloop/__init__.py"].replace(' "Error",', "")
    old = written(tmp_path / "old", PUBLIC)
    new = written(
        tmp_path / "new",
        {**PUBLIC, "oneloop/_client.py": client, "oneloop/__init__.py": exports},
    )
    sides = [Side(path.name, {}, path / "oneloop_api", path) for path in (old, new)]
    report = compare(*sides, new)
    assert [f"{one.effect}: {_text._line(one, str)}" for one in report.python] == [
        "broken: oneloop.Client(token=) added: str, required",
        "broken: oneloop.Error removed",
        "changed: oneloop.Client(key=): required -> optional",
        "changed: oneloop.Client.close(now=): required -> optional",
        "added: oneloop.Client.close(then=): int",
        "added: oneloop.Client.open()",
    ]
    assert not compare(sides[0], sides[1]).python


# --- sides ----------------------------------------------------------------------------------------


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a git repository with a document, an overlay, a package and sources at a commit."""
    folder = tmp_path / "project"
    package = {"generated/api/document.json": '{"info": {}}', "src/oneloop/__init__.py": ""}
    written(folder, {"openapi.yaml": "old", "overrides/overlay.yaml": "old too", **package})
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "One"]):
        who = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
        subprocess.run(["git", *who, *command], cwd=folder, check=True)
    written(folder, {"openapi.yaml": "new", "overrides/overlay.yaml": "new too"})
    return folder


def side(repository: Path, other: str, output: str = "generated/api") -> Side:
    """Return a side whose document is what it is generated from."""

    def generate(document: Path, overlays: Any, package: Path) -> Document:
        return {"made of": [path.read_text() for path in (document, *overlays)]}

    made = repository.parent / "made"
    made.mkdir()
    return side_of(
        other,
        made,
        generate,
        document=repository / "openapi.yaml",
        overlays=[repository / "overrides" / "overlay.yaml"],
        output=repository / output,
        sources=repository / "src",
    )


def test_a_revision_is_what_users_had(repository: Path) -> None:
    """The package and the sources are those that were committed."""
    found = side(repository, "HEAD")
    assert (found.name, found.document) == ("HEAD", {"info": {}})
    assert found.sources is not None
    assert (found.sources / "oneloop" / "__init__.py").exists()


@pytest.mark.parametrize("output", ["generated/none", "src", "../elsewhere"])
def test_a_revision_without_the_package_is_generated(repository: Path, output: str) -> None:
    """The document and the overlays are those of the revision."""
    found = side(repository, "HEAD", output)
    assert (found.document, found.sources) == ({"made of": ["old", "old too"]}, None)


def test_a_file_is_generated_with_the_overlays_of_the_run(repository: Path) -> None:
    """Another document is patched as the new one is."""
    found = side(repository, str(repository / "openapi.yaml"))
    assert found.document == {"made of": ["new", "new too"]}


@pytest.mark.parametrize("other", ["no-such-branch", "--output=x", "HEAD:openapi.yaml"])
def test_neither_a_file_nor_a_revision(repository: Path, other: str) -> None:
    """The error says what was given."""
    with pytest.raises(GenerationError, match=f"{other}: neither a file nor a revision in git"):
        side(repository, other)


def test_a_document_that_is_not_in_git(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the file; without git, it says so."""
    (repository / "openapi.yaml").rename(repository / "new.yaml")
    overlay = repository / "overrides" / "overlay.yaml"
    more = {"document": repository / "new.yaml", "overlays": [overlay]}
    with pytest.raises(GenerationError, match=r"HEAD: new.yaml is not in git at this revision"):
        side_of("HEAD", repository.parent, print, output=Path("/x"), sources=Path("/y"), **more)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(GenerationError, match="git cannot be run"):
        side(repository, "HEAD")


# --- the report -----------------------------------------------------------------------------------


def test_the_version_that_follows() -> None:
    """Before 1.0, a breaking change raises the minor version."""
    rows = [
        ("broken", "0.1.2", "minor", "0.2.0"),
        ("added", "0.1.2", "patch", "0.1.3"),
        ("broken", "1.1.2", "major", "2.0.0"),
        ("added", "1.1.2", "minor", "1.2.0"),
        ("changed", "1.1.2", "patch", "1.1.3"),
        ("neutral", "1.1.2", None, "1.1.2"),
    ]
    for effect, version, bump, following in rows:
        report = changes(document=[change("type", effect)], version=version)
        assert (report.bump, report.next_version) == (bump, following)
        assert report.breaking == (effect == "broken")
    assert changes(python=[change("type")], version="1.0.0").reason == (
        "Changes that can break applications: 1 of the Python API."
    )
    assert changes(python=[change("type", "added")]).reason == "Nothing breaks."


def test_nothing_changed() -> None:
    """A report without changes says so."""
    report = changes()
    assert "Nothing changes for applications. The version stays `0.1.0`." in report.markdown()
    assert report.changelog() == ""


def test_all_parts_of_a_report() -> None:
    """The report as Markdown, for the changelog, in a terminal and as JSON."""
    more = change("added", "added", of="B", part="component", name="B", after="object")
    several = [
        change("added", "added", of=name, part="status", name="429", before="")
        for name in "abcdefg"
    ]
    used = change("pattern", of="Meter", part="field", name="x", after="^a$", operations=("a", "b"))
    safe = change("location", "changed", of="a", part="query parameter", name="q", after="header")
    report = changes(
        document=[*several, used, safe, more],
        words=["a", "b"],
        python=[change("added", "added"), change("removed", name="models.A")],
        quirks=[Finding(("paths", "/a"), "it is *odd*", {"x-quirk": "q", "target": "$"}, "odd")],
        stale=[("name", "overlay.yaml", "remove the action")],
    )
    markdown = report.markdown()
    for line in (
        "- **stale** `name` in `overlay.yaml`: remove the action",
        r"- `paths./a`: it is \*odd\*",
        "      - x-quirk: q",
        "- **broken** `models.A` removed",
        "- descriptions or examples changed in 2 places",
        "- **added** status `429` in `a`, `b`, `c`, `d` and 3 more",
        "component `Meter`, in `a` and `b`:",
        "- **broken** field `x`: pattern `^a$` added",
        "operation `a`:",
        "components:",
        "- **added** component `B`: `object`",
    ):
        assert line in markdown.splitlines()
    assert report.changelog().splitlines() == [
        *("### Added", "", "- `client.call()`.", "", "### Changed", ""),
        "- **Breaking:** `Meter`, field `x`: pattern `^a$` added.",
        *("", "### Removed", "", "- **Breaking:** `models.A`."),
    ]
    stream = io.StringIO()
    report.show(Console(file=stream, width=80))
    shown = stream.getvalue()
    assert "\n  broken  models.A removed" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert "\x1b" not in shown
    told = report.json()
    assert told["stale"] == [
        {"name": "name", "file": "overlay.yaml", "remedy": "remove the action"}
    ]
    assert told["quirks"][0]["place"] == "paths./a"
    assert (told["bump"], told["breaking"], told["next_version"]) == ("minor", True, "0.2.0")
    assert told["document"][7]["operations"] == ("a", "b")


def test_texts_of_a_document_are_only_shown() -> None:
    """They begin no line, end no code span, and send nothing to a terminal."""
    hostile = "\x1b[31m``x`\n# heading <b>"
    report = changes(
        document=[change("type", of=hostile, part="field", name=hostile, after=hostile)]
    )
    stream = io.StringIO()
    report.show(Console(file=stream, width=200))
    assert "``` \\x1b[31m``x` # heading <b> ```" in report.markdown()
    for text in (report.markdown(), report.changelog(), stream.getvalue()):
        assert "\x1b" not in text
        assert not [line for line in text.splitlines() if line.startswith("# ")]
    long = changes(document=[change("type", after="x" * 10_000)]).markdown()
    assert len(long) < 1000


def test_a_long_report_is_cut() -> None:
    """Sections have a limit, and say how much more there is; JSON has everything."""
    many = [change("type", of=f"a{n}", name=f"n{n}", part="field") for n in range(1000)]
    report = changes(
        document=many, python=[change("type", name=f"models.A{n}") for n in range(500)]
    )
    assert "- 600 more, which --format json lists" in report.markdown()
    assert "- 100 more, which --format json lists" in report.markdown()
    assert len(report.json()["document"]) == 1000
