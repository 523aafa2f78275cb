"""Steps: counts of bytecode instructions, and generators as functions."""

import sys
from collections.abc import Callable, Generator
from types import FrameType
from typing import Any


def steps(work: Callable[[], object], within: str = "") -> int:
    """Return how many bytecode instructions a function takes in files with `within` in the path.

    The count is the same in every run, however busy the machine.
    """
    count = 0

    def entered(frame: FrameType, _event: str, _argument: object) -> Any:
        if within not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return stepped

    def stepped(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        count += event == "opcode"
        return stepped

    before = sys.gettrace()
    # Python 3.12 reports opcodes only if a frame has asked for them before `settrace`.
    sys._getframe().f_trace_opcodes = True
    sys.settrace(entered)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def stepped(generator: Generator[Any, Any]) -> Callable[[Any], Any]:
    """Return a function that sends to a generator and returns what it yields, `None` at the end."""

    def step(value: Any) -> Any:
        try:
            return generator.send(value)
        except StopIteration:
            return None

    return step
