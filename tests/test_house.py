"""Who may import whom. A rule that fails says which file breaks it, with what, and why the rule is there."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted([*(ROOT / "kdcore").rglob("*.py"), *(ROOT / "app").rglob("*.py")])


@dataclass(frozen=True)
class Rule:
    """Files that match `room` never import what begins with one of `never`."""

    room: str
    never: tuple[str, ...]
    why: str


RULES = (
    Rule("kdcore/**/*.py", ("streamlit", "plotly", "app"), "the core knows no screen"),
    Rule(
        "kdcore/methods/*.py",
        ("kdcore.networks", "kdcore.scheme", "kdcore.schemes", "kdcore.engine", "kdcore.runs", "kdcore.run",
         "kdcore.recipe", "kdcore.methods"),
        "a loss knows only what was seen; what several methods share moves to a ground-floor file",
    ),
    *(
        Rule(f"kdcore/{name}.py", ("kdcore.runs", "kdcore.run", "kdcore.files", "pathlib", "os", "io", "tempfile"),
             "the engine touches no disk")
        for name in ("engine", "rehearsal")
    ),
    Rule("kdcore/run*.py", ("kdcore.engine",), "the shelf does not know who writes the books"),
    Rule("app/**/*.py", ("kdcore.engine", "kdcore.rehearsal", "kdcore.revive", "kdcore.training", "kdcore.stage",
                         "torch", "torchvision"),
         "the app asks and reads; it never trains and never computes"),
    Rule("app/charts/*.py", ("streamlit",), "a chart is a value that a test can look inside"),
    *(
        Rule(f"kdcore/{name}.py", ("torch", "torchvision"), "whoever only watches a run starts at once")
        for name in ("events", "recipe", "history", "spec", "registry", "launch", "cards", "check", "pairing",
                     "sweep", "sweeps", "capacity", "driver", "scribe", "scribes")
    ),
)  # fmt: skip
ONE_PLACE = "app/state.py"
PRIVATE = ("session_state", "query_params")
LIGHT = (
    "kdcore.events", "kdcore.recipe", "kdcore.history", "kdcore.spec", "kdcore.registry", "kdcore.launch",
    "kdcore.runs",
)  # fmt: skip


def imports_of(source: str, module: str) -> set[str]:
    """Every module that the source imports, wherever in it; names taken from a module count as its parts too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")[: -node.level]
                base = ".".join([*parents, *([base] if base else [])])
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return found


def broken(source: str, module: str, never: tuple[str, ...]) -> list[str]:
    """What of `never` the source imports."""
    return sorted(
        name
        for name in imports_of(source, module)
        if any(name == ban or name.startswith(f"{ban}.") for ban in never) and name != module
    )


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.room} never {','.join(rule.never)[:40]}")
def test_no_room_imports_what_it_must_not(rule: Rule) -> None:
    files = list(ROOT.glob(rule.room))
    assert files, f"no file matches {rule.room}"
    wrong = {
        str(path.relative_to(ROOT)): found
        for path in files
        if (found := broken(path.read_text(encoding="utf-8"), module_of(path), rule.never))
    }
    assert not wrong, f"{wrong}: {rule.why}"


@pytest.mark.parametrize(
    ("source", "never"),
    [
        ("import torch", "torch"),
        ("import torch.nn as nn", "torch"),
        ("from torch import Tensor", "torch"),
        ("def later():\n    from kdcore import engine", "kdcore.engine"),
        ("from ..engine import run", "kdcore.engine"),
        ("from . import at", "kdcore.methods"),
    ],
)
def test_the_rules_see_every_way_to_import(source: str, never: str) -> None:
    assert broken(source, "kdcore.methods.kd", (never,))
    assert not broken("import torchless", "kdcore.methods.kd", ("torch",))


def test_the_engine_opens_no_file() -> None:
    tree = ast.parse((ROOT / "kdcore" / "engine.py").read_text(encoding="utf-8"))
    assert not [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open"
    ]


def private_places(source: str) -> list[int]:
    """Lines that touch what a tab remembers."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.Attribute) and node.attr in PRIVATE)
        or (isinstance(node, ast.ImportFrom) and any(alias.name in PRIVATE for alias in node.names))
    ]


def test_one_place_looks_at_what_a_tab_remembers() -> None:
    assert private_places("import streamlit as st\nst.session_state['x'] = 1") == [2]
    wrong = {
        str(path.relative_to(ROOT)): lines
        for path in FILES
        if str(path.relative_to(ROOT)) != ONE_PLACE and (lines := private_places(path.read_text(encoding="utf-8")))
    }
    assert not wrong, f"{wrong}: only {ONE_PLACE} looks there"


def test_no_file_is_called_utils_or_helpers() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
    assert not [str(path) for path in FILES if path.stem in vague or path.parent.name in vague]


def test_imports_between_files_make_no_circle() -> None:
    """Imports at the top of files only: those inside a function are made when everything stands."""
    names = {module_of(path): path for path in FILES}
    graph: dict[str, set[str]] = {}
    for name, path in names.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        top = ast.Module([node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))], [])
        graph[name] = {found for found in imports_of(ast.unparse(top), name) if found in names} - {name}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"a circle: {' → '.join([*path[path.index(name) :], name])}"
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*path, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


@pytest.mark.parametrize("modules", [LIGHT, ("app.main",)], ids=["watching a run", "the app with every page"])
def test_no_torch_comes_along(modules: tuple[str, ...]) -> None:
    if modules == ("app.main",):
        app = [path for path in FILES if path.is_relative_to(ROOT / "app")]
        modules = tuple(module_of(path) for path in app if path.stem != "main")
    assert came_along(modules, ("torch", "torchvision", "captum")) == "[]"


def test_what_training_starts_with_is_not_made_slow_by_what_few_need() -> None:
    assert came_along(("kdcore.worker",), ("scipy.optimize", "scipy.stats", "sklearn", "captum", "plotly")) == "[]"


def test_a_core_for_watching_brings_no_screen() -> None:
    assert came_along(LIGHT, ("streamlit", "plotly", "app")) == "[]"


def came_along(modules: tuple[str, ...], unwanted: tuple[str, ...]) -> str:
    """Which of the unwanted a fresh Python has after importing these modules, as it prints them."""
    script = f"import sys, {', '.join(modules)}\nprint([name for name in {unwanted} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()
