"""Reading a document: every error is one line that says what is wrong and where."""

from pathlib import Path

import pytest

from codegen._document import read_document, read_text
from codegen._errors import GenerationError

GOOD = 'openapi: 3.0.3\ninfo: {title: T, version: "1"}\npaths: {}\n'
ONE_PATH = GOOD.removesuffix("paths: {}\n") + "paths: {/a: {get: %s}}\n"
ONE_SCHEMA = GOOD + "components: {schemas: {A: %s}}\n"


def failure(folder: Path, text: str | bytes) -> str:
    """Read a document with this text and return the error message."""
    path = folder / "api.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(GenerationError) as caught:
        read_document(path)
    return str(caught.value)


@pytest.mark.parametrize("version", ["3.0.0", "3.0.3", "3.1.0", "3.1.1"])
def test_openapi_3_0_and_3_1_are_read(tmp_path: Path, version: str) -> None:
    """Both versions that codegen supports are accepted and returned unchanged."""
    path = tmp_path / "api.yaml"
    path.write_text(GOOD.replace("3.0.3", version), encoding="utf-8")
    assert read_document(path) == {
        "openapi": version,
        "info": {"title": "T", "version": "1"},
        "paths": {},
    }


def test_json_is_read_too(tmp_path: Path) -> None:
    """A document in JSON is read like one in YAML."""
    path = tmp_path / "api.json"
    path.write_text('{"openapi": "3.1.0", "info": {"title": "é", "version": "1"}, "paths": {}}')
    assert read_document(path)["info"]["title"] == "é"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1\nb: 2\n", "api.yaml: line 2, column 2: expected ',' or ']', but got ':'"),
        ("a:\n\t- b\n", "api.yaml: line 2, column 1: found character '\\t' that cannot start"),
        (GOOD + "openapi: 3.0.0\n", 'api.yaml: line 4, column 1: found duplicate key "openapi"'),
        (GOOD + "---\n" + GOOD, "api.yaml: line 4, column 1: but found another document"),
        ("!!python/object:os.system x\n", "api.yaml: line 1, column 1: could not determine"),
        (GOOD + 'a: "\x00"\n', "api.yaml cannot be read: unacceptable character #x0000"),
        (GOOD.encode() + b"# \xe9\n", "api.yaml cannot be read: 'utf-8' codec can't decode"),
        ("- a\n", "api.yaml is not a mapping"),
        ("", "api.yaml is not a mapping"),
        ("a: " + "[" * 500, "api.yaml is nested too deeply"),
        (
            GOOD + "x-a: &a [*a]\n",
            "api.yaml: line 4, column 6: an alias refers to a node that contains it",
        ),
    ],
)
def test_what_is_no_yaml_mapping_is_refused(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    """A file that is not one YAML mapping is refused, with line and column for syntax errors."""
    assert failure(tmp_path, text).startswith(message)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('swagger: "2.0"\n', "its version is 2.0"),
        ("info: {}\n", "it has no openapi version"),
        (GOOD.replace("3.0.3", "4.0.0"), "its version is 4.0.0"),
        (GOOD.replace("3.0.3", "3.2.0"), "its version is 3.2.0"),
    ],
)
def test_other_versions_are_refused(tmp_path: Path, text: str, found: str) -> None:
    """A document of any other version is refused, and the error names the version."""
    assert failure(tmp_path, text) == f"api.yaml is not an OpenAPI 3.0 or 3.1 document: {found}"


@pytest.mark.parametrize(
    "reference",
    [
        "#/components/schemas/B",
        "#/components/schemas/A/type/b",
        "other.yaml#/B",
        "#A",
    ],
)
def test_a_reference_that_has_no_target_is_reported_with_its_place(
    tmp_path: Path, reference: str
) -> None:
    """A $ref without a target, or into another file, is reported with its place."""
    schema = f"{{type: object, allOf: [{{type: object}}, {{$ref: {reference!r}}}]}}"
    message = f"api.yaml: components.schemas.A.allOf.1: $ref {reference!r} has no target"
    assert failure(tmp_path, ONE_SCHEMA % schema).startswith(message)


def test_a_reference_to_an_escaped_name_is_followed(tmp_path: Path) -> None:
    """In a $ref, ~1 stands for a slash and ~0 for a tilde (RFC 6901)."""
    path = tmp_path / "api.yaml"
    schemas = "{x: {a/b~c: {type: string}}, y: {$ref: '#/x-parts/x/a~1b~0c'}}"
    path.write_text(f"{GOOD}x-parts: {schemas}\n", encoding="utf-8")
    assert read_document(path)["x-parts"]["y"]["$ref"] == "#/x-parts/x/a~1b~0c"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ONE_PATH % "{operationId: x}", "paths./a.get: 'responses' is a required property"),
        (GOOD.replace("{}", "[]"), "paths: [] is not of type 'object'"),
        (GOOD.replace('"1"', "1.5"), "info.version: 1.5 is not of type 'string'"),
        (ONE_SCHEMA % "{type: strin}", "components.schemas.A: {'type': 'strin'} is not valid"),
        (
            ONE_PATH % "{responses: {200: {description: a}}}",
            "line 3, column 32: the key 200 needs quotes",
        ),
    ],
)
def test_invalid_openapi_is_reported_with_its_place(
    tmp_path: Path, text: str, message: str
) -> None:
    """The error for invalid OpenAPI has the first fault and the path to it."""
    assert failure(tmp_path, text).startswith(f"api.yaml: {message}")


def test_what_the_validator_stumbles_over_is_invalid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception in the validator is reported in one line, without a traceback."""
    from codegen import _document

    def stumble(*_: object) -> None:
        raise RuntimeError("over\nthis")

    monkeypatch.setattr(_document.OpenAPIV30SpecValidator, "iter_errors", stumble)
    assert failure(tmp_path, GOOD) == "api.yaml is not valid OpenAPI: over this"


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_is_not_there_is_reported_by_name(tmp_path: Path, name: str) -> None:
    """A missing file, or a folder in its place, is reported by name."""
    with pytest.raises(GenerationError, match=r"cannot be read: .*'$"):
        read_text(tmp_path / name)


@pytest.mark.parametrize(
    "text",
    ["a: [1\nb: 2\n", GOOD.replace("{}", "[" + "long, " * 500 + "]"), ONE_SCHEMA % "{type: [1]}"],
)
def test_errors_are_one_line_of_a_pleasant_length(tmp_path: Path, text: str) -> None:
    """An error is a single line, in which long values are shortened."""
    message = failure(tmp_path, text)
    assert "\n" not in message
    assert len(message) < 300
