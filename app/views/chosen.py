"""What is chosen on any panel, checked against the run: a link may ask for what is not there."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, TypeVar

import streamlit as st

from app import state
from app.views.knobs import plain
from kdcore.events import Snapshot
from kdcore.history import PhaseTrace

Name = TypeVar("Name", str, int)
AUTOMATIC = -1
"""A layer that is left to what the run matched; "a" in the address."""


def number(name: str, what: str, count: int) -> int | None:
    """What is chosen of `count`, counted from 0; None for nothing. What is not there is dropped, with a sentence."""
    text = state.selected(name)
    if not text:
        return None
    if re.fullmatch(r"[0-9]{1,7}", text) and int(text) < count:
        return int(text)
    state.refuse(name, f"{name}={text}: {what} go from 0 to {count - 1:,} here, so this choice was left out.")
    return None


def one_of(
    text: str, name: str, what: str, known: Collection[str], usual: str, called: Callable[[str], str] = str
) -> str:
    """What the address says under this name, `usual` where that is nothing or is not there, which is then said."""
    if text in known:
        return text
    if text:
        state.refuse(name, not_there(what, text, called(usual)))
    return usual


def not_there(what: str, text: str, instead: str) -> str:
    """The sentence for a link that names something which does not exist."""
    return f"There is no {what} called “{text[:40]}”. Showing {instead} instead."


def linked(
    control: Callable[..., Any], label: str, names: Sequence[Name], *, key: str, what: str, usual: Name | None = None,
    **more: Any,
) -> Name:  # fmt: skip
    """A control bound to the address under its key, with the complaint where a link names what it does not have.

    `usual` is what it shows at first, the first name where it is not given; `more` goes to the control. The address
    says a name as it is shown (`format_func`).
    """
    called = more.get("format_func", str)
    usual = names[0] if usual is None else usual
    if state.widget(key) is None:  # later the address is the control's own
        asked = state.from_address(key)
        state.forgive(key)
        if asked and asked not in map(called, names):
            state.complain(key, not_there(what, asked, called(usual)))
    picked: Name = control(label, list(names), key=key, bind="query-params", **more) or usual
    if picked != usual:
        state.forgive(key)
    complaint(key)
    return picked


def option(
    control: Callable[..., Any], label: str, names: Sequence[Name], *, key: str, what: str, usual: Name | None = None,
    **more: Any,
) -> Name:  # fmt: skip
    """As `linked`, for a control of a section: while the section is drawn by itself, Streamlit does not write what is
    bound to it into the address. What is chosen holds over sections and pages, as what `state.selected` gives does.
    """
    called = more.get("format_func", str)
    known = {called(name): name for name in names}
    usual_one = called(names[0] if usual is None else usual)
    picked = known[one_of(state.selected(key), key, what, known, usual_one)]
    widget = state.choice_key(key)
    at = {"default": picked} if "required" in more else {"index": list(names).index(picked)}
    control(
        label, list(names), key=widget, on_change=state.take, args=(key, widget, partial(_told, called, usual_one)),
        **at, **more,
    )  # fmt: skip
    complaint(key)
    return picked


def _told(called: Callable[[Any], str], usual: str, name: Any) -> str:
    """The choice as the address says it: nothing for the one that is understood without."""
    text = "" if name is None else called(name)
    return "" if text == usual else text


def layers(student: int, teacher: int) -> tuple[int, int]:
    """(student layer, teacher layer) counted from 0, or AUTOMATIC, of so many layers; "1-2" in the address."""
    text = state.selected("layers")
    if not text:
        return AUTOMATIC, AUTOMATIC
    found = re.fullmatch(r"(a|[0-9]{1,4})-(a|[0-9]{1,4})", text)
    if found:
        pair = tuple(AUTOMATIC if part == "a" else int(part) for part in found.groups())
        if pair[0] < student and pair[1] < teacher:
            return pair[0], pair[1]
    state.refuse(
        "layers",
        f"layers={text}: a student layer from 0 to {student - 1} and a teacher layer from 0 to {teacher - 1} are "
        'written as "1-2", "a" for either leaves it to the run; this choice was left out.',
    )
    return AUTOMATIC, AUTOMATIC


def choose_layers(pair: tuple[int, int] | None) -> None:
    """Makes this pair the choice of all panels; None leaves both layers to the run."""
    state.select("layers", said_of_layers(*(pair or (AUTOMATIC, AUTOMATIC))))


def said_of_layers(student: int, teacher: int) -> str:
    """The pair as the address says it, "" where both are left to the run."""
    if student == teacher == AUTOMATIC:
        return ""
    return "-".join("a" if layer == AUTOMATIC else str(layer) for layer in (student, teacher))


def epoch(phase: PhaseTrace) -> float | None:
    """The epoch chosen; None for the newest, whichever that is."""
    text = state.selected("epoch")
    if not text:
        return None
    if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,4})?", text) and float(text) <= phase.epochs:
        return float(text)
    state.refuse("epoch", f"epoch={text}: this phase has epochs 0 to {phase.epochs}; the newest is shown.")
    return None


def choose_epoch(wanted: float | None) -> None:
    """Makes this epoch the choice of all panels; None for the newest, whichever that is."""
    state.select("epoch", said_of_epoch(wanted))


def said_of_epoch(wanted: float | None) -> str:
    """The epoch as the address says it."""
    return "" if wanted is None else f"{wanted:.4f}".rstrip("0").rstrip(".")


def nearest(snapshots: Sequence[Snapshot], wanted: float | None) -> Snapshot:
    """The snapshot nearest to that epoch, the newest for None."""
    return snapshots[-1] if wanted is None else min(snapshots, key=lambda one: abs(one.epoch - wanted))


def complaint(name: str) -> None:
    """Why what a link asked for is not shown, where that is so; until something else is chosen."""
    if state.refused(name):
        st.info(plain(state.refused(name)), icon=":material/link_off:")
