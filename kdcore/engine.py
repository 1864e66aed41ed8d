"""A recipe in, events out. The engine touches no disk; whoever iterates decides what becomes of the events."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from kdcore.catalog import catalog
from kdcore.check import faults
from kdcore.dataset import DataError
from kdcore.events import (
    Checkpoint,
    Event,
    Failed,
    Finished,
    Foundation,
    Gradients,
    Hardest,
    Note,
    PhaseStarted,
    Pictures,
    Scored,
    Shown,
    Snapshot,
    Started,
    Step,
)  # fmt: skip
from kdcore.foundation import Foundations, Laid, key_of, nothing
from kdcore.memory import kept_logits
from kdcore.network import Network
from kdcore.recipe import Recipe, RecipeError
from kdcore.scheme import Phase, Turn
from kdcore.scoring import Score, logits_of, pictures_of, score
from kdcore.stage import Losses, Stage, describe_data, describe_roles, seeded, set_stage
from kdcore.start import Start, everything, tensors_of
from kdcore.training import PhaseRun, Taken

STEPS = 500
"""Step events of one learner in a phase at most."""
MOST_SNAPSHOTS = 200
HARDEST = 12
CHECKPOINT = 5.0
"""Seconds between checkpoints at least."""
WORTH = 50
"""Writing a checkpoint may take one part in so many of the time."""
NOTHING = 1e-9
"""A gradient shorter than this is rounding."""
GAP = 0.2
"""Seconds after which gathered values are fetched from the device and said."""


def run(
    recipe: Recipe, *, start: Start | None = None, laid: Foundations = nothing, checkpoint_every: float = CHECKPOINT
) -> Iterator[Event]:
    """Train as the recipe says: Started (PhaseStarted (Step* Scored Snapshot?)*)+ (Finished | Failed).

    With `start` it goes on from there: an interrupted run says only what is left to say, bit for bit what it would have
    said; a fork says Started and, of the phases that it skips, where they stand. Phases that `laid` knows from another
    run are told as they were and not trained again. `checkpoint_every` is in seconds.
    Refusals and losses that are no numbers end in Failed; stopping means iterating no further. Exceptions of the
    machine (memory, disk) are the caller's to say. The same recipe gives the same values on the same machine.
    """
    began = time.time()
    try:
        refuse(recipe)
        if recipe.parent is not None and start is None:
            raise RecipeError("parent", f"run {recipe.parent.run}, from which this one goes on, is not at hand")
        stage = set_stage(recipe)
        between = Losses(stage)
        planned = _planned(stage)
        if start is not None:
            start.load_roles(stage)
        if start is None or start.fork:
            yield Started(
                time.time(), recipe.to_json(), describe_roles(stage), describe_data(stage),
                device=str(stage.device), threads=torch.get_num_threads(), phases=planned,
            )  # fmt: skip
        biases = {role: bias for role in stage.cast if start and (bias := start.bias(role)) is not None}
        clock = Clock(checkpoint_every)
        for number, phase in enumerate(stage.scheme.phases(stage.cast, between)):
            if start is not None and number < start.phase:
                if start.fork:
                    yield from _skipped(stage, phase, number)
                continue
            here = start if start is not None and number == start.phase else None
            key = key_of(stage, phase, number)
            found = laid(key) if key and here is None else None
            if found is not None:
                yield from _taken_over(stage, phase, number, biases, key, found)
                continue
            yield from _train(stage, phase, number, biases, clock, here)
            if key:
                yield Foundation(time.time(), number, key, phase.turns[0].learner)
        results: dict[str, dict[str, Any]] = {}
        right: dict[str, Tensor] = {}
        for role in stage.cast:
            tested = _score(stage, role, "test", bias=biases.get(role), look=kept_logits)
            yield _scored(tested, role, "test", number, 0, 0.0)
            validated = _score(stage, role, "validation", look=kept_logits)
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


class Clock:
    """When a checkpoint is due: every so many seconds, and seldom enough that writing costs little."""

    def __init__(self, every: float) -> None:
        self._every = every
        self._due = time.time() + every

    def due(self) -> bool:
        return time.time() >= self._due

    def wrote(self, seconds: float) -> None:
        """It took so many seconds to write the last one."""
        self._due = time.time() + max(self._every, WORTH * seconds if self._every else 0.0)


class NotANumber(ValueError):
    """A loss that is no number any more; the message names the term."""


def refuse(recipe: Recipe) -> None:
    """Raise RecipeError for the first thing that can be said to be wrong without building anything."""
    for fault in faults(recipe, catalog()):
        raise RecipeError(fault.where, fault.text)


def _planned(stage: Stage) -> int:
    """How many phases there will be; this also refuses pairs and parts that do not fit, before anything trains."""
    return sum(1 for _ in stage.scheme.phases(stage.cast, Losses(stage)))


def _skipped(stage: Stage, phase: Phase, number: int) -> Iterator[Event]:
    """What a fork says of a phase that was trained before it began."""
    learners = [turn.learner for turn in phase.turns]
    roles = [learner for learner in learners if learner in stage.cast]
    yield PhaseStarted(time.time(), number, phase.name, phase.title, 0, 0, learners, lessons_of(phase))
    yield Snapshot(time.time(), number, 0, 0.0, f"{number}-0", roles, tensors_of(stage, phase, None, roles))
    for role in roles:
        yield _scored(_score(stage, role, "validation"), role, "validation", number, 0, 0.0)


def _taken_over(
    stage: Stage, phase: Phase, number: int, biases: dict[str, float], key: str, found: Laid
) -> Iterator[Event]:
    """A phase that another run trained: said as that run said it, with the weights that it came to."""
    learner = phase.turns[0].learner
    stage.cast[learner].load_state_dict(found.weights)
    for event in found.events():
        if isinstance(event, Scored) and "bias" in event.hidden:
            biases[learner] = event.hidden["bias"]
        yield replace(event, time=time.time()) if hasattr(event, "time") else event  # type: ignore[call-arg]
    yield Foundation(time.time(), number, key, learner, taken=True)
    yield Note(
        time.time(), f"“{phase.title}” was taken over from run {found.run}: same data, network, budget and seed."
    )


def _train(
    stage: Stage, phase: Phase, number: int, biases: dict[str, float], clock: Clock, start: Start | None
) -> Iterator[Event]:
    torch.manual_seed(seeded(stage.recipe, f"phase {number}"))
    running = PhaseRun(stage, phase)
    done = 0
    if start is not None:
        start.load_roles(stage)  # again: lessons may have added to networks when the phase was made
        done = start.load_rest(running, phase)
    began = time.time()
    if start is None or start.fork:
        yield PhaseStarted(
            began,
            number,
            phase.name,
            phase.title,
            running.steps,
            running.epochs,
            running.learners,
            lessons_of(phase),
            list(phase.moving),
        )
        yield _snapshot(stage, phase, running, number, done)
    if start is None:
        yield from _show(phase, number, 0, 0.0)
    every = max(1, -(-running.steps // STEPS))
    score_every = max(1, running.epochs // 100)
    keep_every = max(stage.budget.snapshot_every or running.epochs or 1, -(-running.epochs // MOST_SNAPSHOTS))
    count = 0 if running.split is None else len(running.split)
    hurt = {learner: torch.full((count,), -1.0, device=stage.device) for learner in running.roles if count}
    for learner, losses in hurt.items():
        if start is not None and (kept := start.hurt(learner)) is not None and kept.shape == losses.shape:
            losses.copy_(kept)
    gathered: list[tuple[int, dict[str, Taken], float]] = []
    shown: set[str] = set()
    said = 0.0
    for step in range(done + 1, running.steps + 1):
        taken = first_step(running) if step == 1 else running.step()
        for learner, one in taken.items():
            if one.places is not None and learner in hurt:
                hurt[learner][one.places] = one.per_image.float()
        apart = any(one.gradients is not None for one in taken.values())
        if step % every == 0 or step == 1 or step == running.steps or apart:
            gathered.append((step, taken, time.time()))
        ends_epoch = step % running.epoch_steps == 0
        if gathered and (ends_epoch or step == done + 1 or time.time() - said > GAP):
            said = time.time()
            yield from _say(running, number, gathered, began, done)
            gathered = []
        if not ends_epoch:
            continue
        epoch = step // running.epoch_steps
        last = epoch == running.epochs
        if epoch % score_every == 0 or last:
            for learner in running.roles:
                found = _score(stage, learner, "validation")
                if "bias" in found.hidden:
                    biases[learner] = found.hidden["bias"]
                yield _scored(found, learner, "validation", number, step, float(epoch))
            if count:
                yield from _hardest(stage, running, phase, number, float(epoch), hurt, shown)
            yield from _show(phase, number, step, float(epoch))
        if epoch % keep_every == 0 or last:
            yield _snapshot(stage, phase, running, number, step)
        if clock.due() and not last:
            writing = time.time()
            tensors = everything(stage, phase, running, hurt=hurt, biases=biases)
            yield Checkpoint(time.time(), number, step, tensors)
            clock.wrote(time.time() - writing)
    if not running.steps:
        for learner in running.roles:
            yield _scored(_score(stage, learner, "validation"), learner, "validation", number, 0, 0.0)


def _show(phase: Phase, number: int, step: int, epoch: float) -> Iterator[Event]:
    """The scheme's own pictures at this moment."""
    for place, answer in enumerate(phase.shows() if phase.shows is not None else ()):
        name = f"{number}-{step}-{place}"
        yield Shown(time.time(), number, step, epoch, name, type(answer).__name__, answer.title, answer.to_bytes())


def _say(
    running: PhaseRun, number: int, gathered: list[tuple[int, dict[str, Taken], float]], began: float, done: int
) -> list[Event]:
    """Step events of what was gathered, fetched from the device in one go. Raises NotANumber."""
    found: list[Event] = []
    each = [one for _, taken, _ in gathered for one in taken.values()]
    parts = [torch.cat([one.loss.view(1), one.raw]).float() for one in each]
    parts += [one.gradients for one in each if one.gradients is not None]
    values = torch.cat(parts).tolist()
    place, apart = 0, sum(1 + len(one.raw) for one in each)
    turns = {turn.learner: turn for turn in running.phase.turns}
    for step, taken, when in gathered:
        pace = (step - done) * running.batch / max(when - began, 1e-6)
        epoch = step / running.epoch_steps
        for learner, one in taken.items():
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
                    when, number, learner, step, epoch, loss,
                    dict(zip(names, raw, strict=True)),
                    {name: weight * value for name, weight, value in zip(names, weights, raw, strict=True)},
                    rate=pace, learning_rate=one.learning_rate,
                )
            )  # fmt: skip
            if one.gradients is not None:
                *lengths, cosine = (
                    value if math.isfinite(value) else None for value in values[apart : apart + len(names) + 1]
                )
                apart += len(names) + 1
                told = dict(zip(names, lengths, strict=True))
                found.append(Gradients(when, number, learner, step, epoch, told, cosine))
                if step == 1:
                    found += _broken(running, turns[learner], told, when)
    return found


def _broken(running: PhaseRun, turn: Turn, lengths: dict[str, float | None], when: float) -> list[Event]:
    """A Note for each term of a method that should teach the learner and gives it no gradient.

    Terms that schemes write themselves have no point in their names; they may well be silent at first, and so may those
    of a lesson that is given only at times, and those of labels in a batch that has none.
    """
    own = running.own_terms(turn)
    at_times = {
        name for lesson in turn.lessons for name, method in lesson.objective.methods.items()
        if not lesson.objective.steady or getattr(method, "family", "") == "labels"
    }  # fmt: skip
    return [
        Note(
            when,
            f"{name} gives the {turn.learner} no gradient in the phase {running.phase.name!r}: it teaches nothing.",
        )
        for name, length in lengths.items()
        if length is not None and length < NOTHING and "." in name
        and (plain := name.rpartition(": ")[2]) not in own and plain.partition(".")[0] not in at_times
    ]  # fmt: skip


def _score(
    stage: Stage, role: str, split_name: str, *, bias: float | None = None,
    look: Callable[[Network, Tensor], Tensor] = logits_of,
) -> Score:  # fmt: skip
    split = stage.data.test if split_name == "test" else stage.data.validation
    return score(
        stage.cast[role], stage.eyes(role, split), split,
        classes=stage.data.classes, hidden=stage.data.hidden, bias=bias, look=look,
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


def _snapshot(stage: Stage, phase: Phase, running: PhaseRun, number: int, step: int) -> Snapshot:
    return Snapshot(
        time.time(), number, step, step / running.epoch_steps, f"{number}-{step}", running.roles,
        tensors_of(stage, phase, running, running.roles),
    )  # fmt: skip


def _hardest(
    stage: Stage, running: PhaseRun, phase: Phase, number: int, epoch: float, hurt: dict[str, Tensor], shown: set[str]
) -> Iterator[Event]:
    """The training pictures with the largest loss of the epoch, and their pixels once."""
    assert running.split is not None
    for turn in phase.turns:
        learner, split = turn.learner, running.split
        if learner not in hurt:
            continue
        losses, places = hurt[learner].topk(min(HARDEST, len(split)))
        tellers = [lesson.teacher for lesson in turn.lessons if lesson.teacher and ":" not in lesson.teacher]
        teacher = next(iter([*tellers, *(role for role in turn.told_by if role in stage.cast)]), None)
        said = logits_of(stage.cast[learner], stage.eyes(learner, split)[places]).argmax(dim=1).tolist()
        told = (
            [None] * len(said)
            if teacher is None or teacher == learner
            else running.memories[teacher].logits[places].argmax(dim=1).tolist()
            if teacher in running.memories
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


def lessons_of(phase: Phase) -> list[dict[str, Any]]:
    """Who teaches whom in the phase, how, and with which parts of a loss, as events and plans say it."""
    found: list[dict[str, Any]] = [
        {
            "student": lesson.student, "teacher": lesson.teacher, "kind": lesson.kind, "share": lesson.share,
            "parts": lesson.objective.describe(),
        }
        for turn in phase.turns
        for lesson in turn.lessons
    ]  # fmt: skip
    return found + [
        {"student": turn.learner, "teacher": teacher, "kind": "knowledge", "share": 1.0, "parts": []}
        for turn in phase.turns
        for teacher in turn.told_by
        if turn.learner not in (lesson.student for lesson in turn.lessons if lesson.teacher == teacher)
    ]  # fmt: skip


def first_step(running: PhaseRun) -> dict[str, Taken]:
    """The first step, in which a method may find that it cannot take what it gets. Raises RecipeError for that."""
    try:
        return running.step()
    except ValueError as error:
        raise RecipeError("methods", str(error)) from error
