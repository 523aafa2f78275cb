"""The requests and responses that the server and the peers share. Imports nothing."""

KEY = "sk_test_benchmark"
WORKSPACE = "ws_5f2b8c1e9a7d4036"
METER = "acme-production-meter"
CREDITS = 500

PATH = "/api/v1/customer-billing/refill"
BODY = (
    f'{{"workspaceId": "{WORKSPACE}", "externalMeterId": "{METER}", "refill": {CREDITS}}}'
).encode()

# ruff: noqa: E501 - bodies exactly as they are sent
_REFILLED = b'{"billing":{"id":"cbm_833a6778b834ffdf87a01c2604a4f7a8","totalCredits":"1500","usedCredits":"250","allowOverages":false,"spendCap":null,"createdAt":"2026-11-23T14:46:18.730Z","updatedAt":"2026-11-23T14:46:18.773Z"}}'
_LEDGER_ENTRY = b'{"id":"cle_833a6778b834ffdf","entry_type":"increment","entry_status":"committed","ledger_sequence_number":7,"customer":{"id":"acme"},"amount":500.0,"starting_balance":1000.0,"ending_balance":1500.0,"currency":"credits","description":null,"created_at":"2026-11-23T14:46:18.730Z","metadata":{}}'
_LOYALTY_EVENT = b'{"event":{"id":"833a6778b834ffdf87a01c2604a4f7a8","type":"ADJUST_POINTS","created_at":"2026-11-23T14:46:18.730Z","adjust_points":{"loyalty_program_id":"d619f755","points":500,"reason":"refill"},"loyalty_account_id":"acme","location_id":"P034NEENMD09F","source":"LOYALTY_API"}}'
_METER_EVENT = b'{"object":"billing.meter_event","created":1795445178,"event_name":"refill","identifier":"833a6778b834ffdf87a01c2604a4f7a8","livemode":false,"payload":{"stripe_customer_id":"cus_acme","value":"500"},"timestamp":1795445178}'
_KEY_CREDITS = b'{"meta":{"requestId":"req_833a6778b834ffdf"},"data":{"remaining":1500,"refill":{"interval":"monthly","amount":1000,"refillDay":1}}}'

ANSWERS = {
    PATH: _REFILLED,
    "/customers/acme/credits/ledger_entry": _LEDGER_ENTRY,
    "/v2/loyalty/accounts/acme/adjust": _LOYALTY_EVENT,
    "/v1/billing/meter_events": _METER_EVENT,
    "/v2/keys.updateCredits": _KEY_CREDITS,
}
"""The body of each response, by path. The status is always 200."""

ANSWER = ANSWERS[PATH]
IDENTIFIER = "833a6778b834ffdf"
"""A part of every response: what a peer returns shows it, if the peer has decoded the response."""

CONNECTIONS = "/connections"
"""The path where the server returns the number of connections that it has accepted so far."""
