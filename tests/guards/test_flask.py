"""What only the guard of Flask has."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, request
from werkzeug.exceptions import HTTPException

from oneloop import ArgumentTypeError
from oneloop.flask import Guard, verification
from oneloop.sandbox import Fault, Sandbox
from tests.guards.applications import issue


@pytest.fixture
def guard(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guard]:
    """Return a guard that calls the sandbox."""
    monkeypatch.setenv("ONELOOP_SDK_KEY", sandbox.api_key)
    monkeypatch.setenv("ONELOOP_BASE_URL", sandbox.url)
    guard = Guard()
    yield guard
    guard.close()


@pytest.fixture
def headers(sandbox: Sandbox) -> dict[str, str]:
    """Return the header with a valid key."""
    return {"Authorization": f"Bearer {issue(sandbox)}"}


def test_a_whole_application_can_be_guarded(guard: Guard, headers: Any) -> None:
    """`verify` in a function that runs before each request, also of a path without a route."""
    app = Flask(__name__)
    app.before_request(lambda: guard.verify() and None)
    app.add_url_rule("/", view_func=lambda: verification().customer_id or "")
    client = app.test_client()
    assert client.get("/").status_code == 401
    assert client.get("/", headers=headers).text == "acme"
    assert client.get("/nowhere").status_code == 401
    assert client.get("/nowhere", headers=headers).status_code == 404


def test_an_error_handler_may_answer(guard: Guard) -> None:
    """A refusal is the HTTPException of its status."""
    app = Flask(__name__)
    app.add_url_rule("/", view_func=guard(lambda: ""))

    @app.errorhandler(401)
    def unauthorized(error: HTTPException) -> Any:
        return (
            {"error": error.description},
            401,
            {"WWW-Authenticate": error.get_response().headers["WWW-Authenticate"]},
        )

    answer = app.test_client().get("/")
    assert (answer.status_code, answer.json) == (401, {"error": "Missing API key"})
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_status_without_a_class_has_a_handler_too(
    guard: Guard, headers: Any, sandbox: Sandbox
) -> None:
    """Werkzeug has no class for 402; a handler for all of them gets it."""
    sandbox.misbehave(Fault.status(200, body=b'{"status": "USAGE_LIMITED"}'))
    app = Flask(__name__)
    app.add_url_rule("/", view_func=guard(lambda: ""))
    app.register_error_handler(HTTPException, lambda error: (f"was {error.code}", 418))
    answer = app.test_client().get("/", headers=headers)
    assert (answer.status_code, answer.text) == (418, "was 402")


def test_one_request_is_not_let_through_for_another(guard: Guard, headers: Any) -> None:
    """Requests in one application context share `g`; what was verified for one is not there."""
    app = Flask(__name__)
    app.add_url_rule("/", view_func=guard(lambda: verification().customer_id or ""))
    client = app.test_client()
    with app.app_context():
        assert client.get("/", headers=headers).status_code == 200
        assert client.get("/").status_code == 401


def test_options_and_head(guard: Guard, headers: Any, sandbox: Sandbox) -> None:
    """Flask answers OPTIONS without the view, so without the guard; HEAD is guarded as GET is."""
    app = Flask(__name__)
    app.add_url_rule("/", view_func=guard(lambda: request.method))
    client, before = app.test_client(), len(sandbox.requests)
    assert client.options("/").status_code == 200
    assert client.head("/").status_code == 401
    assert len(sandbox.requests) == before
    assert client.head("/", headers=headers).status_code == 200


def test_a_request_that_no_guard_has_seen_has_no_verification() -> None:
    """An error that says so, not None."""
    with Flask(__name__).test_request_context(), pytest.raises(LookupError, match="no guard"):
        verification()


def test_an_async_usage_is_refused(guard: Guard, headers: Any) -> None:
    """There is no event loop to run it in; the error says so, and nothing is left unawaited."""

    async def usage(_: object) -> int:
        return 1

    wrong: Any = usage
    app = Flask(__name__)
    app.testing = True
    app.add_url_rule("/", view_func=guard.requiring(usage=wrong)(lambda: ""))
    with pytest.raises(ArgumentTypeError, match="usage must be a plain function"):
        app.test_client().get("/", headers=headers)
