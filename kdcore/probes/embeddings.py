"""How the networks arrange the same inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.answers.embedding import Embedding
from kdcore.beside import sides
from kdcore.gap import laid_over, neighbours, principal_plane, shared_neighbours
from kdcore.outputs import Outputs, outputs, some
from kdcore.patience import Way
from kdcore.probe import Probe, ProbeError
from kdcore.recalled import recalled, tensors_key
from kdcore.side_by_side import side_by_side
from kdcore.spec import knob
from kdcore.tsne import STEPS, tsne

if TYPE_CHECKING:
    from kdcore.revive import Revived

NEIGHBOURS = 10
LARGEST = 32
"""Side of the pictures kept, in pixels."""


class Embeddings(Probe):
    """Do the networks put the same inputs beside one another?

    The features before the last layer, laid into a plane by their principal components (PCA) or by t-SNE, which keeps
    neighbours together and says nothing about distances. Where such a picture points and how large it is are
    arbitrary, so all are drawn equally large, and the students' turned and mirrored to lie on the teacher's. The
    neighbours are counted in the features themselves.
    """

    title = "Embeddings"
    answers = "Embedding"
    ahead = 11
    turned = ("way",)
    way: str = knob("pca", choices=("pca", "tsne"), help="pca: the plane of the greatest variance; tsne: neighbours.")
    inputs: int = knob(400, 30, 2000, help="Most test inputs drawn.", unit="inputs")

    def ask(self, revived: Revived) -> Embedding:
        who, data = sides(revived), revived.data
        split = some(data.test, self.inputs)
        if len(split) < 2 * NEIGHBOURS:
            raise ProbeError(f"{len(split)} test inputs are too few to arrange; {2 * NEIGHBOURS} or more are needed")
        said = outputs(who, split)
        places = {part: _of_one_size(plane) for part, plane in self._planes(said).items()}
        nearest = {part: _nearest(found.embedding) for part, found in said.items()}
        shared = {
            part: shared_neighbours(nearest["teacher"], found) for part, found in nearest.items() if part != "teacher"
        }
        return Embedding(
            title="How each network arranges the same test inputs",
            says=_sentence(shared, len(split)),
            nearness=shared,
            nearness_of=f"nearest {NEIGHBOURS} neighbours that are the same",
            places={
                part: (found if part == "teacher" else laid_over(places["teacher"], found)).float().numpy()
                for part, found in places.items()
            },
            labels=split.truth.to(torch.int16).cpu().numpy(),
            said={part: found.logits.argmax(dim=1).to(torch.int16).numpy() for part, found in said.items()},
            numbers=split.index.cpu().numpy(),
            pictures=_pictures(data.pixels(split.images)) if data.images_of_plane else _none(len(split)),
            class_names=[str(name) for name in data.class_names],
            shared=shared,
            way="PCA" if self.way == "pca" else "t-SNE",
        )

    def _planes(self, said: dict[str, Outputs]) -> dict[str, Tensor]:
        """part -> (N, 2). By t-SNE they take long, and are kept."""
        if self.way == "pca":
            return {part: _principal_plane(found.embedding) for part, found in said.items()}
        keys = {part: ("t-SNE", tensors_key(found.embedding)) for part, found in said.items()}
        way = Way(STEPS * sum(key not in recalled for key in keys.values()))
        missing = [part for part, key in keys.items() if key not in recalled]
        made = dict(zip(missing, side_by_side(lambda part: tsne(said[part].embedding, way=way), missing), strict=True))
        return {part: recalled(key, lambda part=part: made[part]) for part, key in keys.items()}  # type: ignore[misc]


def _nearest(embedding: Tensor) -> Tensor:
    """Kept: over a film, teacher and student alone stay as they are, and no way of laying out changes them."""
    return recalled(("neighbours", tensors_key(embedding)), lambda: neighbours(embedding, NEIGHBOURS))


def _principal_plane(embedding: Tensor) -> Tensor:
    return recalled(("PCA", tensors_key(embedding)), lambda: principal_plane(embedding))


def _of_one_size(places: Tensor) -> Tensor:
    """Around (0, 0), with mean squared distance 1."""
    centred = places.double() - places.double().mean(dim=0)
    return centred / centred.square().sum(dim=1).mean().sqrt().clamp(min=1e-12)


def _pictures(pixels: Tensor) -> numpy.ndarray:
    """(N, c, h, w) in [0, 1] as small (N, h, w, 1 or 3) uint8."""
    pixels = pixels if pixels.shape[1] == 3 else pixels[:, :1]
    if max(pixels.shape[2:]) > LARGEST:
        pixels = F.interpolate(pixels, size=LARGEST, mode="area")
    return pixels.mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def _none(count: int) -> numpy.ndarray:
    return numpy.zeros((count, 0, 0, 1), dtype=numpy.uint8)


def _sentence(shared: dict[str, float], count: int) -> str:
    says = (
        f"Of the {NEIGHBOURS} inputs that the teacher puts nearest to an input, {NEIGHBOURS * shared['student']:.1f} "
        "are nearest for the student too"
    )
    if "baseline" in shared:
        says += f", {NEIGHBOURS * shared['baseline']:.1f} for the student alone"
    return f"{says} ({count:,} test inputs; by chance {NEIGHBOURS * NEIGHBOURS / (count - 1):.1f})."
