"""What a recipe would come to, before it is trained: a few steps of each phase, taken and timed. Touches no disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from kdcore.catalog import catalog
from kdcore.check import faults
from kdcore.dataset import DataError
from kdcore.engine import first_step, lessons_of
from kdcore.foundation import key_of
from kdcore.frozen_teachers import rooms
from kdcore.looking import look_frozen
from kdcore.preview import Preview
from kdcore.recipe import Recipe, RecipeError
from kdcore.scheme import Phase
from kdcore.scoring import logits_of
from kdcore.speed import FAST
from kdcore.stage import Losses, Stage, describe_data, describe_roles, set_stage
from kdcore.training import PhaseRun

LOOKING = replace(FAST, cached_teacher=False)
"""How a plan's steps are timed."""
RATED = 512
"""Validation pictures that a plan scores, at most, to time it."""


def rehearse(recipe: Recipe) -> Preview:
    """What the recipe would come to: sizes, matched layers, expected seconds from a few timed steps of each phase."""
    wrong = faults(recipe, catalog())
    if wrong:
        return Preview(faults=[{"where": fault.where, "text": fault.text} for fault in wrong])
    try:
        stage = set_stage(recipe)
        phases: list[dict[str, Any]] = []
        silent: list[str] = []
        for number, phase in enumerate(stage.scheme.phases(stage.cast, Losses(stage))):
            running = PhaseRun(stage, phase, speed=LOOKING)
            if running.steps:
                first_step(running)
                silent += silent_terms(stage, phase, running)
            phases.append(
                {
                    "name": phase.name, "title": phase.title, "steps": running.steps, "epochs": running.epochs,
                    "learners": running.learners, "seconds": _timed(stage, running), "lessons": lessons_of(phase),
                    "moving": list(phase.moving), "trained": running.numbers(),
                    "shared": key_of(stage, phase, number) if recipe.parent is None else "",
                    "terms": {turn.learner: running.names(turn)[0] for turn in phase.turns} if running.steps else {},
                }
            )  # fmt: skip
        return Preview(
            roles=describe_roles(stage), data=describe_data(stage), phases=phases,
            seconds=sum(phase["seconds"] for phase in phases),
            warnings=[*silent, *_warnings(stage)],
        )  # fmt: skip
    except RecipeError as error:
        return Preview(faults=[{"where": error.where, "text": error.text}])
    except DataError as error:
        return Preview(faults=[{"where": "data", "text": str(error)}])


def silent_terms(stage: Stage, phase: Phase, running: PhaseRun) -> list[str]:
    """A sentence for each distillation term that moves no weight of its learner (attention without a plane, say)."""
    found = []
    places = torch.arange(running.batch, device=stage.device)
    for turn in phase.turns:
        if turn.learner not in stage.cast or turn.only == "parts" or running.split is None:
            continue
        network = stage.cast[turn.learner]
        learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
        for lesson in turn.lessons:
            if lesson.teacher is None or not lesson.objective.steady:  # one that is silent at times may be so just now
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
    """Expected seconds of a phase: from a few steps after one to warm up, and scoring some pictures.

    Teachers look in these steps; where what they say is kept, what they need is taken off again but for the epochs in
    which they look. To keep what a large teacher says of all pictures would take longer than anyone waits for a plan.
    """
    if not running.steps:
        return 0.0
    times: list[float] = []
    while len(times) < 12 and sum(times) < 0.15:
        times.append(_seconds(stage, running.step))
    step = sorted(times)[len(times) // 2]
    spared = 0.0
    if running.showing is not None:
        for role, room in rooms(stage, running.phase, running.showing).items():
            images = running.showing.images(role, torch.arange(running.batch, device=stage.device), 0)
            look = _seconds(stage, partial(look_frozen, stage.cast[role].eval(), images))
            spared += look * (running.epochs - room.looks(running.epochs)) / running.epochs
    count = len(stage.data.validation)
    part = min(count, RATED)
    scoring = sum(
        _seconds(stage, partial(logits_of, stage.cast[role], stage.eyes(role, stage.data.validation)[:part]))
        for role in running.roles
    )
    return max(step - spared, 0.1 * step) * running.steps + 1.5 * scoring * count / part * min(running.epochs, 100)


def _seconds(stage: Stage, work: Callable[[], object]) -> float:
    """What doing it takes, to its end."""
    began = time.perf_counter()
    work()
    if stage.device.type == "cuda":
        torch.cuda.synchronize(stage.device)
    return time.perf_counter() - began


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
    if stage.recipe.data.key == "digits" and plain and stage.scheme.kind != "lifelong":
        found.append("On clean, fully labelled digits even a tiny student learns everything alone: expect no gain.")
    labelled = int((stage.data.train.labels >= 0).sum())
    if labelled < stage.data.classes:
        found.append(f"Only {labelled} labelled pictures for {stage.data.classes} classes.")
    return found
