"""Same name, different loss: how papers and public code write one method, on the tensors of a run."""

from __future__ import annotations

import streamlit as st

from app import state
from app.charts import forms as chart
from app.draft import title_of
from app.page import Page
from app.views import chosen
from app.views.form_weight import one_form
from app.views.inside import taught
from app.views.knobs import plain
from app.views.moment import csv_button
from app.views.run_head import name_of, recipe_of
from app.views.still import still
from kdcore.answers.forms import Forms
from kdcore.cards import Catalog
from kdcore.conventions import FORMS
from kdcore.form import Form
from kdcore.launch import AskError
from kdcore.run import Run

SHOWN = 40
"""Runs in the list."""


def show() -> None:
    """The page."""
    catalog = state.catalog()
    st.header("Same name, different loss", anchor=False)
    st.caption(
        "Papers and libraries write one method in different ways: another mean, a factor left out, sometimes another "
        "function. A weight that was tuned for one form is wrong for the other by the factor between their gradients."
    )
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    run = _run(right)
    key = _method(left, run, catalog)
    forms = FORMS[key]
    answer = _answer(run, key) if run is not None else None
    if answer is None:
        if run is None:
            st.info("With a run on the shelf, value and gradient of each form stand here, on its own networks.",
                    icon=":material/info:")  # fmt: skip
            if st.button("Begin a distillation", type="primary", icon=":material/play_arrow:", key="same.begin"):
                state.go("begin")
        _without_numbers(forms)
        return
    assert run is not None
    picture, choice = st.columns([3, 2], gap="large")
    with picture:
        _picture(answer, forms)
    with choice, st.container(border=True, key="same.form"):
        one_form(run, key, forms, answer, catalog)
    _numbers(answer, forms)


PAGE = Page("same", "Same name", ":material/difference:", 45, show, "same")


def _run(place: st.delta_generator.DeltaGenerator) -> Run | None:
    """The run whose networks are looked at: the tab's own where it was taught, else the newest finished one."""
    wrong = state.wrong_run()
    if wrong:
        st.warning(wrong, icon=":material/search_off:")
    runs = [run for run in state.shelf().runs() if run.state() in ("finished", "stopped", "running")]
    if not runs:
        return None
    shown = None if wrong else state.chosen_run()
    if shown is None or all(run.id != shown.id for run in runs):
        shown = next((run for run in runs if not run.recorded and run.state() == "finished"), runs[0])
    listed = {run.id: run for run in [shown, *(run for run in runs[:SHOWN] if run.id != shown.id)]}
    picked = place.selectbox(
        "On the networks of the run", list(listed), key=f"same.run.{shown.id}",
        format_func=lambda id: f"{id[:4]}{id[16:]} · {name_of(recipe_of(listed[id]))}",
    )  # fmt: skip
    if picked and picked != shown.id:
        state.choose_run(picked)
        st.rerun()
    return shown


def _method(place: st.delta_generator.DeltaGenerator, run: Run | None, catalog: Catalog) -> str:
    """Which method, "name" in the address; at first one that the run used."""
    keys = [key for key in FORMS if key in catalog.folders["methods"]]
    used = [part.method.key for part in run.recipe.methods if part.method.key in keys] if run else []
    usual = used[0] if used else keys[0]

    def called(key: str) -> str:
        return title_of(catalog, "methods", key)

    asked = state.from_address("name") or state.kept("same.method", usual)
    asked = chosen.one_of(asked, "name", "method with several forms", keys, usual, called)
    key = place.selectbox(
        "Method", keys, keys.index(asked), key="same.method", format_func=called, on_change=state.forgive,
        args=("name",),
    ) or asked  # fmt: skip
    with place:
        chosen.complaint("name")
    if key != asked:
        state.keep("same.method", key)
    state.to_address("name", key)
    return key


def _answer(run: Run, key: str) -> Forms | None:
    """What the worker measured at the run's last snapshot of a taught phase; None, and said why, where it cannot."""
    phases = taught(state.history_of(run))
    if not phases:
        st.info("This run has no snapshot of a student that was taught; choose another one.", icon=":material/info:")
        return None
    try:
        with st.spinner("Measuring on the run's networks …"):
            found = state.desk().ask(run.id, "conventions", {"method": key}, phases[-1].snapshots[-1].name)
    except AskError as error:
        st.info(plain(str(error)), icon=":material/info:")
        return None
    assert isinstance(found, Forms)
    return found


def _picture(answer: Forms, forms: tuple[Form, ...]) -> None:
    st.markdown(f"**How hard each form pulls the student** (gradient on its {plain(answer.measured_on)})")
    still(chart.draw(answer, forms, dark=state.dark()), about=f"same {answer.method}", key="same.chart")
    for form, refusal in zip(forms, answer.refusals, strict=True):
        if refusal:
            st.caption(f":material/block: *{plain(form.name)}* is left out: {plain(refusal)}.")
    st.caption(answer.says)


def _numbers(answer: Forms, forms: tuple[Form, ...]) -> None:
    """Every form with its numbers, and the same as a file."""
    st.dataframe(_table(answer, forms), hide_index=True, width="stretch", key="same.table", column_config=_COLUMNS)
    csv_button(lambda: chart.rows(answer), name=f"forms-{answer.method}", key="same.csv")


_COLUMNS = {
    "form": st.column_config.TextColumn(width="medium"),
    "used by": st.column_config.TextColumn(width="medium"),
    "value": st.column_config.NumberColumn(format="%.4g", help="The loss itself, before any weight."),
    "gradient": st.column_config.NumberColumn(format="%.4g", help="Length of the gradient on the student's tensors."),
    "÷ ours": st.column_config.NumberColumn(format="%.4g", help="Its gradient over ours, measured."),
    "exactly": st.column_config.TextColumn(help="The factor as it follows from the formulas."),
    "cosine": st.column_config.NumberColumn(format="%.3f", help="1: the gradient points where ours does."),
}


def _table(answer: Forms, forms: tuple[Form, ...]) -> list[dict[str, object]]:
    ours = float(answer.gradients[0])
    rows: list[dict[str, object]] = []
    for number, form in enumerate(forms):
        there = not answer.refusals[number]
        rows.append(
            {
                "form": form.name,
                "used by": form.used_by,
                "value": float(answer.values[number]) if there else None,
                "gradient": float(answer.gradients[number]) if there else None,
                "÷ ours": float(answer.gradients[number]) / ours if there and ours else None,
                "exactly": _exactly(form, answer.factors[number]),
                "cosine": float(answer.alike[number]) if there else None,
            }
        )
    return rows


def _exactly(form: Form, factor: float | None) -> str:
    return form.factor_says if factor is None or factor == 1.0 else f"{form.factor_says} = {factor:.4g}"


def _without_numbers(forms: tuple[Form, ...]) -> None:
    for form in forms:
        with st.container(border=True):
            name, factor = st.columns([4, 2])
            name.markdown(f"**{plain(form.name)}**")
            factor.markdown(f"gradient {plain(form.factor_says)}" if form.relation != "another" else "another function")
            st.caption(f":material/source: {plain(form.used_by)}")
            st.latex(form.formula)
            if form.note:
                st.caption(plain(form.note))
