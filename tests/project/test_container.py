"""The Dockerfile makes an environment in which the sandbox runs.

There is no container engine here. The instructions are carried out in a folder instead: files are
copied and commands are run as they stand, with another path of the environment.
"""

import http.client
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
INSTRUCTIONS = re.findall(r"^([A-Z]+) (.*)$", DOCKERFILE, re.MULTILINE)


def test_only_what_it_copies_is_sent_to_the_builder() -> None:
    """.dockerignore lets through exactly what the Dockerfile copies."""
    ignored = (ROOT / ".dockerignore").read_text("utf-8").split("\n")
    sent = {line[1:] for line in ignored if line.startswith("!")}
    copied = {
        source
        for name, words in INSTRUCTIONS
        if name == "COPY" and not words.startswith("--from")
        for source in words.split()[:-1]
    }
    assert "*" in ignored
    assert sent == copied


def test_it_serves_the_sandbox(tmp_path: Path) -> None:
    """Its commands make an environment, and its entry point serves in it, on any address."""
    venv, source = tmp_path / "venv", tmp_path / "source"
    source.mkdir()
    binaries = tmp_path / "bin"
    binaries.mkdir()
    (binaries / "python").symlink_to(sys.executable)
    environment = os.environ | {"PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    for name, words in INSTRUCTIONS:
        if name == "COPY" and not words.startswith("--from"):
            origin, target = words.split()
            destination = source / target
            if (ROOT / origin).is_dir():
                shutil.copytree(ROOT / origin, destination)
            else:
                destination.mkdir()
                shutil.copy(ROOT / origin, destination)
        elif name == "RUN":
            command = words.replace("/venv", str(venv)).replace(
                "/bin/python -m pip",
                f"/bin/python -I {ROOT}/scripts/registry.py {venv}/bin/python -m pip",
            )
            subprocess.run(["bash", "-ec", command], cwd=source, env=environment, check=True)

    (entry,) = (json.loads(words) for name, words in INSTRUCTIONS if name == "ENTRYPOINT")
    entry[0] = entry[0].replace("/venv", str(venv))
    command = [*entry, "--port", "0", "--allow-host", "sandbox"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(4)]
    address = re.findall(r"http://([\w.:]+)", "".join(told))[0]
    statuses = []
    for host in ("localhost", "sandbox", "elsewhere"):
        client = http.client.HTTPConnection(address, timeout=10)
        client.request("GET", "/", headers={"Host": host})
        statuses.append(client.getresponse().status)
        client.close()
    process.terminate()
    process.communicate(timeout=10)
    assert statuses == [200, 200, 421]


@pytest.mark.parametrize("line", re.findall(r"^# +docker (.*)$", DOCKERFILE, re.MULTILINE))
def test_its_own_examples_are_those_of_the_docs(line: str) -> None:
    """The commands in its comments are also in docs/sandbox.md."""
    docs = (ROOT / "docs" / "sandbox.md").read_text("utf-8")
    assert shlex.split(line)
    assert f"docker {line}" in docs
