"""Security schemes and servers of other documents, through generated clients over real sockets."""

import asyncio
import json
import pickle
import subprocess
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from unittest import mock

import pytest
from attrs import define, field

import oneloop
from oneloop import APIStatusError, ConfigurationError, Oneloop
from oneloop_core import Call, Definition, Operation, Scheme, Secret
from tests import ROOT
from tests.codegen.generating import TEXT, Api, Generate, answers, parameter, post

KEY = "key_very_secret_4711"
BEARER = {"type": "http", "scheme": "bearer"}
BASIC = {"type": "http", "scheme": "Basic"}


@define
class Server:
    """A server that records the requests that it gets."""

    url: str
    requests: list[tuple[str, str, list[tuple[str, str]]]] = field(factory=list)
    status: int = 204
    body: bytes = b""

    @property
    def path(self) -> str:
        """Return the path and query of the last request."""
        return self.requests[-1][1]

    def header(self, name: str) -> list[str]:
        """Return all values of a header of the last request."""
        return [value for key, value in self.requests[-1][2] if key.lower() == name.lower()]


@contextmanager
def serving() -> Iterator[Server]:
    """Run a recording server."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            server.requests.append((self.command, self.path, [*self.headers.items()]))
            self.send_response(server.status)
            self.send_header("Content-Type", "application/json")
            if server.status != 204:
                self.send_header("Content-Length", str(len(server.body)))
            self.end_headers()
            self.wfile.write(server.body)

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = Server(f"http://127.0.0.1:{httpd.server_port}")
    thread = Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    """Run a recording server for one test."""
    with serving() as running:
        yield running


@pytest.fixture(params=["sync", "async"])
def how(request: pytest.FixtureRequest) -> str:
    """Return the kind of each client."""
    return str(request.param)


def key_in(place: str, name: str) -> dict[str, str]:
    """Return an apiKey scheme."""
    return {"type": "apiKey", "in": place, "name": name}


def secured(
    generate: Generate, schemes: dict[str, Any], security: Any = None, **operation: Any
) -> Api:
    """Generate a package whose operation do_it takes these alternatives."""
    alternatives = [{name: []} for name in schemes] if security is None else security
    return generate(
        {},
        post(**operation),
        components={"schemas": {}, "securitySchemes": schemes},
        security=alternatives,
    )


def perform(api: Api, how: str, name: str = "do_it", /, **options: Any) -> Any:
    """Call an operation of a new client with these options, which is then closed."""
    arguments = options.pop("arguments", {})
    clients = api.module("clients")
    if how == "sync":
        with clients.Client(**options) as client:
            return getattr(client, name)(**arguments)

    async def main() -> Any:
        async with clients.AsyncClient(**options) as client:
            return await getattr(client, name)(**arguments)

    return asyncio.run(main())


# What is sent


@pytest.mark.parametrize(
    ("scheme", "arguments", "header", "value"),
    [
        (BEARER, {"api_key": KEY}, "Authorization", f"Bearer {KEY}"),
        ({"type": "oauth2", "flows": {}}, {"api_key": KEY}, "Authorization", f"Bearer {KEY}"),
        (
            {"type": "openIdConnect", "openIdConnectUrl": "https://a"},
            {"api_key": KEY},
            "Authorization",
            f"Bearer {KEY}",
        ),
        (key_in("header", "X-Api-Key"), {"api_key": KEY}, "X-Api-Key", KEY),
        (key_in("header", "Authorization"), {"api_key": KEY}, "Authorization", KEY),
        (key_in("cookie", "session"), {"api_key": KEY}, "Cookie", f"session={KEY}"),
        (
            BASIC,
            {"username": "Aladdin", "password": "open sesame"},
            "Authorization",
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ),
        (BASIC, {"username": "ä", "password": ""}, "Authorization", "Basic w6Q6"),
    ],
)
def test_a_credential_is_sent_as_the_document_says(
    generate: Generate,
    server: Server,
    how: str,
    scheme: Any,
    arguments: Any,
    header: str,
    value: str,
) -> None:
    """Each scheme is sent in its header or cookie, and nothing else is."""
    api = secured(generate, {"auth": scheme})
    perform(api, how, base_url=server.url, **arguments)
    assert server.header(header) == [value]
    others = {"Authorization", "Cookie", "X-Api-Key"} - {header}
    assert not any(server.header(name) for name in others)


@pytest.mark.parametrize("path", ["/things", "/things?a=b"])
def test_a_key_in_the_query_follows_the_arguments(
    generate: Generate, server: Server, how: str, path: str
) -> None:
    """A key in the query is encoded and follows the arguments. Logs get a URL without it."""
    api = secured(
        generate, {"auth": key_in("query", "api key")}, parameters=[parameter("a", "query", TEXT)]
    )
    arguments = {"a": "b"} if "?" in path else {}
    perform(api, how, base_url=server.url, api_key="a&b=ü"[:3], arguments=arguments)
    assert server.path == f"{path}{'&' if arguments else '?'}api%20key=a%26b"

    class Recorder:
        def send(self, request: Any, limits: Any) -> Any:
            assert request.safe_url == "https://things.test/things"
            return oneloop.transport.Response(204, (), b"")

        def close(self) -> None:
            """Do nothing."""

    api.module("clients").Client(api_key=KEY, transport=Recorder()).do_it(**arguments)


def test_a_mutual_tls_scheme_needs_no_argument(generate: Generate, server: Server) -> None:
    """With mutualTLS the application's `ssl_context` has the certificate: nothing is sent."""
    components = {"securitySchemes": {"tls": {"type": "mutualTLS"}}}
    more = {"components": components, "security": [{"tls": []}]}
    api = generate({}, post(), "3.1.0", **more)
    perform(api, "sync", base_url=server.url)
    assert server.header("Authorization") == []


def test_schemes_of_one_alternative_are_sent_together(
    generate: Generate, server: Server, how: str
) -> None:
    """Schemes of one alternative are sent together, and nothing is sent without all of them."""
    schemes = {"apiId": key_in("query", "id"), "apiKey": BEARER, "session": key_in("cookie", "s")}
    api = secured(generate, schemes, [{"apiId": [], "apiKey": [], "session": []}])
    given = {"api_id": "i", "base_url": server.url, "headers": {"Cookie": "a=b"}}
    with pytest.raises(ConfigurationError) as caught:
        perform(api, how, **given, api_key="k")
    needed = "make the client with api_id= and api_key= and session="
    assert str(caught.value) == f"do_it needs a credential: {needed}"
    assert server.requests == []
    perform(api, how, **given, api_key="k", session="c")
    assert server.path == "/things?id=i"
    assert server.header("Authorization") == ["Bearer k"]
    assert server.header("Cookie") == ["a=b; s=c"]


def test_the_first_alternative_that_was_given_is_sent(
    generate: Generate, server: Server, how: str
) -> None:
    """Of several alternatives the first one that was given is sent; `{}` comes last."""
    schemes = {"old": key_in("header", "X-Old"), "new": BEARER}
    api = secured(generate, schemes, [{}, {"new": []}, {"old": []}])
    perform(api, how, base_url=server.url)
    assert not server.header("X-Old") + server.header("Authorization")
    perform(api, how, base_url=server.url, old="a")
    assert server.header("X-Old") == ["a"]
    perform(api, how, base_url=server.url, old="a", new="b")
    assert (server.header("X-Old"), server.header("Authorization")) == ([], ["Bearer b"])


def test_an_operation_may_have_security_of_its_own(
    generate: Generate, server: Server, how: str
) -> None:
    """An operation gets the credential that it takes, or none, whatever else the client has."""
    paths = {
        **post(),
        **post("/public", "public", security=[]),
        **post("/other", "other", security=[{"session": []}]),
    }
    schemes = {"auth": BEARER, "session": key_in("cookie", "session")}
    api = generate(
        {},
        paths,
        components={"schemas": {}, "securitySchemes": schemes},
        security=[{"auth": []}],
    )
    both = {"base_url": server.url, "auth": "a", "session": "s"}
    perform(api, how, **both)
    assert (server.header("Authorization"), server.header("Cookie")) == (["Bearer a"], [])
    perform(api, how, "other", **both)
    assert (server.header("Authorization"), server.header("Cookie")) == ([], ["session=s"])
    perform(api, how, "public", base_url=server.url)
    assert (server.header("Authorization"), server.header("Cookie")) == ([], [])
    before = len(server.requests)
    with pytest.raises(ConfigurationError, match=r"^other needs .*with session=$"):
        perform(api, how, "other", base_url=server.url, auth="a")
    assert len(server.requests) == before


def test_functions_provide_the_credentials_of_each_call(generate: Generate, server: Server) -> None:
    """Functions are called for each call; those of an async client may be async."""
    schemes = {"id": key_in("header", "X-Id"), "auth": BEARER, "third": key_in("header", "X-3")}
    api = secured(generate, schemes, [{"id": [], "auth": [], "third": []}])
    numbers = iter(range(9))

    async def later() -> str:
        return f"later{next(numbers)}"

    def now() -> str:
        return f"now{next(numbers)}"

    clients = api.module("clients")
    client = clients.Client(id="i", auth=now, third="c", base_url=server.url)
    client.do_it()
    client.with_response.do_it()
    assert server.header("Authorization") == ["Bearer now1"]
    client.with_options(id="i", auth=later, third="c", timeout=3).close()
    with pytest.raises(ConfigurationError, match="auth is an async function"):
        client.with_options(id="i", auth=later, third="c").do_it()
    client.close()

    async def main() -> None:
        given = {"id": later, "auth": now, "third": later}
        async with clients.AsyncClient(base_url=server.url, **given) as client:
            await client.do_it()
            await client.with_response.do_it()

    asyncio.run(main())
    assert server.header("X-Id") == ["later5"]
    assert server.header("Authorization") == ["Bearer now6"]
    assert server.header("X-3") == ["later7"]


@pytest.mark.parametrize(
    ("scheme", "arguments", "problem"),
    [
        (key_in("cookie", "s"), {"api_key": "a;b"}, "api_key contains a character that a cookie"),
        (BASIC, {"username": "a:b", "password": ""}, "username must not contain a colon"),
        (BASIC, {"username": "a", "password": "b\n"}, "password contains a control character"),
        (BASIC, {"username": "a", "password": 5}, "password must be a string"),
        (BASIC, {"username": "a" * 9000, "password": ""}, "username must have at most 8192 char"),
        (BEARER, {"api_key": "a b"}, "api_key contains a space"),
        (BEARER, {"headers": {"Authorization": "x"}}, "headers must not include Authorization"),
        (key_in("header", "X-K"), {"headers": {"x-k": "x"}}, "headers must not include x-k"),
    ],
)
def test_a_credential_that_cannot_be_sent_is_refused(
    generate: Generate, scheme: Any, arguments: Any, problem: str
) -> None:
    """A credential that cannot be sent is refused when the client is made, without showing it."""
    clients = secured(generate, {"auth": scheme}).module("clients")
    for client in (clients.Client, clients.AsyncClient):
        with pytest.raises(ConfigurationError) as caught:
            client(**arguments)
        assert str(caught.value).startswith(problem)


def test_an_unknown_credential_names_those_of_the_api() -> None:
    """If the document's schemes have other names than a client's arguments, the error says so."""

    class Changed(Oneloop):
        _api = Definition(
            spec="0" * 8,
            schemes=[Scheme(("token",), "header", "X-Token")],
            security=(("token",),),
            servers={"a": "https://a.test"},
        )

    with pytest.raises(ConfigurationError, match=r"api_key is not a credential .* are token; x-py"):
        Changed(api_key="a")
    Changed._api.schemes.clear()
    with pytest.raises(ConfigurationError, match="is not a credential of this API: it has none"):
        Changed(api_key="a")


def test_a_changed_scheme_needs_no_change_of_code(server: Server) -> None:
    """If the vendor changes the bearer token to a header, `Oneloop(api_key=...)` sends that."""

    class Changed(Oneloop):
        _api = Definition(
            spec="0" * 8,
            schemes=[Scheme(("api_key",), "header", "X-Api-Key")],
            security=(("api_key",),),
            servers={"a": "https://a.test"},
        )

    server.status, server.body = 200, b'{"workspaces": []}'
    with Changed(api_key=KEY, base_url=server.url) as client:
        client.get_workspace()
    assert (server.header("X-Api-Key"), server.header("Authorization")) == ([KEY], [])


# Secrets


@pytest.mark.parametrize(
    ("scheme", "arguments", "echo"),
    [
        (BASIC, {"username": "user_4711", "password": KEY}, "dXNlcl80NzExOmtleV92ZXJ5X3NlY3JldF80"),
        (key_in("query", "k"), {"api_key": KEY}, KEY),
        (key_in("cookie", "k"), {"api_key": KEY}, KEY),
    ],
)
def test_an_error_does_not_show_a_credential(
    generate: Generate, server: Server, how: str, scheme: Any, arguments: Any, echo: str
) -> None:
    """No error, pickle or frame shows a credential, even if the server repeats it."""
    api = secured(generate, {"auth": scheme}, responses=answers({"type": "object"}))
    echoes = [KEY, "user_4711", "dXNlcl80NzExOmtleV92ZXJ5X3NlY3JldF80NzEx"]
    server.status, server.body = 400, json.dumps(echoes).encode()
    with pytest.raises(APIStatusError) as caught:
        perform(api, how, base_url=server.url, **arguments)
    error = caught.value
    shown = f"{error} {vars(error)} {pickle.loads(pickle.dumps(error))!r}"
    assert echo not in shown
    assert KEY not in shown
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = [frame for frame in frames if frame.f_code.co_filename != __file__]
    frames_shown = "".join(repr({**frame.f_locals}) for frame in ours)
    assert KEY not in frames_shown
    assert echo not in frames_shown


def test_a_refused_argument_is_not_shown_by_the_frames(generate: Generate) -> None:
    """If a client cannot be made, no frame shows its credentials, headers or base URL."""
    clients = secured(generate, {"auth": BEARER}).module("clients")
    secret = {"api_key": KEY, "base_url": f"https://u:{KEY}@a", "headers": {"X-A": KEY}}
    for client in (clients.Client, clients.AsyncClient):
        with pytest.raises(ConfigurationError) as caught:
            client(**secret)
        frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)][1:]
        assert frames
        assert KEY not in "".join(repr({**frame.f_locals}) for frame in frames)
        with pytest.raises(ConfigurationError) as caught:
            client(api_key=KEY).with_options(api_key=KEY, headers={"X-A": f" {KEY}"})
        frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)][1:]
        assert KEY not in "".join(repr({**frame.f_locals}) for frame in frames)
        with pytest.raises(TypeError, match="unexpected keyword argument 'timeot'"):
            client(timeot=3)


# Servers


def test_without_a_server_the_base_url_is_required(generate: Generate, server: Server) -> None:
    """Without a server in the document, or with its path alone, `base_url` has to be given."""
    api = generate({}, post(), servers=[])
    with pytest.raises(ConfigurationError) as caught:
        perform(api, "sync")
    example = "pass base_url=, such as 'https://api.example.com'"
    assert str(caught.value) == f"the API's document names no server; {example}"
    perform(api, "sync", base_url=server.url)
    api = generate({}, post(), servers=[{"url": "/api/v3/"}])
    with pytest.raises(ConfigurationError, match=r"only the path /api/v3; .*example\.com/api/v3'"):
        perform(api, "async")
    assert "server" not in api.module("clients").Client.__init__.__annotations__


SERVERS: list[Any] = [
    {"url": "https://api.{region}.things.test", "description": "Production server"}
    | {"variables": {"region": {"default": "us", "enum": ["eu", "us"]}}},
    {"url": "https://sandbox.things.test/{version}/", "description": "Sandbox"}
    | {"variables": {"version": {"default": "v2"}}},
]


def test_a_server_can_be_chosen(generate: Generate) -> None:
    """The document's servers are choices by name, the first by default."""
    clients = generate({}, post(), servers=SERVERS).module("clients")
    urls = {
        "production_us": "https://api.us.things.test",
        "production_eu": "https://api.eu.things.test",
        "sandbox": "https://sandbox.things.test/v2",
    }
    assert urls == clients.API.servers
    for client in (clients.Client, clients.AsyncClient):
        assert "https://api.us.things.test" in repr(client())
        for name, url in urls.items():
            assert repr(client(server=name)) == f"{client.__name__}(base_url={url!r})"
        with pytest.raises(ConfigurationError, match="server must be one of: 'production_us', "):
            client(server="prod")
        with pytest.raises(ConfigurationError, match="either server or base_url, not both"):
            client(server="sandbox", base_url="https://a")
    assert "production_us" in (clients.Client.__init__.__annotations__["server"])
    none = generate({}, post(), servers=[]).module("clients").Client
    with pytest.raises(ConfigurationError, match="not available, as the document names none"):
        none(server="a")


def test_an_operation_may_have_a_server_of_its_own(generate: Generate, how: str) -> None:
    """Its calls go there, over connections of their own, unless there is a `base_url`."""
    with serving() as main, serving() as other:
        paths = {
            **post(),
            "/files": {**post("/files", "upload")["/files"], "servers": [{"url": other.url}]},
            **post("/same", "same", servers=[{"url": f"{main.url}/"}]),
        }
        api = generate({}, paths, servers=[{"url": main.url}])
        assert api.module("api.v1.same").OPERATION.server is None
        perform(api, how, "upload")
        perform(api, how, "same")
        assert [path for _, path, _ in other.requests] == ["/files"]
        assert [path for _, path, _ in main.requests] == ["/same"]
        perform(api, how, "upload", base_url=main.url)
        assert [path for _, path, _ in main.requests] == ["/same", "/files"]
        perform(api, how, "upload", transport="httpx")
        assert len(other.requests) == 2


def test_a_transport_of_the_application_sends_to_each_server(generate: Generate) -> None:
    """A transport object gets the requests for all servers, and is closed once."""
    api = generate({}, post(servers=[{"url": "https://files.test/up"}]))

    class Recorder:
        closed = 0

        def send(self, request: Any, limits: Any) -> Any:
            self.url = request.url
            return oneloop.transport.Response(204, (), b"")

        def close(self) -> None:
            self.closed += 1

    recorder = Recorder()
    with api.module("clients").Client(transport=recorder) as client:
        client.do_it()
        client.with_options(timeout=3).close()
    assert (recorder.url, recorder.closed) == ("https://files.test/up/things", 1)


# The rest of a request


def test_a_call_may_bring_a_media_type_and_cookies(server: Server) -> None:
    """Media type, cookies and `Accept` of an operation replace those of the client."""
    operation = Operation(
        name="patch", method="POST", path="/a", safe=False, decode=None, accept="text/csv"
    )
    call = Call(
        operation,
        "/a",
        b"a=b",
        content_type="application/x-www-form-urlencoded",
        cookies=(("a", "b"), ("c", Secret(KEY))),
    )
    with Oneloop(api_key="k", base_url=server.url) as client:
        client._perform_special(call)
        assert server.header("Content-Type") == ["application/x-www-form-urlencoded"]
        assert server.header("Cookie") == [f"a=b; c={KEY}"]
        assert server.header("Accept") == ["text/csv"]
        changed = client.with_options(headers={"Accept": "a/b", "cookie": "x=y"})
        changed._perform_special(call)
    assert server.header("Accept") == ["a/b"]
    assert server.header("Cookie") == [f"x=y; a=b; c={KEY}"]


# Methods


def test_methods_are_loaded_on_first_use(generate: Generate) -> None:
    """A method is imported when it is looked up, stays, and can be overridden and mocked."""
    api = generate({}, {**post(), **post("/b", "other"), **post("/c", "third")})
    client, clients = api.module("client"), api.module("clients")
    assert f"{api.package}.api.v1.do_it" not in sys.modules
    method = clients.Client.do_it
    assert method is client.SyncOperations.do_it is vars(client.SyncOperations)["do_it"]
    assert f"{api.package}.api.v1.other" not in sys.modules
    assert {"do_it", "other", "third"} <= set(dir(clients.Client))
    assert "do it." in clients.AsyncClient.do_it.__doc__

    class Mine(clients.Client):  # type: ignore[misc, name-defined]
        def other(self) -> Any:
            return super().other

    assert Mine().other().__func__ is client.SyncOperations.other
    double = mock.create_autospec(clients.Client)
    with pytest.raises(TypeError):
        double.third(None, 5, 6)
    threads = [Thread(target=lambda: client.AsyncOperations.third) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    with pytest.raises(NotImplementedError):
        client.SyncOperations().do_it()
    with pytest.raises(NotImplementedError):
        client.SyncOperations()._perform_special(None)
    for async_method in (
        client.AsyncOperations()._perform_special,
        client.AsyncOperations()._perform,
    ):
        with pytest.raises(NotImplementedError):
            asyncio.run(async_method(None))


def test_a_deprecated_operation_warns_its_caller(
    generate: Generate, server: Server, how: str
) -> None:
    """A deprecated operation warns at the line that calls it, and type checkers know it."""
    api = generate({}, post(deprecated=True))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        perform(api, how, base_url=server.url)
    (one,) = [one for one in caught if one.category is DeprecationWarning]
    assert (str(one.message), one.filename) == ("do_it is deprecated", __file__)
    stub = (api.folder / api.package / "client.pyi").read_text("utf-8")
    assert stub.count('@deprecated("do_it is deprecated")') == 4


def test_the_stub_is_what_the_module_has() -> None:
    """client.pyi, which type checkers read, has the names and signatures of client.py."""
    command = [sys.executable, "-m", "mypy.stubtest", "oneloop_api.client"]
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert result.returncode == 0, result.stdout


# Which document it is


def test_the_spec_says_which_document_a_package_is_made_from() -> None:
    """`oneloop.SPEC` has the digests of the document and the overlays, as `sha256sum` has them."""
    names = ["openapi.yaml", "overrides/overlay.yaml", "overrides/annotations.yaml"]
    command = ["sha256sum", "-"]
    text = b"".join((ROOT / name).read_bytes() for name in names)
    printed = subprocess.run(command, input=text, capture_output=True, check=True).stdout
    assert oneloop.SPEC.sha256 == printed.split()[0].decode()
    assert [*oneloop.SPEC.sources] == names
    assert (oneloop.SPEC.title, oneloop.SPEC.version) == ("Oneloop API", "1.0.0")
    assert len(oneloop.SPEC.generator) == 8


def test_the_short_digest_is_sent_as_part_of_the_user_agent(server: Server) -> None:
    """The User-Agent has the first 8 digits of the digest."""
    server.status, server.body = 200, b'{"workspaces": []}'
    with Oneloop(api_key=KEY, base_url=server.url) as client:
        client.get_workspace()
    (agent,) = server.header("User-Agent")
    assert agent.split()[1] == f"spec/{oneloop.SPEC.sha256[:8]}"
