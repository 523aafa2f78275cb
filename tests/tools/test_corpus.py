"""`scripts/corpus` calls what is generated from a document, and finds what is wrong with it."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import ROOT
from tests.tools.corpus.__main__ import in_another_process, is_wrong, main, show, total
from tests.tools.corpus.documents import Document, read
from tests.tools.corpus.instances import Maker, NoInstanceError
from tests.tools.corpus.judging import judge, judge_package
from tests.tools.corpus.wire import Received, body_matches, in_path, in_query, same

TINY = ROOT / "tests" / "codegen" / "tiny"
NAMES = ("oneof-enum-single-3", "body-multipart", "q-array-explode-true", "p-matrix", "r-octet")
PATH = "api/default/do_it.py"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Judge some documents; return the folders with their packages, and the results."""
    found = {}
    for name in NAMES:
        folder = tmp_path_factory.mktemp(name)
        path = TINY / f"{name}.yaml"
        found[name] = folder, judge(path, folder, seed="1", limit=9, types=False, plain=False)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_document_is_called_as_it_says(
    name: str, made: dict[str, tuple[Path, dict[str, Any]]]
) -> None:
    """All calls of a good package are right."""
    row = made[name][1]
    assert (row["operations"], row["generated"], row["imports"]) == (1, 1, True)
    assert (row["right"], row["faults"]) == (4, [])
    assert not is_wrong(row)


def test_members_of_unions_are_counted(made: dict[str, tuple[Path, dict[str, Any]]]) -> None:
    """The document decides which class each answer is."""
    assert made["oneof-enum-single-3"][1]["members"] == {"right": 4}


@pytest.mark.parametrize(
    ("name", "file", "good", "bad", "fault"),
    [
        ("q-array-explode-true", PATH, '"tag"', '"tags"', "query tag"),
        ("p-matrix", PATH, '"matrix"', '"label"', "path id"),
        ("oneof-enum-single-3", "models/gone.py", '_data["at"]', '_data["at_"]', "the answer.at"),
    ],
)
def test_a_broken_package_is_found(
    name: str,
    file: str,
    good: str,
    bad: str,
    fault: str,
    made: dict[str, tuple[Path, dict[str, Any]]],
    tmp_path: Path,
) -> None:
    """A package that sends or reads something else than the document says is reported."""
    package = f"broken_{name.replace('-', '_')}"
    shutil.copytree(made[name][0] / f"corpus_{name.replace('-', '_')}", tmp_path / package)
    code = (tmp_path / package / file).read_text("utf-8")
    assert good in code
    (tmp_path / package / file).write_text(code.replace(good, bad), "utf-8")
    document = Document(read(TINY / f"{name}.yaml"))
    operations = list(document.operations())
    row = judge_package(document, tmp_path, package, operations, seed="1", limit=9, types=False)
    assert row["wrong"], row
    assert fault in " ".join(row["faults"])
    assert is_wrong(row)


def test_a_package_that_does_not_import_is_found(tmp_path: Path) -> None:
    """A module with an error is a failure of the document."""
    (tmp_path / "broken_import").mkdir()
    (tmp_path / "broken_import" / "__init__.py").write_text(
        "import broken_import.missing\n", "utf-8"
    )
    document = Document({"paths": {}})
    row = judge_package(document, tmp_path, "broken_import", [], seed="1", limit=9, types=True)
    assert not row["imports"]
    assert "broken_import.missing" in row["failure"]
    assert row["mypy"] > 0
    assert row["pyright"] > 0
    assert is_wrong(row)


def test_a_document_that_cannot_be_read_is_a_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One bad document does not end the run, and the table and the JSON have it."""
    (tmp_path / "bad.yaml").write_text("{", "utf-8")
    shutil.copy(TINY / "r-text.yaml", tmp_path / "good.yaml")
    results = tmp_path / "results.txt"
    arguments = [str(tmp_path), "--json", str(results), "--no-types", "--jobs", "2"]
    assert main(arguments) == 1
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed[:4]] == ["document", "bad.yaml", "good.yaml", "2"]
    bad, good = json.loads(results.read_text("utf-8"))
    assert "crashed" in bad["failure"]
    assert (good["generated"], good["right"]) == (1, 4)


def test_a_folder_without_documents_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong folder is not reported as a success."""
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path)])
    assert ended.value.code == 2
    assert "no .json, .yaml or .yml file" in capsys.readouterr().err


def test_totals_and_reasons_are_shown() -> None:
    """Counts are added up, and the commonest reasons of refusals come last."""
    rows = [
        {
            "document": "a",
            "operations": 2,
            "generated": 1,
            "refused": {"no XML": 1},
            "members": {"right": 1},
        },
        {"document": "b", "operations": 3, "generated": 3, "members": {"right": 2, "wrong": 1}},
    ]
    assert total(rows)["operations"] == 5
    assert total(rows)["members"] == {"right": 3, "wrong": 1}
    assert list(show(rows))[-1] == "refused 1 times: no XML"


def test_operations_behind_references_are_counted() -> None:
    """A path item may be elsewhere in the document."""
    document = Document(read(TINY / "ref-pathitem-30.yaml"))
    assert [one.name for one in document.operations()] == ["GET /x"]


@pytest.mark.parametrize("mode", ["required", "all", "odd"])
def test_instances_fit_the_schema(mode: Any) -> None:
    """Values are valid, and the same ones for a seed."""
    schema = {
        "type": "object",
        "required": ["id", "kind"],
        "properties": {
            "id": {"type": "string", "pattern": "^[a-z]{2}-[A-Z]{2}$"},
            "kind": {"enum": ["a", "b"]},
            "n": {"type": "integer", "exclusiveMinimum": 3, "multipleOf": 4},
            "many": {
                "type": "array",
                "minItems": 2,
                "uniqueItems": True,
                "items": {"type": "string"},
            },
            "up": {"$ref": "#/components/schemas/Node"},
        },
    }
    document = Document({"openapi": "3.1.0", "components": {"schemas": {"Node": schema}}})
    made = [Maker(document, "request", "7").make(schema, mode) for _ in range(2)]
    assert made[0] == made[1]
    with pytest.raises(NoInstanceError):
        Maker(document, "request", "7").make({"type": "string", "pattern": "^q{7}z$"}, mode)


def test_read_only_fields_are_for_answers() -> None:
    """A request has no field that is read-only, and need not have it."""
    schema = {
        "type": "object",
        "required": ["id"],
        "properties": {"id": {"type": "string", "readOnly": True}},
    }
    document = Document({"components": {"schemas": {"A": schema}}})
    reference = {"$ref": "#/components/schemas/A"}
    assert Maker(document, "request", "1").make(reference, "all") == {}
    assert set(Maker(document, "response", "1").make(reference, "required")) == {"id"}


@pytest.mark.parametrize(
    ("query", "style", "value"),
    [
        ("a=1&a=2", {}, [1, 2]),
        ("a=1,2", {"explode": False}, [1, 2]),
        ("a=1|2", {"style": "pipeDelimited", "explode": False}, [1, 2]),
        ("a=1%202", {"style": "spaceDelimited", "explode": False}, [1, 2]),
        ("a%5Bx%5D=1", {"style": "deepObject"}, {"x": 1}),
        ("x=1&y=b", {}, {"x": 1, "y": "b"}),
        ("a=x,1", {"explode": False}, {"x": 1}),
        ("a=%7B%22x%22%3A1%7D", {"content": {}}, {"x": 1}),
        ("a=true", {}, True),
    ],
)
def test_queries_are_read_in_each_style(query: str, style: dict[str, Any], value: Any) -> None:
    """The server reads what OpenAPI's examples of the style show, and no other value."""
    pairs = Received("GET", f"/x?{query}", [], b"").pairs
    parameter = {"name": "a", **style}
    assert in_query(pairs, parameter, value) is not None
    other: Any = [3] if isinstance(value, list) else {"z": 1} if isinstance(value, dict) else False
    assert in_query(pairs, parameter, other) is None


@pytest.mark.parametrize(
    ("text", "style", "value"),
    [
        ("a,b%2Cc", {}, ["a", "b,c"]),
        (".a.b", {"style": "label", "explode": True}, ["a", "b"]),
        (";p=a,b", {"style": "matrix"}, ["a", "b"]),
        (";p=a;p=b", {"style": "matrix", "explode": True}, ["a", "b"]),
        ("x=1,y=2", {"explode": True}, {"x": 1, "y": 2}),
        (";x=1;y=2", {"style": "matrix", "explode": True}, {"x": 1, "y": 2}),
    ],
)
def test_paths_are_read_in_each_style(text: str, style: dict[str, Any], value: Any) -> None:
    """The same for paths."""
    assert in_path(text, {"name": "p", **style}, value)
    assert not in_path(f"{text}x", {"name": "p", **style}, value)


def test_bodies_are_read_by_their_media_type() -> None:
    """A form is compared by its fields, and another media type is a fault."""
    headers = [("Content-Type", "application/x-www-form-urlencoded")]
    received = Received("POST", "/", headers, b"a=x+y&b=1&b=2")
    media = "application/x-www-form-urlencoded"
    assert body_matches(received, media, {"a": "x y", "b": [1, 2]}) is None
    assert body_matches(received, media, {"a": "x y"}) == "form fields {'b'} were not given"
    assert "Content-Type" in (body_matches(received, "application/json", {}) or "")


def test_times_are_the_same_in_any_zone() -> None:
    """JSON is compared by its meaning."""
    assert same({"t": "2020-01-01T01:00:00+01:00", "n": 1.0}, {"t": "2020-01-01T00:00:00Z", "n": 1})
    assert not same({"n": True}, {"n": 1})


def test_a_harness_that_crashes_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last line of the traceback says why."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    options = type("Options", (), {"seed": "1", "limit": 1, "no_types": True, "time": False})
    row = in_another_process(TINY / "r-text.yaml", options)  # type: ignore[arg-type]
    assert row["failure"].startswith("the harness crashed")
