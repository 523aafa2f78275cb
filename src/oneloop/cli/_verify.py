"""`oneloop verify`: whether a customer's key may be used."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from oneloop import models

from . import _exits
from ._answers import text_of
from ._console import hide, printable, write_facts, write_json
from ._exits import CommandError, naming
from ._options import BaseUrl, Json, KeyFile, examples, new_app
from ._session import ask_secret, open_client, read_secret
from ._values import integer_of

app = new_app()
RIGHTS = ("create", "read", "update", "delete")


@app.command(
    epilog=examples(
        "oneloop verify --scope invoices:read --usage 5 < key.txt",
        "oneloop verify --key-from key.txt",
    ),
)
def verify(
    key_from: Annotated[
        Path | None,
        typer.Option(
            "--key-from",
            metavar="FILE",
            help="The file with the customer's key, which is never an argument. By default it is "
            "the standard input, or you are asked for it.",
        ),
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            metavar="SCOPE:RIGHTS",
            help="What the key has to allow, such as invoices:read or invoices:create,update. May "
            "be repeated.",
        ),
    ] = None,
    usage: Annotated[
        str | None,
        typer.Option("--usage", metavar="INTEGER", help="Credits to charge to the key's meter."),
    ] = None,
    key_file: KeyFile = None,
    base_url: BaseUrl = None,
    json: Json = False,
) -> None:
    """Verify a customer's key.

    The exit code is 0 if the key may be used, and 3 if not. A verification is never sent
    again if it may have counted.
    """
    scopes = [scope_of(one) for one in scope or ()]
    charged = None if usage is None else integer_of("--usage", usage)
    if key_from is None and not sys.stdin.isatty():
        key_from = Path("-")
    key = read_secret(key_from, "--key-from") if key_from else ask_secret("Customer's key")
    if key is None:
        raise CommandError("there is no key to verify: name a file by --key-from")
    hide(key)
    flags = {"billing_usage": "--usage", "requested_scopes": "--scope", "key": "--key-from"}
    with open_client(key_file, base_url) as client, naming(flags):
        response = client.with_response.verify_api_key(
            key=key.reveal(), requested_scopes=scopes, billing_usage=charged
        )
    answer = response.parsed
    if json:
        write_json(response.json())
    else:
        show(answer)
    raise typer.Exit(_exits.DONE if answer.is_valid else _exits.REJECTED)


def scope_of(text: str) -> models.ApiKeyScope:
    """Return the scope that `invoices:read,update` names."""
    name, _, listed = text.rpartition(":")
    rights = listed.split(",")
    if not name or not set(rights) <= set(RIGHTS):
        expected = f"a scope and rights of it, of {', '.join(RIGHTS)}, such as invoices:read"
        raise CommandError(f"--scope: expected {expected}, got {text!r}")
    return models.ApiKeyScope(
        representation=name,
        create="create" in rights,
        read="read" in rights,
        update="update" in rights,
        delete="delete" in rights,
    )


def show(answer: models.VerifyApiKeyResponse) -> None:
    """Write what a verification says."""
    from rich.text import Text

    style = "bold green" if answer.is_valid else "bold red"
    facts: list[tuple[str, object]] = [
        ("status", Text(printable(answer.status.value), style=style)),
        ("key id", answer.api_key_id),
        ("customer", answer.customer_id),
        ("meter", answer.external_meter_id),
    ]
    if answer.billing is not None:
        facts.append(("credits left", answer.billing.total_credits - answer.billing.used_credits))
    if answer.expires_at is not None:
        facts.append(("expires", text_of(answer.expires_time)))
    write_facts(facts)
