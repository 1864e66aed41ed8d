"""A smaller network of the same kind takes over the teacher's weights: some of its channels, some of its blocks."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.fx import Node, Tracer

from kdcore.network import Network

NORMS = (nn.BatchNorm2d,)


@dataclass
class Wiring:
    """Which layers share their channels: those that are added to each other have them in one order."""

    reads: dict[str, str] = field(default_factory=dict)
    """Layer -> the group of channels that it reads."""
    makes: dict[str, str] = field(default_factory=dict)
    """Layer, or norm -> the group that it gives."""
    _same: dict[str, str] = field(default_factory=dict)

    def group(self, name: str) -> str:
        """The group's one name."""
        while name in self._same:
            name = self._same[name]
        return name

    def join(self, one: str, other: str) -> None:
        one, other = self.group(one), self.group(other)
        if one != other:
            self._same[other] = one


def wiring(network: Network) -> Wiring:
    """Found by following a picture through the network, without computing. Raises ValueError where that fails."""
    try:
        graph = Tracer().trace(network)
    except Exception as error:  # the tracer raises whatever the network's own code raises on a stand-in
        raise ValueError(f"{type(network).title} cannot be narrowed: its wiring cannot be followed") from error
    found, at = Wiring(), dict[Node, str]()
    modules = dict(network.named_modules())
    for node in graph.nodes:
        before = [at[one] for one in node.all_input_nodes if one in at]
        if node.op == "placeholder":
            at[node] = "input"
            continue
        if not before:
            continue
        at[node] = before[0]
        name = str(node.target)
        if node.op == "call_module":
            module = modules[name]
            if isinstance(module, nn.Conv2d | nn.Linear):
                found.reads[name] = before[0]
                if not isinstance(module, nn.Conv2d) or module.groups == 1:
                    at[node] = name  # a filter for each channel alone leaves them in their order
                found.makes[name] = at[node]
            elif isinstance(module, NORMS):
                found.makes[name] = before[0]
            elif next(module.parameters(), None) is not None:
                kind = type(module).__name__
                raise ValueError(f"{type(network).title} cannot be narrowed: nobody said how to cut a {kind}")
        elif node.target in (operator.add, operator.iadd, torch.add, "add", "add_"):
            for other in before[1:]:
                found.join(before[0], other)
        elif len(set(map(found.group, before))) > 1:
            raise ValueError(f"{type(network).title} cannot be narrowed: it joins channels by {node.target}")
    return found


def paired(teacher: nn.Module, student: nn.Module, at: tuple[str, str] = ("", "")) -> Iterator[tuple[str, str]]:
    """Names of layers and norms of the teacher, and of the student, that stand for each other.

    Of a longer row of blocks the first is kept, which changes width and plane, and of the others evenly spaced ones up
    to the last.
    """
    if isinstance(student, nn.Conv2d | nn.Linear | nn.modules.batchnorm._BatchNorm | nn.LayerNorm):
        if type(student) is type(teacher):
            yield at
        return
    theirs, ours = dict(teacher.named_children()), dict(student.named_children())
    if len(theirs) == len(ours):
        pairs = [(name, name) for name in ours if name in theirs]
    else:
        rows = [[name for name, one in side.items() if any(True for _ in one.parameters())] for side in (theirs, ours)]
        pairs = [(rows[0][place], mine) for place, mine in zip(kept(len(rows[0]), len(rows[1])), rows[1], strict=True)]
    for name, mine in pairs:
        below = f"{at[0]}.{name}".lstrip("."), f"{at[1]}.{mine}".lstrip(".")
        yield from paired(theirs[name], ours[mine], below)


def kept(long: int, short: int) -> list[int]:
    """The places of a row of `long` that a row of `short` has: the first, and evenly spaced others up to the last."""
    if short > long:
        raise ValueError(
            f"a part of the student has {short} blocks where the teacher's has {long}: it is no part of it"
        )
    if short == 1:
        return [0]
    return [0, *torch.linspace(1, long - 1, short - 1).round().long().tolist()]


@torch.no_grad()
def inherit(teacher: Network, student: Network) -> list[str]:
    """Give the student the teacher's weights, in place; gives back the student's layers that keep their own start.

    Where the student is narrower it takes the strongest channels: those with the largest filters after the norm that
    follows, summed over all layers that share the channels. A layer that reads channels which the teacher's layer never
    read keeps its random start. Raises ValueError for a student that is larger somewhere, or of another kind.
    """
    if type(teacher) is not type(student):
        raise ValueError(f"weights go from {type(teacher).title} to the same kind, not to {type(student).title}")
    theirs, ours = dict(teacher.named_modules()), dict(student.named_modules())
    pairs = {mine: other for other, mine in paired(teacher, student)}
    state, given = student.state_dict(), teacher.state_dict()
    if all(
        state[f"{mine}.{name}"].shape == value.shape
        for mine, other in pairs.items() for name, value in theirs[other].state_dict().items()
    ):  # fmt: skip
        for key in state:  # only blocks are missing: whatever the network is made of, it can be taken over
            module, _, name = key.rpartition(".")
            source = f"{pairs[module]}.{name}" if module in pairs else key
            if source in given and given[source].shape == state[key].shape:
                state[key] = given[source]
        student.load_state_dict(state)
        return []
    wires = wiring(student)
    chosen = _chosen(wires, pairs, theirs, ours)
    fresh = []
    for mine, other in pairs.items():
        layer, source = ours[mine], theirs[other]
        if mine not in wires.makes:
            raise ValueError(f"{mine} of {type(student).title} stands in no path from pictures to answers")
        out = None if mine == "head" else chosen[wires.group(wires.makes[mine])]
        if isinstance(layer, nn.Conv2d | nn.Linear):
            group = wires.group(wires.reads[mine])
            into = chosen.get(group)
            wide = source.weight.shape[1]
            if isinstance(source, nn.Conv2d) and source.groups > 1:
                into = None
            elif into is not None and len(into.every) != wide:
                fresh.append(mine)
                continue
            weight = source.weight if out is None else source.weight[out.places]
            layer.weight.copy_(weight if into is None else weight[:, into.places])
            if layer.bias is not None:
                layer.bias.copy_(source.bias if out is None else source.bias[out.places])
        elif out is not None:
            for name, value in source.state_dict().items():
                target = layer.state_dict()[name]
                target.copy_(value[out.places] if value.ndim else value)
    return fresh


@dataclass(frozen=True)
class Chosen:
    """Channels of a group of the teacher that the student has."""

    places: Tensor
    """(kept,) in rising order."""
    every: Tensor
    """(all,) how strong each is."""


def _chosen(
    wires: Wiring, pairs: dict[str, str], theirs: dict[str, nn.Module], ours: dict[str, nn.Module]
) -> dict[str, Chosen]:
    """The strongest channels of each group of the student, by the teacher's layers that make them."""
    strengths: dict[str, Tensor] = {}
    sizes: dict[str, int] = {}
    scales = _scales(wires, pairs, theirs)
    for mine, other in pairs.items():
        layer = theirs[other]
        if not isinstance(layer, nn.Conv2d | nn.Linear) or mine == "head" or mine not in wires.makes:
            continue
        group = wires.group(wires.makes[mine])
        strength = torch.linalg.vector_norm(layer.weight.flatten(1), dim=1) * scales.get(mine, 1.0)
        sizes[group] = len(ours[mine].weight)  # type: ignore[arg-type]
        if group in strengths and len(strengths[group]) != len(strength):
            raise ValueError(f"{mine} shares its channels with layers of another width in the teacher")
        strengths[group] = strengths[group] + strength if group in strengths else strength
    found = {}
    for group, strength in strengths.items():
        if sizes[group] > len(strength):
            raise ValueError(f"{group} has {sizes[group]} channels, more than the teacher's {len(strength)}")
        order = strength.argsort(descending=True, stable=True)
        found[group] = Chosen(order[: sizes[group]].sort().values, strength)
    return found


def _scales(wires: Wiring, pairs: dict[str, str], theirs: dict[str, nn.Module]) -> dict[str, Tensor]:
    """What the norm right behind a layer multiplies each of its channels with."""
    found: dict[str, Tensor] = {}
    last = ""
    for mine, other in pairs.items():
        module = theirs[other]
        if isinstance(module, nn.Conv2d | nn.Linear):
            last = mine
        elif isinstance(module, NORMS) and last and wires.makes.get(mine) == wires.makes.get(last):
            assert module.running_var is not None
            found[last] = module.weight.abs() / (module.running_var + module.eps).sqrt()
            last = ""
    return found
