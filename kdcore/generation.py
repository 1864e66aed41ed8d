"""What schemes without real pictures share: generators, pools of made pictures, statistics of batch norms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from kdcore.data import Data
from kdcore.recipe import RecipeError
from kdcore.response import soft_kl
from kdcore.scheme import Between, Moment, Phase, Scheme, Turn, alone
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Terms

EXAMPLE: dict[str, Any] = {
    "data": {"is": "digits"},
    "teacher": {"is": "plain", "width": 16, "stage_count": 2},
    "student": {"is": "plain", "width": 8, "stage_count": 2},
    "training": {"epochs": 20, "teacher_epochs": 25, "teacher_rate": 0.005},
}
"""A recipe on which these schemes can be watched: a teacher that has learned well, and a smaller student."""


class DataFree(Scheme):
    """A scheme in which the student learns from made pictures alone."""

    kind = "data-free"
    uses_methods = False
    baseline: bool = knob(
        True, help="Also train the student alone on real labelled pictures: what labels would have given."
    )

    def yardstick(self, between: Between) -> Iterator[Phase]:
        """What labels would have given, if that is wanted."""
        if self.baseline:
            yield alone(between, title="What labels would have given: the student alone, on real labelled pictures")


class Generator(nn.Module):
    """Noise to pictures, by a linear layer and convolutions on planes that are doubled twice (Chen et al. 2019).

    Its last layer is a batch norm without learned numbers, so that its pictures have the mean and the spread of
    normalised real ones.
    """

    def __init__(self, noise: int, shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        channels, height, wide = shape
        self.noise, self.width = noise, width
        self.sizes = [(-(-height // 4), -(-wide // 4)), (-(-height // 2), -(-wide // 2)), (height, wide)]
        self.start = nn.Linear(noise, 2 * width * self.sizes[0][0] * self.sizes[0][1])
        self.norm = nn.BatchNorm2d(2 * width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(2 * width, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2))
            for outputs in (2 * width, width)
        )
        self.last = nn.Sequential(
            nn.Conv2d(width, channels, 3, padding=1), nn.Tanh(), nn.BatchNorm2d(channels, affine=False)
        )

    def fresh(self) -> bool:
        """Whether it has not learned yet."""
        return int(self.norm.num_batches_tracked or 0) == 0

    def forward(self, noise: Tensor) -> Tensor:
        """(N, noise) -> (N, *shape)."""
        planes = self.norm(self.start(noise).view(len(noise), 2 * self.width, *self.sizes[0]))
        for block, size in zip(self.blocks, self.sizes[1:], strict=True):
            planes = block(F.interpolate(planes, size=size))
        return self.last(planes)


class Pool(nn.Module):
    """Made pictures with the class that each is meant to show, kept for the student."""

    pictures: Tensor
    labels: Tensor

    def __init__(self, count: int, data: Data) -> None:
        super().__init__()
        self.register_buffer("pictures", torch.zeros(count, *data.shape))
        self.register_buffer("labels", torch.arange(count) % data.classes)

    def fill(self, start: int, pictures: Tensor) -> None:
        """Keep these (N, *shape) from that place on."""
        with torch.no_grad():
            self.pictures[start : start + len(pictures)].copy_(pictures)

    def draw(self, count: int, filled: int, generator: torch.Generator, *, shift: int) -> Batch:
        """A batch out of the first `filled` places, all moved by the same few pixels."""
        places = torch.randperm(filled, generator=generator)[:count].to(self.pictures.device)
        return Batch(moved(self.pictures[places], shift, generator), torch.full_like(places, -1), places)


def moved(pictures: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """(N, *shape), all rolled by the same random number of pixels, at most `most` each way."""
    if not most:
        return pictures
    down, right = torch.randint(-most, most + 1, (2,), generator=generator).tolist()
    return torch.roll(pictures, (down, right), dims=(2, 3))


def needs_pictures(between: Between) -> None:
    """Raise RecipeError where the data are no pictures, or others for the teacher than for the student."""
    if not between.data().images_of_plane:
        raise RecipeError("data", "this scheme makes pictures, and these are points in a plane; digits or shapes do")
    if between.data().train.partner is not None:
        raise RecipeError(
            "data", "the teacher sees pictures of another kind here; a student taught on what the teacher is shown "
            "would be tested on what it never saw"
        )  # fmt: skip


def norms_of(network: nn.Module) -> list[_BatchNorm]:
    """The layers that keep running statistics of what they read."""
    return [one for one in network.modules() if isinstance(one, _BatchNorm) and one.running_mean is not None]


def needs_norms(network: nn.Module, wanted: str) -> None:
    """Raise RecipeError where a teacher has no batch norm, whose statistics `wanted` names the need of."""
    if not norms_of(network):
        raise RecipeError(
            "teacher", f"{wanted} reads the statistics of the teacher's batch norms, and this teacher has none; "
            "plain and resnet have"
        )  # fmt: skip


@contextmanager
def overheard(network: nn.Module) -> Iterator[list[tuple[_BatchNorm, Tensor]]]:
    """While it lasts, what each batch norm reads, in the order of reading: (layer, (N, c, …)), with its graph.

    Done by hooks, which are taken away again at the end whatever happens: left behind they would pile up.
    """
    heard: list[tuple[_BatchNorm, Tensor]] = []

    def hear(layer: nn.Module, read: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, _BatchNorm)
        heard.append((layer, read[0]))

    hooks = [layer.register_forward_pre_hook(hear) for layer in norms_of(network)]
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()


def statistics_gap(heard: Sequence[tuple[_BatchNorm, Tensor]]) -> Tensor:
    """(1,): distance of the batch's mean and variance of each channel from what each batch norm kept, summed.

    Zero for a batch that has exactly the kept statistics (Yin et al. 2020; variances without Bessel's correction).
    """
    gaps = []
    for layer, read in heard:
        assert layer.running_mean is not None
        assert layer.running_var is not None
        others = [0, *range(2, read.ndim)]
        gaps.append(torch.linalg.vector_norm(read.mean(others) - layer.running_mean))
        gaps.append(torch.linalg.vector_norm(read.var(others, unbiased=False) - layer.running_var))
    return torch.stack(gaps).sum().view(1)


def channel_means(heard: Sequence[tuple[_BatchNorm, Tensor]]) -> Tensor:
    """(N, all channels): each picture's mean of each channel that the batch norms read."""
    return torch.cat([read.flatten(2).mean(dim=2) if read.ndim > 2 else read for _, read in heard], dim=1)


def spread_of_classes(logits: Tensor) -> Tensor:
    """Sum over classes of p log10 p for the mean answer p of a batch, (N, C) -> (1,): -log10 C where it is even."""
    mean = F.softmax(logits, dim=1).mean(dim=0)
    return (mean * torch.log10(mean.clamp(min=1e-12))).sum().view(1)


def told(temperature: float) -> Callable[[Moment], Terms]:
    """The student's term: the teacher's softened classes on the batch."""

    def own(moment: Moment) -> Terms:
        teacher = moment.see("teacher").logits
        return {"kd": soft_kl(moment.see("student").logits, teacher, temperature)}

    return own


def learns(own: Callable[[Moment], Terms], times: int, weights: dict[str, float] | None = None) -> Turn:
    """The student's turn, told by the teacher."""
    return Turn("student", own=own, told_by=("teacher",), times=times, weights=weights or {})
