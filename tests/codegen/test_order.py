"""Modules of models can be imported, whichever is the first, and are the same in each run."""

import subprocess
import sys
from typing import Any

import pytest

from tests.codegen.generating import Api, Generate, ref


def linked(links: dict[str, list[str]]) -> dict[str, Any]:
    """Return components that refer to others."""
    return {
        name: {"type": "object", "properties": {f"to{other}": ref(other) for other in others}}
        for name, others in links.items()
    }


GRAPHS = {
    "chain": {f"M{n}": [f"M{n + 1}"] if n < 399 else [] for n in range(400)},
    "circle": {f"M{n}": [f"M{(n + 1) % 200}"] for n in range(200)},
    "small circle": {f"M{n}": [f"M{(n + 1) % 3}"] for n in range(3)},
    "diamonds": {
        f"M{n}": [f"M{one}" for one in ((n // 3 + 1) * 3, n + 1, n + 2) if one < 300]
        for n in range(300)
    },
    "circle with a tail": {
        **{f"M{n}": [f"M{(n + 1) % 40}", "T0"] for n in range(40)},
        **{f"T{n}": [f"T{n + 1}"] if n < 119 else [] for n in range(120)},
    },
}


def texts(api: Api) -> dict[str, str]:
    """Return the modules of the models."""
    folder = api.folder / api.package / "models"
    return {path.name: path.read_text("utf-8") for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("name", GRAPHS)
def test_modules_of_models_can_be_imported(generate: Generate, name: str) -> None:
    """The first, a middle and the last model are each the first that a process imports."""
    links = GRAPHS[name]
    api = generate(linked(links))
    names = list(links)
    for first in (names[0], names[len(names) // 2], names[-1]):
        data: dict[str, Any] = {f"to{other}": {} for other in links[first]}
        program = (
            f"from {api.package}.models.{first.lower()} import {first}\n"
            f"from {api.package} import models\n"
            f"assert models.{first} is {first}\n"
            f"data = {data}\n"
            f"assert {first}.from_dict(data).to_dict() == data\n"
        )
        subprocess.run([sys.executable, "-c", program], cwd=api.folder, check=True)


@pytest.mark.parametrize("name", GRAPHS)
def test_modules_are_the_same_in_each_run(generate: Generate, name: str) -> None:
    """What is generated does not depend on addresses in memory or on the order of components."""
    schemas = linked(GRAPHS[name])
    first = texts(generate(schemas))
    assert texts(generate(schemas)) == first
    assert texts(generate(dict(reversed(schemas.items())))) == first
