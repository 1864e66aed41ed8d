"""The same inputs as each network lays them out; chosen points show their pictures."""

from __future__ import annotations

import html

import numpy
import streamlit as st

from app.charts.panels import NAMES
from app.charts.pixels import address_of
from app.section import Place, Section
from app.views.inside import class_choice
from app.views.scrubber import question, scrubber
from kdcore.answer import Answer
from kdcore.answers.embedding import Embedding

SHOWN = 24
"""Pictures of chosen points."""


def draw(place: Place) -> None:
    ways = {"pca": "PCA", "tsne": "t-SNE"}
    way = place.columns[0].selectbox(
        "Laid out by", list(ways), format_func=ways.__getitem__, key="gap.way",
        help="PCA: the plane in which the features differ most. t-SNE keeps neighbours together; distances say little.",
    )  # fmt: skip
    label = class_choice(place.history, into=place.columns[1])

    def of_class(answer: Answer) -> list[int]:
        assert isinstance(answer, Embedding)
        return [] if label is None else numpy.flatnonzero(answer.labels == label).tolist()

    scrubber(
        question(place.run, "embeddings", way=way), place.phase, key="film-points", going=place.going,
        brushed=_pictures, standing=of_class,
    )  # fmt: skip
    st.caption(
        "A point is a test input, in the colour of its true class; outlined: named wrongly by that network. The planes "
        "are turned and mirrored to lie on the teacher's. Draw a line around some points: they stand out in every "
        "panel and at every epoch, and their pictures stand below, with wrong answers in bold. A double click lets "
        "them go; single points can be clicked."
    )


def _pictures(answer: Answer, rows: tuple[int, ...]) -> None:
    """The pictures of the chosen points and what each network says of them at that epoch."""
    assert isinstance(answer, Embedding)
    chosen = [row for row in rows if row < len(answer.labels)]
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


SECTION = Section("Embeddings", order=50, draw=draw)
