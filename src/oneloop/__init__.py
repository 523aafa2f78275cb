"""The client of the Oneloop API: API keys, metered usage and credits.

    from oneloop import Oneloop

    with Oneloop() as client:                      # ONELOOP_SDK_KEY
        meter = client.refill_billing_limit(
            workspace_id="ws_1", external_meter_id="acme", refill=500
        ).billing

Every error is an `OneloopError`, and its `outcome` states whether the call took effect.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oneloop_api import models
    from oneloop_api.spec import SPEC
    from oneloop_core import (
        ArgumentError,
        ArgumentTypeError,
        ArgumentValueError,
        DecodeError,
        File,
        OneloopError,
        Outcome,
        Response,
    )

    from ._client import AsyncOneloop, Oneloop
    from ._errors import (
        APIConnectionError,
        APIError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        ConfigurationError,
        ConflictError,
        NotFoundError,
        PermissionDeniedError,
        RateLimitError,
        ResponseDecodeError,
        ResponseTooLargeError,
        ServerError,
        UnprocessableEntityError,
    )
    from ._retry import Retry, RetryPolicy, Timeout

__version__ = "0.1.0"

__all__ = [
    "SPEC",
    "APIConnectionError",
    "APIError",
    "APIStatusError",
    "APITimeoutError",
    "ArgumentError",
    "ArgumentTypeError",
    "ArgumentValueError",
    "AsyncOneloop",
    "AuthenticationError",
    "BadRequestError",
    "ConfigurationError",
    "ConflictError",
    "DecodeError",
    "File",
    "NotFoundError",
    "Oneloop",
    "OneloopError",
    "Outcome",
    "PermissionDeniedError",
    "RateLimitError",
    "Response",
    "ResponseDecodeError",
    "ResponseTooLargeError",
    "Retry",
    "RetryPolicy",
    "ServerError",
    "Timeout",
    "UnprocessableEntityError",
    "__version__",
    "models",
]

_HOMES = ("oneloop_core", "oneloop._errors", "oneloop._retry", "oneloop._client")
"""The modules of the public names. Each of them imports those before it."""


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that importing the package itself is cheap."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "models":
        value: Any = import_module("oneloop_api.models")
    elif name == "SPEC":
        value = import_module("oneloop_api.spec").SPEC
    else:
        homes = map(import_module, _HOMES)
        value = next(getattr(home, name) for home in homes if hasattr(home, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, whether or not they have been imported yet."""
    return __all__
