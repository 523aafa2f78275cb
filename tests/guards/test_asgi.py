"""What only the guards of FastAPI and Starlette have: OpenAPI, websockets, async usage, loops."""

import asyncio
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.exceptions import WebSocketException
from starlette.requests import HTTPConnection, Request
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocketDisconnect

import oneloop.starlette
from oneloop._asgi import route_of
from oneloop.fastapi import Guard, Verification, verification
from oneloop.sandbox import Sandbox
from tests.guards.applications import TestClient, WebSocketDenialResponse, issue


@pytest.fixture
def key(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a customer's key, with the environment that points guards at the sandbox."""
    monkeypatch.setenv("ONELOOP_SDK_KEY", sandbox.api_key)
    monkeypatch.setenv("ONELOOP_BASE_URL", sandbox.url)
    return issue(sandbox)


@pytest.mark.parametrize(
    ("options", "scheme"),
    [
        ({}, {"type": "http", "scheme": "bearer"}),
        ({"header": "X-API-Key"}, {"type": "apiKey", "in": "header", "name": "X-API-Key"}),
    ],
)
def test_the_openapi_page_shows_the_key(options: Any, scheme: Any) -> None:
    """As a security scheme, once for all guards, and in each guarded operation."""
    guard, app = Guard(**options, scheme_name="Keys"), FastAPI()

    @app.get("/a", dependencies=[Depends(guard)])
    def a() -> None: ...

    @app.get("/b", dependencies=[Depends(guard.requiring(scopes={"b": "read"}))])
    def b() -> None: ...

    page = app.openapi()
    assert page["components"]["securitySchemes"] == {"Keys": scheme}
    for path in ("/a", "/b"):
        assert page["paths"][path]["get"]["security"] == [{"Keys": []}]
        assert "parameters" not in page["paths"][path]["get"]


@pytest.mark.parametrize("framework", ["fastapi", "starlette"])
def test_websockets_are_guarded(framework: str, key: str) -> None:
    """A handshake without a valid key is answered with the status."""
    app: Any
    if framework == "fastapi":
        app, guard = FastAPI(), Guard()

        @app.websocket("/ws")
        async def greet(
            websocket: WebSocket, verified: Annotated[Verification, Depends(guard)]
        ) -> None:
            await websocket.accept()
            assert verification(websocket) is verified
            await websocket.send_text(verified.customer_id or "")
            await websocket.close()
    else:

        @oneloop.starlette.Guard()
        async def endpoint(websocket: WebSocket) -> None:
            await websocket.accept()
            await websocket.send_text(verification(websocket).customer_id or "")
            await websocket.close()

        app = Starlette(routes=[WebSocketRoute("/ws", endpoint)])
    with TestClient(app) as client:
        with client.websocket_connect("/ws", headers={"Authorization": f"Bearer {key}"}) as ws:
            assert ws.receive_text() == "acme"
        with pytest.raises(WebSocketDisconnect) as caught, client.websocket_connect("/ws"):
            pass
    assert isinstance(caught.value, WebSocketDenialResponse)
    assert caught.value.status_code == 401


def test_a_server_that_cannot_answer_a_handshake_closes_it() -> None:
    """Code 1008, a violation of the server's policy."""
    connection = HTTPConnection({"type": "websocket", "headers": []})
    with pytest.raises(WebSocketException) as caught:
        asyncio.run(Guard().verify(connection))
    assert caught.value.code == 1008


def test_usage_may_be_async(key: str, sandbox: Sandbox) -> None:
    """A function that reads the body, which the view can read again."""

    async def length(request: Any) -> int:
        return len(await request.json())

    app, guard = FastAPI(), Guard(usage=length)

    @app.post("/", dependencies=[Depends(guard)])
    async def view(words: list[str]) -> int:
        return len(words)

    with TestClient(app) as client:
        response = client.post("/", json=["a", "b"], headers={"Authorization": f"Bearer {key}"})
    assert response.json() == 2
    assert sandbox.meter(workspace_id="ws_1", external_meter_id="m").used_credits == 2


def test_a_request_that_no_guard_has_seen_has_no_verification() -> None:
    """An error that says so, not None."""
    with pytest.raises(LookupError, match="no guard"):
        verification(Request({"type": "http", "headers": []}))


def test_one_guard_serves_several_applications_in_turn(key: str) -> None:
    """The client is closed with the application, and the next start makes another one."""
    guard = Guard()
    app = FastAPI(lifespan=guard.lifespan)

    @app.get("/", dependencies=[Depends(guard)])
    def view() -> int:
        return 1

    for _ in range(2):
        with TestClient(app) as client:
            assert client.get("/", headers={"Authorization": f"Bearer {key}"}).json() == 1


def test_a_guard_that_made_no_client_has_nothing_to_close() -> None:
    """`aclose` may be called at any time."""
    asyncio.run(Guard().aclose())


@pytest.mark.parametrize(
    ("path", "template", "parameters", "route"),
    [
        ("/a/3", "/a/{n}", {"n": 3}, "/a/{n}"),
        ("/v1/users/7/a/3", "/a/{n}", {"user": "7", "n": "3"}, "/v1/users/{user}/a/{n}"),
        ("/v1", "", {}, "/v1"),
        ("/", "/", {}, "/"),
        ("/v1/files/a/b", "/files/{name:path}", {"name": "a/b"}, "/files/{name:path}"),
        ("/a", None, {}, None),
    ],
)
def test_the_route_has_its_prefixes(
    path: str, template: str | None, parameters: Any, route: str | None
) -> None:
    """Those of mounts and routers, with the names of parameters in place of values."""
    scope = {"type": "http", "path": path, "path_params": parameters}
    if template is not None:
        scope["route"] = SimpleNamespace(path=template)
    assert route_of(HTTPConnection(scope)) == route
