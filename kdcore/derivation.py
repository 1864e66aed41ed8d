"""The contract of a derivation: a student made from the teacher's structure and weights, and what that costs."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from kdcore.inheritance import inherit, paired
from kdcore.network import Network
from kdcore.recipe import Pick
from kdcore.spec import Spec
from kdcore.vocabulary import Paper


class Derivation(Spec, ABC):
    """A way to make a student from a teacher. The docstring is its card; knobs are taken from the scheme's by name.

    The student's shapes follow from structure and knobs alone, never from weights, so that a student can be made before
    the teacher is trained, previewed, and filled with the teacher's weights later. Raises ValueError for a teacher that
    it cannot take.
    """

    title: ClassVar[str]
    paper: ClassVar[Paper | None] = None
    provenance: ClassVar[str] = ""

    def pick(self, teacher: Pick, student: Pick) -> Pick:
        """The network and knobs from which the student is built; the teacher's own where layers are replaced."""
        return teacher

    def derive(self, network: Network) -> Network:
        """The student's layers made from this network's, with its weights as far as they go; leaves it as it was."""
        return network

    def inherit(self, teacher: Network, student: Network) -> None:
        """Give the derived student the teacher's weights, in place."""
        student.load_state_dict(self.derive(teacher).state_dict())

    def refuse(self, teacher: Network, student: Network) -> None:
        """Raise ValueError where the student could not take over these weights; both stay as they are."""

    def partners(self, teacher: Network, student: Network) -> dict[str, str]:
        """Which of the student's layers stands for each of the teacher's, by name; those dropped are left out."""
        return {name: name for name, _ in weighted(teacher)}


class Replacing(Derivation, ABC):
    """A derivation that puts another layer in the place of convolutions and linear layers. The classifier stays."""

    @abstractmethod
    def instead(self, layer: nn.Conv2d | nn.Linear) -> nn.Module | None:
        """What stands there instead, on the layer's device, computing about the same; None leaves the layer."""

    def derive(self, network: Network) -> Network:
        derived = copy.deepcopy(network)
        found = 0
        for name, layer in weighted(derived):
            if name == "head":  # methods read it, and it is small
                continue
            other = self.instead(layer)
            if other is not None:
                put(derived, name, other)
                found += 1
        if not found:
            raise ValueError(
                f"{type(network).title} has no layer that {type(self).title} could replace at these settings"
            )
        return derived


class Inheriting(Derivation, ABC):
    """A derivation whose student is a smaller network of the teacher's kind: some of its channels, some of its blocks.

    A subclass says in `pick` how much smaller.
    """

    def inherit(self, teacher: Network, student: Network) -> None:
        inherit(teacher, student)

    def refuse(self, teacher: Network, student: Network) -> None:
        inherit(teacher, copy.deepcopy(student))

    def partners(self, teacher: Network, student: Network) -> dict[str, str]:
        names = {name for name, _ in weighted(teacher)}
        return {theirs: ours for theirs, ours in paired(teacher, student) if theirs in names}


class Row(NamedTuple):
    """One of the teacher's layers and what stands for it in the student."""

    layer: str
    parameters: tuple[int, int]
    """Teacher's and student's numbers that are not zero."""
    macs: tuple[int, int]
    """Multiply-accumulates for one picture, as the networks compute them: zeros are multiplied like other numbers."""


def weighted(network: nn.Module) -> list[tuple[str, nn.Conv2d | nn.Linear]]:
    """The network's convolutions and linear layers by name, in order."""
    return [(name, one) for name, one in network.named_modules() if isinstance(one, nn.Conv2d | nn.Linear)]


def splits(layer: nn.Conv2d | nn.Linear) -> bool:
    """Whether it is a plain layer: no groups, no dilation, its padding in pixels of zeros."""
    return isinstance(layer, nn.Linear) or (
        layer.groups == 1 and layer.dilation == (1, 1) and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
    )  # fmt: skip


def geometry(layer: nn.Conv2d) -> tuple[tuple[int, int], tuple[int, int]]:
    """Stride and padding in pixels, (down, across) each, of a layer that `splits`."""
    (down, across), padding = layer.stride, layer.padding
    assert not isinstance(padding, str)
    return (down, across), (padding[0], padding[1])


def like(weight: Tensor) -> dict[str, Any]:
    """Where a new layer is made, and of which numbers: as the old one."""
    return {"device": weight.device, "dtype": weight.dtype}


def put(network: nn.Module, name: str, layer: nn.Module) -> None:
    """Put a layer where another one stands."""
    above, _, last = name.rpartition(".")
    setattr(network.get_submodule(above), last, layer)


def report(derivation: Derivation, teacher: Network, student: Network, shape: tuple[int, ...]) -> list[Row]:
    """Parameters and multiply-accumulates layer by layer; norms and biases outside layers are not counted."""
    partners = derivation.partners(teacher, student)
    counts = _macs(teacher, shape), _macs(student, shape)
    rows = []
    for name, layer in weighted(teacher):
        other = partners.get(name)
        numbers = 0 if other is None else _numbers(student.get_submodule(other))
        macs = 0 if other is None else counts[1].get(other, 0)
        rows.append(Row(name, (_numbers(layer), numbers), (counts[0].get(name, 0), macs)))
    return rows


@torch.no_grad()
def errors(derivation: Derivation, teacher: Network, student: Network, images: Tensor) -> dict[str, float]:
    """How far each replaced layer is off: |student's - teacher's| / |teacher's| output, on the teacher's own inputs.

    `images` (N, *shape). Layers with another shape than the teacher's, or that were left alone, are not in it.
    """
    partners = derivation.partners(teacher, student)
    found: dict[str, float] = {}
    hooks = []
    for name, layer in weighted(teacher):
        other = student.get_submodule(partners[name]) if name in partners else layer
        if type(other) is type(layer):
            continue

        def compare(
            _: nn.Module, inputs: tuple[Tensor], output: Tensor, name: str = name, other: nn.Module = other
        ) -> None:
            apart = torch.linalg.vector_norm(other(inputs[0]) - output)
            found[name] = float(apart / torch.linalg.vector_norm(output).clamp(min=1e-12))

        hooks.append(layer.register_forward_hook(compare))
    modes = teacher.training, student.training
    try:
        teacher.eval(), student.eval()
        teacher.look(images)
    finally:
        for hook in hooks:
            hook.remove()
        teacher.train(modes[0]), student.train(modes[1])
    return found


@torch.no_grad()
def settle(network: nn.Module, images: Tensor, *, batch: int = 128) -> None:
    """Measure the running statistics of all batch norms anew, as plain means over the batches of (N, *shape).

    A layer that was cut or approximated gives other means and variances than those that the teacher's norms remember.
    """
    norms = [one for one in network.modules() if isinstance(one, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    mode, momenta = network.training, [one.momentum for one in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    network.train()
    for piece in _full(images, batch):
        network(piece)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.train(mode)


def _full(images: Tensor, batch: int) -> Iterator[Tensor]:
    """Full batches only, for a last one of few pictures would count as much as the others."""
    batch = min(batch, len(images))
    for start in range(0, len(images) - batch + 1, batch):
        yield images[start : start + batch]


def _numbers(module: nn.Module) -> int:
    return sum(int(torch.count_nonzero(one)) for one in module.parameters())


@torch.no_grad()
def _macs(network: Network, shape: tuple[int, ...]) -> dict[str, int]:
    """Multiply-accumulates by the name of the module in which they happen."""
    mode = network.training
    network.eval()
    device = next(network.parameters()).device
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, *shape, device=device))  # called as a module: else its own name is missing
    network.train(mode)
    found: dict[str, int] = {}
    for name, flops in counter.get_flop_counts().items():
        found[name.partition(".")[2]] = sum(flops.values()) // 2
    return found
