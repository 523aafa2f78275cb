"""Names for what a document names: methods, arguments, fields, classes, enum members, modules.

A name depends on the text that it is made of, never on a position or on names that it does not
collide with, so it stays when the vendor adds something. `distinct` settles collisions.
"""

import builtins
import hashlib
import keyword
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from functools import cache
from itertools import count, zip_longest
from typing import TypeVar

K = TypeVar("K", bound=Hashable)

NEEDED = frozenset(
    {"self", "bool", "bytes", "classmethod", "dict", "float", "int", "isinstance", "list"}
    | {"property", "str", "tuple"}
)
"""Names that generated code uses where a field, an argument or a method would hide them. Those of
other builtins are free: a field `type` or `format` hides nothing that is used beside it."""
DEVICES = frozenset(
    {"aux", "con", "nul", "prn", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
)
"""Names that no file can have on Windows."""
LOADING = frozenset({"getattr", "globals", "import_module"})
"""Names that a package uses to load its modules, which become attributes of it."""
LONGEST = 100
"""Longer names are cut; in bytes, as a file's name has at most 255 of them."""
MOST = 500
"""Characters of a text that are read for its name."""

SYMBOLS = {
    "+": "plus", "-": "minus", "/": "slash", "\\": "backslash", "%": "percent", ".": "dot",
    "<": "less", ">": "greater", "=": "equal", "<=": "less or equal", ">=": "greater or equal",
    "==": "equal", "!=": "not equal", "<>": "not equal", "!": "not", "&": "and", "&&": "and",
    "|": "or", "||": "or", "@": "at", "#": "hash", "$": "dollar", "_": "underscore",
}  # fmt: skip
"""The names of symbols. Others get those that Unicode gives them."""

EDGES = re.compile(r"^[+-](?=\d)|^[<>=!]+(?=\w)|(?<=\w)(?:\+|#)+$|(?<=[\w.:/-])(?:\*|%)$")
"""Symbols that mean something at the beginning or end of a text: `-1`, `<5`, `c++`, `users.*`."""


def snake(text: str) -> str:
    """Return a text as lower-case words with underscores between them."""
    return "_".join(unicodedata.normalize("NFKC", word.lower()) for word in words(text))


def constant(text: str) -> str:
    """Return a text as upper-case words with underscores between them."""
    return "_".join(unicodedata.normalize("NFKC", word.upper()) for word in words(text))


def pascal(text: str) -> str:
    """Return a text as capitalized words; acronyms stay as they are."""
    parts = (f"{word[0].upper()}{word[1:]}" for word in words(text))
    return unicodedata.normalize("NFKC", "".join(parts))


@cache
def words(text: str) -> list[str]:
    """Split a text into words of letters and digits.

    A word ends before a capital letter that starts the next one, as in `HTTPStatus`. Digits belong
    to the letters before them. The plural of an acronym is one word, as in `allowedIPs`. Of a
    text of symbols only the words are their names.
    """
    text = text[:MOST]
    text = re.sub("['\u2019]", "", unicodedata.normalize("NFKC", text)) or text
    text = EDGES.sub(lambda edge: f" {_spelled(edge[0])} ", text)
    kept = "".join(one if f"a{one}".isidentifier() and one != "_" else " " for one in text)
    if not kept.strip():
        kept = _spelled(text) or "empty"
    kept = re.sub("([A-Z]{2,})s(?![a-z])", lambda plural: f"{plural[1].capitalize()}s", kept)
    shape = "".join("A" if one.isupper() else "a" if one.islower() else one for one in kept)
    starts = re.finditer(r"(?<=a)(?=A)|(?<=[^\Wa])(?=Aa)", shape)
    for start in reversed([match.start() for match in starts]):
        kept = f"{kept[:start]} {kept[start:]}"
    return kept.split()


def _spelled(symbols: str) -> str:
    symbols = symbols if symbols == " " else symbols.strip() or symbols
    if symbols in SYMBOLS:
        return SYMBOLS[symbols]
    names = (SYMBOLS.get(one, unicodedata.name(one, f"u{ord(one):x}")) for one in symbols)
    return " ".join(re.sub("[^A-Za-z0-9]+", " ", name).lower() for name in names)


def method_name(operation_id: str | None, method: str, path: str) -> str:
    """Return the name of an operation's method and module.

    Without an `operationId`, or with one of symbols only, it is made of method and path:
    `get_users_by_id`.
    """
    if not (operation_id and any(one.isalnum() for one in operation_id)):
        named = re.sub(r"\{([^}]*)\}", r" by \1 ", path.replace("}/{", " and "))
        operation_id = f"{method.lower()} {named if named.strip('/') else 'root'}"
    return _safe(snake(operation_id), f"{method.lower()}_", NEEDED | DEVICES)


def field_name(name: str) -> str:
    """Return the name of a field or of an argument."""
    return _safe(snake(name), "field_", NEEDED)


def module_name(text: str) -> str:
    """Return the name of a module or package, of a class or of a tag.

    Tags that get the same name share a package.
    """
    return _safe(snake(text), "tag_", NEEDED | DEVICES | LOADING)


def class_name(text: str) -> str:
    """Return the name of a model or enum."""
    name = _safe(pascal(text), "Model", ())
    plain = name.rstrip("_")
    return f"{plain}Model" if plain != name or plain in dir(builtins) else name


def _safe(name: str, prefix: str, taken: Collection[str]) -> str:
    """Make an identifier of limited length of a name."""
    name = name if name.isidentifier() else unicodedata.normalize("NFKC", f"{prefix}{name}")
    if len(name.encode()) > LONGEST:
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        name = f"{name.encode()[: LONGEST - 9].decode(errors='ignore').rstrip('_')}_{digest}"
    return f"{name}_" if keyword.iskeyword(name) or name in taken else name


def member_names(values: Sequence[str | float], given: Sequence[str] = ()) -> list[str]:
    """Return the names of an enum's members, in the order of the values.

    Args:
        values: The values. Equal ones get the same name.
        given: Names from the document (`x-enum-varnames`, or `x-enumNames`) for the first values.
    """
    texts = [*given[: len(values)], *map(_member, values[len(given) :])]
    keys = [(text, str(value)) for text, value in zip(texts, values, strict=True)]
    names = distinct(((key, _safe(constant(key[0]), "VALUE_", ())) for key in keys), constant)
    return [names[key] for key in keys]


def _member(value: str | float) -> str:
    """Return the words for a value: `-created_at` sorts downwards."""
    if not isinstance(value, str):
        return f"value {'negative ' if value < 0 else ''}{value}".replace("-", "")
    sort = re.fullmatch(r"([+-])([^\W\d].*)", value, re.DOTALL)
    return f"{sort[2]} {'desc' if sort[1] == '-' else 'asc'}" if sort else value


def distinct(
    wanted: Iterable[tuple[K, str]],
    case: Callable[[str], str] = snake,
    taken: Collection[str] = (),
) -> dict[K, str]:
    """Return a name for each key, so that no two are equal, whatever the order of the keys.

    Names count as equal if their modules would be (`URLMap` and `UrlMap`). Of those that collide,
    one that is spelled like its name keeps it. Others get a word for what differs: the symbols, as
    in `dollar_ref` for `$ref`, the case of the letters, or the second part of the key.

    Args:
        wanted: Keys with the names that they should have. A key is a text of the document, or a
            tuple of it and of what else distinguishes it, such as a place.
        case: How words become names: `snake`, `constant` or `pascal`.
        taken: Names that no key may have. Those that want one get an underscore, classes `Model`.
    """
    groups: dict[str, dict[K, str]] = {}
    mark = "Model" if case is pascal else "_"
    for key, name in wanted:
        free = f"{name}{mark}" if name in taken else name
        groups.setdefault(snake(free), {})[key] = free
    used = {*groups, *map(snake, taken)}
    found: dict[K, str] = {}
    for _, group in sorted(groups.items()):
        found |= group if len(group) == 1 else _settled(group, case, used)
    return found


def _settled(group: dict[K, str], case: Callable[[str], str], used: set[str]) -> dict[K, str]:
    """Name the keys that want the same name, and add the names to `used`."""
    texts = {key: (key if isinstance(key, str) else str(key[0]))[:MOST] for key in group}  # type: ignore[index]
    times = Counter(texts.values())
    cases = Counter(_letters(text).casefold() for text in {*map(_letters, times)})
    runs = {key: re.split(r"[^\W_]+", text) for key, text in texts.items()}
    aligned = len({len(of) for of in runs.values()}) == 1
    alike = [aligned and len({*column}) == 1 for column in zip_longest(*runs.values())]
    numbers = count(2)

    def rank(key: K) -> tuple[bool, bool, bool, int, str]:
        text, name = texts[key], group[key].rstrip("_")
        other = text.casefold() != name.casefold() or times[text] > 1
        return text != name, other, not text.islower(), len(text), str(key)

    def candidates(key: K) -> Iterator[str]:
        text, name = texts[key], group[key]
        if key == first and not rank(key)[1]:
            yield name
        parts = [*re.findall(r"[^\W_]+", text), ""]
        spelled = [
            "" if alike[at]
            else "dash" if run == "-" and parts[at][:1].isalpha()
            else _spelled(run.strip("_") or run[:1] * (at == 0))
            for at, run in enumerate(runs[key])
        ]  # fmt: skip
        in_place = case(" ".join(f"{a} {b}" for a, b in zip(spelled, parts, strict=True)))
        if any(spelled) and in_place.isidentifier():
            yield _safe(in_place, "", ())
        if cases[_letters(text).casefold()] > 1:
            mixed = "capital" if text[0].isupper() else "camel"
            shape = "lower" if text.islower() else "upper" if text.isupper() else mixed
            yield _extended(name, shape, case)
        if times[text] > 1 and not isinstance(key, str):
            yield _extended(name, str(key[1]), case)  # type: ignore[index]
        if snake(name) not in mine:
            yield name
        yield from (_extended(name, str(number), case) for number in numbers)

    found: dict[K, str] = {}
    mine: set[str] = set()
    first, *_ = order = sorted(group, key=rank)
    for key in order:
        name = next(one for one in candidates(key) if snake(one) not in used or one == group[key])
        found[key] = name
        mine.add(snake(name))
        used.add(snake(name))
    return found


def _letters(text: str) -> str:
    return re.sub(r"[\W_]", "", text)


def _extended(name: str, word: str, case: Callable[[str], str]) -> str:
    joint = "" if case is pascal else "_"
    return _safe(f"{name.rstrip('_')}{joint}{case(word)}", "", ())
