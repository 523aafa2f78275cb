"""Bare niquests, without models and errors, over HTTP/1.1 as everybody else."""

import os
from collections.abc import Awaitable, Callable
from typing import Any

import niquests

from benchmarks.calls import CREDITS, KEY, METER, PATH, WORKSPACE

REFILL = {"workspaceId": WORKSPACE, "externalMeterId": METER, "refill": CREDITS}
OPTIONS: dict[str, Any] = {
    "headers": {"Authorization": f"Bearer {KEY}"},
    "timeout": 60,
    "disable_http2": True,
    "disable_http3": True,
    "revocation_configuration": None,  # otherwise it asks the issuer about each certificate
    "verify": os.environ.get("SSL_CERT_FILE", True),  # it does not read the variable
}


def make(url: str) -> Callable[[], object]:
    """Return a function that makes a blocking call."""
    session = niquests.Session(base_url=url, **OPTIONS)

    def call() -> object:
        answer = session.post(PATH, json=REFILL)
        answer.raise_for_status()
        return answer.json()

    return call


def make_async(
    url: str,
) -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]:
    """Return functions that make an async call and close the client."""
    session = niquests.AsyncSession(base_url=url, **OPTIONS)

    async def call() -> object:
        answer = await session.post(PATH, json=REFILL)
        answer.raise_for_status()
        return answer.json()

    return call, session.close
