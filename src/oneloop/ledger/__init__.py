"""Refills exactly once: each is written to a database before it is sent.

    from oneloop import Oneloop
    from oneloop.ledger import Ledger

    with Oneloop() as client, Ledger("refills.db") as ledger:
        refill = ledger.refill(
            client, id="pay_123", workspace_id="ws_1", external_meter_id="acme", refill=500
        )
        print(refill.state, refill.meter)

The same id again returns the same answer, and nothing is sent. docs/ledger.md describes it. Install
it with `pip install 'oneloop[ledger]'`.
"""

from importlib.util import find_spec

if any(find_spec(name) is None for name in ("sqlalchemy", "psycopg", "filelock")):
    raise ImportError(
        "oneloop.ledger needs SQLAlchemy, psycopg and filelock: pip install 'oneloop[ledger]'",
        name=__name__,
    )

from ._asyncio import AsyncLedger
from ._blocking import Ledger
from ._model import (
    HistoryEntry,
    LedgerConflictError,
    LedgerError,
    LedgerMissingError,
    LedgerUnavailableError,
    Progress,
    Refill,
    RefillOrder,
    State,
    Summary,
)

__all__ = [
    "AsyncLedger",
    "HistoryEntry",
    "Ledger",
    "LedgerConflictError",
    "LedgerError",
    "LedgerMissingError",
    "LedgerUnavailableError",
    "Progress",
    "Refill",
    "RefillOrder",
    "State",
    "Summary",
]
