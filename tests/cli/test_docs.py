"""The examples of docs/cli.md are run in a shell, and show what the page shows."""

import re
import subprocess
import sys
from pathlib import Path

from oneloop.cli import _app
from tests import ROOT
from tests.cli.terminal import PATIENCE, environment

PAGE = (ROOT / "docs" / "cli.md").read_text("utf-8")
VARIES = [
    (re.compile(r"\bkey_[0-9a-f]{32}"), "key_0"),
    (re.compile(r"\bsk_[\w-]{43}"), "sk_0"),
    (re.compile(r"\*{4}[\w-]{4}"), "****0"),
    (re.compile(r"\b20\d\d-\d\d-\d\d(?:[ T]\d\d:\d\d:\d\d(?:\.\d+)?)?"), "2026"),
    (re.compile(r"\d\.\d\d s;"), "0 s;"),
    (re.compile(r"in \d+\.\d s$", re.MULTILINE), "in 0 s"),
    (re.compile(r"/\S*/refills\.db"), "/refills.db"),
]
"""What differs from run to run: ids, keys and times."""
NOT_RUN = (
    *("pip ", "export ", "oneloop sandbox"),
    *("oneloop --install-completion", "oneloop --help"),
)


def steps() -> list[tuple[str, str]]:
    """Return the commands of the page, with what it shows below each."""
    found: list[tuple[str, str]] = []
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = step.split("\n")
            last = next(index for index, line in enumerate(lines) if not line.endswith("\\"))
            found.append(("\n".join(lines[: last + 1]), "\n".join(lines[last + 1 :])))
    return found


def same(text: str) -> str:
    """Return a text without what varies."""
    for pattern, instead in VARIES:
        text = pattern.sub(instead, text)
    return text


def test_the_examples_show_what_the_page_shows(settings: dict[str, str], tmp_path: Path) -> None:
    """In the order of the page, with the ids and the key that an earlier example showed."""
    program = tmp_path / "oneloop"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m oneloop "$@"\n', "utf-8")
    program.chmod(0o755)
    env = environment({**settings, "PATH": f"{tmp_path}:{environment()['PATH']}"})
    code, key, secret, ran = 0, "", "", 0
    for command, expected in steps():
        if command.startswith(NOT_RUN):
            continue
        ran += 1
        if command == "echo $?":
            assert expected == f"{code}\n"
            continue
        done = subprocess.run(
            ["bash", "-c", re.sub(r"key_0{32}", key, re.sub(r"sk_0{43}", secret, command))],
            cwd=tmp_path,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        code = done.returncode
        if expected:
            assert same(done.stdout) == same(expected), command
        if issued := re.search(r"^key +(sk_\S+)$", done.stdout, re.MULTILINE):
            secret = issued[1]
            key = re.findall(r"^id +(key_\w+)", done.stdout, re.MULTILINE)[0]
    assert ran > 12


def test_the_page_has_every_command() -> None:
    """The table of the page has all commands that are written by hand."""
    for name in _app.COMMANDS:
        assert f"`oneloop {name}" in PAGE
