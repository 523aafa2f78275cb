"""Hand-written classes with slots: our models without attrs. They decode as ours do."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Self

from benchmarks.calls import ANSWER
from oneloop_core import DecodeError, decode_boolean, decode_object, decode_string, missing
from oneloop_overrides import decode_digits, decode_timestamp

MODELS = (__name__,)


class CustomerBillingMeter:
    """A meter, as in `oneloop_api.models`."""

    __slots__ = (
        "additional_properties",
        "allow_overages",
        "created_at",
        "id",
        "spend_cap",
        "total_credits",
        "updated_at",
        "used_credits",
    )

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 - the field's name
        total_credits: int,
        used_credits: int,
        allow_overages: bool,
        spend_cap: int | None,
        created_at: datetime,
        updated_at: datetime,
        additional_properties: dict[str, Any],
    ) -> None:
        self.id = id
        self.total_credits = total_credits
        self.used_credits = used_credits
        self.allow_overages = allow_overages
        self.spend_cap = spend_cap
        self.created_at = created_at
        self.updated_at = updated_at
        self.additional_properties = additional_properties

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Decode parsed JSON.

        Raises:
            DecodeError: A field is missing or has the wrong type.
        """
        rest = decode_object(data)
        at = ""
        try:
            at = "id"
            id = decode_string(rest.pop("id"))  # noqa: A001 - the field's name
            at = "totalCredits"
            total_credits = decode_digits(rest.pop("totalCredits"))
            at = "usedCredits"
            used_credits = decode_digits(rest.pop("usedCredits"))
            at = "allowOverages"
            allow_overages = decode_boolean(rest.pop("allowOverages"))
            at = "spendCap"
            value = rest.pop("spendCap")
            spend_cap = None if value is None else decode_digits(value)
            at = "createdAt"
            created_at = decode_timestamp(rest.pop("createdAt"))
            at = "updatedAt"
            updated_at = decode_timestamp(rest.pop("updatedAt"))
        except KeyError:
            missing(at)
        except DecodeError as error:
            raise error.under(at) from None
        return cls(
            id=id,
            total_credits=total_credits,
            used_credits=used_credits,
            allow_overages=allow_overages,
            spend_cap=spend_cap,
            created_at=created_at,
            updated_at=updated_at,
            additional_properties=rest,
        )


class RefillCustomerBillingMeterResponse:
    """The response to a refill, as in `oneloop_api.models`."""

    __slots__ = ("additional_properties", "billing")

    def __init__(
        self, *, billing: CustomerBillingMeter | None, additional_properties: dict[str, Any]
    ) -> None:
        self.billing = billing
        self.additional_properties = additional_properties

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Decode parsed JSON.

        Raises:
            DecodeError: A field is missing or has the wrong type.
        """
        rest = decode_object(data)
        at = ""
        try:
            at = "billing"
            value = rest.pop("billing")
            billing = None if value is None else CustomerBillingMeter.from_dict(value)
        except KeyError:
            missing(at)
        except DecodeError as error:
            raise error.under(at) from None
        return cls(billing=billing, additional_properties=rest)


def codec() -> dict[str, Callable[[], object]]:
    """Return the steps of a call that involve models; our requests are encoded without one."""
    from oneloop._decoding import read_json
    from oneloop._settings import MAX_RESPONSE_BYTES as LIMIT

    parsed = read_json(ANSWER, LIMIT)
    return {
        "decode": lambda: RefillCustomerBillingMeterResponse.from_dict(parsed),
        "from bytes": lambda: RefillCustomerBillingMeterResponse.from_dict(
            read_json(ANSWER, LIMIT)
        ),
    }
