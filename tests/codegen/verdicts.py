"""Checks what the packages of the tiny documents do against their verdicts.

A verdict is a list of checks. The keys of a check, as in tiny_verdicts.yaml:

- `call` (arguments as Python code), `every` (a value for each argument) or `by_type` (values by
  the type of the argument): the call is made and compared with `target`, `queries`, `headers`,
  `cookies`, `body` (JSON), `raw`, `bodyless`, `parts` (of multipart), `type` (of the body) and
  `method`; with `wrong`, it is an `ArgumentError` or `TypeError` that contains these words.
- `reads` (JSON) or `reads_text`: an answer, with `status` and `type`, is decoded. `as` is a pattern
  for the name of the class of the result, `value` its code, and `holds` an expression about it, in
  which it is `_`. What is written back must equal the JSON, or `back`, except that a field that is
  null may be left out unless `strict`: models of answers have `None` for both.
- `unreadable` (JSON) or `unreadable_text`: the answer is an error that contains `at`.
- `client`: credentials by the names of their schemes; a real client sends the call, and `url` and
  `headers` are compared. null stands for a header that is not sent.
- `names`: the names of all operations, as patterns. `count`: the number of arguments.
- `says`: words of the method's docstring, or with `class` of that of a class.
- `members`: an enum has exactly these values, with the names in `named`, and none `unlike` this.
- `fields`: names of fields of some model. `accept`, `attribute`: what the `Operation` says.
- `refused`, `fails`, `finding`: words in a refusal, in the error that ends the run, in a finding.
- `either`: several verdicts, one of which is right.

`op` is a pattern for the operation's name, if there are several. `$name` stands for the document's
own text: the name of the first property of the answer, or the hostile text in its title.
"""

import ast
import inspect
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import TypeAdapter

from oneloop import transport
from oneloop._call import _judge
from oneloop_core import UNSET, ApiModel, ArgumentError, Call, Secret
from oneloop_overrides import encode_timestamp
from tests.codegen.tiny_packages import Package, fields

LIMIT = 2**20
EXPECTED = frozenset({"refused", "fails", "finding", "either"})
"""Checks of a document that may have no package."""


def wrongs(package: Package, checks: list[dict[str, Any]]) -> Iterator[str]:
    """Yield what is not as the verdict says."""
    for check in checks:
        if "either" in check:
            found = [list(wrongs(package, one)) for one in check["either"]]
            if all(found):
                yield " / or ".join("; ".join(one) for one in found)
            continue
        try:
            problem = _wrong(package, _filled(check, package))
        except Exception as error:  # noqa: BLE001 - every check is reported
            problem = f"{type(error).__name__}: {error}"
        if problem:
            yield f"{shortened(check)}: {problem:.300}"
    wanted = {key for check in checks for key in check}
    if package.failure and not wanted & {"fails", "either"}:
        yield f"failed: {package.failure:.300}"
    if package.refused and not wanted & {"refused", "either"}:
        yield f"refused: {'; '.join(package.refused):.300}"


def shortened(check: dict[str, Any]) -> str:
    """Return a check as short text."""
    return f"{json.dumps(check, ensure_ascii=False, default=str):.90}"


def _filled(part: Any, package: Package) -> Any:
    """Return a check with the document's own text in place of `$name`."""
    if isinstance(part, dict):
        return {_filled(key, package): _filled(part[key], package) for key in part}
    if isinstance(part, list):
        return [_filled(one, package) for one in part]
    if part != "$name":
        return part
    title: str = package.document["info"]["title"]
    if title != "Tiny":
        return title
    [answer] = package.document["paths"]["/x"]["get"]["responses"].values()
    return next(iter(answer["content"]["application/json"]["schema"]["properties"]))


def _wrong(package: Package, check: dict[str, Any]) -> str | None:
    for key, texts in (
        ("fails", [] if package.crashed else [package.failure]),
        ("refused", package.refused),
        ("finding", package.findings),
    ):
        if key in check:
            found = any(text and check[key].lower() in text.lower() for text in texts)
            return None if found else f"not in {texts or package.failure}"
    if package.failure:
        return "no package"
    for key, function in CHECKS.items():
        if key in check:
            return function(package, check)
    raise KeyError(f"no such check: {check}")


def _differences(pairs: dict[str, tuple[Any, Any]]) -> str | None:
    wrong = [f"{key} is {got!r}" for key, (got, wanted) in pairs.items() if not same(got, wanted)]
    return ", ".join(wrong) or None


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON."""
    return json.dumps(one, sort_keys=True, default=repr) == json.dumps(
        other, sort_keys=True, default=repr
    )


def _names(package: Package) -> dict[str, Any]:
    return {one.__name__: one for one in package.classes()} | {
        "UNSET": UNSET, "UTC": UTC, "date": date, "datetime": datetime,
        "the": package.the, "kind": lambda value: type(value).__name__,
    }  # fmt: skip


def _called(package: Package, check: dict[str, Any]) -> Any:
    operation = package.operation(check.get("op", r"\w+"))
    if "call" in check:
        variables = _names(package) | {"_operation": operation}
        return eval(f"_operation.call({check['call']})", variables)  # noqa: S307 - our table
    parameters = inspect.signature(operation.call).parameters
    if "by_type" in check:
        values = {
            name: next(value for kind, value in check["by_type"].items() if kind in one.annotation)
            for name, one in parameters.items()
        }
    else:
        value = check["every"]
        if value.startswith("the("):
            value = eval(value, _names(package))  # noqa: S307 - code in the table
        values = dict.fromkeys(parameters, value)
    return operation.call(**values)


def _call(package: Package, check: dict[str, Any]) -> str | None:
    try:
        made = _called(package, check)
    except (ArgumentError, TypeError) as error:
        fits = check.get("wrong", "\0") in str(error)
        return None if fits else f"{type(error).__name__}: {error}"
    if "wrong" in check:
        return f"no error, but {made.target} {made.body!r}"
    pairs: dict[str, tuple[Any, Any]] = {}
    body = made.body
    sent = _revealed(made.headers)
    got: dict[str, Callable[[], Any]] = {
        "target": lambda: made.target,
        "queries": lambda: dict(parse_qsl(urlsplit(made.target).query, keep_blank_values=True)),
        "headers": lambda: {key: sent[key] for key in sent if key.lower() != "cookie"},
        "cookies": lambda: _revealed(made.cookies),
        "body": lambda: None if body is None else json.loads(body),
        "bodyless": lambda: body is None,
        "method": lambda: made.operation.method,
        "raw": lambda: (body or b"").decode(),
        "parts": lambda: _parts(made),
        "type": lambda: (made.content_type or "application/json").partition("; boundary")[0],
    }
    for key, value in got.items():
        if key in check:
            pairs[key] = (value(), check[key])
    return _differences(pairs)


def _revealed(pairs: Any) -> dict[str, str]:
    return {name: one.reveal() if isinstance(one, Secret) else one for name, one in pairs}


def _parts(made: Call[Any]) -> dict[str, str]:
    boundary = made.content_type.partition("boundary=")[2].strip('"')
    found = {}
    for part in made.body.split(f"--{boundary}".encode())[1:-1]:
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]*)"', head)
        found[name[1].decode()] = content.removesuffix(b"\r\n").decode()
    return found


def _answered(package: Package, check: dict[str, Any]) -> Any:
    """Decode an answer, or raise the error of the call."""
    text = next((check[key] for key in ("reads_text", "unreadable_text") if key in check), None)
    if text is None:
        text = json.dumps(check["reads" if "reads" in check else "unreadable"])
    media = check.get("type", "application/json")
    operation = package.operation(check.get("op", r"\w+")).OPERATION
    reply = transport.Response(check.get("status", 200), (("Content-Type", media),), text.encode())
    result, failure = _judge(Call(operation, "/"), reply, LIMIT)
    if failure is not None:
        raise ValueError(f"{failure.problem} {failure.texts}")
    return result


def _reads(package: Package, check: dict[str, Any]) -> str | None:
    result = _answered(package, check)
    if "value" in check:
        return _differences({"result": (result, ast.literal_eval(str(check["value"])))})
    back, wanted = written(result), check.get("back", check.get("reads"))
    pairs = {"written back": (back, wanted if check.get("strict") else without_nulls(wanted, back))}
    pairs |= {f"in the form of {name}": (one, result) for name, one in forms(result)}
    if "as" in check:
        name = type(result).__name__
        pairs["class"] = (name, name if re.fullmatch(check["as"], name) else check["as"])
    if "holds" in check:
        pairs["holds"] = (
            bool(eval(check["holds"], _names(package) | {"_": result})),  # noqa: S307
            True,
        )
    return _differences(pairs)


def forms(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a model is read as in other forms; that should be equal to it."""
    if not isinstance(value, ApiModel):
        return
    for ints in ("int", "str"):
        form = json.loads(value.to_json(by="python", ints=ints, secrets=True))
        yield f"Python, {ints}", type(value).from_dict(form, by="python")
        if type(value).__module__.startswith("tiny_chain_"):
            continue  # pydantic itself recurses too deeply
        adapter = TypeAdapter[Any](type(value))
        yield f"pydantic, {ints}", adapter.validate_python(form)
        yield f"JSON of pydantic, {ints}", adapter.validate_json(json.dumps(form))
        adapter.json_schema(mode="serialization")


def written(value: Any) -> Any:
    """Return the JSON of a decoded answer."""
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, list):
        return [written(one) for one in value]
    if isinstance(value, dict):
        return {key: written(one) for key, one in value.items()}
    if isinstance(value, datetime):
        return encode_timestamp(value)
    return value.value if isinstance(value, Enum) else value


def without_nulls(wanted: Any, back: Any) -> Any:
    """Return JSON without the nulls in objects that were not written back."""
    if isinstance(wanted, dict) and isinstance(back, dict):
        left = {key: one for key, one in wanted.items() if one is not None or key in back}
        return {key: without_nulls(one, back.get(key)) for key, one in left.items()}
    if isinstance(wanted, list) and isinstance(back, list) and len(wanted) == len(back):
        return [without_nulls(*pair) for pair in zip(wanted, back, strict=True)]
    return wanted


def _unreadable(package: Package, check: dict[str, Any]) -> str | None:
    try:
        result = _answered(package, check)
    except ValueError as error:
        return None if check.get("at", "") in str(error) else str(error)
    return f"read as {result!r}"


def _operation_names(package: Package, check: dict[str, Any]) -> str | None:
    left = list(package.operations())
    for pattern in check["names"]:
        fitting = [name for name in left if re.fullmatch(pattern, name)]
        if not fitting:
            return f"{list(package.operations())}"
        left.remove(fitting[0])
    return f"more: {left}" if left else None


def _says(package: Package, check: dict[str, Any]) -> str | None:
    name = package.operation(check.get("op", r"\w+")).OPERATION.name
    said = []
    for module in package.modules():
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            one = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
            if one or (check.get("class") and isinstance(node, ast.ClassDef)):
                said.append(ast.get_docstring(node) or "")
    words: str = check["says"]

    def plain(text: str) -> str:
        return re.sub(r"[ \t]*\n[ \t]*", "\n", text) if "\n" in words else " ".join(text.split())

    return None if any(plain(words) in plain(text) for text in said) else "\n".join(said)


def _members(package: Package, check: dict[str, Any]) -> str | None:
    enums = [one for one in package.classes() if issubclass(one, Enum)]
    for one in enums:
        members = {name: member.value for name, member in one.__members__.items()}
        if sorted(map(str, members.values())) == sorted(map(str, check["members"])):
            wrong = {
                name: value
                for name, value in check.get("named", {}).items()
                if members.get(name) != value
            }
            ugly = [name for name in members if check.get("unlike", "\0") in name]
            return f"{members}" if wrong or ugly else None
    return f"not in {[list(one.__members__.values()) for one in enums]}"


def _fields(package: Package, check: dict[str, Any]) -> str | None:
    models = [fields(one) for one in package.classes() if hasattr(one, "to_dict")]
    return None if any(set(check["fields"]) <= set(one) for one in models) else f"{models}"


def _accept(package: Package, check: dict[str, Any]) -> str | None:
    accept: str = package.operation().OPERATION.accept
    fits = accept == check["accept"] if check.get("whole") else check["accept"] in accept
    return None if fits else accept


def _attribute(package: Package, check: dict[str, Any]) -> str | None:
    value = getattr(package.operation().OPERATION, check["attribute"])
    return None if value else f"{value!r}"


def _count(package: Package, check: dict[str, Any]) -> str | None:
    return _differences(
        {"count": (len(inspect.signature(package.operation().call).parameters), check["count"])}
    )


class Recorder:
    """A transport that keeps the request, and answers that all is well."""

    def send(self, request: transport.Request, limits: transport.Limits) -> transport.Response:
        """Answer a request."""
        self.request = request
        return transport.Response(204, (), b"")

    def close(self) -> None:
        """Do nothing."""


def _client(package: Package, check: dict[str, Any]) -> str | None:
    made = package.module("clients").Client
    recorder = Recorder()
    options: dict[str, Any] = {"transport": recorder}
    if "base_url" in check:
        options["base_url"] = check["base_url"]
    parameters = inspect.signature(made).parameters
    names = [
        one.name
        for one in parameters.values()
        if one.kind == one.KEYWORD_ONLY and one.name != "server"
    ]
    given = [
        one
        for value in check["client"].values()
        for one in ([value] if isinstance(value, str) else value)
    ]
    options |= dict(zip(names, given, strict=False))
    name = package.operation().OPERATION.name
    with made(**options) as client:
        getattr(client, name)()
    request = recorder.request
    sent = {key.lower(): value for key, value in request.headers}
    wanted = {key.lower(): value for key, value in check.get("headers", {}).items()}
    pairs = {"headers": ({key: sent.get(key) for key in wanted}, wanted)}
    if "url" in check:
        pairs["url"] = (request.url, check["url"])
    return _differences(pairs)


CHECKS: dict[str, Callable[[Package, dict[str, Any]], str | None]] = {
    "client": _client,
    "call": _call,
    "every": _call,
    "by_type": _call,
    "reads": _reads,
    "reads_text": _reads,
    "unreadable": _unreadable,
    "unreadable_text": _unreadable,
    "names": _operation_names,
    "count": _count,
    "says": _says,
    "members": _members,
    "fields": _fields,
    "accept": _accept,
    "attribute": _attribute,
}
KEYS = frozenset(
    {
        *CHECKS,
        *EXPECTED,
        "op",
        "target",
        "queries",
        "headers",
        "cookies",
        "body",
        "raw",
        "bodyless",
        "parts",
    }
    | {"type", "method", "wrong", "status", "as", "value", "holds", "back", "at", "url", "base_url"}
    | {"class", "named", "unlike", "whole", "strict"}
)
