"""What if: a recipe with one or two settings varied, trained as a grid of runs, live, with a verdict over seeds."""

from __future__ import annotations

import streamlit as st

from app import state
from app.charts.grid import draw
from app.draft import sentence
from app.page import Page
from app.rows import Row, row_of
from app.starting import draft
from app.theme import percent, points
from app.varied import Field, called, from_start, joined, likely, plan_of, resumed, runs_of, train, untrained
from app.views import chosen
from app.views.knobs import plain
from app.views.still import still
from kdcore.cards import Catalog
from kdcore.check import faults
from kdcore.grid import MOST, Axis, GridError, cells, parsed, settings_of, usual, value_of, verdict
from kdcore.launch import LaunchError
from kdcore.recipe import Recipe, RecipeError
from kdcore.run import Run
from kdcore.spec import Knob

ALONE, STUDENT = "over the student alone, points", "student, %"
NONE = "nothing else"


def show() -> None:
    catalog = state.catalog()
    recipe = _recipe()
    st.header("What if?", anchor=False)
    st.markdown(
        "Vary one or two settings of a recipe and see every combination trained: each field is a run of its own, which "
        "a click opens. Teachers and students alone that several fields share are trained once."
    )
    st.caption(f"The recipe: {plain(sentence(recipe, catalog))}. It is the one on Begin; change it there.")
    recipe = from_start(recipe)
    known = settings_of(recipe, catalog)
    down = _axis("y", "Down", known, recipe, default=next(iter(likely(known)), "seed"), optional=False)
    across = _axis("x", "Across", known, recipe, default="seed", optional=True)
    if down is None or (across is None and state.from_address("x") not in ("", NONE)):
        return
    try:
        rows = cells(recipe, down, across, catalog)
    except GridError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    wrong = [fault for row in rows for one in row for fault in faults(one, catalog)]
    if wrong:
        st.error(plain(f"{wrong[0].where}: {wrong[0].text}"), icon=":material/error:")
        return
    going = _going(rows)
    st.fragment(_grid, run_every=1.0 if going else None)(rows, down, across, catalog, watched=going)


def _recipe() -> Recipe:
    try:
        return state.recipe_from_address() or draft()
    except RecipeError as error:
        st.error(f"The recipe in this address cannot be read: {plain(str(error))}", icon=":material/link_off:")
        return draft()


def _axis(
    name: str, title: str, known: dict[str, Knob], recipe: Recipe, *, default: str, optional: bool
) -> Axis | None:
    """The choice of a setting and its values, kept in the address as "path:values"; None without or where it fails."""
    said_path, _, said_values = state.from_address(name).partition(":")
    options = [*([NONE] if optional else []), *known]

    def words(path: str) -> str:
        return _called(path, recipe)

    asked = chosen.one_of(said_path, name, "setting of this recipe", options, default, words)
    left, right = st.columns([1, 2])
    path = left.selectbox(
        title, options, index=options.index(asked), format_func=words, key=f"grid.{name}", on_change=state.forgive,
        args=(name,), help=f"Which setting changes from {'row to row' if name == 'y' else 'column to column'}.",
    )  # fmt: skip
    with left:
        chosen.complaint(name)
    if path == NONE or path not in known:
        state.to_address(name, NONE if optional else "")
        return None
    knob = known[path]
    start = said_values if path == said_path and said_values else joined(usual(knob, value_of(recipe, path, knob)))
    text = right.text_input(
        "Values", start, key=f"grid.{name}.values.{path}", max_chars=400,
        help=f"{knob.help} Several values with commas between them; at most {MOST} runs in all.",
    )  # fmt: skip
    try:
        values = parsed(text, knob)
    except GridError as error:
        right.error(plain(str(error)), icon=":material/error:")
        return None
    state.to_address(name, f"{path}:{joined(values)}"[:200])
    return Axis(path, values)


def _called(path: str, recipe: Recipe) -> str:
    return path if path == NONE else called(path, recipe)


def _going(rows: list[list[Recipe]]) -> bool:
    return any(run is not None and run.state() in ("waiting", "running") for row in runs_of(rows) for run in row)


def _grid(rows: list[list[Recipe]], down: Axis, across: Axis | None, catalog: Catalog, *, watched: bool) -> None:
    """The fields as they are by now. `watched`: whether they are looked at again and again."""
    runs = runs_of(rows)
    told = [[None if run is None else row_of(run, catalog) for run in row] for row in runs]
    flat = [one for row in told for one in row]
    missing = untrained(rows, runs, told)
    going = [one for one in flat if one is not None and one.state in ("waiting", "running")]
    on = resumed(missing)
    begins = "Go on with" if on == len(missing) else "Train"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            f"{begins} {len(missing)} run{'s' if len(missing) != 1 else ''}" if missing
            else "All are training" if going else "All are trained",
            type="primary", disabled=not missing, icon=":material/play_arrow:" if missing else ":material/check:",
            key="grid.start", on_click=_start, args=(missing,),
        )  # fmt: skip
        if going:
            st.button("Stop them", icon=":material/stop:", key="grid.stop", on_click=_stop, args=(runs,))
            st.caption(f"{len(flat) - len(missing) - len(going)} of {len(flat)} are done; one trains on each core.")
        if meant := plan_of(missing, on):
            st.caption(meant)
        measure = chosen.linked(
            st.segmented_control, "Colour", [STUDENT, ALONE], key="grid.measure", what="measure to colour by",
            default=STUDENT, required=True, label_visibility="collapsed",
        )  # fmt: skip
    if problem := state.kept("grid.problem", ""):
        st.error(plain(problem), icon=":material/error:")
    values = [[_value(one, measure) for one in row] for row in told]
    figure = draw(
        values, [[_text(one, measure) for one in row] for row in told],
        rows=[joined([value]) for value in down.values],
        columns=[joined([value]) for value in across.values] if across else ["all else as it is"],
        row_axis=_called(down.path, rows[0][0]), column_axis=_called(across.path, rows[0][0]) if across else "",
        value_axis="test accuracy, %" if measure == STUDENT else "student − student alone, points", dark=state.dark(),
    )  # fmt: skip
    cell = still(figure, about=f"grid {rows[0][0].id} {rows[-1][-1].id} {measure}", key="grid.picture", cells=True)
    if cell is not None and cell[0] < len(runs) and cell[1] < len(runs[0]):
        clicked = runs[cell[0]][cell[1]]
        state.keep("grid.open", "" if clicked is None else clicked.id)
    opened = state.kept("grid.open", "")
    if opened and any(run is not None and run.id == opened for row in runs for run in row):
        if st.button(f"Open run {opened[:6]}", key="grid.open.run", icon=":material/monitoring:"):
            state.go("watch", run=opened)
    elif any(run is not None for row in runs for run in row):
        st.caption("Click a field to open its run.")
    if across is not None and across.path == "seed":
        _verdicts(told, down, rows)
    if bool(going) != watched:
        st.rerun()  # the click that started them redraws this part alone, and only the page sets its pace


def _value(one: Row | None, measure: str) -> float | None:
    if one is None or one.student is None:
        return None
    if measure == STUDENT:
        return 100 * one.student
    return None if one.gain is None else 100 * one.gain


def _text(one: Row | None, measure: str) -> str:
    if one is None:
        return "–"
    value = _value(one, measure)
    if value is not None:
        return f"{value:.1f}" if measure == STUDENT else f"{value:+.1f}"
    return {"waiting": "waits", "running": "trains …"}.get(one.state, one.state)


def _verdicts(told: list[list[Row | None]], down: Axis, rows: list[list[Recipe]]) -> None:
    """Each row against the first and against the student alone, seed by seed; nothing before there is a result."""
    if all(one is None or one.student is None for row in told for one in row):
        return
    st.markdown("**What the seeds say** (paired: the same seed on both sides)")
    lines = []
    first = told[0]
    for value, row in zip(down.values, told, strict=True):
        gains = [one.gain for one in row if one is not None and one.gain is not None]
        pairs = [
            one.student - other.student for one, other in zip(row, first, strict=True)
            if one is not None and other is not None and one.student is not None and other.student is not None
        ]  # fmt: skip
        students = [one.student for one in row if one is not None and one.student is not None]
        going = any(one is None or one.state in ("waiting", "running") for one in (*row, *first))
        lines.append({
            _called(down.path, rows[0][0]): joined([value]),
            "student": percent(sum(students) / len(students)) if students else "",
            "against the student alone": _said(gains, going=going),
            f"against {joined([down.values[0]])}": "" if row is first else _said(pairs, going=going),
        })  # fmt: skip
    st.table([{head: plain(text) for head, text in line.items()} for line in lines])  # its words wrap


def _said(differences: list[float], *, going: bool) -> str:
    """The verdict in words. While fields of the row are `going` it says nothing of further seeds."""
    if not differences:
        return ""
    found = verdict(differences)
    interval = "one seed says nothing of luck" if found.seeds < 2 else f"± {100 * found.half:.1f}"
    more = (
        f"; about {found.more} more seed{'s' if found.more != 1 else ''} would settle it"
        if found.more and not going
        else ""
    )
    return f"{found.word}: {points(found.mean)} {interval}{more}"


def _start(fields: list[Field]) -> None:
    state.keep("grid.problem", "")
    try:
        train(fields)
    except LaunchError as error:
        state.keep("grid.problem", str(error))


def _stop(runs: list[list[Run | None]]) -> None:
    for run in (run for row in runs for run in row):
        if run is not None and run.state() in ("waiting", "running"):
            run.request_stop()


PAGE = Page("grid", "What if", ":material/grid_on:", 4, show, "what-if")
