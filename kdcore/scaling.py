"""How the time of training grows with pictures, batch and matched layers, beside the straight line it should follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kdcore.benchmark import begun
from kdcore.machine import Watch
from kdcore.recipe import Recipe
from kdcore.stage import set_stage

PICTURES = (400, 600, 800, 1000, 1200)
BATCHES = (16, 32, 64, 128, 256, 512, 1024)
Case = tuple[dict[str, Any], int | None]
"""The settings of a recipe, and how many steps are one unit of time; None: an epoch."""
LAYERS = (0, 1, 2, 3, 4, 5, 6, 7, 8)


def curves(said: Callable[[str], object]) -> dict[str, Any]:
    """All of them on digits, as plain JSON."""
    said("time against pictures")
    found = {"pictures": against_pictures(PICTURES)}
    said("time against batch")
    found["batch"] = against_batch(BATCHES)
    said("time against layers")
    found["layers"] = against_layers(LAYERS)
    return found


def against_pictures(sizes: Sequence[int]) -> dict[str, Any]:
    """Milliseconds of an epoch against the pictures in it: a small convolution student with a kept teacher."""
    data = [{"is": "digits", "train_size": size, "validation": 0.1} for size in sizes]
    cases: list[Case] = [({**_convolutions(), "data": one}, None) for one in data]
    return _curve("ms an epoch", "pictures", sizes, cases, count=lambda running: running.batch * running.epoch_steps)


def against_batch(batches: Sequence[int]) -> dict[str, Any]:
    """Milliseconds of a step against the pictures in it."""
    cases: list[Case] = [({**_convolutions(), "training": {"batch": batch}}, 1) for batch in batches]
    return _curve("ms a step", "pictures in a step", batches, cases, count=lambda running: running.batch)


def against_layers(counts: Sequence[int]) -> dict[str, Any]:
    """Milliseconds of a step against the layers matched by hints, all of one size."""
    deep = {"is": "mlp", "depth": max(counts)}
    cases: list[Case] = []
    for count in counts:
        hints = [{"is": "fitnet", "pairs": [[layer, layer]]} for layer in range(count)]
        cases.append(({"student": deep, "teacher": deep, "methods": [{"is": "ce"}, {"is": "kd"}, *hints]}, 1))
    return _curve("ms a step", "layers matched", counts, cases, count=None)


def _convolutions() -> dict[str, Any]:
    return {"student": {"is": "plain", "width": 8, "stage_count": 2}, "methods": [{"is": "ce"}, {"is": "kd"}]}


def _curve(
    what: str, along: str, places: Sequence[int], cases: Sequence[Case],
    *, count: Callable[[Any], int] | None,
) -> dict[str, Any]:  # fmt: skip
    """Least times of blocks that take turns, and the least-squares line through them.

    A case is the settings of a recipe, and how many steps are one unit of time (None: an epoch). `count` says what was
    really done, where full batches alone are taken.
    """
    running, x = [], []
    for place, (settings, _) in zip(places, cases, strict=True):
        whole = {**Recipe().to_json(), **settings, "scheme": {"is": "offline", "baseline": False}}
        one = begun(set_stage(Recipe.from_json(whole)))
        one.step()
        running.append(one)
        x.append(float(place if count is None else count(one)))
    watch = Watch(running[0].stage.device)
    least = [float("inf")] * len(running)
    for _ in range(7):
        for number, (one, (_, unit)) in enumerate(zip(running, cases, strict=True)):
            steps = one.epoch_steps if unit is None else max(unit, 10)

            def work(one: Any = one, steps: int = steps) -> None:
                for _ in range(steps):
                    one.step()

            spent = watch.seconds(work) if unit is None else watch.seconds(work) / steps
            least[number] = min(least[number], 1e3 * spent)
    slope, start = np.polyfit(x, least, 1)
    left = np.asarray(least) - (start + slope * np.asarray(x))
    spread = np.asarray(least) - np.mean(least)
    return {
        "along": along, "what": what, "x": x, "y": least, "start": float(start), "slope": float(slope),
        "r2": float(1 - (left @ left) / max(float(spread @ spread), 1e-30)),
    }  # fmt: skip
