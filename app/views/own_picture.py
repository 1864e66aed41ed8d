"""Draw or upload a picture of one's own, which is kept with the run and then shown to its networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import streamlit as st

from app import state
from app.canvas import canvas
from app.canvas.component import SIDE
from app.charts.pixels import address_of
from app.views.moment import answered
from kdcore.failure import sentence
from kdcore.history import History
from kdcore.own_pictures import BYTES, FITS, OwnPicture, OwnPictureError, drawn, find, keep, uploaded
from kdcore.run import Run

DRAW, UPLOAD = "Draw", "Upload"
ORIGIN = {DRAW: "drawn", UPLOAD: "uploaded"}


def own_choice(run: Run, history: History, moment: str, *, into: Any) -> str:
    """A button that opens the canvas and the upload; the name of the picture of one's own to show, "" for none.

    While there is one, it says there what the networks make of it at `moment`, a snapshot's name, and a second button
    goes back to the pictures of the data set.
    """
    before = _kept(run)
    with into.popover(
        "Your own" if before is None else "Yours", icon=":material/draw:",
        help="Draw or upload a picture, to be looked at instead of one of the data set.",
    ):  # fmt: skip
        way = st.segmented_control(
            "How", [DRAW, UPLOAD], default=UPLOAD if before is not None and before.origin == "uploaded" else DRAW,
            key="own.way", required=True, label_visibility="collapsed",
        )  # fmt: skip
        own_picture(run, history, way=way or DRAW)
        fit_choice(run, history)
        if _kept(run) is not None:
            found = answered(run, moment, "disagreements", own=chosen_own())
            if found is not None:
                st.caption(found.says)
            if st.button("Back to the data set", icon=":material/undo:", key="own.back"):
                _choose("", None)
                st.rerun()
    return chosen_own() if _kept(run) is not None else ""


def own_picture(run: Run, history: History, *, way: str) -> str:
    """Draws the canvas or the upload; the name of the picture that came this way last, "" while none did."""
    before = _kept(run)
    if before is None and chosen_own():
        st.info(
            "The picture that this link names is not kept with this run (any more); draw or upload it once more.",
            icon=":material/info:",
        )
    if way == DRAW:
        _canvas(run, before, colour=_colour(history))
    else:
        _upload(run, before)
    picture = _kept(run)
    if picture is None or picture.origin != ORIGIN[way]:
        return ""
    return chosen_own()


def fit_choice(run: Run, history: History) -> None:
    """How the chosen picture is brought to what the data looks like, where that is a question: in grey."""
    picture = _kept(run)
    if picture is None or _colour(history):
        return
    fits = list(FITS)
    fit = st.selectbox(
        "Brought to the data's shape", fits, index=fits.index(picture.fit), format_func=FITS.__getitem__,
        key=f"own.fit.{picture.fit}",
        help="A network knows only pictures like those that it has learned from. Like the data: dark and light, size "
        "and place as its pictures have them, where they show one thing on a plain ground.",
    )  # fmt: skip
    if fit != picture.fit:
        _keep(run, lambda: replace(picture, fit=fit))
        st.rerun()


def _colour(history: History) -> bool:
    return bool(history.started and history.started.data.get("shape", [1])[:1] == [3])


def chosen_own() -> str:
    """The name of the picture of one's own that the address names, or that this tab chose last; "" for none."""
    return state.from_address("own") or str(state.kept("own", ""))


def _canvas(run: Run, before: OwnPicture | None, *, colour: bool) -> None:
    start = address_of(before.pixels) if before is not None and before.origin == "drawn" else ""
    values = canvas(colour=colour, start=start, key=f"canvas-{run.id}")
    if values == b"":
        _choose("", None)
    elif values is not None:
        _keep(run, lambda: drawn(SIDE, values, fit=before.fit if before else "like the data"))


def _upload(run: Run, before: OwnPicture | None) -> None:
    file = st.file_uploader(
        "A picture: PNG or JPEG", type=["png", "jpg", "jpeg"], key="own.file", max_upload_size=BYTES // 1_000_000,
        help="Of any size in pixels. It stays on this server, beside the run, and is deleted with it.",
    )  # fmt: skip
    read, failed = state.kept("own.read", ("", ""))
    if file is None:
        if read:
            state.keep("own.read", ("", ""))
            _choose("", None)
        return
    if file.file_id == read:
        if failed:
            st.error(failed, icon=":material/broken_image:")
        return
    failed = _keep(run, lambda: uploaded(file.getvalue(), fit=before.fit if before else "like the data"))
    state.keep("own.read", (file.file_id, failed))


def _keep(run: Run, make: Callable[[], OwnPicture]) -> str:
    """Keeps and chooses what is made; where that cannot be, the reason stands here, and is given back."""
    try:
        picture = make()
        _choose(keep(run, picture), picture)
        return ""
    except OwnPictureError as error:
        said = str(error)
    except OSError as error:
        said = f"The picture cannot be kept: {sentence(error)}"
    _choose("", None)
    st.error(said, icon=":material/broken_image:")
    return said


def _kept(run: Run) -> OwnPicture | None:
    """The chosen picture; one that this tab chose at another run is kept with this one too."""
    name = chosen_own()
    if not name:
        return None
    try:
        return find(run, name)
    except OwnPictureError:
        before, picture = state.kept("own.picture", ("", None))
        if before != name or picture is None:
            return None
    try:
        keep(run, picture)
    except OSError:
        return None
    return picture


def _choose(name: str, picture: OwnPicture | None) -> None:
    state.keep("own", name)
    state.keep("own.picture", (name, picture))
    state.to_address("own", name)
