"""./generate.sh: reproducible, atomic, and with one-line errors."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest

from codegen import _document, _overlays, _parser, _project, _render, _report, _run, _tree
from codegen.__main__ import main
from codegen._api import Api
from codegen._document import read_document
from codegen._errors import GenerationError
from codegen._findings import Finding, Refusal
from codegen._project import OVERLAYS, PAGE
from codegen._views import names as taken
from tests import ROOT

DOCUMENT = ROOT / "openapi.yaml"
PACKAGE = ROOT / "generated" / "oneloop_api"
GENERATOR = ROOT / "codegen"
SOURCES = [ROOT / "src", ROOT / "overrides"]
OPTIONS = (
    *("--help", "--check", "--demo", "--document", "--output", "--quiet", "--overlay"),
    *("--no-overlays", "--leave-out", "--add", "--ours", "--theirs", "--dry-run", "--diff"),
    *("--lint", "--format", "--prune", "--report", "--patched", "exit codes:"),
)

Result = subprocess.CompletedProcess[str]


def run(
    *command: str | Path, cwd: Path = ROOT, environment: dict[str, str] | None = None
) -> Result:
    """Run a program and return its result."""
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def generate(*arguments: str | Path, **options: Any) -> Result:
    """Run ./generate.sh."""
    return run(ROOT / "generate.sh", *arguments, **options)


def files(folder: Path) -> dict[str, bytes]:
    """Return the contents of all files in a folder except compiled ones."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def names(folder: Path) -> list[str]:
    """Return the names of everything in a folder, hidden or not."""
    return sorted(path.name for path in folder.iterdir())


def times(folder: Path) -> dict[Path, int]:
    """Return the modification time of a folder and of everything in it."""
    return {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate into a folder whose parents do not exist. Tests must not change this folder."""
    output = tmp_path_factory.mktemp("first") / "new" / "folder" / "oneloop_api"
    result = generate("--output", output)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[:4] == [
        "1/4 read     openapi.yaml, overrides/overlay.yaml, overrides/annotations.yaml",
        f"2/4 patch    {len(_overlays.read_actions(*OVERLAYS))} overrides",
        "3/4 generate",
        f"4/4 write    {len(files(output))} files changed in {output}",
    ]
    return output


@pytest.fixture
def output(first: Path, tmp_path: Path) -> Path:
    """Return a generated package that a test may change."""
    return Path(shutil.copytree(first, tmp_path / "output" / "oneloop_api"))


@pytest.fixture
def quick(first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `main` skip reading and validation, and copy the package instead of generating it."""

    def render(_: object, __: object, package: Path, *___: object, **____: object) -> str:
        shutil.copytree(first, package)
        return PAGE.read_text("utf-8")

    monkeypatch.setattr(_render, "render", render)
    monkeypatch.setattr(_document, "read_document", lambda _: {})
    monkeypatch.setattr(_document, "check_document", lambda *_: None)
    monkeypatch.setattr(_document, "problems", lambda *_: [])
    monkeypatch.setattr(_overlays, "read_actions", lambda *_: [])
    monkeypatch.setattr(_parser, "parse", lambda *_: Api([], [], [], []))
    monkeypatch.setattr(_run, "quirks", lambda _: [])


def test_the_committed_package_is_what_is_generated(first: Path) -> None:
    """The committed package is identical to what is generated from the document."""
    assert files(first) == files(PACKAGE)


def test_the_page_of_operations_belongs_to_the_package(
    quick: None, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """docs/operations.md is written and compared together with the committed package."""
    page = tmp_path / "operations.md"
    monkeypatch.setattr(_project, "PACKAGE", output)
    monkeypatch.setattr(_project, "PAGE", page)
    arguments = ["--quiet", "--output", str(output)]
    assert main(arguments) == 0
    assert page.read_bytes() == PAGE.read_bytes()
    page.write_text("old")
    assert main([*arguments, "--check"]) == 1
    assert f"  changed: {page}\n" in capsys.readouterr().out


def test_every_file_is_marked_as_generated(first: Path) -> None:
    """Each Python file says in its first line, each JSON file in its first key, what made it."""
    sources = [path for path in first.rglob("*") if path.is_file() and path.name != "py.typed"]
    for path in sources:
        text = path.read_text("utf-8")
        if path.suffix in (".py", ".pyi"):
            assert text.startswith(f"# {_render.mark('openapi.yaml', ours=True)}\n\n")
        else:
            assert path.name in ("manifest.json", "document.json")
            assert "./generate.sh" in next(iter(json.loads(text).values()))


def test_the_manifest_names_what_the_package_was_made_from(first: Path) -> None:
    """The manifest has the digest of every input and the version of every tool that matters."""
    manifest = json.loads((first / "manifest.json").read_text("utf-8"))
    digests = manifest["sha256"]
    assert list(digests) == sorted(digests)
    sources = {
        path.relative_to(ROOT).as_posix()
        for path in GENERATOR.rglob("*")
        if path.suffix in {".py", ".jinja", ".toml", ".yaml"}
    }
    overlays = {f"overrides/{path.name}" for path in OVERLAYS}
    assert set(digests) == sources | overlays | {"openapi.yaml"}
    sha256sum = run(
        sys.executable,
        "-c",
        "import hashlib,sys; [print(hashlib.sha256(open(p,'rb').read()).hexdigest())"
        " for p in sys.argv[1:]]",
        *digests,
    )
    assert list(digests.values()) == sha256sum.stdout.split()
    assert manifest["tools"] == {tool: version(tool) for tool in manifest["tools"]}
    assert {"jinja2", "ruff"} == set(manifest["tools"])


def test_caches_of_tools_do_not_change_the_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cache files that linters and Python leave among the sources are not inputs."""
    shutil.copytree(GENERATOR, tmp_path / "codegen")
    (tmp_path / "codegen" / ".ruff_cache").mkdir(exist_ok=True)
    (tmp_path / "codegen" / ".ruff_cache" / "CACHEDIR.TAG").touch()
    (tmp_path / "codegen" / "x.pyc").touch()
    expected = _render.templates()
    monkeypatch.setattr(_render, "HERE", tmp_path / "codegen")
    assert _render.templates() == expected


def test_a_second_run_writes_nothing(quick: None, output: Path, capsys: Any) -> None:
    """A second run leaves all files and their modification times unchanged."""
    before = times(output)
    assert main(["--output", str(output)]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == f"4/4 write    nothing changed in {output}"
    assert times(output) == before


def test_the_bytes_depend_on_nothing_around(first: Path, tmp_path: Path) -> None:
    """The output does not depend on locale, time zone, hash seed or working folder."""
    (tmp_path / "ruff.toml").write_text("line-length = 40\n", encoding="utf-8")
    (tmp_path / ".gitignore").write_text("*\n", encoding="utf-8")
    (tmp_path / ".git").mkdir()
    environment = {"LC_ALL": "C", "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7", "PYTHONUTF8": "0"}
    result = generate("--output", "build/api", cwd=tmp_path, environment=environment)
    assert result.returncode == 0, result.stderr
    assert files(tmp_path / "build" / "api") == files(first)


def test_a_package_in_the_working_folder_does_not_change_the_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: Path
) -> None:
    """A folder named attrs or ruff changes neither the order of imports nor the formatter."""
    for name in ("attrs", "ruff"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_project, "PACKAGE", Path("api"))
    monkeypatch.setattr(_project, "PAGE", Path("operations.md"))
    assert main(["--quiet", "--output", "api"]) == 0
    assert files(tmp_path / "api") == files(first)
    assert Path("operations.md").read_bytes() == PAGE.read_bytes()


@pytest.mark.parametrize("more", [[], ["--no-overlays"], ["--output", str(PACKAGE)]])
def test_our_package_is_not_replaced_by_one_of_another_api(
    tmp_path: Path, capsys: Any, more: list[str]
) -> None:
    """A forgotten --output is an error that names it; our package stays as it is."""
    document = tmp_path / "other.yaml"
    document.write_text(OTHER_API, encoding="utf-8")
    before = files(PACKAGE)
    assert main(["--document", str(document), *more]) == 1
    assert capsys.readouterr().err == (
        "generate.sh: other.yaml describes another API than openapi.yaml: --output DIR generates"
        " it elsewhere; generated/oneloop_api stays as it is\n"
    )
    assert files(PACKAGE) == before
    assert main(["--document", str(document), *more, "--dry-run"]) == 0


def test_an_old_package_is_replaced_whole(
    quick: None, output: Path, first: Path, capsys: Any
) -> None:
    """Edited files are restored, missing ones written, and others removed."""
    (output / "client.py").write_text("# edited\n", encoding="utf-8")
    (output / "models" / "extra.py").touch()
    (output / "py.typed").unlink()
    assert main(["--output", str(output)]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == f"4/4 write    3 files changed in {output}"
    assert files(output) == files(first)
    assert names(output.parent) == ["oneloop_api"]


def test_the_package_is_as_readable_as_other_new_files(
    quick: None, output: Path, tmp_path: Path
) -> None:
    """The package's mode follows the umask, although it is made in a private folder."""
    (output / "py.typed").unlink()
    assert main(["--quiet", "--output", str(output)]) == 0
    (tmp_path / "other").mkdir()
    assert output.stat().st_mode == (tmp_path / "other").stat().st_mode


def test_quiet_prints_nothing(quick: None, output: Path, capsys: Any) -> None:
    """--quiet prints nothing if the run succeeds."""
    assert main(["--quiet", "--output", str(output)]) == 0
    assert capsys.readouterr() == ("", "")


def edited(change: Callable[[dict[str, Any]], object]) -> str:
    """Return the text of the document after a change to it."""
    document = read_document(DOCUMENT)
    change(document)
    return json.dumps(document)


def small(**operation: Any) -> dict[str, Any]:
    """Return a document with one operation."""
    answer = {"responses": {"200": {"description": "ok"}}}
    return {
        "openapi": "3.0.3",
        "info": {"title": "T", "version": "1"},
        "servers": [{"url": "https://example.test"}],
        "paths": {"/a": {"get": {"operationId": "a", "tags": ["v1"], **answer, **operation}}},
        "components": {"schemas": {"Thing": {"type": "object", "properties": {}}}},
    }


PLAIN = DOCUMENT.read_text("utf-8")
FAILURES = {
    "missing": (None, "api.yaml cannot be read: [Errno 2]"),
    "bad YAML": (PLAIN + "\na: [", "api.yaml: line "),
    "not OpenAPI 3": ('swagger: "2.0"\n', "api.yaml is not an OpenAPI 3.0 or 3.1 document: its"),
    "unresolved $ref": (
        PLAIN.replace("CustomerBillingMeter'", "Meter'"),
        "api.yaml as patched by the overlays: components.schemas.",
    ),
    "invalid": (
        PLAIN.replace("deleted:\n          type: boolean", "deleted:\n          type: bool"),
        "api.yaml as patched by the overlays: components.schemas.ApiKey",
    ),
    "stale override": (
        PLAIN.replace("^d+$", r"^\d+$"),
        "overlay.yaml: the fix lost-backslash is stale: it matches nothing\n",
    ),
    "invalid once patched": (
        PLAIN.replace("type: number\n", "type: number\n              default: 1.5\n"),
        "api.yaml as patched by the overlays: ",
    ),
    "not supported": (
        json.dumps(small()).replace('"/a"', '"/a?b=c"'),
        "api.yaml: 1 of 1 operations cannot be generated:",
    ),
}


@pytest.mark.parametrize(("document", "message"), FAILURES.values(), ids=FAILURES)
def test_a_failing_run_changes_nothing(
    output: Path, tmp_path: Path, monkeypatch: Any, capsys: Any, document: str | None, message: str
) -> None:
    """A failed run prints what is wrong, leaves no draft, and does not touch the old package."""
    (output / "client.py").write_text("# the old one\n", encoding="utf-8")
    before, written = files(output), times(output)
    if document is not None:
        (tmp_path / "api.yaml").write_text(document, encoding="utf-8")
    options = ["--quiet", "--document", str(tmp_path / "api.yaml"), "--output", str(output)]
    assert main(options) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("generate.sh: ")) == ("", 1)
    assert err.startswith(f"generate.sh: {message}")
    assert (files(output), times(output)) == (before, written)
    assert names(output.parent) == ["oneloop_api"]


def test_a_failing_program_prints_an_error_and_exits_1(output: Path, tmp_path: Path) -> None:
    """The script exits with the status that `main` returns."""
    result = generate("--document", tmp_path / "none.yaml", "--output", output)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("generate.sh: none.yaml cannot be read: [Errno 2]")


def started(output: Path, moment: str) -> subprocess.Popen[str]:
    """Start ./generate.sh and return its process once a file of its draft is there."""
    command: list[str | Path] = [ROOT / "generate.sh", "--quiet", "--output", output]
    process = subprocess.Popen(command, text=True, stderr=subprocess.PIPE)
    while not any(output.parent.glob(moment)):
        assert process.poll() is None
        time.sleep(0.01)
    return process


def stopped(output: Path, moment: str, sent: signal.Signals) -> tuple[int, str]:
    """Start ./generate.sh, send it a signal, and return its exit code and what it said.

    coverage measures the run. If the signal comes while coverage holds its lock, the run waits for
    that lock for ever, which has been seen once. Such a run is killed, and another one started.
    """
    for _ in range(3):
        with started(output, moment) as process:
            process.send_signal(sent)
            try:
                _, err = process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
            else:
                return process.returncode, err
    pytest.fail("three runs hung")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("moment", [".draft-*", ".draft-*/oneloop_api/models/*.py"])
def test_a_stopped_run_tidies_up(output: Path, sent: signal.Signals, moment: str) -> None:
    """A signal that asks a run to stop leaves the old package, and no draft."""
    (output / "client.py").write_text("# the old one\n", encoding="utf-8")
    before = files(output)
    code, err = stopped(output, moment, sent)
    how = "interrupted" if sent == signal.SIGINT else "terminated"
    assert (code, err) == (128 + sent, f"generate.sh: {how}; nothing was changed\n")
    assert (files(output), names(output.parent)) == (before, ["oneloop_api"])


def test_a_killed_run_leaves_the_old_package(quick: None, output: Path, first: Path) -> None:
    """A killed run leaves the old package, and the next run removes its draft."""
    (output / "client.py").write_text("# the old one\n", encoding="utf-8")
    before = files(output)
    with started(output, ".draft-*/oneloop_api/models/*.py") as process:
        process.kill()
    assert files(output) == before
    assert len(names(output.parent)) == 2
    assert main(["--quiet", "--output", str(output)]) == 0
    assert files(output) == files(first)
    assert names(output.parent) == ["oneloop_api"]


def test_a_second_run_at_once_waits(output: Path, first: Path) -> None:
    """Two runs at once both succeed, one after the other."""
    (output / "client.py").write_text("# the old one\n", encoding="utf-8")
    with started(output, ".draft-*") as process:
        second = generate("--output", output)
        assert process.wait() == 0
    assert second.returncode == 0, second.stderr
    lines = second.stdout.splitlines()
    assert lines[0] == f"waiting for another run that is writing to {output.parent} ..."
    assert f"4/4 write    nothing changed in {output}" in lines
    assert files(output) == files(first)


def test_without_a_formatter_nothing_is_written(output: Path, tmp_path: Path) -> None:
    """Without ruff the run fails, instead of writing code that is not formatted."""
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    (site,) = (tmp_path / "venv" / "lib").glob("python3*/site-packages")
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.startswith("ruff"):
            (site / path.name).symlink_to(path)
    before = files(output)
    result = run(
        tmp_path / "venv" / "bin" / "python",
        *("-m", "codegen", "--quiet", "--output", output),
        environment={"PYTHONPATH": os.pathsep.join(map(str, (ROOT, *SOURCES)))},
    )
    assert re.fullmatch("generate.sh: ruff check: .*: No module named ruff\n", result.stderr), (
        result.stderr
    )
    assert (result.returncode, files(output)) == (1, before)
    assert names(output.parent) == ["oneloop_api"]


@pytest.mark.parametrize("kind", ["folder", "folder with a manifest", "file"])
def test_what_was_not_generated_is_not_replaced(tmp_path: Path, kind: str, capsys: Any) -> None:
    """--output never replaces a file or folder that was not generated."""
    target = tmp_path / "precious"
    if kind == "file":
        target.write_text("mine", encoding="utf-8")
    else:
        target.mkdir()
        (target / "thesis.txt").write_text("mine", encoding="utf-8")
        if kind != "folder":  # for example that of a web application
            (target / "manifest.json").write_text("{}", encoding="utf-8")
    before = times(tmp_path)
    assert main(["--quiet", "--output", str(target)]) == 1
    message = f"generate.sh: {target} is not a generated package; it is not replaced\n"
    assert (capsys.readouterr().err, times(tmp_path)) == (message, before)


def test_an_empty_folder_may_be_generated_into(quick: None, tmp_path: Path, first: Path) -> None:
    """An empty folder, such as mktemp makes, is a valid target."""
    (tmp_path / "empty").mkdir()
    assert main(["--quiet", "--output", str(tmp_path / "empty")]) == 0
    assert files(tmp_path / "empty") == files(first)


def test_a_folder_that_cannot_be_made_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """If the target cannot be created, the operating system's message is printed in one line."""
    (tmp_path / "file").touch()
    assert main(["--quiet", "--output", str(tmp_path / "file" / "api" / "package")]) == 1
    assert capsys.readouterr().err.startswith("generate.sh: [Errno ")


def test_check_is_content_with_what_would_be_generated(first: Path) -> None:
    """--check exits with 0 and changes nothing if the package is up to date."""
    before = times(first.parent)
    result = generate("--check", "--output", first)
    assert result.returncode == 0
    assert result.stdout.splitlines()[-1] == "4/4 compare  0 differences"
    assert times(first.parent) == before


def test_check_lists_every_difference_and_the_command(
    quick: None, output: Path, capsys: Any
) -> None:
    """--check lists changed, missing and additional files, and changes none of them."""
    (output / "client.py").write_text("# edited\n", encoding="utf-8")
    (output / "models" / "extra.py").touch()
    (output / "py.typed").unlink()
    before = times(output.parent)
    assert main(["--check", "--quiet", "--output", str(output)]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines() == [
        f"generate.sh: {output} is not what would be generated:",
        "  changed: client.py",
        "  not generated: models/extra.py",
        "  missing: py.typed",
        f"Run ./generate.sh --output {output} and commit what it changes.",
    ]
    assert times(output.parent) == before


def test_check_of_another_document_names_it_in_the_command(
    quick: None, tmp_path: Path, capsys: Any
) -> None:
    """The command that --check suggests names the document, quoted for the shell."""
    document = tmp_path / "my api.yaml"
    document.write_text("{}", encoding="utf-8")
    assert main(["--check", "--quiet", "--document", str(document)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "generate.sh: generated/oneloop_api is not what would be generated:",
        "  changed: manifest.json",
        f"Run ./generate.sh --document '{document}' and commit what it changes.",
    ]


def test_check_of_nothing_makes_nothing(
    quick: None, tmp_path: Path, first: Path, capsys: Any
) -> None:
    """If there is no package, --check reports every file as missing and creates no folder."""
    assert main(["--check", "--quiet", "--output", str(tmp_path / "new" / "package")]) == 1
    lines = capsys.readouterr().out.splitlines()
    listed = [line for line in lines if line.startswith("  missing: ")]
    assert len(listed) == len(files(first))
    assert names(tmp_path) == []


def test_compiled_files_are_no_difference(output: Path, first: Path) -> None:
    """Compiled files that Python writes beside the sources are ignored."""
    (output / "__pycache__").mkdir()
    (output / "__pycache__" / "client.cpython-311.pyc").touch()
    assert _tree.differences(output, first) == []


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_lists_every_option_before_anything_is_installed(tmp_path: Path, flag: str) -> None:
    """--help works with any Python on the path and does not create .venv."""
    shutil.copy(ROOT / "generate.sh", tmp_path)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    shutil.copytree(GENERATOR, tmp_path / "codegen")
    (tmp_path / "bin").mkdir()
    bare = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    (tmp_path / "bin" / "python3").symlink_to(bare)
    path = f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin"
    result = run(tmp_path / "generate.sh", flag, environment={"PATH": path})
    assert (result.returncode, result.stderr) == (0, "")
    for option in OPTIONS:
        assert option in result.stdout
    assert not (tmp_path / ".venv").exists()


def test_a_wrong_command_line_exits_2() -> None:
    """A wrong command line prints the usage and exits with 2 before anything is read."""
    result = generate("--chek")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("usage: ./generate.sh [OPTION ...]\n")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("more", "unrecognized arguments: more"),
        ("--output", "argument --output: expected one argument"),
        ("--check --demo", "argument --demo: not allowed with argument --check"),
        ("--dry-run --demo", "argument --demo: not allowed with argument --dry-run"),
        ("--check --diff HEAD", "argument --diff: not allowed with argument --check"),
        ("--lint --dry-run", "argument --lint: not allowed with argument --dry-run"),
        ("--check --add page.md", "argument --add: not allowed with argument --check"),
        ("--lint --prune", "argument --prune: not allowed with argument --lint"),
        (
            "--overlay a --no-overlays",
            "argument --no-overlays: not allowed with argument",
        ),
        ("--ours", "argument --ours: only allowed with argument --add"),
        ("--format json", "argument --format: only allowed with argument --diff or --lint"),
        ("--lint --format xml", "argument --format: invalid choice: 'xml'"),
        (
            "--lint --format changelog",
            "argument --format: changelog is only allowed with argument --diff",
        ),
        ("--lint --report a.json", "argument --report: not allowed with argument --lint"),
    ],
)
def test_contradictions_are_wrong_usage(arguments: str, problem: str, capsys: Any) -> None:
    """Options that contradict each other are refused by name."""
    with pytest.raises(SystemExit) as caught:
        main(arguments.split())
    assert caught.value.code == 2
    assert f"./generate.sh: error: {problem}" in capsys.readouterr().err


def test_a_path_need_not_be_ascii_in_any_locale(tmp_path: Path) -> None:
    """Names that the locale's encoding lacks can be used, and are written as UTF-8."""
    document, output = tmp_path / "ö" / "ä.json", tmp_path / "ö" / "api"
    document.parent.mkdir()
    document.write_text(json.dumps(small()), encoding="utf-8")
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = generate("--document", document, "--output", output, environment=plain)
    assert (result.returncode, result.stderr) == (0, "")
    assert (
        (output / "client.py").read_text("utf-8").startswith("# Generated by ./generate.sh from ä")
    )
    assert "ä.json" in json.loads((output / "manifest.json").read_text("utf-8"))["sha256"]


def test_the_script_may_be_called_through_a_link_from_anywhere(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A symbolic link to generate.sh works, whatever CDPATH is."""
    (tmp_path / "link").symlink_to(ROOT / "generate.sh")
    environment = {"CDPATH": f"{ROOT.parent}{os.pathsep}{ROOT}{os.pathsep}."}
    options = ("--check", "--quiet", "--output", first)
    result = run("./link", *options, cwd=tmp_path, environment=environment)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_demo_refills_a_meter_after_the_generation(
    quick: None, output: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--demo generates, runs the example against the sandbox, and returns its exit status."""
    assert main(["--demo", "--output", str(output)]) == 0
    message = capfd.readouterr().out
    assert "4/4 write" in message
    assert message.strip().splitlines()[-1] != f"4/4 write    nothing changed in {output}"
    monkeypatch.setattr(_project, "ROOT", ROOT / "tests")  # a folder without the example
    monkeypatch.setattr(_run.Run, "generate", lambda _: None)
    assert main(["--demo"]) == 2


def test_ctrl_c_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Ctrl-C is reported in one line, which says that nothing was changed."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_document, "read_document", interrupted)
    assert main(["--quiet"]) == 130
    assert capsys.readouterr().err == "generate.sh: interrupted; nothing was changed\n"


@pytest.mark.parametrize(
    ("template", "text", "message"),
    [
        ("client.py.jinja", "{{ pagse }}", "a template: 'pagse' is undefined"),
        ("client.py.jinja", "{% if %}", "a template: Expected an expression"),
        ("client.py.jinja", "import (", "ruff check: "),
        ("client.py.jinja", "x = undefined_name", "ruff check: F821 Undefined name"),
    ],
)
def test_a_fault_in_a_template_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: str, text: str, message: str
) -> None:
    """A typo in a template is an error, and code that ruff rejects is not published."""
    here = Path(shutil.copytree(GENERATOR, tmp_path / "codegen"))
    (here / "templates" / template).write_text(text, encoding="utf-8")
    monkeypatch.setattr(_render, "HERE", here)
    api = _parser.parse(small(), taken.of_classes())
    with pytest.raises(GenerationError) as caught:
        _render.render(api, small(), tmp_path / "package", "api.yaml")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


# --- other documents and overlays ----------------------------------------------------------------


@pytest.fixture
def foreign(tmp_path: Path) -> Callable[..., list[str]]:
    """Return a function that writes the document of another API and returns options for it."""

    def written(document: Any = None, **operation: Any) -> list[str]:
        path = tmp_path / "api.yaml"
        path.write_text(json.dumps(document or small(**operation)), encoding="utf-8")
        return ["--document", str(path), "--output", str(tmp_path / "other" / "api")]

    return written


def refused(*paths: str) -> Callable[..., Api]:
    """Return a parser that refuses the operations of some paths."""
    parse = _parser.parse

    def parsed(document: Any, *more: Any) -> Api:
        rest = {path: item for path, item in document["paths"].items() if path not in paths}
        api = parse({**document, "paths": rest}, *more)
        for path in paths:
            remove = {"target": f"$.paths['{path}'].get", "remove": True}
            name = document["paths"][path]["get"].get("operationId")
            api.refused.append(Refusal("GET", path, name, f"it is {path}", remove))
        api.findings.append(Finding(("info",), "odd", None))
        return api

    return parsed


def three() -> dict[str, Any]:
    """Return a document with three operations."""
    document = small()
    for name in "bc":
        one = {**document["paths"]["/a"]["get"], "operationId": name}
        document["paths"][f"/{name}"] = {"get": one}
    return document


def test_our_overlays_are_applied_to_versions_of_our_document(
    quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Overlays fit one API: a copy of our document gets ours, any other document none."""
    info = {"title": "Oneloop API", "version": "9"}
    item = {"get": {"operationId": "getWorkspace"}}
    overlay = tmp_path / "fix.yaml"
    overlay.write_text("actions: []", encoding="utf-8")
    path = tmp_path / "new.yaml"
    path.touch()
    ours = "overrides/overlay.yaml, overrides/annotations.yaml"
    for document, options, told in (
        ({"info": info, "paths": {"/a": item}}, [], f"{ours} (a version of openapi.yaml)"),
        ({"info": info, "paths": {"/a": item}}, ["--no-overlays"], "no overlays"),
        ({"info": info, "paths": {"/a": item}}, ["--overlay", str(overlay)], str(overlay)),
        ({"info": info, "paths": {"/a": {}}}, [], None),
        ({"info": {**info, "title": "T"}, "paths": {"/a": item}}, [], None),
        ({"info": 5, "paths": [], "servers": []}, [], None),
    ):
        monkeypatch.setattr(_document, "read_document", lambda _, document=document: document)
        output = ["--output", str(tmp_path / "api")]
        assert main(["--dry-run", "--document", str(path), *output, *options]) == 0
        none = "no overlays (another API than openapi.yaml; --overlay FILE applies one)"
        assert capsys.readouterr().out.splitlines()[0] == f"1/4 read     new.yaml, {told or none}"


def test_files_name_the_document_that_they_were_made_from(
    foreign: Any, tmp_path: Path, capsys: Any
) -> None:
    """Marks and the manifest name the document and the overlays, without their folders."""
    for folder in "xy":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "fix.yaml").write_text(
            f"actions: [{{target: $.info, update: {{x-{folder}: 1}}}}]", encoding="utf-8"
        )
    overlays = [str(tmp_path / folder / "fix.yaml") for folder in "xy"]
    assert main([*foreign(), "--overlay", *overlays]) == 0
    package = tmp_path / "other" / "api"
    for path in package.rglob("*.py"):
        assert path.read_text("utf-8").splitlines()[0] == (
            "# Generated by ./generate.sh from api.yaml."
            " Do not edit: change its overlays and run it again."
        )
    made_of = json.loads((package / "manifest.json").read_text("utf-8"))["sha256"]
    assert {name for name in made_of if not name.startswith("codegen/")} == {
        *("api.yaml", "fix.yaml", "fix.yaml (2)")
    }
    patched = json.loads((package / "document.json").read_text("utf-8"))
    assert patched["x-generated"].startswith("Generated by ./generate.sh from api.yaml.")
    assert patched["info"] == {"title": "T", "version": "1", "x-x": 1, "x-y": 1}
    assert str(tmp_path) not in "".join(p.read_text("utf-8") for p in package.rglob("*.json"))


def test_all_refusals_are_told_at_once_with_an_overlay(
    foreign: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """The error lists each refused operation and ends with an overlay that leaves them out."""
    monkeypatch.setattr(_parser, "parse", refused("/a", "/c"))
    report = tmp_path / "report.json"
    options = foreign(three())
    assert main([*options, "--quiet", "--report", str(report)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "generate.sh: api.yaml: 2 of 3 operations cannot be generated:",
        "  GET /a: it is /a",
        "  GET /c: it is /c",
        "--leave-out generates the others. Or apply this overlay (--overlay FILE):",
        "overlay: 1.0.0",
        "info:",
        "  title: Changes to api.yaml",
        '  version: "1.0.0"',
        "actions:",
        "  # GET /a: it is /a",
        "  - target: \"$.paths['/a'].get\"",
        "    remove: true",
        "  # GET /c: it is /c",
        "  - target: \"$.paths['/c'].get\"",
        "    remove: true",
    ]
    told = json.loads(report.read_text("utf-8"))
    assert told["error"] == "api.yaml: 2 of 3 operations cannot be generated:"
    assert [one["generated"] for one in told["operations"]] == [False] * 3
    assert [one["reason"] for one in told["operations"]] == [
        "it is /a",
        "the run failed: api.yaml: 2 of 3 operations cannot be generated:",
        "it is /c",
    ]
    assert not (tmp_path / "other" / "api").exists()
    overlay = tmp_path / "leave-out.yaml"
    overlay.write_text("\n".join(lines[4:]), encoding="utf-8")
    monkeypatch.undo()
    assert main([*options, "--quiet", "--overlay", str(overlay), "--report", str(report)]) == 0
    told = json.loads(report.read_text("utf-8"))
    assert [one["generated"] for one in told["operations"]] == [False, True, False]
    assert [one["reason"] for one in told["operations"]] == [
        "an overlay removes it",
        None,
        "an overlay removes it",
    ]


def test_leave_out_generates_the_rest(
    foreign: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """With --leave-out refused operations are listed, and the others are generated."""
    monkeypatch.setattr(_parser, "parse", refused("/b"))
    report = tmp_path / "new" / "report.json"
    options = foreign(three())
    assert main([*options, "--leave-out", "--report", str(report)]) == 0
    assert capsys.readouterr().err == "left out: GET /b: it is /b\nnote: info: odd\n"
    assert names(tmp_path / "other" / "api" / "api" / "v1") == ["__init__.py", "a.py", "c.py"]
    digest = hashlib.sha256((tmp_path / "api.yaml").read_bytes()).hexdigest()
    assert json.loads(report.read_text("utf-8")) == {
        "document": {
            "name": "api.yaml",
            "sha256": digest,
            "overlays": [],
            "title": "T",
            "version": "1",
            "openapi": "3.0.3",
        },
        "error": None,
        "operations": [
            {
                "method": "GET",
                "path": f"/{name}",
                "operation_id": name,
                "generated": name != "b",
                "reason": "it is /b" if name == "b" else None,
            }
            for name in "abc"
        ],
        "findings": [{"place": "info", "problem": "odd", "action": None}],
    }


def test_a_report_is_written_even_if_nothing_can_be_read(tmp_path: Path, capsys: Any) -> None:
    """A document that cannot be read gives a report with the error and no operations."""
    report = tmp_path / "report.json"
    assert main(["--document", str(tmp_path / "no.yaml"), "--report", str(report)]) == 1
    told = json.loads(report.read_text("utf-8"))
    assert (told["operations"], told["findings"]) == ([], [])
    assert told["error"].startswith("no.yaml cannot be read")
    assert told["error"] in capsys.readouterr().err
    assert main(["--document", str(tmp_path / "no.yaml"), "--report", str(tmp_path)]) == 1
    assert "generate.sh: [Errno 21]" in capsys.readouterr().err


def test_a_report_has_the_operations_behind_references() -> None:
    """Path items behind references count, also among each other; what is broken does not."""
    one, two = {"operationId": "one"}, {"operationId": 2}
    document = {
        "paths": {
            "/a": {"$ref": "#/components/pathItems/A", "put": two},
            "/b": {"$ref": "#/paths/~1c"},
            "/c": {"$ref": "#/paths/~1b", "trace": {}},
            "/d": {"$ref": "#/nowhere/x", "get": "text", "summary": "S"},
            "/e": None,
        },
        "components": {"pathItems": {"A": {"get": one, "put": one}}},
    }
    assert _report.operations(document) == {
        ("GET", "/a"): "one",
        ("PUT", "/a"): "2",
        ("TRACE", "/b"): None,
        ("TRACE", "/c"): None,
    }
    assert _report.operations({}) == _report.operations({"paths": []}) == {}


@pytest.mark.parametrize("name", ["patched.json", "patched.yaml", "patched.yml"])
def test_patched_writes_the_patched_document(quick: None, tmp_path: Path, name: str) -> None:
    """--patched writes the document with all overlays applied, as YAML or as JSON."""
    path = tmp_path / "new" / name
    result = generate("--dry-run", "--quiet", "--patched", path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    written = _document.parse_yaml(path.read_text("utf-8"), name)
    committed = json.loads((PACKAGE / "document.json").read_text("utf-8"))
    assert written == {k: v for k, v in committed.items() if k not in ("x-generated", "x-samples")}
    assert path.read_text("utf-8").startswith("{\n") is (path.suffix == ".json")


# --- stale overrides -----------------------------------------------------------------------------

STALE = """\
actions:
  - x-quirk: gone
    target: $.nothing
    update: {description: D}   # words

  - x-quirk: stays
    target: $.info
    update: {description: D}

  - x-quirk: fixed
    target: $.nothing
    remove: true
"""


def overlaid(folder: Path, text: str) -> tuple[Path, list[str]]:
    """Write an overlay; return its path and options."""
    path = folder / "fix.yaml"
    path.write_text(text, encoding="utf-8")
    return path, ["--overlay", str(path)]


def test_a_stale_annotation_is_a_warning_with_a_patch(
    foreign: Any, tmp_path: Path, capsys: Any
) -> None:
    """A stale annotation does not stop a run, and the warning contains the removal as a patch."""
    overlay, options = overlaid(tmp_path, STALE.partition("  - x-quirk: fixed")[0])
    assert main([*foreign(), *options]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "warning: fix.yaml: the annotation gone is stale: it matches nothing",
        "This patch removes them, and so does --prune:",
        f"--- a/{overlay}",
        f"+++ b/{overlay}",
        "@@ -1,8 +1,4 @@",
        " actions:",
        "-  - x-quirk: gone",
        "-    target: $.nothing",
        "-    update: {description: D}   # words",
        "-",
        "   - x-quirk: stays",
        "     target: $.info",
        "     update: {description: D}",
    ]
    assert overlay.read_text("utf-8") == STALE.partition("  - x-quirk: fixed")[0]


def test_stale_fixes_stop_the_run_all_at_once(foreign: Any, tmp_path: Path, capsys: Any) -> None:
    """A stale fix stops the run, and the error names every stale action and its remedy."""
    overlay, options = overlaid(tmp_path, STALE)
    assert main([*foreign(), *options]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "generate.sh: fix.yaml: the annotation gone is stale: it matches nothing",
        "fix.yaml: the fix fixed is stale: it matches nothing",
        "Remove these actions (--prune does), or mend their targets if the quirks have moved.",
    ]
    assert overlay.read_text("utf-8") == STALE
    assert not (tmp_path / "other" / "api").exists()


def test_stale_fixes_are_told_before_what_follows_from_them(
    foreign: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """If the document cannot be used without a fix that is stale, the stale fix is told."""
    _, options = overlaid(tmp_path, STALE)

    def fail(*_: object, **__: object) -> None:
        raise GenerationError("consequence")

    for module, name in ((_document, "check_document"), (_parser, "parse")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, fail)
            if name == "check_document":
                patch.setattr(_document, "read_document", lambda _: small())
            assert main([*foreign(), *options]) == 1
            assert "the fix fixed is stale" in capsys.readouterr().err
            assert main([*foreign(), "--no-overlays"]) == 1
            assert capsys.readouterr().err == "generate.sh: consequence\n"


@pytest.mark.parametrize("dry", [False, True])
def test_prune_removes_stale_actions(
    foreign: Any, tmp_path: Path, capsys: Any, *, dry: bool
) -> None:
    """--prune removes stale actions, fixes included, names each, and leaves the other lines."""
    overlay, options = overlaid(tmp_path, STALE)
    overlay.chmod(0o640)
    assert main([*foreign(), *options, "--prune", *["--dry-run"] * dry]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        "removed: fix.yaml: the annotation gone is stale: it matches nothing",
        "removed: fix.yaml: the fix fixed is stale: it matches nothing",
    ]
    left = STALE.replace(
        STALE[STALE.index("  - x-quirk: gone") : STALE.index("  - x-quirk: st")], ""
    )
    left = left.partition("\n  - x-quirk: fixed")[0]
    assert f"  changed: {overlay}" in out.splitlines() or not dry
    assert overlay.read_text("utf-8") == (STALE if dry else left)
    assert overlay.stat().st_mode & 0o777 == 0o640
    if not dry:
        assert main([*foreign(), *options, "--check"]) == 0


# --- the quirk check and the change report -------------------------------------------------------

OTHER_API = """\
openapi: 3.0.0
info: {title: Another, version: "1"}
paths: {/a: {get: {operationId: getA, responses: {"204": {description: Done}}}}}
"""

ODD = [
    Finding(("info", "title"), "it is odd", {"target": "$.info", "update": {"title": "Even"}}),
    Finding(("paths",), "nobody can mend it"),
]
FIX = [
    "overlay: 1.0.0",
    "info:",
    "  title: Changes to api.yaml",
    '  version: "1.0.0"',
    "actions:",
    "  # info.title: it is odd",
    '  - target: "$.info"',
    "    update:",
    "      title: Even",
]
COUNTED = "2 quirks in api.yaml that no override answers"
LINTED = {
    "text": ["info.title: it is odd", "paths: nobody can mend it", COUNTED, "", *FIX],
    "markdown": [
        *("- info.title: it is odd", "- paths: nobody can mend it", COUNTED, ""),
        *("```yaml", *FIX, "```"),
    ],
}


def module(monkeypatch: pytest.MonkeyPatch, name: str, **members: Any) -> None:
    """Replace a module of codegen that is imported when it is needed."""
    fake = ModuleType(name)
    vars(fake).update(members)
    monkeypatch.setitem(sys.modules, f"codegen.{name}", fake)


@pytest.mark.parametrize("form", ["text", "markdown", "json"])
def test_lint_lists_quirks_and_what_mends_them(
    foreign: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any, form: str
) -> None:
    """--lint prints each quirk with its action, to stdout alone, and exits with 1."""
    monkeypatch.setattr(_run, "quirks", lambda document: ODD if document["info"] else [])
    assert main([*foreign(), "--lint", "--format", form]) == 1
    out, err = capsys.readouterr()
    if form == "json":
        assert json.loads(out) == [
            {"place": "info.title", "problem": "it is odd", "action": ODD[0].action},
            {"place": "paths", "problem": "nobody can mend it", "action": None},
        ]
    else:
        assert out.splitlines() == LINTED[form]
    assert err.splitlines()[-1] == "2/4 patch    0 overrides"


def test_lint_of_a_document_without_quirks(
    foreign: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """--lint exits with 0 if there is nothing to mend."""
    monkeypatch.setattr(_run, "quirks", lambda _: [])
    assert main([*foreign(), "--lint", "--quiet"]) == 0
    assert capsys.readouterr() == ("0 quirks in api.yaml that no override answers\n", "")


def test_a_run_counts_quirks(
    foreign: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """A run ends with the number of quirks and the command that shows them."""
    monkeypatch.setattr(_run, "quirks", lambda _: ODD)
    options = foreign()
    assert main([*options, "--no-overlays"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "2 quirks that no override answers: ./generate.sh --lint --document"
        f" {tmp_path / 'api.yaml'} --no-overlays --output {tmp_path / 'other' / 'api'} shows them"
    )


class Told:
    """What `codegen._changes` is replaced by: it records what is compared."""

    breaking = True
    python = ("a change",)

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.compared: list[Any] = []
        self.other: list[Any] = []
        names = {"Side": lambda *side: side, "compare": self.compare, "side_of": self.side_of}
        module(monkeypatch, "_changes", **names)

    def compare(self, *sides: Any, stale: Any = ()) -> "Told":
        """Record what is compared."""
        self.compared.append((sides, list(stale)))
        return self

    def side_of(self, other: str, folder: Path, generate: Any, **places: Any) -> Any:
        """Return a side that is made from another document."""
        assert list(folder.iterdir()) == []
        self.other.append((other, places))
        return other, generate(Path(other), places["overlays"], folder / "api")

    def json(self) -> Any:
        """Return the report as JSON."""
        return {"bump": "major"}

    def markdown(self) -> str:
        """Return the report as Markdown."""
        return "# Changes\n\nmany"

    def changelog(self) -> str:
        """Return the report as a part of the changelog."""
        return "### Added"

    def show(self, console: Any) -> None:
        """Print the report."""
        console.print("many changes")


@pytest.mark.parametrize(
    ("form", "printed"),
    [
        ("text", "many changes\n"),
        ("markdown", "# Changes\n\nmany\n"),
        ("json", '{\n  "bump": "major"\n}\n'),
        ("changelog", "### Added\n"),
    ],
)
def test_diff_compares_with_an_older_document(
    foreign: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
    form: str,
    printed: str,
) -> None:
    """--diff prints what changed since another document; it exits with 1 if that breaks callers."""
    told = Told(monkeypatch)
    overlay, options = overlaid(tmp_path, STALE)
    other = tmp_path / "old.yaml"
    other.write_text(json.dumps(small(summary="Old")), encoding="utf-8")
    options = [*foreign(), *options, "--diff", str(other), "--format", form]
    assert main(options) == 1
    out, err = capsys.readouterr()
    assert (out, err.splitlines()[-1]) == (printed, "3/4 generate")
    (((old, new, sources, stale), _),) = told.compared
    assert old[1]["paths"]["/a"]["get"]["summary"] == "Old"
    assert (new[0], new[1]["info"]["description"]) == ("api.yaml", "D")
    assert sources == ROOT / "src"
    assert [one[:2] for one in stale] == [("gone", str(overlay)), ("fixed", str(overlay))]
    places = {"document": tmp_path / "api.yaml", "overlays": [overlay], "sources": sources}
    assert told.other == [(str(other), {**places, "output": tmp_path / "other" / "api"})]
    assert not (tmp_path / "other").exists()
    monkeypatch.setattr(Told, "breaking", False)
    assert main(options) == 0


def test_a_run_reports_what_changes(
    foreign: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """A run whose patched document differs from that of the old package prints a change report."""
    told = Told(monkeypatch)
    assert main([*foreign()]) == 0  # no old package
    assert main([*foreign()]) == 0  # no change
    assert main([*foreign(summary="New"), "--check"]) == 1
    assert told.compared == []
    assert "many changes" not in capsys.readouterr().out
    assert main([*foreign(summary="New"), "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "many changes"
    (((old, new), stale),) = told.compared
    assert (old[0], new[0], stale) == (str(tmp_path / "other" / "api"), "api.yaml", [])
    assert old[2] == tmp_path / "other" / "api"
    assert "summary" not in old[1]["paths"]["/a"]["get"]
    assert new[1]["paths"]["/a"]["get"]["summary"] == "New"
    assert main([*foreign(summary="New"), "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    other = {**small(), "info": {"title": "Another", "version": "1"}}
    other["paths"]["/a"]["get"]["operationId"] = "other"
    assert main(foreign(other)) == 0
    assert len(told.compared) == 2
    _, options = overlaid(tmp_path, STALE)
    assert main([*foreign(three()), *options]) == 1  # a run that stale fixes stop
    out, err = capsys.readouterr()
    assert "many changes" not in out  # of another API
    assert main(foreign()) == 0
    assert main([*foreign(three()), *options]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "many changes"
    assert "the fix fixed is stale" in err
    assert [one[0] for one in told.compared[-1][1]] == ["gone", "fixed"]


def test_a_run_reports_what_another_generator_changes(
    quick: None, output: Path, capsys: Any
) -> None:
    """The packages are compared although the documents are equal; nothing is replaced by a mock."""
    module = output / "models" / "api_key.py"
    code = module.read_text("utf-8")
    field = next(line for line in code.splitlines() if re.match(r"    \w+: str( =|$)", line))
    module.write_text(code.replace(field, f"{field}\n    no_more: str = ''", 1), encoding="utf-8")
    assert main(["--output", str(output)]) == 0
    printed = capsys.readouterr().out
    assert f"4/4 write    1 files changed in {output}\nAPI changes: " in printed
    assert re.search(r"broken  models\.\w+\.no_more removed", printed)
    assert main(["--output", str(output)]) == 0
    assert capsys.readouterr().out.endswith(f"4/4 write    nothing changed in {output}\n")


@pytest.mark.parametrize("broken", ["document", "package"])
def test_an_edited_package_is_replaced_without_a_report(
    foreign: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, broken: str
) -> None:
    """If the package in place cannot be compared, the run says so and replaces it."""
    told = Told(monkeypatch)
    assert main(foreign()) == 0
    package = tmp_path / "other" / "api"
    problem = "ValueError: what is this?"
    if broken == "document":
        (package / "document.json").write_text("{", encoding="utf-8")
        problem = "JSONDecodeError: Expecting property name"
    else:
        monkeypatch.setattr(told, "show", None)
        fail = mock.Mock(side_effect=ValueError("what is this?"))
        monkeypatch.setattr(sys.modules["codegen._changes"], "compare", fail)
    capsys.readouterr()
    assert main(foreign(summary="New")) == 0
    message = f"no change report, as {package} cannot be compared: {problem}"
    assert capsys.readouterr().err.startswith(message)
    assert main([*foreign(summary="New"), "--check"]) == 0


def test_a_quiet_run_has_no_remarks_and_a_check_names_its_command(
    foreign: Any, tmp_path: Path, capsys: Any
) -> None:
    """--quiet leaves out what is wrong in a document; --check repeats the overlays of the run."""
    overlay = tmp_path / "overlay.json"
    action = {"target": "$.info", "update": {"version": "9"}}
    overlay.write_text(json.dumps({"actions": [action]}), encoding="utf-8")
    document = {**small(), "tags": 5}
    options = [*foreign(document), "--overlay", str(overlay)]
    assert main([*options, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    document["info"] = {**document["info"], "title": "Renamed"}
    assert main([*foreign(document), *options[4:], "--check"]) == 1
    found = capsys.readouterr()
    output = tmp_path / "other" / "api"
    command = f"./generate.sh --document {options[1]} --overlay {overlay} --output {output}"
    assert f"Run {command} and commit what it changes.\n" in found.out
    assert "note: tags: expected array, got 5\n" in found.err


def test_only_the_first_remarks_are_printed() -> None:
    """A run prints a limited number of remarks; the report has all of them."""
    api = Api([], [], [], [Finding(("info",), f"remark {n}") for n in range(25)])
    lines = list(_report.remarks(api))
    assert lines[0] == "note: info: remark 0"
    assert lines[19:] == [
        "note: info: remark 19",
        "note: 5 more remarks, which --report FILE writes",
    ]


# --- a document that has grown -------------------------------------------------------------------

METERS = "/api/v1/workspace/{id}/meters"


def grow(document: dict[str, Any]) -> None:
    """Add two fields with the broken pattern, and an operation with path and query parameters."""
    meter = document["components"]["schemas"]["CustomerBillingMeter"]
    for name in ("bonusCredits", "giftCredits"):
        meter["properties"][name] = {"type": "string", "pattern": "^d+$"}
    meter["required"].append("bonusCredits")
    text, many = {"type": "string"}, {"type": "array", "items": {"type": "string"}}
    limit = {"type": "integer", "minimum": 1, "maximum": 100}
    document["paths"][METERS] = {
        "get": {
            "operationId": "listMeters",
            "parameters": [
                {"name": "id", "in": "path", "required": True, "schema": text},
                {"name": "namePrefix", "in": "query", "required": True, "schema": text},
                {"name": "limit", "in": "query", "schema": limit},
                {"name": "tag", "in": "query", "schema": many},
                {"name": "archived", "in": "query", "schema": {"type": "boolean"}},
            ],
            "responses": {
                "200": {
                    "description": "The meters",
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "array",
                                "items": {"$ref": "#/components/schemas/CustomerBillingMeter"},
                            }
                        }
                    },
                }
            },
        }
    }


CALLS = """
import asyncio, json, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from oneloop import ArgumentTypeError, ArgumentValueError, AsyncOneloop, Oneloop

METER = {
    "id": "m1", "totalCredits": "10", "usedCredits": "3", "allowOverages": True, "spendCap": None,
    "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z",
}

class Echo(BaseHTTPRequestHandler):
    def do_GET(self):
        more = {"id": self.path, "bonusCredits": "7", "giftCredits": "8"}
        answer = [] if "none" in self.path else [{**METER, **more}]
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass

server = HTTPServer(("127.0.0.1", 0), Echo)
threading.Thread(target=server.serve_forever, daemon=True).start()
options = {"api_key": "k", "base_url": f"http://127.0.0.1:{server.server_port}"}
few = {"id": "ws/1 ä", "name_prefix": "a&b"}
most = {"id": "ws", "name_prefix": "", "limit": 100, "tag": ["x", "y z"], "archived": False}
seen = []
with Oneloop(**options) as client:
    for arguments in (few, most):
        (meter,) = client.list_meters(**arguments)
        seen += [meter.id, meter.bonus_credits, meter.gift_credits]
    seen.append(client.list_meters(id="none", name_prefix="a"))
    seen.append(client.with_response.list_meters(**few).status)
    for wrong in ({"limit": 0}, {"limit": 101}, {"limit": True}, {"limit": "5"}, {"tag": "x"},
                  {"tag": ["x", 1]}, {"archived": 1}, {"id": ".."}, {"name_prefix": None}):
        try:
            client.list_meters(**{**few, **wrong})
        except (ArgumentTypeError, ArgumentValueError) as error:
            seen.append([type(error).__name__, error.argument, error.operation])

async def main():
    async with AsyncOneloop(**options) as client:
        (meter,) = await client.list_meters(**most)
        return [meter.id, meter.bonus_credits, meter.gift_credits]

seen.append(asyncio.run(main()))
server.shutdown()
server.server_close()
print(json.dumps(seen))
"""

TYPED = """
from typing import assert_type
from oneloop import AsyncOneloop, Oneloop, models

def sync(client: Oneloop) -> None:
    meters = client.list_meters(id="ws", name_prefix="a", limit=5, tag=("x",), archived=None)
    assert_type(meters, list[models.CustomerBillingMeter | None])
    meter = meters[0]
    assert meter is not None
    assert_type(meter.bonus_credits, int)
    assert_type(meter.gift_credits, int | None)
    assert_type(client.with_response.list_meters(id="ws", name_prefix="a").status, int)

async def asynchronous(client: AsyncOneloop) -> None:
    meters = await client.list_meters(id="ws", name_prefix="a")
    assert_type(meters, list[models.CustomerBillingMeter | None])
    client.list_meters(id="ws")  # type: ignore[call-arg, unused-coroutine]
    client.list_meters(id=5, name_prefix="a")  # type: ignore[arg-type, unused-coroutine]
"""


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate from the grown document and return the folder that contains the package."""
    folder = tmp_path_factory.mktemp("grown")
    document, output = folder / "openapi.json", folder / "path" / "oneloop_api"
    document.write_text(edited(grow), encoding="utf-8")
    assert main(["--quiet", "--document", str(document), "--output", str(output)]) == 0
    (folder / "typed.py").write_text(TYPED, encoding="utf-8")
    return folder


def test_a_new_operation_and_field_work_on_both_clients(grown: Path) -> None:
    """New operations and fields work over HTTP in both clients without an edit by hand."""
    environment = {"PYTHONPATH": str(grown / "path")}
    result = run(sys.executable, "-W", "error", "-c", CALLS, environment=environment)
    assert result.returncode == 0, result.stderr
    few = "/api/v1/workspace/ws%2F1%20%C3%A4/meters?namePrefix=a%26b"
    most = "/api/v1/workspace/ws/meters?namePrefix=&limit=100&tag=x&tag=y%20z&archived=false"
    operation = "list_meters"
    assert json.loads(result.stdout) == [
        *(few, 7, 8),
        *(most, 7, 8),
        [],
        200,
        ["ArgumentValueError", "limit", operation],
        ["ArgumentValueError", "limit", operation],
        ["ArgumentTypeError", "limit", operation],
        ["ArgumentTypeError", "limit", operation],
        ["ArgumentTypeError", "tag", operation],
        ["ArgumentTypeError", "tag[1]", operation],
        ["ArgumentTypeError", "archived", operation],
        ["ArgumentValueError", "id", operation],
        ["ArgumentTypeError", "name_prefix", operation],
        [most, 7, 8],
    ]


def test_a_new_operation_and_field_are_typed(grown: Path) -> None:
    """A strict type checker accepts the new method, its arguments and the fields."""
    search = [grown / "path", *SOURCES]
    result = run(
        *(sys.executable, "-m", "mypy", "--strict", "--config-file="),
        *("--cache-dir", ROOT / ".mypy_cache" / "grown", grown / "typed.py"),
        environment={"MYPYPATH": os.pathsep.join(map(str, search))},
        cwd=grown,
    )
    assert result.stdout == "Success: no issues found in 1 source file\n", result.stderr
