"""One refill through the ledger: what is sent, what is written down, and what comes next."""

import json
import pickle
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from oneloop import (
    ArgumentError,
    ArgumentTypeError,
    ArgumentValueError,
    AuthenticationError,
    ConfigurationError,
    OneloopError,
    Outcome,
    PermissionDeniedError,
    RetryPolicy,
)
from oneloop.ledger import (
    AsyncLedger,
    Ledger,
    LedgerConflictError,
    LedgerError,
    LedgerMissingError,
    Refill,
    RefillOrder,
    State,
)
from oneloop.sandbox import Sandbox
from tests.ledger.conftest import QUIET, REFILL, Books

AIM = "refillBillingLimit"


def total(sandbox: Sandbox, meter: str = "acme") -> int:
    """Return the credits of a meter in the sandbox."""
    return sandbox.meter(workspace_id="ws_1", external_meter_id=meter).total_credits


def sent(sandbox: Sandbox) -> int:
    """Return how many refills the sandbox has received."""
    return sum(request.operation == AIM for request in sandbox.requests)


def test_a_refill_is_made_once(books: Books, sandbox: Sandbox) -> None:
    """The same id again has the same answer, and nothing is sent."""
    refill = books.refill()
    assert refill.state is State.APPLIED
    assert (refill.before.total_credits, refill.meter.total_credits) == (1000, 1500)
    assert (refill.attempts, refill.error, refill.conclusion) == (1, None, None)
    assert refill.planned_at <= refill.sent_at <= refill.ended_at
    number = len(sandbox.requests)
    assert books.refill() == refill == books.find("pay_1")
    assert len(sandbox.requests) == number
    assert total(sandbox) == 1500
    assert books.find("pay_2") is None
    assert books.effect() == "total_credits rises"


def test_other_arguments_are_a_conflict(books: Books, sandbox: Sandbox) -> None:
    """The same id with other arguments is an error that shows both, and survives a pickle."""
    books.refill()
    with pytest.raises(LedgerConflictError) as caught:
        books.refill(refill=501)
    error = caught.value
    assert error.existing.refill == 500
    assert error.given.refill == 501
    assert "500 credits for the meter 'acme'" in str(error)
    assert "501 credits" in str(error)
    assert error.outcome is Outcome.NOT_SENT
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert sent(sandbox) == 1


@pytest.mark.parametrize(
    ("fault", "parameters", "state"),
    [
        ("drop-after", {}, State.APPLIED),
        ("drop-before", {}, State.NOT_APPLIED),
        ("late-drop", {"seconds": 1000}, State.APPLIED),
        ("500", {}, State.NOT_APPLIED),
        ("not-json", {"applies": True}, State.APPLIED),
    ],
)
def test_an_unknown_refill_is_settled_by_readings(
    books: Books, sandbox: Sandbox, fault: str, parameters: Any, state: State
) -> None:
    """What the meter shows decides; then the same id returns that, or sends again."""
    books.refill("first")
    sandbox.misbehave(fault, operation=AIM, **parameters)
    refill = books.refill()
    assert refill.state is State.UNKNOWN
    assert "unknown" in refill.error
    sandbox.apply_late()
    (settled,) = books.settle(wait=True)
    assert settled.state is state
    assert settled.conclusion is not None
    assert [entry.what for entry in books.history("pay_1")].count("concluded") == 1
    again = books.refill()
    assert again.state is State.APPLIED
    assert again.attempts == (1 if state is State.APPLIED else 2)
    assert total(sandbox) == 2000


def test_the_same_id_takes_a_settling_step(books: Books, sandbox: Sandbox) -> None:
    """A refill whose outcome is unknown is read at each call, and is not sent before that ends."""
    sandbox.misbehave("drop-before", operation=AIM)
    assert books.refill().state is State.UNKNOWN
    while (refill := books.refill()).state is State.UNKNOWN:
        assert sent(sandbox) == 1
    assert refill.state is State.APPLIED
    assert refill.attempts == 2
    assert total(sandbox) == 1500
    whats = [entry.what for entry in books.history("pay_1")]
    first = ["planned", "sent", "failed", "reading", "reading", "concluded"]
    assert whats == [*first, "sent", "answered"]


def test_readings_wait_for_the_quiet_time(opened: Any, sandbox: Sandbox, tmp_path: Any) -> None:
    """Before it has passed, nothing is read again and nothing concluded."""
    books = opened(str(tmp_path / "refills.db"), quiet=1000)
    sandbox.misbehave("drop-after", operation=AIM)
    books.refill()
    assert books.refill().state is State.UNKNOWN
    number = len(sandbox.requests)
    assert books.refill().state is State.UNKNOWN
    assert len(sandbox.requests) == number


def test_a_late_effect_is_waited_for(books: Books, sandbox: Sandbox) -> None:
    """A meter that changes between two readings is read again until it has been quiet."""
    sandbox.misbehave("late-drop", operation=AIM, seconds=1000)
    books.refill()
    books.settle()
    sandbox.apply_late()
    while (refill := books.settle()[0]).state is State.UNKNOWN:
        pass
    assert refill.state is State.APPLIED
    assert total(sandbox) == 1500


def test_what_readings_cannot_decide_waits_for_a_person(books: Books, sandbox: Sandbox) -> None:
    """Another program's refill makes a reading ambiguous. A person decides, with a note."""
    books.refill("first")
    sandbox.misbehave("drop-before", operation=AIM)
    books.refill()
    with _other(sandbox) as client:
        client.refill_billing_limit(**{**REFILL, "refill": 7})
    (refill,) = books.settle(wait=True)
    assert refill.state is State.UNKNOWN
    assert refill.needs_decision
    assert "rose by 7" in refill.conclusion
    assert books.refill().needs_decision
    busy = books.refill("next")
    assert busy.state is State.PLANNED
    assert "waits for the refill 'pay_1'" in busy.error
    decided = books.decide("pay_1", applied=False, note="Ann asked the customer")
    assert decided.state is State.NOT_APPLIED
    assert decided == books.decide("pay_1", applied=False, note="Ann asked the customer")
    assert decided.conclusion == "decided: Ann asked the customer"
    assert books.history("pay_1")[-1].text == "not applied: Ann asked the customer"
    corrected = books.decide("pay_1", applied=True, note="no, it was")
    assert corrected.state is State.APPLIED
    assert books.decide("pay_1", applied=False, note="no").state is State.NOT_APPLIED
    assert books.refill().state is State.APPLIED
    with pytest.raises(LedgerError, match="'pay_1' is applied"):
        books.decide("pay_1", applied=False, note="the API said so")
    assert books.refill("next").state is State.APPLIED
    assert total(sandbox) == 1000 + 3 * 500 + 7


def _other(sandbox: Sandbox) -> Any:
    from oneloop import Oneloop

    return Oneloop(api_key=sandbox.api_key, base_url=sandbox.url)


def test_other_writers_can_be_declared(opened: Any, sandbox: Sandbox, tmp_path: Any) -> None:
    """Then a rise by exactly the amount proves nothing."""
    books = opened(str(tmp_path / "refills.db"), other_writers=True)
    sandbox.misbehave("drop-after", operation=AIM)
    books.refill()
    (refill,) = books.settle(wait=True)
    assert refill.needs_decision
    assert books.decide("pay_1", applied=True, note="seen").state is State.APPLIED


def test_a_rejected_refill_stays_rejected(books: Books, sandbox: Sandbox) -> None:
    """It is sent again only if that is asked for."""
    sandbox.misbehave("422", operation=AIM)
    refill = books.refill()
    assert refill.state is State.REJECTED
    assert "422" in refill.error
    assert books.refill() == refill
    assert sent(sandbox) == 1
    assert books.refill(retry_rejected=True).state is State.APPLIED
    assert total(sandbox) == 1500


def test_a_meter_that_is_not_there_is_a_rejection(books: Books, sandbox: Sandbox) -> None:
    """Nothing is sent to it, whether the API says 404 or answers null."""
    refill = books.refill(external_meter_id="nobody")
    assert refill.state is State.REJECTED
    assert "there is no meter 'nobody'" in refill.error
    assert refill.attempts == 0
    sandbox.misbehave("404", operation="getCustomerBilling")
    assert books.refill("other").state is State.REJECTED
    assert sent(sandbox) == 0


@pytest.mark.parametrize("status", ["400", "422"])
def test_a_refused_reading_rejects_the_refill(books: Books, sandbox: Sandbox, status: str) -> None:
    """As with a refused refill, repeating it would not help. Nothing was sent."""
    sandbox.misbehave(status, operation="getCustomerBilling")
    refill = books.refill()
    assert (refill.state, refill.attempts) == (State.REJECTED, 0)
    assert refill.error.startswith("the meter could not be read, so nothing was sent: ")
    assert status in refill.error
    assert books.refill(retry_rejected=True).state is State.APPLIED
    assert sent(sandbox) == 1
    with pytest.raises(ArgumentTypeError, match="retry_rejected must be True or False"):
        books.refill(retry_rejected="no")


def test_a_refused_reading_settles_nothing(books: Books, sandbox: Sandbox) -> None:
    """Waiting would not help: the caller gets the reason at once."""
    sandbox.misbehave("drop-after", operation=AIM)
    assert books.refill().state is State.UNKNOWN
    sandbox.misbehave("422", operation="getCustomerBilling")
    (settled,) = books.settle(wait=True)
    assert settled.state is State.UNKNOWN
    assert settled.error.startswith("the meter could not be read: ")
    assert not settled.needs_decision


@pytest.mark.parametrize("status", ["302", "409", "423"])
def test_a_reading_that_fails_is_not_the_refill_s_fault(
    books: Books, sandbox: Sandbox, status: str
) -> None:
    """The API, or something before it, is not ready: the refill is planned, and repeated later."""
    sandbox.misbehave(status, operation="getCustomerBilling", times=100)
    assert books.refill("pay_x").state is State.PLANNED
    rows = [
        {"id": f"pay_{number}", **REFILL, "external_meter_id": f"customer-{number}"}
        for number in range(60)
    ]
    for row in rows:
        sandbox.create_meter(workspace_id="ws_1", external_meter_id=row["external_meter_id"])
    summary = books.run(rows, workers=2)
    assert summary.counts[State.PLANNED] == summary.total
    assert "20 attempts in a row had no effect: " in summary.problem
    sandbox.clear_faults()
    assert books.run(rows).counts[State.APPLIED] == 60


@pytest.mark.parametrize("status", ["408", "429-bare"])
def test_a_refusal_that_passes_is_planned_again(
    books: Books, sandbox: Sandbox, status: str
) -> None:
    """Nothing happened, so that the same id is sent the next time."""
    sandbox.misbehave(status, operation=AIM, times=3)
    refill = books.refill()
    assert refill.state is State.PLANNED
    assert status[:3] in refill.error
    sandbox.clear_faults()
    assert books.refill().state is State.APPLIED
    assert total(sandbox) == 1500


def test_a_meter_that_cannot_be_read_is_not_refilled(books: Books, sandbox: Sandbox) -> None:
    """Without a reading, nothing could settle the refill later."""
    sandbox.misbehave("500", operation="getCustomerBilling", times=3)
    refill = books.refill()
    assert refill.state is State.PLANNED
    assert "could not be read, so nothing was sent" in refill.error
    assert sent(sandbox) == 0
    assert books.refill().state is State.APPLIED


@pytest.mark.parametrize(
    ("status", "error"), [("401", AuthenticationError), ("403", PermissionDeniedError)]
)
def test_a_refused_key_is_raised(
    opened: Any, sandbox: Sandbox, tmp_path: Any, status: str, error: type[OneloopError]
) -> None:
    """No repetition changes that, and the refill is not to blame: it is planned again."""
    books = opened(str(tmp_path / "refills.db"))
    for operation, attempts in (("getCustomerBilling", 0), (AIM, 1)):
        sandbox.misbehave(status, operation=operation)
        with pytest.raises(error):
            books.refill()
        refill = books.find("pay_1")
        assert refill.state is State.PLANNED
        assert refill.attempts == attempts
    assert books.refill().state is State.APPLIED


def test_a_refused_key_is_raised_while_settling(books: Books, sandbox: Sandbox) -> None:
    """Otherwise a job that settles would never tell anybody."""
    sandbox.misbehave("drop-after", operation=AIM)
    books.refill()
    sandbox.misbehave("401", operation="getCustomerBilling", times=2)
    with pytest.raises(AuthenticationError):
        books.settle()
    with pytest.raises(AuthenticationError):
        books.refill()


def test_meters_that_cannot_be_read_stay_unknown(books: Books, sandbox: Sandbox) -> None:
    """Settling goes on when they can."""
    sandbox.misbehave("drop-after", operation=AIM)
    books.refill()
    sandbox.misbehave("503", operation="getCustomerBilling", times=3)
    assert books.settle()[0].state is State.UNKNOWN
    sandbox.misbehave("200", operation="getCustomerBilling", body='{"billing": null}')
    assert books.settle()[0].state is State.UNKNOWN
    assert books.settle(wait=True)[0].state is State.APPLIED


def test_an_answer_without_a_meter_is_unknown(books: Books, sandbox: Sandbox) -> None:
    """The API may answer null, which says nothing; the readings do."""
    sandbox.misbehave("200", operation=AIM, body='{"billing": null}')
    refill = books.refill()
    assert refill.state is State.UNKNOWN
    assert "no meter" in refill.error
    assert books.settle(wait=True)[0].state is not State.UNKNOWN


def test_an_answer_that_cannot_be_used_is_applied(books: Books, sandbox: Sandbox) -> None:
    """The API said that it carried the refill out, although the meter is not as promised."""
    sandbox.misbehave("wrong-shape", operation=AIM)
    refill = books.refill()
    assert refill.state is State.APPLIED
    assert refill.meter is None
    assert refill.error is not None
    assert total(sandbox) == 1500


def test_treat_as_safe_is_not_for_refills(opened: Any, sandbox: Sandbox, tmp_path: Any) -> None:
    """A client that repeats everything blindly does not repeat a refill of a ledger."""
    books = opened(
        str(tmp_path / "refills.db"),
        client={"retry": RetryPolicy(treat_as_safe=True, budget=None, backoff=0)},
    )
    sandbox.misbehave("drop-after", operation=AIM)
    assert books.refill().state is State.UNKNOWN
    assert sent(sandbox) == 1


def test_a_refill_waits_for_another_of_its_meter(books: Books, sandbox: Sandbox) -> None:
    """Two refills of a meter at once: the second is sent when the first has ended."""
    sandbox.misbehave("slow-body", operation=AIM, seconds=0.5)
    other = Ledger(books.ledger._url.database, quiet=QUIET)
    with _other(sandbox) as client, other:
        thread = threading.Thread(
            target=lambda: other.refill(client, id="first", **REFILL), daemon=True
        )
        thread.start()
        while not sent(sandbox):
            pass
        assert books.refill("second").state is State.APPLIED
        thread.join()
        assert other.find("first").state is State.APPLIED  # type: ignore[union-attr]
    assert total(sandbox) == 2000


def test_patience_ends(opened: Any, sandbox: Sandbox, tmp_path: Any) -> None:
    """A refill that waits for longer than `patience` is returned as planned; itself as sending."""
    books = opened(str(tmp_path / "refills.db"), patience=0)
    release = threading.Event()
    sandbox.misbehave("hang", operation=AIM)
    thread = threading.Thread(target=books.refill, args=["first"], daemon=True)
    thread.start()
    while not sent(sandbox):
        pass
    second = books.refill("second")
    assert second.state is State.PLANNED
    assert "'first' of the same meter, which is being sent" in second.error
    assert books.refill("first").state is State.SENDING
    assert books.settle()[0].state is State.SENDING
    release.set()
    sandbox.stop()
    thread.join()


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"id": ""}, ArgumentValueError, "id must not be empty"),
        ({"id": 7}, ArgumentTypeError, "id must be str, not int"),
        ({"id": "x" * 256}, ArgumentValueError, "id must have at most 255 characters, got 256"),
        ({"id": "a\0"}, ArgumentValueError, "id must not contain a NUL"),
        ({"id": "a\ud800"}, ArgumentValueError, "id must not contain"),
        ({"workspace_id": ""}, ArgumentValueError, "workspace_id must not be empty"),
        ({"external_meter_id": None}, ArgumentTypeError, "external_meter_id must be str"),
        ({"refill": 0}, ArgumentValueError, "refill must"),
        ({"refill": 2**53}, ArgumentValueError, "refill must"),
        ({"refill": True}, ArgumentTypeError, "refill must"),
    ],
)
def test_arguments_are_checked_before_anything_is_written(
    books: Books, changes: Any, error: type[ArgumentError], text: str
) -> None:
    """Each error names the argument, and the database is not even made."""
    with pytest.raises(error, match=text):
        books.refill(**changes)
    with pytest.raises(LedgerError, match="there is no ledger at"):
        books.totals()


@pytest.mark.parametrize(
    "use",
    [
        lambda books: books.find("a\ud800"),
        lambda books: books.find_all(["b", "a\0"]),
        lambda books: books.history(""),
        lambda books: books.settle(id="a\0"),
    ],
)
def test_ids_to_look_for_are_checked(books: Books, use: Any) -> None:
    """A database could not take them."""
    books.refill()
    with pytest.raises(ArgumentValueError, match="id must not"):
        use(books)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"create": 1}, "create must be True or False, got 1"),
        ({"database": "a\0b"}, r"database is the path 'a\\x00b', which is none: .*embedded null"),
        ({"database": "sqlite:///a\0b"}, "which is none"),
    ],
)
def test_what_opens_a_ledger_is_checked(options: Any, text: str) -> None:
    """Before any file is made."""
    with pytest.raises(OneloopError, match=text):
        Ledger(**{"database": "refills.db", **options})


def test_a_progress_that_nobody_could_call_is_refused(books: Books, sandbox: Sandbox) -> None:
    """Before anything is sent; a coroutine function would never be awaited."""

    async def awaited(_: object) -> None: ...

    for progress, text in ((5, "progress must be callable"), (awaited, "must not be async")):
        with pytest.raises(ArgumentTypeError, match=text):
            books.run([{"id": "pay_1", **REFILL}], progress=progress)
    assert sandbox.requests == ()


def test_a_path_that_cannot_be_looked_up_is_an_error(tmp_path: Any, sandbox: Sandbox) -> None:
    """The system's own words say why."""
    (tmp_path / "loop").symlink_to("loop")
    for name, why in {
        "x" * 300: "too long",
        "loop/refills.db": "Symlink loop|symbolic links",
    }.items():
        with pytest.raises(OneloopError, match=why):
            Ledger(tmp_path / name).totals()


def test_a_ledger_is_made_by_create_alone_if_that_is_wanted(opened: Any, database: str) -> None:
    """What was lost is not replaced by a ledger that would refill everything again."""
    for kind in ("sync", "async"):
        books = opened(database, kind, create=False)
        if kind == "sync":
            with pytest.raises(LedgerMissingError, match=r"there is no ledger .*create\(\) makes"):
                books.refill()
            assert not Path(database).exists()
            with pytest.raises(LedgerMissingError):
                books.totals()
            for use in (books.settle, partial(books.find_all, ["pay_1"])):
                with pytest.raises(LedgerMissingError):
                    use()
        books.create()
        books.create()
        assert books.totals()[State.APPLIED] == ((0, 0) if kind == "sync" else (1, 500))
        assert books.refill().state is State.APPLIED


def test_ids_may_be_in_any_language(books: Books) -> None:
    """Line breaks, emoji and right-to-left text are text."""
    for name in ("paiement n°1", "دفعة\n", "💸" * 255, "'; DROP TABLE refills; --"):
        assert books.refill(name).state is State.APPLIED
        assert books.find(name).id == name
    assert books.totals()[State.APPLIED] == (4, 2000)


def test_a_client_of_the_other_kind_is_refused(books: Books) -> None:
    """The error names both classes."""
    wrong = object()
    with pytest.raises(ConfigurationError, match=r"must be of class (Async)?Oneloop, got ob"):
        books._run(books.ledger.refill(wrong, id="x", **REFILL))


def test_a_ledger_belongs_to_one_api(tmp_path: Any, sandbox: Sandbox) -> None:
    """What was refilled in one place says nothing about another."""
    from oneloop import Oneloop

    with Ledger(f"sqlite:///{tmp_path}/refills.db") as ledger:
        for url in (sandbox.url, sandbox.url.replace("127.0.0.1", "localhost")):
            with Oneloop(api_key=sandbox.api_key, base_url=url) as client:
                ledger.refill(client, id="pay_1", **REFILL)
        with (
            Oneloop(api_key="k", base_url="https://api.invalid") as client,
            pytest.raises(LedgerError, match=r"belongs to this machine, not to api.invalid:443"),
        ):
            ledger.refill(client, id="pay_2", **REFILL)
    with (
        Ledger(tmp_path / "refills.db") as ledger,
        Oneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client,
    ):
        elsewhere = Oneloop(api_key="k", base_url="https://api.invalid")
        with elsewhere, pytest.raises(LedgerError, match=r"not to api\.invalid:443"):
            ledger.refill(elsewhere, id="pay_2", **REFILL)
        assert ledger.refill(client, id="pay_2", **REFILL).state is State.APPLIED


def test_what_is_returned_can_be_written_as_json(books: Books) -> None:
    """The keys are those of the attributes; the meters are as the API writes them."""
    books.refill()
    books.refill("none", external_meter_id="nobody")
    first, second = (json.loads(json.dumps(one.to_dict())) for one in books.refills())
    assert first["state"] == "applied"
    assert first["meter"]["totalCredits"] == "1500"
    assert first["before"]["totalCredits"] == "1000"
    assert second["meter"] is second["before"] is None
    assert list(first) == [attribute.name for attribute in Refill.__attrs_attrs__]  # type: ignore[attr-defined]


def test_entries_can_be_chosen(books: Books, sandbox: Sandbox) -> None:
    """All, or those of a state, a workspace or a meter, in the order in which they were planned."""
    sandbox.create_meter(workspace_id="ws_1", external_meter_id="b")
    for name in ("2", "1", "3"):
        books.refill(name, external_meter_id="b" if name == "3" else "acme")
    books.refill("4", external_meter_id="nobody")
    ids = [one.id for one in books.refills()]
    assert ids == ["2", "1", "3", "4"]
    assert [one.id for one in books.refills(state="rejected")] == ["4"]
    assert [one.id for one in books.refills(workspace_id="ws_1", external_meter_id="b")] == ["3"]
    assert list(books.refills(workspace_id="ws_2")) == []
    with pytest.raises(ConfigurationError, match="state must be one of planned, sending"):
        books.refills(state="lost")
    assert books.find("1").order == RefillOrder(id="1", **REFILL)


def test_there_is_nothing_to_settle_in_a_new_ledger(books: Books) -> None:
    """A job that settles may begin before the first refill. A decision makes no ledger."""
    assert books.settle() == []
    with pytest.raises(LedgerError, match="there is no ledger"):
        books.decide("x", applied=True, note="n")
    with pytest.raises(LedgerError, match="there is no ledger"):
        books.settle(id="x")


def test_unknown_ids_are_errors(books: Books) -> None:
    """`find` says `None`; whoever needs the refill gets an error that names it."""
    books.refill()
    for call in (
        lambda: books.settle(id="x"),
        lambda: books.history("x"),
        lambda: books.decide("x", applied=True, note="n"),
    ):
        with pytest.raises(LedgerError, match="the ledger has no refill 'x'"):
            call()
    assert books.settle(id="pay_1")[0].state is State.APPLIED
    with pytest.raises(ArgumentValueError, match="note must not be empty"):
        books.decide("pay_1", applied=True, note="")
    with pytest.raises(ArgumentTypeError, match="applied must be"):
        books.decide("pay_1", applied="yes", note="n")


@pytest.mark.parametrize("ledger", [Ledger, AsyncLedger])
@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"database": ""}, "database must be a path"),
        ({"database": 7}, "database must be a path"),
        ({"database": b"x.db"}, "database must be a path"),
        ({"database": ":memory:"}, "must outlive its process"),
        ({"database": "sqlite://"}, "must outlive its process"),
        ({"database": "sqlite:///x?mode=memory&uri=true"}, "must outlive its process"),
        ({"database": "mysql://u:secret@h/d"}, "in SQLite or PostgreSQL, not in 'mysql'"),
        ({"database": "postgresql://u:secret@h:port/d"}, "not a valid URL"),
        ({"quiet": -1}, "quiet must"),
        ({"lease": 0}, "lease must"),
        ({"patience": "long"}, "patience must"),
        ({"other_writers": "no"}, "other_writers must"),
    ],
)
def test_settings_are_checked(ledger: Any, options: Any, text: str) -> None:
    """Each error names the setting, and never a password."""
    with pytest.raises(OneloopError, match=text) as caught:
        ledger(**{"database": "x.db", **options})
    assert "secret" not in str(caught.value)


def test_no_password_is_shown() -> None:
    """`repr` names the database without it."""
    ledger = Ledger("postgresql://u:secret@h/d?password=secret&sslmode=require")
    assert repr(ledger) == "<Ledger in postgresql://u@h/d>"
    assert ledger.database == "postgresql://u@h/d"


def test_a_closed_ledger_says_so(books: Books) -> None:
    """Closing twice does nothing."""
    books.refill()
    books._run(books.ledger.aclose()) if isinstance(books.ledger, AsyncLedger) else books.close()
    for call in (books.refill, books.totals):
        with pytest.raises(LedgerError, match="the ledger is closed"):
            call()


def test_ledgers_are_context_managers(tmp_path: Any, sandbox: Sandbox) -> None:
    """The block closes them, also if nothing was written."""
    import asyncio

    with Ledger(tmp_path / "a.db") as ledger:
        pass
    with pytest.raises(LedgerError):
        ledger.totals()

    async def main() -> None:
        async with AsyncLedger(tmp_path / "a.db") as ledger:
            pass
        with pytest.raises(LedgerError):
            await ledger.totals()

    asyncio.run(main())


def test_what_is_not_learned_yet_is_concluded_later(books: Books, sandbox: Sandbox) -> None:
    """Use of the meter may be mistaken for a refill, until an answer has shown what one does."""
    sandbox.create_meter(workspace_id="ws_1", external_meter_id="b")
    sandbox.misbehave("drop-before", operation=AIM)
    books.refill()
    meter = sandbox.meter(workspace_id="ws_1", external_meter_id="acme")
    sandbox._state.meters.charge(meter, 10, "calls")
    for _ in range(2):
        (refill,) = books.settle(wait=True)
        assert (refill.state, refill.needs_decision) == (State.UNKNOWN, False)
    assert [entry.what for entry in books.history("pay_1")].count("concluded") == 1
    books.refill("other", external_meter_id="b")
    while (refill := books.settle()[0]).state is State.UNKNOWN:
        pass
    assert refill.state is State.NOT_APPLIED


def test_the_history_of_a_refill_that_was_not_sent(books: Books) -> None:
    """It was planned, and failed."""
    books.refill(external_meter_id="nobody")
    assert [entry.what for entry in books.history("pay_1")] == ["planned", "failed"]


def test_a_missing_extra_says_how_to_install_it() -> None:
    """An import without it names what is missing."""
    code = (
        "from importlib import util\nfind = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name == 'psycopg' else find(name, *more)\n"
        "import oneloop.ledger\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "needs SQLAlchemy, psycopg and filelock: pip install 'oneloop[ledger]'" in result.stderr


def test_a_ledger_that_was_copied_by_a_fork_begins_anew(tmp_path: Any, sandbox: Sandbox) -> None:
    """Its lock may be held by a thread that the child does not have."""
    with _other(sandbox) as client, Ledger(tmp_path / "refills.db") as ledger:
        ledger.refill(client, id="pay_1", **REFILL)
        (parent,) = ledger._homes.values()
        parent._lock.acquire()
        ledger._homes = {"another": parent}
        assert ledger.refill(client, id="pay_1", **REFILL).state is State.APPLIED
        ledger.close()
        ledger._homes = {"another": parent}
        ledger.close()  # does not wait for the lock
        parent._lock.release()
        parent.close()
        ledger._homes = {"another": parent}
        with pytest.raises(LedgerError, match="the ledger is closed"):
            ledger.refill(client, id="pay_1", **REFILL)


FORKED = """
import os, sys, threading, warnings
from oneloop import Oneloop
from oneloop.ledger import Ledger

path, key, url = sys.argv[1:]
meter = {"workspace_id": "ws_1", "external_meter_id": "acme", "refill": 1}
client, ledger = Oneloop(api_key=key, base_url=url), Ledger(path)
ledger.refill(client, id="first", **meter)
warnings.simplefilter("ignore")  # newer versions of Python warn of a fork beside threads
if child := os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
barrier, states = threading.Barrier(8), []

def work(number):
    barrier.wait()
    states.append(ledger.refill(client, id=f"pay_{number}", **meter).state)

threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(60)
os._exit(states.count("applied") != 8)
"""


def test_threads_of_a_forked_process_can_begin_at_once(tmp_path: Any, sandbox: Sandbox) -> None:
    """As those of a server do whose workers are forked after it has used the ledger."""
    arguments = [str(tmp_path / "refills.db"), sandbox.api_key, sandbox.url]
    for _ in range(3):
        subprocess.run([sys.executable, "-c", FORKED, *arguments], check=True, timeout=120)


def test_errors_of_any_text_are_written_down(database: str, opened: Any, sandbox: Sandbox) -> None:
    """PostgreSQL takes no NUL, and no database half of a surrogate pair."""
    from oneloop.ledger._model import storable

    books = opened(database)
    text = json.dumps({"error": {"code": 1, "message": "a\0b\ud800c\u202e"}})
    sandbox.misbehave("422", operation=AIM, body=text)
    refill = books.refill()
    assert refill.state is State.REJECTED
    assert books.find("pay_1").error == refill.error
    assert storable("a\0b\ud800") == "a\ufffdb?"
