"""`oneloop usage`: its table, its chart in the terminal, and its chart as a file."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from oneloop.cli._charts import svg
from oneloop.sandbox import Sandbox
from tests.cli.conftest import Run, answering
from tests.cli.terminal import plain, shown

USAGE = ("usage", "--billing-id", "cbm_1")


def row(day: str, credits_: int, name: str = "") -> dict[str, str]:
    """Return a row of an answer."""
    return {
        "billingId": "cbm_1",
        "day": day,
        "totalBillingUsage": str(credits_),
        "billingUsageName": name,
    }


ROWS = [row("2026-11-23", 1200, "tokens"), row("2026-11-26", 40), row("2026-11-23", 34, "images")]
SHOWN = """\
day         credits
2026-11-23    1,234  ████████████████████████████████████████████████████████████
2026-11-24        0  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░
2026-11-25        0  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░
2026-11-26       40  █░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░

name       credits
tokens       1,200
(no name)       40
images          34
total        1,274
"""
IN_A_TERMINAL = """\
 day          credits
 ─────────────────────────────────────────────────
 2026-11-23     1,234   ██████████████████████████
 2026-11-24         0   ░░░░░░░░░░░░░░░░░░░░░░░░░░
 2026-11-25         0   ░░░░░░░░░░░░░░░░░░░░░░░░░░
 2026-11-26        40   █░░░░░░░░░░░░░░░░░░░░░░░░░

 name        credits
 ───────────────────
 tokens        1,200
 (no name)        40
 images           34
 total         1,274"""


def test_usage_is_shown_by_day_and_by_name(settings: dict[str, str], sandbox: Sandbox) -> None:
    """Days without usage are shown, too, and the sums add up."""
    for _ in range(3):
        sandbox.misbehave(answering({"data": ROWS}))
    assert plain(*USAGE, env=settings) == (0, SHOWN, "")
    coloured = shown(*USAGE, env=settings, columns=55)
    assert (coloured.code, coloured.text) == (0, IN_A_TERMINAL)
    assert coloured.colours["cyan"] == {"█" * 26, "█"}
    bare = shown(*USAGE, env={**settings, "NO_COLOR": "1"}, columns=55)
    assert (bare.text, set(bare.colours)) == (IN_A_TERMINAL, {"default"})


def test_a_meter_is_found_by_its_name(run: Run, sandbox: Sandbox) -> None:
    """With the workspace and the name, the id of the meter is looked up first."""
    assert run("usage", "-w", "ws_1", "-m", "acme") == (0, "nothing was used\n", "")
    found, asked = sandbox.requests
    assert found.path.startswith("/api/v1/customer-billing?")
    assert asked.path.startswith("/api/v1/usage/cbm_")
    code, out, err = run("usage", "-w", "ws_1", "-m", "nope")
    assert (code, out) == (3, "")
    assert err == "oneloop: there is no meter 'nope' in the workspace 'ws_1'\n"


@pytest.mark.parametrize(
    "options", [[], ["-w", "ws_1"], ["-m", "acme"], ["--billing-id", "b", "-w", "w", "-m", "m"]]
)
def test_one_way_to_name_the_meter(options: list[str], run: Run) -> None:
    """Neither, half of one or both ways are an error."""
    assert run("usage", *options) == (
        2,
        "",
        "oneloop: name the meter by --billing-id, or by --workspace-id and --external-meter-id\n",
    )


def test_json_is_the_answer_of_the_api(run: Run, sandbox: Sandbox) -> None:
    """`--json` prints what the API sent."""
    sandbox.misbehave(answering({"data": ROWS}))
    assert json.loads(run(*USAGE, "--json").out) == {"data": ROWS}


@pytest.mark.parametrize("days", ["0001-01-01", "someday"])
def test_days_of_any_kind(days: str, run: Run, sandbox: Sandbox) -> None:
    """Years between two days are not filled, and a day in another format is shown as it is."""
    sandbox.misbehave(answering({"data": [row(days, 1), row("2026-11-26", 2)]}))
    lines = run(*USAGE).out.split("\n\n")[0].split("\n")
    assert [line.split()[0] for line in lines[1:]] == sorted([days, "2026-11-26"])


# --- the chart as a file -------------------------------------------------------------------------


def test_a_chart_is_written(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    """`--svg` writes a file beside what is shown, and says so on the standard error."""
    sandbox.misbehave(answering({"data": ROWS}))
    file = tmp_path / "usage.svg"
    code, out, err = run(*USAGE, "--svg", str(file))
    assert (code, out, err) == (0, SHOWN, f"wrote {file}\n")
    tree = parsed(file.read_text("utf-8"))
    titles = [one.text for one in tree.iter("{http://www.w3.org/2000/svg}title")]
    assert titles == [
        *("Credits used of cbm_1", "2026-11-23: 1,234", "2026-11-24: 0", "2026-11-25: 0"),
        "2026-11-26: 40",
    ]


def test_a_chart_that_cannot_be_written_is_an_error(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    """The error names the option, the file and the reason."""
    sandbox.misbehave(answering({"data": ROWS}))
    code, out, err = run(*USAGE, "--svg", str(tmp_path / "no" / "usage.svg"))
    assert (code, out) == (2, "")
    assert err == f"oneloop: --svg: {tmp_path / 'no' / 'usage.svg'}: No such file or directory\n"


def parsed(chart: str) -> Any:
    """Parse a chart, which must be well-formed XML."""
    return ET.fromstring(chart)  # noqa: S314 - it is ours


def heights(days: list[tuple[str, int]]) -> list[Any]:
    """Return the heights of the bars of a chart, which must be well-formed."""
    tree = parsed(svg("x", days))
    bars = [*tree.iter("{http://www.w3.org/2000/svg}rect")][1:]
    return [one.attrib["height"] for one in bars]


def test_a_chart_of_any_numbers() -> None:
    """Bars are in proportion for numbers of any size, and there may be no days, or none used."""
    assert heights([]) == []
    assert heights([("2026-11-26", 0)]) == ["0.0"]
    assert heights([("a", 10**4000), ("b", 10**4000 // 2), ("c", 1)]) == ["232.0", "116.0", "0.0"]


def test_a_chart_labels_few_days() -> None:
    """However many days there are, those below the bars can be read."""
    first = date(2026, 1, 1)
    days = [((first + timedelta(number)).isoformat(), number) for number in range(365)]
    tree = parsed(svg("x", days))
    texts = [*tree.iter("{http://www.w3.org/2000/svg}text")][2:]
    assert len(texts) == 8
    assert texts[0].text == "2026-01-01"


def test_hostile_texts_in_a_chart() -> None:
    """Texts of the server stay texts in the file, and it stays well-formed."""
    text = '<script>alert("&")</script>\x00\x1b\u202e'
    written = svg(text, [(text, 1)])
    assert "<script" not in written
    tree = parsed(written)
    assert next(tree.iter("{http://www.w3.org/2000/svg}title")).text == (
        '<script>alert("&")</script>\\x00\\x1b\\u202e'
    )
