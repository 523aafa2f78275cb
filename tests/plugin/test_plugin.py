"""The pytest plugin, in runs of its own. tests/project has a run with an installed wheel."""

import re
import sys
from collections.abc import Callable
from typing import TypeAlias

import pytest

Suite: TypeAlias = Callable[..., pytest.RunResult]

XDIST = ("-p", "xdist.plugin")

REFUSED = """
    import pytest
    from oneloop import Oneloop, OneloopError

    def call(host="oneloop.invalid"):
        with Oneloop(api_key="sdk_4711", base_url=f"https://{host}") as client:
            client.get_workspace()

    def refused(host="oneloop.invalid"):
        try:
            call(host)
        except OneloopError as error:
            return "refused in tests" in str(error)
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """Return a function that runs a test suite in a process of its own, with our plugin.

    Other plugins are loaded only where they matter, because loading all of ours takes seconds.
    """
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini("[pytest]\n")

    def run(code: str, *arguments: str, plugin: str = "oneloop._pytest") -> pytest.RunResult:
        pytester.makepyfile(code)
        options = ("-p", plugin, "-W", "error", "--strict-markers")
        return pytester.runpytest_subprocess(*options, *arguments)

    return run


# What is refused


def test_a_call_to_another_host_fails_the_test(suite: Suite) -> None:
    """The error is the reason that pytest shows, and the last lines name the test."""
    result = suite(REFUSED + "\n    def test_it():\n        call()\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E * calls to other machines are refused in tests; make the client in the test *",
            "oneloop refused 1 call to other machines: oneloop.invalid in *py::test_it",
        ]
    )


def test_errors_that_an_application_handles_are_reported(suite: Suite) -> None:
    """The summary has one line, whose length is limited."""
    result = suite(
        REFUSED
        + """
    @pytest.mark.parametrize("n", range(9))
    def test_many(n):
        assert refused() and refused()

    def test_none():
        pass
    """
    )
    result.assert_outcomes(passed=10)
    (line,) = (one for one in result.outlines if "oneloop refused" in one)
    start = "oneloop refused 18 calls to other machines: oneloop.invalid in "
    assert line.startswith(start)
    assert line.endswith(", and 4 more")
    assert line.count("::test_many") == 5


def test_nothing_is_reported_if_nothing_is_refused(suite: Suite) -> None:
    """Calls of this machine are not mentioned."""
    result = suite(REFUSED + "\n    def test_it():\n        assert not refused('127.0.0.1:1')\n")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*oneloop*refused*")


def test_imports_are_not_before_the_plugin(suite: Suite, pytester: pytest.Pytester) -> None:
    """Calls are refused while conftest files and test modules are imported."""
    pytester.makeconftest(REFUSED + "\n    print('conftest', refused())\n")
    result = suite(REFUSED + "\n    print('module', refused())\n    def test_it(): pass\n", "-s")
    result.assert_outcomes(passed=1)
    assert "conftest True" in result.outlines
    assert any("module True" in line for line in result.outlines)
    result.stdout.fnmatch_lines(["oneloop refused 2 calls *: oneloop.invalid in no test"])


def test_the_plugin_may_be_registered_late(suite: Suite, pytester: pytest.Pytester) -> None:
    """A conftest file can ask for it."""
    pytester.makeconftest("pytest_plugins = ['oneloop._pytest']")
    result = suite(REFUSED + "\n    def test_it():\n        assert refused()\n", plugin="pytester")
    result.assert_outcomes(passed=1)


def test_fixtures_of_every_scope_are_refused(suite: Suite) -> None:
    """What is set up and torn down around tests is part of a test."""
    result = suite(
        REFUSED
        + """
    @pytest.fixture(scope="session")
    def around():
        assert refused()
        yield
        assert refused()

    def test_it(around):
        pass
    """
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["oneloop refused 2 calls *: oneloop.invalid in *::test_it"])


def test_it_ends_with_the_run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that runs pytest can call other hosts afterwards, and what it had set is back."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(program=REFUSED.replace("\n    ", "\n") + "\nimport sys, oneloop.testing\n"
        "oneloop.testing.set_testing(True, allow_hosts=['*'])\n"
        "for given in ([], ['--oneloop-allow-hosts=a b'], ['--no-such-option']):\n"
        "    print('exit', int(pytest.main(['-p', 'oneloop._pytest', 'test_one.py', *given])))\n"
        "    assert not refused()\n"
    )  # fmt: skip
    pytester.makepyfile(test_one=REFUSED + "\n    def test_it():\n        assert refused()\n")
    result = pytester.run(sys.executable, "program.py")
    assert [line for line in result.outlines if "exit" in line] == ["exit 0", "exit 4", "exit 4"]
    assert result.ret == 0


# How to allow a host


def test_a_marker_allows_hosts_in_its_test(suite: Suite) -> None:
    """It may stand at a module, a class or a function, and these add up."""
    result = suite(
        REFUSED
        + """
    import unittest
    pytestmark = pytest.mark.oneloop_allow_hosts("a.invalid")

    @pytest.mark.oneloop_allow_hosts("b.invalid", "c.invalid:443")
    class TestIt:
        @pytest.fixture
        def around(self):
            assert not refused("c.invalid")
            yield
            assert not refused("c.invalid")

        @pytest.mark.oneloop_allow_hosts("d.invalid")
        def test_all(self, around):
            assert [one for one in "abcde" if refused(f"{one}.invalid")] == ["e"]

    @pytest.mark.oneloop_allow_hosts("b.invalid")
    class CaseTest(unittest.TestCase):
        def test_some(self):
            assert [one for one in "abc" if refused(f"{one}.invalid")] == ["c"]

    def test_others():
        assert [one for one in "ab" if refused(f"{one}.invalid")] == ["b"]
    """
    )
    result.assert_outcomes(passed=3)


@pytest.mark.parametrize("workers", [(), (*XDIST, "-n1")], ids=["plain", "xdist"])
def test_options_allow_hosts_in_all_tests(
    workers: tuple[str, ...], suite: Suite, pytester: pytest.Pytester
) -> None:
    """The ini option takes several lines, the option can be repeated, and a marker adds to both."""
    pytester.makeini("[pytest]\noneloop_allow_hosts =\n    a.invalid\n    B.invalid c.invalid\n")
    result = suite(
        REFUSED
        + """
    def test_it():
        assert [one for one in "abcdefg" if refused(f"{one}.invalid")] == ["f", "g"]

    @pytest.mark.oneloop_allow_hosts("f.invalid")
    def test_marked():
        assert [one for one in "abcdefg" if refused(f"{one}.invalid")] == ["g"]
    """,
        *("--oneloop-allow-hosts=d.invalid", "--oneloop-allow-hosts", "e.invalid", *workers),
    )
    result.assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("marker", "words"),
    [
        ('oneloop_allow_hosts("https://a.invalid")', "'https://a.invalid' is not a host; pass a"),
        ("oneloop_allow_hosts", "pass hosts, as in oneloop_allow_hosts("),
        ('oneloop_allow_hosts(hosts=["a.invalid"])', "pass hosts, as in oneloop_allow_hosts("),
        ('oneloop_allow_hosts(["a.invalid"])', "['a.invalid'] is not a host; pass a"),
    ],
)
def test_a_wrong_marker_ends_the_run(marker: str, words: str, suite: Suite) -> None:
    """One line names the test and the mistake. No test runs."""
    code = f"import pytest\n@pytest.mark.{marker}\ndef test_it(): pass\ndef test_other(): pass\n"
    result = suite(code)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = (one for one in result.errlines if one.startswith("ERROR"))
    assert re.match(r"ERROR: test_\w+\.py::test_it: @pytest\.mark\.oneloop_allow_hosts: ", line)
    assert words in line


def test_a_wrong_marker_fails_its_test_in_a_worker(suite: Suite) -> None:
    """pytest-xdist has no way to end the run with a message."""
    code = (
        "import pytest\n@pytest.mark.oneloop_allow_hosts\ndef test_it(): pass\ndef test_b(): pass\n"
    )
    result = suite(code, *XDIST, "-n1")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*UsageError: *::test_it: @pytest.mark.oneloop_allow_hosts: *"])


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (("--oneloop-allow-hosts=a.invalid/",), "--oneloop-allow-hosts"),
        (("-o", "oneloop_allow_hosts=b.invalid a.invalid/"), "ini option oneloop_allow_hosts"),
        ((*XDIST, "-n1", "--oneloop-allow-hosts=a.invalid/"), "--oneloop-allow-hosts"),
    ],
    ids=["option", "ini", "xdist"],
)
def test_a_wrong_option_ends_the_run(arguments: tuple[str, ...], where: str, suite: Suite) -> None:
    """One line says where the mistake is."""
    result = suite("def test_it(): pass", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = (one for one in result.errlines if one)
    assert line.startswith(f"ERROR: {where}: 'a.invalid/' is not a host; pass a name")


def test_pytest_describes_the_plugin(suite: Suite) -> None:
    """The options, the marker and the fixtures have a line of help."""
    helped = suite("", "--help").stdout.str()
    assert "--oneloop-allow-hosts=HOST" in helped
    assert re.search(r"oneloop_allow_hosts \(args\):\s+each host that calls", helped)
    marker = "@pytest.mark.oneloop_allow_hosts(?hosts): *"
    suite("", "--markers").stdout.fnmatch_lines([marker])
    result = suite("", "--fixtures")
    for name in ("oneloop_sandbox", "oneloop_client", "async_oneloop_client"):
        result.stdout.fnmatch_lines([f"{name} -- *", "    A*"])


# pytest-xdist and other settings


def test_workers_report_what_they_refused(suite: Suite) -> None:
    """The main process adds up the calls of all workers."""
    result = suite(
        REFUSED
        + """
    @pytest.mark.parametrize("n", range(4))
    def test_it(n, oneloop_client):
        assert refused()
        oneloop_client.get_workspace()

    refused()
    """,
        *XDIST,
        "-n2",
    )
    result.assert_outcomes(passed=4)
    (line,) = (one for one in result.outlines if "oneloop refused" in one)
    assert line.startswith("oneloop refused 6 calls to other machines: ")  # two imported the module
    assert line.count("::test_it") == 4


def test_a_worker_that_crashes_does_not_matter(suite: Suite) -> None:
    """What it refused is not known, and the run goes on."""
    crash = "\n    import os\n    def test_it():\n        refused()\n        os._exit(1)\n"
    result = suite(REFUSED + crash, *XDIST, "-n1")
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


@pytest.mark.parametrize(
    "arguments",
    [("-p", "no:cacheprovider"), ("--import-mode=importlib",), ("-p", "no:terminal"), ("-qq",)],
    ids=" ".join,
)
def test_other_settings_make_no_difference(arguments: tuple[str, ...], suite: Suite) -> None:
    """Calls are refused, and the fixtures work."""
    code = "\n    def test_it(oneloop_client):\n        assert refused()\n"
    assert suite(REFUSED + code, *arguments).ret == 0


# Fixtures

FIXTURES = """
    import os
    import pytest
    from oneloop import AsyncOneloop, Oneloop

    REFILL = {"workspace_id": "ws_1", "external_meter_id": "acme", "refill": 500}

    def credits(sandbox):
        return sandbox.meter(workspace_id="ws_1", external_meter_id="acme").total_credits
"""


@pytest.mark.parametrize("key", [{}, {"ONELOOP_KEY": "sdk_of_the_shell"}], ids=["unset", "set"])
def test_each_test_has_a_sandbox_of_its_own(
    key: dict[str, str], suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An application's own client reaches it, and the environment is restored."""
    for name, value in key.items():
        monkeypatch.setenv(name, value)
    result = suite(
        FIXTURES
        + f"""
    BEFORE = dict(os.environ)

    @pytest.mark.parametrize("n", range(2))
    def test_it(n, oneloop_sandbox, oneloop_client, monkeypatch):
        monkeypatch.undo()
        oneloop_client.refill_billing_limit(**REFILL)
        assert "ONELOOP_KEY" not in os.environ
        with Oneloop() as client:
            client.refill_billing_limit(**REFILL)
        assert credits(oneloop_sandbox) == 2000

    def test_environment():
        changed = dict(os.environ, PYTEST_CURRENT_TEST="") | {{"PYTEST_CURRENT_TEST": ""}}
        assert changed == BEFORE | {{"PYTEST_CURRENT_TEST": ""}}
        assert os.environ.get("ONELOOP_KEY") == {key.get("ONELOOP_KEY")!r}
    """
    )
    result.assert_outcomes(passed=3)


def test_cases_of_unittest_can_use_the_fixtures(suite: Suite) -> None:
    """They name them at the class, and reach the sandbox by the environment."""
    result = suite(
        FIXTURES
        + """
    import unittest

    @pytest.mark.usefixtures("oneloop_sandbox")
    class RefillTest(unittest.TestCase):
        def test_it(self):
            with Oneloop() as client:
                client.refill_billing_limit(**REFILL)
    """
    )
    result.assert_outcomes(passed=1)


def test_no_fixture_is_left_open(suite: Suite) -> None:
    """The client is closed and the sandbox stopped when the test ends."""
    result = suite(
        FIXTURES
        + """
    kept = []

    def test_it(oneloop_sandbox, oneloop_client):
        kept.extend([oneloop_sandbox, oneloop_client])

    def test_after():
        assert kept[1].is_closed
        with pytest.raises(RuntimeError):
            kept[0].url
    """
    )
    result.assert_outcomes(passed=2)


def test_retries_do_not_wait(suite: Suite) -> None:
    """A server that asks for a second each time does not slow the suite down."""
    result = suite(
        FIXTURES
        + """
    import time

    def test_it(oneloop_sandbox, oneloop_client):
        oneloop_sandbox.misbehave("429", times=2)
        start = time.monotonic()
        oneloop_client.refill_billing_limit(**REFILL)
        assert time.monotonic() - start < 1
        assert len(oneloop_sandbox.requests) == 3
    """
    )
    result.assert_outcomes(passed=1)


ASYNC = """
    import gc

    {mark}
    async def test_it(async_oneloop_client, oneloop_sandbox):
        await async_oneloop_client.refill_billing_limit(**REFILL)
        async with AsyncOneloop() as client:
            await client.refill_billing_limit(**REFILL)
        assert credits(oneloop_sandbox) == 2000

    {mark}
    async def test_again(oneloop_sandbox, async_oneloop_client):
        oneloop_sandbox.misbehave("429", times=2)
        await async_oneloop_client.refill_billing_limit(**REFILL)

    def test_nothing_is_left():
        gc.collect()
"""


ASYNCIO = ("-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=function")


@pytest.mark.parametrize(
    ("mark", "arguments"),
    [
        ("@pytest.mark.asyncio", (*ASYNCIO, "-o", "asyncio_mode=strict")),
        ("", (*ASYNCIO, "-o", "asyncio_mode=auto")),
        ("@pytest.mark.asyncio(loop_scope='module')", ASYNCIO),
        (
            "@pytest.mark.anyio\n    @pytest.mark.parametrize('anyio_backend', ['asyncio'])",
            ("-p", "anyio.pytest_plugin"),
        ),
    ],
    ids=["strict", "auto", "module loop", "anyio"],
)
def test_the_async_client_works(mark: str, arguments: tuple[str, ...], suite: Suite) -> None:
    """It does whichever plugin runs the test, and no connection is left for the collector."""
    result = suite(FIXTURES + ASYNC.format(mark=mark), *arguments)
    result.assert_outcomes(passed=3)
    result.stdout.no_fnmatch_line("*ResourceWarning*")


def test_a_missing_extra_fails_the_fixture(suite: Suite, pytester: pytest.Pytester) -> None:
    """The line says how to install it; tests without the fixture are not affected."""
    without = (
        "from importlib import util\nfind = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name == 'starlette' else find(name, *more)\n"
    )
    pytester.makeconftest(without)
    code = "def test_it(oneloop_client): pass\ndef test_other(): pass\n"
    result = suite(code)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*: oneloop.sandbox needs * pip install 'oneloop?sandbox?'*"])


LATER = """
    import atexit, threading

    def later():
        print("at exit:", refused())

    def test_it():
        atexit.register(later)
        threading.Thread(target=lambda: (threading.main_thread().join(), later())).start()
"""


def test_calls_are_refused_until_the_process_ends(suite: Suite) -> None:
    """A thread or a handler of atexit that is left over from a test reaches no other machine."""
    result = suite(REFUSED + LATER, "-s")
    result.assert_outcomes(passed=1)
    assert result.outlines[-2:] == ["at exit: True"] * 2


def test_a_program_that_runs_pytest_gets_back_what_applied(pytester: pytest.Pytester) -> None:
    """After pytest.main, a program calls other machines as before."""
    pytester.makeini("[pytest]\n")
    pytester.makepyfile("def test_it(): pass")
    program = pytester.makepyfile(
        program="""
import pytest, oneloop.testing as testing
pytest.main(["-q", "-p", "oneloop._pytest", "-p", "no:cacheprovider"])
print("testing:", testing.is_testing())
"""
    )
    result = pytester.runpython(program)
    assert result.outlines[-1] == "testing: False"
