"""Lean optimiser steps are torch's own, bit for bit, whatever happens between them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from kdcore.stepping import Stepping

MAKERS: dict[str, Callable[[list[dict]], torch.optim.Optimizer]] = {
    "adamw": lambda groups: torch.optim.AdamW(groups, lr=0.05, fused=True),
    "adam": lambda groups: torch.optim.Adam(groups, lr=0.05, betas=(0.5, 0.999), fused=True),
    "sgd": lambda groups: torch.optim.SGD(groups, lr=0.05, momentum=0.9, nesterov=True, fused=True),
    "unfused": lambda groups: torch.optim.AdamW(groups, lr=0.05),
    "of another kind": lambda groups: torch.optim.RMSprop(groups, lr=0.05),
}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def groups(of: nn.Sequential) -> list[dict]:
    return [
        {"params": [one for one in of.parameters() if one.ndim > 1], "weight_decay": 0.1},
        {"params": [one for one in of.parameters() if one.ndim == 1], "weight_decay": 0.0},
    ]


def loss(of: nn.Sequential, step: int) -> Tensor:
    generator = torch.Generator().manual_seed(step)
    images = torch.randn(8, 6, generator=generator)
    return (of(images) if step not in (3, 4) else of[0](images)).square().mean()  # 3 and 4 leave the last layer alone


@pytest.mark.parametrize("kind", MAKERS)
def test_the_weights_are_those_of_torchs_own_steps_also_where_gradients_come_and_go(kind: str) -> None:
    ours, theirs = network(), network()
    lean, own = MAKERS[kind](groups(ours)), MAKERS[kind](groups(theirs))
    stepping = Stepping(lean)
    for step in range(8):
        for optimizer in (lean, own):
            for group in optimizer.param_groups:
                group["lr"] = 0.05 / (1 + step)
        stepping.clear()
        loss(ours, step).backward()
        stepping.step()
        own.zero_grad()
        loss(theirs, step).backward()
        own.step()
        if step == 5:  # as when a run goes on from a checkpoint
            lean.load_state_dict(lean.state_dict())
        assert all(torch.equal(one, other) for one, other in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_a_layer_that_wakes_up_late_is_moved_from_then_on() -> None:
    ours, theirs = network(), network()
    lean, own = MAKERS["adamw"](groups(ours)), MAKERS["adamw"](groups(theirs))
    stepping = Stepping(lean)
    for step in (3, 4, 5, 6):
        stepping.clear()
        loss(ours, step).backward()
        stepping.step()
        own.zero_grad()
        loss(theirs, step).backward()
        own.step()
    assert all(torch.equal(one, other) for one, other in zip(ours.parameters(), theirs.parameters(), strict=True))
    assert not torch.equal(ours[2].weight, network()[2].weight)
