"""`oneloop spec`."""

import json

import oneloop
from tests import ROOT
from tests.cli.conftest import Run
from tests.cli.terminal import shown


def test_the_document_is_named(run: Run) -> None:
    """Its title, version and digests are those of `oneloop.SPEC`; no key is needed."""
    code, out, err = run("spec")
    assert (code, err) == (0, "")
    spec = oneloop.SPEC
    lines = [line.split("  ", 1) for line in out.splitlines()]
    assert {name: value.strip() for name, value in lines} == {
        "title": spec.title,
        "version": spec.version,
        "sha256": spec.sha256,
        "generator": spec.generator,
        **{f"source {name}": digest for name, digest in spec.sources.items()},
    }
    assert json.loads(run("spec", "--json").out) == {
        "title": spec.title,
        "version": spec.version,
        "sha256": spec.sha256,
        "sources": dict(spec.sources),
        "generator": spec.generator,
    }


def test_the_patched_document_is_printed(run: Run) -> None:
    """`--document` prints the file of the package, byte for byte."""
    document = (ROOT / "generated" / "oneloop_api" / "document.json").read_text("utf-8")
    assert run("spec", "--document") == (0, document, "")


def test_it_is_shown_in_a_narrow_terminal() -> None:
    """Long digests are broken, not cut."""
    done = shown("spec", columns=50)
    assert done.code == 0
    assert max(map(len, done.text.split("\n"))) <= 50
    assert oneloop.SPEC.sha256 in "".join(
        line.split("  ")[-1].strip() for line in done.text.split("\n")
    )
