"""The examples under real servers, with many requests at once and with an API that fails."""

import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from oneloop.sandbox import Sandbox
from tests.guards.applications import issue
from tests.guards.servers import SERVERS, serving, status


@pytest.mark.skipif(sys.platform == "win32", reason="gunicorn needs a POSIX system")
@pytest.mark.parametrize("name", SERVERS)
def test_the_examples_run_under_real_servers(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    """Each request is charged once, and each failure of the API has its answer."""
    key = issue(sandbox)
    with serving(SERVERS[name], sandbox, tmp_path / "errors") as port:
        assert status(port, "/me", None) == 401
        assert status(port, "/me", "nobody") == 401
        assert status(port, "/me", key) == 200
        with ThreadPoolExecutor(16) as threads:
            many = [threads.submit(status, port, f"/invoices/{one}", key) for one in range(200)]
            assert Counter(one.result() for one in many) == {200: 200}
        assert sandbox.meter(workspace_id="ws_1", external_meter_id="m").used_credits == 200
        faults = {"500": 503, "drop-before": 503, "hang": 503, "429-bare": 200}
        for fault, expected in faults.items():
            sandbox.misbehave(fault)
            began = time.monotonic()
            assert status(port, "/invoices/1", key) == expected, fault
            assert time.monotonic() - began < 10
        sandbox.misbehave(*["500"] * 20)
        with ThreadPoolExecutor(16) as threads:
            many = [threads.submit(status, port, "/me", key) for _ in range(100)]
            assert Counter(one.result() for one in many) == {200: 80, 503: 20}
        sandbox.stop()
        assert status(port, "/me", key) == 503
