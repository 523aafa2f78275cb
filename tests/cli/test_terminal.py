"""The pseudo-terminal of these tests shows what a terminal would show."""

import sys

from tests.cli.terminal import Terminal, plain, shown

PROGRAM = """
import os, signal, sys
print("\\x1b[31mred\\x1b[0m", "\\x1b[1mbold\\x1b[0m", os.get_terminal_size())
for index in range(40):
    print(index)
print("first\\rlast")
try:
    print("got", input("name: "))
    signal.pause()
except KeyboardInterrupt:
    sys.exit(7)
"""


def test_a_terminal_shows_types_and_interrupts() -> None:
    """It has a size, keeps what would scroll away, and Ctrl-C interrupts the command."""
    command = (sys.executable, "-c", PROGRAM)
    with Terminal(command=command, columns=50, rows=9) as terminal:
        terminal.wait_for("name: ")
        terminal.type("acme\n")
        terminal.wait_for("got acme")
        terminal.type("\x03")
        done = terminal.finish()
    assert done.code == 7
    lines = done.text.split("\n")
    assert lines[0].startswith("red bold os.terminal_size(columns=50")
    assert "lines=9" in done.text
    assert "lastt" in lines
    assert done.colours["red"] == {"red"}
    assert done.bold == {"bold"}


def test_a_command_with_pipes_has_no_terminal() -> None:
    """The standard input is what was typed, and both outputs are returned."""
    program = "import sys; print(sys.stdin.read(), sys.stdout.isatty()); sys.exit('no')"
    assert plain(typed="x", command=(sys.executable, "-c", program)) == (1, "x False\n", "no\n")


def test_the_version_is_shown_in_both() -> None:
    """`oneloop --version` shows the version of the package and of its document."""
    assert plain("--version").out.strip() == shown("--version").text
