"""Optimiser steps without the bookkeeping around them: for small networks that costs more than the step itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

STATE = {
    torch.optim.SGD: ("momentum_buffer",),
    torch.optim.Adam: ("exp_avg", "exp_avg_sq", "step"),
}
"""Optimiser -> what it keeps of each parameter, as torch names it. AdamW is an Adam."""


@dataclass(frozen=True)
class Group:
    """A group of an optimiser whose state has been looked up."""

    settings: dict[str, Any]
    moved: list[Tensor]
    """Those that have had a gradient."""
    still: list[Tensor]
    """Those that never had one."""
    state: list[list[Tensor]]
    """For each name of STATE, in its order, one tensor for each of `moved`."""


class Stepping:
    """Takes the steps of a fused SGD, Adam or AdamW of torch: the same kernels with the same numbers, bit for bit.

    torch's own step gathers and groups the state of all parameters anew each time. Here that is done once, for as long
    as the optimiser keeps its state and the same parameters have gradients; otherwise torch's own step is taken.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self._of: object = None
        self._groups: list[Group] = []

    def clear(self) -> None:
        """Forget all gradients."""
        for group in self.optimizer.param_groups:
            for one in group["params"]:
                one.grad = None

    def step(self) -> None:
        """Change the parameters by their gradients."""
        gradients = [[one.grad for one in group.moved] for group in self._groups]
        as_known = (
            self._of is self.optimizer.state
            and not any(one is None for found in gradients for one in found)
            and not any(one.grad is not None for group in self._groups for one in group.still)
        )
        if not as_known:
            self.optimizer.step()
            self._gather()
            return
        with torch.no_grad():
            for group, found in zip(self._groups, gradients, strict=True):
                _change(self.optimizer, group, found)  # type: ignore[arg-type]

    def _gather(self) -> None:
        """Remember where the state lies, if the optimiser is one whose kernel is known here."""
        self._of, self._groups = None, []
        optimizer = self.optimizer
        names = next((names for kind, names in STATE.items() if isinstance(optimizer, kind)), None)
        groups = []
        for settings in optimizer.param_groups:
            moved = [one for one in settings["params"] if optimizer.state.get(one)]
            still = [one for one in settings["params"] if not optimizer.state.get(one)]
            kept = [optimizer.state[one] for one in moved]
            if names is None or not settings["fused"] or any(set(one) != set(names) for one in kept):
                return
            if len({one.dtype for one in moved}) > 1 or any(one.device.type != "cpu" for one in moved):
                return  # measured on processors alone; elsewhere torch's own step is taken
            groups.append(Group(settings, moved, still, [[one[name] for one in kept] for name in names]))
        self._of, self._groups = optimizer.state, groups


def _change(optimizer: torch.optim.Optimizer, group: Group, gradients: list[Tensor]) -> None:
    settings = group.settings
    if not group.moved:
        return
    if isinstance(optimizer, torch.optim.SGD):
        torch._fused_sgd_(
            group.moved, gradients, group.state[0], weight_decay=settings["weight_decay"],
            momentum=settings["momentum"], lr=settings["lr"], dampening=settings["dampening"],
            nesterov=settings["nesterov"], maximize=settings["maximize"], is_first_step=False,
        )  # fmt: skip
        return
    kernel = torch._fused_adamw_ if isinstance(optimizer, torch.optim.AdamW) else torch._fused_adam_
    averages, squares, steps = group.state
    torch._foreach_add_(steps, 1)
    kernel(
        group.moved, gradients, averages, squares, [], steps, amsgrad=False, lr=settings["lr"],
        beta1=settings["betas"][0], beta2=settings["betas"][1], weight_decay=settings["weight_decay"],
        eps=settings["eps"], maximize=settings["maximize"],
    )  # fmt: skip
