"""Answers of any kind, as tables and as JSON."""

import io
import signal
import subprocess
import sys
from datetime import date
from types import ModuleType
from typing import Any

import pytest

from oneloop import models
from oneloop.cli import _answers, _app
from oneloop.cli._app import main
from oneloop.sandbox import Sandbox
from oneloop_api.client import SyncOperationsWithResponse
from oneloop_core import Answer, Call, Operation
from oneloop_core.commands import Command
from tests.cli.conftest import Run, answering
from tests.cli.terminal import ONELOOP, PATIENCE, environment
from tests.sandbox.refills import wait_for

KEY = {
    "id": "key_1", "name": "First", "maskedKey": "****1", "prefix": None, "expiresAt": None,
    "scopes": [], "enabled": True, "customerId": "acme", "deleted": False, "key": "sk_secret_1",
    "createdAt": "2026-11-27T12:00:00Z", "updatedAt": "2026-11-27T12:00:00Z",
}  # fmt: skip


def written(capsys: pytest.CaptureFixture[str], answer: Any, *, secrets: bool = False) -> str:
    """Return what is written of an answer."""
    _answers.write_answer(answer, secrets=secrets)
    return capsys.readouterr().out


def test_a_secret_is_shown_only_where_it_was_issued(capsys: pytest.CaptureFixture[str]) -> None:
    """The value of a key is in the answer that issues it, and masked in any other."""
    answer = models.CreateApiKeyResponse.from_dict({"apiKey": KEY})
    assert "key           sk_secret_1\n" in written(capsys, answer, secrets=True)
    masked = written(capsys, answer)
    assert "key           [not shown]\n" in masked
    assert "sk_secret_1" not in masked


def test_what_the_document_does_not_have_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown fields come under the API's names; then the answer is not taken out of its field."""
    answer = models.CreateApiKeyResponse.from_dict(
        {"apiKey": KEY, "newField": {"a": [1]}, "none": None, "list": ["a", "b"]}
    )
    out = written(capsys, answer)
    assert "api key: id            key_1\n" in out
    assert 'newField               {"a": [1]}\n' in out
    assert "none                   -\n" in out
    assert "list                   a, b\n" in out


def test_lists_are_tables_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    """Each list of objects has its name above it, and an empty one is a dash."""
    scope = {"representation": "a", "create": True, "read": False, "update": True, "del": True}
    answer = models.VerifyApiKeyResponse.from_dict(
        {"status": "VALID", "scopes": [scope], "requestedScopes": [scope, scope]}
    )
    head, requested, scopes = written(capsys, answer).split("\n\n")
    assert head.startswith("status")
    assert requested.startswith("requested scopes:\nrepresentation  create  read")
    assert len(requested.split("\n")) == 4
    assert scopes.startswith("scopes:\n")
    only = models.RetrieveApiKeysResponse.from_dict({"apiKeys": [KEY]})
    assert written(capsys, only).startswith("api keys:\n")
    none = models.RetrieveApiKeysResponse.from_dict({"apiKeys": []})
    assert written(capsys, none) == "api keys  -\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (date(2026, 1, 31), "2026-01-31"),
        (b"12345", "5 bytes"),
        ([1, "a"], '[1, "a"]'),
        ({"a": date(2026, 1, 31)}, '{"a": "2026-01-31"}'),
        (models.VerificationStatus.VALID, "VALID"),
        (1.5, 1.5),
        ([], None),
    ],
)
def test_values_are_texts(value: Any, text: object) -> None:
    """A value is shown as people write it; what has no usual form is JSON."""
    assert _answers.text_of(value) == text


def test_an_object_that_cannot_be_sent_is_shown() -> None:
    """A date of an answer can be one that JSON of ours would not have."""
    late = {"createdAt": "2026-11-27T12:00:00Z", "updatedAt": "9999-12-31T23:59:59-14:00"}
    numbers = {"totalCredits": "1", "usedCredits": "0", "allowOverages": False, "spendCap": None}
    meter = models.CustomerBillingMeter.from_dict({"id": "cbm_1", **numbers, **late})
    assert "cbm_1" in str(_answers.text_of({"a": meter}))


PING = Operation[Any](
    name="ping", method="GET", path="/api/v1/workspace", safe=True, decode=None,
    answers=(Answer(200, 200, "text"), Answer(201, 201, "bytes"), Answer(204, 204, "nothing")),
)  # fmt: skip


@pytest.mark.parametrize(
    ("status", "shown", "json"),
    [
        (200, "pong\\n\n", '"pong\\n"\n'),
        (201, "5 bytes\n", '"5 bytes"\n'),
        (204, "done\n", "null\n"),
    ],
)
def test_answers_that_are_not_json(
    status: int,
    shown: str,
    json: str,
    run: Run,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Our document has none, but a new operation may answer with a text, bytes or nothing."""
    module: Any = ModuleType("oneloop_api.api.v1.ping")

    def call() -> Call[Any]:
        return Call(PING, "/api/v1/workspace")

    def ping(self: Any) -> Any:
        return self._perform(call())

    module.call = call
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(SyncOperationsWithResponse, "ping", ping, raising=False)
    command = Command("ping", "v1", True, True, "Ping.", "", "", ())
    monkeypatch.setitem(_app.OPERATIONS, "ping", command)
    body = b"" if status == 204 else b"pong\n"
    for options, expected in ([], shown), (["--json"], json):
        sandbox.misbehave(answering(body, status))
        assert run("ping", *options) == (0, expected, "")


def test_an_output_that_is_no_file_is_written(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """`main` writes to whatever stands for the standard output."""
    output = io.StringIO()
    run("--version")
    monkeypatch.setattr("sys.stdout", output)
    assert main(["--version"]) == 0
    assert output.getvalue().startswith("oneloop ")


def test_a_script_that_is_interrupted(settings: dict[str, str], sandbox: Sandbox) -> None:
    """Without a terminal, SIGINT ends a command with 130 and one line, too."""
    sandbox.misbehave("hang")
    process = subprocess.Popen(
        [*ONELOOP, "get-workspace"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(settings),
    )
    wait_for(lambda: bool(sandbox.requests))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (130, b"")
    assert err.startswith(b"oneloop: get_workspace was interrupted")
    assert err.count(b"\n") == 1
