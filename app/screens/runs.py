"""Runs: everything that was tried, side by side."""

from __future__ import annotations

import streamlit as st

from app import state
from app.charts.compare import compare
from app.draft import differences
from app.page import Page
from app.rows import Row, row_of, student_curve
from app.starting import take_up
from app.theme import size
from app.views.knobs import plain
from app.views.run_table import chosen_runs, filtered, run_table
from app.views.still import still
from kdcore.cards import Catalog
from kdcore.run import RunError, UnknownRun


def show() -> None:
    """The page."""
    catalog = state.catalog()
    rows = [row_of(run, catalog) for run in state.shelf().runs()]
    st.header("Runs", anchor=False)
    _said()
    if not rows:
        _empty()
        return
    st.caption(
        f"{len(rows)} run{'s' if len(rows) > 1 else ''}, {size(sum(row.size for row in rows))} on disk. "
        "Accuracies are on test pictures, at the end of a run."
    )
    _follow(rows)
    shown = filtered(rows)
    if not shown:
        st.info("No run passes this filter.", icon=":material/filter_alt_off:")
        return
    run_table(shown)
    chosen = chosen_runs(shown)
    if len(chosen) == 1:
        _one(chosen[0])
    elif chosen:
        _several(chosen, catalog)
    if chosen:
        _delete(chosen)


PAGE = Page("runs", "Runs", ":material/list_alt:", 30, show, "runs")


def _said() -> None:
    """What the last click came to."""
    for kind, text in state.kept("runs.said", ()):
        (st.error if kind == "error" else st.success)(plain(text))
    state.keep("runs.said", ())


def _follow(rows: list[Row]) -> None:
    """While something runs, looks every two seconds whether it has ended, and if so draws the page again."""
    going = [row for row in rows if row.state in ("waiting", "running")]
    if not going:
        return

    def look() -> None:
        known = {run.id: run for run in state.shelf().runs()}
        if any(row.id not in known or known[row.id].state() != row.state for row in going):
            st.rerun()

    st.fragment(look, run_every=2.0)()


def _empty() -> None:
    with st.container(border=True):
        st.markdown(
            "**Nothing has run yet.** Every run will stand here with its settings and results, "
            "to open, compare and repeat."
        )
        if st.button("Start the first one", type="primary", key="runs.begin", icon=":material/rocket_launch:"):
            state.go("begin")


def _one(row: Row) -> None:
    with st.container(horizontal=True):
        if st.button("Watch", key="runs.watch", icon=":material/monitoring:"):
            state.go("watch", run=row.id)
        if st.button("Look inside", key="runs.inside", icon=":material/search:"):
            state.go("look", run=row.id)
        if st.button("Use its recipe in Begin", key="runs.recipe", icon=":material/tune:", disabled=row.recipe is None):
            assert row.recipe is not None
            take_up(row.recipe)
            state.go("begin", recipe=row.recipe)


def _several(chosen: list[Row], catalog: Catalog) -> None:
    curves = {row.short_name: student_curve(state.shelf().run(row.id).history()) for row in chosen}
    drawn = {name: curve for name, curve in curves.items() if curve[0]}
    if drawn:
        still(compare(drawn, dark=state.dark()), about=" ".join(drawn), key="runs.compare")
    for name in curves.keys() - drawn.keys():
        st.caption(f"{plain(name)}: its student has no score yet.")
    recipes = {row.short_id: row.recipe for row in chosen if row.recipe is not None}
    st.markdown("**What they do differently**")
    rows = differences(recipes, catalog)
    if rows:
        st.dataframe(rows, hide_index=True, width="stretch", key="runs.differences")
    else:
        st.caption("Nothing: the same settings.")


def _delete(chosen: list[Row]) -> None:
    own = [row for row in chosen if not row.recorded]
    if not own:
        st.caption("Recorded runs came with KD Lab and stay.")
        return
    busy = [row for row in own if row.state in ("waiting", "running")]
    what = "this run" if len(own) == 1 else f"these {len(own)} runs"
    with st.popover(f"Delete {what} …", icon=":material/delete:", key="runs.delete"):
        if busy:
            st.error(f"{len(busy)} of them still going: stop first, on its Watch page.", icon=":material/block:")
            return
        st.markdown(
            f"Deletes {what} with all curves, snapshots and answers ({size(sum(row.size for row in own))}). "
            "This cannot be undone."
        )
        st.button(
            f"Delete {what} for good",
            key="runs.delete.sure",
            type="primary",
            on_click=_delete_now,
            args=([row.id for row in own],),
        )


def _delete_now(ids: list[str]) -> None:
    said = []
    for run_id in ids:
        try:
            state.shelf().run(run_id).delete()
        except UnknownRun:
            continue
        except (RunError, OSError) as error:
            said.append(("error", f"Run {run_id[:6]} could not be deleted: {error}"))
    if len(said) < len(ids):
        said.append(("success", f"{len(ids) - len(said)} deleted."))
    state.keep("runs.said", tuple(said))
    state.set_widget("runs.chosen", [])
