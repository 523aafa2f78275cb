"""The sandbox conforms to the document, whatever schemathesis sends."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import (
    missing_required_header,
    negative_data_rejection,
    positive_data_acceptance,
)

from oneloop.sandbox import Sandbox
from tests.document import DOCUMENT, METHODS

NOT_VALIDATED = [negative_data_rejection, missing_required_header]
"""Checks that do not apply to operations that the sandbox does not simulate."""


def document() -> dict[str, Any]:
    """Return the patched document, extended by the sandbox's own assumptions."""
    patched = without_examples(DOCUMENT)
    error = {"schema": {"$ref": "#/components/schemas/ErrorResponse"}}
    refusal = {"description": "Refused", "content": {"application/json": error}}
    for item in patched["paths"].values():
        for method in METHODS & item.keys():
            for status in ("400", "401", "403", "404"):
                item[method]["responses"].setdefault(status, refusal)
    patched["components"]["schemas"]["MigrateApiKeyRequest"]["properties"]["key"]["minLength"] = 1
    body = patched["paths"]["/api/v1/jwt/verify"]["post"]["requestBody"]["content"]
    limit = body["application/json"]["schema"]["properties"]["rateLimitConfig"]
    limit["properties"]["interval"]["pattern"] = "^[1-9][0-9]{0,3}[smhd]$"
    return patched


def without_examples(part: Any) -> Any:
    """Return a copy without its examples: they name what is there, so to create it is refused."""
    if isinstance(part, dict):
        return {name: without_examples(one) for name, one in part.items() if name != "example"}
    return [without_examples(one) for one in part] if isinstance(part, list) else part


SCHEMA = schemathesis.openapi.from_dict(document())
EXAMPLES = settings(
    max_examples=15,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class There:
    """A sandbox, and the ids and secrets of the objects in it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.url = sandbox.url
        self.headers = {"Authorization": f"Bearer {sandbox.api_key}"}
        key = self.post(
            "api-key",
            {
                "name": "First",
                "workspaceId": "ws_1",
                "customerId": "acme",
                "externalMeterId": "acme",
                "scopes": [],
                "enabled": True,
            },
        )["apiKey"]
        link = {"customerId": "acme", "workspaceId": "ws_1"}
        self.path = {
            "id": "ws_1",
            "akid": key["id"],
            "bid": key["billingId"],
            "token": self.post("link-token", link)["token"],
        }
        self.fields = {"workspaceId": "ws_1", "externalMeterId": "acme", "key": key["key"]}

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Call the sandbox and return the JSON of the response."""
        answer = httpx.post(f"{self.url}/api/v1/{path}", headers=self.headers, json=body)
        return answer.raise_for_status().json()


@pytest.fixture(scope="module")
def there() -> Iterator[There]:
    """Yield one sandbox for all tests, which do not depend on earlier calls."""
    with Sandbox() as sandbox:
        yield There(sandbox)


@SCHEMA.parametrize()
@EXAMPLES
def test_every_answer_is_as_promised(case: schemathesis.Case, there: There) -> None:
    """Responses have the documented status, media type and schema, even to bad requests."""
    # If schemathesis leaves out the token on purpose, we send it anyway, so that the request may
    # be valid after all.
    components = {} if case.meta is None else case.meta.components
    mended = any(
        where.name == "HEADER" and one.mode.is_negative for where, one in components.items()
    )
    called: dict[str, Any] = {"base_url": there.url, "headers": there.headers}
    answer = case.call(**called)
    if "x-sandbox-simulated" in answer.headers:
        excluded = NOT_VALIDATED
    else:
        excluded = [negative_data_rejection] if mended else []
    case.validate_response(
        answer, headers=there.headers, excluded_checks=excluded, transport_kwargs=called
    )


@SCHEMA.parametrize()
@EXAMPLES
def test_every_answer_about_what_is_there_is_as_promised(
    case: schemathesis.Case, there: There
) -> None:
    """Responses are as documented for ids, names and keys that exist in the sandbox."""
    given = case.path_parameters or {}
    case.path_parameters = {name: there.path.get(name, given[name]) for name in given}
    for part in (case.body, case.query):
        if isinstance(part, dict):
            part.update({name: there.fields[name] for name in part.keys() & there.fields.keys()})
    answer = case.call(base_url=there.url, headers=there.headers)
    # After the changes above, a request that was meant to be valid may be invalid, or the other way
    # round. The test above covers both.
    judged = [positive_data_acceptance, negative_data_rejection]
    case.validate_response(answer, excluded_checks=judged)
    assert answer.status_code != 404
