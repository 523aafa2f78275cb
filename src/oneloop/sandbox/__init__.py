"""A real HTTP server on 127.0.0.1 that stands in for the Oneloop API, well-behaved or not.

    from oneloop.sandbox import Sandbox

    with Sandbox() as sandbox:
        sandbox.misbehave("drop-after")
        ...  # point a client at sandbox.url with sandbox.api_key
        print(sandbox.meter(workspace_id="ws_1", external_meter_id="acme").total_credits)

It serves all that the API's document describes, from memory, and forgets everything when it goes. A
new sandbox holds one workspace, ``ws_1``, and in it one meter, ``acme``, with 1000 credits, none of
them used. ``python -m oneloop.sandbox`` serves one from the command line.

Assumptions. The document leaves these open; here is what the sandbox does about each.

Requests and answers:

* The path and method are looked up first (404, 405), then the token (401) and its rights (403),
  then the body (413, then 400, naming the first field at fault), then what the call is about (404
  if it is not there, 400 if it does not allow the call; the document declares no 409).
* Messages: the HTTP phrase (``Unauthorized``, ``Forbidden``, ``Not Found``), for a 400 ``<field>:
  must be ...`` (``scopes.0.read: must be a boolean``), and for what is not there a sentence that
  names it. 404, 405 and 413 use the documented error shape too.
* A request for another host than ``localhost``, ``127.0.0.0/8`` or ``[::1]``, by its ``Host``
  header or by a whole URL as its target, is refused with 421 before all else. It is not logged, and
  takes no fault. (Otherwise a web page could reach the sandbox by letting its own name lead there.)
* A body that is not sent as ``application/json`` is refused with 400, and one over 1 MiB with 413.
* Unknown fields in a request are ignored. A field that may be left out may not be null, unless the
  document says so. Where an operation takes no body, what is sent is not looked at.
* An integer may not exceed 2**53 - 1, the largest that a JavaScript server reads exactly. A JSON
  number written with a fraction or an exponent (``5.0``, ``5e0``) is not an integer. A string of
  digits has 1 to 4300 digits, ASCII ones. Any string will do for a name or an id.
* An id in a path is one segment, percent-encoded or not: ``a%2Fb`` is the id ``a/b``.
* ``createdAt`` and ``updatedAt`` are UTC with milliseconds; a change moves ``updatedAt``, and an
  edit that changes nothing does not. All other times are POSIX seconds: ``expiresAt``, ``exp``,
  ``resetAt``.
* Lists are complete, oldest first.
* No 5xx, and no 429, unless asked for with a fault: the API has no rate limit of its own here.

Who may call:

* A key without the right to refill has no other right either.
* A link token in ``X-Link-Token`` will do for what the vendor's own browser component does with it:
  to validate itself, to list its workspace's scopes, and to list, create, edit, rotate and delete
  its customer's keys. All else is 403, also another workspace or customer; a key of another
  customer is 404 as one that is not there. An unknown or expired token is 401. If there is an
  ``Authorization`` header, that alone counts.
* A key made with a link token is tied to the meter that is the token's ``externalBillingId``; to
  ask for another is 403, as is another workspace or customer in the body, once that is read.

Workspaces and scopes:

* ``getWorkspace`` lists all workspaces. Their ids are ``ws_`` and 32 hex digits; all belong to one
  team. A new one has no defaults. `Sandbox.create_meter` makes the workspace too if there is none.
* ``defaultExpiration`` is in seconds from a key's creation. Changed defaults do not change old
  keys, save the rate limit, which is the workspace's. ``defaultAllowedIPs`` has no effect.
* To define a representation twice in a workspace is 400. Keys may have scopes that their workspace
  does not define.

Keys:

* A key's value is its prefix, ``_`` and random characters; without a prefix of its own it has the
  workspace's, else ``sk``. Values are told once; of them only SHA-256 digests are kept. A migrated
  key has no prefix and no meter, may not be empty, nor be the value of another key, deleted or not
  (400).
* ``maskedKey`` is ``****`` and the last four characters, these only of 16 characters or more.
* ``billingId`` is the id of the key's meter, null if it has none. A meter that is not there is 404.
* The ``id`` of a scope is kept where the document knows one (``editApiKey``), and left out
  elsewhere.
* Deleted keys are still listed and found by id. To delete one again changes nothing; to edit or
  rotate one is 400. Rotating keeps id and all else, gives a key that was migrated a prefix, and the
  old value is no key from then on.

Verification:

* Of all keys, of whatever workspace. The status is the first of these that is so: INVALID (no such
  key), DELETED, DISABLED, EXPIRED (from the second ``expiresAt`` on), INVALID_SCOPES, RATE_LIMITED,
  USAGE_LIMITED, VALID. With INVALID, ``apiKeyId`` is empty, and so is all else but the request's.
* One scope of the key must have the representation asked for and every right asked for.
* ``rateLimitConfig`` replaces the workspace's default, which counts by key; calls with the same id
  count together. A window is a second of the clock. What fails before RATE_LIMITED does not count,
  and shows no ``rateLimit``.
* Usage is charged to the key's meter only when VALID, and only whole. The limit is
  ``totalCredits``, or with ``allowOverages`` the ``spendCap`` alone, if any. What would go beyond
  it is USAGE_LIMITED, and when nothing is left, so is everything. Usage of a key without a meter is
  not recorded.
* ``lastUsedAt`` is when the key was last VALID. ``route`` has no effect.

Billing:

* ``refill`` raises ``totalCredits``; ``usedCredits`` and ``spendCap`` stay as they are. It may not
  be left out, although the schema does not require it.
* A meter that does not exist is not an error to ``refillBillingLimit`` and ``getCustomerBilling``:
  200 with ``{"billing": null}``. To create one that exists is 400.
* A meter's id is ``cbm_`` and 32 hex digits, the same for the same names in every sandbox.
* ``recordApiKeyUsage`` charges the meter beyond any limit, whatever has become of the key; a value
  that is no key is 404.
* ``getBillingUsage`` takes a meter's id, or its external id in any workspace, and has a row for
  each meter, day (UTC) and name, which is empty if none was given. There is none for an unknown id,
  nor for a usage of 0.

Link tokens and JWTs:

* A link token lasts an hour and is ``lt_`` and random characters. Asked about one that is over, the
  API's key hears that it is not valid; an unknown one is 404.
* A JWT is signed with HS256 and a secret of the sandbox's own. Its claims are ``payload``, ``exp``
  (in an hour, unless given) and ``aud`` (if given).
* It is INVALID if it is not the sandbox's, is over, or exceeds its ``rateLimitConfig``. Of one that
  is not the sandbox's, ``payload`` is empty and ``exp`` is 1. ``interval`` is a number and a unit,
  ``s``, ``m``, ``h`` or ``d``; only tokens that are good count.
"""

from importlib.util import find_spec

if find_spec("starlette") is None or find_spec("uvicorn") is None:
    raise ImportError(
        "oneloop.sandbox needs Starlette and uvicorn: pip install 'oneloop[sandbox]'",
        name=__name__,
    )

from oneloop.sandbox._faults import Fault
from oneloop.sandbox._server import Sandbox
from oneloop.sandbox._state import Meter, ReceivedRequest

__all__ = ["Fault", "Meter", "ReceivedRequest", "Sandbox"]
