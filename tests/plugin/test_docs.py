"""The snippets of docs/testing.md run as they are printed."""

import re
import sys

import pytest

from oneloop.sandbox import Fault
from tests import ROOT

PAGE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load no plugins but those that a snippet needs."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_a_snippet_runs_as_printed(number: int, pytester: pytest.Pytester) -> None:
    """Each one is a file of tests, which pass with pytest."""
    pytester.makepyfile(SNIPPETS[number])
    plugins = ("-p", "oneloop._pytest", "-p", "anyio.pytest_plugin")
    result = pytester.runpytest_subprocess(*plugins, "-W", "error", "--strict-markers")
    outcomes = result.parseoutcomes()
    assert set(outcomes) == {"passed"}
    if "Fault.names()" in SNIPPETS[number]:
        assert outcomes["passed"] == len(Fault.names())


def test_the_snippet_for_unittest_runs_without_pytest(pytester: pytest.Pytester) -> None:
    """It is in the section on other runners."""
    (code,) = (one for one in SNIPPETS if "unittest.TestCase" in one)
    pytester.makepyfile(test_it=code)
    result = pytester.run(sys.executable, "-W", "error", "-m", "unittest", "test_it")
    assert "Ran 2 tests" in result.stderr.str()
    assert result.ret == 0


def test_the_page_names_what_there_is() -> None:
    """The three fixtures, the ways to allow a host, and the link to the example."""
    for name in (
        *("`oneloop_sandbox`", "`oneloop_client`", "`async_oneloop_client`", "-p no:oneloop"),
        *("@pytest.mark.oneloop_allow_hosts", "--oneloop-allow-hosts", "(../examples/webhook)"),
    ):
        assert name in PAGE
