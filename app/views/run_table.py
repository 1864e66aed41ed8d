"""The list of runs as a table that can be filtered and chosen from."""

from __future__ import annotations

import streamlit as st

from app import state
from app.rows import Row, ago
from app.theme import seconds, size
from app.words import gloss

ICONS = {"finished": "✓", "running": "▶", "waiting": "…", "failed": "✗", "stopped": "■", "lost": "?"}


def filtered(rows: list[Row]) -> list[Row]:
    """Draws the filter and gives back the rows that pass it."""
    states = [name for name in ICONS if any(row.state == name for row in rows)]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        word = st.text_input(
            "Search", key="runs.search", max_chars=60, placeholder="data, method, network …", width=260
        )
        chosen = st.pills("State", states, key="runs.states", selection_mode="multi")
    word = (word or "").strip().lower()
    return [
        row
        for row in rows
        if (not chosen or row.state in chosen) and word in f"{row.id} {row.what} {row.settings}".lower()
    ]


def run_table(rows: list[Row]) -> None:
    """Draws the rows; those clicked become the chosen ones of `chosen_runs`."""
    shown = [
        {
            "run": row.short_id,
            "when": "recorded" if row.recorded else ago(row.when),
            "settings": row.settings or None,
            "what": row.what,
            "state": f"{ICONS.get(row.state, '')} {row.state}",
            "student": row.student and 100 * row.student,
            "alone": row.alone and 100 * row.alone,
            "teacher": row.teacher and 100 * row.teacher,
            "gain": row.gain if row.gain is None else 100 * row.gain,
            "time": seconds(row.seconds),
            "on disk": size(row.size),
        }
        for row in rows
    ]
    number = st.column_config.NumberColumn
    st.dataframe(
        shown, hide_index=True, width="stretch", key="runs.table", placeholder="–", selection_mode="multi-row",
        on_select=lambda: _choose(rows), height=min(38 + 35 * max(1, len(rows)), 420),
        column_config={
            "settings": st.column_config.TextColumn(
                "set apart by", width="medium", help="The settings that are not as they would be anyway."),
            "what": st.column_config.TextColumn("data · methods · teacher → student · scheme", width="large"),
            "student": number(format="%.1f %%", help="Test accuracy of the distilled student."),
            "alone": number(format="%.1f %%", help=gloss("student alone")),
            "teacher": number(format="%.1f %%", help="Test accuracy of the teacher."),
            "gain": number(
                "gain (points)", format="%+.1f", help=f"Student less student alone. {gloss('points')}"),
        },
    )  # fmt: skip


def _choose(rows: list[Row]) -> None:
    picked = state.widget("runs.table", {})["selection"]["rows"]
    state.set_widget("runs.chosen", [rows[place].id for place in picked if place < len(rows)])


def chosen_runs(rows: list[Row]) -> list[Row]:
    """Draws the choice of runs to compare and open; gives it back."""
    by_id = {row.id: row for row in rows}
    present = [run_id for run_id in state.widget("runs.chosen", []) or [] if run_id in by_id]
    if present != (state.widget("runs.chosen") or []):
        state.set_widget("runs.chosen", present)
    chosen = st.multiselect(
        "Chosen runs", list(by_id), key="runs.chosen", format_func=lambda run_id: by_id[run_id].name,
        placeholder="Tick rows above, or choose here: one to open, several to compare", max_selections=12,
    )  # fmt: skip
    return [by_id[run_id] for run_id in chosen]
