"""The processes of a run: one server, and the clients on another core."""

import http.client
import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import certifi
import trustme
from attrs import frozen

from .calls import CONNECTIONS
from .peering import HERE, ROOT, Peer

IMPORT = """
import sys
from time import perf_counter
before, start = len(sys.modules), perf_counter()
{statement}
taken, modules = perf_counter() - start, len(sys.modules) - before
from benchmarks.first import resident
print(taken * 1e3, modules, resident())
"""


class PeerError(Exception):
    """A measurement of a peer failed."""


@frozen
class Endpoint:
    """The address of the server, and the environment for clients that call it.

    Attributes:
        url: The URL for plain HTTP.
        tls_url: The URL for HTTPS.
        certificates: A file with the usual root certificates and the one that issued the server's.
    """

    url: str
    tls_url: str
    certificates: Path

    def environment(self, *, tls: bool = False) -> dict[str, str]:
        """Return the environment of a client, without any variable that could affect it."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return kept | ({"SSL_CERT_FILE": str(self.certificates)} if tls else {})

    def connections(self) -> int:
        """Return how many connections the server has accepted, except the ones that ask this."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc)
        connection.request("GET", CONNECTIONS)
        number = int(connection.getresponse().read())
        connection.close()
        return number


@contextmanager
def serving() -> Generator[Endpoint]:
    """Run the server on a core of its own; this process and the clients use another core."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        authority = trustme.CA()
        certificate = Path(folder) / "server.pem"
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
        trusted = Path(folder) / "trusted.pem"
        # Include the usual root certificates, because reading them is part of a client's start-up.
        trusted.write_bytes(Path(certifi.where()).read_bytes())
        authority.cert_pem.write_to_path(trusted, append=True)
        ssl.create_default_context(cafile=str(trusted))  # fails now if the file is malformed

        cores = _cores()
        if len(cores) > 1:
            _move_to(cores[-1:])
            stack.callback(_move_to, cores)
        server = stack.enter_context(
            subprocess.Popen(
                [sys.executable, HERE / "server.py", certificate],
                stdin=subprocess.PIPE,  # the server exits when this closes, also if we are killed
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        if len(cores) > 1:
            _move_to(cores[:1])
        assert server.stdin is not None  # noqa: S101 - it is a pipe
        assert server.stdout is not None  # noqa: S101 - see above
        try:
            plain, tls = server.stdout.readline().split()
            yield Endpoint(f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{tls}", trusted)
        finally:
            server.stdin.close()


def _cores() -> list[int]:
    """Return the cores that this process may use; empty if the system does not report them."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _move_to(cores: list[int]) -> None:
    """Restrict this process, and processes that it starts later, to these cores."""
    os.sched_setaffinity(0, cores)


def under(version: str | None, peer: str) -> str:
    """Return the name of the results of a peer under a version of Python; `None`: the usual one."""
    return f"{peer}, Python {version}" if version else peer


class Client:
    """Runs one peer: in a worker process, and in a new process for each measurement of a start.

    Attributes:
        name: The name of the peer, with the version of Python if it is not the usual one.
    """

    def __init__(
        self, peer: Peer, python: Path, endpoint: Endpoint, version: str | None = None
    ) -> None:
        self.peer, self.python, self.endpoint, self.ported = peer, python, endpoint, bool(version)
        self.name = under(version, peer.name)
        self.process = subprocess.Popen(
            [python, HERE / "worker.py", peer.name],
            cwd=ROOT,
            env=endpoint.environment(tls=True),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Kill the worker process."""
        with self.process:
            self.process.kill()

    def measure(self, name: str, **arguments: object) -> dict[str, float]:
        """Measure something in the worker process; `name` is a method of `worker.Worker`.

        Raises:
            PeerError: The measurement failed.
        """
        assert self.process.stdin is not None  # noqa: S101 - it is a pipe
        assert self.process.stdout is not None  # noqa: S101 - see above
        try:
            self.process.stdin.write(json.dumps({"measure": name, **arguments}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise PeerError("its process has ended") from None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline() or "{}")
        if "error" in answer or not answer:
            raise PeerError(answer.get("error", "its process has ended"))
        return answer

    def imports(self) -> dict[str, float]:
        """Return the milliseconds and modules of the import, and the KiB of memory after it."""
        code = IMPORT.format(statement=self.peer.statement)
        taken, modules, memory = self._run("-c", code, tls=False).split()
        return {"import": float(taken), "modules": float(modules), "imported": float(memory)}

    def first(self, *, tls: bool) -> dict[str, float]:
        """Return the milliseconds from process start to response, and the KiB of memory then."""
        url = self.endpoint.tls_url if tls else self.endpoint.url
        start = time.perf_counter()
        with subprocess.Popen(
            [self.python, HERE / "first.py", self.peer.name, url],
            cwd=ROOT,
            env=self.endpoint.environment(tls=tls),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            assert process.stderr is not None  # noqa: S101 - see above
            line = process.stdout.readline()
            taken = time.perf_counter() - start
            memory, errors = process.stdout.read(), process.stderr.read()
        if line != "done\n":
            raise PeerError(errors.strip().rpartition("\n")[2])
        return {"time": taken * 1e3, "memory": float(memory)}

    def version(self) -> str:
        """Return the peer's version, or an empty string if it has none."""
        if not self.peer.version:
            return ""
        return self._run("-c", f"print({self.peer.version})", tls=False).strip()

    def _run(self, *arguments: str, tls: bool) -> str:
        result = subprocess.run(
            [self.python, *arguments],
            cwd=ROOT,
            env=self.endpoint.environment(tls=tls),
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise PeerError(result.stderr.strip().rpartition("\n")[2])
        return result.stdout


Measure = Callable[[Client], dict[str, float]]
"""Makes one measurement of one peer; returns values by name."""
