"""The command line as a whole: its help, its version, wrong arguments, and a missing extra."""

import sys
from importlib.metadata import entry_points
from typing import Any

import pytest

import oneloop
import oneloop.__main__
from oneloop.cli import _app
from tests.cli.conftest import Run
from tests.cli.terminal import Terminal, plain, shown


def commands() -> dict[str, Any]:
    """Return every command that does something, by its words, such as `keys rotate`."""
    found: dict[str, Any] = {}
    for name in [*_app.COMMANDS, *_app.OPERATIONS]:
        command = _app.load(name)
        if hasattr(command, "commands"):
            found |= {f"{name} {inner}": one for inner, one in command.commands.items()}
        else:
            found[name] = command
    return found


def test_the_help_lists_all_commands(run: Run) -> None:
    """The help has the commands written by hand first, then the operations, with summaries."""
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    for name, entry in [*_app.COMMANDS.items(), *_app.OPERATIONS.items()]:
        (line,) = (one for one in out.splitlines() if one.startswith(f"  {name} "))
        assert line.split(None, 1)[1][:30] == entry.summary[: len(line.split(None, 1)[1])][:30]
    assert out.index("Commands:") < out.index("Operations of the API:")


def test_nothing_to_do_is_an_error_that_shows_the_help(run: Run) -> None:
    """Without a command the help goes to the standard error, and the exit code is 2."""
    for arguments in ((), ("meter",), ("keys",)):
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("Usage: oneloop")


@pytest.mark.parametrize("words", sorted(commands()))
def test_the_help_of_each_command_has_an_example(words: str, run: Run) -> None:
    """Each command describes itself and all its options, and shows how it is called."""
    code, out, err = run(*words.split(), "--help")
    assert (code, err) == (0, "")
    if words == "sandbox":
        assert out.startswith("usage: oneloop sandbox")
        return
    assert "\n  Example" in out
    assert f"\n    oneloop {words}" in out
    for option in commands()[words].params:
        assert option.help, f"{option.name} has no help"


def test_a_summary_is_that_of_the_command() -> None:
    """What the list says about a command begins as its help does."""
    for name, entry in _app.COMMANDS.items():
        first = _app.load(name).help.split("\n")[0]
        assert entry.summary.rstrip(".").split(",")[0] == first.rstrip(".").split(",")[0]


def test_the_version_says_which_document_it_was_made_from(run: Run) -> None:
    """`--version` shows the version of the package and the digest of the document."""
    expected = f"oneloop {oneloop.__version__} (document {oneloop.SPEC.sha256[:8]})\n"
    assert run("--version") == (0, expected, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["meters"], "there is no command 'meters'; did you mean meter? (see oneloop --help)"),
        (["xyzzy"], "there is no command 'xyzzy' (see oneloop --help)"),
        (["spec", "--jsn"], "No such option: --jsn"),
        (["meter", "show", "-w", "ws_1"], "Missing option '--external-meter-id'"),
        (["meter", "show", "-w"], "Option '-w' requires an argument"),
        (
            ["spec", "x\x1b[31m"],
            "there are more arguments than it takes (not shown, as ",
        ),
        (["meter", "hide"], "No such command 'hide'"),
    ],
)
def test_wrong_arguments_are_one_clear_line(arguments: list[str], message: str, run: Run) -> None:
    """The exit code is 2, and the standard error has one line that names the mistake."""
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"oneloop: {message}")
    assert err.count("\n") == 1
    assert " --help)" in err


def test_an_error_is_red_on_a_terminal_only() -> None:
    """An error has its colour on a terminal, unless NO_COLOR is set, and is not cut."""
    text = "oneloop: there is no command 'xyzzy' (see oneloop --help)"
    coloured = shown("xyzzy")
    assert (coloured.code, coloured.text, coloured.colours) == (2, text, {"red": {text}})
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        bare = shown("xyzzy", env=env)
        assert (bare.text, bare.colours) == (text, {"default": {text}})
        assert b"\x1b" not in bare.raw
    assert plain("xyzzy") == (2, "", f"{text}\n")


def test_the_command_is_installed() -> None:
    """The entry point `oneloop` of the distribution is `oneloop.__main__.main`."""
    found = [one for one in entry_points(group="console_scripts") if one.name == "oneloop"]
    for one in found:  # where the package is installed, and not only importable
        assert one.load() is oneloop.__main__.main


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_a_missing_extra_is_named(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without Typer or Rich the command says which extra to install."""
    monkeypatch.setitem(sys.modules, missing, None)
    assert oneloop.__main__.main() == 2
    assert "pip install 'oneloop[cli]'" in capsys.readouterr().err


def test_a_missing_extra_where_nobody_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard error may be closed, and the exit code is the same."""
    monkeypatch.setitem(sys.modules, "typer", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert oneloop.__main__.main() == 2


def test_an_operation_never_hides_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """If an operation had the name of a command written by hand, it would be `api-...`."""
    (first, *_) = _app.operations.COMMANDS
    listed = _app.operations_by_name([first._replace(name="usage"), first])
    assert [*listed] == ["api-usage", first.name.replace("_", "-")]


def test_what_cannot_be_encoded_is_escaped(settings: dict[str, str]) -> None:
    """A terminal or pipe with another encoding shows escapes, and the command does not fail."""
    done = plain("meter", "show", "-w", "ws_ö", "-m", "acme", env={
        **settings, "PYTHONIOENCODING": "ascii"
    })  # fmt: skip
    assert done.code == 3
    assert "\\xf6" in done.err


def test_interrupting_a_question_ends_the_command() -> None:
    """Ctrl-C while a command asks for the key ends it with 130, and nothing was sent."""
    with Terminal("get-workspace") as terminal:
        terminal.wait_for("SDK key:")
        terminal.type("\x03")
        done = terminal.finish(again="\x03")
    assert done.code == 130
    assert done.text.endswith("oneloop: interrupted")


def test_typer_can_make_the_whole_tree() -> None:
    """No two commands have the same name, and no option of one has the flag of another."""
    for words, command in commands().items():
        flags = [flag for one in command.params for flag in (*one.opts, *one.secondary_opts)]
        assert len(flags) == len(set(flags)), words


@pytest.mark.parametrize("words", ["", "meter show", "refill-billing-limit"])
def test_help_comes_quickly(words: str) -> None:
    """Neither Rich nor a model, an operation, TLS or asyncio is imported for a help."""
    program = (
        "import sys; from oneloop.cli._app import main; code = main(sys.argv[1:]);"
        "print(code, *sys.modules)"
    )
    done = plain(*words.split(), "--help", command=(sys.executable, "-c", program))
    code, *modules = done.out.splitlines()[-1].split()
    assert code == "0"
    slow = {"asyncio", "httptools", "httpx", "rich", "ssl", "oneloop_api.models"}
    slow |= {"oneloop._client", "oneloop_api.api", "sqlalchemy"}
    assert not slow & set(modules)
