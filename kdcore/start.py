"""Where a run begins that does not begin at the beginning: an interrupted one that goes on, or a fork of another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kdcore.recipe import RecipeError
from kdcore.scheme import Phase
from kdcore.stage import Stage
from kdcore.training import PhaseRun


@dataclass(frozen=True)
class Start:
    """The moment and all tensors of it: "role/…", "part/…", "also/…" as snapshots have them, and "state/…"."""

    phase: int
    tensors: Mapping[str, Tensor]
    step: int = 0
    """Steps done in that phase, for a run that goes on."""
    epoch: float = 0.0
    """Epochs done in that phase, for a fork, whose epochs may have other steps."""
    fork: bool = False
    """Whether this is another run's moment, from which a changed recipe goes on with fresh optimisers."""

    def load_roles(self, stage: Stage) -> None:
        """The networks as they were. Raises RecipeError where a fork's network is another one."""
        for role, network in stage.cast.items():
            state = under(self.tensors, f"role/{role}/")
            if not state:
                continue
            try:
                network.load_state_dict(state)
            except RuntimeError as error:
                where = "teacher" if stage.castings[role].part == "teacher" else "student"
                raise RecipeError(
                    where,
                    f"the {role} of this recipe is another network than the one it would go on from; "
                    "begin a run of its own, or leave the network as it was",
                ) from error

    def load_rest(self, running: PhaseRun, phase: Phase) -> int:
        """Learned parts, memories, optimisers; gives back the steps that are done. Raises RecipeError."""
        for turn in phase.turns:
            for lesson in turn.lessons:
                self._load(lesson.objective, f"part/{lesson.student}|{lesson.teacher}/")
        for name, module in running.modules().items():
            self._load(module, f"also/{name}/")
        done = round(self.epoch * running.epoch_steps) if self.fork else self.step
        if self.fork and done >= running.steps:
            raise RecipeError(
                "training.epochs",
                f"the fork begins after {self.epoch:g} epochs of its phase, which has {running.epochs}: "
                "more epochs, or an earlier moment",
            )
        running.go_on(done, {} if self.fork else under(self.tensors, "state/"))
        return done

    def hurt(self, learner: str) -> Tensor | None:
        """The last loss of each training picture."""
        return self.tensors.get(f"hurt/{learner}")

    def bias(self, role: str) -> float | None:
        """What is added to the logit of a hidden class."""
        found = self.tensors.get(f"bias/{role}")
        return None if found is None else float(found)

    def _load(self, module: nn.Module, prefix: str) -> None:
        state = under(self.tensors, prefix)
        own = module.state_dict()
        if self.fork:  # another method has other parts; those begin afresh
            state = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
            module.load_state_dict({**own, **state})
        elif own:
            module.load_state_dict(state)


def under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names begin so, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def everything(
    stage: Stage, phase: Phase, running: PhaseRun, *, hurt: Mapping[str, Tensor], biases: Mapping[str, float]
) -> dict[str, Tensor]:
    """All that going on from this moment needs, as copies on the CPU."""
    found = tensors_of(stage, phase, running, list(stage.cast))
    found.update({f"state/{name}": value for name, value in running.state().items()})
    found.update({f"hurt/{learner}": value.detach().to("cpu", copy=True) for learner, value in hurt.items()})
    found.update({f"bias/{role}": torch.tensor(value) for role, value in biases.items()})
    return found


def tensors_of(stage: Stage, phase: Phase, running: PhaseRun | None, roles: list[str]) -> dict[str, Tensor]:
    """Networks, learned parts and further modules as a snapshot keeps them, copies on the CPU."""
    modules: dict[str, nn.Module] = {f"role/{role}": stage.cast[role] for role in roles}
    for turn in phase.turns:
        for lesson in turn.lessons:
            modules[f"part/{lesson.student}|{lesson.teacher}"] = lesson.objective
    if running is not None:
        modules.update({f"also/{name}": module for name, module in running.modules().items()})
    return {
        f"{prefix}/{name}": value.detach().to("cpu", copy=True).contiguous()
        for prefix, module in modules.items()
        for name, value in module.state_dict().items()
    }
