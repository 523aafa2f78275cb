"""The stream of events, and the descriptions that the sandbox serves."""

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from openapi_spec_validator import validate
from schemathesis.specs.openapi.checks import positive_data_acceptance

from oneloop.sandbox import Fault, Sandbox
from oneloop.sandbox._bodies import overview_json
from oneloop.sandbox._events import Feed
from oneloop.sandbox._operations import _files
from oneloop.sandbox._state import State
from tests.document import DOCUMENT
from tests.sandbox.calls import Api, connect, exchange
from tests.sandbox.refills import call, wait_for

TOKEN = {"Authorization": "Bearer sdk_sandbox"}


@contextmanager
def following(sandbox: Sandbox) -> Iterator[Iterator[tuple[str, Any]]]:
    """Follow the events of a sandbox, as pairs of their name and data."""
    connection = connect(sandbox)
    connection.request("GET", "/_sandbox/events", headers=TOKEN)
    response = connection.getresponse()
    assert (response.status, response.headers["content-type"]) == (200, "text/event-stream")

    def events() -> Iterator[tuple[str, Any]]:
        name = ""
        while line := response.readline().decode():
            field, _, value = line.strip().partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                yield name, json.loads(value)

    try:
        yield events()
    finally:
        response.close()
        connection.close()


def test_it_begins_with_what_there_is(sandbox: Sandbox) -> None:
    """The first messages are the overview and the last calls."""
    call(sandbox)
    with following(sandbox) as events:
        name, overview = next(events)
        assert (name, overview["meterCount"], overview["requestCount"]) == ("overview", 1, 1)
        (meter,) = overview["meters"]
        assert (meter["externalMeterId"], meter["totalCredits"]) == ("acme", "1005")
        name, requests = next(events)
        assert (name, [one["number"] for one in requests["requests"]]) == ("requests", [1])


def test_it_goes_on_with_what_happens(sandbox: Sandbox) -> None:
    """Calls, late effects, faults, the clock and a reset are reported as they come."""
    with following(sandbox) as events:
        assert next(events)[1]["requestCount"] == 0
        sandbox.misbehave(Fault.late_apply(60, ending="504"))
        assert next(events)[1]["faults"][0]["faults"] == ["late-504"]
        call(sandbox)
        seen = [next(events), next(events)]
        assert [one["applied"] for one in seen[1][1]["requests"]] == [False]
        assert (seen[0][1]["late"], seen[0][1]["faults"]) == (1, [])
        sandbox.apply_late()
        seen = [next(events), next(events)]
        assert [(one["number"], one["applied"]) for one in seen[1][1]["requests"]] == [(1, True)]
        assert (seen[0][1]["late"], seen[0][1]["meters"][0]["totalCredits"]) == (0, "1005")
        sandbox.advance(90)
        assert next(events)[1]["ahead"] == 90.0
        sandbox.reset()
        assert [next(events)[0] for _ in range(2)] == ["reset", "overview"]
        call(sandbox)
        assert [next(events), next(events)][1][1]["requests"][0]["number"] == 1


def test_a_reader_that_leaves_is_forgotten(sandbox: Sandbox) -> None:
    """Each reader is told of changes until it disconnects, also while nothing happens."""
    listeners = sandbox._state._listeners
    with following(sandbox) as first, following(sandbox) as second:
        assert [next(first)[0], next(second)[0]] == ["overview", "overview"]
        assert len(listeners) == 2
    wait_for(lambda: listeners == [])


def test_quiet_times_have_a_message_too(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without changes, the overview is sent again now and then, with the time."""
    monkeypatch.setattr("oneloop.sandbox._events._QUIET", 0.01)
    with following(sandbox) as events:
        first, second = next(events)[1], next(events)[1]
    assert first["now"] < second["now"]


def test_it_ends_with_the_sandbox() -> None:
    """A reader does not keep the sandbox from stopping."""
    with Sandbox() as sandbox, following(sandbox) as events:
        next(events)
        sandbox.stop()
        with pytest.raises((StopIteration, http.client.IncompleteRead, ConnectionError)):
            next(events)


@pytest.mark.parametrize(("token", "status"), [("wrong", 401), ("sdk_sandbox_restricted", 403)])
def test_it_needs_the_token(sandbox: Sandbox, token: str, status: int) -> None:
    """Nobody else on this machine can follow what happens."""
    headers = {"Authorization": f"Bearer {token}"}
    assert exchange(sandbox, "GET", "/_sandbox/events", None, headers).status == status


def test_a_change_after_the_loop_was_closed_is_no_error(sandbox: Sandbox) -> None:
    """A thread that changes the state while the sandbox stops is not told of the closed loop."""
    with following(sandbox) as events:
        next(events)
        listeners = [*sandbox._state._listeners]
        sandbox.stop()
    for listener in listeners:
        listener(None)


def test_an_overview_has_bounds(api: Api) -> None:
    """Of many meters, keys and calls, the last are shown, with the number of all."""
    state = api.sandbox._state
    for number in range(300):
        api.sandbox.create_meter(workspace_id="ws_1", external_meter_id=str(number))
    for _ in range(3):
        api.new_key()
    api.clock.move(seconds=1)
    call(api.sandbox)
    overview: Any = overview_json(state, 2)
    assert overview["meters"][0]["externalMeterId"] == "acme"
    assert (overview["meterCount"], overview["keyCount"]) == (301, 3)
    assert (len(overview["meters"]), len(overview["keys"])) == (2, 2)


def test_the_state_of_keys_is_shown(api: Api) -> None:
    """A key is active, disabled, expired or deleted."""
    keys = [api.new_key(name="expired", expiresAt=api.clock.seconds + 5)]
    keys += [api.new_key(name="disabled", enabled=False), api.new_key(name="deleted")]
    keys += [api.new_key(name="active", externalMeterId="acme")]
    api.ask(f"DELETE /workspace/ws_1/api-key/{keys[2]['id']}")
    api.clock.move(seconds=5)
    shown: Any = overview_json(api.sandbox._state, 9)["keys"]
    assert {one["name"]: one["status"].lower() for one in shown} == {
        name: name for name in ("expired", "disabled", "deleted", "active")
    }
    assert {one["name"]: one["externalMeterId"] for one in shown}["active"] == "acme"


def test_a_feed_reports_nothing_twice() -> None:
    """A call is reported again only if it has changed."""
    state = State()
    feed = Feed(state)
    assert [message.partition("\n")[0] for message in feed.messages()] == ["event: overview"]
    known: dict[str, Any] = {"method": "GET", "path": "/", "operation": None, "headers": {}}
    known |= {"body": "", "status": 200, "fault": None, "applied": False, "time": state.now}
    entry = state.record(**known)
    assert len(list(feed.messages())) == 2
    assert len(list(feed.messages())) == 1
    state.log.settle(entry, applied=True)
    assert len(list(feed.messages())) == 2


def test_the_description_of_the_controls_is_valid(sandbox: Sandbox) -> None:
    """The OpenAPI document of the controls is valid, and served without a token."""
    reply = exchange(sandbox, "GET", "/_sandbox/openapi.json")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json; charset=utf-8")
    validate(reply.json)


def test_the_description_of_the_api_leads_to_the_sandbox(sandbox: Sandbox) -> None:
    """The API's document is served as patched, but no server in it is the real one."""
    served = exchange(sandbox, "GET", "/openapi.json").json
    assert served == {**DOCUMENT, "servers": [{"url": "/"}]}
    assert sandbox.requests == ()


def test_servers_of_paths_and_operations_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """No part of the document leads elsewhere."""
    real = [{"url": "https://real.test"}]
    item = {"servers": real, "summary": "One", "get": {"servers": real, "responses": {}}}
    document = {"servers": real, "paths": {"/one": item}}
    monkeypatch.setattr(_files, "document", lambda: document)
    answer = _files.api_description(State(), None)  # type: ignore[arg-type]
    assert b"real.test" not in answer.body


FILES = {"/": "text/html", "/_sandbox/page.css": "text/css", "/_sandbox/page.js": "text/javascript"}


@pytest.mark.parametrize(("path", "media_type"), FILES.items())
def test_the_page_loads_nothing_from_elsewhere(
    sandbox: Sandbox, path: str, media_type: str
) -> None:
    """The page is served without a token, and with a policy that lets it load only its own."""
    sandbox.misbehave("500")
    reply = exchange(sandbox, "GET", path)
    assert (reply.status, reply.headers["content-type"]) == (200, f"{media_type}; charset=utf-8")
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert re.findall(r"https?:|unsafe", policy) == []
    assert exchange(sandbox, "GET", "/favicon.ico").status == 404
    assert (sandbox.requests, len(sandbox.queued_faults)) == ((), 1)
    assert exchange(sandbox, "POST", "/").status == 500  # nothing of the sandbox's own


SCHEMA = schemathesis.openapi.from_dict(deepcopy(_files.controls_document()))


@pytest.fixture(scope="module")
def busy() -> Iterator[Sandbox]:
    """Start a sandbox for calls of schemathesis."""
    with Sandbox() as running:
        yield running


@SCHEMA.exclude(path_regex="events").parametrize()
@settings(
    max_examples=8,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_the_controls_are_as_described(case: Any, busy: Sandbox) -> None:
    """Whatever schemathesis sends to a control, the answer is as described.

    A request of the right shape may be refused: a meter exists already, or the clock is at its end.
    """
    response = case.call(base_url=busy.url, headers=TOKEN)
    assert response.status_code < 500
    case.validate_response(response, excluded_checks=[positive_data_acceptance])
    httpx.delete(f"{busy.url}/_sandbox/misbehave", headers=TOKEN)
