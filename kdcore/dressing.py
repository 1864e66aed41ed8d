"""A scheme's networks with the layers that it puts into them, made again without data and without training."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from kdcore.catalog import NETWORKS, SCHEMES
from kdcore.network import Network
from kdcore.recipe import Pick, Recipe
from kdcore.registry import pick
from kdcore.vocabulary import Seen

CHOICE = "choice"
"""The buffer in which a network that chooses among parts keeps which of them stand."""
LOOKED = 4


def _look(network: Network, shape: tuple[int, ...]) -> Seen:
    """What it makes of a few inputs that are nothing: for shapes."""
    with torch.no_grad():
        return network.look(torch.randn(LOOKED, *shape, generator=torch.Generator().manual_seed(0)))


def as_built(network: Network, shape: tuple[int, ...], classes: int) -> bool:
    """Whether it has the layers that its own knobs give it for such pictures, and no other."""
    plain = type(network)(**network.skeleton(network.settings()))
    with torch.random.fork_rng(devices=[]):
        plain.build(shape, classes)
    return _layers(plain) == _layers(network)


def _layers(network: Network) -> list[tuple[str, type, list[tuple[str, tuple[int, ...]]]]]:
    return [
        (name, type(one), [(key, tuple(value.shape)) for key, value in one.state_dict().items()])
        for name, one in network.named_modules()
    ]


def made_by(recipe: Recipe, role: str, network: Network) -> dict[str, Any]:
    """What `dressed` makes such a network from, JSON-ready: the cast, and which of its parts stand."""
    choice = _choice(network)
    return {
        "scheme": recipe.scheme.to_json(),
        "teacher": recipe.teacher.to_json(),
        "student": recipe.student.to_json(),
        "role": role,
        **({} if choice is None else {CHOICE: choice.tolist()}),
    }


def dressed(made: dict[str, Any], shape: tuple[int, ...], classes: int) -> Network:
    """The role's network as the scheme makes it, deployed and untrained, in eval mode on the CPU.

    Raises ValueError (RecipeError, KnobError, UnknownKey) for what a scheme or network would refuse.
    """
    for name in ("scheme", "teacher", "student"):
        if not isinstance(made.get(name), dict):
            raise ValueError(f"{name}={made.get(name)!r} is no table of settings")
    picks = {name: Pick(str(made[name].get("is", "")), {k: v for k, v in made[name].items() if k != "is"})
             for name in ("scheme", "teacher", "student")}  # fmt: skip
    for role in ("teacher", "student"):
        kind = pick(NETWORKS, picks[role].key, what="network")
        picks[role] = Pick(picks[role].key, kind(**kind.skeleton(picks[role].settings)).settings())
    scheme = pick(SCHEMES, picks["scheme"].key, what="scheme")(**picks["scheme"].settings)
    castings = scheme.cast(teacher=picks["teacher"], student=picks["student"])
    if made.get("role") not in castings:
        raise ValueError(f"role={made.get('role')!r}: the scheme has {', '.join(castings)}")
    cast: dict[str, Network] = {}
    for role, casting in castings.items():
        kind = pick(NETWORKS, casting.network.key, what="network")
        cast[role] = kind(**kind.skeleton(casting.network.settings))
        cast[role].build(shape, classes)
    for role, network in cast.items():  # as a stage does it: a later role may be made of an earlier one
        cast[role] = scheme.dress(role, network.eval(), partial(_look, network, shape))
    found, choice = cast[made["role"]], _choice(cast[made["role"]])
    if choice is not None:
        stands = torch.tensor(made.get(CHOICE, -1))
        if stands.shape != choice.shape or stands.is_floating_point() or bool((stands < 0).any()):
            raise ValueError(f"{CHOICE}={made.get(CHOICE)!r} does not say in whole numbers which parts stand")
        choice.copy_(stands)
    try:
        return found.deployed().eval()
    except IndexError as error:
        raise ValueError(f"{CHOICE}={made.get(CHOICE)!r}: there are not so many parts") from error


def _choice(network: nn.Module) -> Tensor | None:
    """Which of its parts stand, where it chooses among some; methods may have put something around it."""
    return next((one for name, one in network.named_buffers() if name.rpartition(".")[2] == CHOICE), None)
