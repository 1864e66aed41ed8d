"""The pictures that a scheme shows of itself, as films over the epochs of a run."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from functools import lru_cache
from typing import Any

import streamlit as st

from app import state
from app.chart import chart_of, charts
from app.charts import film
from app.film import play
from app.views.knobs import plain
from kdcore.answer import Answer, answer_from_bytes
from kdcore.events import Shown
from kdcore.history import History
from kdcore.run import Run, RunError

MOST = 40
"""Frames of a film."""


def films_of(history: History) -> dict[str, list[Shown]]:
    """Title -> its pictures over all phases, oldest first; the newest phase's titles first."""
    found: dict[str, list[Shown]] = {}
    for phase in reversed(history.phases):
        for title in phase.shown:
            found.setdefault(title, [])
    for phase in history.phases:
        for title, pictures in phase.shown.items():
            found[title] += pictures
    return found


def films(run: Run) -> None:
    """Draws the films of a run as it is by now, nothing where its scheme has no picture of its own."""
    history = state.history_of(run)
    found = films_of(history)
    if not found:
        return
    titles = list(found)
    title = titles[0]
    st.markdown("##### What this scheme does", help="Pictures of the scheme's own, made each time a network is scored.")
    if len(titles) > 1:
        title = st.segmented_control(
            "Picture", titles, format_func=plain, default=title, required=True, label_visibility="collapsed",
            key=f"watch.shown.{run.id}",
        ) or title  # fmt: skip
    if title not in found:  # a choice that another run left behind
        title = titles[0]
    _film(run, history, title, thinned(found[title]))


def thinned(pictures: list[Shown]) -> list[Shown]:
    """At most so many: every 2nd, 4th, … so that those drawn stay as a film grows, and the newest."""
    stride = 1
    while len(pictures) > stride * (MOST - 1):
        stride *= 2
    kept = pictures[::stride]
    return kept if kept[-1] is pictures[-1] else [*kept, pictures[-1]]


def _film(run: Run, history: History, title: str, pictures: list[Shown]) -> None:
    there: list[tuple[Shown, Answer]] = []
    for picture in pictures:
        try:
            there.append((picture, _answer(run.id, run.created, picture.name)))
        except (RunError, ValueError) as error:
            st.caption(f":material/broken_image: A picture cannot be read: {plain(str(error))}.")
    there = [(picture, answer) for picture, answer in there if hasattr(charts().get(type(answer)), "draw")]
    if not there:
        st.caption("There is no chart for this picture.")
        return
    kind = type(there[-1][1])  # a title names one kind of picture; where it does not, the newest counts
    there = [(picture, answer) for picture, answer in there if type(answer) is kind]
    before = {phase.number: sum(one.epochs for one in history.phases[:place])
              for place, phase in enumerate(history.phases)}  # fmt: skip
    chart, answers = chart_of(there[-1][1]), [answer for _, answer in there]
    scales = json.dumps(chart.scales(answers) if hasattr(chart, "scales") else {}, sort_keys=True)
    several = len({picture.phase for picture, _ in there}) > 1
    made = film.film([
        (
            _figure(run.id, run.created, picture.name, scales, state.dark()),
            {
                "name": picture.name,
                "epoch": before[picture.phase] + picture.epoch,
                "label": (f"phase {picture.phase + 1} · " if several else "") + f"epoch {picture.epoch:g}",
                "says": answer.says,
            },
        )
        for picture, answer in there
    ])  # fmt: skip
    said = json.dumps([made["layout"], made.get("lens"), [[one["stamp"], one["label"]] for one in made["frames"]]])
    st.markdown(f"**{plain(title)}**")
    play(
        made, about=f"{run.id} {title}", stamp=hashlib.blake2b(said.encode(), digest_size=8).hexdigest(),
        done=len(there), total=len(there), at=(0, None), key=f"watch.film.{titled(title)}",
    )  # fmt: skip
    st.download_button(
        "CSV of all epochs", data=lambda: table(there), file_name=f"kdlab-{titled(title)}-{run.id}.csv",
        mime="text/csv", on_click="ignore", key=f"watch.film.csv.{titled(title)}", icon=":material/download:",
        type="tertiary",
    )  # fmt: skip


def titled(title: str) -> str:
    """The title as a part of a name."""
    return "".join(letter if letter.isalnum() else "-" for letter in title.lower())[:40]


def table(there: list[tuple[Shown, Answer]]) -> str:
    """All pictures of a film as one CSV, phase and epoch in the first columns."""
    text = io.StringIO()
    writer = csv.writer(text)
    for number, (picture, answer) in enumerate(there):
        lines = iter(chart_of(answer).rows(answer))
        names = next(lines)
        if number == 0:
            writer.writerow(["phase", "epoch", *names])
        writer.writerows([picture.phase + 1, f"{picture.epoch:g}", *line] for line in lines)
    return text.getvalue()


@lru_cache(maxsize=256)
def _answer(run: str, created: float, name: str) -> Answer:
    """Raises RunError or ValueError, which are not kept. `created` tells apart runs that had the same id."""
    return answer_from_bytes(state.shelf().run(run).shown(name))


@lru_cache(maxsize=256)
def _figure(run: str, created: float, name: str, scales: str, dark: bool) -> dict[str, Any]:
    answer = _answer(run, created, name)
    fixed = json.loads(scales)
    return film.packed(chart_of(answer).draw(answer, dark=dark, **({"fixed": fixed} if fixed else {})))
