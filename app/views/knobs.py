"""One control for one knob, chosen by the knob's kind and bounds; what is wrong with it stands right below."""

from __future__ import annotations

import math
from typing import Any

import streamlit as st

from app import state
from app.draft import beside, dial_of, said, steps_of
from kdcore.check import Fault
from kdcore.spec import Knob, KnobError


def knob(entry: Knob, path: str, value: Any, faults: list[Fault]) -> Any:
    """Draws the control and gives back the value: the same object as `value` as long as nobody moved it.

    A value that the knob does not take is shown as the default, with its fault below, and given back unchanged.
    """
    try:
        shown = entry.check(value)
    except KnobError:
        shown = entry.default
    moved = _draw(entry, path, shown)
    if moved != shown:
        return moved
    explain(faults, path)
    if shown != value and st.button(f"Take {said(shown)} instead", key=f"take.{path}"):
        return shown
    return value


def explain(faults: list[Fault], path: str) -> None:
    """What is wrong with the setting of this path, as an error right here."""
    for fault in beside(faults, path):
        st.error(plain(fault.text), icon=":material/error:")


def plain(text: str) -> str:
    """Text that others may have written, so that Markdown shows it as it is."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]()#+!|<>$~:" else letter for letter in text)


def label_of(entry: Knob) -> str:
    """ "Label noise", "Epochs (epochs)" without the repetition."""
    words = entry.name.replace("_", " ")
    words = words[:1].upper() + words[1:]
    return words if not entry.unit or entry.unit.lower() in words.lower() else f"{words} ({entry.unit})"


def _draw(entry: Knob, path: str, shown: Any) -> Any:
    label, about, key = label_of(entry), entry.help, state.key_of(path)
    dial = dial_of(entry)
    if dial == "toggle":
        return st.toggle(label, shown, key=key, help=about)
    if dial == "choice":
        if len(entry.choices) <= 4 and sum(map(len, entry.choices)) < 28:
            return (
                st.segmented_control(label, entry.choices, default=shown, key=key, help=about, required=True) or shown
            )
        return st.selectbox(label, entry.choices, entry.choices.index(shown), key=key, help=about)
    if dial == "text":
        return st.text_input(label, shown, key=key, help=about, max_chars=200)
    if dial == "marks":
        kind: type[int] | type[float] = int if entry.kind == "int" else float
        marks = [kind(mark) for mark in steps_of(entry, shown, entry.default, state.widget(key) or shown)]
        return st.select_slider(label, marks, kind(shown), key=key, help=about, format_func=_written)
    kind = int if entry.kind == "int" else float
    low = None if entry.low is None else kind(entry.low)
    high = None if entry.high is None else kind(entry.high)
    if dial == "slider":
        step = 1 if entry.kind == "int" else _step(float(low or 0), float(high or 1))
        return st.slider(label, low, high, kind(shown), step=step, key=key, help=about)
    whole = 1 if entry.kind == "int" else None
    # No bounds for the widget: it would keep quiet about what lies outside and leave the old value in force.
    typed = st.number_input(label, value=kind(shown), step=whole, key=key, help=about, format=None if whole else "%g")
    try:
        return entry.check(shown if typed is None else typed)
    except KnobError as error:
        st.error(f"{plain(str(error))}. It stays at {plain(said(shown))}.", icon=":material/error:")
        return shown


def _step(low: float, high: float) -> float:
    """A round hundredth of the range or less."""
    return float(10.0 ** math.floor(math.log10(max(high - low, 1e-9) / 50)))


def _written(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
