"""The security schemes of a document: which credentials a client takes, and how it sends them.

The arguments of a client are named by these rules, in this order:

1. `x-python-name` of the scheme, which an overlay may set.
2. HTTP's Basic authentication: `username` and `password`. With `x-python-name: admin` they are
   `admin_username` and `admin_password`.
3. The only other scheme: `api_key`.
4. The name of the scheme in snake case, with `_key` added while another argument has that name.

Schemes that send the same thing, such as `bearer` and `oauth2`, are one scheme, named by the first.
Schemes that no operation takes are left out, so that they do not change the names of others.
"""

import re
from collections.abc import Iterator
from keyword import iskeyword
from typing import Any

from attrs import frozen

from ._errors import GenerationError
from ._findings import Finding, Place, Unsupported, dotted
from ._literals import identifier
from ._structure import mappings, operations

Sent = tuple[str, str, str]
"""Place, name and prefix of what a scheme sends."""

Alternatives = tuple[tuple[str, ...], ...]
"""Names of schemes to send together, in the order of preference. `()` means that none is needed."""

OPTIONS = frozenset({
    *("allow_http", "base_url", "headers", "http_client", "max_connections", "max_response_bytes"),
    *("hide_options", "options", "retry", "self", "server", "ssl_context", "super", "timeout"),
    *("transport", "wrapped"),
})  # fmt: skip
"""Names that other arguments of a client have, or that its code uses."""
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""Names that headers and cookies can have (RFC 9110, RFC 6265)."""
TAKEN_HEADERS = frozenset({
    *("accept", "accept-encoding", "connection", "content-encoding", "content-length", "te"),
    *("content-type", "cookie", "expect", "host", "transfer-encoding", "upgrade"),
})  # fmt: skip
"""Headers that the client sets itself."""
PLACE: Place = ("components", "securitySchemes")


@frozen
class Scheme:
    """A security scheme. It is named by its first argument."""

    arguments: tuple[str, ...]
    """The arguments of a client that it is made of: one, or user name and password."""
    place: str
    """`header`, `query` or `cookie`."""
    name: str
    """The name of the header, parameter or cookie."""
    prefix: str
    description: str


@frozen
class Security:
    """The security of a document."""

    schemes: list[Scheme]
    default: Alternatives
    """What operations without security of their own take."""
    findings: list[Finding]
    parts: dict[str, tuple[str, ...] | str]
    """What each scheme of the document adds to an alternative, or why it is not supported."""

    def of(self, operation: dict[str, Any], place: Place) -> Alternatives | None:
        """Return the alternatives of an operation; `None` if they are the document's.

        Raises:
            Unsupported: It takes only credentials that cannot be sent.
        """
        own = None if operation.get("security") is None else mappings(operation, "security")
        found = self.default if own is None else _alternatives(own, self.parts)
        if not found:
            names = (
                self.parts if own is None else dict.fromkeys(name for one in own for name in one)
            )
            reasons = "; ".join(filter(None, (_problem(self.parts, name) for name in names)))
            place = ("security",) if own is None else (*place, "security")
            raise Unsupported(place, f"no credential that can be sent: {reasons}")
        return None if found == self.default else found


def security(document: dict[str, Any]) -> Security:
    """Return the security of a patched document.

    Raises:
        GenerationError: An `x-python-name` cannot be the name of an argument.
    """
    components = document.get("components")
    schemes_of = components.get("securitySchemes") if isinstance(components, dict) else None
    written = schemes_of if isinstance(schemes_of, dict) else {}
    written = {name: one if isinstance(one, dict) else {} for name, one in written.items()}
    used = {name for one in _requirements(document) for name in one}
    parts: dict[str, tuple[str, ...] | str] = {}
    groups: dict[Sent, list[str]] = {}
    for name, scheme in written.items():
        sent = _sent(name, scheme)
        parts[name] = sent if isinstance(sent, str) else ()
        if sent and not isinstance(sent, str) and name in used:
            groups.setdefault(sent, []).append(name)
    schemes: list[Scheme] = []
    for sent, arguments in _named(written, groups).items():
        parts |= dict.fromkeys(groups[sent], arguments[:1])
        texts = (written[name].get("description") for name in groups[sent])
        schemes.append(Scheme(arguments, *sent, next(filter(None, texts), "")))
    findings = [Finding((*PLACE, name), one) for name, one in parts.items() if isinstance(one, str)]
    problem = "a client has no argument for the certificate: give it an ssl_context that has it"
    findings += [
        Finding((*PLACE, name), problem)
        for name, one in written.items()
        if one.get("type") == "mutualTLS" and name in used
    ]
    if written and not used:
        problem = "no operation takes one of the security schemes: calls are sent without them"
        action = {"target": "$", "update": {"security": [{next(iter(written)): []}]}}
        findings.append(Finding(PLACE, problem, action))
    default = _alternatives(mappings(document, "security"), parts)
    return Security(schemes, default, findings, parts)


def _requirements(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from mappings(document, "security")
    for _, _, operation in operations(document):
        yield from mappings(operation, "security")


def _alternatives(written: list[dict[str, Any]], parts: dict[str, Any]) -> Alternatives:
    """Return what can be sent of a list of alternatives. It is empty if nothing can."""
    found = [
        tuple(dict.fromkeys(part for name in one for part in parts[name]))
        for one in written
        if not any(_problem(parts, name) for name in one)
    ]
    # A client sends the first one that it can, so "nothing" comes last.
    return tuple(sorted(dict.fromkeys(found), key=lambda one: not one)) if written else ((),)


def _problem(parts: dict[str, Any], name: str) -> str:
    part = parts.get(name, f"{name} is not defined in {dotted(PLACE)}")
    return part if isinstance(part, str) else ""


def _sent(name: str, scheme: dict[str, Any]) -> Sent | str | None:
    """Return what a scheme sends, `None` for nothing; why it is not supported, as a text."""
    kind, how = scheme.get("type"), str(scheme.get("scheme")).lower()
    if kind in ("oauth2", "openIdConnect") or (kind, how) == ("http", "bearer"):
        return "header", "Authorization", "Bearer "
    if (kind, how) == ("http", "basic"):
        return "header", "Authorization", "Basic "
    if kind == "mutualTLS":
        return None  # the application's ssl_context has the certificate
    if kind != "apiKey":
        what = f"the HTTP scheme {how}" if kind == "http" else f"the type {kind}"
        return f"{name}: {what} is not supported"
    place, key = scheme.get("in"), str(scheme.get("name"))
    if place not in ("header", "query", "cookie"):
        return f"{name}: an API key in {place} is not supported"
    if place != "query" and not TOKEN.fullmatch(key):
        return f"{name}: {key!r} cannot be the name of a {place}"
    if place == "header" and key.lower() in TAKEN_HEADERS:
        return f"{name}: the client sets the header {key} itself"
    return place, key, ""


def _named(written: dict[str, Any], groups: dict[Sent, list[str]]) -> dict[Sent, tuple[str, ...]]:
    """Return the arguments for each group of schemes that send the same, by the rules above."""
    given = {
        sent: next(filter(None, (written[name].get("x-python-name") for name in names)), "")
        for sent, names in groups.items()
    }
    alone = [sent for sent, name in given.items() if not name and sent[2] != "Basic "]
    found: dict[Sent, tuple[str, ...]] = dict.fromkeys(groups, ())
    taken = set(OPTIONS)
    for sent in sorted(groups, key=lambda sent: not given[sent]):
        name = given[sent]
        if sent[2] == "Basic ":
            names = tuple(f"{name}_{one}".strip("_") for one in ("username", "password"))
        else:
            names = (name or ("api_key" if len(alone) == 1 else _snake(groups[sent][0])),)
        if name and taken.intersection(names):
            raise GenerationError(f"{groups[sent][0]}: x-python-name {name} is in use: change it")
        while taken.intersection(names):
            names = tuple(f"{one}_key" for one in names)
        taken |= set(map(identifier, names))
        found[sent] = names
    return found


def _snake(name: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[\W_]+", "_", name, flags=re.ASCII).strip("_").lower()
    return words if words.isidentifier() and not iskeyword(words) else f"key_{words}".rstrip("_")
