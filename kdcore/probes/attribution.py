"""Which places of a picture make each network say a class."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy
import torch
from torch import Tensor

from kdcore.answers.attribution import Attribution
from kdcore.asked_picture import asked_picture, own_knob
from kdcore.attributions import (
    CAM,
    CHOSEN,
    FROM_THE_END,
    GRADIENTS,
    PATCHES,
    Maps,
    alike,
    maps_of,
    steps_for,
    window_of,
    work_of,
)
from kdcore.beside import Sides, sides
from kdcore.probe import Probe, ProbeError, percent
from kdcore.recalled import network_key, recalled, tensors_key
from kdcore.spec import knob
from kdcore.vocabulary import Seen

if TYPE_CHECKING:
    from kdcore.revive import Revived

OF_TEACHER, OF_STUDENT, OF_TRUTH = -1, -2, -3


class AttributionOfClass(Probe):
    """Where in a picture do teacher and student see the same class?

    The same class is explained for all networks. Places that speak for it are positive, those against it negative. A
    student may give its teacher's answer for other reasons: then its map differs. Agreement is the cosine of the
    maps' absolute values with the teacher's, 1 for the same places; two unlike maps of one bright object reach 0.5
    easily, so the student alone is the yardstick.
    """

    title = "Attribution"
    answers = "Attribution"
    needs = ("images",)
    split: str = knob("validation", choices=("validation", "test"), help="From which pictures.")
    picture: int = knob(0, 0, 100_000, help="Which picture of the split, counted from 0.")
    own: str = own_knob()
    explained: int = knob(
        OF_TEACHER, OF_TRUTH, 999,
        help="The class to explain, counted from 0; -1: what the teacher says, -2: what the student says, -3: the "
        "truth.",
    )  # fmt: skip
    student_layer: int = knob(
        -1, -1, 999,
        help="The students' layer that Grad-CAM explains, counted from 0. -1: the last three, counted from the end.",
    )  # fmt: skip
    teacher_layer: int = knob(
        -1, -1, 999, help="The teacher's. With only one of the two chosen, the other is the one it pairs with."
    )
    baseline: str = knob(
        "black", choices=("black", "mean"), help="What a place shows that is taken away: black, or the mean picture."
    )

    def ask(self, revived: Revived) -> Attribution:
        data = revived.data
        if not data.images_of_plane:
            raise ProbeError("points in a plane have no places that could speak for a class; pictures have")
        asked = asked_picture(revived, self.split, self.picture, self.own)
        split, who = asked.split, sides(revived)
        others = ("teacher",) if split.partner is not None else ()  # who sees the scene through another sensor
        scenes = {
            part: split.partner if part in others and split.partner is not None else split.images
            for part in who.views()
        }
        looks = {part: looking(who, part) for part in scenes}
        with torch.no_grad():
            seen = {part: looks[part](scene) for part, scene in scenes.items()}
        chances = {part: one.logits[0].softmax(dim=0) for part, one in seen.items()}
        said = {part: int(values.argmax()) for part, values in chances.items()}
        if self.explained == OF_TRUTH and asked.truth is None:
            raise ProbeError("nobody told the class of your picture; explain what the teacher or the student says")
        target = {OF_TEACHER: said["teacher"], OF_STUDENT: said["student"], OF_TRUTH: asked.truth or 0}.get(
            self.explained, self.explained
        )
        if target >= data.classes:
            raise ProbeError(f"explained={target}: the classes are 0 to {data.classes - 1}")
        layers = self._layers(who, seen)
        steps = steps_for(work_of_all(who, split.images))
        height, width = data.shape[1:]
        rows, columns, *_ = window_of(height, width)

        arrays: dict[str, numpy.ndarray] = {}
        notes: dict[str, str] = {}
        sums: dict[str, list[float]] = {}
        for part, scene in scenes.items():
            off = nothing(
                scene,
                self.baseline,
                *(data.partner_mean, data.partner_std) if part in others else (data.mean, data.std),
            )
            found = self._maps(who, part, scene, off, target=target, steps=steps, layer=layers.get(part))
            with torch.no_grad():
                gap = float(seen[part].logits[0, target] - looks[part](off).logits[0, target])
            sums[part] = [found.total, gap]
            arrays |= {f"{part}/{method}": values.float().cpu().numpy() for method, values in found.maps.items()}
            notes |= {f"{part}/{GRADIENTS}": f"{steps} steps", f"{part}/{PATCHES}": f"patch of {rows}×{columns}"}
            names = who.layer_names(part, len(seen[part].maps))
            for method, (layer, plane) in found.layers.items():
                notes[f"{part}/{method}"] = f"{names[layer]}, {plane}"
        agreement = {}
        for name, values in arrays.items():
            part, method = name.split("/")
            if part != "teacher" and f"teacher/{method}" in arrays:
                measured = alike(values, arrays[f"teacher/{method}"])
                if measured is not None:
                    agreement[name] = list(measured)
        words = data.class_names
        return Attribution(
            title=f"What speaks for “{words[target]}” in {asked.name} (truth {asked.truth_says(words)})",
            says=_sentence(agreement, sums, "black" if self.baseline == "black" else "the mean"),
            pictures={
                part: _pixels(scene, data.partner_pixels if part in others else data.pixels)
                for part, scene in scenes.items()
            },
            said={
                part: f"{words[label]} ({percent(float(chances[part][label]))})" for part, label in said.items()
            },
            methods=[
                GRADIENTS, PATCHES, *(f"{CAM}, {place}" for place in (CHOSEN, *FROM_THE_END) if _any(arrays, place))
            ],
            maps=arrays,
            notes=notes,
            agreement=agreement,
            completeness=sums,
            explained=words[target],
            class_names=list(words),
        )  # fmt: skip

    def _maps(
        self, who: Sides, part: str, scene: Tensor, off: Tensor, *, target: int, steps: int, layer: int | None
    ) -> Maps:
        """One network's maps, kept for the next moment of the run: there the others are the same."""
        key = ("maps", *network_key(who.revived, who.views()[part]), tensors_key(scene, off), target, steps, layer)
        return recalled(
            key,
            lambda: maps_of(looking(who, part), scene, baseline=off, target=target, steps=steps, layer=layer),
        )

    def _layers(self, who: Sides, seen: dict[str, Seen]) -> dict[str, int]:
        """part -> the layer chosen for Grad-CAM; nothing where none is chosen."""
        if self.student_layer < 0 and self.teacher_layer < 0:
            return {}
        student, teacher, _ = who.pair(seen, self.student_layer, self.teacher_layer)
        return {"student": student, "baseline": student, "teacher": teacher}


def nothing(scene: Tensor, baseline: str, mean: Tensor | None, std: Tensor | None) -> Tensor:
    """The picture that shows nothing, "black" or "mean", normalised, (1, c, h, w)."""
    if baseline == "mean" or mean is None or std is None:
        return torch.zeros_like(scene)  # normalised: the mean is zero
    return (-mean / std).to(scene).expand_as(scene).contiguous()


def _pixels(scene: Tensor, shown: Callable[[Tensor], Tensor]) -> numpy.ndarray:
    return shown(scene)[0].permute(1, 2, 0).float().cpu().numpy()


def work_of_all(who: Sides, images: Tensor) -> int:
    """Multiply-accumulates for one picture, all networks together."""
    return sum(work_of(who.revived.networks[view.split(":")[0]], images[:1]) for view in who.views().values())


def looking(who: Sides, part: str) -> Callable[[Tensor], Seen]:
    """What this network makes of pictures, with a graph back to them."""
    role, _, exit_number = who.views()[part].partition(":")
    network = who.revived.networks[role]
    return lambda images: network.look(images).exits[int(exit_number)] if exit_number else network.look(images)


def _any(arrays: dict, place: str) -> bool:
    return any(name.endswith(place) for name in arrays)


def _sentence(agreement: dict[str, list[float]], sums: dict[str, list[float]], baseline: str) -> str:
    found = {part: agreement.get(f"{part}/{GRADIENTS}") for part in ("student", "baseline")}
    if found["student"] is None:
        says = "The student's or the teacher's map is the same everywhere, so their agreement cannot be measured"
    else:
        says = f"The student agrees to {percent(found['student'][0])} with the teacher on the places"
        if found["baseline"] is not None:
            says += f", the student alone to {percent(found['baseline'][0])}"
    worst = max(abs(total - gap) for total, gap in sums.values())
    return f"{says} (Integrated Gradients from {baseline}, complete to {worst:.1g} logits)."
