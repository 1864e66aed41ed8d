"""What the docs show is so: docstring examples run, the README names what there is."""

from __future__ import annotations

import doctest
import importlib
import json
import pkgutil
import re
from pathlib import Path

import pytest

import kdcore
from kdcore.catalog import catalog
from kdcore.check import faults
from kdcore.recipe import Recipe

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODULES = [
    found.name for found in pkgutil.walk_packages(kdcore.__path__, "kdcore.") if not found.name.endswith("__main__")
]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_the_readme_s_recipe_can_be_started() -> None:
    shown = re.search(r"```json\n(.*?)```", README, flags=re.DOTALL)
    assert shown is not None
    assert faults(Recipe.from_json(json.loads(shown.group(1))), catalog()) == []


def test_every_picture_and_file_that_the_readme_names_is_there() -> None:
    named = re.findall(r"\]\(((?!http)[^)#]+)\)", README)
    assert named
    for place in named:
        assert (ROOT / place).is_file(), place


def test_the_two_commands_come_first() -> None:
    assert README.index("make app") < README.index("make test") < README.index("pip install")
