"""Weights of few bits: quantisers, a network that computes with quantised weights, and those weights packed.

While it learns, a network keeps float master weights, computes with their quantised image, and lets the gradient pass
straight through the rounding. What is deployed are the whole numbers and one scale for each output channel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.func import functional_call

from kdcore.network import Network
from kdcore.recipe import RecipeError
from kdcore.vocabulary import Seen

QUANTISERS = ("auto", "uniform", "learned", "ternary", "binary")
ENDS_BITS = 8
"""Bits of the first and last layer, which few bits hurt most."""
Layers = nn.Conv2d | nn.Linear


@dataclass(frozen=True)
class Codes:
    """A quantised weight: whole numbers times one scale for each output channel."""

    numbers: Tensor
    """(outputs, …) int8."""
    scale: Tensor
    """(outputs, 1, …) float32."""
    bits: int
    """In which each number is kept."""

    def values(self) -> Tensor:
        """The weights that they stand for."""
        return self.numbers * self.scale


@dataclass(frozen=True)
class Quantiser:
    """Equal steps, or -a, 0, a (ternary), or -a, a (binary). One scale for each output channel.

    uniform: symmetric, 2**bits - 1 levels, the largest weight is the last one. learned: 2**bits levels, and the size of
    the step is trained with the weights (Esser et al. 2020, https://arxiv.org/abs/1902.08153): with few bits a step
    from the largest weight rounds most of the others to zero.
    """

    kind: str
    bits: int

    def codes(self, weight: Tensor, step: Tensor | None = None) -> Codes:
        """The nearest whole numbers, (outputs, …), with these steps, (outputs,), where they are learned."""
        rows = weight.detach().flatten(1)
        shape = (-1, *([1] * (weight.ndim - 1)))
        size = rows.abs()
        if self.kind == "learned":
            scale = first_step(weight, self.bits) if step is None else step.detach()
            numbers = (rows / scale.unsqueeze(1)).clamp(*self._ends()).round()
        elif self.kind == "binary":
            numbers = torch.where(rows >= 0, 1.0, -1.0)
            scale = size.mean(dim=1)
        elif self.kind == "ternary":
            large = size > 0.7 * size.mean(dim=1, keepdim=True)
            numbers = rows.sign() * large
            scale = (size * large).sum(dim=1) / large.sum(dim=1).clamp(min=1)
        else:
            most = 2 ** (self.bits - 1) - 1
            scale = size.amax(dim=1) / most
            numbers = (rows / scale.clamp(min=torch.finfo(rows.dtype).tiny).unsqueeze(1)).round().clamp(-most - 1, most)
        return Codes(numbers.to(torch.int8).view_as(weight), scale.view(shape), self.bits)

    def straight(self, weight: Tensor, step: Tensor | None = None) -> Tensor:
        """The quantised weight, with the gradient of the weight itself; with a step, that of clipping and step too."""
        if step is None:
            return weight + (self.codes(weight).values() - weight).detach()
        few = 1.0 / math.sqrt(weight[0].numel() * max(1, self._ends()[1]))  # as large as the weights' gradients
        size = (step * few + (step - step * few).detach()).view(-1, *([1] * (weight.ndim - 1)))
        place = (weight / size).clamp(*self._ends())
        return (place + (place.round() - place).detach()) * size

    def _ends(self) -> tuple[int, int]:
        """The lowest and the highest whole number of a learned quantiser."""
        return -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1


def first_step(weight: Tensor, bits: int) -> Tensor:
    """Where a learned step begins, (outputs,): twice the mean size over the root of the highest whole number."""
    size = weight.detach().flatten(1).abs().mean(dim=1)
    return (2.0 * size / math.sqrt(2 ** (bits - 1) - 1)).clamp(min=torch.finfo(weight.dtype).tiny)


def chosen(kind: str, bits: int) -> Quantiser:
    """The quantiser for weights of at most so many bits. Raises RecipeError for pairs that cannot be."""
    if kind == "auto":
        kind = "binary" if bits == 1 else "uniform"
    if kind in ("uniform", "learned") and bits == 1:
        raise RecipeError(
            "scheme.bits",
            f"bits=1: {kind} steps need 2 bits or more (with 1 nothing above zero is left); the binary quantiser is "
            "right for 1 bit, the ternary one for 2",
        )
    if kind == "ternary" and bits == 1:
        raise RecipeError("scheme.bits", "bits=1: three values need 2 bits; the binary quantiser is right for 1 bit")
    return Quantiser(kind, {"binary": 1, "ternary": 2}.get(kind, bits))


class Quantised(Network):
    """A network that computes with quantised weights of its convolutions and linear layers; activations stay float."""

    title = "Quantised"

    def __init__(self, base: Network, quantiser: Quantiser, *, ends: str = "8 bits") -> None:
        super().__init__()
        self.base, self.layers = base, base.layers
        names = [name for name, layer in base.named_modules() if isinstance(layer, Layers)]
        gentle = Quantiser("uniform", ENDS_BITS)
        self.quantisers = {
            f"{name}.weight": gentle if ends == "8 bits" and place in (0, len(names) - 1) else quantiser
            for place, name in enumerate(names)
        }
        """By the names of the base's weights."""
        self.learned = [name for name, one in self.quantisers.items() if one.kind == "learned"]
        """The weights whose steps are learned."""
        weights = dict(base.named_parameters())
        self.log_steps = nn.ParameterList(
            nn.Parameter(first_step(weights[name], self.quantisers[name].bits).log()) for name in self.learned
        )
        """(outputs,) each. As logarithms, a rate of training means the same for large and small steps, and no step
        can become negative."""
        if all(one is gentle for one in self.quantisers.values()):
            raise RecipeError(
                "student",
                f"its {len(names)} layers are first and last ones, which keep 8 bits, so the bits would change "
                "nothing; a deeper student is right, or ends='as the rest'",
            )

    def build(self, shape: tuple[int, ...], classes: int) -> None:
        """Nothing: the base is built already."""

    def look(self, images: Tensor) -> Seen:
        masters, steps = dict(self.base.named_parameters()), self.steps()
        weights = {
            f"base.{name}": one.straight(masters[name], steps.get(name)) for name, one in self.quantisers.items()
        }
        return functional_call(_Look(self.base), weights, (images,))

    def steps(self) -> dict[str, Tensor]:
        """The learned steps, (outputs,), by the names of the base's weights."""
        return {name: step.exp() for name, step in zip(self.learned, self.log_steps, strict=True)}

    @torch.no_grad()
    def starts_from(self, state: Mapping[str, Tensor]) -> None:
        """Take over the base's float weights; learned steps begin anew from them."""
        self.base.load_state_dict(state)
        masters = dict(self.base.named_parameters())
        for name, step in zip(self.learned, self.log_steps, strict=True):
            step.copy_(first_step(masters[name], self.quantisers[name].bits).log())

    def deployed(self) -> Network:
        """The base, whose own weights are the float masters; `settled` gives what is deployed."""
        return self.base

    def codes(self) -> dict[str, Codes]:
        """The whole numbers of each quantised weight, by its name in the base."""
        masters, steps = dict(self.base.named_parameters()), self.steps()
        return {name: one.codes(masters[name], steps.get(name)) for name, one in self.quantisers.items()}

    def settled(self) -> dict[str, Tensor]:
        """The base's state with the weights that are deployed: whole numbers times scales."""
        return {**self.base.state_dict(), **{name: one.values() for name, one in self.codes().items()}}


class _Look(nn.Module):
    """A network whose call is a look, for calls with other weights."""

    def __init__(self, base: Network) -> None:
        super().__init__()
        self.base = base

    def forward(self, images: Tensor) -> Seen:
        return self.base.look(images)


def quantised_in(network: nn.Module) -> Quantised | None:
    """The quantised network, where this is one or something was added around one."""
    return next((one for one in network.modules() if isinstance(one, Quantised)), None)


def packed(network: Quantised) -> dict[str, Tensor]:
    """What is kept on disk: whole numbers packed into bytes, their scales, and the other numbers as floats.

    Each weight becomes name, "|"-separated shape and bits, (bytes,) uint8, and name + "|scale".
    """
    codes = network.codes()
    found = {
        name: value.detach().cpu().contiguous()
        for name, value in network.base.state_dict().items()
        if name not in codes and not name.endswith("num_batches_tracked")
    }
    for name, one in codes.items():
        shape = "x".join(str(size) for size in one.numbers.shape)
        found[f"{name}|{shape}|{one.bits}"] = _bytes_of(one.numbers.cpu(), one.bits)
        found[f"{name}|scale"] = one.scale.detach().float().flatten().cpu().contiguous()
    return found


def unpacked(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The base's weights from what `packed` made, without the counters of batch norms."""
    weights = {name: value for name, value in found.items() if "|" not in name}
    for name, value in found.items():
        weight, _, rest = name.partition("|")
        if not rest or rest == "scale":
            continue
        shape = [int(size) for size in rest.split("|")[0].split("x")]
        numbers = _numbers_of(value, int(rest.split("|")[1]), math.prod(shape)).view(shape)
        weights[weight] = numbers * found[f"{weight}|scale"].view(-1, *([1] * (len(shape) - 1)))
    return weights


def sizes(network: Quantised) -> dict[str, int]:
    """Bytes of the files: the network in float32, and packed."""
    plain = {
        name: value.detach().cpu().contiguous()
        for name, value in network.base.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    return {"float32": len(save(plain)), "packed": len(save(packed(network)))}


def _bytes_of(numbers: Tensor, bits: int) -> Tensor:
    """Whole numbers of so many bits as a row of bytes, the last one filled with zeros."""
    places = torch.arange(bits)
    plain = numbers.flatten().int() + 2 ** (bits - 1) if bits > 1 else (numbers.flatten() > 0).int()
    row = (plain.unsqueeze(1) >> places & 1).flatten()
    row = torch.cat([row, row.new_zeros(-len(row) % 8)]).view(-1, 8)
    return (row << torch.arange(8)).sum(dim=1).to(torch.uint8)


def _numbers_of(row: Tensor, bits: int, count: int) -> Tensor:
    """The whole numbers in a row of bytes, (count,) int32."""
    each = (row.int().unsqueeze(1) >> torch.arange(8) & 1).flatten()[: count * bits].view(count, bits)
    plain = (each << torch.arange(bits)).sum(dim=1)
    return plain - 2 ** (bits - 1) if bits > 1 else 2 * plain - 1
