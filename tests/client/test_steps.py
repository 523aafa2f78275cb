"""Interruptions and cancellations at every step lose no slot, no connection and no truth."""

import random
import re
import sys

import pytest

from tests.tools import steps
from tests.tools.steps import SCENARIOS, Kind, Walk, modes

EVERY = 25
"""The tests visit each N-th place; `scripts/steps` visits all of them."""


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_wherever_a_call_is_interrupted_the_books_agree(kind: Kind, name: str) -> None:
    """An interruption or a cancellation reaches the caller with a true note, and nothing leaks."""
    for mode in modes(kind):
        walk = Walk(kind, SCENARIOS[name], mode)
        every = EVERY if mode in ("opcode", "line") else 1
        visited = walk.visit(iter(range(random.randint(1, every), 10**9, every)))  # noqa: S311
        assert walk.findings.wrong == []
        if sys.version_info < (3, 12):  # later versions do not trace every place
            assert visited
            assert walk.findings.told["it may have happened"]


def test_the_command_prints_what_it_has_seen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`scripts/steps` prints a line for each kind of client, scenario and kind of place."""
    monkeypatch.setattr(steps, "SCENARIOS", {"fresh": SCENARIOS["fresh"]})
    assert steps.main(["--every", "100"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"(?m)^sync, fresh, opcode: [1-9]\d* places; answered: ", printed)
    assert re.search(r"(?m)^\d+ places, 0 wrong$", printed)


def test_the_command_fails_if_a_slot_is_lost(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the pool did not free the slots of interrupted calls, the walk would find it."""
    monkeypatch.setattr(steps, "SCENARIOS", {"fresh": SCENARIOS["fresh"]})
    monkeypatch.setattr(steps, "CONNECT", 0.1)
    monkeypatch.setattr("oneloop._http._pool.Pool.discard", lambda *_: None)
    monkeypatch.setattr("oneloop._http._pool.Pool._lost", lambda *_: None)
    assert steps.main(["--every", "60"]) == 1
    assert "WRONG" in capsys.readouterr().out
