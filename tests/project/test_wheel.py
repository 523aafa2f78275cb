"""The wheel contains four packages, has few dependencies, and works in an empty environment."""

import email
import email.message
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import oneloop
from oneloop.sandbox import Sandbox
from tests import ROOT
from tests.project.installation import install, pip, run

LOCK = ROOT / "requirements" / "generate.txt"
PACKAGES = {
    "oneloop": "src",
    "oneloop_core": "src",
    "oneloop_api": "generated",
    "oneloop_overrides": "overrides",
}
# What the wheel requires, with its dependencies. Each further name is one more package for all.
CLOSURE = {"anyio", "attrs", "certifi", "h11", "httpcore", "httptools", "httpx", "idna"}
if sys.version_info < (3, 15):
    CLOSURE.add("typing-extensions")  # anyio requires it on these versions


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    """Return the names of all files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> email.message.Message:
    """Return the METADATA of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of a venv in which pip installed the wheel and its dependencies."""
    return install(wheel, tmp_path_factory.mktemp("venv"), LOCK)


def test_the_wheel_fits_every_system(wheel: Path) -> None:
    """The wheel is pure Python and fits every system."""
    assert wheel.name.startswith("oneloop-")
    assert wheel.name.endswith("-py3-none-any.whl")


def test_the_wheel_contains_only_the_four_packages(names: list[str]) -> None:
    """The wheel contains no test, script or build-time package."""
    top = {name.partition("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == set(PACKAGES)
    assert len(top) == len(PACKAGES) + 1


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_the_wheel_contains_every_source_of_a_package(names: list[str], package: str) -> None:
    """The files of a package are those in the checkout, including py.typed."""
    source = ROOT / PACKAGES[package]
    expected = {
        path.relative_to(source).as_posix()
        for path in (source / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert f"{package}/py.typed" in expected
    assert {name for name in names if name.startswith(f"{package}/")} == expected


def test_the_wheel_contains_the_licence(names: list[str]) -> None:
    """The wheel's metadata contains the licence."""
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]


def test_the_wheel_requires_only_few_packages(
    metadata: email.message.Message,
) -> None:
    """All requirements except httptools, httpx, certifi and attrs belong to an extra."""
    required = metadata.get_all("Requires-Dist", [])
    always = {line for line in required if "extra ==" not in line}
    assert always == {"httptools<1,>=0.6.4", "httpx<1,>=0.27", "certifi>=2024.2.2", "attrs>=23.1"}


def test_the_wheel_names_its_extras_and_python(metadata: email.message.Message) -> None:
    """The extras and the oldest supported Python are those in the README."""
    extras = sorted(metadata.get_all("Provides-Extra", []))
    assert extras == ["cli", "django", "fastapi", "flask", "ledger", "otel", "sandbox"]
    assert metadata["Requires-Python"] == ">=3.11"


def test_the_wheel_has_the_version_of_the_code(metadata: email.message.Message) -> None:
    """The wheel has the version in `oneloop.__version__`."""
    assert metadata["Version"] == oneloop.__version__


def test_installing_installs_only_known_packages(python: Path) -> None:
    """Only oneloop, httptools, httpx, attrs and the dependencies of these are installed."""
    listed = json.loads(pip(python, "list", "--format=json"))
    installed = {entry["name"].lower().replace("_", "-") for entry in listed}
    assert installed - {"pip", "setuptools"} == CLOSURE | {"oneloop"}


def test_the_installed_package_imports_without_a_warning(python: Path) -> None:
    """Every public name can be imported without the checkout and without a warning."""
    code = "import oneloop; from oneloop import *; print(oneloop.__file__)"
    where = run(python, "-I", "-W", "error", "-c", code, cwd=python.parent)
    assert Path(where.strip()).is_relative_to(python.parents[1])


REFILL = """
import sys
from oneloop import Oneloop

with Oneloop(api_key=sys.argv[1], base_url=sys.argv[2]) as client:
    answer = client.refill_billing_limit(
        workspace_id="ws_1", external_meter_id="acme", refill=500
    )
print(answer.billing.total_credits)
"""


def test_a_refill_works_from_the_installed_wheel(python: Path) -> None:
    """A refill of 500 credits over HTTP raises the sandbox's meter from 1000 to 1500."""
    with Sandbox() as sandbox:
        code = ("-I", "-W", "error", "-c", REFILL, sandbox.api_key, sandbox.url)
        printed = run(python, *code, cwd=python.parent)
    assert printed == "1500\n"


COMMAND = ("refill-billing-limit", "--workspace-id", "ws_1", "--external-meter-id", "acme")


def test_the_command_without_its_extra_names_it(python: Path) -> None:
    """`pip install oneloop` installs the command, which says what it needs."""
    for command in ((python.parent / "oneloop",), (python, "-I", "-m", "oneloop")):
        done = subprocess.run(
            [*command, "--help"], cwd=python.parent, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert "pip install 'oneloop[cli]'" in done.stderr


def test_the_command_works_with_its_extra(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the extra `cli` alone, and nothing of the checkout, the command refills a meter."""
    installed = install(wheel, tmp_path, ROOT / "requirements" / "dev.txt", "cli")
    with Sandbox() as sandbox:
        monkeypatch.setenv("ONELOOP_SDK_KEY", sandbox.api_key)
        monkeypatch.setenv("ONELOOP_BASE_URL", sandbox.url)
        command = installed.parent / "oneloop"
        printed = run(command, *COMMAND, "--refill", "500", "--json", cwd=tmp_path)
        refused = subprocess.run(
            [command, "sandbox"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
    assert json.loads(printed)["billing"]["totalCredits"] == "1500"
    assert refused.returncode == 2
    assert "pip install 'oneloop[sandbox]'" in refused.stderr
