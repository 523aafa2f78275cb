"""Which credentials and servers a client gets from a document."""

from typing import Any

import pytest

from codegen._errors import GenerationError
from codegen._findings import Unsupported
from codegen._security import Security, security
from codegen._servers import servers

BEARER = {"type": "http", "scheme": "bearer"}
BASIC = {"type": "http", "scheme": "basic"}
PLACE = ("paths", "/a", "get")


def key(name: str, place: str = "header") -> dict[str, str]:
    """Return an apiKey scheme."""
    return {"type": "apiKey", "in": place, "name": name}


def of(*, required: Any = None, **schemes: Any) -> Security:
    """Return the security of a document with these schemes; by default one of them is needed."""
    needed = [{name: []} for name in schemes] if required is None else required
    return security({"components": {"securitySchemes": schemes}, "security": needed})


def arguments(**schemes: Any) -> list[tuple[str, ...]]:
    """Return the arguments of a client."""
    return [one.arguments for one in of(**schemes).schemes]


def test_the_only_scheme_is_the_api_key() -> None:
    """One scheme that takes a token is `api_key`, whatever its own name, also beside Basic."""
    assert arguments(anyName=BEARER) == [("api_key",)]
    assert arguments(x=key("X-A"), b=BASIC) == [("api_key",), ("username", "password")]


def test_several_schemes_have_names_of_their_own() -> None:
    """Several schemes are named after themselves, in snake case; no name is taken twice."""
    found = arguments(**{"Api-Key": key("A"), "apiKey": key("B"), "timeout": key("C")})
    assert found == [("api_key",), ("api_key_key",), ("timeout_key",)]
    assert arguments(**{"1": key("A"), "class": key("B"), "-": key("C")}) == [
        ("key_1",),
        ("key_class",),
        ("key",),
    ]


def test_an_overlay_can_name_schemes() -> None:
    """`x-python-name` comes first, and is the prefix of a user name and password."""
    named = {"x-python-name": "admin"}
    assert arguments(a=key("A") | named, b=BEARER) == [("admin",), ("api_key",)]
    assert arguments(a=BASIC | named) == [("admin_username", "admin_password")]
    with pytest.raises(GenerationError, match="a: x-python-name timeout is in use"):
        of(a=BEARER | {"x-python-name": "timeout"})
    with pytest.raises(GenerationError, match="'a b' cannot be a name in Python"):
        of(a=BEARER | {"x-python-name": "a b"})


def test_schemes_that_send_the_same_are_one() -> None:
    """Two schemes for the same header and prefix become one argument, described by either."""
    found = of(first=BEARER, second={"type": "oauth2", "description": "A token."})
    assert [(one.arguments, one.description) for one in found.schemes] == [
        (("api_key",), "A token.")
    ]
    assert found.default == (("api_key",),)


def test_alternatives_are_kept_in_order() -> None:
    """Alternatives and their parts are kept in order, and "none" comes last."""
    required = [{}, {"b": [], "a": []}, {"a": []}, {"a": []}]
    assert of(a=key("A"), b=key("B"), required=required).default == (("b", "a"), ("a",), ())
    assert of(a=BEARER, required=[]).default == ((),)
    tls = {"type": "mutualTLS"}
    found = of(a=BEARER, t=tls, required=[{"a": [], "t": []}])
    assert found.default == (("api_key",),)
    assert [one.place[-1] for one in found.findings] == ["t"]  # the application has the certificate


def test_an_operation_with_the_documents_alternatives_has_none_of_its_own() -> None:
    """An operation is only different if what it takes is."""
    found = of(a=BEARER)
    assert found.of({}, PLACE) is None
    assert found.of({"security": [{"a": []}]}, PLACE) is None
    assert found.of({"security": []}, PLACE) == ((),)
    assert found.of({"security": [{"a": []}, {}]}, PLACE) == (("api_key",), ())


UNSUPPORTED: dict[str, tuple[dict[str, str], str]] = {
    "digest": ({"type": "http", "scheme": "digest"}, "bad: the HTTP scheme digest is not"),
    "type": ({"type": "magic"}, "bad: the type magic is not supported"),
    "place": (key("a", "body"), "bad: an API key in body is not supported"),
    "header": (key("a b"), "bad: 'a b' cannot be the name of a header"),
    "cookie": (key("a;b", "cookie"), "bad: 'a;b' cannot be the name of a cookie"),
    "host": (key("Host"), "bad: the client sets the header Host itself"),
}


@pytest.mark.parametrize(("scheme", "problem"), UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_a_scheme_that_cannot_be_sent_is_told(scheme: dict[str, str], problem: str) -> None:
    """An operation that takes nothing else is refused; otherwise the alternative is left out."""
    found = of(bad=scheme, good=BEARER)
    assert [one.arguments for one in found.schemes] == [("api_key",)]
    assert found.default == (("api_key",),)
    (finding,) = found.findings
    assert finding.place == ("components", "securitySchemes", "bad")
    assert finding.problem.startswith(problem)
    with pytest.raises(Unsupported) as caught:
        found.of({"security": [{"bad": [], "good": []}]}, PLACE)
    assert str(caught.value).startswith(
        f"paths./a.get.security: no credential that can be sent: {problem}"
    )
    with pytest.raises(Unsupported, match=r"^security: no credential") as caught:
        of(bad=scheme).of({}, PLACE)


def test_a_scheme_that_is_not_defined_is_told() -> None:
    """An operation that takes a scheme that does not exist is refused."""
    with pytest.raises(Unsupported, match=r"b is not defined in components\.securitySchemes"):
        of(a=BEARER).of({"security": [{"b": []}]}, PLACE)


@pytest.mark.parametrize("wrong", [5, None, [], [5], {"a": 5}, [{"url": 5}]])
def test_what_is_malformed_is_passed_over(wrong: Any) -> None:
    """The check of the document has told what is malformed; here it must not stop the run."""
    for document in (
        {"components": wrong, "security": wrong, "paths": {"/a": {"get": {"security": wrong}}}},
        {"components": {"securitySchemes": wrong}},
        {"components": {"securitySchemes": {"a": wrong}}},
    ):
        assert security(document).schemes == []
    url = "https://{a}.test"
    for listed in (
        wrong,
        [{"url": url, "variables": wrong}],
        [{"url": url, "variables": {"a": 5}}],
    ):
        assert not any("a" in name for name in servers({"servers": listed}).choices)


def test_schemes_that_nothing_takes_are_told() -> None:
    """If schemes are defined but nothing takes one, the finding has the action that mends it."""
    (finding,) = of(a=BEARER, required=[]).findings
    assert finding.action == {"target": "$", "update": {"security": [{"a": []}]}}
    paths = {"/a": {"get": {"security": [{"a": []}]}}}
    document = {"paths": paths, "components": {"securitySchemes": {"a": BEARER, "b": key("B")}}}
    found = security(document)
    assert (found.findings, [one.arguments for one in found.schemes]) == ([], [("api_key",)])


# Servers


def choices(*written: Any) -> dict[str, str]:
    """Return the choices of a document with these servers."""
    return servers({"servers": [*written]}).choices


def test_servers_are_named() -> None:
    """Servers are named by an overlay, by a short description, else by their URL."""
    assert choices(
        {"url": "https://a.test/v1/", "description": "Production server"},
        {"url": "https://b.test", "description": "The one that you should never use"},
        {"url": "https://c.test", "x-python-name": "c", "description": "Production"},
        {"url": "https://d.test", "description": "Production"},
        {"url": "https://a.test/v1", "description": "The same"},
        {"url": "https://e.test", "description": "server"},
    ) == {
        "production": "https://a.test/v1",
        "b.test": "https://b.test",
        "c": "https://c.test",
        "https://d.test": "https://d.test",
        "server": "https://e.test",
    }


def test_variables_make_choices() -> None:
    """Values of an enum make choices, the default first; other variables have their defaults."""
    region = {"default": "eu", "enum": ["us", "eu"]}
    tenant = {"default": "demo"}
    url = "https://{tenant}.{region}.test"
    variables = {"region": region, "tenant": tenant}
    assert choices({"url": url, "variables": variables}) == {
        "eu": "https://demo.eu.test",
        "us": "https://demo.us.test",
    }
    assert choices({"url": url, "variables": variables}, {"url": "https://a.test"}) == {
        "demo.eu.test": "https://demo.eu.test",
        "demo.us.test": "https://demo.us.test",
        "a.test": "https://a.test",
    }
    many = {"default": "1", "enum": [str(one) for one in range(200)]}
    assert choices({"url": "https://a{n}.test", "variables": {"n": many}}) == {
        "a1.test": "https://a1.test"
    }


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("/api/v1", "/api/v1 has no host: a client has to be given base_url"),
        ("wss://a.test", "wss://a.test is not the URL of a server: it is left out"),
        ('https://a.test/"+1+"', 'https://a.test/"+1+" is not the URL of a server: it is left out'),
        ("https://{a}.test", "https://{a}.test is not the URL of a server: it is left out"),
    ],
)
def test_a_server_that_cannot_be_called_is_told(url: str, problem: str) -> None:
    """A server without a usable URL is a finding, and no choice."""
    found = servers({"servers": [{"url": url}, {"url": "https://b.test"}]})
    assert found.choices == {"b.test": "https://b.test"}
    assert [(one.place, one.problem) for one in found.findings] == [(("servers", 0), problem)]
    assert servers({"servers": [{"url": url}]}).relative == (url if url[0] == "/" else "")


def test_an_operation_may_have_a_server_of_its_own() -> None:
    """Only a server that is not the document's is one of its own; the operation's comes first."""
    found = servers({"servers": [{"url": "https://a.test/v1"}, {"url": "https://b.test"}]})
    for item in ({}, {"servers": [{"url": "https://a.test/v1/"}]}, {"servers": [{"url": "/v1"}]}):
        assert found.of(item, {}, PLACE) is None
    assert found.of({}, {"servers": [{"url": "https://b.test"}]}, PLACE) is None
    other = {"servers": [{"url": "https://{x}.test/", "variables": {"x": {"default": "c"}}}]}
    assert found.of({}, other, PLACE) == "https://c.test"
    assert found.of({"servers": [{"url": "/v2"}]}, {}, PLACE) == "https://a.test/v2"
    with pytest.raises(Unsupported, match=r"^paths./a.get.servers: ftp://x is not the URL"):
        found.of({}, {"servers": [{"url": "ftp://x"}]}, PLACE)
    relative = servers({"servers": [{"url": "/v1"}]})
    assert relative.of({"servers": [{"url": "/v1"}]}, {}, PLACE) is None
