"""A real HTTP server on 127.0.0.1 that stands in for the Oneloop API, well-behaved or not.

    from oneloop.sandbox import Sandbox

    with Sandbox() as sandbox:
        sandbox.misbehave("drop-after")
        ...  # point a client at sandbox.url with sandbox.api_key
        print(sandbox.meter(workspace_id="ws_1", external_meter_id="acme").total_credits)

It serves what the API's document describes, from memory, and forgets everything when it goes. A new
sandbox holds one meter: ``acme`` in workspace ``ws_1``, with 1000 credits, none of them used.
``python -m oneloop.sandbox`` serves one from the command line.

Assumptions. The document leaves these open; here is what the sandbox does about each:

* ``refill`` raises ``totalCredits``; ``usedCredits`` and ``spendCap`` stay as they are.
* ``refill`` may not be left out, although the schema does not require it, and may not exceed
  2**53 - 1, the largest integer that a JavaScript server reads exactly. A JSON number written with
  a fraction or an exponent (``5.0``, ``5e0``) is not an integer.
* A meter that does not exist is not an error: 200 with ``{"billing": null}``.
* The path and method are looked up first (404, 405), then the token (401) and its rights (403),
  then the body (413, then 400, naming the first field at fault).
* A key without the right to refill has no other right either.
* Messages: the HTTP phrase (``Unauthorized``, ``Forbidden``, ``Not Found``), and for a 400
  ``<field>: must be ...``. 404, 405 and 413 use the documented error shape too.
* A body that is not sent as ``application/json`` is refused with 400, and one over 1 MiB with 413.
* Unknown fields in a request are ignored.
* A meter's id is ``cbm_`` and 32 hex digits, the same for the same names in every sandbox.
* ``createdAt`` and ``updatedAt`` are UTC with milliseconds; a refill moves ``updatedAt``.
* No rate limit and no 5xx, unless asked for with a fault.
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
