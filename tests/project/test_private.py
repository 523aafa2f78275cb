"""scripts/private.py finds each use of another library's private name, and nothing else."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT

PROGRAM = ROOT / "scripts" / "private.py"


def check(*folders: str | Path) -> list[str]:
    """Run the program, and return the lines that it printed."""
    command = [sys.executable, "-I", PROGRAM, *folders]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == (1 if result.stderr else 0)
    return result.stderr.splitlines()


def write(folder: Path, files: dict[str, str]) -> Path:
    """Write files, and return the folder that they are in."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder


def found(folder: Path, text: str) -> list[tuple[int, str]]:
    """Return the line and the name of each use that is found in a file of ours."""
    lines = check(write(folder, {"ours/__init__.py": text}))
    pattern = r".*/__init__\.py:(\d+): (\w+) in .+ is a private name of another library; use a .+"
    matches = [re.fullmatch(pattern, line) for line in lines]
    assert all(matches), lines
    return [(int(match[1]), match[2]) for match in matches if match]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("import theirs._http", "_http"),
        ("import theirs._http as http", "_http"),
        ("import _thread", "_thread"),
        ("from theirs import _http", "_http"),
        ("from theirs import __http", "__http"),
        ("from theirs._http import Client", "_http"),
        ("def f():\n    from theirs import _http", "_http"),
        ("def f(stream):\n    return stream._sock", "_sock"),
        ("def f(stream):\n    return stream.__sock", "__sock"),
        ("def f(stream):\n    return stream._Stream__sock", "_Stream__sock"),
        ("def f(stream):\n    stream._sock = None", "_sock"),
        ("def f(stream):\n    del stream._sock", "_sock"),
        ("def f(stream):\n    return stream._sock.fileno()", "_sock"),
        ("def f(stream):\n    return (\n        stream\n        ._sock)", "_sock"),
        ("def f(_sock):\n    return _sock.x._sock", "_sock"),
        ("def f(stream):\n    _sock = stream._sock", "_sock"),
        ("async def f(stream):\n    _sock = stream._sock", "_sock"),
        ("class C(theirs.C):\n    def f(self):\n        return self._sock", "_sock"),
        ("class C(theirs.C):\n    def f(self):\n        super()._close()", "_close"),
        ("def f(stream):\n    return getattr(stream, '_sock')", "_sock"),
        ("def f(stream):\n    return getattr(stream, '_sock', None)", "_sock"),
        ("def f(stream):\n    return hasattr(stream, '_sock')", "_sock"),
        ("def f(stream):\n    setattr(stream, '_sock', None)", "_sock"),
        ("def f(stream):\n    delattr(stream, '_sock')", "_sock"),
        ("def f(stream):\n    return vars(stream)['_sock']", "_sock"),
        ("def f(stream):\n    object.__setattr__(stream, '_sock', None)", "_sock"),
        ("import operator\nget = operator.attrgetter('stream._sock')", "_sock"),
        ("import operator\nclose = operator.methodcaller('_close')", "_close"),
        ("from importlib import import_module\nimport_module('theirs._http')", "_http"),
        ("NAMES = ['socket', '_sock']", "_sock"),
        ("def f(x):\n    match x:\n        case C(_sock=None): return x", "_sock"),
        ("def f(new):\n    return new(_loop=None)", "_loop"),
        ("import sys\nframe = sys._getframe()", "_getframe"),
    ],
)
def test_a_private_name_is_found(tmp_path: Path, text: str, name: str) -> None:
    """Every way to get at a private name that is not ours is found, with the line of the name."""
    assert found(tmp_path, text) == [(text.count("\n") + 1, name)]


@pytest.mark.parametrize(
    "use",
    [
        "theirs._x",
        "theirs.Client()._x",
        "theirs.clients['a'].pool._x",
        "(await theirs.connect())._x",
        "getattr(theirs, '_x')",
        "setattr(theirs.Client, '_x', None)",
        "theirs.Client(_x=1)",
    ],
)
@pytest.mark.parametrize(
    "bound",
    [
        "import theirs",
        "import theirs.more",
        "import more as theirs",
        "from more import theirs",
        "from more import them as theirs",
    ],
)
def test_a_name_of_ours_is_private_in_what_is_imported(
    tmp_path: Path, bound: str, use: str
) -> None:
    """A name that we define as well is still private in what comes from another library."""
    text = f"{bound}\n_x = 0\nasync def f(_x):\n    return {use}"
    assert found(tmp_path, text) == [(4, "_x")]


@pytest.mark.parametrize(
    "text",
    [
        "from __future__ import annotations",
        "def f(stream):\n    return stream.sock.__class__",
        "def f(member):\n    return member._value_, member.__dict__",
        "from gettext import gettext as _",
        "_x = 1\ndef f(module):\n    return module._x",
        "_x: int\ndef f(module):\n    return module._x",
        "for _x in (): pass\ndef f(module):\n    return module._x",
        "class C:\n    _x = 1\n    def f(self):\n        return self._x",
        "class C:\n    def __init__(self):\n        self._x = 1\ndef f(c):\n    return c._x",
        "def g(self):\n    with f() as self._x: pass\ndef f(c):\n    return c._x",
        "class C:\n    __slots__ = ('_x', '__y')\ndef f(c):\n    return c._x, c.__y",
        "class C:\n    def _x(self): pass\nclass D(C):\n    def f(self):\n        super()._x()",
        "class C:\n    async def _x(self): pass\ndef f(c):\n    return getattr(c, '_x')",
        "def f():\n    class C:\n        _x = 1\n    return C._x",
        "class _C: pass\ndef f(x: '_C | None') -> '_C':\n    return x",
        "class C:\n    _x = 1\ndef f(c):\n    match c:\n        case C(_x=1): return c",
        "def f(*, _x=1):\n    return f(_x=2)",
        "import theirs\ndef f(self):\n    self._x = theirs.x\n    return self._x.y",
        "def f(x):\n    return f'{x}_sock', f'_{x}', '_ a sentence', '-_x'",
        "# A comment about private: names.",
    ],
)
def test_other_names_are_not_found(tmp_path: Path, text: str) -> None:
    """What is documented, or defined by us, is permitted, and so is text that is not a name."""
    assert found(tmp_path, text) == []


@pytest.mark.parametrize(
    "line",
    [
        "from ours._http import Pool",
        "from ours._http._pool import Pool",
        "from ._http._pool import Pool",
        "from .._http._pool import Pool",
        "import ours._http._pool",
        "from ours._http import _pool",
        "def f():\n    from ours import _http",
    ],
)
def test_a_name_may_be_defined_in_a_module_of_ours_that_is_imported(
    tmp_path: Path, line: str
) -> None:
    """A private name is ours where the module that defines it is imported, and not elsewhere."""
    level = "ours/deep/use.py" if ".." in line else "ours/use.py"
    use = "def g(pool):\n    return pool._idle"
    pool = "class Pool:\n    def __init__(self):\n        self._idle = []"
    files = {"ours/__init__.py": "", "ours/_http/__init__.py": pool, "ours/_http/_pool.py": pool}
    assert check(write(tmp_path, {**files, level: f"{line}\n{use}"})) == []
    assert len(check(write(tmp_path, {**files, level: use}))) == 1


def test_packages_in_all_folders_are_ours(tmp_path: Path) -> None:
    """A package in another one of the folders is ours, too."""
    text = "from other._x import _y\nfrom importlib import import_module\nimport_module('other._x')"
    write(tmp_path, {"a/ours/__init__.py": text, "b/other/_x.py": "_y = 1"})
    assert check(tmp_path / "a", tmp_path / "b") == []
    assert len(check(tmp_path / "a")) == 3


def test_a_reason_permits_the_uses_on_its_line(tmp_path: Path) -> None:
    """A comment with a reason permits every use on its line, beside other comments."""
    text = (
        "import sys\n"
        "from theirs import (\n    _x,  # private: no other name for it\n)\n"
        "a = sys._a, sys._b  # noqa: SLF001  # private: no other name for them\n"
        "b = (\n    sys\n    ._a  # private: no other name for it\n)\n"
        "c = sys._a  # private:\n"
        "d = sys._a  # no other name for it\n"
    )
    assert found(tmp_path, text) == [(10, "_a"), (11, "_a")]


def test_a_reason_that_permits_nothing_is_an_error(tmp_path: Path) -> None:
    """A comment for a use that is gone is to be removed."""
    write(tmp_path, {"ours/a.py": "x = 1  # private: no other name for it"})
    assert [line.partition("a.py:")[2] for line in check(tmp_path)] == [
        '1: the comment "# private: ..." permits nothing on this line; remove it'
    ]


def test_one_run_reports_everything(tmp_path: Path) -> None:
    """The errors of all files are printed, in order, also if one of them is not Python."""
    use = "def f(x):\n    return x._b, x._a\n\n\ny = '_c'"
    write(tmp_path, {"ours/a.py": use, "ours/b.py": "x = = 1", "ours/c.py": use})
    lines = [line.removeprefix(f"{tmp_path}/ours/") for line in check(tmp_path)]
    assert [line.split(" in ")[0] for line in lines] == [
        "b.py:1: invalid syntax",
        "a.py:2: _a", "a.py:2: _b", "a.py:5: _c",
        "c.py:2: _a", "c.py:2: _b", "c.py:5: _c",
    ]  # fmt: skip


@pytest.mark.parametrize("folders", [[], ["nowhere"], ["src", "nowhere"]])
def test_a_folder_without_files_is_an_error(folders: list[str]) -> None:
    """A folder that has been renamed does not pass for one without errors."""
    name = (folders or ["no folder"])[-1]
    assert check(*folders) == [f"scripts/private.py: no Python files in {name}"]


def test_what_is_shipped_uses_no_private_name() -> None:
    """The folders that scripts/lint checks contain the four packages, and use no private name."""
    lint = (ROOT / "scripts" / "lint").read_text("utf-8")
    folders = re.findall(r"scripts/private\.py ([\w ]+) \|\|", lint)[0].split()
    assert folders == ["src", "overrides", "generated"]
    assert check(*folders) == []
