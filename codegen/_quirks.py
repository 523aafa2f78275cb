"""Find what is probably a mistake in a document although it is valid OpenAPI.

A maintainer mends a finding by its overlay action. If the document is right, the extension
`x-quirk-answers` says why, as `{rule: reason}`. It applies to the part that has it and to all
parts inside, so that an answer at `$` covers the whole document.
"""

import re
from collections import Counter
from contextlib import suppress
from typing import Any

from attrs import frozen

from ._findings import MALFORMED, Finding, Place
from ._patterns import Time, judge
from ._structure import MOST_STEPS, objects, python_pattern, target

ANSWERS = "x-quirk-answers"
PARTS = ("allOf", "anyOf", "oneOf")
IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)
"""A key that JSONPath takes without quotes."""
REMOTE = re.compile(r"http://(?!127\.|0\.0\.0\.0|\[|\{|[\w-]+(?::[^/]*)?(?:/|$))")
"""A server without TLS that is neither on this machine nor in a local network."""

# Names are matched as lower-case words, such as "next page token".
WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
AMOUNT = re.compile(r"\b(?:amount|quantity|refill|credits|price|total)$")
MOVED = re.compile(r"\b(?:refill|top ?up|charge|transfer|refund|deposit|withdraw)")
"""In the name of an operation: it moves money."""
COUNT = re.compile(
    r"^(?!.*\b(?:amount|balance|budget|cost|credits?|price|spend(?:ing)?|usage)\b).*"
    r"\b(?:counts?|limit|offset|pages?|skip|attempts|retries|size|length|seconds|code|port)$"
)
SECRET = re.compile(
    r"^(?!.*\b(?:continuation|csrf|cursor|masked|next|page|prev|previous|public|start|sync)\b).*"
    r"\b(?:apikey|jwt|passphrase|passw(?:or)?d|secret|token"
    r"|(?:access|api|encryption|private|secret|signing) key)$"
)
TIME = re.compile(r". at$|\b(?:date|datetime|timestamp)$")
DAY = re.compile(r"\d{4}-\d\d-\d\d$|.*\byyyy-mm-dd\b", re.I | re.S)
MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d[t ]\d\d:\d\d|.*(?:iso.?8601|rfc.?3339|yyyy-mm-ddt)", re.I | re.S
)
OTHER = re.compile(r".*(?:unix|epoch|seconds|yymm|mmyy|yyyymm|mm[-/ ]?dd|dd[-/ ]?mm)", re.I | re.S)
"""Formats of times: by an example, or by a description."""
DIGITS = (r"^\d+$", "^[0-9]+$", r"^-?\d+$", "^-?[0-9]+$")
EXPLAINED = re.compile(
    r"\b(?:optional|omit|omitted|default|defaults|without|unless|if not)\b", re.I
)
"""In the schema of a field: what happens without the field."""
LOST = re.compile(r"\[\^?[dws.,_ -]+\](?=[+*{])|(?<![a-z_])(?:[dws](?=[+*{])|d{2,}(?![a-z_]))")
"""Classes of characters that lack their backslashes, in a pattern that has not a single one."""


@frozen
class _Field:
    """A property or a parameter, with its schema or one alternative of that."""

    place: Place
    schema: dict[str, Any]
    name: str
    parameter: dict[str, Any]
    """Empty if it is a property."""
    words: str

    @property
    def label(self) -> str:
        return f"the {'parameter' if self.parameter else 'field'} {self.name}"

    @property
    def values(self) -> list[Any]:
        return [*_values(self.schema), *_values(self.parameter)]

    @property
    def general(self) -> str | None:
        """The target for all fields of this name that have this type and no format."""
        if self.place[-2] in PARTS or not isinstance(self.schema.get("type"), str):
            return None
        name = ".schema" if self.parameter else _path((self.name,))[1:]
        test = f"@{name}.type == '{self.schema['type']}' && !@{name}.format"
        if self.parameter:
            return f"$..parameters[?(@.name == {_quoted(self.name)} && {test})].schema"
        return f"$..[?({test})]{name}"


def quirks(document: dict[str, Any]) -> list[Finding]:
    """Return what is probably wrong in a patched document, and the answers without a question."""
    check = _Check(document)
    check.run()
    found = Counter(general for _, general in check.findings.values())
    for finding, general in check.findings.values():
        if general and finding.action and found[general] == check.matches[general]:
            finding.action["target"] = general
    return [finding for finding, _ in check.findings.values()]


class _Check:
    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.parts: dict[Place, dict[str, Any]] = {}
        self.uses: Counter[str] = Counter()
        """How many references there are to a part."""
        self.matches: Counter[str | None] = Counter()
        """How many parts each general target matches."""
        self.findings: dict[tuple[str, Place], tuple[Finding, str | None]] = {}
        """Each with a target that applies to new parts too, if that matches findings only."""
        self.unused: dict[tuple[str, Place], None] = {}
        """The answers that no finding has needed yet, in their order."""
        self.spent = 0
        for place, part in objects(document):
            parent = self.parts.get(place[:-1], {})
            beyond = place[-1:] == ("$ref",) and isinstance(parent.get("$ref"), str)
            if place and (beyond or not (parent or place[:-2] in self.parts)):
                continue  # it is data that something refers to, and has no place of its own
            self.parts[place] = part
            self.uses[str(part.get("$ref"))] += 1
            if isinstance(part.get(ANSWERS), dict):
                self.unused |= dict.fromkeys((rule, place) for rule in part[ANSWERS])
        self.answers = frozenset(self.unused)

    def find(
        self,
        rule: str,
        place: Place,
        problem: str,
        change: Any = None,
        where: Place = (),
        general: str | None = None,
    ) -> None:
        """Add a finding, unless an answer applies to it.

        Its action merges a change into `where`, which is the place unless given, or removes it.
        A general target, which applies to new parts too, is used if it matches only findings.
        """
        around = {(rule, place[:end]) for end in range(len(place) + 1)} & self.answers
        for answer in around:
            self.unused.pop(answer, None)
        if not around:
            told = f"{problem[0].upper()}{problem[1:]}."
            target = _path(where or place)
            action: dict[str, Any] = {"x-quirk": rule, "target": target, "description": told}
            action |= {"remove": True} if change is None else {"update": change}
            self.findings[rule, place] = Finding(place, problem, action, rule=rule), general

    def run(self) -> None:
        fields = []
        for place, part in self.parts.items():
            with suppress(*MALFORMED):  # the check of the document has told what is malformed
                self._part(place, part)
                fields += [one for one in [self._field(place)] if one]
        digits = {
            one.words.split()[-1]
            for one in fields
            if one.schema.get("format") == "digits" or one.schema.get("pattern") in DIGITS
        }
        for one in fields:
            with suppress(*MALFORMED):
                self._scalar(one, digits)
        for rule, place in list(self.unused):
            problem = f"the answer to {rule} can be removed, because that rule finds nothing there"
            self.find("stale-answer", (*place, ANSWERS, rule), problem)

    def _part(self, place: Place, part: dict[str, Any]) -> None:
        if place[:1] == ("paths",) and len(place) == 3:
            self._operation(place, part)
        if place[:2] == ("components", "schemas") and len(place) == 3:
            self._component(place, part)
        if place[:2] == ("components", "securitySchemes") and part.get("in") == "query":
            self._credential(place, f"the credential {place[2]} is sent in the query")
        url = str(part.get("url"))
        if place[-2:-1] == ("servers",) and REMOTE.match(url):
            problem = f"credentials can be read on their way to {url}"
            self.find("plain-http", place, problem, {"url": f"https{url[4:]}"})
        if isinstance(part.get("pattern"), str):
            self._pattern(place, part, part["pattern"])

    def _scalar(self, one: _Field, digits: set[str]) -> None:
        self.matches[one.general] += "format" not in one.schema
        types = one.schema.get("type")
        types = {*types} - {"null"} if isinstance(types, list) else {types}
        if types == {"number"}:
            self._number(one)
        elif types == {"string"}:
            self._text(one, digits)

    def _field(self, place: Place) -> _Field | None:
        schema, base = self.parts[place], place
        while len(base) > 3 and base[-2] in PARTS:
            base = base[:-2]
        if base[-2:-1] == ("properties",):
            return _Field(place, schema, str(base[-1]), {}, _words(base[-1]))
        if base[-3:-2] != ("parameters",) or base[-1] != "schema":
            return None
        parameter = self.parts[base[:-1]]
        name = str(parameter.get("name"))
        return _Field(place, schema, name, parameter, _words(name))

    def _follow(self, part: Any, place: Place = ()) -> tuple[Place, dict[str, Any]]:
        """Return the target of a reference, or another part itself, with its place."""
        if isinstance(part, dict) and isinstance(part.get("$ref"), str):
            keys = part["$ref"].split("/")[1:]
            place = tuple(key.replace("~1", "/").replace("~0", "~") for key in keys)
            part = target(self.document, part["$ref"])
        return place, part if isinstance(part, dict) else {}

    def _operation(self, place: Place, operation: dict[str, Any]) -> None:
        path, method = str(place[1]), str(place[2])
        if not operation.get("operationId"):
            parts = re.findall("[A-Za-z0-9]+", path)
            name = "".join([method, *(part[0].upper() + part[1:] for part in parts)])
            problem = "without an operationId, the name of the method is made of the path"
            self.find("no-operation-id", place, problem, {"operationId": name})
        if not operation.get("tags"):
            tags = [one for one in path.split("/") if re.match(r"(?!api$|v\d+$)[A-Za-z0-9]", one)]
            problem = "without a tag, the operation is generated into a folder named default"
            self.find("no-tag", place, problem, {"tags": tags[:1] or ["root"]})

        shared = self.parts.get(place[:-1], {}).get("parameters") or []
        parameters = [*shared, *(operation.get("parameters") or ())]
        places = {self._follow(one)[1].get("in") for one in parameters}
        secured = any(operation.get("security", self.document.get("security")) or ())
        statuses = (operation.get("responses") or {}).keys()
        for status, also, words, why in (
            ("401", "403", "Unauthorized", "credentials" if secured else ""),
            ("400", "422", "Bad Request", "arguments" if places - {"path"} else ""),
        ):
            why = why or ("arguments" if status == "400" and "requestBody" in operation else "")
            known = (status, also, "4XX", "default")
            if not statuses & {*known}:
                tests = "".join(f" && !@.responses['{one}']" for one in known)
                general = f"$.paths.*[?(@.responses{tests})]"
                self.matches[general] += 1
                problem = f"the operation takes {why} but documents no {status}, so the body of"
                problem += " that error is not read into a model"
                change: Any = {"responses": {status: {"description": words}}}
                if why:
                    self.find(f"undocumented-{status}", place, problem, change, general=general)
        if not any(re.match("[123]|default", status) for status in statuses):
            problem = (
                "the operation documents no successful answer, so what it returns is not known"
            )
            change = {"responses": {"200": {"description": "OK"}}}
            self.find("undocumented-success", place, problem, change)
        self._body(place, operation, "query" in places)

    def _body(self, place: Place, operation: dict[str, Any], queries: bool) -> None:
        where, body = self._follow(operation.get("requestBody"), (*place, "requestBody"))
        schemas = [
            self._follow(media.get("schema"), (*where, "content", name, "schema"))
            for name, media in (body.get("content") or {}).items()
        ]
        method, why = place[2].upper(), ""
        if all(self._needed(schema) for _, schema in schemas):
            why = "its schema has required fields"
        elif method in ("PUT", "PATCH") and not queries:
            why = f"it is all that the {method} takes"
        elif method == "POST" and not any(_may_be_empty(schema) for _, schema in schemas):
            why = "its schema takes no empty object"
        if schemas and "required" not in body:
            test = "@.requestBody.content && !@.requestBody.required"
            general = f"$.paths.*[?({test})].requestBody" if where[0] == "paths" else None
            self.matches[general] += 1
            if why:
                problem = f"the body can be left out although {why}"
                self.find("optional-body", where, problem, {"required": True}, general=general)
        moved = MOVED.search(_words(f"{operation.get('operationId')} {place[1]}"))
        for owner, schema in schemas if method == "POST" else ():
            self._amounts(owner, schema, moved is not None)

    def _needed(self, schema: dict[str, Any]) -> bool:
        parts = [schema, *(self._follow(one)[1] for one in schema.get("allOf") or ())]
        return any(part.get("required") for part in parts)

    def _amounts(self, place: Place, body: dict[str, Any], moved: bool) -> None:
        fields, required = body.get("properties") or {}, body.get("required") or ()
        optional = [name for name in fields if name not in required]
        for name in optional if moved or (required and len(optional) == 1) else ():
            _, schema = self._follow(fields[name])
            told = schema.keys() & {"nullable", "readOnly"}
            if AMOUNT.search(_words(name)) and not told | {*EXPLAINED.findall(str(schema))}:
                problem = f"the field {name} can be left out, without a word on what happens then"
                at, change = (*place, "properties", name), {"required": [name]}
                self.find("optional-amount", at, problem, change, where=place)

    def _pattern(self, place: Place, schema: dict[str, Any], pattern: str) -> None:
        general = f"$..[?(@.pattern == {_quoted(pattern)})]"
        self.matches[general] += 1
        mended = mend(pattern)
        if mended != pattern:
            problem = f"the pattern {pattern[:80]!r} has its backslashes lost or doubled"
            problem += f": it is probably {mended[:80]!r}"
            change = {"pattern": mended}
            self.find("lost-backslash", place, problem, change, general=general)
            return
        values = _values(schema) + _values(
            self.parts.get(place[:-1], {}) if place[-1:] == ("schema",) else {}
        )
        texts = [value for value in values if isinstance(value, str)]
        if not texts or self.spent > MOST_STEPS:
            return
        time, steps = judge(python_pattern(pattern))
        self.spent += steps
        if time != Time.LINEAR:
            return
        matches = re.compile(python_pattern(pattern), re.ASCII).search
        rejected = next((text for text in texts if not matches(text)), None)
        if rejected is not None:
            problem = f"the pattern {pattern[:80]!r} rejects {rejected[:50]!r}, which the document"
            problem += " itself names as a value"
            self.find("pattern-rejects", place, problem, where=(*place, "pattern"))

    def _component(self, place: Place, schema: dict[str, Any]) -> None:
        uses = self.uses[f"#/components/schemas/{place[2]}"]
        types = schema.get("type")
        where: Place = (*place, "nullable") if schema.get("nullable") else ()
        if isinstance(types, list) and "null" in types and len(types) > 1:
            where = (*place, "type", types.index("null"))
        if uses and where:
            problem = f"null is allowed in all {uses} places that refer to this component; if only"
            problem += " some can be null, mark those places instead"
            self.find("nullable-component", place, problem, where=where)

    def _number(self, one: _Field) -> None:
        schema = one.schema
        numbers = [schema.get(key) for key in ("minimum", "maximum", "multipleOf")] + one.values
        fractions = [value for value in numbers if isinstance(value, float) and value % 1]
        if COUNT.search(one.words) and "format" not in schema and not fractions:
            problem = f"{one.label} is an integer by its name, but a number may have a fraction"
            where: Place = one.place
            change: Any = {"type": "integer"}
            if isinstance(schema["type"], list):
                where, change = (*where, "type", schema["type"].index("number")), "integer"
            general = one.general
            self.find("fractional-count", one.place, problem, change, where=where, general=general)

    def _text(self, one: _Field, digits: set[str]) -> None:
        texts = [text for text in one.values if isinstance(text, str)]
        secret = SECRET.search(one.words) or (
            one.words == "key" and "api key" in _words(" ".join(map(str, one.place)))
        )
        if secret and one.parameter.get("in") in ("query", "path"):
            self._credential(one.place, f"{one.label} is sent in the {one.parameter['in']}")
        rule, form, problem = "", "", ""
        if secret:
            rule, form = "unmarked-secret", "password"
            problem = "is a secret by its name; this format keeps it out of reprs and errors"
        elif TIME.search(one.words):
            about = one.schema.get("description") or one.parameter.get("description")
            rule, form = "untyped-time", _time_format(texts, str(about))
            problem = "is a time by its name, but has no format; check what it contains"
        elif one.words.split()[-1] in digits or (texts and AMOUNT.search(one.words)):
            rule, form = "digit-string", "digits"
            problem = "has digits by its examples or by its name; this format makes it an int"
            form = form if all(re.fullmatch("[0-9]+", text) for text in texts) else ""
        keys = {"format", "enum", "const"} | ({"pattern"} if not secret else set())
        if form and not one.schema.keys() & keys:
            change, general = {"format": form}, one.general
            self.find(rule, one.place, f"{one.label} {problem}", change, general=general)

    def _credential(self, place: Place, what: str) -> None:
        problem = f"{what}, so it gets into logs; answer this if the API takes it nowhere else"
        change = {ANSWERS: {"credential-in-url": "The API takes it nowhere else."}}
        self.find("credential-in-url", place, problem, change)


def mend(pattern: str) -> str:
    """Return a pattern with the backslashes that it seems to have lost, or to have twice."""
    runs = re.findall(r"\\+", pattern)
    if not runs:
        return LOST.sub(lambda lost: re.sub("[dws]", r"\\\g<0>", lost[0]), pattern)
    is_class = re.search(r"\\[dws](?=[+*?{\])$\\]|\Z)", pattern)
    is_doubled = is_class and all(len(run) % 2 == 0 for run in runs)
    return pattern.replace("\\\\", "\\") if is_doubled else pattern


def _time_format(texts: list[str], description: str) -> str:
    """Return the format of a time by its examples, or else by its description."""
    if not texts and not MOMENT.match(description) and not DAY.match(description):
        return "" if OTHER.match(description) else "date-time"
    known = [
        "date-time" if MOMENT.match(text) else "date" if DAY.match(text) else ""
        for text in texts or [description]
    ]
    return known[0] if len({*known}) == 1 else ""


def _may_be_empty(schema: dict[str, Any]) -> bool:
    return not schema or "properties" in schema or schema.get("type") == "object"


def _words(name: Any) -> str:
    return " ".join(WORDS.findall(str(name))).lower() or repr(name)


def _values(part: dict[str, Any]) -> list[Any]:
    """Return the values that a schema or a parameter names itself."""
    examples = part.get("examples") or ()
    if isinstance(examples, dict):
        examples = [one.get("value") for one in examples.values() if isinstance(one, dict)]
    own = [part[key] for key in ("default", "example", "const") if key in part]
    return [*own, *examples, *(part.get("enum") or ())]


def _path(place: Place) -> str:
    """Return the JSONPath of a place."""
    keys = (f".{key}" if IDENTIFIER.fullmatch(str(key)) else f"[{_quoted(key)}]" for key in place)
    return "".join(["$", *keys])


def _quoted(key: str | int) -> str:
    if isinstance(key, int):
        return str(key)
    return "'" + key.replace("\\", "\\\\").replace("'", "\\'") + "'"
