"""Pictures: those on which student and teacher disagree, with each one's probabilities and every network's reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import streamlit as st

from app import state
from app.charts import gallery as album
from app.gallery import gallery
from app.page import Page
from app.views import chosen
from app.views.inside import phase_choice, points, run_choice, training
from app.views.moment import answered, as_csv
from app.views.nearness import draw_strip
from app.views.own_picture import DRAW, UPLOAD, chosen_own, fit_choice, own_picture
from app.views.reasons import Why, reasons
from app.views.scrubber import question, scrubber
from kdcore.answers.gallery import Gallery
from kdcore.history import History, PhaseTrace
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
OF_TEACHER, OF_STUDENT, OF_TRUTH = -1, -2, -3
EXPLAIN = {OF_TEACHER: "what the teacher says", OF_STUDENT: "what the student says", OF_TRUTH: "the truth"}
WHOSE = {OF_STUDENT: "student", OF_TRUTH: "truth"}
"""Class to explain -> how the address says it; a class of its own is the "class" of all panels."""
ONE, DRAWN, UPLOADED, ALL = "Picture by picture", "Draw one", "Upload one", "Over many pictures"
WAYS = {DRAWN: DRAW, UPLOADED: UPLOAD}
NEWEST = ""


def show() -> None:
    run = run_choice(page="pictures")
    if run is None:
        _empty()
        return
    going = run.state() in ("waiting", "running")
    history = state.history_of(run)
    number = phase_choice(history)
    if number is None:
        training(run, history, going=going)
        return
    if points(history):
        _on_the_plane(run, lambda: state.history_of(run).phases[number], going)
        return
    places = st.columns([3.2, 1.1, 1.3], vertical_alignment="bottom")
    with places[0]:
        section = chosen.linked(
            st.segmented_control, "What to look at", [ONE, DRAWN, UPLOADED, ALL], key="pictures", what="section",
            default=ONE, required=True, label_visibility="collapsed",
        )  # fmt: skip
    if section == ALL:
        _over_many(run, lambda: state.history_of(run).phases[number], going)
    else:
        _one_by_one(run, history, history.phases[number], places[1:], way=WAYS.get(section, ""))
        if going:
            st.fragment(_newer, run_every=2.0)(run, number, history.phases[number].snapshots[-1].name)


def _one_by_one(run: Run, history: History, phase: PhaseTrace, places: Any, *, way: str) -> None:
    """One picture with all that there is to see of it. `way` is how one's own comes, "" for those of the data set."""
    moment = _moment(phase, into=places[0])
    explained = _explained(history, way, into=places[1])
    head = st.container()
    left, right = st.columns([0.36, 0.64], gap="medium")
    with left:
        opened = _own(run, history, moment, way) if way else _of_the_data(run, history, moment, head=head)
    if opened is None:
        return
    found, picture, name = opened
    with right:
        table = reasons(Why(run, moment, picture, explained, name), history, phase)
    with left.container(horizontal=True):
        _download("CSV of these answers", lambda: album.rows(found), f"kdlab-pictures-{run.id}.csv", key="csv.pictures")
        if table is not None:
            _download("CSV of these maps", *table, key="csv.reasons")


Opened = tuple[Gallery, dict[str, Any], str]
"""What the networks say, by which settings probes find the chosen picture, and its name in files."""


def _of_the_data(run: Run, history: History, moment: str, *, head: Any) -> Opened | None:
    """Pictures of the data set, those asked for, to choose from. How near the networks are stands in `head`."""
    which = chosen.linked(st.selectbox, "Which pictures", list(WHICH), key="which", what="choice of pictures")
    places = st.columns([1.3, 1.0], vertical_alignment="bottom")
    with places[0]:
        order = chosen.linked(st.selectbox, "First comes", list(ORDER), key="order", what="order")
    with places[1]:
        split = chosen.linked(
            st.selectbox, "From", ["validation", "test"], key="from", what="split",
            help="Pictures from which no network has learned. On test pictures nothing was ever selected.",
        )  # fmt: skip
    found = answered(run, moment, "disagreements", split=split, which=WHICH[which], order=ORDER[order])
    if not isinstance(found, Gallery):
        return None
    with head:
        draw_strip(found.nearness, found.nearness_of)
    st.markdown(f"**{found.title}.** {found.says}")
    if not found.places:
        st.info("Choose others under Which pictures; All pictures is never empty.", icon=":material/photo_library:")
        return None
    kind = "picture" if split == "validation" else "test"
    count = int(history.started.data.get(split) or 1) if history.started else 1
    named = chosen.number(kind, f"{split} pictures", count)
    chosen.complaint(kind)
    picked = gallery(
        album.packed(found), chosen=named if named in found.places else found.places[0], key=f"gallery-{run.id}"
    )
    if picked is not None:
        state.select(kind, picked)
        named = picked
    place = named if named in found.places else found.places[0]
    return found, {"split": split, "picture": place}, str(place)


def _own(run: Run, history: History, moment: str, way: str) -> Opened | None:
    """A picture of one's own with what the networks see and say of it."""
    drawing, beside = st.columns(2) if way == DRAW else (st.container(), st.container())
    with drawing:
        named = own_picture(run, history, way=way)
    if not named:
        beside.markdown(
            "Draw something: what the networks make of it stands here when you lift the pen."
            if way == DRAW
            else "Choose a picture: what the networks make of it stands here then."
        )
        return None
    with beside:
        fit_choice(run, history)
        named = chosen_own()
        found = answered(run, moment, "disagreements", own=named)
        if not isinstance(found, Gallery):
            return None
        st.markdown(found.says)
    gallery(album.packed(found), chosen=-1, key=f"own-gallery-{run.id}")
    return found, {"own": named}, named


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


def _on_the_plane(run: Run, phase: Callable[[], PhaseTrace], going: bool) -> None:
    """Of points, all that there are: the whole plane, and where on it the networks disagree."""
    scrubber(question(run, "boundaries"), phase, key="film-disagree", going=going)
    st.caption(
        "This run learned from points in a plane, so every input there is can be seen at once: colours are what each "
        "network says, shaded where it says something else than the teacher. Lines are where its neurons switch; more "
        "of them stands under Look inside, Activation boundaries. The student alone is drawn as it was at the end of "
        "its training."
    )


def _moment(phase: PhaseTrace, *, into: Any) -> str:
    """The name of the snapshot to look at: the newest, or the one at the epoch that all panels look at."""
    words = {NEWEST: "newest epoch"} | {
        snapshot.name: f"epoch {snapshot.epoch:g} of {phase.epochs}" for snapshot in reversed(phase.snapshots)
    }
    epochs = {snapshot.name: snapshot.epoch for snapshot in phase.snapshots}
    wanted = chosen.epoch(phase)
    name = NEWEST if wanted is None else chosen.nearest(phase.snapshots, wanted).name
    key = state.choice_key("epoch", f"pictures.{phase.number}.{len(words)}")
    picked = into.selectbox(
        "Moment", list(words), index=list(words).index(name), format_func=words.__getitem__, key=key,
        on_change=state.take, args=("epoch", key, lambda one: chosen.said_of_epoch(epochs.get(one))),
        label_visibility="collapsed", help="When in the training.",
    )  # fmt: skip
    chosen.complaint("epoch")
    return phase.snapshots[-1].name if picked == NEWEST else str(picked)


def _explained(history: History, way: str, *, into: Any) -> int:
    """Which class is explained: a number, or as the attribution probe names what one of the networks says."""
    names = [str(name) for name in (history.started.data.get("class_names") or [])] if history.started else []
    whose = {number: words for number, words in EXPLAIN.items() if not (way and number == OF_TRUTH)}
    words = whose | {number: f"class {name}" for number, name in enumerate(names)}
    number = chosen.number("class", "classes", len(names))
    if number is None:
        asked = state.selected("explain")
        said = chosen.one_of(asked, "explain", "one to explain", WHOSE.values(), "", lambda _: EXPLAIN[OF_TEACHER])
        number = next((one for one, word in WHOSE.items() if word == said and one in whose), OF_TEACHER)
    key = state.choice_key("class", f"explain.{way}.{len(names)}")
    picked = into.selectbox(
        "Class to explain", list(words), index=list(words).index(number), key=key, on_change=_take_explained,
        format_func=lambda one: f"explain {words[one]}", args=(key,), label_visibility="collapsed",
        help="The same class is explained for all networks, whatever each of them says.",
    )  # fmt: skip
    chosen.complaint("class")
    chosen.complaint("explain")
    return int(picked)


def _take_explained(key: str) -> None:
    state.take("class", key, lambda number: str(number) if number >= 0 else "")
    state.take("explain", key, lambda number: WHOSE.get(number, ""))


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
        words, data=lambda: as_csv(lines()), file_name=name, mime="text/csv", on_click="ignore", key=key,
        icon=":material/download:", type="tertiary",
    )  # fmt: skip


PAGE = Page("pictures", "Pictures", ":material/photo_library:", 25, show, "pictures")
