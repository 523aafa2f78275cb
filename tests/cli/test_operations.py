"""The commands of the operations: each against the sandbox, and what they show."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from oneloop import Oneloop, models
from oneloop.cli import _app, _operations
from oneloop.cli._answers import missing_object
from oneloop.sandbox import Sandbox
from oneloop_core import Secret
from oneloop_core.commands import Command, Option
from tests.cli.conftest import Run, answering
from tests.cli.terminal import Terminal, plain, shown
from tests.client.test_operations import CASES, World
from tests.client.test_operations import world as world  # a fixture

REFILL = (
    *("refill-billing-limit", "--workspace-id", "ws_1"),
    *("--external-meter-id", "acme", "--refill", "500"),
)
METER = {
    "id": "cbm_1",
    "totalCredits": "1500",
    "usedCredits": "0",
    "allowOverages": False,
    "spendCap": None,
    "createdAt": "2026-11-27T12:00:00.000Z",
    "updatedAt": "2026-11-27T12:00:00.000Z",
}


def written(command: Command, arguments: dict[str, Any], folder: Path) -> Iterator[str]:
    """Yield the options that stand for the arguments of a method."""
    for option in command.options:
        if option.name not in arguments:
            continue
        value = arguments[option.name]
        if option.secret:
            (folder / option.name).write_text(f"{value}\n", "utf-8")
            yield from (f"{option.flag}-from", str(folder / option.name))
        elif option.type == "boolean":
            yield option.flag if value else f"--no-{option.flag[2:]}"
        elif value is None:
            yield from (option.flag, "null")
        elif option.type == "texts":
            for one in value:
                yield from (option.flag, one)
        elif option.type == "json":
            yield from (option.flag, json.dumps(value, default=lambda one: one.to_dict()))
        else:
            yield from (option.flag, str(value))


@pytest.mark.parametrize("name", sorted(CASES))
def test_each_operation_is_called(name: str, world: World, run: Run, tmp_path: Path) -> None:
    """The command sends what the method sends, and its JSON is the answer of the API."""
    given, check = CASES[name]
    command = _app.OPERATIONS[name.replace("_", "-")]
    arguments = given(world)
    options = [*written(command, arguments, tmp_path)]
    code, out, err = run(name.replace("_", "-"), *options, "--json")
    assert (code, err) == (0, "")
    if "[redacted]" not in out:  # a key that was sent and comes back
        model = get_type_hints(getattr(Oneloop, name))["return"]
        assert check(model.from_dict(json.loads(out)), world) is not False
    # For people it is shown as well, with all values.
    code, out, err = run(name.replace("_", "-"), *options)
    assert code in (0, 3)
    assert out or err


@pytest.mark.parametrize("name", sorted(_app.OPERATIONS))
def test_the_example_of_each_operation_is_a_valid_call(
    name: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the help shows can be typed as it is; at most there is no such key on the server."""
    command = _app.OPERATIONS[name]
    monkeypatch.chdir(tmp_path)
    for option in command.options:
        if option.secret:
            Path(f"{option.name}.txt").write_text("a-secret-of-the-test", "utf-8")
    code, _, err = run(name, *shlex.split(command.example))
    assert code in (0, 3), err
    assert code == 0 or "rejected" in err


def test_an_answer_is_a_table_in_a_terminal(settings: dict[str, str]) -> None:
    """Names are bold, numbers are grouped, and null is a dash; NO_COLOR leaves plain text."""
    done = shown(*REFILL, env=settings)
    names = {"id", "total credits", "used credits", "allow overages", "spend cap"}
    assert done.code == 0
    assert done.bold == names | {"created at", "updated at"}
    lines = dict(line.split("  ", 1) for line in done.text.split("\n"))
    assert lines["total credits"].strip() == "1,500"
    assert lines["allow overages"].strip() == "no"
    assert lines["spend cap"].strip() == "-"
    assert lines["created at"].strip().endswith(" UTC")
    bare = shown(*REFILL, env={**settings, "NO_COLOR": "1"})
    assert b"\x1b" not in bare.raw
    assert bare.text.split("\n")[1] == "total credits   2,000"
    assert plain(*REFILL, env=settings).out.split("\n")[1] == "total credits   2,500"


def test_json_has_the_names_and_values_of_the_api(run: Run, sandbox: Sandbox) -> None:
    """`--json` prints one document with what the API sent, which has numbers of any size."""
    huge = {**METER, "totalCredits": str(10**40), "new": 10**30}
    sandbox.misbehave(answering({"billing": huge}))
    code, out, err = run(*REFILL, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {"billing": huge}


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        ("drop-after", 4, "unknown: it may have happened, check before you repeat it"),
        (500, 4, "unknown"),
        (404, 3, "rejected: the server did not do it"),
        (401, 3, "rejected"),
        ("not-json", 4, "unknown"),
    ],
)
def test_the_exit_code_is_the_outcome(
    fault: Any, code: int, words: str, run: Run, sandbox: Sandbox
) -> None:
    """A call that fails says on one line whether it happened, and the exit code says it too."""
    sandbox.misbehave(fault)
    found, out, err = run(*REFILL)
    assert (found, out) == (code, "")
    assert words in err
    assert err.count("\n") == 1


def test_a_call_that_was_not_sent_has_an_exit_code(run: Run) -> None:
    """Where nothing listens, nothing was sent: exit code 5."""
    code, out, err = run(*REFILL, "--base-url", "http://127.0.0.1:1")
    assert (code, out) == (5, "")
    assert "not sent: nothing happened" in err


def test_an_unusable_answer_of_a_call_that_happened(run: Run, sandbox: Sandbox) -> None:
    """It is shown as it came, with a warning: an issued secret may be nowhere else."""
    sandbox.misbehave(answering({"apiKey": {"key": "sk_new_value"}}, applies=True))
    rotate = ("rotate-api-key", "--workspace-id", "ws_1", "--api-key-id", "key_1")
    code, out, err = run(*rotate)
    assert code == 0
    assert json.loads(out) == {"apiKey": {"key": "sk_new_value"}}
    assert "applied: it happened, only the answer is unusable" in err


def test_an_unusable_answer_of_a_call_that_reads(run: Run, sandbox: Sandbox) -> None:
    """Nothing is shown, as it might contain stored secrets, and the command has failed."""
    for arguments in (("get-api-keys", "--workspace-id", "ws_1"), ("keys", "list", "-w", "ws_1")):
        sandbox.misbehave(answering({"apiKeys": [{"key": "sk_stored"}]}))
        code, out, err = run(*arguments)
        assert (code, out) == (4, "")
        assert "sk_stored" not in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--refill", "5x"], "--refill: expected an integer, got '5x'"),
        (["--refill", "1,000"], "--refill: expected an integer, got '1,000'"),
        (["--refill", "\u0665"], "--refill: expected an integer, got '\u0665'"),
        (["--refill", "9" * 5000], f"--refill: expected an integer, got '{'9' * 40}'..."),
        (["--refill", "-5"], "--refill: must be greater than 0, got -5"),
        (["--refill", "9007199254740992"], "--refill: must be at most 9007199254740991"),
        (["--refill", "1", "--workspace-id", "\ud800"], "--workspace-id: must be valid Unicode"),
    ],
)
def test_a_wrong_value_names_its_option(
    options: list[str], message: str, run: Run, sandbox: Sandbox
) -> None:
    """Values are checked before a key is asked for and anything is sent."""
    code, out, err = run(*REFILL[:5], *options)
    assert (code, out) == (2, "")
    assert err.startswith(f"oneloop: {message}")
    assert err.count("\n") == 1
    assert not sandbox.requests


CREATE = (
    *("create-api-key", "--workspace-id", "ws_1", "--name", "n", "--customer-id", "acme"),
    "--enabled",
)


@pytest.mark.parametrize(
    ("scopes", "message"),
    [
        ("[", "expected JSON: Expecting value: line 1 column 2 (char 1)"),
        ("[NaN]", "expected JSON: NaN is not a JSON number"),
        ("[" * 100_000, "the JSON is nested too deeply"),
        ("5", "expected an array, got 5"),
        ('[{"representation": "a"}]', "[0].create: required field is missing"),
        (
            '[{"representation": "a", "create": true, "read": true, "update": true, "del": 4}]',
            "[0].del: expected true or false, got 4",
        ),
        ('["invoices"]', "[0]: expected an object, got a string"),
    ],
)
def test_json_that_is_wrong_names_its_option(scopes: str, message: str, run: Run) -> None:
    """The error has the path inside the JSON, with the names of the API."""
    code, out, err = run(*CREATE, "--scopes", scopes)
    assert (code, out) == (2, "")
    assert err.startswith(f"oneloop: --scopes: {message}"[:60])


def test_a_switch_that_is_missing_is_named(run: Run) -> None:
    """A required boolean has no default."""
    code, _, err = run(*CREATE[:-1], "--scopes", "[]")
    assert (code, err) == (
        2,
        "oneloop: Missing option '--enabled' (see oneloop create-api-key --help)\n",
    )


def test_null_differs_from_leaving_out(run: Run, sandbox: Sandbox) -> None:
    """`null` is null where the API takes it; in quotes it is the text, and [] is an empty list."""
    update = ("update-workspace", "--workspace-id", "ws_1", "--default-expiration", "null")
    more = ("--default-rate-limit-per-second", "null", "--default-allowed-ips", "[]")
    assert run(*update, *more, "--default-key-prefix", '"null"').code == 0
    assert sandbox.requests[-1].json == {
        "defaultKeyPrefix": "null",
        "defaultAllowedIPs": [],
        "defaultRateLimitPerSecond": None,
        "defaultExpiration": None,
    }
    ips = ("--default-allowed-ips", "10.0.0.0/8", "--default-allowed-ips", "::1/128")
    assert run(*update, *more[:2], *ips, "--default-key-prefix", "null").code == 0
    assert sandbox.requests[-1].json["defaultAllowedIPs"] == ["10.0.0.0/8", "::1/128"]
    assert sandbox.requests[-1].json["defaultKeyPrefix"] is None


# --- secrets -------------------------------------------------------------------------------------


def test_an_issued_secret_is_shown_once(run: Run, world: World) -> None:
    """The answers that issue a secret show it: that is what the command is for."""
    place = ("--workspace-id", world.workspace.id, "--api-key-id", world.key.id)
    rotated = json.loads(run("rotate-api-key", *place, "--json").out)["apiKey"]["key"]
    out = run("rotate-api-key", *place).out
    assert rotated not in out
    assert "key " in out
    assert rotated not in run("get-api-key-by-id", *place).out
    token = run("generate-link-token", "--workspace-id", "ws_1", "--customer-id", "acme", "--json")
    assert json.loads(token.out)["token"]


def test_a_secret_that_was_sent_is_never_shown(run: Run, sandbox: Sandbox) -> None:
    """Whatever a server answers: neither the SDK key nor a key that was sent comes back."""
    secret = 'customer"key\u00e9-12345'
    answer = {"status": f"{sandbox.api_key} {secret}", "apiKeyId": secret}
    verify = ("verify-api-key", "--requested-scopes", "[]", "--key-from", "-")
    for json_option in ([], ["--json"]):
        sandbox.misbehave(answering(answer))
        code, out, err = run(*verify, *json_option, typed='customer"key\u00e9-12345\n')
        assert (code, err) == (0, "")
        assert "[redacted] [redacted]" in out
        assert "12345" not in out
        assert sandbox.api_key not in out


def test_an_error_never_shows_a_key(run: Run, sandbox: Sandbox) -> None:
    """A server that quotes the key in its error does not make it visible."""
    message = {"error": {"code": 400, "message": f"bad token {sandbox.api_key}"}}
    sandbox.misbehave(answering(message, 400))
    code, _, err = run(*REFILL)
    assert code == 3
    assert sandbox.api_key not in err


def test_a_secret_is_asked_for(settings: dict[str, str]) -> None:
    """Without a file the secret is typed, and not shown."""
    with Terminal("verify-jwt", env=settings) as terminal:
        terminal.wait_for("jwt:")
        terminal.type("a.b.c\n")
        done = terminal.finish()
    assert done.code == 0
    assert b"a.b.c" not in done.raw


def test_a_secret_cannot_be_an_argument(run: Run) -> None:
    """There is no option for the value of a secret, only for a file with it."""
    assert "No such option: --jwt" in run("verify-jwt", "--jwt", "a.b.c").err
    code, _, err = run("verify-jwt")
    assert code == 2
    assert err.startswith("oneloop: --jwt-from FILE is required")


# --- hostile answers -----------------------------------------------------------------------------

HOSTILE = "[red]x[/red] \x1b[31m\x07\u202e:smile:\x9b2J\r\nid  forged"
SEEN = "[red]x[/red] \\x1b[31m\\x07\\u202e:smile:\\x9b2J\\r\\nid  forged"


def test_texts_of_the_server_are_shown_harmlessly(
    settings: dict[str, str], sandbox: Sandbox
) -> None:
    """Markup is not interpreted, and nothing that a terminal would obey is written."""
    with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        client.create_workspace(name=HOSTILE)
    for json_option in ([], ["--json"]):
        done = shown("get-workspace", *json_option, columns=200, env={**settings, "NO_COLOR": "1"})
        assert done.code == 0
        assert not set(done.raw.decode()) & set("\x1b\x07\u202e\x9b")
    assert json.loads(plain("get-workspace", "--json", env=settings).out)["workspaces"][1][
        "name"
    ] == HOSTILE  # fmt: skip
    assert SEEN in plain("get-workspace", env=settings).out
    assert SEEN in shown("get-workspace", columns=200, env=settings).text


def test_a_narrow_terminal_shows_everything(settings: dict[str, str]) -> None:
    """Where a table is too wide, its rows are shown one by one, and nothing is cut."""
    wide = shown("get-workspace", columns=250, env=settings)
    narrow = shown("get-workspace", columns=30, env=settings)
    assert len(wide.text.split("\n")) == 4  # title, head, rule, row
    assert max(map(len, narrow.text.split("\n"))) <= 30
    assert "ws_1" in narrow.text
    assert "team_sandbox" in narrow.text.replace("\n", "").replace(" ", "")


# --- what our document does not have -------------------------------------------------------------


def test_a_deprecated_operation_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The help of a deprecated operation has a mark."""
    command = _app.OPERATIONS["get-workspace"]._replace(deprecated=True)
    monkeypatch.setitem(_app.OPERATIONS, "get-workspace", command)
    assert "(deprecated)" in run("get-workspace", "--help").out.lower()


def test_choices_are_completed_and_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The values that the document lists are in the help, and are offered by completion."""
    choices = Option("name", "--name", "text", "A name.", choices=("EMAIL", "SMS"))
    command = _app.OPERATIONS["create-workspace"]._replace(options=(choices,))
    monkeypatch.setitem(_app.OPERATIONS, "create-workspace", command)
    assert "One of EMAIL, SMS." in " ".join(run("create-workspace", "--help").out.split())
    parameter = _operations._parameter(choices)
    assert parameter.annotation.__metadata__[0].autocompletion("E") == ["EMAIL"]


def test_a_stored_secret_is_masked() -> None:
    """A secret in an answer that only reads was not issued just now, and is not shown."""
    key = models.IssuedApiKey.from_dict({
        **dict.fromkeys(("id", "name", "maskedKey", "prefix", "customerId", "key"), "x"),
        "expiresAt": None, "scopes": [], "enabled": True, "deleted": False,
        "createdAt": "2026-11-27T12:00:00Z", "updatedAt": "2026-11-27T12:00:00Z",
    })  # fmt: skip
    answer = models.CreateApiKeyResponse(api_key=key)
    form = {"apiKey": {"key": "x", "new": [1]}, "keys": None}
    masked = _operations.masked(answer, form)
    assert masked == {"apiKey": {"key": "[not shown]", "new": [1]}, "keys": None}
    assert _operations.masked([answer], [form]) == [masked]
    assert Secret("x").reveal() == "x"


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_an_object_that_is_null_is_no_success(
    more: tuple[str, ...], run: Run, sandbox: Sandbox
) -> None:
    """The answer is shown. A call that reads has found nothing; another one may have done anything.

    The ledger takes such an answer to a refill for unknown as well.
    """
    name = ("--workspace-id", "ws_1", "--external-meter-id", "nobody")
    found = run("get-customer-billing", *name, *more)
    assert (found.code, found.err) == (3, "oneloop: the API has found nothing: billing is null\n")
    done = run("refill-billing-limit", *name, "--refill", "5", *more)
    assert done.code == 4
    assert done.err.startswith("oneloop: the API has answered that billing is null, as it does if ")
    assert done.err.endswith("look before you repeat it\n")
    for one in (found, done):
        if more:
            assert json.loads(one.out) == {"billing": None}
        else:
            assert one.out == "billing  -\n"


def test_an_answer_with_more_than_an_object_is_one() -> None:
    """Only an object that is null, and that nothing stands beside, is nothing."""
    answer = models.RefillCustomerBillingMeterResponse
    assert missing_object(answer(billing=None)) == "billing"
    assert missing_object(answer.from_dict({"billing": None, "more": 1})) is None
    scope = {"representation": "a", "create": True, "read": True, "update": True, "del": True}
    assert missing_object(models.ApiKeyScope.from_dict(scope)) is None
    assert missing_object([]) is None
