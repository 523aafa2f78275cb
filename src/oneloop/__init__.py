"""The client of the Oneloop API: API keys, metered usage and credits.

    from oneloop import Oneloop

    with Oneloop() as client:                      # ONELOOP_SDK_KEY
        meter = client.refill_billing_limit(
            workspace_id="ws_1", external_meter_id="acme", refill=500
        ).billing

Each error is an `OneloopError` whose `outcome` says whether the call took effect.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oneloop_api import models
    from oneloop_core import (
        ArgumentError,
        ArgumentTypeError,
        ArgumentValueError,
        DecodeError,
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
    from ._policy import Retry, RetryPolicy, Timeout
    from ._version import __version__

__all__ = [
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

_HOMES = {
    "oneloop_core": (
        "ArgumentError",
        "ArgumentTypeError",
        "ArgumentValueError",
        "DecodeError",
        "OneloopError",
        "Outcome",
        "Response",
    ),
    "oneloop._client": ("AsyncOneloop", "Oneloop"),
    "oneloop._policy": ("Retry", "RetryPolicy", "Timeout"),
    "oneloop._version": ("__version__",),
}


def __getattr__(name: str) -> Any:
    """Load what is asked for on first use: importing the package costs nothing before that."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "models":
        value: Any = import_module("oneloop_api.models")
    else:
        home = next((home for home, names in _HOMES.items() if name in names), "oneloop._errors")
        value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return __all__
