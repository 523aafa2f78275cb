"""`oneloop keys`: list, rotate and disable."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from oneloop import Oneloop
from oneloop.sandbox import Sandbox
from tests.cli.conftest import Run, answering
from tests.cli.terminal import Terminal, plain, shown

LIST = ("keys", "list", "-w", "ws_1")


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Oneloop]:
    """Return a client of the sandbox."""
    with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url) as opened:
        yield opened


def issue(client: Oneloop, name: str = "First", **more: Any) -> Any:
    """Create a key."""
    given: dict[str, Any] = {"customer_id": "acme", "enabled": True, "scopes": [], **more}
    return client.create_api_key(workspace_id="ws_1", name=name, **given).api_key


def key(number: int, **more: Any) -> dict[str, Any]:
    """Return a key as the API lists it."""
    moment = "2026-11-27T12:00:00.000Z"
    return {
        "id": f"key_{number}", "name": f"Key {number}", "maskedKey": f"****{number}",
        "prefix": "sk", "expiresAt": None, "scopes": [], "enabled": True, "customerId": "acme",
        "deleted": False, "createdAt": moment, "updatedAt": moment, **more,
    }  # fmt: skip


KEYS = [
    key(1, lastUsedAt="2026-11-27T12:00:00Z"),
    key(2, enabled=False, customerId=None),
    key(3, deleted=True),
    key(4, expiresAt=1_000_000_000, name="[red]\x1b[1m"),
]
SHOWN = """\
id     name          key    customer  state     last used
key_1  Key 1         ****1  acme      enabled   2026-11-27 12:00:00 UTC
key_2  Key 2         ****2  -         disabled  -
key_4  [red]\\x1b[1m  ****4  acme      expired   -
"""


def test_keys_are_listed(settings: dict[str, str], sandbox: Sandbox) -> None:
    """Deleted keys, which stay in the API's list, are hidden, and it is said how many there are."""
    for _ in range(4):
        sandbox.misbehave(answering({"apiKeys": KEYS}))
    hidden = "1 deleted key is not shown (--all)\n"
    assert plain(*LIST, env=settings) == (0, SHOWN, hidden)
    everything = plain(*LIST, "--all", env=settings)
    assert everything.err == ""
    assert "key_3  Key 3         ****3  acme      deleted   -\n" in everything.out
    done = shown(*LIST, env=settings, columns=100)
    lines = done.text.split("\n")
    assert lines[0].split() == ["id", "name", "key", "customer", "state", "last", "used"]
    assert set(lines[1]) == {" ", "─"}
    assert lines[-1] == hidden.strip()
    narrow = shown(*LIST, env=settings, columns=40).text
    assert narrow.startswith("id         key_1\nname       Key 1\n")


def test_keys_of_a_customer(run: Run, sandbox: Sandbox) -> None:
    """`--customer-id` shows that customer's keys, also in JSON, which is otherwise the API's."""
    answer = {"apiKeys": KEYS, "more": [10**30]}
    sandbox.misbehave(answering(answer))
    out = run(*LIST, "--customer-id", "acme", "--json").out
    assert json.loads(out) == {"apiKeys": [KEYS[0], KEYS[3]], "more": [10**30]}
    sandbox.misbehave(answering(answer))
    code, out, err = run(*LIST, "--customer-id", "nobody")
    assert (code, out, err) == (0, "", "there are no keys\n")


def test_two_hidden_keys_are_counted(run: Run, sandbox: Sandbox) -> None:
    """The note on the standard error is a sentence for any number."""
    sandbox.misbehave(answering({"apiKeys": [key(1, deleted=True), key(2, deleted=True)]}))
    assert run(*LIST).err == "there are no keys\n2 deleted keys are not shown (--all)\n"


@pytest.mark.parametrize("answer", ["y\n", "n\n", "\n", "\x03"])
def test_a_key_is_rotated_after_a_question(
    answer: str, settings: dict[str, str], client: Oneloop, sandbox: Sandbox
) -> None:
    """The question shows which key it is; only yes changes it, and the value is shown once."""
    issued = issue(client, "[b]x\x1b[2J")
    with Terminal("keys", "rotate", issued.id, "-w", "ws_1", env=settings) as terminal:
        terminal.wait_for("of acme? [y/N]:")
        assert f"Rotate the key '[b]x\\x1b[2J' ({issued.masked_key}) of acme?" in terminal.text
        terminal.type(answer)
        done = terminal.finish(again=answer if answer == "\x03" else "")
    rotated = [one for one in sandbox.requests if one.path.endswith("/rotate")]
    if answer == "y\n":
        assert (done.code, len(rotated)) == (0, 1)
        (line,) = (one for one in done.text.split("\n") if one.startswith("key  "))
        assert client.verify_api_key(key=line.split()[1], requested_scopes=[]).is_valid
        assert "This is the only time that the key is shown." in done.colours["yellow"]
        assert not client.verify_api_key(key=issued.key, requested_scopes=[]).is_valid
    else:
        assert (done.code, rotated) == (130 if answer == "\x03" else 5, [])
        assert "nothing was changed" in done.text or answer == "\x03"


def test_without_a_terminal_yes_is_an_option(run: Run, client: Oneloop) -> None:
    """A script says so with --yes; without it nothing is done."""
    issued = issue(client)
    for verb in ("rotate", "disable"):
        assert run("keys", verb, issued.id, "-w", "ws_1", typed="y\n") == (
            2,
            "",
            f"oneloop: --yes is required to {verb} a key where nobody can be asked\n",
        )
    code, out, err = run("keys", "rotate", issued.id, "-w", "ws_1", "--yes")
    assert (code, err) == (0, "This is the only time that the key is shown.\n")
    assert out.startswith(f"id        {issued.id}\nname      First\ncustomer  acme\nkey       sk_")
    form = json.loads(run("keys", "rotate", issued.id, "-w", "ws_1", "--yes", "--json").out)
    assert client.verify_api_key(key=form["apiKey"]["key"], requested_scopes=[]).is_valid


def test_a_key_is_disabled(run: Run, client: Oneloop) -> None:
    """A disabled key is refused, and the list says that it is disabled."""
    issued = issue(client)
    done = run("keys", "disable", issued.id, "-w", "ws_1", "--yes")
    assert done == (0, f"id     {issued.id}\nname   First\nstate  disabled\n", "")
    assert client.verify_api_key(key=issued.key, requested_scopes=[]).status == "DISABLED"
    form = json.loads(run("keys", "disable", issued.id, "-w", "ws_1", "--yes", "--json").out)
    assert form["apiKey"]["enabled"] is False


def test_a_key_without_a_customer_is_asked_about(
    settings: dict[str, str], sandbox: Sandbox
) -> None:
    """A key that the API names no customer for is shown by its name."""
    sandbox.misbehave(answering({"apiKey": key(1, customerId=None)}))
    with Terminal("keys", "disable", "key_1", "-w", "ws_1", env=settings) as terminal:
        terminal.wait_for("Disable the key 'Key 1' (****1)? [y/N]:")
        terminal.type("n\n")
        assert terminal.finish().code == 5


def test_an_unknown_key_is_an_error(run: Run) -> None:
    """The API's answer is shown, with exit code 3."""
    code, out, err = run("keys", "rotate", "key_9", "-w", "ws_1", "--yes")
    assert (code, out) == (3, "")
    assert "rejected" in err
