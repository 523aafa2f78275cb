"""A real HTTP server on 127.0.0.1 that stands in for the Oneloop API and can misbehave on request.

    from oneloop.sandbox import Sandbox

    with Sandbox() as sandbox:
        sandbox.misbehave("drop-after")
        ...  # point a client at sandbox.url with sandbox.api_key
        print(sandbox.meter(workspace_id="ws_1", external_meter_id="acme").total_credits)

It serves every operation of the API's document from memory, and forgets everything when it stops. A
new sandbox has one workspace, ``ws_1``, with one meter, ``acme``, which has 1000 credits, none of
them used. ``python -m oneloop.sandbox`` serves one from the command line.

docs/sandbox.md describes its faults, its controls over HTTP, and what it assumes where the API's
document leaves something open.
"""

from importlib.util import find_spec

if any(find_spec(name) is None for name in ("starlette", "uvicorn", "cattrs")):
    raise ImportError(
        "oneloop.sandbox needs Starlette, uvicorn and cattrs: pip install 'oneloop[sandbox]'",
        name=__name__,
    )

from oneloop.sandbox._faults import Fault
from oneloop.sandbox._server import Sandbox
from oneloop.sandbox._state import Meter, QueuedFault, ReceivedRequest

__all__ = ["Fault", "Meter", "QueuedFault", "ReceivedRequest", "Sandbox"]
