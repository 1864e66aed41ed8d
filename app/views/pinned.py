"""The pairing that attention found, pinned: a recipe that matches those pairs for good, and how its run compares."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from app import state
from app.draft import tidy
from app.theme import percent, points
from app.verdict import independent
from app.views.run_head import recipe_of
from kdcore.answers.layer_attention import LayerAttention
from kdcore.cards import Catalog
from kdcore.recipe import Part, Pick, Recipe
from kdcore.run import Run

METHODS = {"semckd": "fitnet", "afd_attn": "at"}
"""Method with attention -> the one that compares the same of fixed pairs: features, or where a layer looks."""
MOST = 12
"""Methods that a recipe may have."""
NEWEST = 200
"""Runs among which one of the pinned recipe is looked for."""


def pinned(recipe: Recipe, catalog: Catalog, answer: LayerAttention, by: str) -> Recipe:
    """The recipe with the method `by` on the strongest pairs in place of the method with attention.

    A method that matches one pair stands there once for each, and its weight is shared out.
    """
    facts = catalog.folders["methods"][by].facts
    if facts["matches"] == "one":
        weight = round(float(facts["weight"]) / len(answer.pairs), 6)
        made = [Part(Pick(by, {}), weight, (pair,)) for pair in answer.pairs]
    else:
        made = [Part(Pick(by, {}), None, tuple(answer.pairs))]
    place = next(number for number, part in enumerate(recipe.methods) if part.method.key == answer.method)
    kept = [part for part in recipe.methods if part.method.key != answer.method]
    return recipe.replace(methods=(*kept[:place], *made, *kept[place:]))


@dataclass(frozen=True)
class Match:
    """Two students on the same test pictures."""

    pinned: float
    attention: float
    pictures: int

    @property
    def sentence(self) -> str:
        low, high = independent(self.pinned, self.attention, self.pictures)
        found = "pinned is ahead" if low > 0 else "attention is ahead" if high < 0 else "no clear difference"
        return (
            f"**{percent(self.pinned, of=self.pictures)}** with the pinned pairing, "
            f"**{percent(self.attention, of=self.pictures)}** with attention: {found} "
            f"({points(self.pinned - self.attention)}, 95 % interval {points(low)} to {points(high)}, taking the two "
            f"as independent; {self.pictures:,} test pictures, one seed)."
        )


def match(pinned_run: Run, run: Run) -> Match | None:
    """How the students of two finished runs do on test, or None while one has no result."""
    found = []
    for one in (pinned_run, run):
        history = state.history_of(one)
        students = [result for result in history.results.values() if result.get("part") == "student"]
        if not students:
            return None
        found.append(students[-1])
    return Match(found[0]["test_accuracy"], found[1]["test_accuracy"], int(found[1].get("count", 0)))


def pin(run: Run, answer: LayerAttention, *, epoch: float) -> None:
    """Names the strongest pairs, offers the recipe that pins them, and sets a run of it beside this one."""
    recipe, catalog = recipe_of(run), state.catalog()
    if recipe is None:
        st.caption("This run's recipe is damaged, so its pairing cannot be pinned.")
        return
    cards = catalog.folders["methods"]
    fits = [
        key for key in METHODS.values()
        if cards[key].facts["matches"] != "one" or len(recipe.methods) - 1 + len(answer.pairs) <= MOST
    ]  # fmt: skip
    usual = METHODS.get(answer.method, fits[-1])
    said, choice, button = st.columns([4.6, 2.2, 2.6], vertical_alignment="bottom")
    said.markdown(
        f"**Strongest pairs at epoch {epoch:g}:** "
        + ", ".join(
            f"student {answer.rows[row]} ↔ teacher {answer.columns[column]}" for row, column in answer.strongest
        )
    )
    by = choice.selectbox(
        "Match them with", fits, index=fits.index(usual) if usual in fits else 0, key="look.pin.by",
        format_func=lambda key: cards[key].title,
    )  # fmt: skip
    made = pinned(recipe, catalog, answer, by)
    button.button(
        "Pin this pairing and run against it", key="look.pin", icon=":material/push_pin:", width="stretch",
        help=f"Opens Begin with this run's recipe, {cards[by].title} on these pairs in place of "
        f"{cards[answer.method].title}; data, seed, networks and budget stay. Nothing starts by itself. When that run "
        "is done, its result stands here beside this one.",
        on_click=state.keep, args=("look.matched", made),
    )  # fmt: skip
    _rival(run, made)


def _rival(run: Run, made: Recipe) -> None:
    """The newest run of the pinned recipe, if any. Begin leaves out what is so by default, so defaults do not count."""
    catalog = state.catalog()
    wanted = tidy(made, catalog)
    known = ((other, recipe_of(other)) for other in state.shelf().runs()[:NEWEST] if other.id != run.id)
    rivals = [other for other, recipe in known if recipe is not None and tidy(recipe, catalog) == wanted]
    if not rivals:
        return
    rival = next((other for other in rivals if other.state() == "finished"), rivals[0])
    found = match(rival, run)
    line, way = st.columns([6.8, 2.6], vertical_alignment="center")
    if found is not None:
        line.info(found.sentence, icon=":material/balance:")
    else:
        line.info(
            f"The run with this pairing pinned is {rival.state()}; both results stand here once both runs are done.",
            icon=":material/balance:",
        )
    if way.button("Watch the pinned run", key="look.pin.watch", icon=":material/monitoring:", width="stretch"):
        state.go("watch", run=rival.id)
