"""Refills a customer's meter when a payment provider reports a payment, exactly once.

A provider delivers an event until somebody answers with 2xx: twice if an answer was lost, and at
the same time to two servers if it was impatient. The ledger makes one refill of all deliveries,
because the id of the event is the id of the refill. Any number of processes may share the ledger,
and each of them may be killed at any moment. The tests, in `test_webhook.py`, do that.

It needs `pip install 'oneloop[fastapi,ledger]' uvicorn`, and in the environment ONELOOP_SDK_KEY,
ONELOOP_WORKSPACE (the id of the workspace that has the meters), WEBHOOK_SECRET (`whsec_...`, as the
provider shows it) and LEDGER (a path or a URL of PostgreSQL; `refills.db` by default):

    uvicorn --app-dir examples/webhook --workers 2 --factory webhook:create_app

Signatures are those of https://www.standardwebhooks.com, which many providers use.

A refill that the API has rejected is not sent again by itself; the log has an error. When its
cause is corrected, `oneloop refill --id EVENT ... --retry-rejected` sends it again, and so does
`ledger.refill(..., retry_rejected=True)`, with the id of the event. A meter that is missing is no
such case: it may not be there yet, so the provider is asked to deliver the event again.
"""

import asyncio
import base64
import binascii
import hmac
import logging
import os
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, ValidationError

from oneloop import ArgumentError, AsyncOneloop, OneloopError, RetryPolicy
from oneloop.ledger import (
    AsyncLedger,
    LedgerConflictError,
    LedgerMissingError,
    Refill,
    State,
)

logger = logging.getLogger("webhook")

LARGEST_EVENT = 64 * 1024
"""Bytes of the largest event that is read. Whoever sends more is not the provider."""

TOLERANCE = 300
"""Seconds by which the time of a delivery may differ from ours: nobody can repeat it later."""

PAID = "payment.succeeded"
"""The type of the events that refill a meter. Others are not for us."""

FINAL = (State.APPLIED, State.REJECTED)
"""What another delivery of the event would not change. Everything else is delivered again, and so
is an event whose meter is missing."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the application is configured with.

    Attributes:
        secret: The provider's key for signatures.
        workspace: Id of the workspace that has the meters.
        ledger: Path or URL of the ledger's database.
        pause: Seconds between two rounds of `Refills.finish`.
        budget: Seconds for one call of the API. A provider does not wait long for an answer.
        quiet: Seconds between the two readings that settle a refill, as `AsyncLedger` takes it.
        lease: Seconds after which a refill of a process on another machine is taken over.
    """

    secret: bytes = field(repr=False)
    workspace: str
    ledger: str = field(default="refills.db", repr=False)  # a URL may contain a password
    pause: float = 10.0
    budget: float = 10.0
    quiet: float = 60.0
    lease: float = 80.0

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read the settings, or end the program with a line that names what is missing."""
        try:
            secret = os.environ["WEBHOOK_SECRET"]
            workspace = os.environ["ONELOOP_WORKSPACE"]
        except KeyError as missing:
            raise SystemExit(f"set {missing.args[0]} in the environment") from None
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            raise SystemExit("WEBHOOK_SECRET is not base64; copy it completely") from None
        if not key:  # everybody could sign with an empty key
            raise SystemExit("WEBHOOK_SECRET is empty")
        return cls(secret=key, workspace=workspace, ledger=os.environ.get("LEDGER", "refills.db"))


class Event(BaseModel):
    """What a provider delivers."""

    type: str
    data: Any = None


class Payment(BaseModel):
    """The data of a payment that has succeeded."""

    customer: str
    credits: Annotated[int, Field(strict=True, gt=0)]


def is_signed(secret: bytes, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Return whether the provider has signed this delivery, within `TOLERANCE` seconds of now.

    While a provider changes its key, it sends a signature with each, separated by spaces.
    """
    name, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not (name and re.fullmatch("[0-9]{1,12}", sent) and abs(now - int(sent)) <= TOLERANCE):
        return False
    signed = f"{name}.{sent}.".encode("latin-1") + body
    expected = b"v1," + base64.b64encode(hmac.digest(secret, signed, "sha256"))
    given = headers.get("webhook-signature", "").encode("latin-1").split(b" ")
    return any([hmac.compare_digest(expected, one) for one in given])  # noqa: C419 - all, always


def lacks_meter(refill: Refill) -> bool:
    """Return whether a refill was rejected before it was sent, as there was no meter to read."""
    return refill.state is State.REJECTED and refill.before is None


class Refills:
    """Refills meters through the ledger: for events that arrive, and what they have left over."""

    def __init__(self, client: AsyncOneloop, ledger: AsyncLedger, settings: Settings) -> None:
        self.client = client
        self.ledger = ledger
        self.settings = settings

    async def paid(self, event: str, payment: Payment) -> Refill:
        """Refill the meter of a payment, or return what has become of its refill so far."""
        refill = await self.refill(event, payment)
        if lacks_meter(refill):  # perhaps since an earlier delivery, and the meter was made since
            refill = await self.refill(event, payment, retry_rejected=True)
        if refill.state is State.REJECTED:  # the customer has paid: a person has to look
            logger.error("event %s: the refill was rejected: %s", event, refill.error)
        elif refill.state is not State.APPLIED:
            logger.warning("event %s: %s: %s", event, refill.state.value, refill.error)
        return refill

    async def refill(self, event: str, payment: Payment, *, retry_rejected: bool = False) -> Refill:
        """Refill the meter of a payment through the ledger."""
        return await self.ledger.refill(
            self.client,
            id=event,
            workspace_id=self.settings.workspace,
            external_meter_id=payment.customer,
            refill=payment.credits,
            retry_rejected=retry_rejected,
        )

    async def finish(self) -> None:
        """Settle unknown refills, and send those that were not sent or did not happen.

        So a payment does not depend on another delivery of its event, which a provider gives up
        after some days.
        """
        await self.ledger.settle(self.client)
        for state in (State.PLANNED, State.NOT_APPLIED):
            async for one in self.ledger.refills(state=state):
                await self.ledger.refill(
                    self.client,
                    id=one.id,
                    workspace_id=one.workspace_id,
                    external_meter_id=one.external_meter_id,
                    refill=one.refill,
                )

    async def finish_forever(self) -> None:
        """Call `finish` again and again. A round that fails is no reason to stop."""
        while True:
            try:
                await self.finish()
            except LedgerMissingError:
                pass  # there was no payment yet
            except Exception:
                logger.exception("could not finish refills; the next round tries again")
            await asyncio.sleep(self.settings.pause)


async def receive(request: Request) -> JSONResponse:
    """Answer a delivery: 2xx if the provider is to forget the event, else it delivers it again."""
    settings: Settings = request.state.settings
    refills: Refills = request.state.refills
    body = await read(request)
    name = request.headers.get("webhook-id", "")
    if not is_signed(settings.secret, request.headers, body, time.time()):
        raise HTTPException(401, "the signature is missing, wrong or too old")
    try:
        event = Event.model_validate_json(body)
        if event.type != PAID:
            return JSONResponse({"state": "ignored"})
        payment = Payment.model_validate(event.data)
    except ValidationError:
        logger.exception("event %s is signed, but cannot be read", name)
        raise HTTPException(400, "the event cannot be read") from None
    try:
        refill = await refills.paid(name, payment)
    except (ArgumentError, LedgerConflictError) as error:
        # The event makes no sense, or another one had the same id: a person has to look.
        logger.exception("event %s", name)
        raise HTTPException(409, str(error)) from None
    except OneloopError as error:  # of the database, or our SDK key is refused
        logger.exception("event %s", name)
        raise HTTPException(503, "the refill is not finished; deliver the event again") from error
    status = 200 if refill.state in FINAL and not lacks_meter(refill) else 503
    return JSONResponse({"state": refill.state.value}, status)


async def read(request: Request) -> bytes:
    """Return the body of a request, of `LARGEST_EVENT` bytes at most."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_EVENT:
            raise HTTPException(413, "the event is too large")
    return bytes(body)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application, configured from the environment unless settings are given."""
    used = settings or Settings.from_environment()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        """Open the client and the ledger, and finish refills in the background while it serves."""
        async with (
            AsyncOneloop(retry=RetryPolicy(budget=used.budget)) as client,
            AsyncLedger(used.ledger, quiet=used.quiet, lease=used.lease, patience=5) as ledger,
        ):
            refills = Refills(client, ledger, used)
            job = asyncio.create_task(refills.finish_forever())
            try:
                yield {"settings": used, "refills": refills}
            finally:
                job.cancel()
                await asyncio.wait([job])

    app = FastAPI(lifespan=lifespan)
    app.post("/webhook")(receive)
    return app
