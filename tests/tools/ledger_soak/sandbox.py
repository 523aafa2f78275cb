"""The sandbox of a soak, as a process of its own.

`python -m tests.tools.ledger_soak.sandbox REFILLS METERS RATE LATE OTHERS SEED` prints its address.
Then it reads commands, one a line: `calm` ends the faults, and `books` prints what it did as JSON.
It serves until its standard input ends.
"""

import json
import random
import sys
import threading
from collections import Counter
from contextlib import suppress

from oneloop import Oneloop, OneloopError
from oneloop.sandbox import Fault, ReceivedRequest, Sandbox
from tests.tools.soak.faults import FAULTS, RARELY

from .books import Books
from .orders import WORKSPACE, Orders

OPERATIONS = {
    "refillBillingLimit": "refill_billing_limit",
    "getCustomerBilling": "get_customer_billing",
}
CHARGED = 50
"""Number of meters that are charged all the time, as those of customers are."""

OTHERS = 1_000_000
"""Smallest amount of a refill by another program than the ledger's."""

EVERY = 0.02
"""Seconds between two charges."""

OPENING = 1000


def faults(late: float) -> list[Fault]:
    """Return the faults that a call may meet, with refills that happen up to `late` seconds late.

    A refused key ends a run, so it is among the rare ones.
    """
    left_out = Fault.status(401), Fault.rate_limited(100)  # a run waits for as long as it is asked
    kept = [fault for fault in FAULTS if fault.delay is None and fault not in left_out]
    # As often as one in four of the others: they are what a ledger is needed for.
    return kept + [
        Fault.late_apply(late * share, ending=ending)
        for ending in ("drop", "504")
        for share in (0.05, 0.3, 0.6, 0.9, 1.0)
    ]


def rare_faults(late: float) -> list[Fault]:
    """Return the faults that keep a client waiting, and the one that ends a run."""
    return [Fault.hang(), Fault.late_apply(late), Fault.slow_body(30), Fault.status(401)]


class Recorder:
    """Counts what requests did. The sandbox calls it again when a late call takes effect."""

    def __init__(self) -> None:
        self.applied = Counter[tuple[str, int]]()
        self.by_others = Counter[str]()
        self.requests = self.faults = self.late = self.last = 0

    def __call__(self, request: ReceivedRequest) -> None:
        """Count a request."""
        if request.operation not in OPERATIONS:
            return
        is_new = request.number > self.last
        if is_new:
            self.last = request.number
            self.requests += 1
            self.faults += request.fault is not None
        if request.operation == "refillBillingLimit" and request.applied:
            meter, amount = request.json["externalMeterId"], request.json["refill"]
            if amount >= OTHERS:
                self.by_others[meter] += amount
            else:
                self.applied[meter, amount] += 1
            self.late += not is_new


def main() -> None:
    """Serve."""
    refills, meters, rate, late, others, seed = map(float, sys.argv[1:])
    orders, recorder = Orders(int(refills), int(meters)), Recorder()
    ended = threading.Event()
    with Sandbox(on_request=recorder) as sandbox:
        ids = orders.names()
        for name in ids:
            sandbox.create_meter(
                workspace_id=WORKSPACE, external_meter_id=name, total_credits=OPENING
            )
        keys = _keys(sandbox, ids[:CHARGED])
        for operation in OPERATIONS.values():
            shared = {"operation": operation, "seed": int(seed)}
            if rate:
                sandbox.misbehave(*rare_faults(late), rate=rate * RARELY, **shared)
                sandbox.misbehave(*faults(late), rate=rate, **shared)
        charging = threading.Thread(target=_charge, args=(sandbox, keys, ended, others, int(seed)))
        charging.start()
        print(sandbox.url, flush=True)  # noqa: T201 - for the process that started us
        for line in sys.stdin:
            if line == "calm\n":
                sandbox.clear_faults()
            sandbox.apply_late()
            rises = {
                name: sandbox.meter(workspace_id=WORKSPACE, external_meter_id=name).total_credits
                - OPENING
                - recorder.by_others[name]
                for name in ids
            }
            books = Books(
                recorder.applied, rises, recorder.requests, recorder.faults, recorder.late
            )
            print(json.dumps(books.to_json()), flush=True)  # noqa: T201 - see above
        ended.set()
        charging.join()


def _keys(sandbox: Sandbox, meters: list[str]) -> list[str]:
    """Return the values of new keys, one for each of these meters."""
    with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        return [
            client.create_api_key(
                name=name,
                workspace_id=WORKSPACE,
                scopes=[],
                enabled=True,
                customer_id=name,
                external_meter_id=name,
            ).api_key.key
            for name in meters
        ]


def _charge(
    sandbox: Sandbox, keys: list[str], ended: threading.Event, others: float, seed: int
) -> None:
    """Charge meters until the soak has ended, and refill some of them by another program."""
    chance = random.Random(seed)  # noqa: S311 - needs no secrecy
    with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url, timeout=1) as client:
        while keys and not ended.wait(EVERY):
            client.record_api_key_usage(key=chance.choice(keys), usage=1)
            if chance.random() < others * EVERY:
                with suppress(OneloopError):  # it meets faults as well
                    client.refill_billing_limit(
                        workspace_id=WORKSPACE,
                        external_meter_id=f"m{chance.randrange(len(keys))}",
                        refill=OTHERS + chance.randrange(1000),
                    )


if __name__ == "__main__":
    main()
