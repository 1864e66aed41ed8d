"""Capacity gap: does a larger teacher make a better student? Measured curves over teacher and student sizes."""

from __future__ import annotations

import streamlit as st

from app import state
from app.charts import capacity as chart
from app.draft import title_of
from app.page import Page
from app.starting import take_up
from app.views.capacity_form import KEY, form, start
from app.views.knobs import plain
from app.views.measuring import followed, refusal, tried, under_way
from app.views.moment import csv_button
from app.views.still import still
from app.words import gloss
from kdcore.capacity import ALONE, ASSISTED, DISTILLED, Capacity, CapacityError, Cell
from kdcore.capacity_board import CapacityBoard
from kdcore.capacity_table import chance, cost, made_with, said
from kdcore.capacity_verdict import sentence, verdict
from kdcore.cards import Catalog
from kdcore.recipe import code_version

COMMAND = "python -m kdcore.capacity_gap"


def show() -> None:
    """The page."""
    catalog = state.catalog()
    st.header("The capacity gap", anchor=False, help=gloss("teacher", "student alone", "temperature", "points"))
    st.markdown(
        "A larger teacher is right more often. Look whether its student gets better too: a **capacity gap** would be "
        "an orange line that falls while the teacher's rises, with the purple one, by an assistant of middle size, "
        "above it. Below each width stands how sure the teacher is: near 100 % its answers are just the labels."
    )
    board = CapacityBoard(state.shelf().root)
    refusal(KEY)
    followed(board.going, lambda: _board(board, catalog))


PAGE = Page("capacity", "Capacity gap", ":material/stacked_line_chart:", 48, show, "capacity")


def _board(board: CapacityBoard, catalog: Catalog) -> None:
    own: Capacity | None = None
    try:
        own = board.own()
    except CapacityError as error:
        st.error(plain(f"What was measured here cannot be read: {error}"), icon=":material/error:")
    shipped = board.shipped()
    measured = own if own is not None and own.any() else None
    shown = measured if measured is not None or board.going() else shipped
    if board.going():
        _under_way(board, own)
    else:
        _ended(board, own)
    both = measured is not None and shipped is not None
    if both and st.toggle("Show the measurement that came with KD Lab", key="capacity.shipped"):
        shown = shipped
    if shown is None:
        st.info(
            "The curves begin here with the first run." if board.going()
            else "Nothing has been measured yet. Measure it here:", icon=":material/stacked_line_chart:",
        )  # fmt: skip
    else:
        _shown(shown, shown is shipped, catalog)
    if not board.going():
        with st.expander("Measure it here", expanded=shown is None, icon=":material/play_arrow:"):
            form(board, catalog, own)
            st.caption(f"The same without the app: `{COMMAND}`.")


def _shown(shown: Capacity, came_along: bool, catalog: Catalog) -> None:
    """The measurement: its setting, verdict, curves, sentences, table."""
    st.caption(plain(_what(shown, catalog)))
    if found := verdict(shown):
        st.markdown(f"**{plain(found)}**")
    still(chart.draw(shown, dark=state.dark()), about="capacity gap", key="capacity.chart")
    _findings(shown)
    _table(shown)
    st.caption(("This came with KD Lab. " if came_along else "") + plain(f"{made_with(shown)} {cost(shown)}"))


def _under_way(board: CapacityBoard, own: Capacity | None) -> None:
    done, total = own.steps() if own is not None else (0, 1)
    doing = f"{done} of {total} runs · {plain(own.now)}" if own is not None and own.now else ""
    under_way(KEY, done, total, doing, board.stop)


def _ended(board: CapacityBoard, own: Capacity | None) -> None:
    """How far a stopped one came and what ended it; it can go on, and what is there can be forgotten."""
    if own is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        if not own.finished:
            done, total = own.steps()
            can = own.made.get("code") == code_version()
            began = "torch" in own.made  # written by whoever measures, not by the button
            trouble = own.now if own.now.startswith("It ended") else "" if began else board.trouble()
            why = f" {plain(trouble)}" if trouble else ""
            anew = "" if can else " The code has changed since, so it would begin anew."
            st.caption(f"Stopped after {done} of {total} runs.{why}{anew}")
            if can:
                st.button(
                    "Go on", icon=":material/play_arrow:", key="capacity.go_on", on_click=start, args=(board, own)
                )
        st.button("Forget", type="tertiary", key="capacity.forget", on_click=_forget, args=(board,),
                  help="Deletes what was measured on this machine.")  # fmt: skip


def _forget(board: CapacityBoard) -> None:
    tried(KEY, board.forget)


def _what(shown: Capacity, catalog: Catalog) -> str:
    """The setting, in a few sentences."""
    base = shown.base
    size = base.data.settings.get("train_size", 0)
    kinds = dict.fromkeys(title_of(catalog, "networks", pick.key) for pick in (base.teacher, base.student))
    return (
        f"{title_of(catalog, 'datasets', base.data.key)}{f', {size:,} pictures' if size else ''}; "
        f"{' and '.join(kinds)}. A distilled student hears only its teacher, the student alone only the labels; all "
        "start alike and take as many steps. Bars are 95 % intervals of the difference to the student alone, seed by "
        "seed."
    )


def _findings(shown: Capacity) -> None:
    told = [
        f"- **Width {student}, T = {heat:g}**: {plain(sentence(cells))}"
        for student in shown.students
        for heat in shown.temperatures
        if (cells := shown.panel(student, heat))
    ]
    st.markdown("\n".join(told))
    st.caption(plain(chance(shown)))


def _table(shown: Capacity) -> None:
    """Every field of the grid; one that is chosen can be run and watched."""
    cells = [cell for student in shown.students for heat in shown.temperatures for cell in shown.panel(student, heat)]
    text, number = st.column_config.TextColumn, st.column_config.NumberColumn
    picked = st.dataframe(
        [_row(cell) for cell in cells], hide_index=True, width="stretch", key="capacity.table", height=320,
        on_select="rerun", selection_mode="single-row",
        column_config={
            "sure": number("sure, %", format="%.1f",
                           help="Mean of the teacher's largest probability (T = 1) on the training pictures."),
            "over alone": text("over alone, points", help="Distilled less alone, seed by seed."),
            "over distilled": text("over distilled, points", help="By an assistant less distilled, seed by seed."),
        },
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center"):
        csv_button(lambda: chart.rows(shown), name="capacity-gap", key="capacity.csv")
        chosen = [cells[place] for place in picked.selection.rows if place < len(cells)]
        if not chosen:
            st.caption("Choose a row to run it yourself and watch teacher, assistant and all three students.")
        elif st.button("Open this run in Begin", key="capacity.try", icon=":material/tune:"):
            recipe = shown.run_of(chosen[0], 0)
            take_up(recipe)
            state.go("begin", recipe=recipe)


def _row(cell: Cell) -> dict[str, object]:
    return {
        "student's width": cell.student, "T": f"{cell.temperature:g}", "teacher's width": cell.teacher,
        "teacher, %": said(cell.mean("teacher")), "sure": 100 * cell.sureness(), "alone, %": said(cell.mean(ALONE)),
        "distilled, %": said(cell.mean(DISTILLED)), "over alone": said(cell.over(DISTILLED, ALONE), sign="+"),
        "by an assistant, %": said(cell.mean(ASSISTED)),
        "over distilled": said(cell.over(ASSISTED, DISTILLED), sign="+"), "seeds": cell.done(),
    }  # fmt: skip
