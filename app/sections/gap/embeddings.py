"""The same inputs as each network lays them out; chosen points show their pictures."""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import partial

import numpy
import streamlit as st

from app import state
from app.charts.panels import NAMES
from app.charts.pixels import address_of
from app.section import Place, Section
from app.views import chosen as choices
from app.views.inside import class_choice
from app.views.scrubber import question, scrubber
from kdcore.answer import Answer
from kdcore.answers.embedding import Embedding

SHOWN = 24
"""Pictures of chosen points."""


def draw(place: Place) -> None:
    ways = {"pca": "PCA", "tsne": "t-SNE"}
    way = choices.option(
        place.columns[0].selectbox, "Laid out by", list(ways), key="way", what="layout", format_func=ways.__getitem__,
        help="PCA: the plane in which the features differ most. t-SNE keeps neighbours together; distances say little.",
    )  # fmt: skip
    label = class_choice(place.history, into=place.columns[1])
    started = place.history.started
    test = choices.number("test", "test inputs", int(started.data.get("test") or 1) if started else 1)
    choices.complaint("test")

    def standing(answer: Answer) -> list[int]:
        assert isinstance(answer, Embedding)
        if label is None:
            return _rows_of(answer, test)
        return numpy.flatnonzero(answer.labels == label).tolist()

    scrubber(
        question(place.run, "embeddings", way=way), place.phase, key="film-points", going=place.going,
        brushed=partial(_pictures, test=test), standing=standing,
    )  # fmt: skip
    st.caption(
        "A point is a test input, in the colour of its true class; outlined: named wrongly by that network. The planes "
        "are turned and mirrored to lie on the teacher's. Draw a line around some points: they stand out in every "
        "panel and at every epoch, and their pictures stand below, with wrong answers in bold. A double click lets "
        "them go; a single point can be clicked, and is then the test input that other panels show."
    )


def _rows_of(answer: Embedding, test: int | None) -> list[int]:
    """The row of the test input of that number, none where it is not among those laid out."""
    return [] if test is None else numpy.flatnonzero(numpy.asarray(answer.numbers) == test).tolist()


def _pictures(answer: Answer, rows: tuple[int, ...], *, test: int | None) -> None:
    """The pictures of the chosen points and what each network says of them at that epoch."""
    assert isinstance(answer, Embedding)
    chosen = [row for row in rows if row < len(answer.labels)]
    _take(answer, chosen)
    if not chosen and test is not None:
        chosen = _rows_of(answer, test)
        if not chosen:
            st.caption(f"Test input #{test} is chosen; it is not among the {len(answer.labels):,} that are drawn here.")
    if not chosen:
        return
    cards = []
    for row in chosen[:SHOWN]:
        truth = answer.class_names[answer.labels[row]]
        said = {NAMES[part]: answer.class_names[found[row]] for part, found in answer.said.items()}
        words = html.escape(f"Test input {answer.numbers[row]}, class {truth}")
        picture = (
            f'<img alt="{words}" src="{address_of(answer.pictures[row])}">'
            if answer.pictures[row].size else '<div class="none">a point</div>'
        )  # fmt: skip
        told = "<br>".join(
            f"{html.escape(name)}: " + (html.escape(label) if label == truth else f"<b>{html.escape(label)}</b>")
            for name, label in said.items()
        )
        cards.append(
            f'<figure role="listitem">{picture}<figcaption><b>{html.escape(truth)}</b> · #{answer.numbers[row]}'
            f"<br>{told}</figcaption></figure>"
        )
    st.html(f'<div class="kdlab-hardest" role="list">{"".join(cards)}</div>')
    if len(chosen) > SHOWN:
        st.caption(f"The first {SHOWN} of {len(chosen):,} chosen.")
    _one_of(answer, chosen[:SHOWN])


def _take(answer: Embedding, chosen: Sequence[int]) -> None:
    """A single point that was just chosen is the test input of all panels."""
    if list(chosen) == state.kept("gap.points", []):
        return
    state.keep("gap.points", list(chosen))
    if len(chosen) == 1:
        state.select("test", int(answer.numbers[chosen[0]]))


def _one_of(answer: Embedding, chosen: Sequence[int]) -> None:
    """Which of several chosen points is the test input of all panels."""
    numbers = [int(answer.numbers[row]) for row in chosen]
    if len(numbers) == 1:
        st.caption(f"Test input #{numbers[0]} is chosen for all panels: Dark knowledge shows its soft labels.")
        return
    now = state.selected("test")
    key = state.choice_key("test", f"points.{'.'.join(map(str, numbers))}")
    st.pills(
        "Choose one for all panels (Dark knowledge shows its soft labels)", numbers, format_func="#{}".format, key=key,
        default=int(now) if now.isdigit() and int(now) in numbers else None,
        on_change=state.take, args=("test", key, _said),
    )  # fmt: skip


def _said(number: int | None) -> str:
    return "" if number is None else str(number)


SECTION = Section("Embeddings", order=50, draw=draw)
