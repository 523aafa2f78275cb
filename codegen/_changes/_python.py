"""What changed in the Python API between two generated packages, with the names that users type.

griffe reads the code; nothing is imported. Files with equal bytes are not read.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import griffe

from ._document import Change, Effect

Names = Mapping[str, griffe.Object]
"""What users see, by the names that they type."""
CONTAINERS = frozenset({"list", "dict", "tuple", "Sequence", "Mapping"})
"""Containers that are wider if the types in them are, as callers only read those that they get."""
INTERNAL = frozenset({"__from_wire__", "__to_wire__", "__wire_names__"})
"""Members of models that only calls use."""
REMOVED = (griffe.BreakageKind.OBJECT_REMOVED, griffe.BreakageKind.PARAMETER_REMOVED)


def compare(old: Path, new: Path) -> list[Change]:
    """Return the changes between two generated packages: of operations, then of models."""
    found: list[Change] = []
    for folder in ("api", "models"):
        before, after = _files(old / folder), _files(new / folder)
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                one, other = (_members(name, files.get(name), folder) for files in (before, after))
                found += _changes(one, other)
    return found


def public(old: Path, new: Path) -> list[Change]:
    """Return the changes of what `oneloop` exports, from its sources in two folders."""
    return list(_changes(_exports(old), _exports(new)))


def _files(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*.py") if path.stem != "__init__")
    return {path.stem: path.read_bytes() for path in files}


def _members(name: str, code: bytes | None, folder: str) -> Names:
    module = griffe.visit(name, filepath=Path(f"{name}.py"), code=(code or b"").decode())
    if folder == "models":
        for one in module.classes.values():
            for internal in INTERNAL & one.members.keys():
                del one.members[internal]
        return {f"models.{key}": one for key, one in module.classes.items()}
    return {f"client.{name}": one for key, one in module.functions.items() if key == "call"}


def _exports(sources: Path) -> Names:
    loader = griffe.GriffeLoader(search_paths=[sources], allow_inspection=False)
    module = [loader.load(name) for name in ("oneloop_core", "oneloop")][-1]
    found: dict[str, griffe.Object] = {}
    for name in map(str, module.exports or ()):
        member = module.members.get(name)
        if isinstance(member, griffe.Alias):
            try:
                member = member.final_target
            except griffe.AliasResolutionError:  # it is of the generated package
                continue
        if member is not None:
            found[f"oneloop.{name}"] = member
    return found


def _changes(old: Names, new: Names) -> Iterator[Change]:
    names = {one.path: name for name, one in (*old.items(), *new.items())}
    for breakage in griffe.find_breaking_changes(_module(old), _module(new)):
        yield _breakage(breakage, _typed(breakage.obj.path, names))
    for name, one in new.items():
        if name in old:
            yield from _more(name, old[name], one)
        else:
            yield _change(_called(name, one), "added", effect="added")


def _module(names: Names) -> griffe.Module:
    module = griffe.Module("api")
    module.members.update(names)
    return module


def _typed(path: str, names: Mapping[str, str]) -> str:
    """Return what a user types for the path of an object."""
    owner, rest = path, ""
    while owner not in names:
        owner, _, last = owner.rpartition(".")
        rest = "" if last == "__init__" else f".{last}{rest}"
    return f"{names[owner]}{rest}"


def _called(name: str, one: griffe.Object) -> str:
    return f"{name}()" if one.is_function else name


def _change(
    name: str, what: str, before: object = "", after: object = "", effect: Effect = "broken"
) -> Change:
    one, other = ("" if each is None else str(each) for each in (before, after))
    return Change("", "python", name, what, one, other, effect)


def _breakage(breakage: griffe.Breakage, name: str) -> Change:
    """Describe what griffe found."""
    kind, before, after = breakage.kind, breakage.old_value, breakage.new_value
    if isinstance(before or after, griffe.Parameter):
        name = f"{name}({(before or after).name}=)"
        if kind == griffe.BreakageKind.PARAMETER_ADDED_REQUIRED:
            return _change(name, "added", "", f"{after.annotation}, required")
        if kind == griffe.BreakageKind.PARAMETER_CHANGED_REQUIRED:
            return _change(name, "presence", "optional", "required")
        if kind == griffe.BreakageKind.PARAMETER_CHANGED_DEFAULT:
            return _change(name, "default", before.default, after.default, "changed")
        before = before.annotation
    if kind in REMOVED:
        shown = before if kind == griffe.BreakageKind.PARAMETER_REMOVED else ""
        return _change(name if shown else _called(name, breakage.obj), "removed", shown)
    return _change(name, kind.value.lower())


def _more(name: str, old: griffe.Object | griffe.Alias, new: griffe.Object) -> Iterator[Change]:
    """Yield what griffe does not look for: additions, and other types and values."""
    if isinstance(old, griffe.Class) and isinstance(new, griffe.Class):
        for key, one in new.members.items():
            typed = name if key == "__init__" else f"{name}.{key}"
            before = old.members.get(key)
            if isinstance(one, griffe.Alias) or not one.is_public:
                continue
            if before is None:
                kind = getattr(one, "annotation", None)
                yield _change(_called(typed, one), "added", "", kind, "added")
            else:
                yield from _more(typed, before, one)
    elif isinstance(old, griffe.Function) and isinstance(new, griffe.Function):
        before_them = {one.name: one for one in old.parameters}
        for parameter in new.parameters:
            typed, kind = f"{name}({parameter.name}=)", str(parameter.annotation)
            was = before_them.get(parameter.name)
            if was is None:
                if not parameter.required:
                    yield _change(typed, "added", "", kind, "added")
            elif was.required > parameter.required:
                yield _change(typed, "presence", "required", "optional", "changed")
            elif was.required == parameter.required and str(was.annotation) != kind:
                wider = _accepts(kind, str(was.annotation))
                yield _change(typed, "type", was.annotation, kind, "changed" if wider else "broken")
        yield from _answer(f"{name}()", "returns", old.returns, new.returns)
    elif isinstance(old, griffe.Attribute) and isinstance(new, griffe.Attribute):
        yield from _answer(name, "type", old.annotation, new.annotation)
        if new.annotation is None and str(old.value) != str(new.value):
            yield _change(name, "value", old.value, new.value)


def _answer(name: str, what: str, old: object, new: object) -> Iterator[Change]:
    """Yield another type of something that callers get: a narrower one breaks nothing."""
    one, other = (re.sub(r"^Call\[(.*)\]$", r"\1", str(each)) for each in (old, new))
    if one != other:
        yield _change(name, what, one, other, "changed" if _accepts(one, other) else "broken")


def _accepts(wide: str, narrow: str) -> bool:
    """Whether a type includes another."""
    return _includes(ast.parse(wide, mode="eval").body, ast.parse(narrow, mode="eval").body)


def _includes(wide: ast.expr, narrow: ast.expr) -> bool:
    if isinstance(narrow, ast.BinOp):
        return _includes(wide, narrow.left) and _includes(wide, narrow.right)
    if isinstance(wide, ast.BinOp):
        return _includes(wide.left, narrow) or _includes(wide.right, narrow)
    one, other = ast.unparse(wide), ast.unparse(narrow)
    if isinstance(wide, ast.Subscript) and isinstance(narrow, ast.Subscript):
        names = {ast.unparse(part.value) for part in (wide, narrow)}
        inner = [part.slice for part in (wide, narrow)]
        elements = [one.elts if isinstance(one, ast.Tuple) else [one] for one in inner]
        return (
            len(names) == len({*map(len, elements)}) == 1
            and names <= CONTAINERS
            and all(map(_includes, *elements))
        ) or one == other
    return one in (other, "Any", "object") or (one, other) == ("float", "int")
