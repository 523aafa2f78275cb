"""`oneloop usage`: what was used of a meter, by day and by name."""

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import _exits
from ._charts import svg
from ._console import bar, grouped, rich_console, say, write, write_json, write_table
from ._exits import CommandError
from ._options import BaseUrl, Json, KeyFile, examples, filled, new_app
from ._session import open_client

if TYPE_CHECKING:
    from oneloop import Oneloop, models

app = new_app()
MOST_DAYS = 400
"""Days without usage are shown as well, unless there would be more than this."""
OTHERS = 22
"""Columns of the chart beside the bars and the credits."""


@app.command(
    epilog=examples(
        "oneloop usage -w ws_1 -m acme",
        "oneloop usage --billing-id cbm_1 --svg usage.svg",
    )
)
def usage(
    billing_id: Annotated[
        str | None,
        typer.Option("--billing-id", metavar="TEXT", callback=filled, help="The id of the meter."),
    ] = None,
    workspace_id: Annotated[
        str | None,
        typer.Option(
            "--workspace-id",
            "-w",
            metavar="TEXT",
            callback=filled,
            help="The workspace, to find the meter by name.",
        ),
    ] = None,
    external_meter_id: Annotated[
        str | None,
        typer.Option(
            "--external-meter-id",
            "-m",
            metavar="TEXT",
            callback=filled,
            help="The name of the meter in it.",
        ),
    ] = None,
    svg_file: Annotated[
        str | None,
        typer.Option(
            "--svg",
            metavar="FILE",
            callback=filled,
            help="Write the chart to this file as well.",
        ),
    ] = None,
    key_file: KeyFile = None,
    base_url: BaseUrl = None,
    json: Json = False,
) -> None:
    """Show what was used of a meter, by day and by name.

    The meter is named by its id, or by the workspace and your own name for it.
    """
    if (billing_id is None) == (workspace_id is None or external_meter_id is None):
        raise CommandError(
            "name the meter by --billing-id, or by --workspace-id and --external-meter-id"
        )
    with open_client(key_file, base_url) as client:
        wanted = billing_id or _id_of(client, str(workspace_id), str(external_meter_id))
        response = client.with_response.get_billing_usage(billing_id=wanted)
    rows = response.parsed.data
    days = by_day(rows)
    name = external_meter_id or wanted
    if svg_file is not None:
        write_file(Path(svg_file), svg(f"Credits used of {name}", days))
    if json:
        write_json(response.json())
    elif rows:
        show(rows, days)
    else:
        write("nothing was used")


def _id_of(client: "Oneloop", workspace_id: str, external_meter_id: str) -> str:
    found = client.get_customer_billing(
        workspace_id=workspace_id, external_meter_id=external_meter_id
    ).billing
    if found is None:
        problem = f"there is no meter {external_meter_id!r} in the workspace {workspace_id!r}"
        raise CommandError(problem, _exits.REJECTED)
    return found.id


def by_day(rows: "list[models.DailyUsage]") -> list[tuple[str, int]]:
    """Return the credits of each day, with the days between them on which there were none."""
    sums: Counter[str] = Counter()
    for row in rows:
        sums[row.day if row.day_date is None else row.day_date.isoformat()] += (
            row.total_billing_usage
        )
    dates = [row.day_date for row in rows if row.day_date is not None]
    if dates and (max(dates) - min(dates)).days < MOST_DAYS:
        for number in range((max(dates) - min(dates)).days):
            sums[(min(dates) + timedelta(number)).isoformat()] += 0
    return sorted(sums.items())


def show(rows: "list[models.DailyUsage]", days: list[tuple[str, int]]) -> None:
    """Write a chart with a bar for each day, and a table by name."""
    most = max(1, *(amount for _, amount in days))
    widest = max(len("credits"), *(len(grouped(amount)) for _, amount in days))
    width = max(10, min(60, rich_console().width - widest - OTHERS))
    write_table(
        ("day", "credits", ""),
        [(day, amount, bar([(amount, "cyan")], most, width)) for day, amount in days],
        right=["credits"],
    )
    names: Counter[str] = Counter()
    for row in rows:
        names[row.billing_usage_name] += row.total_billing_usage
    write()
    total = sum(names.values())
    listed = [(name or "(no name)", amount) for name, amount in names.most_common()]
    write_table(("name", "credits"), [*listed, ("total", total)], right=["credits"])


def write_file(path: Path, text: str) -> None:
    """Write a file, and say so."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"--svg: {path}: {error.strerror}") from None
    say(f"wrote {path}")
