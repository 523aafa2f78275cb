"""What changed in the Python API between two generated packages, with the names that users type.

griffe reads the code and imports nothing. Generated files with equal bytes are not read.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import griffe

from ._document import Change, Effect

Names = Mapping[str, griffe.Object]
"""What users see, by the names that they type."""
READ_ONLY = {"list", "dict", "tuple", "Sequence", "Mapping"}
"""Containers that are wider if the types in them are. Callers only read those that they get."""
WORDS = {"object removed": "removed", "parameter removed": "removed", "parameter added": "added"}


def compare(old: Path, new: Path) -> list[Change]:
    """Return the changes between two generated packages: of operations, then of models."""
    found: list[Change] = []
    for folder in ("api", "models"):
        before, after = _files(old / folder), _files(new / folder)
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                one, other = (_members(folder, name, side.get(name)) for side in (before, after))
                found += _changes(one, other)
    return found


def public(old: tuple[Path, Path], new: tuple[Path, Path]) -> list[Change]:
    """Return the changes of what `oneloop` exports, except the operations and models.

    Args:
        old: The folder of the sources, and the generated package.
        new: The same.
    """
    package = new[1].name
    ours = (f"{package}.api.", f"{package}.client.", f"{package}.models.")
    return list(_changes(_exports(*old), _exports(*new), ours))


def _files(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*.py") if path.stem != "__init__")
    return {path.stem: path.read_bytes() for path in files}


def _members(folder: str, name: str, code: bytes | None) -> Names:
    if code is None:
        return {}
    module = griffe.visit(name, filepath=Path(f"{name}.py"), code=code.decode())
    if folder == "api":
        return {f"client.{name}": module.functions["call"]}
    return {f"models.{key}": one for key, one in module.classes.items()}


def _exports(sources: Path, package: Path) -> Names:
    loader = griffe.GriffeLoader(search_paths=[sources, package.parent], allow_inspection=False)
    modules = [loader.load(name) for name in ("oneloop_core", package.name, "oneloop")]
    found: dict[str, griffe.Object] = {}
    for name in map(str, modules[-1].exports or ()):
        member = modules[-1].members.get(name)
        try:
            target = member.final_target if isinstance(member, griffe.Alias) else member
        except griffe.AliasResolutionError:
            continue  # it is reported as removed
        if target is not None and not target.is_module:
            found[f"oneloop.{name}"] = target
    return found


def _changes(old: Names, new: Names, skipped: tuple[str, ...] = ()) -> Iterator[Change]:
    names = {one.path: name for name, one in (*old.items(), *new.items())}
    for breakage in griffe.find_breaking_changes(_module(old), _module(new)):
        if not breakage.obj.path.startswith(skipped or ("-",)):
            yield _breakage(breakage, _typed(breakage.obj.path, names))
    for name, one in new.items():
        if name in old:
            yield from _more(name, old[name], one)
        else:
            yield Change("", "python", f"{name}()" if one.is_function else name, "added", effect="added")


def _module(names: Names) -> griffe.Module:
    module = griffe.Module("api")
    module.members.update({name: one for name, one in names.items()})
    return module


def _typed(path: str, names: Mapping[str, str]) -> str:
    """Return what a user types for the path of an object."""
    owner, rest = path, ""
    while owner and owner not in names:
        owner, _, last = owner.rpartition(".")
        rest = "" if last == "__init__" else f".{last}{rest}"
    return f"{names.get(owner, '')}{rest}".lstrip(".")


def _breakage(breakage: griffe.Breakage, name: str) -> Change:
    """Describe what griffe found."""
    kind = breakage.kind
    before, after = breakage.old_value, breakage.new_value
    effect: Effect = "broken"
    parameter = before if isinstance(before, griffe.Parameter) else after
    what = "removed"
    if isinstance(parameter, griffe.Parameter):
        name = f"{name}({parameter.name}=)"
        if kind == griffe.BreakageKind.PARAMETER_ADDED_REQUIRED:
            return Change("", "python", name, "added", "", f"{parameter.annotation}, required", "broken")
        if kind == griffe.BreakageKind.PARAMETER_REMOVED:
            return Change("", "python", name, "removed", str(parameter.annotation), "", "broken")
        before, after = (f"{one.kind.value}, default: {one.default}" for one in (before, after))
        if kind == griffe.BreakageKind.PARAMETER_CHANGED_DEFAULT:
            effect = "changed"
        what = kind.value.removeprefix("Parameter ").lower()
    elif kind != griffe.BreakageKind.OBJECT_REMOVED:
        what = kind.value.lower()
    else:
        name = f"{name}()" if breakage.obj.is_function else name
        before = after = ""
    return Change("", "python", name, what, str(before), str(after), effect)


def _more(name: str, old: griffe.Object, new: griffe.Object) -> Iterator[Change]:
    """Yield what griffe does not look for: additions, and other types and values."""
    if isinstance(old, griffe.Class) and isinstance(new, griffe.Class):
        for key, one in new.members.items():
            typed = name if key == "__init__" else f"{name}.{key}"
            if isinstance(one, griffe.Alias) or not one.is_public:
                continue
            before = old.members.get(key)
            if before is None:
                text = "" if one.is_function else _annotation(one)
                yield Change("", "python", typed, "added", "", text, "added")
            elif not isinstance(before, griffe.Alias):
                yield from _more(typed, before, one)
    elif isinstance(old, griffe.Function) and isinstance(new, griffe.Function):
        before_names = {one.name for one in old.parameters}
        for parameter in new.parameters:
            typed = f"{name}({parameter.name}=)"
            kind = str(parameter.annotation or "")
            if parameter.name not in before_names:
                if not parameter.required:
                    yield Change("", "python", typed, "added", "", kind, "added")
            elif (was := str(old.parameters[parameter.name].annotation or "")) != kind:
                effect: Effect = "changed" if _accepts(kind, was) else "broken"
                yield Change("", "python", typed, "type", was, kind, effect)
        one, other = (str(each.returns or "") for each in (old, new))
        yield from _value(f"{name}()", "returns", one.removeprefix("Call"), other.removeprefix("Call"))
    elif isinstance(old, griffe.Attribute) and isinstance(new, griffe.Attribute):
        yield from _value(name, "type", _annotation(old), _annotation(new))
        if old.annotation is None and str(old.value) != str(new.value):
            yield Change("", "python", name, "value", str(old.value), str(new.value), "broken")


def _value(name: str, what: str, old: str, new: str) -> Iterator[Change]:
    """Yield another type of what callers get. A narrower one is no break."""
    if old != new:
        effect: Effect = "changed" if _accepts(old, new) else "broken"
        yield Change("", "python", name, what, old.strip("[]"), new.strip("[]"), effect)


def _annotation(attribute: griffe.Object) -> str:
    return str(getattr(attribute, "annotation", None) or "")


def _accepts(wide: str, narrow: str) -> bool:
    """Whether a type includes another."""
    try:
        return _includes(ast.parse(wide, mode="eval").body, ast.parse(narrow, mode="eval").body)
    except SyntaxError:
        return False


def _includes(wide: ast.expr, narrow: ast.expr) -> bool:
    if isinstance(narrow, ast.BinOp):
        return _includes(wide, narrow.left) and _includes(wide, narrow.right)
    if isinstance(wide, ast.BinOp):
        return _includes(wide.left, narrow) or _includes(wide.right, narrow)
    if isinstance(wide, ast.Subscript) and isinstance(narrow, ast.Subscript):
        one, other = ast.unparse(wide.value), ast.unparse(narrow.value)
        if one == other and one in READ_ONLY:
            return _includes(wide.slice, narrow.slice)
    if isinstance(wide, ast.Tuple) and isinstance(narrow, ast.Tuple):
        return len(wide.elts) == len(narrow.elts) and all(map(_includes, wide.elts, narrow.elts))
    one, other = ast.unparse(wide), ast.unparse(narrow)
    return one in (other, "Any", "object") or (one, other) == ("float", "int")
