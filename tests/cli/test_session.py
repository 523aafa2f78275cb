"""Where a command's key comes from, and that it is never shown."""

from pathlib import Path

import pytest

from oneloop.sandbox import Sandbox
from tests.cli.conftest import Run
from tests.cli.terminal import Terminal, plain

SHOW = ("meter", "show", "-w", "ws_1", "-m", "acme")


def test_the_key_comes_from_a_file(
    run: Run, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--key-file` counts before the environment; spaces and line ends around the key do not."""
    file = tmp_path / "key"
    file.write_text(f"\n {sandbox.api_key} \r\n", "utf-8")
    monkeypatch.setenv("ONELOOP_SDK_KEY", "another-key")
    assert run(*SHOW).code == 3
    assert run(*SHOW, "--key-file", str(file)).code == 0
    assert run(*SHOW, "--key-file", "-", typed=f"{sandbox.api_key}\n").code == 0


def test_a_key_that_the_api_refuses_is_traced_to_its_origin(
    run: Run, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be several keys, and the error says which of them it was, without showing it."""
    sandbox.misbehave("401", times=4)
    file = tmp_path / "key"
    file.write_text("sdk_wrong", "utf-8")
    monkeypatch.setenv("ONELOOP_SDK_KEY", "sdk_wrong")
    for more, origin in (
        (("--key-file", str(file)), str(file)),
        (("--key-file", "-"), "the standard input"),
        ((), "ONELOOP_SDK_KEY"),
    ):
        code, _, err = run(*SHOW, *more, typed="sdk_wrong")
        assert (code, "sdk_wrong" in err) == (3, False)
        assert err.endswith(f"; the SDK key came from {origin}\n")
    monkeypatch.delenv("ONELOOP_SDK_KEY")
    monkeypatch.setenv("ONELOOP_KEY", "sdk_wrong")
    assert run(*SHOW).err.endswith("; the SDK key came from ONELOOP_KEY\n")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "No such file or directory"),
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"key\nkey\n", "has several lines; it must have the secret alone"),
        (b"\xff\xfe", "is not a text file"),
    ],
)
def test_a_key_file_that_has_no_key_is_refused(
    content: bytes | None, problem: str, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    """The error names the option, the file and what is wrong with it; nothing is sent."""
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    code, out, err = run(*SHOW, "--key-file", str(file))
    assert (code, out) == (2, "")
    assert err.startswith(f"oneloop: --key-file: {file}")
    assert err.endswith(f"{problem}\n")
    assert not sandbox.requests


def test_a_folder_is_no_key_file(run: Run, tmp_path: Path) -> None:
    """A folder is named as such, and an empty standard input too."""
    assert "Is a directory" in run(*SHOW, "--key-file", str(tmp_path)).err
    assert run(*SHOW, "--key-file", "-").err == (
        "oneloop: --key-file: the standard input is empty\n"
    )


def test_a_key_that_cannot_be_sent_is_not_shown(run: Run, tmp_path: Path) -> None:
    """A file that was damaged is an error of the configuration, without its content."""
    (tmp_path / "key").write_text("sdk k\u00e9y-12345", "utf-8")
    code, _, err = run(*SHOW, "--key-file", str(tmp_path / "key"))
    assert code == 2
    assert "12345" not in err


def test_the_key_is_asked_for_on_a_terminal(sandbox: Sandbox) -> None:
    """Without a key in the environment it is typed, and not shown."""
    with Terminal(*SHOW, env={"ONELOOP_BASE_URL": sandbox.url}) as terminal:
        terminal.wait_for("SDK key:")
        terminal.type(f"{sandbox.api_key}\n")
        done = terminal.finish()
    assert done.code == 0
    assert "acme in ws_1" in done.text
    assert sandbox.api_key.encode() not in done.raw


@pytest.mark.parametrize("typed", ["\n", "\x04"])
def test_an_empty_answer_is_no_key(typed: str) -> None:
    """Enter or Ctrl-D alone ends the command."""
    with Terminal(*SHOW) as terminal:
        terminal.wait_for("SDK key:")
        terminal.type(typed)
        done = terminal.finish()
    assert done.code == 2
    assert "there is no SDK key: set ONELOOP_SDK_KEY, or use --key-file FILE" in done.text


def test_without_a_terminal_nobody_is_asked() -> None:
    """The error says where a key can come from."""
    done = plain(*SHOW)
    assert done == (
        2, "", "oneloop: there is no SDK key: set ONELOOP_SDK_KEY, or use --key-file FILE\n"
    )  # fmt: skip


def test_a_wrong_base_url_is_named(run: Run) -> None:
    """A base URL that may not be called is an error of the arguments."""
    assert run(*SHOW, "--base-url", "http://api.example.com") == (
        2,
        "",
        "oneloop: --base-url 'http://api.example.com' would send the credential unencrypted; use "
        "https://\n",
    )
    assert run(*SHOW, "--base-url", "ftp://x").err.startswith("oneloop: --base-url must be http")


def test_what_is_wrong_in_the_environment_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not by the name of an argument in Python, which nobody has given."""
    monkeypatch.setenv("ONELOOP_BASE_URL", "ftp://x")
    assert run(*SHOW).err.startswith("oneloop: ONELOOP_BASE_URL must be http:// or https://")
    monkeypatch.setenv("ONELOOP_SDK_KEY", "sdk k\u00e9y")
    monkeypatch.delenv("ONELOOP_BASE_URL")
    problem = "contains a space or a non-ASCII character; check that it was copied completely\n"
    assert run(*SHOW) == (2, "", f"oneloop: ONELOOP_SDK_KEY {problem}")
    (tmp_path / "key").write_text("sdk k\u00e9y", "utf-8")
    file = run(*SHOW, "--key-file", str(tmp_path / "key"))
    assert file == (2, "", f"oneloop: --key-file: the SDK key {problem}")


def test_the_base_url_is_an_option(
    run: Run, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--base-url` counts before the environment."""
    monkeypatch.setenv("ONELOOP_BASE_URL", "http://127.0.0.1:1")
    assert run(*SHOW).code == 5
    assert run(*SHOW, "--base-url", sandbox.url).code == 0
