"""The clients of a package as the templates print them."""

from typing import Any

from codegen._security import Scheme, security
from codegen._servers import servers

from .docstrings import item, layout, line, sentence

_PLACES = {"header": "the header", "query": "the query parameter", "cookie": "the cookie"}


def descriptions(document: dict[str, Any]) -> dict[str, str]:
    """Return the docstrings of the two clients, by their names, without the quotes."""
    return {
        name: layout(_sections(document, kind, functions), indent=4)
        for name, kind, functions in (
            ("Client", "blocking", "a function that returns it for each call"),
            ("AsyncClient", "async", "a function, perhaps async, that returns it for each call"),
        )
    }


def _sections(document: dict[str, Any], kind: str, functions: str) -> list[list[str]]:
    title, choices = line(str(document["info"].get("title", "API"))), servers(document).choices
    arguments = [
        item(argument, f"{_sent(scheme, index)} A string, or {functions}. {_words(scheme)}".strip())
        for scheme in security(document).schemes
        for index, argument in enumerate(scheme.arguments)
    ]
    if choices:
        urls = "; ".join(f'"{line(one)}" is {line(url)}' for one, url in choices.items())
        arguments.append(item("server", f"Which of the document's servers is called: {urls}."))
    options = "Those of `oneloop.Oneloop`, such as `timeout`, `retry`, `headers` and `base_url`."
    where = "With a `base_url` all requests go there, also where the document has another server."
    arguments.append(item("options", f"{options} {where}"))
    return [
        [sentence(f"A client of the {title} with {kind} methods")],
        ["Args:", *arguments],
        [
            "Raises:",
            item("ConfigurationError", "An argument is not valid, or there is no `base_url`."),
            item("ArgumentError", "A number is out of bounds."),
        ],
    ]


def _sent(scheme: Scheme, index: int) -> str:
    if len(scheme.arguments) > 1:
        return f"{('User name', 'Password')[index]} of HTTP's Basic authentication."
    prefix = f", after `{scheme.prefix.strip()}`" if scheme.prefix else ""
    return f"Sent in {_PLACES[scheme.place]} `{line(scheme.name)}`{prefix}."


def _words(scheme: Scheme) -> str:
    return sentence(line(scheme.description))
