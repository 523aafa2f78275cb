"""`oneloop meter`: the credits of a customer."""

from typing import TYPE_CHECKING

from . import _exits
from ._answers import text_of
from ._console import bar, counted, grouped, rich_console, write_facts, write_json, write_rich
from ._exits import CommandError
from ._options import BaseUrl, Json, KeyFile, MeterId, WorkspaceId, examples, new_app
from ._session import open_client

if TYPE_CHECKING:
    from oneloop import models

app = new_app(no_args_is_help=True)
WIDTH = 50
"""Columns of the bar, on a terminal that is wide enough."""
OTHERS = 15
"""Columns beside it."""


@app.callback()
def meter() -> None:
    """Show the credits of a customer."""


@app.command(epilog=examples("oneloop meter show -w ws_1 -m acme"))
def show(
    workspace_id: WorkspaceId,
    external_meter_id: MeterId,
    key_file: KeyFile = None,
    base_url: BaseUrl = None,
    json: Json = False,
) -> None:
    """Show how many credits are used, how many are left, and the cap."""
    with open_client(key_file, base_url) as client:
        response = client.with_response.get_customer_billing(
            workspace_id=workspace_id, external_meter_id=external_meter_id
        )
    found = response.parsed.billing
    if found is None:
        problem = f"there is no meter {external_meter_id!r} in the workspace {workspace_id!r}"
        raise CommandError(problem, _exits.REJECTED)
    if json:
        write_json(response.json())
        return
    write_facts(
        [
            ("meter", f"{external_meter_id} in {workspace_id}"),
            ("used", f"{grouped(found.used_credits)} of {counted(found.total_credits, 'credit')}"),
            ("left", _left(found)),
            ("cap", _cap(found)),
            ("updated", text_of(found.updated_at)),
        ]
    )
    write_meter_bar(found)


def _left(meter: "models.CustomerBillingMeter") -> str:
    left = meter.total_credits - meter.used_credits
    return grouped(left) if left >= 0 else f"0 ({grouped(-left)} over)"


def _cap(meter: "models.CustomerBillingMeter") -> str:
    if not meter.allow_overages:
        return "no overages are allowed"
    if meter.spend_cap is None:
        return "overages are allowed, without a cap"
    return f"overages are allowed, up to {counted(meter.spend_cap, 'used credit')}"


def write_meter_bar(meter: "models.CustomerBillingMeter") -> None:
    """Write a bar: what is used of the credits, and in another colour what is used beyond them."""
    used, total = meter.used_credits, meter.total_credits
    whole = max(total, used, (meter.spend_cap or 0) if meter.allow_overages else 0, 1)
    within = min(used, total)
    style = "green" if used * 5 < total * 4 else "yellow" if used < total else "red"
    width = max(10, min(WIDTH, rich_console().width - OTHERS))
    line = bar([(within, style), (used - within, "bold red")], whole, width)
    percent = f"{grouped(used * 100 // total)} % used" if total else ""
    write_rich(line.append(f" {percent}"))
