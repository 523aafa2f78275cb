"""An example of a change report: `scripts/changes` writes it to docs/changes.md.

The change is a page that the vendor might publish, added to our document, and one edit that breaks
applications. It goes through the whole pipeline.
"""

import io
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from codegen import _document, _merge, _overlays, _parser, _project, _render
from codegen._changes import Changes, Side, compare
from codegen._views import names
from tests import ROOT

ADDED = ROOT / "tests" / "project" / "pages" / "create-a-spend-alert.md"

PAGE = """\
# What a new version of the document changes

<!-- Written by scripts/changes from tests/tools/changes.py. Do not edit. -->

`./generate.sh` compares the new client with the one in place and reports what changes for
applications. `--dry-run` only reports; `--diff FILE` and `--diff REVISION` compare with another
document, or with what is in git at a revision, such as the last release. With `--diff`,
`--format markdown` prints the report for a pull request, `--format changelog` the entries for the
changelog, and `--format json` is for programs.

- **broken**: applications may have to be changed. An argument or a field has gone, is now
  required, or has a type that type checkers refuse; or the server refuses what it took before.
- **added**: there is something new. A new value of an enum breaks nothing, because enums keep
  values that they do not list.
- **changed**: applications stay as they are, but the server behaves differently.
- **neutral**: nothing changes, such as the document's own version.

A part that has gone, next to a new one that is equal, is called "probably renamed". The Python
API is named as users type it, and all else as in the document. A component is reported once, with
the operations that send or receive it. How OpenAPI 3.0 and 3.1 spell the same thing makes no
difference.
The version follows Semantic Versioning; before 1.0, a breaking change raises the minor version and
any other the patch version.

This is the report on a change of two things: `./generate.sh --add` was given
[a page](../tests/project/pages/create-a-spend-alert.md) with a new operation, and the vendor lets
`usedCredits` be null from now on.

## In a terminal

```
{text}
```

## For a pull request

````markdown
{markdown}
````

## For the changelog

```markdown
{changelog}
```
"""


def generated(document: dict[str, Any], package: Path) -> tuple[dict[str, Any], list[str]]:
    """Patch a document, generate a package, and return the patched document and stale overrides."""
    actions = _overlays.read_actions(*_project.OVERLAYS)
    patched, stale = _overlays.patch(document, actions)
    _document.check_document(patched, "the changed document")
    api = _parser.parse(patched, names.of_classes())
    assert not api.refused
    _render.render(api, patched, package, "openapi.yaml", has_clients=False)
    return patched, [one.action.name for one in stale]


def ours() -> Side:
    """Return our document and our package."""
    document = _document.read_document(_project.DOCUMENT)
    patched, _ = _overlays.patch(document, _overlays.read_actions(*_project.OVERLAYS))
    return Side("openapi.yaml", patched, _project.PACKAGE)


def example() -> Changes:
    """Return the changes of the example."""
    document = _document.read_document(_project.DOCUMENT)
    page = _merge.Page("openapi.yaml", document)
    text = _document.read_text(_project.DOCUMENT)
    changed = deepcopy(_merge.merge(text, page, _merge.read_pages([ADDED]), None).document)
    meter = changed["components"]["schemas"]["CustomerBillingMeter"]
    meter["properties"]["usedCredits"]["nullable"] = True
    with TemporaryDirectory() as folder:
        package = Path(folder) / "oneloop_api"
        patched, _ = generated(changed, package)
        return compare(ours(), Side("the new version", patched, package))


def shown(changes: Changes, width: int = 80, **options: Any) -> str:
    """Return what a terminal shows."""
    stream = io.StringIO()
    changes.show(Console(file=stream, width=width, **options))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def page() -> str:
    """Return docs/changes.md."""
    changes = example()
    return PAGE.format(
        text=shown(changes),
        markdown=changes.markdown().rstrip(),
        changelog=changes.changelog().rstrip(),
    )


if __name__ == "__main__":
    print(page(), end="")
