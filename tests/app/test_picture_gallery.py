"""The gallery beside a picture's number: it opens on what the networks say, and what is picked is picked everywhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from streamlit.testing.v1 import AppTest

from app.views import picture_gallery
from kdcore.run import Run
from tests.app.asking import on_pictures, on_points, words

RECIPES = {
    "pictures": on_pictures(2, methods=[{"is": "ce"}, {"is": "at"}, {"is": "semckd"}]),
    "points": on_points(),
    "attentive points": on_points().replace(methods=on_pictures(methods=[{"is": "semckd"}]).methods),
}
SECTIONS = ("Feature maps", "Channel partners", "What the method compares", "Layer assignment")


class OpenBox:
    """A popover that stands open: the harness cannot open one."""

    open = True

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


class Beside:
    """A place whose popovers stand open."""

    def popover(self, *_: object, **__: object) -> OpenBox:
        return OpenBox()


@contextmanager
def opened(monkeypatch: pytest.MonkeyPatch, picked: list[int | None]) -> Iterator[list[dict]]:
    """The gallery open on every page, in which the next of `picked` is clicked in each drawing; what it was given."""
    given: list[dict] = []
    drawn = picture_gallery.open_gallery

    def clicked(packed: dict, *, chosen: int, key: str) -> int | None:
        given.append({**packed, "chosen": chosen})
        return picked.pop(0) if picked else None

    monkeypatch.setattr(picture_gallery, "gallery", clicked)
    for module in (picture_gallery, __import__("app.sections.look.feature_maps", fromlist=["draw"])):
        monkeypatch.setattr(module, "open_gallery", lambda place, *, into: drawn(place, into=Beside()))
    yield given


def look() -> None:
    from app.screens.look import show

    show()


def at(run: Run, view: str, **named: str) -> AppTest:
    page = AppTest.from_function(look, default_timeout=60)
    for name, value in {"run": run.id, "view": view, **named}.items():
        page.query_params[name] = value
    page.run()
    assert not page.exception, page.exception[0].value
    return page


def number(page: AppTest):
    return next(one for one in page.number_input if one.label == "Picture")


def said(page: AppTest) -> str:
    films = [json.loads(one.proto.json) for one in page.get("bidi_component")]
    return " ".join(data["film"]["frames"][-1]["says"] for data in films if "film" in data)


@pytest.mark.parametrize("view", SECTIONS)
def test_what_is_picked_is_the_picture_of_the_section_and_stands_in_the_address(
    view: str, written: Callable[[str], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = written("pictures")
    with opened(monkeypatch, [5]) as given:
        page = at(run, view)
        assert {card["place"] for card in given[0]["cards"]} >= {0, 5}
        assert given[0]["chosen"] == 0
        assert number(page).value == 5
        assert page.query_params["picture"] in ("5", ["5"])
        page.run()
        assert given[-1]["chosen"] == 5
    if view in SECTIONS[1:3]:
        assert "validation picture 5" in said(page)


def test_the_gallery_shows_the_pictures_of_the_chosen_epoch(
    written: Callable[[str], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = written("pictures")
    with opened(monkeypatch, []) as given:
        at(run, "Channel partners", epoch="0")
        early = len(given)
        at(run, "Channel partners")
    first, last = ({card["place"]: card["about"] for card in shown["cards"]} for shown in (given[early - 1], given[-1]))
    assert first.keys() == last.keys()
    assert first != last


def test_it_can_be_narrowed_to_the_disagreements(
    written: Callable[[str], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(monkeypatch, []) as given:
        page = at(written("pictures"), "Channel partners")
        assert "pictures of the split" in words(page)
        page.segmented_control(key="picture.gallery.which").set_value("They disagree").run()
        assert not page.exception
        assert "on which student and teacher disagree" in words(page)
    assert given[-1]["cards"]
    assert all(card["said"]["teacher"] != card["said"]["student"] for card in given[-1]["cards"])


def test_nothing_is_asked_for_while_it_is_closed_and_points_have_none(written: Callable[[str], Run]) -> None:
    page = at(written("pictures"), "Channel partners")
    assert not page.get("segmented_control") or "picture.gallery.which" not in {
        one.key for one in page.segmented_control
    }
    page = at(written("attentive points"), "Layer assignment")
    assert number(page).value == 0
    assert "Gallery" not in words(page)


def test_a_control_that_was_drawn_anew_takes_nothing_back() -> None:
    def page() -> None:
        import streamlit as st

        from app import state

        old = state.choice_key("picture")
        st.number_input("Picture", 0, 9, 3, key=old)
        state.select("picture", 5)
        state.take("picture", old)
        st.markdown(f"after the old one: {state.selected('picture')}")
        new = state.choice_key("picture")
        st.number_input("Picture", 0, 9, 7, key=new)
        state.take("picture", new)
        st.markdown(f"after the new one: {state.selected('picture')}")

    shown = AppTest.from_function(page, default_timeout=30).run()
    assert not shown.exception, shown.exception[0].value
    assert [one.value for one in shown.markdown] == ["after the old one: 5", "after the new one: 7"]
