"""./generate.sh: reproducible, atomic, and with one-line errors."""

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
from typing import Any

import pytest

import codegen.__main__
from codegen import _document, _render, _tree
from codegen.__main__ import OVERLAYS, PAGE, main
from codegen._document import read_document
from codegen._errors import GenerationError
from tests import ROOT

DOCUMENT = ROOT / "openapi.yaml"
PACKAGE = ROOT / "generated" / "oneloop_api"
GENERATOR = ROOT / "codegen"
SOURCES = [ROOT / "src", ROOT / "overrides"]
OPTIONS = ("--help", "--check", "--demo", "--document", "--output", "--quiet")

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
    assert result.stdout.splitlines() == [
        "1/4 read     openapi.yaml",
        f"2/4 patch    {len(_document.read_actions(*OVERLAYS))} overrides",
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

    def render(_: object, package: Path, *__: object, **___: object) -> str:
        shutil.copytree(first, package)
        return PAGE.read_text("utf-8")

    monkeypatch.setattr(_render, "render", render)
    monkeypatch.setattr(_document, "read_document", lambda _: {})
    monkeypatch.setattr(_document, "read_actions", lambda *_: [])
    monkeypatch.setattr(_document, "check_document", lambda *_: None)


def test_the_committed_package_is_what_is_generated(first: Path) -> None:
    """The committed package is identical to what is generated from the document."""
    assert files(first) == files(PACKAGE)


def test_the_page_of_operations_belongs_to_the_package(
    quick: None, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """docs/operations.md is written and compared together with the committed package."""
    page = tmp_path / "operations.md"
    monkeypatch.setattr(codegen.__main__, "PACKAGE", output)
    monkeypatch.setattr(codegen.__main__, "PAGE", page)
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
        if path.suffix == ".py":
            assert text.startswith(f"{_render.MARK}\n")
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
    assert {"openapi-python-client", "ruff"} <= set(manifest["tools"])


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
    monkeypatch.setattr(codegen.__main__, "PACKAGE", Path("api"))
    monkeypatch.setattr(codegen.__main__, "PAGE", Path("operations.md"))
    assert main(["--quiet", "--output", "api"]) == 0
    assert files(tmp_path / "api") == files(first)
    assert Path("operations.md").read_bytes() == PAGE.read_bytes()


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


COOKIE = {"name": "session", "in": "cookie", "schema": {"type": "string"}}
XML = {"200": {"description": "ok", "content": {"application/xml": {"schema": {}}}}}
DUPLICATE = {"Thing": {"type": "object", "properties": {}}, "thing": {"type": "object"}}
PLAIN = DOCUMENT.read_text("utf-8")
FAILURES = {
    "missing": (None, "api.yaml cannot be read: [Errno 2]"),
    "bad YAML": (PLAIN + "\na: [", "api.yaml: line "),
    "not OpenAPI 3": ('swagger: "2.0"\n', "api.yaml is not an OpenAPI 3.0 or 3.1 document: its"),
    "unresolved $ref": (
        PLAIN.replace("CustomerBillingMeter'", "Meter'"),
        "api.yaml: components.schemas.CreateCustomerBillingMeterResponse.properties.billing: $ref",
    ),
    "invalid": (
        PLAIN.replace("deleted:\n          type: boolean", "deleted:\n          type: bool"),
        "api.yaml: components.schemas.ApiKey",
    ),
    "stale override": (
        PLAIN.replace("^d+$", r"^\d+$"),
        "overlay.yaml: the override lost-backslash is stale, it matches nothing:",
    ),
    "invalid once patched": (
        PLAIN.replace("type: number\n", "type: number\n              default: 1.5\n"),
        "api.yaml as patched by the overlays: ",
    ),
    "not supported": (
        json.dumps(small(parameters=[COOKIE])),
        "GET /a: cookie parameters are not supported",
    ),
    "warning": (
        json.dumps(small(responses=XML)),
        "openapi-python-client: parsing GET /a within v1.",
    ),
    "duplicate": (
        json.dumps({**small(), "components": {"schemas": DUPLICATE}}),
        "openapi-python-client: Unable to parse schema /components/schemas/thing",
    ),
}


@pytest.mark.parametrize(("document", "message"), FAILURES.values(), ids=FAILURES)
def test_a_failing_run_changes_nothing(
    output: Path, tmp_path: Path, monkeypatch: Any, capsys: Any, document: str | None, message: str
) -> None:
    """A failed run prints one line, leaves no draft, and does not touch the old package."""
    if document and document.startswith("{"):  # a small document without our quirks
        monkeypatch.setattr(codegen.__main__, "OVERLAYS", [])
    (output / "client.py").write_text("# the old one\n", encoding="utf-8")
    before, written = files(output), times(output)
    if document is not None:
        (tmp_path / "api.yaml").write_text(document, encoding="utf-8")
    options = ["--quiet", "--document", str(tmp_path / "api.yaml"), "--output", str(output)]
    assert main(options) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"generate.sh: {message}")
    assert (files(output), times(output)) == (before, written)
    assert names(output.parent) == ["oneloop_api"]


def test_a_failing_program_prints_an_error_and_exits_1(output: Path, tmp_path: Path) -> None:
    """The script exits with the status that `main` returns."""
    result = generate("--document", tmp_path / "none.yaml", "--output", output)
    assert (result.returncode, result.stdout) == (1, "1/4 read     none.yaml\n")
    assert result.stderr.startswith("generate.sh: none.yaml cannot be read: [Errno 2]")


@pytest.mark.parametrize(
    ("sent", "moment"),
    [(signal.SIGTERM, ".draft-*"), (signal.SIGKILL, ".draft-*/oneloop_api/models/*.py")],
)
def test_a_killed_run_leaves_the_old_package(
    quick: None, output: Path, first: Path, sent: signal.Signals, moment: str
) -> None:
    """A killed run leaves the old package, and the next run removes its draft."""
    (output / "client.py").write_text("# the old one\n", encoding="utf-8")
    before = files(output)
    with subprocess.Popen([ROOT / "generate.sh", "--quiet", "--output", output]) as process:
        while not any(output.parent.glob(moment)):
            time.sleep(0.01)
        process.send_signal(sent)
    assert process.returncode == -sent
    assert files(output) == before
    assert len(names(output.parent)) == 2
    assert main(["--quiet", "--output", str(output)]) == 0
    assert files(output) == files(first)
    assert names(output.parent) == ["oneloop_api"]


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


@pytest.mark.parametrize("arguments", [["--chek"], ["--check", "--demo"], ["more"], ["--output"]])
def test_a_wrong_command_line_exits_2(arguments: list[str]) -> None:
    """A wrong command line prints the usage and exits with 2 before anything is read."""
    result = generate(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("usage: ./generate.sh")


def test_demo_refills_a_meter_after_the_generation(
    quick: None, output: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--demo generates, runs the example against the sandbox, and returns its exit status."""
    assert main(["--demo", "--output", str(output)]) == 0
    message = capfd.readouterr().out
    assert "4/4 write" in message
    assert message.strip().splitlines()[-1] != f"4/4 write    nothing changed in {output}"
    monkeypatch.setattr("codegen.__main__.ROOT", ROOT / "tests")  # a folder without the example
    monkeypatch.setattr("codegen.__main__._generate", lambda *_: [])
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
    with pytest.raises(GenerationError) as caught:
        _render.render(small(), tmp_path / "package")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


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
