"""Begin: one button that starts a distillation that shows something, and below it every choice there is."""

from __future__ import annotations

import streamlit as st

from app import state
from app.draft import sentence, tidy, title_of
from app.page import Page
from app.starting import begun, draft, finished_run, known, start, take_up, write
from app.views.experiment_cards import experiment_cards
from app.views.fork import parent_banner, parent_faults
from app.views.knobs import plain
from app.views.plan import layers_known, plan, planner
from app.views.recipe_form import elsewhere, recipe_form, tab_of
from app.words import gloss
from kdcore.cards import Catalog
from kdcore.check import Fault, faults
from kdcore.experiments import DEFAULT, EXPERIMENTS
from kdcore.launch import LaunchError
from kdcore.recipe import Recipe, RecipeError
from kdcore.run import RunError


def show() -> None:
    """The page."""
    handed = state.kept("begin.handed", "")
    if handed:
        state.keep("begin.handed", "")
        state.go("watch", run=handed)
    catalog = state.catalog()
    recipe = _draft(catalog)
    _welcome(catalog)
    _linked(recipe, catalog)
    if state.kept("begin.form_first", False):
        _own(recipe, catalog)
        _ready_made()
        return
    _ready_made()
    _own(recipe, catalog)


PAGE = Page("begin", "Begin", ":material/rocket_launch:", 0, show, "begin")


def _draft(catalog: Catalog) -> Recipe:
    """The recipe of this tab: what a new link brings, or what was last on the page, or that of the run in the address,
    or the default."""
    problem = ""
    try:
        linked = state.recipe_from_address()
        if linked is None and not begun() and (left_for := _left_for()) is not None:
            take_up(tidy(left_for, catalog))
        if linked is not None and not known(linked):
            write(linked)  # as it came, so that the same address is no news when its short form is on the page
            take_up(tidy(linked, catalog), linked=True)
    except RecipeError as error:
        problem = str(error)
    state.keep("recipe.link_problem", problem)
    return draft()


def _left_for() -> Recipe | None:
    """The recipe of the run for which the page was left: the browser's Back brings its address with that run's name."""
    try:
        return state.shelf().run(state.from_address("run")).recipe
    except (RunError, RecipeError):
        return None


def _welcome(catalog: Catalog) -> None:
    problem = state.kept("recipe.link_problem", "")
    if problem:
        st.error(
            f"The recipe in this address cannot be read, so it was left aside: {plain(problem)}.",
            icon=":material/link_off:",
        )
    st.header(
        "Watch a small network learn from a large one",
        help=gloss("distillation", "teacher", "student", "soft labels", "dark knowledge"), anchor=False,
    )  # fmt: skip
    st.markdown(
        "KD Lab trains a teacher, a student that imitates it, and the same student alone: on real data, here and now, "
        "with every curve, feature map and decision boundary to look into."
    )
    done = finished_run(DEFAULT.recipe)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "See the first experiment" if done else "Start the first experiment", type="primary", key="start",
            icon=":material/visibility:" if done else ":material/play_arrow:", on_click=_start, args=(DEFAULT.recipe,),
        )  # fmt: skip
        _recorded(catalog)
        st.caption(
            "It has run to the end here already; another seed is one click away below." if done
            else f"Digits with 60 % wrong labels, about {DEFAULT.seconds:.0f} s on a small computer."
        )  # fmt: skip
    refused = state.kept("begin.refused", "")
    if refused:
        state.keep("begin.refused", "")
        st.error(f"It could not be started: {plain(refused)}", icon=":material/error:")


def _recorded(catalog: Catalog) -> None:
    for run in [run for run in state.shelf().runs() if run.recorded][:2]:
        data = title_of(catalog, "datasets", run.recipe.data.key)
        if st.button(f"See a recorded run: {data}", key=f"recorded.{run.id}", icon=":material/movie:",
                     help="A finished run that came with KD Lab: nothing is computed."):  # fmt: skip
            state.go("watch", run=run.id)


def _linked(recipe: Recipe, catalog: Catalog) -> None:
    if not state.kept("recipe.linked", False):
        return
    with st.container(border=True, key="linked"):
        st.markdown(f":material/link: **This link brought a recipe**: {plain(sentence(recipe, catalog))}")
        with st.container(horizontal=True, vertical_alignment="center"):
            wrong = [*parent_faults(recipe), *faults(recipe, catalog)]
            st.button(
                "Start it", key="linked.start", type="primary", disabled=bool(wrong), on_click=_start, args=(recipe,)
            )
            st.caption(
                f"It cannot start: {plain(wrong[0].text)}."
                if wrong
                else "Nothing has started. Its settings stand below."
            )


def _ready_made() -> None:
    finished = {experiment.key for experiment in EXPERIMENTS if finished_run(experiment.recipe)}
    experiment = experiment_cards(EXPERIMENTS, finished=finished, start=_start)
    if experiment is None:
        return
    state.keep("begin.form_first", False)
    take_up(experiment.recipe)
    state.recipe_to_address(experiment.recipe)
    st.rerun()


def _own(recipe: Recipe, catalog: Catalog) -> None:
    st.subheader("Your own", anchor="your-own", divider="gray")
    parent_banner(recipe)
    form, side = st.columns([3, 2], gap="large")
    wrong = [*parent_faults(recipe), *faults(recipe, catalog)]
    ready = None if wrong else planner().ready(recipe)
    if ready is not None:
        wrong = [Fault(fault["where"], fault["text"]) for fault in ready.faults]
    with form:
        for fault in elsewhere([one for one in wrong if one.where != "parent"], recipe, catalog):
            st.error(f"{plain(fault.where)}: {plain(fault.text)}", icon=":material/error:")
        made = recipe_form(recipe, catalog, wrong, layers_known(recipe))
        made = tidy(made, catalog)
    if made != recipe:
        write(made)
        state.recipe_to_address(made)
        st.rerun()
    said = _left_for()  # an address that says it already stays: a new one would take the way forward
    if known(made) and not state.kept("recipe.link_problem", "") and (said is None or tidy(said, catalog) != made):
        state.recipe_to_address(made)
    with side, st.container(border=True, key="plan"):
        _start_panel(made, wrong, catalog)


def _start_panel(recipe: Recipe, wrong: list[Fault], catalog: Catalog) -> None:
    st.markdown("**What will happen**")
    st.caption(plain(sentence(recipe, catalog)))
    done = None if wrong else finished_run(recipe)
    with st.container(horizontal=True, vertical_alignment="center"):
        if done is not None:
            if st.button("Open the finished run", type="primary", key="own.open", icon=":material/visibility:"):
                state.go("watch", run=done.id)
            again = recipe
            while finished_run(again) is not None:
                again = again.replace(seed=again.seed + 1)
            st.button(
                "Run again with another seed", key="own.again", help="A second seed shows how much was luck.",
                on_click=_start, args=(again,),
            )  # fmt: skip
        else:
            st.button(
                "Start this distillation", type="primary", key="own.start", icon=":material/play_arrow:",
                disabled=bool(wrong), on_click=_start, args=(recipe,),
            )  # fmt: skip
        with st.popover("Link", icon=":material/link:", key="own.link"):
            st.caption("Opens this page filled in like this; it never starts anything by itself.")
            st.code(state.address("begin", recipe=recipe.to_text()), language=None, wrap_lines=True)
    if done is not None:
        st.caption("This very recipe has already run to the end; its result stands ready.")
    if wrong:
        lines = [f"- {tab_of(fault.where)}: {plain(fault.text)}" for fault in wrong[:4]]
        more = f"\n- and {len(wrong) - 4} more" if len(wrong) > 4 else ""
        st.error("It cannot start yet:\n" + "\n".join(lines) + more, icon=":material/block:")
        return
    plan(recipe)


def _start(recipe: Recipe) -> None:
    """What a start button does, before anything is drawn: the run begins while the page is still changing."""
    try:
        state.keep("begin.handed", start(recipe))
    except LaunchError as error:
        state.keep("begin.refused", str(error))
