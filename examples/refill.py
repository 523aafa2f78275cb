"""Refill a customer's meter in a local sandbox, and print the balance before and after.

`./generate.sh --demo` runs this.
"""

from oneloop import Oneloop, OneloopError, Outcome
from oneloop.sandbox import Sandbox


def main() -> None:
    """Make one refill of 500 credits over HTTP."""
    with (
        Sandbox() as sandbox,
        Oneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client,
    ):
        before = sandbox.meter(workspace_id="ws_1", external_meter_id="acme")
        print(f"before: {before.total_credits - before.used_credits} credits left")
        try:
            meter = client.refill_billing_limit(
                workspace_id="ws_1", external_meter_id="acme", refill=500
            ).billing
        except OneloopError as error:
            if error.outcome in (Outcome.NOT_SENT, Outcome.REJECTED):
                raise SystemExit(f"nothing happened: {error}") from None
            raise SystemExit(f"look at the meter before you repeat it: {error}") from None
        if meter is None:
            raise SystemExit("there is no such meter")
        print(f"after:  {meter.total_credits - meter.used_credits} credits left")


if __name__ == "__main__":
    main()
