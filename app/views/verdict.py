"""What a finished run says, as numbers with their interval and one plain sentence."""

from __future__ import annotations

import streamlit as st

from app import state, theme
from app.live import role_name
from app.live.series import hidden_class, part_of
from app.verdict import against, against_parent, hidden_rows, ranked, weak_teacher
from app.words import WORDS, gloss
from kdcore.history import History

MOST = 4
"""Networks whose figures fit beside one another."""


def verdict(history: History, *, parent: History | None = None) -> None:
    """Test accuracies side by side, the difference to the student alone, and how sure it is.

    `parent`: the run that this one goes on from, against which its student is held too.
    """
    difference = against(history, "baseline")
    figures, words = st.columns([1.3, 1], vertical_alignment="top")
    row = figures.container(horizontal=True, key="watch-figures")
    for role in ranked(history)[:MOST]:
        result, name = history.results[role], role_name(role, history)
        compared = difference is not None and part_of(role, history) == "student"
        row.metric(
            f"{name[:1].upper()}{name[1:]}, test",
            theme.percent(result.get("test_accuracy"), of=result.get("count")),
            # The arrow's direction is read from a hyphen, not from a minus sign.
            delta=f"{theme.points(difference.value)} vs. alone".replace("−", "-") if difference and compared else None,
            delta_color="off" if difference is None or difference.word == "unclear" else "normal",
            help=gloss(name) if name in WORDS else None,
        )
    with words:
        device = history.started.device.upper() if history.started else "device"
        taken = f"Took {theme.seconds(history.seconds)} on the {device}."
        if difference is None:
            st.markdown("**No student alone to compare with**: whether distillation helped, this run cannot say.")
            st.caption(taken)
        else:
            sentence = difference.without_pictures if _data_free(history) else difference.sentence
            st.markdown(f"**{sentence}**", help=gloss("points"))
            st.caption(f"{difference.interval[0].upper()}{difference.interval[1:]}. {taken}")
        if weak := weak_teacher(history):
            st.markdown(f":material/school: {weak}")
        if parent is not None:
            _parent(history, parent)
    _hidden(history)


def _data_free(history: History) -> bool:
    """Whether the student never saw a real picture, while the student alone had them all."""
    scheme = (history.started.recipe.get("scheme") or {}).get("is") if history.started else ""
    cards = state.catalog_at_hand()
    card = cards.folders["schemes"].get(str(scheme)) if cards else None
    return card is not None and card.facts.get("kind") == "data-free"


def _parent(history: History, parent: History) -> None:
    found = against_parent(history, parent)
    if found is None:
        return
    size = theme.points(abs(found.value)).lstrip("+")
    said = {
        "unclear": f"no difference that {theme.count(found.pictures)} test {found.inputs} can show",
        "helps": f"{size} more", "hurts": f"{size} less",
    }[found.word]  # fmt: skip
    st.markdown(f":material/fork_right: **Against the run that it goes on from: {said}.**")
    st.caption(f"{theme.points(found.value)}; {found.interval}.")


def _hidden(history: History) -> None:
    rows = hidden_rows(history)
    if not rows:
        return
    name = hidden_class(history)
    said = " · ".join(
        f"{role_name(row['role'], history)}: **{row['bias set right']}** ({row['as it is']} as it is)" for row in rows
    )
    st.markdown(
        f"Class “{name}”, never shown to the student, after its bias is set right: {said}",
        help="A class that was never a label is never the answer. Its bias is raised, as measured on the validation "
        "pictures, until it is answered as often as it occurs; what is recognised then was learnt from the teacher's "
        "other answers.\n\n" + gloss("dark knowledge"),
    )
