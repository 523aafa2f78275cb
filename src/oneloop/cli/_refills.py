"""`oneloop refill`: refill meters exactly once, one of them or as many as a CSV file has rows."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from oneloop import ArgumentError
from oneloop_core import encode_number

from ._console import counted, write_json
from ._database import (
    QUIET,
    LedgerOption,
    Quiet,
    Repeated,
    blocker_of,
    code_of,
    is_new,
    ledger_name,
    opened_ledger,
    write_next_step,
    write_refill,
)
from ._exits import CommandError
from ._options import BaseUrl, Json, KeyFile, Yes, examples, new_app
from ._plans import FileRows, agree, checked, opened_file, planned, show_plan
from ._rows import SPELLINGS, amount_fault, value_fault
from ._runs import exit_code_of, run, show_end
from ._session import open_client

app = new_app()


@app.command(
    epilog=examples(
        "oneloop refill --from refills.csv --ledger refills.db",
        "oneloop refill --from - --yes --json --ledger refills.db < refills.csv",
        "oneloop refill --id pay_1 --workspace-id ws_1 --external-meter-id acme --refill 500 "
        "--ledger refills.db",
    )
)
def refill(
    context: typer.Context,
    ledger: LedgerOption,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FILE",
            show_default=False,
            help="Make the refills of this CSV file, or of the standard input if it is -.",
        ),
    ] = None,
    id: Annotated[  # noqa: A002 - it is the name of the option
        str | None,
        typer.Option(
            "--id",
            metavar="TEXT",
            show_default=False,
            help="Your own name of a refill, such as the id of a payment.",
        ),
    ] = None,
    workspace_id: Annotated[
        str | None,
        typer.Option(
            "--workspace-id",
            "-w",
            metavar="TEXT",
            show_default=False,
            help="The workspace of its meter.",
        ),
    ] = None,
    external_meter_id: Annotated[
        str | None,
        typer.Option(
            "--external-meter-id",
            "-m",
            metavar="TEXT",
            show_default=False,
            help="Your own name of its meter.",
        ),
    ] = None,
    amount: Annotated[
        str | None,
        typer.Option(
            "--refill",
            metavar="NUMBER",
            show_default=False,
            help="How many credits it adds.",
        ),
    ] = None,
    yes: Yes = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be refilled, and do not do it.")
    ] = False,
    json: Json = False,
    ignored: Annotated[
        list[str] | None,
        typer.Option(
            "--ignore-column",
            metavar="NAME",
            show_default=False,
            help="Do not read this column of the file. Can be given more than once.",
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            "--workers", metavar="NUMBER", min=1, max=1000, help="Refills to make at once."
        ),
    ] = 8,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate",
            metavar="NUMBER",
            show_default=False,
            help="Refills to send per second at most.",
        ),
    ] = None,
    retry_rejected: Annotated[
        bool,
        typer.Option("--retry-rejected", help="Send again what the API has rejected before."),
    ] = False,
    settle: Annotated[
        bool,
        typer.Option(
            "--settle/--no-settle",
            help="At the end, wait for the readings that tell what became of unknown refills.",
        ),
    ] = True,
    quiet: Quiet = QUIET,
    lease: Annotated[
        float,
        typer.Option(
            "--lease",
            metavar="SECONDS",
            help="After how long others may take over what this process was sending.",
        ),
    ] = 80.0,
    other_writers: Annotated[
        bool,
        typer.Option("--other-writers", help="Other programs refill the same meters."),
    ] = False,
    key_file: KeyFile = None,
    base_url: BaseUrl = None,
) -> None:
    """Refill meters, each exactly once, whatever happens to this process or to the network.

    The ledger is written before anything is sent. The same command again goes on where this one
    stopped, and sends nothing that was applied. It never makes a ledger without being asked to: see
    oneloop ledger create.

    The file has a header with the columns id, workspace_id, external_meter_id and refill, in any
    order. All of it is checked first; then the command shows what would be refilled, and asks.
    """
    settings = {"quiet": quiet, "lease": lease, "other_writers": other_writers}
    one = {
        "--id": id,
        "--workspace-id": workspace_id,
        "--external-meter-id": external_meter_id,
        "--refill": amount,
    }
    given = [name for name, value in one.items() if value is not None]
    if source is None:
        missing = [name for name in one if name not in given]
        if not given:
            raise CommandError(f"name a file by --from, or one refill by {', '.join(one)}")
        if missing:
            raise CommandError(f"one refill needs {', '.join(missing)} too")
        _end_with_options_of_files(context)
        for name, value in one.items():
            fault = (amount_fault if name == "--refill" else value_fault)(value or "")
            if fault is not None:
                for of_files in ("; save the file as CSV in UTF-8", ", or export with --raw"):
                    fault = fault.removesuffix(of_files)
                raise CommandError(f"{name}: {fault}")
        with opened_ledger(ledger, **settings) as opened, open_client(key_file, base_url) as client:
            name = ledger_name(opened, ledger)
            if is_new(opened):
                host = urlsplit(client.base_url).netloc
                agree(
                    f"Send {counted(int(amount or 0), 'credit')} to {host}?", opened, name, yes=yes
                )
            try:
                done = opened.refill(
                    client,
                    id=id or "",
                    workspace_id=workspace_id or "",
                    external_meter_id=external_meter_id or "",
                    refill=int(amount or 0),
                    retry_rejected=retry_rejected,
                )
            except KeyboardInterrupt as interruption:
                interruption.add_note("the same command again goes on, and sends nothing twice")
                raise
            blocker = blocker_of(done, opened)
        if json:
            write_json(done.to_dict())
        else:
            write_refill(done)
            repeated = Repeated(name, quiet, other_writers, key_file, base_url, sends=True)
            write_next_step(done, repeated, blocker)
        raise typer.Exit(code_of(done.state))
    if given:
        raise CommandError(f"--from and {given[0]} cannot be used together")
    if rate is not None:
        try:
            encode_number(rate, minimum=0.001, maximum=1_000_000)
        except ArgumentError as error:
            raise CommandError(f"--rate: {error.problem}") from None
    if not source:
        raise CommandError("--from: name a file, or - for the standard input")
    for name in {*(ignored or ())} & {*SPELLINGS}:
        raise CommandError(f"--ignore-column: the column {name} is needed")
    if source == "-" and key_file == Path("-"):
        raise CommandError("--from and --key-file cannot both be the standard input")
    options = {
        "workers": workers,
        "rate": rate,
        "settle": settle,
        "retry_rejected": retry_rejected,
    }
    # What is wrong with the options is said before a file is read, which may take a while.
    with (
        opened_ledger(ledger, **settings) as opened,
        nullcontext() if dry_run else open_client(key_file, base_url) as client,
        opened_file(source) as file,
    ):
        rows = FileRows(source, file, tuple(ignored or ()))
        report = checked(rows)
        plan = planned(rows, opened)
        if dry_run or not json:
            show_plan(file.name, report, plan, retry_rejected, is_json=json)
        if client is None:
            return
        question = plan.question(retry_rejected, urlsplit(client.base_url).netloc)
        name = ledger_name(opened, ledger)
        if question is not None:
            agree(question, opened, name, yes=yes)
            if not yes and planned(rows, opened).exceeds(plan, retry_rejected):
                raise CommandError(
                    "the ledger has changed since it was shown, so that more would be sent; start "
                    "again, to see what would be done now"
                )
        ended = run(rows, report, opened, client, options, quiet)
        repeated = Repeated(name, quiet, other_writers, key_file, base_url, sends=True)
        show_end(ended, report, opened, repeated, is_json=json)
    raise typer.Exit(exit_code_of(ended))


def _end_with_options_of_files(context: typer.Context) -> None:
    """End the command if one refill was given an option that has a meaning for files alone."""
    for name, option in _OF_FILES.items():
        origin = context.get_parameter_source(name)
        if origin is not None and origin.name == "COMMANDLINE":
            raise CommandError(f"{option} needs a file: --from")


_OF_FILES = {
    "dry_run": "--dry-run",
    "ignored": "--ignore-column",
    "workers": "--workers",
    "rate": "--rate",
    "settle": "--settle or --no-settle",
}
"""Options that mean nothing for a single refill, by the names of their arguments."""
