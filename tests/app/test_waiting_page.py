"""A long answer on a page: how far it is, a button that stops it, and one that takes it up again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from app import state
from kdcore.answer import Answer
from kdcore.clerk import patiently
from kdcore.patience import Waits
from kdcore.runs import Run, Shelf
from tests.app.asking import Answering, on_pictures, words

RECIPES = {"pictures": on_pictures(1)}


def page_that_waits() -> None:
    import streamlit as st

    from app.views import waiting

    if not waiting.stopped("long", ("run", 1)):
        bar = waiting.Waiting(st.empty(), stops="long", asked=("run", 1))
        bar(0.0)
        if st.session_state.get("long"):
            bar._began -= 2 * waiting.SOON
            bar(0.0)
            bar(0.25)
        if st.session_state.get("done"):
            bar.over()
        st.write("drawn")


def bars(page: AppTest) -> list[str]:
    return [one.proto.text for one in page.get("progress")]


def test_a_bar_and_a_stop_come_once_it_takes_long_and_go_with_the_answer() -> None:
    page = AppTest.from_function(page_that_waits).run()
    assert bars(page) == [], "what is there at once needs none"
    page.session_state["long"] = True
    page.run()
    assert bars(page) == ["Computing: 25 %"]
    assert [one.label for one in page.button] == ["Stop"]
    page.session_state["done"] = True
    page.run()
    assert bars(page) == []
    assert not page.button
    assert not page.exception


def test_what_was_stopped_says_so_and_can_be_taken_up_again() -> None:
    page = AppTest.from_function(page_that_waits)
    page.session_state["long"] = True
    page.run().button[0].click().run()
    assert "Stopped before it was done." in words(page)
    assert "drawn" not in words(page)
    page.run()
    assert "Stopped before it was done." in words(page), "until somebody wants it"
    page.button(key="long.on").click().run()
    assert "drawn" in words(page)
    assert not page.exception


class Slow(Answering):
    """A desk whose answers take long: it tells half-way."""

    waited: int = 0

    def ask(
        self, run_id: str, probe_key: str, settings: dict[str, object], snapshot: str, *, waits: Waits = patiently
    ) -> Answer:
        assert waits is not patiently, "the page waits and lets other things go first"
        self.waited += 1
        waits(0.5)
        return super().ask(run_id, probe_key, settings, snapshot)


def landscape() -> None:
    from app.screens.gap import show

    show()


@pytest.mark.parametrize("walk", ["line", "plane"])
def test_films_and_single_pictures_wait_so(
    walk: str, written: Callable[..., Run], shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = written("pictures")
    desk = Slow(shelf)
    monkeypatch.setattr(state, "desk", lambda: desk)
    page = AppTest.from_function(landscape, default_timeout=60)
    page.query_params["run"], page.query_params["show"] = run.id, "Loss landscape"
    page.session_state["gap.landscape.shape"] = walk
    page.run()
    assert not page.exception
    assert desk.waited > 0
    assert page.get("bidi_component")
