"""Operations of the API's document that the sandbox does not simulate."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

from attrs import frozen

from oneloop.sandbox._answers import Answer, json_answer, with_header
from oneloop.sandbox._calls import Call, Operation
from oneloop.sandbox._fields import body_json
from oneloop.sandbox._samples import Samples, Schema
from oneloop.sandbox._state import State

NOT_SIMULATED = ("x-sandbox-simulated", "false")
"""The header of an answer that is a sample from the document."""

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_PARAMETER = re.compile(r"\{[^}]*\}")


def operations_of(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Schema]]:
    """Yield method, path and description of each operation of a document."""
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                yield method.upper(), path, item[method]


def operation_ids(document: Mapping[str, Any]) -> Mapping[tuple[str, str], str | None]:
    """Return the operationIds of a document by `shape`."""
    found = operations_of(document)
    return {shape(method, path): one.get("operationId") for method, path, one in found}


def unsimulated(document: Mapping[str, Any], simulated: Iterable[Operation]) -> Iterator[Operation]:
    """Yield each operation of a document that is not among the simulated ones."""
    simulated = tuple(simulated)
    served = {shape(one.method, one.path) for one in simulated}
    # A path that differs only in the names of its parameters is one route with the simulated one.
    known = {_unnamed(one.path): one.path for one in simulated}
    samples = Samples(document)
    for method, written, described in operations_of(document):
        if shape(method, written) not in served:
            path = known.get(_unnamed(written)) or _route(written)
            name = described.get("operationId")
            yield Operation(method, path, _Sampled(samples, described), name=name)


def shape(method: str, path: str) -> tuple[str, str]:
    """Return what distinguishes an operation: not the names of its parameters."""
    return method, _unnamed(path)


def _unnamed(path: str) -> str:
    return _PARAMETER.sub("{}", path)


def _route(path: str) -> str:
    """Return a path for the router, which sees it percent-encoded and takes few names."""
    literals = [quote(unquote(part), safe="/") for part in _PARAMETER.split(path)]
    return literals[0] + "".join(
        f"{{p{number}}}{literal}" for number, literal in enumerate(literals[1:])
    )


@frozen
class _Sampled:
    """Answers every call with a sample of the first success that the document describes."""

    _samples: Samples
    _operation: Schema

    def __call__(self, _: State, call: Call) -> Answer:
        """Read the body, which must be JSON if the operation takes any; look at nothing else."""
        body = self._samples.resolved(self._operation.get("requestBody", {}))
        if _json_type(body) is not None and (call.body or body.get("required")):
            body_json(call)
        return with_header(self._success(), *NOT_SIMULATED)

    def _success(self) -> Answer:
        responses = self._operation["responses"]
        # "200" comes before "2XX", and a document may have nothing but "default".
        status = min((code for code in responses if code.startswith("2")), default="default")
        response = self._samples.resolved(responses.get(status, {}))
        code = int(status) if status.isdigit() else 200
        media_type = _json_type(response)
        if media_type is None:
            answer = Answer(code, (), b"")
        else:
            sample = self._samples.of_content(response["content"][media_type])
            answer = json_answer(code, sample)
            if media_type != "application/json":
                answer = with_header(answer, "content-type", media_type)
        for name, written in response.get("headers", {}).items():
            header = self._samples.resolved(written)
            if header.get("required"):
                value = self._samples.of_content(header)
                answer = with_header(answer, name.lower(), str(value))
        return answer


def _json_type(part: Schema) -> str | None:
    """Return the JSON media type of a request or response body, None if it has none."""
    names = part.get("content", {})
    return next((name for name in names if re.fullmatch(r"application/(.*\+)?json", name)), None)
