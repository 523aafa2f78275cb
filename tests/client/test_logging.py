"""Log records: their levels and fields, what they never contain, and how they are turned on."""

import logging
import os
import socket
import subprocess
import sys
from typing import Any

import pytest

from oneloop import ConfigurationError, Oneloop, OneloopError
from oneloop.sandbox import Fault, Sandbox
from tests.calling import AT_ONCE, REFILL, ClientKind
from tests.tools.failures import read_request, talking

MARKER = "MARKERofaserver"


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the fields of a record that are ours, without the prefix."""
    found = vars(record).items()
    return {name[8:]: value for name, value in found if name.startswith("oneloop_")}


def test_each_record_has_fields(
    sandbox: Sandbox, kind: ClientKind, caplog: pytest.LogCaptureFixture
) -> None:
    """A retry is INFO, a success DEBUG, a failure WARNING; a program can read what happened."""
    caplog.set_level(logging.DEBUG, "oneloop")
    sandbox.misbehave(Fault.rate_limited(0.01), Fault.status(404))
    options: dict[str, Any] = {"api_key": sandbox.api_key, "base_url": sandbox.url}
    with pytest.raises(OneloopError) as caught:
        kind.refill(**options, retry=AT_ONCE)
    kind.refill(**options)
    retry, failure, success = (record for record in caplog.records if record.name == "oneloop")
    host = sandbox.url.rpartition("/")[2]
    common = {"operation": "refill_billing_limit", "host": host}
    again, failed, done = fields(retry), fields(failure), fields(success)
    assert 0 < again.pop("elapsed") <= failed.pop("elapsed") == caught.value.elapsed
    assert done.pop("elapsed") > 0
    assert (retry.levelname, again) == (
        "INFO",
        common
        | {"attempt": 1, "status": 429, "outcome": "rejected", "wait": 0.01}
        | {"error": "RateLimitError"},
    )
    assert (failure.levelname, failed) == (
        "WARNING",
        common | {"attempt": 2, "status": 404, "outcome": "rejected", "error": "NotFoundError"},
    )
    assert (success.levelname, done) == (
        "DEBUG",
        common | {"attempt": 1, "status": 200, "outcome": "applied"},
    )
    assert failure.getMessage() == (
        "refill_billing_limit: failed: the server answered 404; outcome rejected"
    )


GOOD = '{"billing": null}'
ANSWERS = {
    "the first line": f"{MARKER} 200 OK\r\n\r\n",
    "the version": f"HTTP/{MARKER} 200 OK\r\n\r\n",
    "the status": f"HTTP/1.1 {MARKER} OK\r\n\r\n",
    "the reason": f"HTTP/1.1 404 {MARKER}\r\nContent-Length: 0\r\n\r\n",
    "a header's name": f"HTTP/1.1 404 No\r\n{MARKER}\x01: x\r\n\r\n",
    "a header without a colon": f"HTTP/1.1 404 No\r\n{MARKER}\r\n\r\n",
    "a header's value": f"HTTP/1.1 404 No\r\nX-Request-Id: {MARKER}\r\nContent-Length: 0\r\n\r\n",
    "the coding": "HTTP/1.1 200 OK\r\n"
    f"Content-Encoding: {MARKER}\r\nContent-Length: 2\r\n\r\n\xff\xff",
    "the transfer coding": f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {MARKER}\r\n\r\n{GOOD}",
    "the length": f"HTTP/1.1 200 OK\r\nContent-Length: {MARKER}\r\n\r\n{GOOD}",
    "the content type": f"HTTP/1.1 200 OK\r\nContent-Type: {MARKER}\r\nContent-Length: 1\r\n\r\n<",
    "the charset": "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset="
    f"{MARKER}\r\nContent-Length: 2\r\n\r\n\xff\xff",
    "the body": f"HTTP/1.1 200 OK\r\nContent-Length: {len(MARKER)}\r\n\r\n{MARKER}",
    "a value": "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    f'Content-Length: {len(MARKER) + 14}\r\n\r\n{{"billing": "{MARKER}"}}'[:-1],
    "a message": "HTTP/1.1 422 No\r\nContent-Type: application/json\r\nContent-Length: "
    f'{len(MARKER) + 38}\r\n\r\n{{"error": {{"code": 422, "message": "{MARKER}"}}}}',
    "the size of a chunk": f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{MARKER}\r\n",
    "a wish to wait": f"HTTP/1.1 429 No\r\nRetry-After: {MARKER}\r\nContent-Length: 0\r\n\r\n",
    "a place to go": f"HTTP/1.1 302 No\r\nLocation: http://{MARKER}\r\nContent-Length: 0\r\n\r\n",
    "a protocol": f"HTTP/1.1 101 No\r\nUpgrade: {MARKER}\r\nConnection: upgrade\r\n\r\n",
}


@pytest.mark.parametrize("part", ANSWERS)
@pytest.mark.parametrize("operation", ["refill_billing_limit", "get_workspace"])
def test_no_record_has_words_of_a_server(
    part: str, operation: str, kind: ClientKind, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever part of an answer it is in."""
    caplog.set_level(logging.DEBUG, "oneloop")

    def talk(connection: socket.socket) -> bool:
        read_request(connection)
        connection.sendall(ANSWERS[part].encode("latin-1"))
        return False

    arguments = REFILL if operation == "refill_billing_limit" else {}
    with talking(talk) as server, pytest.raises(OneloopError):
        kind.perform(operation, arguments, api_key="sdk", base_url=server.url, retry=AT_ONCE)
    records = [record for record in caplog.records if record.name == "oneloop"]
    assert records
    for record in records:
        assert MARKER.lower() not in f"{record.getMessage()} {vars(record)}".lower()


def log_of(level: str | None, code: str, sandbox: Sandbox) -> str:
    """Return what a program writes to the standard error with this value of `ONELOOP_LOG`."""
    environment = {
        **os.environ,
        "ONELOOP_BASE_URL": sandbox.url,
        "ONELOOP_SDK_KEY": sandbox.api_key,
    }
    if level is not None:
        environment["ONELOOP_LOG"] = level
    program = [sys.executable, "-c", code]
    result = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    return result.stderr


ONE_CALL = "from oneloop import Oneloop\nOneloop()\nwith Oneloop() as c:\n    c.get_workspace()\n"
BASIC = "import logging\nlogging.basicConfig(level=logging.DEBUG)\n"


@pytest.mark.parametrize(
    ("level", "code", "lines"),
    [
        (None, ONE_CALL, 0),
        ("", ONE_CALL, 0),
        ("debug", ONE_CALL, 1),
        (" DEBUG ", ONE_CALL, 1),
        ("Info", ONE_CALL, 0),
        ("warning", ONE_CALL, 0),
        (
            "debug",
            ONE_CALL.replace("Oneloop()\n", "AsyncOneloop()\n").replace(
                "import Oneloop", "import AsyncOneloop, Oneloop"
            ),
            1,
        ),
        ("debug", BASIC + ONE_CALL, 1),  # no second handler
        ("warning", BASIC + ONE_CALL, 0),
    ],
)
def test_the_environment_turns_logging_on(
    level: str | None, code: str, lines: int, sandbox: Sandbox
) -> None:
    """Records of this level and above are written to the standard error, once."""
    written = log_of(level, code, sandbox)
    assert written.count("\n") == written.count("get_workspace: done") == lines
    assert written.count("DEBUG") == lines


@pytest.mark.parametrize("level", ["yes", "trace", "10"])
def test_another_level_is_refused(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the variable and the levels."""
    monkeypatch.setenv("ONELOOP_LOG", level)
    problem = f"ONELOOP_LOG must be debug, info or warning, got '{level}'"
    with pytest.raises(ConfigurationError, match=problem):
        Oneloop(api_key="sdk")
