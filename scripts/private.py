"""Report every use of a private name of another library, whose next release may rename or drop it.

    python -I scripts/private.py FOLDER ...

Each FOLDER contains packages, and all of these are ours. A name is private if it begins with an
underscore, unless it is like `__class__` or `_missing_`, which Python documents.

The program sees names, not types. It takes a private name for ours if the file that uses it, or one
of our files that it imports, defines it. Every other private name belongs to another library, and
so does one that is looked up in something imported from another library.

pyright, in strict mode, judges values by their types. What it does not see is found here: values of
type Any, names in strings, as in `getattr(stream, "_sock")`, and private names of a base class.

Where there is no public interface, a comment `# private: REASON` permits the uses on its line. A
comment that permits nothing is an error. Exits 1 if there are errors, and prints all of them.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

PATH = re.compile(r"\w+(\.\w+)*")
PERMISSION = re.compile(r"#\s*private\s*:\s*(.*)")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def is_private(name: str) -> bool:
    """Return whether a name begins with an underscore and is not like `__x__`, `_x_` or `_`."""
    return name.startswith("_") and not re.fullmatch(r"_|(__?)[^_]\w*?\1", name)


def root(node: ast.AST) -> str | None:
    """Return the variable at the start of a chain such as `name.attribute(argument)[index]`."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Await | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None


def definitions(node: ast.AST, *, is_local: bool = False) -> Iterator[str]:
    """Yield the names of attributes that a file defines, and `name=` for each parameter.

    Variables of functions (`is_local`) are not attributes of anything.
    """
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.arg(arg=name):
            yield f"{name}="
        case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
            yield name
        case ast.Name(id=name, ctx=ast.Store()) if not is_local:
            yield name
        case ast.Assign(targets=[ast.Name(id="__slots__")], value=value):
            yield from (str(n.value) for n in ast.walk(value) if isinstance(n, ast.Constant))
    is_local = isinstance(node, FUNCTIONS) or (is_local and not isinstance(node, ast.ClassDef))
    for child in ast.iter_child_nodes(node):
        yield from definitions(child, is_local=is_local)


def imports(tree: ast.AST, module: list[str]) -> Iterator[tuple[int, str, str]]:
    """Yield the line, the variable and the absolute path of everything that a module imports."""
    for node in ast.walk(tree):
        base: list[str] = []
        if isinstance(node, ast.ImportFrom):
            above = module[: -node.level] if node.level else []
            base = [*above, *filter(None, [node.module])]
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                variable = alias.asname or alias.name.partition(".")[0]
                yield alias.lineno, variable, ".".join([*base, alias.name])


def permissions(text: str) -> dict[int, str]:
    """Return the reason of each comment that permits private names, by its line."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = [token for token in tokens if token.type == tokenize.COMMENT]
    found = {token.start[0]: PERMISSION.search(token.string) for token in comments}
    return {line: match[1] for line, match in found.items() if match}


class Source:
    """A file of ours. `module` is the path of its module, such as `oneloop._http`."""

    def __init__(self, folder: Path, path: Path) -> None:
        text = path.read_text("utf-8")
        module = path.relative_to(folder).with_suffix("").parts
        self.path = path
        self.module = ".".join(module).removesuffix(".__init__")
        self.tree = ast.parse(text)
        self.imports = list(imports(self.tree, [*module]))
        self.defined = set(definitions(self.tree))
        self.permissions = permissions(text)


def lookups(tree: ast.AST) -> Iterator[tuple[int, str, ast.AST | None, str]]:
    """Yield everything that may look up a name: line, name, owner if it is stated, and text.

    The name may be a dotted path if it is in a string. That of an argument is `name=`.
    """
    parts = {id(n) for f in ast.walk(tree) if isinstance(f, ast.JoinedStr) for n in f.values}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=owner, attr=name):
                yield node.end_lineno or node.lineno, name, owner, ast.unparse(node)
            case ast.MatchClass(cls=owner, kwd_attrs=names, kwd_patterns=patterns):
                for name, pattern in zip(names, patterns, strict=True):
                    yield pattern.lineno, name, owner, f"{ast.unparse(owner)}({name}=...)"
            case ast.Constant(value=str(name)) if id(node) not in parts and PATH.fullmatch(name):
                yield node.lineno, name, None, f"the string {name!r}"
            case ast.Call(func=owner, args=arguments, keywords=keywords):
                for keyword in keywords:
                    name = f"{keyword.arg}="
                    yield keyword.lineno, name, owner, f"{ast.unparse(owner)}({name}...)"
                for argument in arguments[1:]:  # as in getattr(httpx, "_name")
                    match argument:
                        case ast.Constant(value=str(name)) if PATH.fullmatch(name):
                            yield argument.lineno, name, arguments[0], f"the string {name!r}"


def uses(source: Source, ours: set[str], known: set[str]) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each use of another library's private name.

    Args:
        source: The file to search.
        ours: The names of our packages.
        known: The names that this file and the files that it imports define.
    """
    theirs: set[str] = set()
    for line, variable, path in source.imports:
        if path.partition(".")[0] not in ours:
            theirs.add(variable)
            yield from ((line, f"{name} in {path}") for name in path.split(".") if is_private(name))
    for line, path, owner, text in lookups(source.tree):
        if path.partition(".")[0] not in ours:
            is_theirs = owner is not None and root(owner) in theirs
            for name in filter(is_private, path.split(".")):
                if is_theirs or name not in known:
                    yield line, f"{name.rstrip('=')} in {text}"


def errors(source: Source, ours: set[str], known: set[str]) -> Iterator[tuple[int, str]]:
    """Yield the line and the message of each error in a file; for the arguments, see `uses`."""
    found = set(uses(source, ours, known))
    remedy = 'use a public interface, or give the reason in a comment "# private: REASON"'
    for line, text in found:
        if not source.permissions.get(line):
            yield line, f"{text} is a private name of another library; {remedy}"
    for line in source.permissions.keys() - {line for line, _ in found}:
        yield line, 'the comment "# private: ..." permits nothing on this line; remove it'


def report(folders: list[str]) -> list[str]:
    """Return the errors in all files of the folders."""
    files = {path: folder for folder in folders for path in sorted(Path(folder).rglob("*.py"))}
    empty = set(folders) - set(files.values())
    if empty or not folders:
        return [f"scripts/private.py: no Python files in {', '.join(sorted(empty)) or 'no folder'}"]
    lines: list[str] = []
    sources: list[Source] = []
    for path, folder in files.items():
        try:
            sources.append(Source(Path(folder), path))
        except SyntaxError as error:
            lines.append(f"{path}:{error.lineno}: {error.msg}")
    modules = {source.module: source for source in sources}
    ours = {module.partition(".")[0] for module in modules}
    for source in sources:
        # What is imported from a path is a module, or an object in a module.
        paths = {path for _, _, name in source.imports for path in (name, name.rpartition(".")[0])}
        known = source.defined.union(*(modules[path].defined for path in paths & modules.keys()))
        found = sorted(errors(source, ours, known))
        lines += [f"{source.path}:{line}: {message}" for line, message in found]
    return lines


if __name__ == "__main__":
    sys.exit("\n".join(report(sys.argv[1:])) or 0)
