"""What a sweep is to search: settings, their ranges, how, and how many tries. Kept in the address."""

from __future__ import annotations

import re
import zlib
from dataclasses import replace

import streamlit as st

from app import state
from app.draft import sentence
from app.starting import draft
from app.varied import called, from_start, likely
from app.views.chosen import complaint, not_there, one_of
from app.views.knobs import plain
from kdcore.cards import Catalog
from kdcore.recipe import Recipe, RecipeError
from kdcore.registry import UnknownKey
from kdcore.spec import Knob
from kdcore.sweep import (
    MOST_RUNS,
    MOST_SETTINGS,
    Plan,
    Span,
    Sweep,
    SweepError,
    installed,
    plan,
    searchable,
    span,
    usual_span,
)  # fmt: skip
from kdcore.sweep_command import RUNS
from kdcore.sweeps import Sweeps

EVEN, FACTORS = "evenly", "by factors"
SAMPLERS = {"tpe": "TPE: where good ones were", "random": "random"}
PRUNERS = {"median": "stop weak runs early", "none": "all to the end"}


def form(board: Sweeps, catalog: Catalog) -> None:
    """Draws the form and the button that starts the sweep; what is wrong stands beside what is wrong."""
    try:
        recipe = state.recipe_from_address() or draft()
    except RecipeError as error:
        st.error(f"The recipe in this address cannot be read: {plain(str(error))}", icon=":material/link_off:")
        recipe = draft()
    st.caption(f"The recipe: {plain(sentence(recipe, catalog))}. It is the one on Begin; change it there.")
    recipe = from_start(recipe)
    try:
        known = searchable(recipe, catalog)
    except UnknownKey as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    texts = _ranges(recipe, known, catalog)
    sampler, pruner, runs, seed = _how()
    meant: Plan | None = None
    if None not in texts:
        words = [text for text in texts if text is not None]
        state.to_address("vary", ";".join(words))
        try:
            meant = plan(recipe, words, catalog, sampler=sampler, seed=seed, pruner=pruner)
        except SweepError as error:
            st.error(plain(str(error)), icon=":material/error:")
    going = board.going()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            f"Start {runs} tries" if runs != 1 else "Start one try", type="primary", icon=":material/play_arrow:",
            key="sweep.start", disabled=meant is None or bool(going) or not installed(), on_click=_start,
            args=(board, meant, runs),
        )  # fmt: skip
        if going:
            st.caption(f":material/hourglass: Sweep {going[:6]} still goes on; one at a time.")
        else:
            st.caption("The recipe as it stands is trained first. The sweep goes on when this page is closed.")
    if any(text is not None and text.startswith("data.") for text in texts):
        st.caption(
            ":material/info: Settings of the data change the task itself: a higher accuracy may mean an easier task, "
            "not a better student."
        )


def fill(meant: Plan, runs: int) -> None:
    """Puts a plan into the form: for the callback of a button."""
    state.to_address("sweep", "new")
    state.to_address("recipe", meant.recipe.to_text())
    state.to_address("vary", ";".join(one.text for one in meant.spans))
    for name, value in (("sampler", meant.sampler), ("pruner", meant.pruner), ("tries", runs), ("draw", meant.seed)):
        state.to_address(name, str(value))
    state.renew_controls("sweep.form")


def _ranges(recipe: Recipe, known: dict[str, Knob], catalog: Catalog) -> list[str | None]:
    """One text for each chosen setting, as `kdcore.sweep.span` reads it; None where that is not possible."""
    named = {text.partition("=")[0].strip(): text for text in state.here().get("vary", "").split(";") if text}
    said = {path: text for path, text in named.items() if path in known}
    usual = list(said)[:MOST_SETTINGS] or likely(known)[:2]
    if strange := next((path for path in named if path not in known), ""):
        words = " and ".join(called(path, recipe) for path in usual)
        state.refuse("vary", not_there("setting that can be searched", strange, words))
    stamp = zlib.crc32(",".join(known).encode())
    paths = st.multiselect(
        "Settings to search", list(known), default=usual,
        format_func=lambda path: called(path, recipe), key=state.key_of(f"sweep.form.settings.{stamp}"),
        max_selections=MOST_SETTINGS, placeholder="Choose at least one", on_change=state.forgive, args=("vary",),
        help="The seed is not among them: the best of several seeds is luck, not a setting.",
    )  # fmt: skip
    complaint("vary")
    found: list[str | None] = []
    columns = st.columns(2, gap="large")
    for number, path in enumerate(paths):
        with columns[number % 2]:
            found.append(_range(recipe, path, known[path], said.get(path, ""), catalog))
    return found


def _range(recipe: Recipe, path: str, knob: Knob, said: str, catalog: Catalog) -> str | None:
    usual = usual_span(recipe, path, knob)
    try:
        usual = span(said, recipe, catalog) if said else usual
        written = _written(usual)
    except SweepError:  # what the address says is shown with what is wrong with it
        written = said.partition("=")[2].removesuffix(":log").removesuffix(":linear")[:60]
    name, key = called(path, recipe), state.key_of(f"sweep.form.range.{path}")
    if knob.kind == "bool" or knob.choices:
        options = ["false", "true"] if knob.kind == "bool" else list(knob.choices)
        default = [word for word in _written(usual).split(", ") if word in options] or options
        words = st.multiselect(name, options, default=default, key=key, help=knob.help)
        text = f"{path}={', '.join(words)}"
    else:
        left, right = st.columns([3, 2])
        typed = left.text_input(
            name, written, key=key, max_chars=60,
            help=f"{knob.help} A range as low..high, or single values with commas between them."
            + (f" From {knob.low:g} to {knob.high:g}." if knob.low is not None and knob.high is not None else ""),
        )  # fmt: skip
        how = right.segmented_control(
            "searched", [EVEN, FACTORS], default=FACTORS if usual.log else EVEN, key=f"{key}.how", required=True,
            help="By factors, 1 to 2 is as wide as 10 to 20: right for rates and weights.",
        )  # fmt: skip
        text = f"{path}={typed}" + ((":log" if how == FACTORS else ":linear") if ".." in typed else "")
    try:
        return span(text, recipe, catalog).text
    except SweepError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return None


def _written(one: Span) -> str:
    """The range or the values alone."""
    return replace(one, log=False).text.partition("=")[2].removesuffix(":linear")


def _how() -> tuple[str, str, int, int]:
    """Sampler, pruner, tries and seed of the search."""
    first, second, third, fourth = st.columns([4, 4, 2, 2])
    sampler = first.segmented_control(
        "Choose tries by", list(SAMPLERS), default=_one_of("sampler", "way to choose tries", SAMPLERS), required=True,
        format_func=SAMPLERS.__getitem__, key=state.key_of("sweep.form.sampler"), on_change=state.forgive,
        args=("sampler",),
        help="TPE draws eight at random, then prefers what lies near good tries and far from bad ones.",
    ) or "tpe"  # fmt: skip
    pruner = second.segmented_control(
        "Train", list(PRUNERS), default=_one_of("pruner", "way to train them", PRUNERS), required=True,
        format_func=PRUNERS.__getitem__, key=state.key_of("sweep.form.pruner"), on_change=state.forgive,
        args=("pruner",),
        help="Once five tries have finished, a run is stopped when its best validation accuracy so far lies below the "
        "median of the others after as many epochs.",
    ) or "median"  # fmt: skip
    runs = third.number_input(
        "Tries", 1, MOST_RUNS, _number("tries", RUNS, 1, MOST_RUNS), step=1, key=state.key_of("sweep.form.tries"),
        on_change=state.forgive, args=("tries",),
    )  # fmt: skip
    seed = fourth.number_input(
        "Seed of the search", 0, 2**31 - 1, _number("draw", 0, 0, 2**31 - 1), step=1,
        key=state.key_of("sweep.form.draw"), on_change=state.forgive, args=("draw",),
        help="Another seed draws other tries. The recipe's own seed is the same for all, so that they share a teacher.",
    )  # fmt: skip
    told = {"sampler": sampler, "pruner": pruner, "tries": str(runs), "draw": str(seed)}
    for column, (name, value) in zip((first, second, third, fourth), told.items(), strict=True):
        state.to_address(name, value)
        with column:
            complaint(name)
    return sampler, pruner, int(runs), int(seed)


def _one_of(name: str, what: str, words: dict[str, str]) -> str:
    """What the address says under this name, else the first of these."""
    return one_of(state.from_address(name), name, what, words, next(iter(words)), words.__getitem__)


def _number(name: str, usual: int, low: int, high: int) -> int:
    """The whole number that the address says under this name, `usual` where it says none in this range."""
    text = state.from_address(name)
    if re.fullmatch("[0-9]{1,10}", text) and low <= int(text) <= high:
        return int(text)
    if text:
        state.refuse(
            name, f"{name}={text[:40]}: a whole number from {low} to {high:,} is right. Showing {usual} instead."
        )
    return usual


def _start(board: Sweeps, meant: Plan, runs: int) -> None:
    """Starts the sweep, or opens the equal one that is there; that one goes on where it has fewer tries."""
    try:
        found = Sweep(meant, runs)
        if board.path(meant.id).exists():
            there = board.read(meant.id)
            if there.finished and runs <= there.runs:
                state.to_address("sweep", meant.id)
                return
            there.runs = max(runs, there.runs)
            found = there
        board.start(found)
        state.to_address("sweep", meant.id)
    except SweepError as error:
        state.keep("sweep.trouble", str(error))
