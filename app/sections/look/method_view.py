"""What the methods of a run really compare, of teacher, student and student alone."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import state
from app.section import Place, Section
from app.views.chosen import complaint
from app.views.inside import points, taught
from app.views.moment import answered
from app.views.picture_gallery import gallery_choice
from app.views.scrubber import question, scrubber
from kdcore.answer import Answer
from kdcore.answers.method_view import MethodView
from kdcore.history import PhaseTrace


def draw(place: Place) -> None:
    snapshots = place.phase().snapshots
    found = answered(place.run, snapshots[-1].name, "method_view") if snapshots else None
    if not isinstance(found, MethodView):
        return
    choice, part, number = place.columns
    others = elsewhere(place)
    method = _method(found, others, into=choice)
    if method != found.method:
        found = answered(place.run, snapshots[-1].name, "method_view", method=method)
        if not isinstance(found, MethodView):
            return
    chosen = -1
    if len(found.parts) > 1:
        every = "all of them" if len(found.parts) <= len(found.drawn) else f"{len(found.drawn)} of {len(found.parts)}"
        names = {-1: every, **dict(enumerate(found.parts))}
        chosen = part.selectbox(
            "What it compares", list(names), format_func=names.__getitem__,
            key=f"look.compared.{method}.{len(found.parts)}",
        )  # fmt: skip
    picture = 0
    if not points(place.history):
        drawn = [about for about in found.drawn if chosen in (-1, about["part"])]
        together = all(about["kind"] == "images" and "chosen" not in about["name"] for about in drawn)
        many = "Many pictures are compared with one another here, not one." if drawn and together else ""
        picture = gallery_choice(place, into=number, without=many)
    asked = question(place.run, "method_view", method=method, part=chosen, picture=picture)
    scrubber(asked, place.phase, key="film-compared", going=place.going, also=_said_of_input)
    st.caption(
        "This is drawn with the method's own formula, on inputs that no network has learned from. The method pulls the "
        "student's picture towards the teacher's; the fainter the difference, the nearer they are. How far away it is "
        "is the length of the difference in lengths of the teacher's. The student alone is shown as it was at the end "
        "of its training." + "".join(f" {said}" for said in _said_of_others(others))
    )


def elsewhere(place: Place) -> dict[str, PhaseTrace]:
    """Methods that teach in another phase alone, by their names there -> that phase."""
    here = set(_methods_of(place.phase()))
    number = place.phase().number
    return {
        name: phase for phase in taught(place.history) if phase.number != number for name in _methods_of(phase)
        if name not in here
    }  # fmt: skip


def _methods_of(phase: PhaseTrace) -> list[str]:
    return [part["name"] for lesson in phase.lessons for part in lesson.get("parts", []) if "name" in part]


def _said_of_others(others: dict[str, PhaseTrace]) -> list[str]:
    """Where the methods are that this phase does not have."""
    titles = dict.fromkeys(phase.title for phase in others.values())
    return [f"Under Phase, choose “{title}” to see what is compared there." for title in titles]


def _method(found: MethodView, others: dict[str, PhaseTrace], *, into: Any) -> str:
    """Which of the run's methods: "method" in the address."""
    names = list(found.methods)
    chosen = state.selected("method")
    if chosen and chosen not in names:
        where = (
            f"it is compared in another phase; choose “{others[chosen].title}” under Phase"
            if chosen in others
            else f"this run can show {', '.join(names)}; the first of them is shown"
        )
        state.refuse("method", f"method={chosen}: {where}.")
        chosen = ""
    key = state.choice_key("method", ".".join(names))
    into.selectbox(
        "Method", names, index=names.index(chosen or names[0]), format_func=found.methods.__getitem__, key=key,
        on_change=state.take, args=("method", key),
        help="\n\n".join(f"{title}: {why}" for title, why in found.without.items()) or None,
    )  # fmt: skip
    complaint("method")
    return chosen or names[0]


def _said_of_input(answer: Answer) -> str:
    assert isinstance(answer, MethodView)
    if all(about["kind"] == "images" for about in answer.drawn):
        return f"Rows and columns are {len(answer.labels)} validation {answer.inputs}, ordered by class."
    return f"Drawn for {answer.picture_says}."


SECTION = Section("What the method compares", order=24, draw=draw)
