"""A recipe in, events out. The engine touches no disk; whoever iterates decides what becomes of the events."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from kdcore.catalog import catalog
from kdcore.check import faults
from kdcore.dataset import DataError
from kdcore.events import (
    Event,
    Failed,
    Finished,
    Hardest,
    PhaseStarted,
    Pictures,
    Scored,
    Snapshot,
    Started,
    Step,
)  # fmt: skip
from kdcore.preview import Preview
from kdcore.recipe import Recipe, RecipeError
from kdcore.scheme import Phase
from kdcore.scoring import Score, logits_of, pictures_of, score
from kdcore.stage import Losses, Stage, describe_data, describe_roles, set_stage
from kdcore.training import PhaseRun, Taken

STEPS = 500
"""Step events of one learner in a phase at most."""
MOST_SNAPSHOTS = 200
HARDEST = 12
GAP = 0.2
"""Seconds after which gathered values are fetched from the device and said."""


def run(recipe: Recipe) -> Iterator[Event]:
    """Train as the recipe says: Started (PhaseStarted (Step* Scored Snapshot?)*)+ (Finished | Failed).

    Refusals and losses that are no numbers end in Failed; stopping means iterating no further. Exceptions of the
    machine (memory, disk) are the caller's to say. The same recipe gives the same values on the same machine.
    """
    began = time.time()
    try:
        refuse(recipe)
        stage = set_stage(recipe)
        between = Losses(stage)
        planned = _planned(stage)
        yield Started(
            time.time(), recipe.to_json(), describe_roles(stage), describe_data(stage),
            device=str(stage.device), threads=torch.get_num_threads(), phases=planned,
        )  # fmt: skip
        biases: dict[str, float] = {}
        for number, phase in enumerate(stage.scheme.phases(stage.cast, between)):
            yield from _train(stage, phase, number, biases)
        results: dict[str, dict[str, Any]] = {}
        right: dict[str, Tensor] = {}
        for role in stage.cast:
            tested = _score(stage, role, "test", bias=biases.get(role))
            yield _scored(tested, role, "test", number, 0, 0.0)
            validated = _score(stage, role, "validation")
            right[role] = tested.right
            results[role] = {
                "part": stage.castings[role].part,
                "test_accuracy": tested.accuracy,
                "test_loss": tested.loss,
                "validation_accuracy": validated.accuracy,
                "per_class": tested.per_class,
                "hidden": tested.hidden,
                "count": tested.count,
            }
        _pair(results, right)
        yield Finished(time.time(), time.time() - began, results)
    except NotANumber as error:
        yield Failed(
            time.time(), str(error), "Try a lower learning rate, a smaller weight of that term, or another optimiser."
        )
    except (RecipeError, DataError) as error:
        yield Failed(time.time(), str(error))


class NotANumber(ValueError):
    """A loss that is no number any more; the message names the term."""


def refuse(recipe: Recipe) -> None:
    """Raise RecipeError for the first thing that can be said to be wrong without building anything."""
    for fault in faults(recipe, catalog()):
        raise RecipeError(fault.where, fault.text)


def _planned(stage: Stage) -> int:
    """How many phases there will be; this also refuses pairs and parts that do not fit, before anything trains."""
    return sum(1 for _ in stage.scheme.phases(stage.cast, Losses(stage)))


def _train(stage: Stage, phase: Phase, number: int, biases: dict[str, float]) -> Iterator[Event]:
    running = PhaseRun(stage, phase)
    began = time.time()
    yield PhaseStarted(
        began, number, phase.name, phase.title, running.steps, running.epochs, running.learners, _lessons(phase)
    )
    yield _snapshot(stage, phase, number, 0, 0.0, running.learners)
    every = max(1, -(-running.steps // STEPS))
    score_every = max(1, running.epochs // 100)
    keep_every = max(stage.budget.snapshot_every or running.epochs or 1, -(-running.epochs // MOST_SNAPSHOTS))
    hurt = {learner: torch.full((len(running.split),), -1.0, device=stage.device) for learner in running.learners}
    gathered: list[tuple[int, dict[str, Taken], float]] = []
    shown: set[str] = set()
    said = 0.0
    for step in range(1, running.steps + 1):
        taken = _first_step(running) if step == 1 else running.step()
        for learner, one in taken.items():
            hurt[learner][one.places] = one.per_image.float()
        if step % every == 0 or step == 1 or step == running.steps:
            gathered.append((step, taken, time.time()))
        ends_epoch = step % running.epoch_steps == 0
        if gathered and (ends_epoch or step == 1 or time.time() - said > GAP):
            said = time.time()
            yield from _say(running, number, gathered, began)
            gathered = []
        if not ends_epoch:
            continue
        epoch = step // running.epoch_steps
        last = epoch == running.epochs
        if epoch % score_every == 0 or last:
            for learner in running.learners:
                found = _score(stage, learner, "validation")
                if "bias" in found.hidden:
                    biases[learner] = found.hidden["bias"]
                yield _scored(found, learner, "validation", number, step, float(epoch))
            yield from _hardest(stage, running, phase, number, float(epoch), hurt, shown)
        if epoch % keep_every == 0 or last:
            yield _snapshot(stage, phase, number, step, float(epoch), running.learners)
    if not running.steps:
        for learner in running.learners:
            yield _scored(_score(stage, learner, "validation"), learner, "validation", number, 0, 0.0)


def _say(
    running: PhaseRun, number: int, gathered: list[tuple[int, dict[str, Taken], float]], began: float
) -> list[Event]:
    """Step events of what was gathered, fetched from the device in one go. Raises NotANumber."""
    found: list[Event] = []
    values = torch.cat(
        [torch.cat([one.loss.view(1), one.raw]).float() for _, taken, _ in gathered for one in taken.values()]
    ).tolist()
    place = 0
    turns = {turn.learner: turn for turn in running.phase.turns}
    for step, taken, when in gathered:
        pace = step * running.batch / max(when - began, 1e-6)
        for learner in taken:
            names, weights = running.names(turns[learner])
            loss, raw = values[place], values[place + 1 : place + 1 + len(names)]
            place += 1 + len(names)
            for name, value in zip(names, raw, strict=True):
                if not math.isfinite(value):
                    raise NotANumber(
                        f"the term {name} of the {learner} became {value} at step {step} of phase {running.phase.name}"
                    )
            if not math.isfinite(loss):
                raise NotANumber(
                    f"the loss of the {learner} became {loss} at step {step} of phase {running.phase.name}"
                )
            found.append(
                Step(
                    when, number, learner, step, step / running.epoch_steps, loss,
                    dict(zip(names, raw, strict=True)),
                    {name: weight * value for name, weight, value in zip(names, weights, raw, strict=True)},
                    rate=pace, learning_rate=taken[learner].learning_rate,
                )
            )  # fmt: skip
    return found


def _score(stage: Stage, role: str, split_name: str, *, bias: float | None = None) -> Score:
    split = stage.data.test if split_name == "test" else stage.data.validation
    return score(
        stage.cast[role], stage.eyes(role, split), split,
        classes=stage.data.classes, hidden=stage.data.hidden, bias=bias,
    )  # fmt: skip


def _scored(found: Score, role: str, split: str, phase: int, step: int, epoch: float) -> Scored:
    return Scored(
        time.time(),
        phase,
        step,
        epoch,
        role,
        split,
        found.accuracy,
        found.loss,
        found.count,
        found.per_class,
        found.hidden,
    )


def _pair(results: dict[str, dict[str, Any]], right: dict[str, Tensor]) -> None:
    """Add to each role's results on how many test pictures it and the student disagree in being right.

    `won`: the student right and it wrong; `lost`: the other way round. The interval of a difference comes from these.
    """
    if "student" not in right:
        return
    for role, found in results.items():
        found["won"] = int((right["student"] & ~right[role]).sum())
        found["lost"] = int((~right["student"] & right[role]).sum())


def _snapshot(stage: Stage, phase: Phase, number: int, step: int, epoch: float, roles: list[str]) -> Snapshot:
    tensors: dict[str, Tensor] = {}
    for role in roles:
        for name, value in stage.cast[role].state_dict().items():
            tensors[f"role/{role}/{name}"] = value.detach().to("cpu", copy=True).contiguous()
    for turn in phase.turns:
        for lesson in turn.lessons:
            for name, value in lesson.objective.state_dict().items():
                tensors[f"part/{lesson.student}|{lesson.teacher}/{name}"] = (
                    value.detach().to("cpu", copy=True).contiguous()
                )
    return Snapshot(time.time(), number, step, epoch, f"{number}-{step}", list(roles), tensors)


def _hardest(
    stage: Stage, running: PhaseRun, phase: Phase, number: int, epoch: float, hurt: dict[str, Tensor], shown: set[str]
) -> Iterator[Event]:
    """The training pictures with the largest loss of the epoch, and their pixels once."""
    for turn in phase.turns:
        learner, split = turn.learner, running.split
        losses, places = hurt[learner].topk(min(HARDEST, len(split)))
        teacher = next(
            (lesson.teacher for lesson in turn.lessons if lesson.teacher and ":" not in lesson.teacher), None
        )
        said = logits_of(stage.cast[learner], stage.eyes(learner, split)[places]).argmax(dim=1).tolist()
        told = (
            [None] * len(said)
            if teacher is None or teacher == learner
            else logits_of(stage.cast[teacher], stage.eyes(teacher, split)[places]).argmax(dim=1).tolist()
        )
        images = [
            {"index": index, "loss": loss, "label": label, "truth": truth, "said": one, "teacher": other}
            for index, loss, label, truth, one, other in zip(
                split.index[places].tolist(), losses.tolist(), split.labels[places].tolist(),
                split.truth[places].tolist(), said, told, strict=True,
            )
        ]  # fmt: skip
        fresh = {
            index: picture for index, picture in pictures_of(stage.data, split, places).items() if index not in shown
        }
        shown.update(fresh)
        if fresh:
            yield Pictures(time.time(), fresh)
        yield Hardest(time.time(), number, epoch, learner, images)


def _lessons(phase: Phase) -> list[dict[str, object]]:
    return [
        {
            "student": lesson.student, "teacher": lesson.teacher, "kind": lesson.kind, "share": lesson.share,
            "parts": lesson.objective.describe(),
        }
        for turn in phase.turns
        for lesson in turn.lessons
    ]  # fmt: skip


def rehearse(recipe: Recipe) -> Preview:
    """What the recipe would come to: sizes, matched layers, expected seconds from a few timed steps of each phase."""
    wrong = faults(recipe, catalog())
    if wrong:
        return Preview(faults=[{"where": fault.where, "text": fault.text} for fault in wrong])
    try:
        began = time.perf_counter()
        stage = set_stage(recipe)
        setting = time.perf_counter() - began
        phases: list[dict[str, Any]] = []
        silent: list[str] = []
        for phase in stage.scheme.phases(stage.cast, Losses(stage)):
            running = PhaseRun(stage, phase)
            if running.steps:
                _first_step(running)
                silent += silent_terms(stage, phase, running)
            phases.append(
                {
                    "name": phase.name, "title": phase.title, "steps": running.steps, "epochs": running.epochs,
                    "learners": running.learners, "seconds": _timed(stage, running), "lessons": _lessons(phase),
                }
            )  # fmt: skip
        return Preview(
            roles=describe_roles(stage), data=describe_data(stage), phases=phases,
            seconds=setting + sum(phase["seconds"] for phase in phases),
            warnings=[*silent, *_warnings(stage)],
        )  # fmt: skip
    except RecipeError as error:
        return Preview(faults=[{"where": error.where, "text": error.text}])
    except DataError as error:
        return Preview(faults=[{"where": "data", "text": str(error)}])


def _first_step(running: PhaseRun) -> dict[str, Taken]:
    """The first step, in which a method may find that it cannot take what it gets. Raises RecipeError for that."""
    try:
        return running.step()
    except ValueError as error:
        raise RecipeError("methods", str(error)) from error


def silent_terms(stage: Stage, phase: Phase, running: PhaseRun) -> list[str]:
    """A sentence for each distillation term that moves no weight of its learner (attention without a plane, say)."""
    found = []
    places = torch.arange(running.batch, device=stage.device)
    for turn in phase.turns:
        network = stage.cast[turn.learner]
        learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
        for lesson in turn.lessons:
            if lesson.teacher is None:
                continue
            for name, values in running.terms(turn, lesson, places).items():
                method, term = name.split(".", 1)
                if term in lesson.objective.methods[method].own_terms:  # type: ignore[operator]
                    continue
                gradients = torch.autograd.grad(values.mean(), learned, retain_graph=True, allow_unused=True)
                if all(gradient is None or float(gradient.abs().max()) < 1e-12 for gradient in gradients):
                    found.append(
                        f"{name} gives the {lesson.student} no gradient: it teaches nothing here. "
                        "Maps of 1×1 have no plane to attend to: choose other layers, another network or method."
                    )
    return found


def _timed(stage: Stage, running: PhaseRun) -> float:
    """Expected seconds of a phase: a few steps after one to warm up, and one scoring an epoch."""
    if not running.steps:
        return 0.0
    times: list[float] = []
    while len(times) < 12 and sum(times) < 0.15:
        began = time.perf_counter()
        taken = running.step()
        float(next(iter(taken.values())).loss)
        times.append(time.perf_counter() - began)
    began = time.perf_counter()
    for learner in running.learners:
        _score(stage, learner, "validation")
    scoring = time.perf_counter() - began
    return sorted(times)[len(times) // 2] * running.steps + 1.5 * scoring * min(running.epochs, 100)


def _warnings(stage: Stage) -> list[str]:
    """What may disappoint without being wrong."""
    found = []
    sizes = {role: sum(p.numel() for p in network.deployed().parameters()) for role, network in stage.cast.items()}
    if "teacher" in sizes and sizes["student"] > sizes["teacher"]:
        found.append(
            f"The student ({sizes['student']:,} parameters) is larger than the teacher ({sizes['teacher']:,}): "
            "fine for a what-if, unusual for compression."
        )
    if "teacher" in stage.cast and stage.budget.teacher_epochs == 0:
        found.append("With teacher_epochs=0 the teacher stays as random as it starts.")
    data = stage.recipe.data.settings
    plain = not data.get("label_noise") and data.get("labelled", 1.0) == 1.0 and data.get("hidden_class", -1) < 0
    if stage.recipe.data.key == "digits" and plain:
        found.append("On clean, fully labelled digits even a tiny student learns everything alone: expect no gain.")
    labelled = int((stage.data.train.labels >= 0).sum())
    if labelled < stage.data.classes:
        found.append(f"Only {labelled} labelled pictures for {stage.data.classes} classes.")
    return found
