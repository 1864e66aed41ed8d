"""Many students in one stacked computation against one after another: `python tests/benchmarks/stacked.py [STUDENTS]`.

The students of a temperature grid take the same steps twice: each by itself, as a grid trains them, and with all
forward and backward passes of the networks as one (`torch.func`: weights stacked, batched products and grouped
convolutions), losses and optimisers still one after another. Prints processor time per step of all students, the ratio,
and how far the weights have drifted apart after three steps; on a GPU where there is one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from kdcore.recipe import Recipe
from kdcore.stage import Losses, set_stage
from kdcore.training import PhaseRun
from kdcore.vocabulary import Batch, Seen

CASES = {
    "mlp": Recipe(),
    "convolutions": Recipe().with_setting("student", {"is": "plain", "width": 8}),
}


class Looking(nn.Module):
    """A network's look as plain tensors, which `vmap` can stack."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        seen: Seen = self.network.look(images)  # type: ignore[operator]
        return (seen.logits, seen.embedding, *seen.maps, *seen.preacts)


class Stacked:
    """Students of one shape whose weights lie in one tensor for each parameter; each network holds views of its own."""

    def __init__(self, runs: list[PhaseRun]) -> None:
        self.runs = runs
        networks = [run.stage.cast["student"] for run in runs]
        self.own = [dict(network.named_parameters()) for network in networks]
        self.weights = {f"network.{name}": _together([one[name] for one in self.own]) for name in self.own[0]}
        self.buffers = {
            f"network.{name}": _together([dict(network.named_buffers())[name] for network in networks])
            for name, _ in networks[0].named_buffers()
        }
        for weight in self.weights.values():
            weight.requires_grad_()
        looking = Looking(networks[0])
        self._look = vmap(lambda p, b, x: functional_call(looking, (p, b), (x,)), in_dims=(0, 0, None))

    def step(self) -> None:
        drawn = []
        for run in self.runs:
            run._set_rate()
            drawn.append(run._draw())
            run._wake_all()
        epoch, places = drawn[0][False]
        batch = self.runs[0]._batch("student", places, epoch, 0)
        seen = [tensor.unbind(0) for tensor in self._look(self.weights, self.buffers, batch.images)]
        losses = [
            self._loss(run, [tensor[place] for tensor in seen], batch, places, epoch)
            for place, run in enumerate(self.runs)
        ]
        torch.stack(losses).sum().backward()
        for place, run in enumerate(self.runs):
            for name, parameter in self.own[place].items():
                gradient = self.weights[f"network.{name}"].grad
                assert gradient is not None
                parameter.grad = gradient[place]
            run._stepping[0].step()
            run._stepping[0].clear()
            run.done += 1
        for weight in self.weights.values():
            weight.grad = None

    @staticmethod
    def _loss(run: PhaseRun, tensors: list[Tensor], batch: Batch, places: Tensor | None, epoch: int) -> Tensor:
        logits, embedding, *layers = tensors
        half = len(layers) // 2
        student = Seen(logits, tuple(layers[:half]), tuple(layers[half:]), embedding)
        loss = logits.new_zeros(())
        for lesson in run.phase.turns[0].lessons:
            told = student
            if lesson.teacher is not None:
                told = run._teacher(lesson, batch, places, epoch, {"student": student})
            for name, values in lesson.objective(student, told, batch).items():
                loss = loss + lesson.objective.weight_of(name) * lesson.share * values.mean()
        return loss


def _together(each: list[Tensor]) -> Tensor:
    stacked = torch.stack([one.data for one in each])
    for place, one in enumerate(each):
        one.data = stacked[place]
    return stacked


def prepared(recipe: Recipe) -> PhaseRun:
    """The student's phase, before its first step; the teacher has not learned, which costs the same."""
    stage = set_stage(recipe)
    phases = list(stage.scheme.phases(stage.cast, Losses(stage)))
    return PhaseRun(stage, next(phase for phase in reversed(phases) if phase.turns[0].learner == "student"))


def milliseconds(step: Callable[[], None], count: int = 4) -> float:
    began = time.process_time()
    for _ in range(count):
        step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return 1000 * (time.process_time() - began) / count


def main(students: int) -> None:
    torch.set_num_threads(1)
    for name, recipe in CASES.items():
        recipes = [recipe.with_setting("methods.0.temperature", 2.0 + place / 4) for place in range(students)]
        alone, stacked = [prepared(one) for one in recipes], Stacked([prepared(one) for one in recipes])

        def each(runs: list[PhaseRun] = alone) -> None:
            for run in runs:
                run.step()

        for _ in range(3):
            each()
            stacked.step()
        apart = max(
            float((value - other).abs().max())
            for one, its in zip(alone, stacked.own, strict=True)
            for value, other in zip(one.stage.cast["student"].parameters(), its.values(), strict=True)
        )
        pairs = [(milliseconds(each), milliseconds(stacked.step)) for _ in range(9)]
        first, second = min(one for one, _ in pairs), min(one for _, one in pairs)
        print(
            f"{name}, {students} students: one after another {first:.2f} ms, stacked {second:.2f} ms, "
            f"{first / second:.2f} times; weights {apart:.1e} apart after three steps"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 16)
