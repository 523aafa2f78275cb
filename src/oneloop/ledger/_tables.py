"""The tables of a ledger, for SQLite and PostgreSQL. docs/ledger.md describes them for readers."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    text,
)

VERSION = "1"
"""Of this schema; a ledger of another one is refused."""

metadata = MetaData()

_NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only an INTEGER

refills = Table(
    "oneloop_refills",
    metadata,
    Column("seq", _NUMBER, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("workspace_id", Text, nullable=False),
    Column("external_meter_id", Text, nullable=False),
    Column("refill", BigInteger, nullable=False),
    Column("meter", Text, nullable=False),  # the two ids of the meter as one
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    # Which sending the state is about. Whoever writes down a result must name it.
    Column("claim", Text),
    Column("owner", Text),
    Column("lease_until", Double),
    # Meters are JSON as the API writes it; times are seconds since the epoch.
    Column("before", Text),
    Column("answer", Text),
    Column("reading", Text),
    Column("reading_at", Double),
    Column("error", Text),
    Column("conclusion", Text),
    Column("needs_decision", Boolean, nullable=False),
    # As whoever sent it had set them: whoever settles it may be more careful, but not less.
    Column("other_writers", Boolean, nullable=False),
    Column("quiet", Double, nullable=False),
    Column("planned_at", Double, nullable=False),
    Column("sent_at", Double),
    Column("ended_at", Double),
    sqlite_autoincrement=True,
)

OPEN = text("state IN ('sending', 'unknown')")
"""As it is in the index: with parameters, neither database would see that the index serves."""

# A meter has one refill at a time. The database enforces it, whatever the processes do.
Index(
    "oneloop_one_at_a_time",
    refills.c.meter,
    unique=True,
    sqlite_where=OPEN,
    postgresql_where=OPEN,
)

_UNFINISHED = text("state IN ('planned', 'sending', 'unknown', 'not applied')")

Index(
    "oneloop_unfinished",
    refills.c.state,
    refills.c.seq,
    sqlite_where=_UNFINISHED,
    postgresql_where=_UNFINISHED,
)

history = Table(
    "oneloop_history",
    metadata,
    Column("seq", _NUMBER, primary_key=True, autoincrement=True),
    Column("refill_id", Text, nullable=False, index=True),
    Column("at", Double, nullable=False),
    Column("what", Text, nullable=False),
    Column("text", Text, nullable=False),
    sqlite_autoincrement=True,
)

# What answered refills have shown of the API, each with the refill that showed it first.
lessons = Table(
    "oneloop_lessons",
    metadata,
    Column("lesson", Text, primary_key=True),
    Column("refill_id", Text, nullable=False),
    Column("at", Double, nullable=False),
)

# The version of the schema, and the API that the ledger belongs to.
facts = Table(
    "oneloop_facts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
