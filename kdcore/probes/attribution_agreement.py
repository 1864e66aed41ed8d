"""How much of the teacher's reasons the student shares, over many pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy
from torch import Tensor

from kdcore.answers.bars import Bars
from kdcore.attributions import FEWEST, MACS, PLACES, alike, maps_of_many
from kdcore.beside import sides, view_logits
from kdcore.patience import Way
from kdcore.probe import Probe, ProbeError, percent
from kdcore.probes.attribution import looking, nothing, work_of_all
from kdcore.recalled import network_key, recalled, tensors_key
from kdcore.spec import knob

if TYPE_CHECKING:
    from kdcore.revive import Revived

NAMES = {"student": "student", "baseline": "student alone"}
FINEST = 32
"""Steps of Integrated Gradients at most."""
OTHER = "the teacher's map of another picture"


class AttributionAgreement(Probe):
    """Does the student look at the same places as its teacher when it says the same class?

    For each picture the class that the teacher says is explained for all networks, and the maps' absolute values are
    compared with the teacher's: a cosine of 1 means the same places. How much two maps agree without any reason is
    seen from the teacher's map of the next picture.
    """

    title = "Agreement of reasons"
    answers = "Bars"
    needs = ("images",)
    ahead = 8
    inputs: int = knob(16, 4, 256, help="How many validation pictures are explained.", unit="pictures")

    def ask(self, revived: Revived) -> Bars:
        data = revived.data
        if not data.images_of_plane:
            raise ProbeError("points in a plane have no places that could speak for a class; pictures have")
        who = sides(revived)
        macs = max(1, work_of_all(who, data.validation.images))
        # Twice what one picture may cost: large networks explain fewer pictures, and more coarsely.
        affordable = int(2 * MACS / (macs * (3 * FEWEST + PLACES)))
        split = data.validation
        count = min(self.inputs, max(4, affordable), len(split))
        steps = int(min(FINEST, max(FEWEST, (2 * MACS / (macs * max(1, count)) - PLACES) / 3)))
        if count < 4:
            raise ProbeError(f"{count} validation pictures are too few for a mean; 4 or more are needed")
        eyes = dict.fromkeys(who.views(), split.images)
        scales = dict.fromkeys(eyes, (data.mean, data.std))
        if split.partner is not None and data.partner_mean is not None and data.partner_std is not None:
            eyes["teacher"], scales["teacher"] = split.partner, (data.partner_mean, data.partner_std)
        targets = tuple(view_logits(revived, who.teacher, eyes["teacher"][:count]).argmax(dim=1).tolist())
        keys = {
            part: ("many maps", *network_key(revived, who.views()[part]), tensors_key(images[:count]), targets, steps)
            for part, images in eyes.items()
        }
        missing = sum(key not in recalled for key in keys.values())
        way = Way(missing * count * (3 * steps + PLACES))
        found: dict[str, list[dict[str, numpy.ndarray]]] = {}
        for part, images in eyes.items():

            def explained(part: str = part, images: Tensor = images[:count]) -> list[dict[str, numpy.ndarray]]:
                off = nothing(images, "black", *scales[part])
                maps = maps_of_many(
                    looking(who, part), images, baselines=off, targets=targets, steps=steps, way=way
                )  # fmt: skip
                return [{name: one.float().cpu().numpy() for name, one in each.maps.items()} for each in maps]

            found[part] = recalled(keys[part], explained)
        found["next"] = found["teacher"][1:] + found["teacher"][:1]
        methods = [
            method for method in found["teacher"][0] if all(method in maps[0] for maps in found.values())
        ]  # fmt: skip
        cosines = {
            NAMES.get(part, OTHER): [
                _cosines([(one[method], ours[method]) for one, ours in zip(found["teacher"], maps, strict=True)])
                for method in methods
            ]
            for part, maps in found.items()
            if part != "teacher"
        }
        series = {name: numpy.array([_mean(one) for one in each], numpy.float32) for name, each in cosines.items()}
        says = f"Where they look, the student agrees to {_told(cosines['student'][0])} with the teacher"
        if "student alone" in series:
            says += f", the student alone (no teacher) to {_told(cosines['student alone'][0])}"
        return Bars(
            title="How much the places that speak for the teacher's answer are the same (mean cosine)",
            says=f"{says} ({methods[0]}, {count} validation pictures, ± standard error; {OTHER}: "
            f"{percent(series[OTHER][0])}).",
            nearness={part: max(0.0, float(series[name][0])) for part, name in NAMES.items() if name in series},
            nearness_of=f"places that speak for the answer, by {methods[0]}",
            series=series,
            categories=methods,
            category_axis="method of attribution",
            value_axis="agreement with the teacher",
            low=0.0,
            high=1.0,
            parts={name: part for part, name in NAMES.items()},
            reference=None,
            reference_says="",
        )


def _cosines(pairs: list[tuple[numpy.ndarray, numpy.ndarray]]) -> list[float]:
    """Of the pictures on which both maps show anything."""
    return [measured[0] for one, ours in pairs if (measured := alike(ours, one)) is not None]


def _mean(values: list[float]) -> float:
    """0 without any."""
    return float(numpy.mean(values)) if values else 0.0


def _told(values: list[float]) -> str:
    """The mean with its standard error, "61 ± 4 %"."""
    if len(values) < 2:
        return percent(_mean(values))
    return f"{100 * _mean(values):.0f} ± {100 * float(numpy.std(values, ddof=1)) / len(values) ** 0.5:.0f} %"
