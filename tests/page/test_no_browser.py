"""Without a browser, tests of the page are skipped, or fail in CI; a script installs one."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import ROOT
from tests.page.browsing import NAMES, NEEDED, needed_program

BASH = shutil.which("bash") or "bash"
APT_GET = f"""\
#!{BASH}
echo "$@" >>"${{0%/*}}/noted"
[[ $1 == install ]]
"""


def test_without_a_browser_the_tests_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason names the package to install."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=NEEDED):
        needed_program()


def test_in_ci_a_missing_browser_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """CI must not pass because it could not look."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=NEEDED):
        needed_program()


def install(folder: Path) -> str:
    """Run scripts/browser with only the programs in a folder; return what it printed."""
    result = subprocess.run(
        [BASH, ROOT / "scripts" / "browser"],
        env={"PATH": str(folder)},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return result.stdout + result.stderr


def put(folder: Path, name: str) -> Path:
    """Put a program into a folder that notes how it is called; `update` fails."""
    (folder / name).write_text(APT_GET, "utf-8")
    (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_browser_is_not_installed_twice(tmp_path: Path, name: str) -> None:
    """Each browser that the tests find will do."""
    put(tmp_path, "apt-get")
    assert install(put(tmp_path, name)) == ""
    assert not (tmp_path / "noted").exists()


def test_a_browser_is_installed_where_that_is_possible(tmp_path: Path) -> None:
    """Root gets Chromium, even if the lists of packages cannot be updated; others are told how."""
    printed = install(put(tmp_path, "apt-get"))
    if os.geteuid():
        assert "install it, for example: apt-get install chromium" in printed
        return
    assert (tmp_path / "noted").read_text("utf-8").splitlines() == [
        "update -qq",
        "install -y -qq --no-install-recommends chromium",
    ]


def test_without_apt_it_says_what_is_missing(tmp_path: Path) -> None:
    """A machine without apt-get goes on: the tests decide whether that is a failure."""
    assert "no Chromium; install it" in install(tmp_path)
