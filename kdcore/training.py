"""One phase of training, step by step: forward, terms, backward, optimiser. It says nothing and touches no disk."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kdcore.dataset import Split, augment
from kdcore.looking import LIVE, PARTS, look, look_frozen, with_parts
from kdcore.objective import Objective
from kdcore.scheme import Lesson, Phase, Turn
from kdcore.stage import Stage
from kdcore.vocabulary import Batch, Seen

MEMORY = 2**30
"""Bytes that a frozen teacher's kept outputs may take; above that the teacher looks at every batch again."""


class TeacherMemory:
    """What a frozen teacher makes of every training picture, computed once: the largest saving there is here.

    Only the fields that the methods read are kept; the others come back empty.
    """

    def __init__(self, stage: Stage, role: str, split: Split, reads: set[str]) -> None:
        images, network = stage.eyes(role, split), stage.cast[role]
        network.eval()
        pieces: list[Seen] = []
        with torch.no_grad():
            for start in range(0, len(split), 512):
                seen = network.look(images[start : start + 512])
                keep = "maps" in reads, "preacts" in reads
                pieces.append(
                    Seen(
                        seen.logits,
                        seen.maps if keep[0] else tuple(features.new_empty(0) for features in seen.maps),
                        seen.preacts if keep[1] else tuple(features.new_empty(0) for features in seen.preacts),
                        seen.embedding,
                    )
                )
        self.logits = torch.cat([piece.logits for piece in pieces])
        self.embedding = torch.cat([piece.embedding for piece in pieces])
        self.maps = tuple(torch.cat(layer) for layer in zip(*(piece.maps for piece in pieces), strict=True))
        self.preacts = tuple(torch.cat(layer) for layer in zip(*(piece.preacts for piece in pieces), strict=True))
        parts = with_parts(network, pieces[0], reads, still=True)
        self.classifier, self.parameters = parts.classifier, parts.parameters

    def at(self, places: Tensor) -> Seen:
        """What the teacher saw at these rows of the split."""

        def rows(kept: Tensor) -> Tensor:
            return kept.index_select(0, places) if len(kept) else kept

        return Seen(
            rows(self.logits), tuple(map(rows, self.maps)), tuple(map(rows, self.preacts)), rows(self.embedding),
            classifier=self.classifier, parameters=self.parameters,
        )  # fmt: skip

    @staticmethod
    def size(seen: Seen, reads: set[str], pictures: int) -> int:
        """Bytes that it would take for so many pictures, from what was seen of one batch."""
        kept = [seen.logits, seen.embedding]
        kept += list(seen.maps) if "maps" in reads else []
        kept += list(seen.preacts) if "preacts" in reads else []
        return sum(tensor[0].numel() * tensor.element_size() for tensor in kept) * pictures


@dataclass
class Taken:
    """What one learner's step came to, still on the device."""

    loss: Tensor
    """() weighted sum of means."""
    raw: Tensor
    """(terms,) means."""
    per_image: Tensor
    """(N,) weighted sum of the distillation terms, or of the label terms where nothing is distilled."""
    places: Tensor
    """(N,) rows of the split."""
    learning_rate: float = 0.0


class PhaseRun:
    """The optimisers, kept teacher outputs and data order of one phase."""

    def __init__(self, stage: Stage, phase: Phase) -> None:
        self.stage, self.phase = stage, phase
        budget, data = stage.budget, stage.data
        self.split: Split = data.teacher_train if phase.pictures == "teacher" else data.train
        self.epochs = budget.teacher_epochs if phase.budget == "teacher" else budget.epochs
        self.rate = budget.teacher_rate if phase.budget == "teacher" else budget.rate
        self.batch = stage.batch_of(self.split)
        self.epoch_steps = max(1, len(self.split) // self.batch)
        self.steps = self.epochs * self.epoch_steps
        self.done = 0
        self.labelled = (self.split.labels >= 0).nonzero().flatten()
        self.learners = list(dict.fromkeys(turn.learner for turn in phase.turns))
        self.reads = {turn.learner: set().union(*(lesson.objective.reads for lesson in turn.lessons))
                      for turn in phase.turns}  # fmt: skip
        self.optimizers = {number: self._optimizer(turn) for number, turn in enumerate(phase.turns)}
        self.memories = self._remember()
        self.labels_only = {
            turn.learner: all(lesson.objective.uses_labels_only for lesson in turn.lessons) for turn in phase.turns
        }
        self.orders = {only: self._places(only) for only in set(self.labels_only.values())}

    def _optimizer(self, turn: Turn) -> torch.optim.Optimizer:
        """One for the learner and the learned parts of its lessons; matrices decay, biases and norms do not."""
        modules: list[nn.Module] = [self.stage.cast[turn.learner], *(lesson.objective for lesson in turn.lessons)]
        parameters = [parameter for module in modules for parameter in module.parameters() if parameter.requires_grad]
        budget = self.stage.budget
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": budget.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
        if budget.optimizer == "sgd":
            return torch.optim.SGD(groups, lr=self.rate, momentum=0.9, nesterov=True, fused=True)
        return torch.optim.AdamW(groups, lr=self.rate, fused=True)

    def _remember(self) -> dict[str, TeacherMemory]:
        """A memory for each teacher that does not learn in this phase, where pictures stay as they are and it fits."""
        reads: dict[str, set[str]] = {}
        for turn in self.phase.turns:
            for lesson in turn.lessons:
                if lesson.teacher is not None and ":" not in lesson.teacher and lesson.teacher not in self.learners:
                    reads.setdefault(lesson.teacher, set()).update(lesson.objective.reads)
        if self.stage.data.augmentation != "none":
            return {}
        found = {}
        for role, fields in reads.items():
            if LIVE in fields:
                continue
            network = self.stage.cast[role]
            network.eval()
            with torch.no_grad():
                seen = network.look(self.stage.eyes(role, self.split)[:2])
            if self.epochs > 1 and TeacherMemory.size(seen, fields, len(self.split)) <= MEMORY:
                found[role] = TeacherMemory(self.stage, role, self.split, fields)
        return found

    def _places(self, labelled_only: bool) -> Iterator[tuple[int, Tensor]]:
        """(epoch, rows of the split) for step after step: a fresh order each epoch, full batches only.

        A turn that needs labels goes through the labelled pictures alone, in as many steps as the others.
        """
        rows = self.labelled if labelled_only else torch.arange(len(self.split), device=self.split.labels.device)
        if len(rows) == 0:
            raise ValueError("no picture has a label; a phase that learns from labels needs some")
        batch = min(self.batch, len(rows))
        epoch = 0
        while True:
            generator = torch.Generator().manual_seed(self.stage.recipe.seed * 100_003 + epoch)
            order = rows[torch.randperm(len(rows), generator=generator).to(rows.device)]
            for start in range(0, len(order) - batch + 1, batch):
                yield epoch, order[start : start + batch]
            epoch += 1

    def names(self, turn: Turn) -> tuple[list[str], list[float]]:
        """The terms of a turn by the names that Step events use, and their weights. Known after the first step."""
        return self._named[turn.learner]

    _named: dict[str, tuple[list[str], list[float]]]

    def step(self) -> dict[str, Taken]:
        """One optimiser step of every learner, in the phase's order."""
        if self.done == 0:
            self._named = {}
        progress = self.done / max(1, self.steps)
        factor = 0.5 * (1 + math.cos(math.pi * progress)) if self.stage.budget.schedule == "cosine" else 1.0
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = self.rate * factor
        drawn = {only: next(places) for only, places in self.orders.items()}
        for learner in self.learners:
            self.stage.cast[learner].train()
        found: dict[str, Taken] = {}
        shared: dict[str, Seen] = {}
        if self.phase.update == "simultaneous":
            self._refuse_live()
            epoch, places = drawn[False]
            for learner in self.learners:
                shared[learner] = self.stage.cast[learner].look(self._images(learner, places, epoch))
        for number, turn in enumerate(self.phase.turns):
            epoch, places = drawn[self.labels_only[turn.learner]]
            found[turn.learner] = self._take(number, turn, epoch, places, progress, shared)
        self.done += 1
        return found

    def _refuse_live(self) -> None:
        """Raise ValueError for methods that read what a peer's step would change under the others' hands."""
        wanted = sorted(field for reads in self.reads.values() for field in reads if field in (LIVE, *PARTS))
        if wanted:
            raise ValueError(
                f"a method here reads {wanted[0]} of networks that all step at once, and the first step changes them; "
                "update='sequential' lets it"
            )

    def _images(self, role: str, places: Tensor, epoch: int) -> Tensor:
        images = self.stage.eyes(role, self.split).index_select(0, places)
        if self.stage.data.augmentation != "none":
            images = augment(
                images, self.split.index.index_select(0, places),
                kind=self.stage.data.augmentation, seed=self.stage.recipe.seed, epoch=epoch,
            )  # fmt: skip
        if images.ndim == 4 and images.shape[1] > 1:
            images = images.contiguous(memory_format=torch.channels_last)
        return images

    def _take(
        self, number: int, turn: Turn, epoch: int, places: Tensor, progress: float, shared: dict[str, Seen]
    ) -> Taken:
        learner = turn.learner
        images = self._images(learner, places, epoch)
        reads = self.reads[learner]
        seen = dict(shared) if shared else {learner: look(self.stage.cast[learner], images, reads)}
        batch = Batch(
            images, self.split.labels.index_select(0, places), self.split.index.index_select(0, places), progress
        )
        names: list[str] = []
        weights: list[float] = []
        terms: list[Tensor] = []
        distilled: list[bool] = []
        teachers = {lesson.teacher for lesson in turn.lessons if lesson.teacher is not None}
        for lesson in turn.lessons:
            student = self.stage.view(lesson.student, seen)
            teacher = student if lesson.teacher is None else self._teacher(lesson, learner, places, epoch, seen)
            objective: Objective = lesson.objective
            for name, values in objective(student, teacher, batch).items():
                label = name
                if ":" in lesson.student:
                    label = f"exit {int(lesson.student.partition(':')[2]) + 1}: {name}"
                elif len(teachers) > 1 and lesson.teacher is not None:
                    label = f"from {lesson.teacher}: {name}"
                names.append(label)
                weights.append(objective.weight_of(name) * lesson.share)
                distilled.append(lesson.teacher is not None)
                terms.append(values)
        if learner not in self._named:
            self._named[learner] = (names, weights)
        loss = torch.stack([weight * values.mean() for weight, values in zip(weights, terms, strict=True)]).sum()
        optimizer = self.optimizers[number]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            raw = torch.stack([values.mean() for values in terms])
            counted = [i for i, told in enumerate(distilled) if told or not any(distilled)]
            per_image = torch.stack([weights[i] * terms[i] for i in counted]).sum(dim=0)
        return Taken(loss.detach(), raw, per_image, places, optimizer.param_groups[0]["lr"])

    def terms(self, turn: Turn, lesson: Lesson, places: Tensor) -> dict[str, Tensor]:
        """Raw terms of one lesson at these rows, with their graph and without a step, in eval mode."""
        images = self._images(turn.learner, places, 0)
        network = self.stage.cast[turn.learner].eval()
        seen = {turn.learner: look(network, images, self.reads[turn.learner])}
        batch = Batch(images, self.split.labels.index_select(0, places), self.split.index.index_select(0, places))
        teacher = self._teacher(lesson, turn.learner, places, 0, seen)
        return lesson.objective(self.stage.view(lesson.student, seen), teacher, batch)

    def _teacher(self, lesson: Lesson, learner: str, places: Tensor, epoch: int, seen: dict[str, Seen]) -> Seen:
        """What a lesson's teacher makes of the batch, without gradient but, where that is read, on its pictures."""
        assert lesson.teacher is not None
        view, reads = lesson.teacher, lesson.objective.reads
        role = view.partition(":")[0]
        if role in seen:
            found = self.stage.view(view, seen)
            return found.fixed() if LIVE in reads else found.detach()
        if role in self.memories:
            return self.memories[role].at(places)
        network = self.stage.cast[role]
        network.train(role in self.learners)  # a peer speaks as it trains, with the batch's own statistics
        return self.stage.view(view, {role: look_frozen(network, self._images(role, places, epoch), reads)})
