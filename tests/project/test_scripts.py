"""The shell scripts work with odd paths, symbolic links and settings meant for other programs."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from tests import ROOT

SCRIPTS = sorted(path.name for path in (ROOT / "scripts").iterdir() if not path.suffix)
PROGRAMS = [
    "generate.sh",
    ".ci/run",
    "benchmarks/run",
    "benchmarks/budget",
    *(f"scripts/{name}" for name in SCRIPTS if name not in ("venv", "browser")),
]
ODD = "Über uns & 'Co'"
TOOLS = ["bash", "cat", "cut", "dirname", "env", "grep", "mktemp", "readlink", "rm", "tail", "tee"]
"""Programs that the scripts may use. All except bash, mktemp and readlink are in POSIX."""
NOTED = """\
#!/usr/bin/env bash
echo "$PWD: ${0##*/} $*" >>"${BASH_SOURCE[0]%/*}/../noted"
"""


def run(
    *command: str | Path, cwd: Path, **environment: str | Path
) -> subprocess.CompletedProcess[str]:
    """Run a program with some variables changed and return its result."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | {name: str(value) for name, value in environment.items()},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def copied(folder: Path) -> Path:
    """Copy all scripts into a folder."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "scripts", folder / "scripts", ignore=ignored)
    for program in ("generate.sh", ".ci/run", "benchmarks/run", "benchmarks/budget"):
        (folder / program).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / program, folder / program)
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of the scripts in which scripts/venv only records how it was called."""
    folder = copied(tmp_path / ODD)
    for name in ("docs", "tests/tools"):
        (folder / name).mkdir(parents=True)
    (folder / "scripts" / "venv").write_text(NOTED, "utf-8")
    (folder / "scripts" / "browser").write_text(
        "#!/usr/bin/env bash\n", "utf-8"
    )  # installs nothing
    return folder


def decoy(folder: Path) -> Path:
    """Create a folder in which CDPATH finds each name that a script may change to."""
    for name in (ODD, ".ci", "benchmarks", "scripts"):
        (folder / name / "scripts").mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_script_finds_its_checkout(checkout: Path, tmp_path: Path, program: str) -> None:
    """A script finds its checkout with CDPATH set, by a relative path and through links."""
    links = tmp_path / "bin"
    links.mkdir()
    (links / "first").symlink_to(f"../{ODD}/{program}")
    (links / "second").symlink_to("first")
    cdpath = decoy(tmp_path / "decoy")
    callers = {
        tmp_path: [f"{ODD}/{program}", "bin/first", links / "second"],
        checkout: [program],
    }
    for caller, commands in callers.items():
        for command in commands:
            (checkout / "noted").unlink(missing_ok=True)
            argument = ["lowest"] if program == "scripts/test-deps" else []
            result = run("bash", command, *argument, cwd=caller, CDPATH=cdpath)
            noted = (checkout / "noted").read_text("utf-8").splitlines()
            where = caller if program == "generate.sh" else checkout
            assert noted[0].startswith(f"{where}: venv "), result.stderr


def test_paths_given_to_generate_are_those_of_the_caller(checkout: Path, tmp_path: Path) -> None:
    """./generate.sh runs in the caller's folder and passes on its arguments unchanged."""
    result = run(tmp_path / ODD / "generate.sh", "--add", "a page.md", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    called = f"env PYTHONPATH={checkout} python -P -m codegen --add a page.md"
    assert (checkout / "noted").read_text("utf-8") == f"{tmp_path}: venv generate {called}\n"


def test_ci_runs_every_step_and_repeats_how_a_failed_one_ended(checkout: Path) -> None:
    """.ci/run runs every step, and ends with the output of the steps that failed."""
    steps = [
        *("scripts/browser", "scripts/test", "benchmarks/budget", "scripts/lint", "scripts/types"),
        "generate.sh",
    ]
    for step in steps:
        status = 1 if step == "scripts/lint" else 0
        text = f"#!/usr/bin/env bash\necho the output of {step} $*\nexit {status}\n"
        (checkout / step).write_text(text, "utf-8")
    result = run(checkout / ".ci" / "run", cwd=checkout)
    assert result.returncode == 1
    printed = result.stdout.splitlines()
    for step in steps:
        argument = " --check" if step == "generate.sh" else ""
        assert f"the output of {step}{argument}" in printed
    assert printed[-4:] == [
        "==> how ./scripts/lint ended",
        "the output of scripts/lint",
        "",
        "FAILED: ./scripts/lint",
    ]


def others(folder: Path) -> dict[str, str | Path]:
    """Return the variables of a machine that is set up for other programs."""
    folder.mkdir()
    (folder / "h11.py").write_text("raise SystemExit('not the one')", "utf-8")
    (folder / "constraints.txt").write_text("h11==0.1", "utf-8")
    (folder / "pip.conf").write_text(CONFIGURATION.format(folder=folder), "utf-8")
    return {
        "CDPATH": decoy(folder),
        "PYTHONPATH": folder,
        "PYTHONHOME": folder,
        "PYTHONSAFEPATH": "1",
        "VIRTUAL_ENV": folder,
        "LC_ALL": "C",
        "LANG": "C",
        "PIP_CONFIG_FILE": folder / "pip.conf",
        "PIP_CONSTRAINT": folder / "constraints.txt",
        "PIP_DRY_RUN": "1",
        "PIP_NO_DEPS": "1",
        "PIP_PREFIX": folder / "prefix",
        "PIP_REQUIRE_VIRTUALENV": "1",
        "PIP_TARGET": folder / "target",
        "PIP_USER": "1",
    }


CONFIGURATION = """\
[global]
user = true
proxy = http://global.invalid:1
index-url = https://global.invalid/simple
[install]
target = {folder}/target
constraint = {folder}/constraints.txt
index-url = https://install.invalid/simple
extra-index-url =
    https://one.invalid/simple
    https://two.invalid/simple
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Run scripts/venv twice at once, in an odd folder, with settings meant for other programs.

    Returns:
        The checkout, which requires only h11 (attrs for `dev`), and the output of each run.
    """
    folder = tmp_path_factory.mktemp("machine")
    checkout = copied(folder / ODD)
    shutil.copytree(ROOT / "src" / "oneloop", checkout / "src" / "oneloop")
    (checkout / "requirements").mkdir()
    for name, package in {"generate": "h11", "dev": "attrs"}.items():
        locked = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")
        (pin,) = re.findall(rf"^{package}==(?:.*\\\n)*.*--hash.*\n", locked, re.MULTILINE)
        (checkout / "requirements" / f"{name}.txt").write_text(pin, "utf-8")
    programs = folder / "bin"
    programs.mkdir()
    for tool in TOOLS:
        (programs / tool).symlink_to(str(shutil.which(tool)))
    variables = others(folder / "others")
    # Remove the settings for a registry: this test needs the one that the machine really uses.
    configuration = folder / "others" / "pip.conf"
    text = re.sub(
        r"(?m)^(proxy|index-url|extra-index-url|    http).*\n", "", configuration.read_text("utf-8")
    )
    configuration.write_text(text, "utf-8")
    environment = os.environ | {name: str(value) for name, value in variables.items()}
    environment |= {"PATH": str(programs), "PYTHON": sys.executable}
    runs = [
        subprocess.Popen(
            [checkout / "scripts" / "venv", "generate"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        for _ in range(2)
    ]
    printed = [process.communicate()[0] for process in runs]
    assert [process.returncode for process in runs] == [0, 0], printed
    return checkout, printed


def test_two_runs_at_once_make_one_environment(made: tuple[Path, list[str]]) -> None:
    """The second of two runs waits for the first and then installs nothing."""
    checkout, printed = made
    said = "scripts/venv: installing requirements/generate.txt into .venv ...\n"
    assert sorted(printed) == ["", said]
    assert [path.name for path in checkout.glob(".venv/.[!g]*")] == []


def test_the_environment_behind_a_link_is_not_cleared(tmp_path: Path) -> None:
    """A link, perhaps to the environment of another checkout, is an error with its remedy."""
    checkout = copied(tmp_path / "checkout")
    shutil.copytree(ROOT / "requirements", checkout / "requirements")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "kept").touch()
    (checkout / ".venv").symlink_to(tmp_path / "other")
    result = run(checkout / "scripts" / "venv", "generate", cwd=tmp_path, PYTHON=sys.executable)
    message = ".venv is a symbolic link; remove it, and the next run makes a folder"
    assert (result.returncode, result.stderr) == (1, f"scripts/venv: {message}\n")
    assert (tmp_path / "other" / "kept").exists()


def test_what_is_required_is_in_the_environment(made: tuple[Path, list[str]]) -> None:
    """Requirements are installed only into the environment, whatever pip's settings are."""
    checkout, _ = made
    result = run(
        checkout / "scripts" / "venv",
        *("generate", "python", "-c", "import h11, oneloop; print(h11.__file__, oneloop.__file__)"),
        cwd=checkout.parent,
        PYTHON=sys.executable,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count(str(checkout)) == 2
    assert not (checkout.parent / "others" / "target").exists()
    assert not (checkout.parent / "others" / "prefix").exists()


def test_an_install_that_went_elsewhere_is_noticed(made: tuple[Path, list[str]]) -> None:
    """An install into another place is a one-line error, and the next run tries again."""
    checkout, _ = made
    (checkout / "scripts" / "registry.py").write_text("", "utf-8")  # replaces pip and does nothing
    result = run(
        checkout / "scripts" / "venv", "dev", cwd=checkout, PYTHON=sys.executable, QUIET="1"
    )
    assert result.returncode == 1
    assert result.stderr == (
        "scripts/venv: pip reported no error for requirements/dev.txt, but the environment is not "
        f"usable: LookupError: attrs is not installed in {checkout / '.venv'}\n"
    )
    assert not (checkout / ".venv" / ".dev").exists()


ASK = "import h11, sys; print(h11.__file__, sys.stdin.read())"


def test_a_command_runs_in_the_environment_of_the_checkout_alone(tmp_path: Path) -> None:
    """A command runs in the checkout's environment, whatever other Python is set up."""
    shell = f'"$0" dev python -c "{ASK}" <&-'
    variables = others(tmp_path / "others")
    result = run("bash", "-c", shell, ROOT / "scripts" / "venv", cwd=tmp_path, **variables)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"{ROOT / '.venv'}{os.sep}")


def reached(folder: Path, **variables: str | Path) -> dict[str, str]:
    """Return the variables that scripts/registry.py sets for pip and uv."""
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    unset = [name for name in os.environ if name.startswith(("PIP_", "UV_", "ALL_PROXY"))]
    without = ("env", *(word for name in unset for word in ("-u", name)))
    named = (f"{name}={value}" for name, value in variables.items())
    registry = (sys.executable, "-I", ROOT / "scripts" / "registry.py")
    result = run(*without, *named, *registry, sys.executable, "-I", "-c", code, cwd=folder)
    assert result.returncode == 0, result.stderr
    given: dict[str, str] = json.loads(result.stdout)
    return given


def test_pip_keeps_the_settings_that_reach_a_registry(tmp_path: Path) -> None:
    """A variable overrides pip.conf, and settings for installs override global ones."""
    variables = others(tmp_path / "others")
    given = reached(tmp_path, **variables | {"PIP_PROXY": "http://variable.invalid:1"})
    assert given["PIP_INDEX_URL"] == "https://install.invalid/simple"
    assert given["PIP_EXTRA_INDEX_URL"].split() == EXTRA
    assert given["PIP_PROXY"] == "http://variable.invalid:1"
    assert given.pop("PIP_CONFIG_FILE") == os.devnull
    assert [name for name in given if name.startswith("PIP_") and name in variables] == []


EXTRA = ["https://one.invalid/simple", "https://two.invalid/simple"]


def test_uv_reaches_the_registry_of_pip(tmp_path: Path) -> None:
    """The settings of pip are passed to uv by uv's names; uv's own settings take precedence."""
    own = {"UV_DEFAULT_INDEX": "https://uv.invalid/simple", "PIP_FIND_LINKS": "one two"}
    given = reached(tmp_path, **others(tmp_path / "others") | own)
    assert given["UV_DEFAULT_INDEX"] == "https://uv.invalid/simple"
    assert given["UV_INDEX"].split() == EXTRA
    assert given["UV_FIND_LINKS"] == "one,two"
    assert given["ALL_PROXY"] == "http://global.invalid:1"


@pytest.mark.parametrize(
    ("pin", "message"),
    [
        (f"attrs=={attrs.__version__} \\\n    --hash=sha256:0", ""),
        ("nothing-such==1 ; sys_platform == 'other' \\", ""),
        ("nothing-such==1 \\", f"LookupError: nothing-such is not installed in {sys.prefix}\n"),
        (
            "attrs==1",
            f"LookupError: attrs {attrs.__version__} is installed in {sys.prefix}, not 1\n",
        ),
        (
            f"attrs==1 ; python_version < '3'\nattrs=={attrs.__version__} ; python_version >= '3'",
            "",
        ),
        (
            "attrs==1 ; python_version < '3'\nattrs==2 ; python_version >= '3'",
            f"LookupError: attrs {attrs.__version__} is installed in {sys.prefix}, not 1 or 2\n",
        ),
    ],
)
def test_what_is_pinned_is_looked_for(tmp_path: Path, pin: str, message: str) -> None:
    """scripts/installed.py looks for each pinned version, except those for other systems."""
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"# made by hand\n{pin}\n", "utf-8")
    check = (sys.executable, "-I", ROOT / "scripts" / "installed.py", requirements)
    result = run(*check, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (1 if message else 0, message)
