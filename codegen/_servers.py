"""The servers of a document: which of them a client can choose, and where its requests go.

A server is named by `x-python-name`, else by its description in snake case ("Production server" is
`production`) if that has up to three words, else by its URL without the scheme. Where variables
have an enum, each of its values makes a choice with the values added to the name; a document's
only server is named by its values alone. Other variables have their defaults.
"""

import re
from itertools import product
from typing import Any
from urllib.parse import urljoin

from attrs import frozen

from ._findings import Finding, Place, Unsupported
from ._structure import mappings

URL = re.compile(r"https?://[\w.~:/\[\]@!$&'()*+,;=%-]+", re.ASCII | re.IGNORECASE)
MOST_CHOICES = 100


@frozen
class Servers:
    """The servers of a document."""

    choices: dict[str, str]
    """Their URLs by name, the default first. Empty: the application has to give the URL."""
    relative: str
    """The path of the first server without a host; otherwise empty."""
    findings: list[Finding]

    def of(self, item: dict[str, Any], operation: dict[str, Any], place: Place) -> str | None:
        """Return the URL of an operation's own server; `None` if it is one of the document's.

        Raises:
            Unsupported: Its URL cannot be used.
        """
        own = _listed(operation) or _listed(item)
        if not own:
            return None
        written = own[0]["url"]
        base = next(iter(self.choices.values()), "")
        url = urljoin(f"{base}/", _url(own[0], {}))
        known = {*self.choices.values(), self.relative, base}
        if {url.rstrip("/"), _url(own[0], {}).rstrip("/")} & {one.rstrip("/") for one in known}:
            return None
        if not URL.fullmatch(url):
            raise Unsupported((*place, "servers"), f"{written} is not the URL of a server")
        return url.rstrip("/")


def servers(document: dict[str, Any]) -> Servers:
    """Return the servers of a patched document."""
    found = Servers({}, "", [])
    relative = ""
    written = _listed(document)
    for index, server in enumerate(written):
        plain = _url(server, {})
        if not URL.fullmatch(plain):
            if re.fullmatch(r"/?[\w./~-]*", plain, re.ASCII):
                relative = relative or plain.rstrip("/")
                problem = "has no host: a client has to be given base_url"
            else:
                problem = "is not the URL of a server: it is left out"
            found.findings.append(Finding(("servers", index), f"{plain} {problem}"))
            continue
        for values in _values(server):
            url = _url(server, values).rstrip("/")
            if URL.fullmatch(url) and url not in found.choices.values():
                found.choices[_name(server, url, values, found, len(written))] = url
    return Servers(found.choices, "" if found.choices else relative, found.findings)


def _listed(part: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the servers of a document, a path or an operation, without malformed ones."""
    return [one for one in mappings(part, "servers") if isinstance(one.get("url"), str)]


def _variables(server: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the variables of a server, without malformed ones."""
    written = server.get("variables")
    pairs = written.items() if isinstance(written, dict) else ()
    return {str(name): one for name, one in pairs if isinstance(one, dict)}


def _values(server: dict[str, Any]) -> list[dict[str, str]]:
    """Return the values of variables for each choice, the defaults first."""
    enums = {
        name: list(dict.fromkeys([str(one.get("default", one["enum"][0])), *map(str, one["enum"])]))
        for name, one in _variables(server).items()
        if isinstance(one.get("enum"), list) and one["enum"]
    }
    names, size = list(enums), 1
    for name in names:
        size *= len(enums[name])
    if size > MOST_CHOICES:
        return [{}]
    return [dict(zip(names, values, strict=True)) for values in product(*enums.values())]


def _url(server: dict[str, Any], values: dict[str, str]) -> str:
    variables = _variables(server).items()
    found = {name: str(one.get("default", "")) for name, one in variables} | values
    return re.sub(r"\{(.*?)\}", lambda match: found.get(match[1], match[0]), str(server["url"]))


def _name(
    server: dict[str, Any], url: str, values: dict[str, str], found: Servers, count: int
) -> str:
    """Return a name for a choice that no other choice has."""
    words = re.findall(r"\w+", str(server.get("description") or ""))
    if len(words) > 1 and words[-1].lower() == "server":
        words.pop()
    short = "_".join(words).lower() if len(words) <= 3 else ""
    parts = [*filter(None, [str(server.get("x-python-name", short))]), *values.values()]
    if len(parts) == len(values) and not (values and count == 1):
        parts = [url.partition("://")[2]]
    elif count == 1 and values:
        parts = [*values.values()]
    name = "_".join(parts)
    return url if name in found.choices else name
