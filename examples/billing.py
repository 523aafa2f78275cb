"""Issue a key to a customer, charge its usage until the credits run out, refill, and continue.

This runs against a local sandbox. To run it against the API, create the client without arguments
and set ONELOOP_SDK_KEY; it then creates a workspace, a scope, a meter and a key there.
"""

from oneloop import Oneloop, models
from oneloop.sandbox import Sandbox


def main() -> None:
    """Run all steps and print one line for each."""
    with (
        Sandbox() as sandbox,
        Oneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client,
    ):
        workspace = client.create_workspace(name="Production").workspace
        client.create_workspace_scopes(
            workspace_id=workspace.id, name="Translations", representation="translations"
        )
        client.create_customer_billing(
            workspace_id=workspace.id, external_meter_id="acme", total_credits=100
        )
        may_read = models.ApiKeyScope(
            representation="translations", create=False, read=True, update=False, delete=False
        )
        issued = client.create_api_key(
            workspace_id=workspace.id,
            name="Acme's first key",
            customer_id="acme",
            external_meter_id="acme",
            scopes=[may_read],
            enabled=True,
            metadata={"plan": "starter"},
        ).api_key
        print(f"issued {issued.masked_key} to {issued.customer_id}")

        # An API does this for each request of a customer: it checks whether the key may make the
        # request, and charges for it. A refusal is a normal result, not an error.
        while True:
            result = client.verify_api_key(
                key=issued.key, requested_scopes=[may_read], billing_usage=40
            )
            print(f"a request for 40 credits: {result.status}")
            if not result.is_valid:
                break

        refilled = client.refill_billing_limit(
            workspace_id=workspace.id, external_meter_id="acme", refill=500
        ).billing
        if refilled is None:
            raise SystemExit("there is no such meter")
        print(f"refilled: {refilled.total_credits - refilled.used_credits} credits left")

        result = client.verify_api_key(
            key=issued.key, requested_scopes=[may_read], billing_usage=40
        )
        print(f"a request for 40 credits: {result.status}")

        for row in client.get_billing_usage(billing_id=refilled.id).data:
            print(f"used on {row.day}: {row.total_billing_usage} credits")


if __name__ == "__main__":
    main()
