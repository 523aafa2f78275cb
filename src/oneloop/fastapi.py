"""A guard for FastAPI: let a request through only if the API verifies the customer's key.

    guard = Guard()
    app = FastAPI(lifespan=guard.lifespan)

    @app.get("/invoices")
    async def invoices(
        verified: Annotated[Verification, Depends(guard.requiring(scopes={"invoices": "read"}))],
    ) -> ...:

docs/guards.md describes the settings and the responses.
"""

from collections.abc import Awaitable, Callable

from fastapi.openapi.models import APIKey, APIKeyIn, HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from oneloop_api.models import VerifyApiKeyResponse as Verification

from ._asgi import ASGIGuard, verification
from ._client import AsyncOneloop
from ._guard import Scopes

__all__ = ["Guard", "Verification", "verification"]


class Guard(ASGIGuard, SecurityBase):
    """A dependency that verifies the key of a customer and returns the verification.

    Use it as `Depends(guard)` or in `dependencies=[Depends(guard)]` of a route, router or app. The
    OpenAPI page of the application shows the key as a security scheme.

    Args:
        scopes: What the key must allow, such as `{"invoices": "read"}`; also several rights, or
            `ApiKeyScope` models. Default: the key alone.
        usage: Credits to charge for a request that is let through, or a function of the request,
            also an async one, that returns them. Default: the request is not charged.
        usage_name: A name for what is used.
        header: The header with the key, such as `X-API-Key`. Default: `Authorization: Bearer`.
        deadline: Seconds for the whole verification. If they do not suffice, the answer is 503.
        usage_limited: The HTTP status for a customer without credits.
        remember_refusals: Seconds for which a key that was refused as unknown, expired, disabled or
            deleted is refused again without a call. A key that has been enabled again keeps being
            refused for that long. Default `None`: each request is verified. At most 300.
        client: A client of yours, which you close. Default: one client per process, made from the
            environment, and closed with the application by `lifespan`.
        scheme_name: The name of the security scheme in the OpenAPI page.

    Raises:
        ArgumentError: An argument is not valid.
    """

    def __init__(
        self,
        *,
        scopes: Scopes = (),
        usage: int | Callable[[HTTPConnection], int | Awaitable[int]] | None = None,
        usage_name: str | None = None,
        header: str | None = None,
        deadline: float = 2.0,
        usage_limited: int = 402,
        remember_refusals: float | None = None,
        client: AsyncOneloop | None = None,
        scheme_name: str = "Oneloop",
    ) -> None:
        super().__init__(
            scopes=scopes,
            usage=usage,
            usage_name=usage_name,
            header=header,
            deadline=deadline,
            usage_limited=usage_limited,
            remember_refusals=remember_refusals,
            client=client,
        )
        self.model = (
            HTTPBearer()
            if header is None
            else APIKey.model_validate({"in": APIKeyIn.header, "name": header})
        )
        self.scheme_name = scheme_name

    async def __call__(self, connection: HTTPConnection) -> Verification:
        """Return the verification; FastAPI calls this for each request."""
        return await self.verify(connection)
