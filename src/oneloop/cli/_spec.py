"""`oneloop spec`: which document of the API this version was made from, and the document itself."""

from importlib.resources import files
from typing import Annotated

import typer

from ._console import write, write_json, write_table
from ._options import Json, examples, new_app

app = new_app()


@app.command(epilog=examples("oneloop spec", "oneloop spec --document | jq '.paths | keys'"))
def spec(
    document: Annotated[
        bool, typer.Option("--document", help="Print the document, with the fixes made to it.")
    ] = False,
    json: Json = False,
) -> None:
    """Show the API's document that this version was made from.

    It is the vendor's document with the fixes that overrides/overlay.yaml makes to it.
    """
    from oneloop import SPEC

    if document:
        write((files("oneloop_api") / "document.json").read_text("utf-8").rstrip())
        return
    facts = {
        "title": SPEC.title,
        "version": SPEC.version,
        "sha256": SPEC.sha256,
        "sources": dict(SPEC.sources),
        "generator": SPEC.generator,
    }
    if json:
        write_json(facts)
        return
    sources = {f"source {name}": digest for name, digest in SPEC.sources.items()}
    shown = {**{name: str(facts[name]) for name in ("title", "version", "sha256")}, **sources}
    write_table(("", ""), [*shown.items(), ("generator", SPEC.generator)])
