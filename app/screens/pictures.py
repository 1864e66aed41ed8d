"""Pictures: those on which student and teacher disagree, with each one's probabilities and every network's reasons."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any

import streamlit as st

from app import state, theme
from app.charts import attribution as reasons
from app.charts import gallery as album
from app.gallery import gallery
from app.page import Page
from app.views.inside import phase_choice, points, run_choice, training
from app.views.scrubber import question, scrubber
from kdcore.answer import Attribution, Gallery
from kdcore.history import History, PhaseTrace
from kdcore.launch import AskError
from kdcore.run import Run

WHICH = {
    "They disagree": "disagreements",
    "Only the teacher is right": "teacher right",
    "Only the student is right": "student right",
    "Both wrong, differently": "both wrong",
    "All pictures": "everything",
}
ORDER = {
    "Furthest apart (KL)": "divergence",
    "Student surest": "student surest",
    "Teacher surest": "teacher surest",
    "Student least sure": "student least sure",
}
EXPLAIN = {"what the teacher says": -1, "what the student says": -2, "the truth": -3}
ONE, ALL = "Picture by picture", "Over many pictures"


def show() -> None:
    run = run_choice(page="pictures")
    if run is None:
        _empty()
        return
    going = run.state() in ("waiting", "running")
    history = state.history_of(run)
    if points(history):
        st.info(
            "This run learned from points in a plane, not from pictures. Where its networks disagree stands under Look "
            "inside, Activation boundaries.",
            icon=":material/info:",
        )
        return
    number = phase_choice(history)
    if number is None:
        training(run, history, going=going)
        return
    places = st.columns([2.1, 1.35, 1.3, 0.95, 1.05, 1.35], vertical_alignment="bottom")
    section = places[0].segmented_control(
        "What to look at", [ONE, ALL], default=ONE, key="pictures", required=True, label_visibility="collapsed",
        bind="query-params",
    )  # fmt: skip
    if section == ALL:
        _over_many(run, lambda: state.history_of(run).phases[number], going)
    else:
        _one_by_one(run, history, history.phases[number], places[1:])
        if going:
            st.fragment(_newer, run_every=2.0)(run, number, history.phases[number].snapshots[-1].name)


def _one_by_one(run: Run, history: History, phase: PhaseTrace, places: Any) -> None:
    which = places[0].selectbox("Which pictures", list(WHICH), key="which", bind="query-params")
    order = places[1].selectbox("First comes", list(ORDER), key="order", bind="query-params")
    split = places[2].selectbox(
        "From", ["validation", "test"], key="from", bind="query-params",
        help="Pictures from which no network has learned. On test pictures nothing was ever selected.",
    )  # fmt: skip
    moment = _moment(phase, into=places[3])
    names = [str(name) for name in (history.started.data.get("class_names") or [])] if history.started else []
    words = {**EXPLAIN, **{f"class {name}": number for number, name in enumerate(names)}}
    explained = places[4].selectbox(
        "Class to explain", list(words), key="explain", bind="query-params",
        help="The same class is explained for all networks, whatever each of them says.",
    )  # fmt: skip
    try:
        found = state.desk().ask(
            run.id, "disagreements", {"split": split, "which": WHICH[which], "order": ORDER[order]}, moment
        )
    except AskError as error:
        st.info(str(error), icon=":material/info:")
        return
    assert isinstance(found, Gallery)
    st.markdown(f"**{found.title}.** {found.says}")
    if not found.places:
        st.info("Choose others under Which pictures; All pictures is never empty.", icon=":material/photo_library:")
        return
    named = state.from_address("picture")
    chosen = int(named) if named.isascii() and named.isdigit() and int(named) in found.places else found.places[0]
    left, right = st.columns([0.36, 0.64], gap="medium")
    with left:
        picked = gallery(album.packed(found), chosen=chosen, key=f"gallery-{run.id}")
        if picked is not None:
            chosen = picked
        state.to_address("picture", str(chosen))
    with right:
        answer = _reasons(run, moment, split=split, picture=chosen, explained=words[explained])
    with left.container(horizontal=True):
        _download(
            "CSV of these pictures", lambda: album.rows(found), f"kdlab-pictures-{run.id}.csv", key="csv.pictures"
        )
        if answer is not None:
            name = f"kdlab-reasons-{chosen}-{run.id}.csv"
            _download("CSV of these maps", lambda: reasons.rows(answer), name, key="csv.reasons")


def _reasons(run: Run, moment: str, *, split: str, picture: int, explained: int) -> Attribution | None:
    try:
        with st.spinner("Asking the networks for their reasons …", show_time=False):
            answer = state.desk().ask(
                run.id, "attribution", {"split": split, "picture": picture, "explained": explained}, moment
            )
    except AskError as error:
        st.info(str(error), icon=":material/info:")
        return None
    assert isinstance(answer, Attribution)
    st.markdown(f"**{answer.title}.** {answer.says}")
    figure = reasons.draw(answer, dark=state.dark())
    config = {**theme.CONFIG, "toImageButtonOptions": {"format": "svg", "filename": f"kdlab reasons {picture}"}}
    st.plotly_chart(figure, theme=None, config=config, key="reasons")
    st.caption(
        "Orange places speak for the class, blue ones against it; each map has its own strength, the pointer says "
        "logits. Integrated Gradients go from black to the picture, occlusion blackens a patch. Agreement is the "
        "cosine with the teacher's map, signs aside: 100 % is the same places. The student alone is shown as it was at "
        "the end of its training."
    )
    return answer


def _newer(run: Run, number: int, shown: str) -> None:
    """While a run goes: offers what came since, so that nothing changes under the eyes of whoever looks."""
    if state.history_of(run).phases[number].snapshots[-1].name != shown and st.button(
        "Newer snapshots are there: show them", icon=":material/update:", key="pictures.newer"
    ):
        st.rerun()


def _over_many(run: Run, phase: Callable[[], PhaseTrace], going: bool) -> None:
    scrubber(question(run, "attribution_agreement"), phase, key="film-reasons", going=going)
    st.caption(
        "For each picture the teacher's answer is explained for all networks and the maps are compared with the "
        "teacher's: the cosine of their absolute values, 100 % for the same places. The grey mark is how much the "
        "teacher's map agrees with its own map of another picture: what stands no higher means nothing. The student "
        "alone is shown as it was at the end of its training."
    )


def _moment(phase: PhaseTrace, *, into: Any) -> str:
    """The snapshot to look at: the newest, or one of those before."""
    words = {f"epoch {snapshot.epoch:g} of {phase.epochs}": snapshot.name for snapshot in reversed(phase.snapshots)}
    options = ["newest", *words]
    picked = into.selectbox("Moment", options, key=f"pictures.moment.{phase.number}", help="When in the training.")
    return words.get(picked, phase.snapshots[-1].name)


def _empty() -> None:
    """No run at all: what will stand here, and how to get it."""
    st.markdown("#### The pictures on which student and teacher disagree")
    st.markdown(
        "Here you will see the pictures that teacher and student answer differently, how sure each of them is, and "
        "which places of a picture make them say so. It needs a run."
    )
    if st.button("Begin a distillation", type="primary", icon=":material/play_arrow:", key="pictures.begin"):
        state.go("begin")


def _download(words: str, lines: Callable[[], Iterator[tuple[object, ...]]], name: str, *, key: str) -> None:
    st.download_button(
        words, data=lambda: _table(lines()), file_name=name, mime="text/csv", on_click="ignore", key=key,
        icon=":material/download:", type="tertiary",
    )  # fmt: skip


def _table(lines: Iterator[tuple[object, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return text.getvalue()


PAGE = Page("pictures", "Pictures", ":material/photo_library:", 25, show, "pictures")
