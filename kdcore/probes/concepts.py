"""How many visual concepts a network holds, on the object and beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kdcore.answers.concepts import Concepts as Answered
from kdcore.beside import sides
from kdcore.datasets.shapes import Shapes
from kdcore.information import Feature, concepts, entropies, in_cells, sketch
from kdcore.outputs import NAMES
from kdcore.probe import Probe, ProbeError, percent
from kdcore.spec import knob

if TYPE_CHECKING:
    from kdcore.revive import Revived

SAMPLES = 4
"""Draws of the noise at each step."""
THRESHOLD = 0.2
"""Nats by which a concept lies below the background."""


class Concepts(Probe):
    """How many visual concepts does a network hold, and are they on the object?

    Each cell of a picture gets as much noise as it bears without the feature changing more than allowed. A cell that
    bears less than the background does on average holds a concept: the network has not discarded it (Cheng et al.
    2020). Shapes are drawn here, so it is known which cells belong to the object.
    """

    title = "Visual concepts"
    answers = "Concepts"
    needs = ("images",)
    of: str = knob("student", choices=("student", "teacher", "baseline"), help="Whose concepts are counted.")
    pictures: int = knob(
        8, 1, 64, help="Validation pictures that are looked at; costs time in proportion.", unit="pictures"
    )
    cells: int = knob(16, 2, 32, help="Cells along each side of a picture; each has one noise.", unit="cells")
    level: float = knob(
        0.01, 0.001, 1.0, scale="log", unit="standard deviations",
        help="Even noise all over that a linear feature would change under as far as is allowed.",
    )  # fmt: skip
    steps: int = knob(100, 8, 1000, help="Steps in which the noise is fitted; costs time in proportion.", unit="steps")
    layer: int = knob(-1, -1, 999, help="The layer whose maps are the feature, from 0. -1: what the classifier reads.")

    def ask(self, revived: Revived) -> Answered:
        recipe, data = revived.recipe, revived.data
        if recipe.data.key != "shapes":
            raise ProbeError(
                f"concepts on the object can only be told from others where it is known which pixels belong to it: "
                f"on the data set shapes, whose pictures are drawn here; this run has {recipe.data.key}"
            )
        who = sides(revived)
        view = who.views().get(self.of)
        if view is None:
            raise ProbeError("this run trained no student alone, so its concepts cannot be counted")
        split = data.validation.of(torch.arange(min(self.pictures, len(data.validation))))
        apart = self.of == "teacher" and split.partner is not None
        images = split.partner if apart and split.partner is not None else split.images
        feature, layer, weights = self._feature(revived, view, images)
        cover = Shapes(**recipe.data.settings).masks(recipe.seed, split.index)
        inside = in_cells(cover, self.cells)
        entropy, change = entropies(
            feature, images, cells=self.cells, level=self.level, steps=self.steps, samples=SAMPLES, seed=recipe.seed
        )
        found, background = concepts(entropy, inside, threshold=THRESHOLD)
        counts = torch.stack([(found & inside).sum(dim=(1, 2)), (found & ~inside).sum(dim=(1, 2))], dim=1)
        pixels = (data.partner_pixels if apart else data.pixels)(images)
        return Answered(
            title="What each network has kept of a picture",
            says=_sentence(NAMES[self.of].lower(), counts.double()),
            part=self.of,
            epoch=float(revived.epoch),
            pictures=pixels.permute(0, 2, 3, 1).float().numpy(),
            numbers=list(range(len(split))),
            names=[data.class_names[label] for label in split.truth.tolist()],
            mask=(cover >= 0.5).to(torch.uint8).numpy(),
            inside=inside.to(torch.uint8).numpy(),
            entropy=entropy.float().numpy(),
            background=background.float().numpy(),
            concept=found.to(torch.uint8).numpy(),
            counts=counts.int().numpy(),
            change=change.float().numpy(),
            threshold=THRESHOLD,
            layer=layer,
            weights=sketch(weights).float().numpy(),
        )

    def _feature(self, revived: Revived, view: str, images: Tensor) -> tuple[Feature, str, Tensor]:
        """The function that is asked, its name, and the network's weights (D,). Raises ProbeError."""
        role, _, exit_number = view.partition(":")
        network = revived.networks[role]
        weights = torch.cat([parameter.detach().flatten() for parameter in network.parameters()])
        with torch.no_grad():
            layers = len(network.look(images[:1]).maps)
        if self.layer >= layers:
            raise ProbeError(
                f"layer={self.layer}: the {NAMES[self.of].lower()} has layers 0 to {layers - 1}; "
                "-1 takes what its classifier reads"
            )

        def feature(pictures: Tensor) -> Tensor:
            seen = network.look(pictures)
            if self.layer >= 0:
                return seen.maps[self.layer].flatten(1)
            return (seen.exits[int(exit_number)] if exit_number else seen).embedding.flatten(1)

        names = network.layers if len(network.layers) == layers else [f"layer {place + 1}" for place in range(layers)]
        return feature, names[self.layer] if self.layer >= 0 else "what the classifier reads", weights


def _sentence(name: str, counts: Tensor) -> str:
    on, beside = counts.mean(dim=0).tolist()
    said = (
        f"The {name} holds {on:.1f} concepts on the object and {beside:.1f} beside it in each of {len(counts)} pictures"
    )
    shares = counts[:, 0] / counts.sum(dim=1)
    shares = shares[~shares.isnan()]
    return f"{said} on average; {percent(float(shares.mean()))} are on the object." if len(shares) else f"{said}."
