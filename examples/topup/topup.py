"""Tops up a customer's meter when a payment arrives, exactly once as far as it can know.

A webhook calls `TopUps.paid`, and a job calls `TopUps.finish` every few minutes. The tests, in
`test_topup.py`, try every fault that the sandbox knows.

A refill whose outcome is unknown must be neither repeated blindly nor forgotten. So it is settled
by reading the meter: once the total has stayed the same for `quiet` seconds, it shows whether the
refill happened. That is right if nothing else refills these meters, and if `quiet` is longer than
a request may be on its way to the API's database after we gave it up.
"""

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass

from oneloop import Oneloop, OneloopError, Outcome

LEDGER = """
CREATE TABLE IF NOT EXISTS payments (
    id TEXT PRIMARY KEY,
    meter TEXT NOT NULL,
    credits INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'open',
    total INTEGER,                     -- what the meter had before the refill; NULL: not sent
    since REAL NOT NULL DEFAULT 0      -- when it began, in seconds since the epoch
);
-- A meter has one refill at a time: otherwise its total would not show which of them happened.
CREATE UNIQUE INDEX IF NOT EXISTS one_refill ON payments (meter)
    WHERE state IN ('refilling', 'doubtful');
"""

OPEN = "open"
"""The payment is in the ledger, and the meter has not been refilled for it."""
REFILLING = "refilling"
"""A refill is under way, or its outcome is not known yet."""
DONE = "done"
"""The meter has been refilled."""
DOUBTFUL = "doubtful"
"""The meter's total is neither of the two that are possible: a person has to look."""


@dataclass(frozen=True)
class Payment:
    """A row of the ledger."""

    id: str
    meter: str
    credits: int
    state: str
    total: int | None
    since: float


class TopUps:
    """Refills meters for payments, and keeps a ledger of them.

    Args:
        client: The client of the API.
        ledger: A database, which may be in a file. It is what survives a crash.
        workspace: The workspace of the meters.
        quiet: Seconds without a change after which a meter's total is trusted.
        patience: Seconds after which a refill that another process began can no longer be under
            way. This must be more than the client's `retry.budget`, plus the time to settle.
        pause: Waits for some seconds; tests replace it.
    """

    def __init__(
        self,
        client: Oneloop,
        ledger: sqlite3.Connection,
        *,
        workspace: str,
        quiet: float = 60.0,
        patience: float = 600.0,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self.client = client
        self.ledger = ledger
        self.workspace = workspace
        self.quiet = quiet
        self.patience = patience
        self.pause = pause
        ledger.executescript(LEDGER)

    def paid(self, payment: str, meter: str, amount: int) -> str:
        """Refill a meter for a payment. The webhook may deliver the payment any number of times.

        Returns:
            The state of the payment. Unless it is `DONE`, `finish` goes on with it.
        """
        insert = "INSERT OR IGNORE INTO payments (id, meter, credits) VALUES (?, ?, ?)"
        with self.ledger:
            self.ledger.execute(insert, (payment, meter, amount))
        return self._work(payment)

    def finish(self) -> dict[str, str]:
        """Go on with all payments that are not done, and return the states of those still not."""
        return {
            one.id: state for one in self._unfinished() if (state := self._work(one.id)) != DONE
        }

    def _work(self, payment: str) -> str:
        """Take a payment as far as possible now. Whatever fails, the ledger still has it."""
        one = self._payment(payment)
        try:
            if one.state == REFILLING and time.time() > one.since + self.patience:
                self._settle(one)  # the process that began it has died, or could not settle it
                one = self._payment(payment)
            if one.state == OPEN:
                self._refill(one)
        except (OneloopError, LookupError) as error:
            print(f"payment {payment}: {error}")
        return self._payment(payment).state

    def _refill(self, one: Payment) -> None:
        begun = self._begin(one)
        if begun is None:
            return
        try:
            self.client.refill_billing_limit(
                workspace_id=self.workspace, external_meter_id=one.meter, refill=one.credits
            )
        except OneloopError as error:
            print(f"payment {one.id}: {error}")
            if error.outcome is Outcome.UNKNOWN:
                self._settle(begun)
            else:
                self._end(begun, DONE if error.outcome is Outcome.APPLIED else OPEN)
        else:
            self._end(begun, DONE)

    def _settle(self, one: Payment) -> None:
        """Find out whether a refill happened. If reading fails, the payment stays as it is."""
        if one.total is None:
            self._end(one, OPEN)
            return
        before, total = None, self._total(one.meter)
        while total != before:  # a refill may take effect after we gave up, or between two readings
            self.pause(self.quiet)
            before, total = total, self._total(one.meter)
        happened = {one.total: OPEN, one.total + one.credits: DONE}
        self._end(one, happened.get(total, DOUBTFUL))

    def _total(self, meter: str) -> int:
        found = self.client.get_customer_billing(
            workspace_id=self.workspace, external_meter_id=meter
        ).billing
        if found is None:
            raise LookupError(f"there is no meter {meter!r}")
        return found.total_credits

    def _begin(self, one: Payment) -> Payment | None:
        """Record that a refill begins; `None` if another one of this meter is under way.

        The total is read after the meter is taken, so that no other refill can come in between.
        """
        begin = "UPDATE payments SET state = ?, total = NULL, since = ? WHERE id = ? AND state = ?"
        try:
            with self.ledger:
                row = (REFILLING, time.time(), one.id, OPEN)
                changed = self.ledger.execute(begin, row).rowcount
        except sqlite3.IntegrityError:  # of the index
            return None
        if not changed:  # another process was faster
            return None
        begun = self._payment(one.id)
        try:
            total = self._total(one.meter)
        except (OneloopError, LookupError):
            self._end(begun, OPEN)
            raise
        with self.ledger:
            self.ledger.execute("UPDATE payments SET total = ? WHERE id = ?", (total, one.id))
        return self._payment(one.id)

    def _end(self, one: Payment, state: str) -> None:
        """Record how a refill ended, unless another process has recorded it since."""
        end = "UPDATE payments SET state = ? WHERE id = ? AND state = ? AND since = ?"
        with self.ledger:
            self.ledger.execute(end, (state, one.id, REFILLING, one.since))

    def _payment(self, payment: str) -> Payment:
        row = self.ledger.execute("SELECT * FROM payments WHERE id = ?", (payment,)).fetchone()
        return Payment(*row)

    def _unfinished(self) -> list[Payment]:
        rows = self.ledger.execute("SELECT * FROM payments WHERE state != ?", (DONE,))
        return [Payment(*row) for row in rows]
