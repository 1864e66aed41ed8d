"""What tests of pages share: desks that start no process, and a page's words."""

from __future__ import annotations

import json
from typing import Any

from streamlit.testing.v1 import AppTest

from kdcore.answer import Answer, answer_from_bytes
from kdcore.catalog import PROBES
from kdcore.clerk import patiently
from kdcore.launch import AskError
from kdcore.patience import Waits
from kdcore.recipe import Recipe
from kdcore.revive import revive
from kdcore.runs import Shelf


def show_page(name: str) -> None:
    import importlib

    importlib.import_module(f"app.screens.{name}").show()


def opened(page: str, **params: str) -> AppTest:
    """The page of that name in app/screens, with this in its address."""
    found = AppTest.from_function(show_page, args=(page,), default_timeout=120)
    for name, value in params.items():
        found.query_params[name] = value
    found.run()
    assert not found.exception, found.exception[0].stack_trace
    return found


def on_pictures(epochs: int = 1, **parts: Any) -> Recipe:
    """A recipe on pictures that is trained in a blink; `parts` as JSON has them, over it."""
    return Recipe.from_json(
        {
            "data": {"is": "digits", "train_size": 200},
            "teacher": {"is": "plain", "width": 6},
            "student": {"is": "plain", "width": 4, "stage_count": 2},
            "training": {"epochs": epochs, "teacher_epochs": 1, "batch": 64},
            **parts,
        }
    )


def on_points(epochs: int = 1) -> Recipe:
    """The same on points in a plane."""
    return Recipe.from_json(
        {
            "data": {"is": "toy2d", "size": 120},
            "teacher": {"is": "mlp", "width": 8},
            "student": {"is": "mlp", "width": 4},
            "training": {"epochs": epochs, "teacher_epochs": epochs, "batch": 32},
        }
    )


class Answering:
    """Answers in this process as a worker does, and remembers what it was asked."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.asked: list[tuple[str, dict[str, object], str]] = []

    def ask(
        self, run_id: str, probe_key: str, settings: dict[str, object], snapshot: str, *, waits: Waits = patiently
    ) -> Answer:
        self.asked.append((probe_key, settings, snapshot))
        try:
            answer = PROBES[probe_key](**settings).ask(revive(self.shelf.run(run_id), snapshot))
        except ValueError as error:
            raise AskError(str(error)) from error
        return answer_from_bytes(answer.to_bytes())


class Launching:
    """A desk that only writes down what it is handed."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.launched: list[Recipe] = []
        self.gone_on: list[str] = []

    def launch(self, recipe: Recipe) -> str:
        self.launched.append(recipe)
        return self.shelf.create(recipe)[0].id

    def go_on(self, run_id: str) -> None:
        self.shelf.go_on(run_id)
        self.gone_on.append(run_id)


def stills(page: AppTest) -> list[dict[str, Any]]:
    """The single pictures on the page as plotly has them: {"data", "layout"}; heat maps' numbers are packed."""
    films = [data["film"] for one in page.get("bidi_component") if "film" in (data := json.loads(one.proto.json))]
    return [
        {
            "data": [film["traces"][number] for number in film["frames"][-1]["traces"]],
            "layout": {**film["layout"], "annotations": film["frames"][-1]["texts"]},
        }
        for film in films
        if film.get("still")
    ]


def words(page: AppTest) -> str:
    """Everything that the page says in prose."""
    kinds = (page.markdown, page.caption, page.error, page.warning, page.info)
    return "\n".join(element.value for kind in kinds for element in kind)
