"""Calls of the sandbox's API for its tests, made with only the standard library."""

import http.client
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import define, field, frozen

from oneloop.sandbox import Sandbox
from tests.document import OPERATIONS as DOCUMENTED
from tests.document import Described

START = datetime(2026, 1, 31, 23, 59, 0, 123_456, tzinfo=UTC)
RIGHTS = {"create": False, "read": True, "update": False, "del": False}
SCOPE = {"representation": "files", **RIGHTS}
NEW_KEY = {
    "name": "first",
    "workspaceId": "ws_1",
    "scopes": [SCOPE],
    "enabled": True,
    "customerId": "carol",
}
DEFAULTS = {
    "defaultKeyPrefix": None,
    "defaultAllowedIPs": [],
    "defaultRateLimitPerSecond": None,
    "defaultExpiration": None,
}


@define
class StoppedClock:
    """A clock that shows the same time until it is moved."""

    now: datetime = START

    def __call__(self) -> datetime:
        """Return the current time of the clock."""
        return self.now

    def move(self, **by: float) -> None:
        """Move the clock forward by `seconds`, `hours` or other units of `timedelta`."""
        self.now += timedelta(**by)

    @property
    def seconds(self) -> int:
        """The clock's time in whole POSIX seconds."""
        return int(self.now.timestamp())


@frozen
class Reply:
    """A response of the sandbox."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON, None if there is no body."""
        return json.loads(self.body or b"null")

    @property
    def message(self) -> str:
        """The message of an error; checks that its shape is the documented one."""
        assert self.json == {
            "error": {"code": self.status, "message": self.json["error"]["message"]}
        }
        return str(self.json["error"]["message"])


def exchange(
    sandbox: Sandbox,
    method: str,
    path: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    connection: http.client.HTTPConnection | None = None,
) -> Reply:
    """Send one request and return the response. Bytes are sent unchanged, all else as JSON."""
    client = connection or connect(sandbox)
    sent = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    try:
        client.request(method, path, sent, dict(headers or {}))
        response = client.getresponse()
        lowered = {name.lower(): value for name, value in response.getheaders()}
        assert len(lowered) == len(response.getheaders())
        return Reply(response.status, lowered, response.read())
    finally:
        if connection is None:
            client.close()


def connect(sandbox: Sandbox) -> http.client.HTTPConnection:
    """Return a connection to the sandbox."""
    return http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=5)


@frozen
class Api:
    """Calls the API of a sandbox with only the standard library."""

    sandbox: Sandbox
    clock: StoppedClock = field(factory=StoppedClock)

    def exchange(
        self,
        call: str,
        body: object = None,
        *,
        link: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a call such as ``GET /workspace``, with a token unless `headers` is empty."""
        method, path = call.split(" ")
        token = {"Authorization": f"Bearer {self.sandbox.api_key}"}
        if link is not None:
            token = {"X-Link-Token": link}
        elif headers == {}:
            token = {}
        sent = {"Content-Type": "application/json", **token, **(headers or {})}
        path = path if path.startswith(("/_", "/api/")) else f"/api/v1{path}"
        return exchange(self.sandbox, method, path, body, sent)

    def send(
        self,
        call: str,
        body: object = None,
        *,
        link: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Send a call and return the status and the JSON."""
        reply = self.exchange(call, body, link=link, headers=headers)
        return reply.status, reply.json

    def ask(self, call: str, body: object = None, *, link: str | None = None) -> Any:
        """Return the JSON of a call that must succeed."""
        reply = self.exchange(call, body, link=link)
        assert reply.status // 100 == 2, reply
        return reply.json

    def refusal(
        self, call: str, body: object = None, *, link: str | None = None
    ) -> tuple[int, str]:
        """Return status and message of a call that must fail, in the documented shape."""
        reply = self.exchange(call, body, link=link)
        return reply.status, reply.message

    def new_key(self, **fields: object) -> Any:
        """Create an API key; the fields have their names on the wire."""
        return self.ask("POST /api-key", NEW_KEY | fields)["apiKey"]

    def verify(self, key: str, usage: int = 0, **fields: object) -> Any:
        """Verify the value of a key and return the response."""
        asked = {"key": key, "requestedScopes": [], "billing": {"usage": str(usage)}}
        return self.ask("POST /api-key/verify", asked | fields)

    def status_of(self, key: str, usage: int = 0, **fields: object) -> str:
        """Return the status of a verification."""
        return str(self.verify(key, usage, **fields)["status"])

    def set_defaults(self, **fields: object) -> Any:
        """Set the defaults of the first workspace."""
        return self.ask("PATCH /workspace/ws_1", DEFAULTS | fields)["workspace"]

    def new_meter(self, **fields: object) -> Any:
        """Create a meter named ``carol`` with 10 credits."""
        names = {"workspaceId": "ws_1", "externalMeterId": "carol", "totalCredits": "10"}
        return self.ask("POST /customer-billing", names | fields)["billing"]

    def new_link(self, **fields: object) -> str:
        """Return a link token for ``carol``."""
        names = {"workspaceId": "ws_1", "customerId": "carol"}
        return str(self.ask("POST /link-token", names | fields)["token"])

    def applied(self) -> bool:
        """Return whether the last call changed anything, according to the log."""
        return self.sandbox.requests[-1].applied


@contextmanager
def serving() -> Iterator[Api]:
    """Start a new sandbox whose clock stands still, and yield its API."""
    clock = StoppedClock()
    with Sandbox(clock=clock) as sandbox:
        yield Api(sandbox, clock)


KEY = "/workspace/ws_1/api-key/none"
SIMULATED: dict[str, object] = {
    "POST /workspace": {"name": "test"},
    "GET /workspace": None,
    "GET /workspace/ws_1": None,
    "PATCH /workspace/ws_1": DEFAULTS,
    "GET /workspace/ws_1/scopes": None,
    "POST /workspace/ws_1/scope": {"name": "Files", "representation": "files"},
    "POST /api-key": NEW_KEY,
    "POST /api-key/migrate": {"key": "old", **NEW_KEY},
    "GET /workspace/ws_1/api-key": None,
    f"GET {KEY}": None,
    f"PATCH {KEY}": {},
    f"DELETE {KEY}": None,
    f"POST {KEY}/rotate": None,
    "POST /api-key/verify": {"key": "k", "requestedScopes": []},
    "POST /api-key/record-usage": {"key": "k"},
    "POST /customer-billing": {"workspaceId": "ws_1", "externalMeterId": "new"},
    "GET /customer-billing?workspaceId=ws_1&externalMeterId=acme": None,
    "POST /customer-billing/refill": {
        "workspaceId": "ws_1",
        "externalMeterId": "acme",
        "refill": 1,
    },
    "GET /usage/acme": None,
    "POST /link-token": {"workspaceId": "ws_1", "customerId": "carol"},
    "GET /link-token/lt_none": None,
    "POST /jwt": {"payload": {}},
    "POST /jwt/verify": {"jwt": ""},
}
"""A call of each operation that the sandbox simulates, with its body."""


def called(call: str) -> Described:
    """Return the documented operation that a call belongs to."""
    method, path = call.partition("?")[0].split(" ")
    matching = [one for one in DOCUMENTED.values() if one.matches(method, f"/api/v1{path}")]
    return min(matching, key=lambda one: one.path.count("{"))


UNSIMULATED: dict[str, object] = {
    f"{one.method} {re.sub('{.*?}', 'example', one.path)}": one.body
    for one in DOCUMENTED.values()
    if one not in [called(call) for call in SIMULATED]
}
"""The same for all other operations of the document; these paths include /api/v1."""

OPERATIONS = SIMULATED | UNSIMULATED
