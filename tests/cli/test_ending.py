"""How commands end: readers that go away, Ctrl-C, and errors of the console."""

import subprocess

import pytest

from oneloop import ArgumentError, ConfigurationError
from oneloop.cli import _exits
from oneloop.sandbox import Sandbox
from tests.cli.terminal import ONELOOP, PATIENCE, Terminal, environment, shown
from tests.sandbox.refills import wait_for

REFILL = (
    *("refill-billing-limit", "--workspace-id", "ws_1"),
    *("--external-meter-id", "acme", "--refill", "500"),
)


@pytest.mark.parametrize(
    "arguments",
    [("spec", "--document"), ("--help",), REFILL, (*REFILL, "--json"), ("get-workspace",)],
)
def test_a_reader_that_goes_away_is_no_error(
    arguments: tuple[str, ...], settings: dict[str, str]
) -> None:
    """As in `oneloop ... | head -1`: nothing is said, and the exit code is that of the outcome."""
    process = subprocess.Popen(
        [*ONELOOP, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(settings),
    )
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert (process.wait(PATIENCE), err) == (0, b"")


def test_an_error_that_nobody_reads_keeps_its_exit_code(settings: dict[str, str]) -> None:
    """The standard error may be closed, too."""
    command = f"{ONELOOP[0]} -m oneloop xyzzy 2>&1 >/dev/null | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command],
        env=environment(settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.stdout, done.stderr) == ("2\n", "")


@pytest.mark.parametrize("fault", ["hang", "late-apply"])
def test_ctrl_c_says_what_is_known(fault: str, settings: dict[str, str], sandbox: Sandbox) -> None:
    """A refill that was sent may have happened, and that is said; the exit code is 130."""
    sandbox.misbehave(fault)
    with Terminal(*REFILL, env=settings, columns=200) as terminal:
        wait_for(lambda: bool(sandbox.requests))
        terminal.type("\x03")
        done = terminal.finish()
    assert done.code == 130
    said = "oneloop: refill_billing_limit was interrupted: it may have happened"
    assert done.text.split("\n") == ["^C", said]


def test_the_most_severe_exit_code_counts() -> None:
    """Of several outcomes the one counts that asks most of the caller."""
    assert _exits.most_severe([0, 5, 3, 4, 0]) == 4
    assert _exits.most_severe([5, 3]) == 3
    assert _exits.most_severe([5, 0]) == 5
    assert _exits.most_severe([]) == 0


def test_an_error_of_no_option_is_not_shown_as_one() -> None:
    """What an answer has is no argument, and whether something took effect is not known then."""
    error = ArgumentError("must be within the years 1 to 9999").under("updated_at")
    with pytest.raises(ArgumentError) as raised, _exits.naming({"refill": "--refill"}):
        raise error
    assert raised.value is error
    assert _exits.code_of(error) == 4
    with (
        pytest.raises(_exits.CommandError, match=r"^--refill: must be more$"),
        _exits.naming({"refill": "--refill"}),
    ):
        raise ArgumentError("must be more").under("refill")


def test_a_message_is_coloured_without_its_text_being_read(settings: dict[str, str]) -> None:
    """What stands in brackets in an error is no markup of Rich."""
    done = shown("meter", "show", "-w", "[bold]", "-m", ":smile:", env=settings)
    assert done.code == 3
    assert done.text == "oneloop: there is no meter ':smile:' in the workspace '[bold]'"
    assert done.colours == {"red": {done.text}}


def test_an_argument_error_of_an_answer_is_no_usage_error() -> None:
    """Such as a value that was read, and cannot be written: nobody has typed it."""
    assert _exits.code_of(ArgumentError("must be something else")) == _exits.UNKNOWN
    assert _exits.code_of(ConfigurationError("there is no key")) == _exits.USAGE
