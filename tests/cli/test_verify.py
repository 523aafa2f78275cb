"""`oneloop verify`: a customer's key, which is never an argument."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from oneloop import Oneloop, models
from oneloop.sandbox import Sandbox
from tests.cli.conftest import Run
from tests.cli.terminal import Terminal, plain


@pytest.fixture
def issue(sandbox: Sandbox) -> Callable[..., str]:
    """Return a function that makes a key of the customer acme, who may read invoices."""
    scope = models.ApiKeyScope(
        representation="invoices", create=False, read=True, update=False, delete=False
    )

    def issued(expires_at: int | None = None) -> str:
        with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            return client.create_api_key(
                workspace_id="ws_1", name="First", customer_id="acme", enabled=True,
                scopes=[scope], external_meter_id="acme", expires_at=expires_at,
            ).api_key.key  # fmt: skip

    return issued


def test_a_key_is_verified(run: Run, issue: Callable[..., str], sandbox: Sandbox) -> None:
    """The key comes from the standard input; what it may and what is left is shown."""
    key = issue()
    code, out, err = run("verify", "--scope", "invoices:read", "--usage", "5", typed=f"{key}\n")
    assert (code, err) == (0, "")
    lines = dict(line.split("  ", 1) for line in out.splitlines())
    assert lines.pop("key id").strip().startswith("key_")
    assert {name: value.strip() for name, value in lines.items()} == {
        "status": "VALID", "customer": "acme", "meter": "acme", "credits left": "995",
    }  # fmt: skip
    assert sandbox.requests[-1].json["billing"] == {"usage": "5"}
    assert key not in out


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        (["invoices:read"], 0),
        (["invoices:read,update"], 3),
        (["invoices:read", "users:read"], 3),
    ],
)
def test_the_exit_code_says_whether_it_may_be_used(
    scope: list[str], status: int, run: Run, issue: Callable[..., str], tmp_path: Path
) -> None:
    """A key that is refused is no error, but the exit code is 3; JSON is the API's answer."""
    file = tmp_path / "key"
    file.write_text(issue(), "utf-8")
    options = [part for one in scope for part in ("--scope", one)]
    code, out, err = run("verify", "--key-from", str(file), *options, "--json")
    assert (code, err) == (status, "")
    assert (json.loads(out)["status"] == "VALID") == (status == 0)
    assert run("verify", "--key-from", str(file), *options).code == status


def test_a_key_that_ends_shows_when(run: Run, issue: Callable[..., str]) -> None:
    """The time is shown as people write it."""
    out = run("verify", typed=issue(4_000_000_000)).out
    assert "expires       2096-10-02 07:06:40 UTC\n" in out


@pytest.mark.parametrize("colour", ["green", "red"])
def test_the_key_is_asked_for(
    colour: str, settings: dict[str, str], issue: Callable[..., str]
) -> None:
    """On a terminal it is typed and not shown; the colour says whether it may be used."""
    key = issue() if colour == "green" else "sk_unknown_key"
    with Terminal("verify", env=settings) as terminal:
        terminal.wait_for("Customer's key:")
        terminal.type(f"{key}\n")
        done = terminal.finish()
    assert done.code == (0 if colour == "green" else 3)
    assert done.colours[colour] == {"VALID" if colour == "green" else "INVALID"}
    assert key.encode() not in done.raw


def test_no_key_at_all_is_an_error(settings: dict[str, str]) -> None:
    """Enter alone, or an empty standard input, is no key."""
    with Terminal("verify", env=settings) as terminal:
        terminal.wait_for("Customer's key:")
        terminal.type("\n")
        done = terminal.finish()
    assert done.code == 2
    assert "there is no key to verify: name a file by --key-from" in done.text
    assert plain("verify", env=settings).err == (
        "oneloop: --key-from: the standard input is empty\n"
    )


@pytest.mark.parametrize("scope", ["invoices", ":read", "invoices:", "invoices:fly", "a:read,,"])
def test_a_wrong_scope_is_refused(scope: str, run: Run) -> None:
    """The error says how a scope is written."""
    expected = "expected a scope and rights of it, of create, read, update, delete, such as"
    assert run("verify", "--scope", scope, typed="k") == (
        2, "", f"oneloop: --scope: {expected} invoices:read, got {scope!r}\n"
    )  # fmt: skip


def test_a_scope_may_have_colons(run: Run, issue: Callable[..., str], sandbox: Sandbox) -> None:
    """The rights are behind the last colon."""
    assert run("verify", "--scope", "a:b:create,update,delete", typed=issue()).code == 3
    (scope,) = sandbox.requests[-1].json["requestedScopes"]
    assert scope == {
        "representation": "a:b", "create": True, "read": False, "update": True, "del": True,
    }  # fmt: skip


def test_a_wrong_usage_is_refused(run: Run) -> None:
    """Credits are whole, and not negative."""
    assert run("verify", "--usage", "5.5", typed="k").err == (
        "oneloop: --usage: expected an integer, got '5.5'\n"
    )
    code, _, err = run("verify", "--usage", "-5", typed="k")
    assert code == 2
    assert err.startswith("oneloop: --usage: must be at least 0")


def test_a_key_that_is_an_argument_is_not_repeated(run: Run) -> None:
    """The error would put it into another log."""
    code, out, err = run("verify", "sk_secret")
    assert (code, out) == (2, "")
    assert err.startswith("oneloop: there are more arguments than it takes (not shown, as one may")
    assert "sk_secret" not in err
