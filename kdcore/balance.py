"""Equal gradients: the weights at which each method pulls the student as hard as a chosen share of cross-entropy."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kdcore.catalog import METHODS, catalog
from kdcore.check import faults
from kdcore.dataset import Split
from kdcore.looking import LIVE, look, look_frozen
from kdcore.methods.ce import CrossEntropy
from kdcore.objective import Objective
from kdcore.recipe import Pick, Recipe, RecipeError
from kdcore.scheme import Lesson, Phase, Turn
from kdcore.stage import Losses, Stage, set_stage
from kdcore.training import PhaseRun
from kdcore.vocabulary import Batch, Seen

STEPS = 60
"""Steps that teachers learn before the measurement, so that they have something to say."""
PATIENCE = 8.0
"""Seconds that these steps may take, in each phase."""
LABELS = ("ce", "label_smoothing")
"""Methods that are, or stand in for, the cross-entropy that others are measured against; their weights stay."""
LARGEST = 1e7


@dataclass(frozen=True)
class Gradients:
    """Lengths of gradients on all weights of the student, from one batch, before weights."""

    cross_entropy: float
    """Of cross-entropy on the labels, times its weight in the recipe (1 where the recipe has none)."""
    methods: dict[int, float]
    """Place in the recipe, from 0 on -> of that method alone."""


def balance(recipe: Recipe, share: float) -> dict[int, float]:
    """Place of a method in the recipe -> the weight at which its gradient is `share` times cross-entropy's.

    Only methods with a weight above 0, and none of LABELS. Raises RecipeError where that cannot be: a recipe with
    faults, a batch without labels, a method that gives the student no gradient.
    """
    if not (math.isfinite(share) and 0.0 < share <= 100.0):
        raise RecipeError("share", f"share={share} is not a number above 0 and up to 100")
    found = measure(recipe)
    if not found.methods:
        raise RecipeError("methods", "no method with a weight above 0 stands beside cross-entropy; add one")
    if found.cross_entropy <= 0.0:
        raise RecipeError("methods", "cross-entropy gives the student no gradient here, so there is nothing to match")
    weights: dict[int, float] = {}
    for number, length in found.methods.items():
        weight = share * found.cross_entropy / length if length > 0.0 else math.inf
        if not math.isfinite(length) or weight > LARGEST:
            key = recipe.methods[number].method.key
            raise RecipeError(
                f"methods.{number}",
                f"{key} gives the student no gradient worth the name (length {length:.3g}), so no weight balances it; "
                "choose other layers or take it out",
            )
        weights[number] = float(f"{weight:.3g}")
    return weights


def measure(recipe: Recipe) -> Gradients:
    """The gradients of cross-entropy and of every method on the student's weights, at its first step.

    Teachers learn STEPS steps first; a student that learns together with its teachers learns them with it. The
    recipe's weights play no part in what is measured. Raises RecipeError.
    """
    wrong = faults(recipe, catalog())
    if wrong:
        raise RecipeError(wrong[0].where, wrong[0].text)
    places = {name: number for number, name in enumerate(_names(recipe))}
    stage = set_stage(side_by_side(recipe))
    torch.manual_seed(recipe.seed)
    for phase in stage.scheme.phases(stage.cast, Losses(stage)):
        turn = next((turn for turn in phase.turns if _distils(stage, turn)), None)
        learners = {turn.learner for turn in phase.turns}
        if turn is not None:
            if any(lesson.teacher and lesson.teacher.partition(":")[0] in learners for lesson in turn.lessons):
                _learn(stage, phase)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(recipe.seed)
                return _measured(stage, turn, places)
        if any(stage.castings[learner].part != "baseline" for learner in learners):
            _learn(stage, phase)
    raise RecipeError(
        "scheme", f"in {recipe.scheme.key} no student is taught by a teacher, so there is nothing to weigh"
    )


def side_by_side(recipe: Recipe) -> Recipe:
    """The same with no stages of methods' own: all stand beside cross-entropy, so that they can be weighed."""
    methods = tuple(
        replace(part, method=Pick(part.method.key, {**part.method.settings, "own_stage": 0.0}))
        if "own_stage" in METHODS[part.method.key].knobs else part
        for part in recipe.methods
    )  # fmt: skip
    return recipe.replace(methods=methods)


def _names(recipe: Recipe) -> list[str]:
    """The names that methods have in an objective: their keys, numbered from the second of a kind on."""
    keys = [part.method.key for part in recipe.methods]
    return [f"{key}{keys[:n].count(key) + 1}" if keys[:n].count(key) else key for n, key in enumerate(keys)]


def _distils(stage: Stage, turn: Turn) -> bool:
    taught = any(lesson.kind == "knowledge" for lesson in turn.lessons)
    return taught and stage.castings[turn.learner].part in ("student", "peer")


def _learn(stage: Stage, phase: Phase) -> None:
    """A few steps of a phase: as many as it has, STEPS at most, PATIENCE seconds at most."""
    running = PhaseRun(stage, phase)
    until = time.perf_counter() + PATIENCE
    for _ in range(min(STEPS, running.steps)):
        try:
            running.step()
        except ValueError as error:
            raise RecipeError("methods", str(error)) from error
        if time.perf_counter() >= until:
            break


def _measured(stage: Stage, turn: Turn, places: dict[str, int]) -> Gradients:
    """The gradients of one turn on its first batch; labelled pictures come first, since some may have no label."""
    split = stage.data.train
    rows = pictures_measured(stage, split)
    network = stage.cast[turn.learner].train()
    learned: list[Tensor] = [parameter for parameter in network.parameters() if parameter.requires_grad]
    images = stage.eyes(turn.learner, split).index_select(0, rows)
    batch = Batch(images, split.labels.index_select(0, rows), split.index.index_select(0, rows))
    reads = {field for lesson in turn.lessons for field in lesson.objective.reads}
    seen = {turn.learner: look(network, images, reads)}
    sums: dict[int, Tensor] = {}
    reference = 0.0
    for lesson in turn.lessons:
        student = stage.view(lesson.student, seen)
        teacher = student if lesson.teacher is None else _teacher(stage, lesson, split, rows, seen)
        for number, loss in _losses(lesson.objective, student, teacher, batch, places):
            if stage.recipe.methods[number].method.key in LABELS:
                reference = max(reference, _weight(stage.recipe, number) * lesson.share)
            else:
                sums[number] = sums[number] + lesson.share * loss if number in sums else lesson.share * loss
    plain = CrossEntropy()(seen[turn.learner], seen[turn.learner], batch)["ce"].mean()
    return Gradients(
        (reference or 1.0) * _length(plain, learned), {number: _length(loss, learned) for number, loss in sums.items()}
    )


def _losses(
    objective: Objective, student: Seen, teacher: Seen, batch: Batch, places: dict[str, int]
) -> list[tuple[int, Tensor]]:
    """(place in the recipe, sum of the means of its terms that teach the student) for each method."""
    try:
        terms = objective.train()(student, teacher, batch)
    except ValueError as error:
        raise RecipeError("methods", str(error)) from error
    found: dict[int, list[Tensor]] = {}
    for name, values in terms.items():
        method, term = name.split(".", 1)
        if method in places and term not in objective.methods[method].own_terms:  # type: ignore[operator]
            found.setdefault(places[method], []).append(values.mean())
    return [(number, torch.stack(means).sum()) for number, means in found.items()]


def pictures_measured(stage: Stage, split: Split) -> Tensor:
    """Rows of one batch: in the order of a seed, the labelled ones first where some labels are withheld."""
    generator = torch.Generator().manual_seed(stage.recipe.seed)
    order = torch.randperm(len(split), generator=generator).to(split.labels.device)
    known = split.labels.index_select(0, order) >= 0
    if not bool(known.any()):
        raise RecipeError("data.labelled", "no picture has a label, so there is no cross-entropy to compare with")
    return torch.cat([order[known], order[~known]])[: stage.batch_of(split)]


def _teacher(stage: Stage, lesson: Lesson, split: Split, rows: Tensor, seen: dict[str, Seen]) -> Seen:
    assert lesson.teacher is not None
    view, reads = lesson.teacher, lesson.objective.reads
    role = view.partition(":")[0]
    if role in seen:
        found = stage.view(view, seen)
        return found.fixed() if LIVE in reads else found.detach()
    images = stage.eyes(role, split).index_select(0, rows)
    return stage.view(view, {role: look_frozen(stage.cast[role].eval(), images, reads)})


def _weight(recipe: Recipe, number: int) -> float:
    part = recipe.methods[number]
    return METHODS[part.method.key].weight if part.weight is None else part.weight


def _length(loss: Tensor, learned: list[Tensor]) -> float:
    """Length of the gradient on all learned weights together; 0 for a loss that does not reach them."""
    if not loss.requires_grad:
        return 0.0
    parts = torch.autograd.grad(loss, learned, retain_graph=True, allow_unused=True)
    return math.sqrt(sum(float(part.double().square().sum()) for part in parts if part is not None))
