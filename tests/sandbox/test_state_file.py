"""The file that keeps the books of a sandbox over a restart."""

import json
import logging
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from oneloop.sandbox import Sandbox
from oneloop.sandbox._state import State, books_from_json, books_to_json
from tests.sandbox.calls import Api
from tests.sandbox.refills import BODY, REFILL, call, credits_of, wait_for


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a file that does not exist yet."""
    return tmp_path / "books.json"


def fill(sandbox: Sandbox) -> dict[str, str]:
    """Make something of everything that is kept; return the secrets."""
    api = Api(sandbox)
    api.set_defaults(defaultAllowedIPs=["10.0.0.1"], defaultExpiration=3600)
    api.ask("POST /workspace/ws_1/scope", {"name": "Files", "representation": "files"})
    api.new_meter(totalCredits=str(10**30), spendCap="9", allowOverages=True)
    key = api.new_key(externalMeterId="acme", metadata={"plan": "pro"}, **NEW_KEY_OF_ACME)
    api.verify(key["key"], usage=3)
    gone = api.new_key()
    api.ask(f"DELETE /workspace/ws_1/api-key/{gone['id']}")
    link = api.new_link(externalBillingId="acme")
    jwt = api.ask("POST /jwt", {"payload": {"a": "b"}})["jwt"]
    sandbox.advance(60)
    return {"key": key["key"], "link": link, "jwt": jwt}


NOW = "2026-01-01T00:00:00+00:00"
NEW_KEY_OF_ACME = {"customerId": "acme"}


def shown(sandbox: Sandbox, secrets: dict[str, str]) -> list[Any]:
    """Return what the API says of everything that is kept."""
    api = Api(sandbox)
    meters = "GET /customer-billing?workspaceId=ws_1&externalMeterId="
    return [
        api.ask("GET /workspace"),
        api.ask("GET /workspace/ws_1/scopes"),
        api.ask(f"{meters}acme"),
        api.ask(f"{meters}carol"),
        api.ask("GET /usage/acme"),
        api.ask("GET /workspace/ws_1/api-key"),
        api.verify(secrets["key"])["metadata"],
        api.ask(f"GET /link-token/{secrets['link']}"),
        api.ask("POST /jwt/verify", {"jwt": secrets["jwt"]}),
        sandbox._state.ahead,
    ]


def without_use(said: list[Any]) -> list[Any]:
    """Return what the API says, but for the time when a key was last used."""
    return json.loads(json.dumps(said), object_hook=lambda one: one | {"lastUsedAt": None})


def test_everything_is_there_after_a_restart(path: Path) -> None:
    """Another sandbox with the same file goes on with everything, whatever its size."""
    with Sandbox(state=path) as sandbox:
        secrets = fill(sandbox)
        before = shown(sandbox, secrets)
    with Sandbox(state=str(path)) as sandbox:
        assert without_use(shown(sandbox, secrets)) == without_use(before)
        assert sandbox.requests[0].number == 1
    text = path.read_text()
    assert [name for name, secret in secrets.items() if secret in text] == []


def test_a_second_start_goes_on_with_what_changed_in_between(path: Path) -> None:
    """The file is read once: a sandbox that is stopped is newer than it."""
    sandbox = Sandbox(state=path)
    with sandbox:
        call(sandbox)
    sandbox.create_meter(workspace_id="ws_2", external_meter_id="x")
    with sandbox:
        assert credits_of(sandbox) == 1005
        assert sandbox.meter(workspace_id="ws_2", external_meter_id="x").total_credits == 0
    assert len(books_from_json(path.read_text()).meters) == 2


def test_a_killed_sandbox_loses_at_most_a_moment(path: Path) -> None:
    """The file is written soon after a change, not only at the end."""
    command = [sys.executable, "-m", "oneloop.sandbox", "--port", "0", "--state", str(path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    url = [process.stdout.readline() for _ in range(4)][1].strip().rpartition("=")[2]
    request = urllib.request.Request(url + REFILL, json.dumps(BODY).encode())  # noqa: S310 - ours
    request.add_header("Authorization", "Bearer sdk_sandbox")
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request) as response:  # noqa: S310
        assert response.status == 200
    wait_for(lambda: '"total_credits": 1005' in path.read_text())
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with Sandbox(state=path) as sandbox:
        assert credits_of(sandbox) == 1005


def test_two_sandboxes_cannot_share_a_file(path: Path) -> None:
    """The second one is refused, with the name of the file, until the first one has stopped."""
    with Sandbox(state=path):
        second = Sandbox(state=path)
        with pytest.raises(OSError, match="another sandbox uses it") as caught:
            second.start()
        assert str(path) in str(caught.value)
        with pytest.raises(RuntimeError, match="not running"):
            _ = second.url
    with second:
        assert call(second).status == 200


GOOD = json.loads(books_to_json(State().books()))
KEY: dict[str, Any] = {
    "id": "1",
    "workspace_id": "ws_1",
    "name": "first",
    "digest": "d",
    "masked": "****",
    "prefix": None,
    "expires_at": None,
    "scopes": [],
    "enabled": True,
    "customer_id": "c",
    "metadata": {},
    "external_meter_id": None,
    "billing_id": None,
    "deleted": False,
    "created_at": NOW,
    "updated_at": NOW,
    "last_used_at": None,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("no JSON", "it is not JSON: Expecting value"),
        ("[" * 100_000, "it is not JSON: maximum recursion depth"),
        ([], "it is not a JSON object"),
        ({"meters": 5}, r"invalid value for type, expected tuple @ \$.meters"),
        ({"ahead": float("inf")}, r"invalid value for type, expected float @ \$.ahead"),
        ({"ahead": -1.0}, "seconds must be from 0"),
        ({"more": 1}, r"extra fields found \(more\) @ \$"),
        ({"workspaces": GOOD["workspaces"] * 2}, "workspaces: there are two of 'ws_1'"),
        ({"meters": GOOD["meters"] * 2}, r"meters: there are two of \('ws_1', 'acme'\)"),
        ({"keys": [KEY, KEY | {"id": "2"}]}, "values of keys: there are two of 'd'"),
        (
            {"meters": [GOOD["meters"][0] | {"spend_cap": -5}]},
            "meters: 'acme' has a negative amount",
        ),
        (
            {"meters": [GOOD["meters"][0] | {"total_credits": "1000"}]},
            r"invalid value for type, expected int @ \$.meters\[0\].total_credits",
        ),
        (
            {"meters": [GOOD["meters"][0] | {"total_credits": True}]},
            r"expected int @ \$.meters\[0\].total_credits",
        ),
        (
            {"meters": [GOOD["meters"][0] | {"created_at": "2026-01-01T00:00:00"}]},
            r"expected datetime @ \$.meters\[0\].created_at",
        ),
        (
            {"meters": [GOOD["meters"][0] | {"allow_overages": "no"}]},
            r"expected bool @ \$.meters\[0\].allow_overages",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_file_with_something_else_is_refused(path: Path, change: Any, message: str) -> None:
    """What is wrong is said with its place, and the file stays as it is."""
    text = change if isinstance(change, str) else json.dumps(change)
    if isinstance(change, dict):
        text = json.dumps(GOOD | change)
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        Sandbox(state=path).start()
    assert str(caught.value).startswith(f"{path} is not the state of a sandbox: ")
    assert path.read_text() == text


def test_a_file_that_cannot_be_written_is_an_error_at_the_start(tmp_path: Path) -> None:
    """A folder that does not exist is reported with its name."""
    path = tmp_path / "none" / "books.json"
    with pytest.raises(FileNotFoundError, match="none"):
        Sandbox(state=path).start()


def test_a_file_that_cannot_be_written_later_is_logged(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The sandbox goes on, says so in the log, and at the end by an error."""
    sandbox = Sandbox(state=path)
    sandbox.start()
    path.unlink()
    path.mkdir()
    with caplog.at_level(logging.ERROR):
        assert call(sandbox).status == 200
        wait_for(lambda: "cannot write the state of the sandbox" in caplog.text)
    with pytest.raises(OSError, match="books"):
        sandbox.stop()
    path.rmdir()
    assert [one.name for one in path.parent.iterdir()] == ["books.json.lock"]
    with sandbox:
        assert credits_of(sandbox) == 1005


def test_nothing_else_in_the_folder_is_touched(tmp_path: Path) -> None:
    """A link stays a link, other files stay as they are, and only this user can read the books."""
    lock, link = tmp_path / "poetry.lock", tmp_path / "link"
    lock.write_text("of somebody else")
    link.symlink_to("poetry")
    with Sandbox(state=link):
        pass
    assert (link.is_symlink(), lock.read_text()) == (True, "of somebody else")
    assert (tmp_path / "poetry").stat().st_mode & 0o777 == 0o600
    assert {one.name for one in tmp_path.iterdir()} == {"link", "poetry", "poetry.lock"}


def test_a_file_of_other_bytes_is_named(path: Path) -> None:
    """A file that is not text is refused with its name."""
    path.write_bytes(b"\xff")
    with pytest.raises(
        ValueError, match=r"books\.json is not the state of a sandbox: 'utf-8' codec"
    ):
        Sandbox(state=path).start()


@pytest.mark.parametrize("name", ["", ".", "/"])
def test_what_is_no_file_is_refused(name: str) -> None:
    """A path without a name, as of an unset variable, is refused at once."""
    with pytest.raises(ValueError, match="state must be the path of a file, not "):
        Sandbox(state=name)


def test_large_amounts_are_kept() -> None:
    """Amounts of more digits than Python converts at once are kept."""
    state = State()
    state.create_meter(
        workspace_id="ws_1",
        external_meter_id="big",
        total_credits=10**5000,
        used_credits=2**53 - 1,
        allow_overages=False,
        spend_cap=2**53,
    )
    books = state.books()
    assert books_from_json(books_to_json(books)) == books
