"""The processes of a run: one server, and clients on another core."""

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

import certifi
import trustme
from attrs import frozen

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
    """A peer could not do what was asked of it."""


@frozen
class Place:
    """Where the calls go, and what a process is started with to make them.

    Attributes:
        url: The plain server.
        tls_url: The one with TLS.
        certificates: A file with the certificate of that one's issuer, among the usual ones.
    """

    url: str
    tls_url: str
    certificates: Path

    def environment(self, *, tls: bool = False) -> dict[str, str]:
        """Return the environment of a client: nothing of ours that could change what it does."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return kept | ({"SSL_CERT_FILE": str(self.certificates)} if tls else {})


@contextmanager
def serving() -> Generator[Place]:
    """Run the server on a core of its own, and keep this process and its others off that core."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        authority = trustme.CA()
        certificate = Path(folder) / "server.pem"
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
        trusted = Path(folder) / "trusted.pem"
        # Among all the usual ones: to read those is a part of what a client's start takes.
        trusted.write_bytes(Path(certifi.where()).read_bytes())
        authority.cert_pem.write_to_path(trusted, append=True)
        ssl.create_default_context(cafile=str(trusted))  # it can be read

        cores = _cores()
        if len(cores) > 1:
            _move_to(cores[-1:])
            stack.callback(_move_to, cores)
        server = stack.enter_context(
            subprocess.Popen(
                [sys.executable, HERE / "server.py", certificate],
                stdin=subprocess.PIPE,  # it ends when this is closed, or we are gone
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        if len(cores) > 1:
            _move_to(cores[:1])
        assert server.stdin is not None  # noqa: S101 - they are pipes
        assert server.stdout is not None  # noqa: S101 - the same
        try:
            plain, tls = server.stdout.readline().split()
            yield Place(f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{tls}", trusted)
        finally:
            server.stdin.close()


def _cores() -> list[int]:
    """Return the cores that we may use; none where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _move_to(cores: list[int]) -> None:
    """Run this process, and those that it starts from now on, on these cores."""
    os.sched_setaffinity(0, cores)


class Client:
    """The processes of one peer: one that stays, and as many as are asked for that do not."""

    def __init__(self, peer: Peer, python: Path, place: Place) -> None:
        self.peer, self.python, self.place = peer, python, place
        self.process = subprocess.Popen(
            [python, HERE / "worker.py", peer.name],
            cwd=ROOT,
            env=place.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """End its process."""
        with self.process:
            self.process.kill()

    def measure(self, name: str, **arguments: object) -> dict[str, float]:
        """Let the process that stays measure something; see `worker.Worker`.

        Raises:
            PeerError: It failed.
        """
        assert self.process.stdin is not None  # noqa: S101 - they are pipes
        assert self.process.stdout is not None  # noqa: S101 - the same
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
        """Return milliseconds and modules of its import, and KiB of memory after it."""
        code = IMPORT.format(statement=self.peer.statement)
        taken, modules, memory = self._run("-c", code, tls=False).split()
        return {"import": float(taken), "modules": float(modules), "imported": float(memory)}

    def first(self, *, tls: bool) -> dict[str, float]:
        """Return milliseconds from the start of a process to an answer, and KiB after that."""
        url = self.place.tls_url if tls else self.place.url
        start = time.perf_counter()
        with subprocess.Popen(
            [self.python, HERE / "first.py", self.peer.name, url],
            cwd=ROOT,
            env=self.place.environment(tls=tls),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None  # noqa: S101 - they are pipes
            assert process.stderr is not None  # noqa: S101 - the same
            said = process.stdout.readline()
            taken = time.perf_counter() - start
            memory, complaint = process.stdout.read(), process.stderr.read()
        if said != "done\n":
            raise PeerError(complaint.strip().rpartition("\n")[2])
        return {"time": taken * 1e3, "memory": float(memory)}

    def version(self) -> str:
        """Return the peer's version; nothing if it has none."""
        if not self.peer.version:
            return ""
        return self._run("-c", f"print({self.peer.version})", tls=False).strip()

    def _run(self, *arguments: str, tls: bool) -> str:
        result = subprocess.run(
            [self.python, *arguments],
            cwd=ROOT,
            env=self.place.environment(tls=tls),
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise PeerError(result.stderr.strip().rpartition("\n")[2])
        return result.stdout


Measure = Callable[[Client], dict[str, float]]
"""One measurement of one peer in one round: its names, and their values."""
