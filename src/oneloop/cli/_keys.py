"""`oneloop keys`: the API keys of a workspace."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from . import _exits
from ._answers import text_of
from ._console import is_terminal, printable, say, write, write_facts, write_json, write_table
from ._exits import CommandError
from ._options import BaseUrl, Json, KeyFile, WorkspaceId, Yes, examples, filled, new_app
from ._session import open_client

if TYPE_CHECKING:
    from oneloop import Oneloop, models

app = new_app(no_args_is_help=True)
KeyId = Annotated[
    str,
    typer.Argument(metavar="KEY_ID", callback=filled, help="The id of the key, not its value."),
]


@app.callback()
def keys() -> None:
    """List, rotate and disable the API keys of your customers."""


@app.command(
    "list", epilog=examples("oneloop keys list -w ws_1", "oneloop keys list -w ws_1 --all")
)
def list_keys(
    workspace_id: WorkspaceId,
    customer_id: Annotated[
        str | None,
        typer.Option("--customer-id", metavar="TEXT", help="Only the keys of this customer."),
    ] = None,
    all_keys: Annotated[
        bool, typer.Option("--all", help="Also keys that were deleted, which stay in the list.")
    ] = False,
    key_file: KeyFile = None,
    base_url: BaseUrl = None,
    json: Json = False,
) -> None:
    """List the keys of a workspace, without their values."""
    with open_client(key_file, base_url) as client:
        response = client.with_response.get_api_keys(workspace_id=workspace_id)
    wanted = [
        (key, form)
        for key, form in zip(response.parsed.api_keys, response.json()["apiKeys"], strict=True)
        if (all_keys or not key.deleted) and customer_id in (None, key.customer_id)
    ]
    if json:
        write_json({**response.json(), "apiKeys": [form for _, form in wanted]})
        return
    columns = ("id", "name", "key", "customer", "state", "last used")
    rows = [
        (key.id, key.name, key.masked_key, key.customer_id, state(key), text_of(key.last_used_at))
        for key, _ in wanted
    ]
    if rows:
        write_table(columns, rows)
    hidden = len(response.parsed.api_keys) - len(rows)
    if not rows:
        say("there are no keys")
    if hidden and customer_id is None:
        say(f"{hidden} deleted {'key is' if hidden == 1 else 'keys are'} not shown (--all)")


def state(key: "models.ApiKey") -> str:
    """Return whether a key can be used."""
    if key.deleted:
        return "deleted"
    if not key.enabled:
        return "disabled"
    return "expired" if key.expires_in() == 0 else "enabled"


@app.command(epilog=examples("oneloop keys rotate key_1 -w ws_1"))
def rotate(
    key_id: KeyId,
    workspace_id: WorkspaceId,
    yes: Yes = False,
    key_file: KeyFile = None,
    base_url: BaseUrl = None,
    json: Json = False,
) -> None:
    """Give a key a new value, and show it once.

    How long the old value works is not documented.
    """
    with open_client(key_file, base_url) as client:
        confirm(client, "rotate", workspace_id, key_id, yes=yes)
        response = client.with_response.rotate_api_key(workspace_id=workspace_id, api_key_id=key_id)
    if json:
        write_json(response.json())
        raise typer.Exit(_exits.DONE)
    issued = response.parsed.api_key
    write_facts([("id", issued.id), ("name", issued.name), ("customer", issued.customer_id)])
    write(f"key       {printable(issued.key)}")  # in one line, however narrow the terminal is
    say("This is the only time that the key is shown.", "yellow")
    raise typer.Exit(_exits.DONE)


@app.command(epilog=examples("oneloop keys disable key_1 -w ws_1"))
def disable(
    key_id: KeyId,
    workspace_id: WorkspaceId,
    yes: Yes = False,
    key_file: KeyFile = None,
    base_url: BaseUrl = None,
    json: Json = False,
) -> None:
    """Disable a key, so that it is refused; `oneloop edit-api-key --enabled` enables it again."""
    with open_client(key_file, base_url) as client:
        confirm(client, "disable", workspace_id, key_id, yes=yes)
        response = client.with_response.edit_api_key(
            workspace_id=workspace_id, api_key_id=key_id, enabled=False
        )
    if json:
        write_json(response.json())
    else:
        key = response.parsed.api_key
        write_facts([("id", key.id), ("name", key.name), ("state", state(key))])
    raise typer.Exit(_exits.DONE)


def confirm(client: "Oneloop", verb: str, workspace_id: str, key_id: str, *, yes: bool) -> None:
    """Show a key and ask whether to change it, unless the answer was given before.

    Raises:
        CommandError: The answer is no, or nobody can be asked.
    """
    if yes:
        return
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise CommandError(f"--yes is required to {verb} a key where nobody can be asked")
    key = client.get_api_key_by_id(workspace_id=workspace_id, api_key_id=key_id).api_key
    owner = f" of {key.customer_id}" if key.customer_id is not None else ""
    question = printable(f"{verb.capitalize()} the key {key.name!r} ({key.masked_key}){owner}?")
    if not typer.confirm(question, err=True):
        raise CommandError("nothing was changed", _exits.NOT_SENT)
