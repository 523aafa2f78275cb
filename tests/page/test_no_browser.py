"""Without a browser the tests of the page are skipped by name, but in CI they fail."""

import shutil

import pytest

from tests.page.browsing import NEEDED, needed_program


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
