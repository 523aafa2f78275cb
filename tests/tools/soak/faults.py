"""The faults of a soak. None of them makes the server report something untrue.

A client cannot detect an API that answers 4xx although it applies the call, or that makes up a 200.
"""

from oneloop.sandbox import Fault

MAX_RESPONSE_BYTES = 20_000
"""`max_response_bytes` of the clients."""

RARELY = 0.01
"""Share of the faults that last until the client gives up."""

_OTHERS = b'{"billing":{"id":"cbm_of_another_call","totalCredits":"1","usedCredits":"0",'
_OTHERS += b'"allowOverages":false,"spendCap":null,"createdAt":"2026-01-01T00:00:00Z",'
_OTHERS += b'"updatedAt":"2026-01-01T00:00:00Z"}}'
_TWO_ANSWERS = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nbusy"
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_OTHERS), _OTHERS)
)

FAULTS = (
    Fault.drop_before(),
    Fault.drop_after(),
    Fault.reset_before(),
    Fault.reset_after(),
    Fault.late_apply(0.02, ending="drop"),
    Fault.late_apply(0.02, ending="504"),
    Fault.truncated_body(),
    Fault.duplicate_answer(),
    Fault.large_body(MAX_RESPONSE_BYTES + 1),
    Fault.large_body(MAX_RESPONSE_BYTES),
    Fault.slow_headers(0.1),
    Fault.slow_body(0.1),
    Fault.wrong_shape(),
    Fault.wrong_shape("billing"),
    Fault.rate_limited(0),
    Fault.rate_limited(0.02, form="milliseconds"),
    Fault.rate_limited(None),
    Fault.rate_limited(100),
    *(Fault.status(code) for code in (302, 400, 401, 404, 409, 422, 500, 503, 520)),
    *(Fault.status(code, applies=True) for code in (500, 503, 520)),
    *(
        make(applies=applies)
        for make in (Fault.html_page, Fault.not_json, Fault.empty_body)
        for applies in (False, True)
    ),
    *(
        Fault.raw(data, applies=applies)
        for data in (
            b"",
            b"HTTP/9.9 what?\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Le",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
            b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"billing": {"id"',
            _TWO_ANSWERS,
        )
        for applies in (False, True)
    ),
)
_CONFUSING = [
    Fault.duplicate_answer(),
    *(Fault.raw(_TWO_ANSWERS, applies=applies) for applies in (False, True)),
]
FAULTS_OVER_HTTPX = tuple(fault for fault in FAULTS if fault not in _CONFUSING)
"""httpx takes what it reads together with the end of an answer for the start of the next one.
It has no public interface that would show us, so a server that sends two answers confuses it."""

RARE_FAULTS = (Fault.hang(), Fault.late_apply(0.02), Fault.slow_headers(30), Fault.slow_body(30))
RARE_FAULTS_OVER_HTTPX = RARE_FAULTS[:2]
"""A blocking client over httpx has no limit for a whole answer, so it would wait for slow ones."""
