"""What lies between student alone and student in weight space, and how steep it is around each."""

from __future__ import annotations

import streamlit as st

from app import state
from app.charts import loss_plane
from app.section import Place, Section
from app.views.chosen import option
from app.views.moment import answered, csv_button, epoch_choice
from app.views.scrubber import question, scrubber
from app.views.still import still
from kdcore.answers.loss_plane import LossPlane

SHAPES = {"line": "The line from student alone to student", "plane": "A plane around each of the two"}
LOSSES = {"cross_entropy": "Cross-entropy with the labels", "kl": "KL to the teacher"}
NORMS = {
    "line": {"re-estimated": "Estimated again at each place", "interpolated": "On the same line as the weights"},
    "plane": {"kept": "Those of the centre", "re-estimated": "Estimated again at each place"},
}


def draw(place: Place) -> None:
    shape = option(
        place.columns[0].selectbox, "Walk along", list(SHAPES), key="walk", what="walk",
        format_func=SHAPES.__getitem__, help="In weight space, where a network is one point.",
    )  # fmt: skip
    loss = option(
        place.columns[1].selectbox, "Loss", list(LOSSES), key="loss", what="loss", format_func=LOSSES.__getitem__
    )
    norms = NORMS[shape]
    norm = option(
        place.columns[2].selectbox, "Batch-norm statistics", list(norms), key=f"norm_{shape}",
        what="kind of batch-norm statistics", format_func=norms.__getitem__,
        help="Means and variances that batch norms have learned fit the weights they were learned with. Moved weights "
        "can keep them, as Li et al. do, or have them estimated again from training inputs. A network without batch "
        "norm gives the same with either.",
    )  # fmt: skip
    (_line if shape == "line" else _plane)(place, loss, norm)


def _line(place: Place, loss: str, norm: str) -> None:
    asked = question(place.run, "loss_line", loss=loss, batch_norm=norm)
    scrubber(asked, place.phase, key="film-loss-line", going=place.going)
    st.caption(
        "Student and student alone begin from the same weights, unless the method gives the student others. Left and "
        "right of the dashed lines the walk goes on a quarter further. A hill between the two: the teacher led the "
        "student into another valley. Validation inputs have their true labels, training inputs those that were seen "
        "in training, wrong ones too. Diamonds: the networks with their own batch-norm statistics. Dotted: the "
        "teacher, who stands on no such line. The student alone stays as it was at the end of its training."
    )


def _plane(place: Place, loss: str, norm: str) -> None:
    snapshot = epoch_choice(place.run, place.phase(), into=st)
    answer = answered(place.run, snapshot, "loss_plane", loss=loss, batch_norm=norm)
    if not isinstance(answer, LossPlane):
        return
    st.markdown(f"**{answer.title}**  \n{answer.says}")
    about = f"{place.run.id} {snapshot} plane"
    still(
        loss_plane.draw(answer, dark=state.dark()), about=about, key="gap.landscape.plane", near=answer.nearness,
        near_of=answer.nearness_of,
    )  # fmt: skip
    st.caption(
        f"Measured on {answer.count:,} validation {answer.inputs}; {answer.statistics}. The dot is the network itself. "
        "A step of 1 moves every filter by its own length in a random direction; biases and batch norms stay put. "
        "Both networks walk along the same random numbers. Wide and dark: moved weights do little harm. How flat a "
        "place is goes often, not always, with how well the network generalises."
    )
    csv_button(lambda: loss_plane.rows(answer), name=f"loss-plane-{place.run.id}-{snapshot}", key="gap.landscape.csv")


SECTION = Section("Loss landscape", order=70, draw=draw)
