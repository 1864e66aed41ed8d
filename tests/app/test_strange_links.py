"""A link that names what does not exist says so in one sentence, beside what it was meant for, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import state
from app.views.knobs import plain
from kdcore.cards import Catalog
from kdcore.catalog import catalog as read_catalog
from kdcore.run import Run
from kdcore.runs import Shelf
from tests.app.asking import on_pictures, opened

RECIPES = {"kd": on_pictures()}
APP = Path(state.__file__).parent
STRANGE = "../x<b>![y](//z)"
"""A name that would be a path, a tag or a picture from elsewhere, if it were taken for one."""
ALONE: list[tuple[str, str, dict[str, str], str]] = [
    ("methods", "cards", {}, "Methods"),
    ("methods", "card", {}, "Soft targets"),
    ("methods", "card", {"cards": "Schemes"}, ""),
    ("same_name", "name", {}, "Soft targets"),
    ("tournament", "pair", {}, "Digits"),
    ("grid", "x", {}, "seed"),
    ("grid", "y", {}, "temperature"),
    ("grid", "grid.measure", {}, "student, %"),
    ("sweep", "sampler", {}, "TPE"),
    ("sweep", "pruner", {}, "stop weak runs early"),
    ("sweep", "tries", {}, "20"),
    ("sweep", "draw", {}, "0"),
    ("sweep", "vary", {}, "emperature"),
]
ON_A_RUN: list[tuple[str, str, dict[str, str], str]] = [
    ("look", "view", {}, "Feature maps"),
    ("look", "measure", {"view": "Similarity (CKA)"}, "Linear CKA"),
    ("look", "whose", {"view": "Similarity (CKA)"}, "Students with the teacher"),
    ("gap", "show", {}, "Fidelity"),
    ("gap", "bins", {"show": "Calibration"}, "15"),
    ("gap", "way", {"show": "Embeddings"}, "PCA"),
    ("pictures", "pictures", {}, "Picture by picture"),
    ("pictures", "which", {}, "They disagree"),
    ("pictures", "order", {}, "Furthest apart"),
    ("pictures", "from", {}, "validation"),
    ("pictures", "explain", {}, "what the teacher says"),
    ("pictures", "reasons.seen", {}, "What speaks for it"),
]


@pytest.fixture(autouse=True)
def every_card(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    found = read_catalog()
    monkeypatch.setattr(state, "catalog", lambda: found)
    return found


def sentences(page: AppTest) -> list[str]:
    """What is said of the link's name."""
    return [box.value for box in page.info if plain(STRANGE) in box.value]


def said_once(page: AppTest, instead: str) -> None:
    (sentence,) = sentences(page)
    assert instead in sentence.replace("\\", "").rpartition("Showing ")[2]
    drawn = [one.value for kind in (page.markdown, page.caption, page.error, page.warning) for one in kind]
    assert not [one for one in drawn if STRANGE in one or plain(STRANGE) in one], "said elsewhere, or raw"
    page.run()
    assert sentences(page) == [sentence], "it stands until something else is chosen"


@pytest.mark.parametrize(
    ("page", "name", "params", "instead"), ALONE, ids=lambda one: one if isinstance(one, str) else ""
)
def test_a_name_that_is_not_there_is_said(page: str, name: str, params: dict[str, str], instead: str) -> None:
    said_once(opened(page, **params, **{name: STRANGE}), instead)


@pytest.mark.parametrize(
    ("page", "name", "params", "instead"), ON_A_RUN, ids=lambda one: one if isinstance(one, str) else ""
)
def test_so_is_one_on_a_page_about_a_run(
    page: str, name: str, params: dict[str, str], instead: str, written: Callable[..., Run]
) -> None:
    said_once(opened(page, run=written().id, **params, **{name: STRANGE}), instead)


@pytest.mark.parametrize(("page", "name"), [(page, name) for page, name, params, _ in ALONE if not params])
def test_a_link_without_names_says_nothing(page: str, name: str) -> None:
    assert not [box for box in opened(page).info if "There is no" in box.value]


def test_the_sentence_goes_once_another_card_is_opened() -> None:
    page = opened("methods", card=STRANGE)
    page.radio(key="card-methods").set_value("at").run()
    assert not sentences(page)
    assert page.query_params["card"] in ("at", ["at"])


def test_another_kind_of_card_is_no_strange_name() -> None:
    page = opened("methods", card="at")
    page.button_group(key="cards").set_value(["Schemes"]).run()
    assert not page.exception
    assert not [box for box in page.info if "There is no" in box.value]


def test_a_link_to_a_method_opens_its_forms() -> None:
    page = opened("same_name", name="at")
    assert page.selectbox(key="same.method").value == "at"
    page.selectbox(key="same.method").set_value("kd").run()
    assert page.query_params["name"] in ("kd", ["kd"])


@pytest.mark.parametrize(("page", "control", "other"), [("grid", "grid.y", "seed"), ("same_name", "same.method", "at")])
def test_the_sentence_goes_once_something_else_is_chosen(page: str, control: str, other: str) -> None:
    found = opened(page, **{"y" if page == "grid" else "name": STRANGE})
    assert sentences(found)
    found.selectbox(key=control).set_value(other).run()
    assert not found.exception
    assert not sentences(found)


def test_a_control_in_the_address_answers_for_strange_names() -> None:
    """Bound to the address by Streamlit alone it would show its usual value and say nothing."""
    alone = [
        str(path.relative_to(APP)) for path in sorted(APP.rglob("*.py"))
        if "query-params" in path.read_text()
    ]  # fmt: skip
    assert alone == ["views/chosen.py"]
