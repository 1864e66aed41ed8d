"""The gap: how far student and student alone are from the teacher, in answers, confidence, classes and features."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from app import state
from app.charts import dark_knowledge, embedding
from app.charts.panels import NAMES
from app.charts.pixels import address_of
from app.page import Page
from app.theme import CONFIG
from app.views.inside import nothing_here, phase_choice, run_choice, training
from app.views.moment import answered, csv_button, epoch_choice
from app.views.scrubber import question, scrubber
from kdcore.answer import DarkKnowledge, Embedding
from kdcore.history import History, PhaseTrace
from kdcore.run import Run

SHOWN = 24
"""Pictures of chosen points."""
BRUSH = {**CONFIG, "modeBarButtonsToRemove": ["autoScale2d"]}


def show() -> None:
    run = run_choice(page="gap")
    if run is None:
        nothing_here()
        return
    going = run.state() in ("waiting", "running")
    history = state.history_of(run)
    number = phase_choice(history)
    if number is None:
        training(run, history, going=going)
        return
    places = st.columns([3.4, 1.7, 1.1], vertical_alignment="bottom")
    section = places[0].segmented_control(
        "What to compare", list(_SHOW), default=FIDELITY, key="show", required=True, label_visibility="collapsed",
        bind="query-params",
    ) or FIDELITY  # fmt: skip
    _SHOW[section](run, history, lambda: state.history_of(run).phases[number], going, places[1:])


Phase = Callable[[], PhaseTrace]


def _fidelity(run: Run, history: History, phase: Phase, going: bool, places: Sequence[Any]) -> None:
    scrubber(question(run, "fidelity"), phase, key="film-fidelity", going=going)
    st.caption(
        "Where the teacher is right, agreement can come from both having learned the truth. Where it is wrong, it "
        "cannot: what the student repeats there more often than the student alone was taken over from the teacher. KL "
        "is the distance between the probabilities, in nats, without temperature. The student alone is shown as it was "
        "at the end of its training."
    )


def _calibration(run: Run, history: History, phase: Phase, going: bool, places: Sequence[Any]) -> None:
    bins = places[1].selectbox(
        "Bins", (15, 10, 20, 5), format_func="{} bins".format, key="gap.bins", label_visibility="collapsed"
    )
    scrubber(question(run, "calibration", bins=int(bins)), phase, key="film-calibration", going=going)
    st.caption(
        "Bars above the dashed line: more often right than sure; below: surer than right. The thin line is the same "
        "network with its logits divided by one temperature, fitted on the validation pictures and tried on the test "
        "pictures: T above 1 means that it was too sure, below 1 not sure enough. What it says stays the same."
    )


def _classes(run: Run, history: History, phase: Phase, going: bool, places: Sequence[Any]) -> None:
    scrubber(question(run, "confusion"), phase, key="film-classes", going=going)
    st.caption(
        "Left: the arm runs from the student alone to the student. Right: of the test pictures of a class (row), how "
        "many more (orange) or fewer (blue) the student takes for the class of the column, in percentage points. A "
        "gain is orange on the diagonal and blue beside it."
    )


def _dark(run: Run, history: History, phase: Phase, going: bool, places: Sequence[Any]) -> None:
    now = phase()
    snapshot = epoch_choice(run, now, into=places[0])
    count = int(history.started.data.get("test") or 1) if history.started else 1
    picture = places[1].number_input(
        "Test picture", 0, max(0, count - 1), 0, key=f"gap.picture.{count}", help="Its soft labels stand below."
    )
    answer = answered(run, snapshot, "dark_knowledge", picture=int(picture))
    if not isinstance(answer, DarkKnowledge):
        return
    st.markdown(f"**{answer.title}**  \n{answer.says}")
    figure = dark_knowledge.draw(answer, dark=state.dark())
    st.plotly_chart(figure, key="gap.dark", theme=None, config=CONFIG)
    st.caption(
        "Each row is the mean answer to one class's test pictures. The diagonal would outshine the rest and is left "
        "out; colours reach from the least to the greatest likeness at that temperature, the same for all networks. "
        "Drag the temperature: at 1 nearly nothing stands beside the right class, higher up the likenesses come out "
        "that a student can learn from."
    )
    csv_button(lambda: dark_knowledge.rows(answer), name=f"dark-knowledge-{run.id}-{snapshot}", key="gap.dark.csv")


def _embeddings(run: Run, history: History, phase: Phase, going: bool, places: Sequence[Any]) -> None:
    now = phase()
    snapshot = epoch_choice(run, now, into=places[0])
    ways = {"pca": "PCA", "tsne": "t-SNE"}
    way = places[1].selectbox(
        "Laid out by", list(ways), format_func=ways.__getitem__, key="gap.way",
        help="PCA: the plane in which the features differ most. t-SNE keeps neighbours together; distances say little.",
    )  # fmt: skip
    answer = answered(run, snapshot, "embeddings", way=way)
    if not isinstance(answer, Embedding):
        return
    key = f"gap.points.{run.id}.{snapshot}.{way}"
    st.markdown(f"**{answer.title}**  \n{answer.says}")
    chosen = _chosen(state.widget(key), len(answer.labels), len(answer.places))
    st.plotly_chart(
        embedding.draw(answer, dark=state.dark(), chosen=chosen), key=key, theme=None, config=BRUSH,
        on_select="rerun", selection_mode=("points", "box", "lasso"),
    )  # fmt: skip
    _pictures(answer, chosen)
    st.caption(
        "A point is a test input, in the colour of its true class; outlined: named wrongly by that network. The "
        "students' planes are turned and mirrored to lie on the teacher's. Drag over some points: they are ringed in "
        "every panel, and their pictures stand above, with wrong answers in bold. A double click lets them go; with "
        "the pan tool in the corner, single points can be clicked."
    )
    csv_button(lambda: embedding.rows(answer), name=f"embeddings-{run.id}-{snapshot}", key="gap.points.csv")


def _chosen(event: Any, count: int, panels: int) -> list[int]:
    """The rows that the selected points of any panel are."""
    found = event.get("selection", {}).get("points", []) if event else []
    rows = {
        int(point["point_index"]) for point in found
        if int(point.get("curve_number", 0)) < panels and 0 <= int(point.get("point_index", -1)) < count
    }  # fmt: skip
    return sorted(rows)


def _pictures(answer: Embedding, chosen: list[int]) -> None:
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


FIDELITY, CALIBRATION, CLASSES, DARK, EMBEDDINGS = (
    "Fidelity", "Calibration", "Classes", "Dark knowledge", "Embeddings",
)  # fmt: skip
_SHOW = {FIDELITY: _fidelity, CALIBRATION: _calibration, CLASSES: _classes, DARK: _dark, EMBEDDINGS: _embeddings}
"""Section -> what draws it; the address names it (show=Dark+knowledge)."""

PAGE = Page("gap", "The gap", ":material/compare_arrows:", 22, show, "gap")
