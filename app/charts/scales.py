"""Colour scales that charts share: their middle is the page, so that "nothing" looks like nothing."""

from __future__ import annotations

import math

Scale = list[list[object]]
STEPS = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
"""Round numbers, times a power of ten."""


def calm(low: float, high: float) -> list[float]:
    """A colour range that holds [low, high] and ends at quarters of a round width.

    While a run goes on, each snapshot may reach a little further than those before; were its own reach the end, all
    pictures of a film would change their colours with it.
    """
    quarter = round_out(high - low) / 4
    if quarter <= 0.0:
        return [low, high]
    ends = math.floor(low / quarter + 1e-5), math.ceil(high / quarter - 1e-5)
    return [float(f"{end * quarter:.6g}") for end in ends]


def round_out(far: float) -> float:
    """The next of few round numbers that is at least so large; 0 for nothing."""
    if far <= 0.0 or not math.isfinite(far):
        return 0.0
    power = 10.0 ** math.floor(math.log10(far))
    return next((step for step in STEPS if step * power >= far * (1 - 1e-6)), STEPS[-1]) * power


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5, 10 … between 10^low and 10^high, thinned to decades where there are many; both ends without any."""
    steps = (1, 2, 5) if high - low < 2.5 else (1,)
    powers = range(math.floor(low), math.ceil(high) + 1)
    found = [float(f"{step * 10.0**power:.6g}") for power in powers for step in steps]
    return [tick for tick in found if low <= math.log10(tick) <= high] or [round(10.0**low, 3), round(10.0**high, 3)]


def diverging(*, dark: bool, low: float = -1.0, high: float = 1.0, centre: float = 0.0) -> Scale:
    """From blue over the page's own colour at `centre` to orange-red; told apart with any colour vision.

    Equal distances from the centre have equal strength: of a range that reaches further to one side, the other side's
    strongest colours are left out.
    """
    colours = ("#7cc4ff", "#2f6fa8", "#1b2025", "#b4551b", "#ffb27a") if dark else (
        "#14487d", "#6fa8d6", "#f6f7f8", "#ec9a5c", "#9c3d06"
    )  # fmt: skip
    far = max(high - centre, centre - low, 1e-12)
    places = {0.0, 1.0} | {(centre + far * step - low) / (high - low) for step in (-1.0, -0.5, 0.0, 0.5, 1.0)}
    return [
        [place, _mixed(colours, (low + place * (high - low) - centre) / far)]
        for place in sorted(places)
        if 0.0 <= place <= 1.0
    ]


def _mixed(colours: tuple[str, ...], step: float) -> str:
    """The colour at a step in [-1, 1] of five even ones."""
    place = min(max((step + 1.0) * 2.0, 0.0), 4.0)
    number = min(int(place), 3)
    first, second = (
        [int(colour[start : start + 2], 16) for start in (1, 3, 5)] for colour in (colours[number], colours[number + 1])
    )
    share = place - number
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(first, second, strict=True))


def faint(*, dark: bool, strong: bool = False) -> str:
    """A colour for what should stand back."""
    if strong:
        return "#aeb5bd" if dark else "#5a646e"
    return "#4a5158" if dark else "#c9ced4"


def shade(*, dark: bool) -> str:
    """What lies over a place to mark it without hiding it."""
    return "rgba(255,255,255,0.34)" if dark else "rgba(20,25,30,0.34)"
