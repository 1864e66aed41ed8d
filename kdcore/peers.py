"""What schemes share whose networks teach one another or themselves: label loss, what all say, how far they agree."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.answers.bars import Bars
from kdcore.answers.matrix import Matrix
from kdcore.augmentation import augment, stronger
from kdcore.data import Split
from kdcore.network import Network
from kdcore.recipe import Pick
from kdcore.response import at_least_float, label_mean
from kdcore.scheme import Between, Casting
from kdcore.scoring import logits_of


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, (N, C) and (N,) with -1 where withheld -> (N,), whose mean is that over the labelled pictures."""
    losses = F.cross_entropy(at_least_float(logits), labels, ignore_index=-1, reduction="none")
    return label_mean(losses, labels)


def with_twin(roles: dict[str, Casting], student: Pick, baseline: bool) -> dict[str, Casting]:
    """The roles and, where it is wanted, the student's twin that learns alone."""
    return {**roles, "baseline": Casting(student, "baseline", twin_of="student")} if baseline else roles


def peer_names(count: int) -> list[str]:
    """student, peer 2, peer 3 …"""
    return ["student", *(f"peer {number}" for number in range(2, count + 1))]


def on_validation(networks: Mapping[str, Network], between: Between) -> dict[str, Tensor]:
    """name -> (V, C) logits on the validation pictures, in eval mode."""
    images = between.data().validation.images
    return {name: logits_of(network, images).float() for name, network in networks.items()}


def agreement(logits: Mapping[str, Tensor], *, title: str = "Who agrees with whom") -> Matrix:
    """How often each two of them say the same class, from name -> (V, C)."""
    names = list(logits)
    said = torch.stack([logits[name].argmax(dim=1) for name in names])
    shares = (said[:, None] == said[None, :]).float().mean(dim=2)
    pairs = shares[~torch.eye(len(names), dtype=torch.bool, device=shares.device)]
    mean = 100 * float(pairs.mean()) if len(names) > 1 else 100.0
    return Matrix(
        title, f"Two of them say the same class for {mean:.1f} % of the validation pictures, on average over pairs.",
        {"same class": shares.cpu().numpy()}, rows=names, columns=names, row_axis="network", column_axis="network",
        value_axis="share of validation pictures", low=0.0, high=1.0, spread={}, centre={},
    )  # fmt: skip


def shares_by_class(
    shares: Mapping[str, Tensor], parts: Mapping[str, str], between: Between, *, title: str, says: str,
    value_axis: str, split: Split | None = None,
) -> Bars:  # fmt: skip
    """Bars from name -> (V,) yes or no for each validation picture: the share of yes in each true class.

    `parts` says as which of teacher, student and baseline a name is coloured; without, it is a mark beside the bars.
    With `split` they are that split's pictures.
    """
    data = between.data()
    truth = (split or data.validation).truth
    counts = torch.bincount(truth, minlength=data.classes).clamp(min=1)
    series = {
        name: (torch.bincount(truth, weights=yes.float(), minlength=data.classes) / counts).float().cpu().numpy()
        for name, yes in shares.items()
    }
    return Bars(
        title, says, series, list(data.class_names), category_axis="true class", value_axis=value_axis,
        low=0.0, high=1.0, parts=dict(parts), reference=None, reference_says="",
    )  # fmt: skip


def following(
    teacher: str, learners: Mapping[str, Network], cast: Mapping[str, Network], between: Between, *, title: str
) -> Bars:
    """How often each learner is right and says what the teacher says, and how often the teacher itself is right."""
    said = on_validation({teacher: cast[teacher], **learners}, between)
    best = said[teacher].argmax(dim=1)
    right = {name: right_share(logits, between) for name, logits in said.items()}
    alike = [float((said[name].argmax(dim=1) == best).float().mean()) for name in learners]
    told = ", ".join(
        f"{spoken(name)} {100 * right[name]:.1f} % and {100 * same:.1f} %"
        for name, same in zip(learners, alike, strict=True)
    )
    return Bars(
        title, f"The {teacher} is right for {100 * right[teacher]:.1f} % of the validation pictures. Right, and saying "
        f"what it says: {told}.",
        {"is right": numpy.array([right[name] for name in learners], dtype=numpy.float32),
         f"says what the {teacher} says": numpy.array(alike, dtype=numpy.float32)},
        [spoken(name) for name in learners], category_axis="network", value_axis="share of validation pictures",
        low=0.0, high=1.0, parts={"is right": "student", f"says what the {teacher} says": "teacher"},
        reference=right[teacher], reference_says=f"the {teacher} is right",
    )  # fmt: skip


def spoken(role: str) -> str:
    """The role in words for a viewer."""
    return "student alone" if role == "baseline" else role


def right_share(logits: Tensor, between: Between) -> float:
    """The share of the validation pictures whose class is the logits' largest, (V, C) -> [0, 1]."""
    return float((logits.argmax(dim=1) == between.data().validation.truth).float().mean())


def own_seed(between: Between, purpose: str) -> int:
    """A seed that follows from the recipe's and the purpose."""
    with between.seeded(purpose):
        return int(torch.randint(2**31, ()))


def view_of(images: Tensor, index: Tensor, *, kind: str, seed: int, epoch: int) -> Tensor:
    """A distorted view of (N, *shape): moved, or `stronger`. Points in a plane have only the latter."""
    if kind == "stronger" or images.ndim == 2:
        return stronger(images, index, seed=seed, epoch=epoch)
    return augment(images, index, kind="shift", seed=seed, epoch=epoch)


class Kept(nn.Module):
    """Tensors that are remembered and never trained, by name."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name, value in tensors.items():
            self.register_buffer(name, value)

    def __getitem__(self, name: str) -> Tensor:
        return self.get_buffer(name)


def still(network: Network) -> Network:
    """The network in eval mode, without gradient for its parameters."""
    return network.eval().requires_grad_(False)


def copied(source: nn.Module, target: nn.Module) -> None:
    """All of the source's parameters and buffers into the target of the same shape."""
    with torch.no_grad():
        for name, value in target.state_dict().items():
            value.copy_(source.state_dict()[name])


def rise(progress: float, share: float) -> float:
    """From exp(-5) at the beginning to 1 after that share of the phase, along a Gaussian."""
    return 1.0 if share <= 0.0 else math.exp(-5.0 * (1.0 - min(progress / share, 1.0)) ** 2)
