"""The pool: which connection a call gets, who waits, and what interruptions leave behind."""

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from oneloop._http import _pool
from oneloop._http._pool import Pool


class Idle:
    """A connection, as the pool sees it."""

    def __init__(self, expires: float = 1e12) -> None:
        self.number: int | None = None
        self.closed = False
        self.usable = True
        self.expiring: Callable[[], float] = lambda: expires

    @property
    def expires(self) -> float:
        """When it must not be used any more."""
        return self.expiring()

    def is_usable(self) -> bool:
        """Return whether it can be used."""
        return self.usable

    def close(self) -> None:
        """Note that it is closed."""
        self.closed = True


def a_pool(maximum: int = 2, make: Callable[[], Any] = Idle) -> Any:
    """Return a pool of such connections."""
    return Pool(maximum, make)


class Ringing(list[str]):
    """The waiter of a call in the queue: a list that grows with each wake-up."""

    __hash__ = object.__hash__

    def wake(self) -> None:
        """Wake the call."""
        self.append("woken")


def waiting(pool: Any) -> tuple[Ringing, Any]:
    """Join the queue; return the waiter and the entry."""
    waiter = Ringing()
    return waiter, pool.join(waiter)


def test_the_connection_that_was_used_last_is_used_next() -> None:
    """Connections are reused, the last one first, and there are no more than the maximum."""
    pool = a_pool()
    first, second = pool.take(), pool.take()
    assert pool.take() is None
    pool.give_back(first)
    pool.give_back(second)
    assert pool.take() is second
    assert pool.take() is first
    assert pool.connections() == [first, second]


@pytest.mark.parametrize("spoil", ["expires", "is closed"])
def test_a_connection_that_cannot_be_used_is_closed(spoil: str) -> None:
    """A connection that has expired, or that the server has closed, makes room for a new one."""
    pool = a_pool(1)
    old = pool.take()
    pool.give_back(old)
    if spoil == "expires":
        old.expiring = lambda: 0.0
    else:
        old.usable = False
    new = pool.take()
    assert old.closed
    assert new is not old
    assert pool.take() is None


def test_giving_back_closes_a_connection_that_has_expired() -> None:
    """Connections that are not needed any more are closed one by one, as others are given back."""
    pool = a_pool(3)
    taken = [pool.take() for _ in range(3)]
    for one in taken:
        pool.give_back(one)
    assert not any(one.closed for one in taken)
    assert pool.take() is taken[2]
    taken[0].expiring = lambda: 0.0
    pool.give_back(taken[2])
    assert [one.closed for one in taken] == [True, False, False]


def test_giving_back_may_meet_other_threads() -> None:
    """Other threads may take the idle connections while one of them is looked at."""
    pool = a_pool(3)
    first, second = pool.take(), pool.take()
    pool.give_back(first)
    taken: list[Any] = []

    def expires() -> float:
        first.expiring = lambda: 1e12
        taken.extend((pool.take(), pool.take()))
        return 0.0

    first.expiring = expires
    pool.give_back(second)
    assert taken == [second, first]
    assert not first.closed
    assert not second.closed


def test_calls_get_connections_in_the_order_in_which_they_came() -> None:
    """A call that comes later waits behind those in the queue, even if a connection is free."""
    pool = a_pool(1)
    connection = pool.take()
    (first, first_place), (second, second_place) = waiting(pool), waiting(pool)
    pool.give_back(connection)
    assert (first, second) == (["woken"], [])
    assert pool.take() is None
    assert pool.take(second) is None
    assert pool.take(first) is connection
    pool.leave(first_place)
    assert second == []
    pool.discard(connection)
    assert second == ["woken"]
    assert pool.take(second) is not None
    pool.leave(second_place)
    pool.leave(second_place)


def test_a_call_that_leaves_without_its_connection_wakes_the_next() -> None:
    """The turn of a call that was cancelled when it had been woken passes to the next one."""
    pool = a_pool(1)
    connection = pool.take()
    (_first, entry), (second, _) = waiting(pool), waiting(pool)
    pool.give_back(connection)
    pool.leave(entry)
    assert second == ["woken"]
    assert pool.take(second) is connection


def test_a_call_that_was_interrupted_in_the_queue_is_passed_over() -> None:
    """An entry whose waiter is gone, as its call was interrupted, does not stop the queue."""
    pool = a_pool(1)
    connection = pool.take()
    lost, (second, _) = waiting(pool), waiting(pool)
    del lost
    pool.wake_all()
    assert second == ["woken"]
    pool.give_back(connection)
    assert second == ["woken", "woken"]
    assert pool.take(second) is connection
    del second
    pool.give_back(connection)
    assert pool.take() is connection


def test_a_call_that_joins_wakes_the_first() -> None:
    """A call that missed its turn is woken by the next one that comes."""
    pool = a_pool(1)
    first, _ = waiting(pool)
    assert first == ["woken"]
    second, _ = waiting(pool)
    assert (first, second) == (["woken", "woken"], [])
    assert pool.take(first) is not None


def test_a_connection_that_is_lost_frees_its_slot() -> None:
    """A connection that nobody refers to any more does not count."""
    pool = a_pool(1)
    for _ in range(3):
        assert pool.take() is not None
        gc.collect()


def test_a_connection_that_comes_too_late_for_its_slot_takes_another() -> None:
    """If two threads make connections for one slot, the second one does not free it again."""
    others: list[Any] = []

    def make() -> Idle:
        if not others:
            others.append(None)
            others.append(pool.take())  # in another thread, meanwhile
        return Idle()

    pool = a_pool(2, make)
    mine = pool.take()
    assert {mine.number, others[1].number} == {0, 1}
    assert pool.take() is None
    gc.collect()
    assert pool.take() is None

    others.clear()
    pool = a_pool(1, make)
    assert pool.take() is None
    assert others[1].number == 0
    assert pool.take() is None


def test_a_discarded_connection_may_be_discarded_again() -> None:
    """Only the first time frees a slot."""
    pool = a_pool(1)
    one = pool.take()
    pool.discard(one)
    two = pool.take()
    pool.discard(one)
    assert two is not None
    assert pool.take() is None


def test_closing_closes_idle_connections_and_later_those_in_use() -> None:
    """A closed pool keeps no connection, and the calls in its queue still get one."""
    pool = a_pool(2)
    idle, used = pool.take(), pool.take()
    pool.give_back(idle)
    pool.close()
    assert pool.is_closed
    assert (idle.closed, used.closed) == (True, False)
    waiter, entry = waiting(pool)
    pool.give_back(used)
    assert used.closed
    assert "woken" in waiter
    assert pool.take(waiter) is not None
    pool.leave(entry)


def test_idle_connections_can_be_forgotten() -> None:
    """`forget` drops idle connections without closing them, and returns whether there were any."""
    pool = a_pool(2)
    connection = pool.take()
    assert not pool.forget()
    pool.give_back(connection)
    assert pool.forget()
    assert not connection.closed
    assert pool.connections() == [connection]
    del connection
    assert pool.connections() == []


@pytest.mark.parametrize("change", ["another joins", "the only one leaves"])
def test_the_queue_may_change_while_it_is_looked_at(
    change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread may join or leave the queue between two steps of looking at it."""
    pool = a_pool(1)
    waiter, entry = waiting(pool)
    joined: list[Any] = []

    def changed(queue: Any) -> Iterator[Any]:
        found = iter(queue)
        monkeypatch.undo()
        if change == "another joins":
            joined.append(waiting(pool))
        else:
            pool.leave(entry)
        return found

    monkeypatch.setattr(_pool, "iter", changed, raising=False)
    assert pool.take(waiter if change == "another joins" else None) is not None
