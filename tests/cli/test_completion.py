"""Shell completion, as Typer makes it, in real shells."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.terminal import PATIENCE, Terminal, environment, plain


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a program `oneloop`, as pip installs it, and the script of bash."""
    program = tmp_path / "oneloop"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m oneloop "$@"\n', "utf-8")
    program.chmod(0o755)
    script = plain("--show-completion", "bash").out
    (tmp_path / "completion.bash").write_text(script, "utf-8")
    return tmp_path


def path_with(folder: Path) -> dict[str, str]:
    """Return the environment in which the program is found first."""
    return {"PATH": f"{folder}:{environment()['PATH']}", "HISTFILE": "", "PS1": "$ "}


def test_bash_completes_what_is_typed(folder: Path) -> None:
    """Commands, commands of groups and options are completed in an interactive bash."""
    bash = ("bash", "--noprofile", "--norc", "-i")
    with Terminal(command=bash, env=path_with(folder), columns=120) as terminal:
        terminal.type(f"source {folder}/completion.bash\n")
        for typed, completed in (
            ("oneloop refill-b\t", "oneloop refill-billing-limit"),
            ("--ext\t", "--external-meter-id"),
            ("acme \x15oneloop keys rot\t", "oneloop keys rotate"),
        ):
            terminal.type(typed)
            terminal.wait_for(completed)
        terminal.type("\x15oneloop ke\t\t")
        terminal.wait_for("oneloop keys")
        terminal.type("\x15exit\n")
        assert terminal.finish().code == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script(shell: str, tmp_path: Path) -> None:
    """The script is valid where the shell is there to check it."""
    code, out, err = plain("--show-completion", shell)
    assert (code, err) == (0, "")
    assert f"complete_{shell}" in out
    if shutil.which(shell):
        (tmp_path / "script").write_text(out, "utf-8")
        checked = subprocess.run(
            [shell, "-n", str(tmp_path / "script")],
            capture_output=True,
            check=False,
            timeout=PATIENCE,
        )
        assert checked.returncode == 0, checked.stderr


def test_a_word_that_is_no_command_completes_nothing(folder: Path) -> None:
    """Completion behind a command that does not exist is quiet."""
    env = {**path_with(folder), "_ONELOOP_COMPLETE": "complete_bash"}
    given = {"COMP_WORDS": "oneloop xyzzy --", "COMP_CWORD": "2"}
    done = plain(env={**env, **given}, command=("oneloop",))
    assert (done.code, done.err) == (0, "")
    assert "--workspace-id" not in done.out


@pytest.mark.parametrize("before", ["--version", "--show-completion zsh"])
def test_completion_behind_an_option_that_ends_the_command(before: str) -> None:
    """The option is not carried out while a shell asks."""
    words = f"oneloop {before} refi"
    env = {"_ONELOOP_COMPLETE": "complete_bash", "COMP_WORDS": words}
    done = plain(env={**env, "COMP_CWORD": str(words.count(" "))})
    assert done == (0, "refill\nrefill-billing-limit\n", "")


def test_a_shell_that_is_not_known_is_an_error() -> None:
    """The error lists those that are."""
    code, out, err = plain("--show-completion", "csh")
    assert (code, out) == (2, "")
    assert "'csh' is not one of 'bash', 'zsh', 'fish', 'powershell', 'pwsh'" in err
