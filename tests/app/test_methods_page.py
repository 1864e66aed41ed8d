"""Methods: a card for everything in the catalog, made of nothing but the catalog."""

from __future__ import annotations

from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from app import state
from app.screens.methods import TABS
from app.words import FAMILIES, MATCHES, READS
from kdcore.cards import Catalog
from kdcore.catalog import catalog as read_catalog
from kdcore.runs import Shelf
from kdcore.spec import Knob


@pytest.fixture
def cards(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    found = read_catalog()
    monkeypatch.setattr(state, "catalog", lambda: found)
    return found


def page() -> None:
    from app.screens import methods

    methods.show()


def opened(folder: str = "methods", card: str = "") -> AppTest:
    test = AppTest.from_function(page, default_timeout=60)
    test.query_params["cards"] = TABS[folder]
    if card:
        test.query_params["card"] = card
    test.run()
    assert not test.exception
    return test


def headings(test: AppTest) -> list[str]:
    return [heading.value.replace("\\", "") for heading in test.subheader]


@pytest.mark.parametrize("folder", ["methods", "schemes", "networks", "datasets"])
def test_every_entry_of_every_folder_is_listed_and_opens_its_card(cards: Catalog, folder: str) -> None:
    test = opened(folder)
    listed = test.radio(key=f"card-{folder}").options
    assert {one.replace("\\", "") for one in listed} == {card.title for card in cards.folders[folder].values()}
    last = list(cards.folders[folder].values())[-1]
    test.radio(key=f"card-{folder}").set_value(last.key).run()
    assert headings(test) == [last.title]


def test_every_card_can_be_drawn(cards: Catalog) -> None:
    test = opened()
    for card in cards.folders["methods"].values():
        test.radio(key="card-methods").set_value(card.key).run()
        assert not test.exception, card.key
        assert headings(test) == [card.title]


def test_soft_targets_stand_open_and_the_oldest_come_first(cards: Catalog) -> None:
    test = opened()
    assert headings(test) == [cards.card("methods", "kd").title]
    years = [int(caption.split(" · ")[0]) for caption in test.radio[0].proto.captions if caption[:1].isdigit()]
    assert len(years) > 40
    assert years == sorted(years)


def test_a_method_shows_formula_source_knobs_and_pitfalls(cards: Catalog) -> None:
    test = opened()
    kd = cards.card("methods", "kd")
    assert any(kd.facts["formula"] in formula.value for formula in test.latex)
    text = "\n".join(markdown.value for markdown in test.markdown)
    assert kd.facts["paper"]["link"] in text
    assert str(kd.facts["paper"]["year"]) in text
    assert kd.facts["pitfalls"][0] in text
    assert any("Temperature" in frame.value.get("knob", []).tolist() for frame in test.dataframe)


def test_every_family_matching_and_reading_of_the_code_has_words(cards: Catalog) -> None:
    for card in cards.folders["methods"].values():
        assert card.facts["family"] in FAMILIES
        assert card.facts["matches"] in MATCHES
        assert set(card.facts["reads"]) <= READS.keys()


def test_the_family_and_the_search_narrow_the_cards(cards: Catalog) -> None:
    test = opened()
    test.button_group(key="methods_page.family").set_value(["relation"]).run()
    shown = {one.replace("\\", "") for one in test.radio(key="card-methods").options}
    assert shown == {card.title for card in cards.folders["methods"].values() if card.facts["family"] == "relation"}
    test.text_input(key="methods_page.search").set_value("no such word").run()
    assert "No method says that" in test.info[0].value


def test_use_in_begin_puts_the_method_beside_what_is_there(cards: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    import streamlit as st

    gone = []

    def go(page: str, **params: object) -> None:
        gone.append(page)
        st.stop()

    monkeypatch.setattr(state, "go", go)
    test = opened(card="at")
    test.button(key="use.at").click().run()
    assert gone == ["begin"]
    assert [part.method.key for part in test.session_state["kept.draft"].methods] == ["kd", "at"]


def test_a_method_that_was_just_dropped_into_the_folder_has_a_card(
    cards: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = replace(
        cards.card("methods", "kd"), key="fresh", title="A fresh *idea* [x](javascript:y)",
        knobs={"odd": Knob("odd", "float", 2.0, None, None, (), "No bounds at all.")},
        facts={**cards.card("methods", "kd").facts, "family": "somewhere new", "paper": {"authors": "N", "year": 2030,
               "link": "javascript:alert(1)", "title": "T"}},
    )  # fmt: skip
    more = Catalog(cards.version, {**cards.folders, "methods": {**cards.folders["methods"], "fresh": fresh}})
    monkeypatch.setattr(state, "catalog", lambda: more)
    test = opened(card="fresh")
    assert fresh.title in headings(test)
    assert "javascript:alert" not in "\n".join(markdown.value for markdown in test.markdown)
