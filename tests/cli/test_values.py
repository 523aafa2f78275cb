"""Values of options become the arguments that methods take."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from oneloop import File, models
from oneloop.cli._exits import CommandError
from oneloop.cli._values import value_of
from oneloop_core.commands import Option

SCOPE = '{"representation": "a", "create": true, "read": true, "update": true, "del": true}'
METER = (
    '{"id": "m", "totalCredits": "5", "usedCredits": "0", "allowOverages": false, "spendCap": null,'
    ' "createdAt": "2026-11-27T12:00:00Z", "updatedAt": "2026-11-27T12:00:00Z"}'
)


def read(kind: Any, given: Any, annotation: Any = Any, **more: Any) -> Any:
    """Return what a value of an option becomes."""
    return value_of(Option("it", "--it", kind, **more), given, annotation)


def problem(kind: Any, given: Any, annotation: Any = Any) -> str:
    """Return the error for a value, which names the option."""
    with pytest.raises(CommandError) as caught:
        read(kind, given, annotation)
    message = str(caught.value)
    assert message.startswith("--it: ")
    return message.removeprefix("--it: ")


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("text", "", ""),
        ("text", "null", "null"),
        ("integer", " 12 ", 12),
        ("integer", "-" + "9" * 4000, -int("9" * 4000)),
        ("number", "1.5e3", 1500.0),
        ("number", ".5", 0.5),
        ("boolean", False, False),
        ("date", "2026-01-31", date(2026, 1, 31)),
        ("time", "2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("texts", ["a", "[b"], ["a", "[b"]),
        ("texts", ['["a", "b"]'], ["a", "b"]),
        ("json", "null", None),
        ("json", f"{10**30}", 10**30),
        ("json", '{"a": [1, {"b": null}]}', {"a": [1, {"b": None}]}),
    ],
)
def test_a_value_is_read(kind: str, given: Any, expected: Any) -> None:
    """Texts stay as they are; everything else is read as it is usually written."""
    value = read(kind, given)
    assert value == expected
    assert type(value) is type(expected)


def test_a_time_keeps_its_zone() -> None:
    """An offset is kept; the encoder refuses a time without a zone, which could be any moment."""
    found = read("time", "2026-01-31T12:00:00+02:00")
    assert found.utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize("kind", ["text", "integer", "json", "time", "texts"])
def test_null_is_none_where_the_api_takes_null(kind: str) -> None:
    """For a nullable option `null` is None, whatever its type."""
    given = ["null"] if kind == "texts" else "null"
    assert read(kind, given, nullable=True) is None


def test_the_text_null_is_written_in_quotes() -> None:
    """Only where null can be given; other texts in quotes keep them."""
    assert read("text", '"null"', nullable=True) == "null"
    assert read("text", '"null"') == '"null"'
    assert read("text", '"x"', nullable=True) == '"x"'


def test_a_file_is_read(tmp_path: Path) -> None:
    """A file is sent with its name; the error of one that cannot be read has the reason."""
    (tmp_path / "logo.png").write_bytes(b"png")
    assert read("file", str(tmp_path / "logo.png")) == File(b"png", "logo.png")
    assert problem("file", str(tmp_path / "no")).endswith("no: No such file or directory")


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("integer", "", "expected an integer, got ''"),
        ("number", "nan", "expected a number, got 'nan'"),
        ("number", "1e99999", "expected a number, got '1e99999'"),
        ("date", "31.1.2026", "expected a date such as 2026-01-31, got '31.1.2026'"),
        ("time", "noon", "expected a time such as 2026-01-31T12:00:00Z, got 'noon'"),
        ("json", "{", "expected JSON: Expecting property name"),
        ("json", "Infinity", "expected JSON: Infinity is not a JSON number"),
        ("texts", ["[1"], "expected JSON:"),
    ],
)
def test_a_wrong_value_is_refused(kind: str, given: Any, expected: str) -> None:
    """The error says what was expected and what was given."""
    assert problem(kind, given).startswith(expected)


def test_json_becomes_models() -> None:
    """Objects become the models that the method takes, at any depth."""
    scope = models.ApiKeyScope(representation="a", create=True, read=True, update=True, delete=True)
    assert read("json", SCOPE, models.ApiKeyScope) == scope
    assert read("json", f"[{SCOPE}]", Sequence[models.ApiKeyScope] | None) == [scope]
    assert read("json", f'{{"a": {SCOPE}}}', Mapping[str, models.ApiKeyScope]) == {"a": scope}
    either = models.ApiKeyScope | models.CustomerBillingMeter | str
    assert read("json", SCOPE, either) == scope
    assert read("json", METER, either).total_credits == 5
    assert read("json", '"x"', either) == "x"
    assert read("json", "null", models.ApiKeyScope | None) is None
    assert problem("json", "5", models.ApiKeyScope) == "expected an object, got 5"
    assert problem("json", '{"a": 1}', either).endswith("required field is missing")
    inside = problem("json", f'[{SCOPE}, {{"representation": 4}}]', Sequence[models.ApiKeyScope])
    assert inside == "[1].representation: expected a string, got 4"


def test_json_becomes_dates() -> None:
    """Texts become dates and times where the method takes nothing else."""
    days = read("json", '["2026-01-31"]', Sequence[date])
    assert days == [date(2026, 1, 31)]
    assert read("json", '["2026-01-31T12:00:00Z"]', Sequence[datetime]) == [
        datetime(2026, 1, 31, 12, tzinfo=UTC)
    ]
    assert read("json", '["2026-01-31"]', Sequence[date | str]) == ["2026-01-31"]
    assert problem("json", '["soon"]', Sequence[date]).startswith(
        "expected JSON: Invalid isoformat"
    )


@pytest.mark.parametrize(
    ("annotation", "given", "expected"),
    [
        (Mapping[str, str], "[1]", "expected an object, got [1]"),
        (Mapping[str, str] | None, '"x"', 'expected an object, got "x"'),
        (Sequence[str], "{}", "expected an array, got {}"),
        (Mapping[str, str] | Sequence[str], "5", "expected an object or an array, got 5"),
    ],
)
def test_json_of_another_form_is_named_as_json_is(
    annotation: Any, given: str, expected: str
) -> None:
    """Not as Python names it."""
    assert problem("json", given, annotation) == expected
    assert read("json", "null", Mapping[str, str] | None) is None
    assert read("json", "5", Mapping[str, str] | int) == 5
