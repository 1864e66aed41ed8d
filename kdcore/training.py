"""One phase of training, step by step: forward, terms, backward, optimiser. It says nothing and touches no disk."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from kdcore.augmentation import stronger
from kdcore.dataset import Split, augment
from kdcore.frozen_teachers import FrozenTeachers, Showing
from kdcore.looking import LIVE, PARTS, SECOND, frozen, look, look_frozen
from kdcore.memory import TeacherMemory
from kdcore.mixing import mixed, of_both, shares
from kdcore.recipe import RecipeError
from kdcore.scheme import Lesson, Moment, Phase, Turn
from kdcore.speed import FAST, Speed
from kdcore.stage import Stage
from kdcore.stepping import Stepping
from kdcore.taken_apart import taken_apart, taken_whole
from kdcore.view_memory import Drawn
from kdcore.vocabulary import Batch, Seen

MEASURED = 20
"""How often in a phase the gradients of the terms are taken apart, about."""
LEAST_BETWEEN = 10
"""Steps between two such measurements at least: each costs a backward pass for every term."""


@dataclass
class Taken:
    """What one learner's step came to, still on the device."""

    loss: Tensor
    """() weighted sum of means."""
    raw: Tensor
    """(terms,) means."""
    per_image: Tensor
    """(N,) weighted sum of the distillation terms, or of the label terms where nothing is distilled."""
    places: Tensor | None
    """(N,) rows of the split; None for pictures that were made."""
    learning_rate: float = 0.0
    gradients: Tensor | None = None
    """(terms + 1,) where measured: length of each weighted term's gradient on the learner, and the cosine between the
    labels' and the teachers' (NaN where one of them is missing)."""


class PhaseRun:
    """The optimisers, kept teacher outputs and data order of one phase."""

    def __init__(self, stage: Stage, phase: Phase, *, speed: Speed = FAST) -> None:
        self.stage, self.phase, self.speed = stage, phase, speed
        budget, data = stage.budget, stage.data
        if phase.begins is not None:
            phase.begins()
        teachers = phase.pictures == "teacher"
        self.split: Split | None = None
        if phase.supply is None:
            self.split = phase.split() if phase.split is not None else data.teacher_train if teachers else data.train
            if len(self.split) == 0:
                raise RecipeError("data", f"the phase {phase.name!r} has no pictures to learn from")
        epochs = budget.teacher_epochs if phase.budget == "teacher" else budget.epochs
        if data.mix != "none" and any(turn.own is not None for turn in phase.turns):
            raise RecipeError(
                "data.mix", f"mix={data.mix!r}: the scheme's own losses take pictures as they are; 'none' is right here"
            )
        self.epochs = max(1, round(phase.share * epochs)) if epochs else 0
        self.rate = phase.rate * (budget.teacher_rate if phase.budget == "teacher" else budget.rate)
        self.batch = stage.batch_of(data.train if self.split is None else self.split)
        self.epoch_steps = max(1, (len(data.train) if self.split is None else len(self.split)) // self.batch)
        self.steps = self.epochs * self.epoch_steps
        self.measure_every = max(LEAST_BETWEEN, self.steps // MEASURED)
        self.done = 0
        self.learners = list(dict.fromkeys(turn.learner for turn in phase.turns))
        assert len(self.learners) == len(phase.turns), "a phase has one turn for each learner"
        self.roles = [role for role in (*self.learners, *phase.moving) if role in stage.cast]
        """What changes here and can be scored: the learners that are classifiers, and moving averages."""
        self.reads = {turn.learner: set().union(*(lesson.objective.reads for lesson in turn.lessons))
                      for turn in phase.turns}  # fmt: skip
        if not speed.channels_last:
            for network in stage.cast.values():
                network.to(memory_format=torch.contiguous_format)
        self.optimizers = {number: self._optimizer(turn) for number, turn in enumerate(phase.turns)}
        self._stepping = {number: Stepping(optimizer) for number, optimizer in self.optimizers.items()}
        self._awake: list[tuple[nn.Module, bool]] = []
        self._shown: tuple[Tensor, Tensor, int, Tensor] | None = None
        self._draws = 0
        self._drawn: Drawn | None = None
        self.showing = None if self.split is None else Showing(
            self.split, self.epochs, self.batch, self._order, self._images
        )  # fmt: skip
        self._frozen = (
            None if self.showing is None or not speed.cached_teacher
            else FrozenTeachers(stage, phase, self.showing, files=speed.mapped_teacher)
        )  # fmt: skip
        self.memories: Mapping[str, TeacherMemory] = {} if self._frozen is None else self._frozen.whole
        self.labels_only = {
            turn.learner: turn.own is None and all(lesson.objective.uses_labels_only for lesson in turn.lessons)
            for turn in phase.turns
        }
        self.orders = {} if self.split is None else {
            only: self._places(self.split, only) for only in set(self.labels_only.values())
        }  # fmt: skip
        self._named: dict[str, tuple[list[str], list[float]]] = {}

    def modules(self) -> dict[str, nn.Module]:
        """What the phase trains or remembers beside roles and lessons, by its name."""
        return {**self.phase.keeps, **{name: one for turn in self.phase.turns for name, one in turn.also.items()}}

    def numbers(self) -> int:
        """How many numbers the phase's optimisers change: those of the learners and of parts that learn beside them."""
        groups = [group for optimizer in self.optimizers.values() for group in optimizer.param_groups]
        return sum(one.numel() for one in {id(one): one for group in groups for one in group["params"]}.values())

    def _optimizer(self, turn: Turn) -> torch.optim.Optimizer:
        """One for the learner and the learned parts of its lessons; matrices decay, biases and norms do not."""
        parameters = [*self.trained(turn), *(one for lesson in turn.lessons for one in lesson.objective.learned())]
        parameters += [one for module in turn.also.values() for one in module.parameters() if one.requires_grad]
        parameters = list({id(one): one for one in parameters}.values())
        if not parameters:
            raise RecipeError("scheme", f"nothing of the {turn.learner} can learn in the phase {self.phase.name!r}")
        budget, rate = self.stage.budget, self.rate * turn.rate
        if turn.optimizer == "adam":
            return torch.optim.Adam(parameters, lr=rate, betas=(0.5, 0.999), fused=self.speed.fused)
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": budget.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
        if budget.optimizer == "sgd":
            return torch.optim.SGD(groups, lr=rate, momentum=0.9, nesterov=True, fused=self.speed.fused)
        return torch.optim.AdamW(groups, lr=rate, fused=self.speed.fused)

    def trained(self, turn: Turn) -> list[nn.Parameter]:
        """The learner's own parameters that its turn trains."""
        if turn.learner not in self.stage.cast or turn.only == "parts":
            return []
        network = self.stage.cast[turn.learner]
        head = {id(one) for one in self._head(turn).parameters()} if turn.only else set()
        return [
            one for one in network.parameters()
            if one.requires_grad and (not turn.only or (turn.only == "head") == (id(one) in head))
        ]  # fmt: skip

    def _head(self, turn: Turn) -> nn.Module:
        head = getattr(self.stage.cast[turn.learner].deployed(), "head", None)
        if not isinstance(head, nn.Module):
            raise RecipeError(
                "student", f"the {turn.learner} has no classifier that could learn apart from the rest; plain has one"
            )
        return head

    def _wake_all(self) -> None:
        """Training modes for the step. Walking all modules costs: only at an epoch's start, and if one has changed."""
        fresh = not self.speed.lean or self.done % self.epoch_steps == 0 or not self._awake
        if not fresh and all(module.training is mode for module, mode in self._awake):
            return
        for turn in self.phase.turns:
            self._wake(turn)
        woken: dict[int, nn.Module] = {}
        for turn in self.phase.turns:
            roots = [lesson.objective for lesson in turn.lessons] + list(turn.also.values())
            if turn.learner in self.stage.cast:
                roots.append(self.stage.cast[turn.learner])
            woken.update({id(module): module for root in roots for module in root.modules()})
        self._awake = [(module, module.training) for module in woken.values()]

    def _wake(self, turn: Turn) -> None:
        """Training mode for what learns, so that what does not learn keeps its running statistics too."""
        if turn.learner in self.stage.cast:
            network = self.stage.cast[turn.learner].train(turn.only in ("", "backbone"))
            if turn.only == "head":
                self._head(turn).train()
            elif turn.only == "backbone":
                self._head(turn).eval()
            elif not turn.only:
                network.train()
        for lesson in turn.lessons:
            lesson.objective.train()
        for module in turn.also.values():
            module.train()

    def _places(self, split: Split, labelled_only: bool) -> Iterator[tuple[int, Tensor]]:
        """(epoch, rows of the split) for step after step: a fresh order each epoch, full batches only.

        A turn that needs labels goes through the labelled pictures alone, in as many steps as the others.
        """
        known = split.labels >= 0
        rows = known.nonzero().flatten() if labelled_only else torch.arange(len(split), device=split.labels.device)
        if len(rows) == 0:
            raise ValueError("no picture has a label; a phase that learns from labels needs some")
        batch = min(self.batch, len(rows))
        epoch = 0
        while True:
            order = rows[self._order(epoch, len(rows))]
            for start in range(0, len(order) - batch + 1, batch):
                yield epoch, order[start : start + batch]
            epoch += 1

    def _order(self, epoch: int, count: int | None = None) -> Tensor:
        """(count,): in which order an epoch shows so many pictures, all of the split unless it is said."""
        assert self.split is not None
        generator = torch.Generator().manual_seed(self.stage.recipe.seed * 100_003 + epoch)
        order = torch.randperm(len(self.split) if count is None else count, generator=generator)
        return order.to(self.split.labels.device)

    def names(self, turn: Turn) -> tuple[list[str], list[float]]:
        """The terms of a turn by the names that Step events use, and their weights. Known after the first step."""
        return self._named[turn.learner]

    def own_terms(self, turn: Turn) -> set[str]:
        """Terms, by the names of Step events, that train a method's own parts and never the learner."""
        return {
            f"{name}.{term}"
            for lesson in turn.lessons
            for name, method in lesson.objective.methods.items()
            for term in method.own_terms  # type: ignore[union-attr]
        }

    def step(self) -> dict[str, Taken]:
        """One optimiser step of every learner, in the phase's order (`Turn.times` of them)."""
        self._set_rate()
        found: dict[str, Taken] = {}
        shared: dict[str, Seen] = {}
        drawn = self._draw()
        self._wake_all()
        if self.phase.update == "simultaneous":
            self._refuse_live()
            epoch, places = drawn[False]
            assert places is not None
            for learner in self.learners:
                shared[learner] = self.stage.cast[learner].look(self._images(learner, places, epoch))
        for number, turn in enumerate(self.phase.turns):
            for time in range(turn.times):
                if time:
                    drawn = self._draw()
                epoch, places = drawn.get(self.labels_only[turn.learner], (self.done // self.epoch_steps, None))
                found[turn.learner] = self._take(number, turn, epoch, places, shared, time)
        if self.phase.after is not None:
            epoch, places = drawn.get(False) or next(iter(drawn.values()), (self.done // self.epoch_steps, None))
            learner = self.learners[-1]
            with torch.no_grad():
                self.phase.after(self._moment(learner, epoch, places, {}, -1))
        self.done += 1
        return found

    def _draw(self) -> dict[bool, tuple[int, Tensor | None]]:
        found: dict[bool, tuple[int, Tensor | None]] = {only: next(places) for only, places in self.orders.items()}
        epoch, places = found.get(False, (0, None))
        if places is not None:
            self._drawn = Drawn(epoch, self._draws % self.epoch_steps, places)
            self._draws += 1
        return found

    def _set_rate(self) -> None:
        progress = self.done / max(1, self.steps)
        factor = 0.5 * (1 + math.cos(math.pi * progress)) if self.stage.budget.schedule == "cosine" else 1.0
        for number, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = self.rate * self.phase.turns[number].rate * factor

    def state(self) -> dict[str, Tensor]:
        """What going on from here needs beside weights: optimisers and the state of the random numbers."""
        found = {"random": torch.get_rng_state()}
        if self.stage.device.type == "cuda":
            found["random cuda"] = torch.cuda.get_rng_state(self.stage.device)
        for number, optimizer in self.optimizers.items():
            for place, values in optimizer.state_dict()["state"].items():
                for name, value in values.items():
                    if isinstance(value, Tensor):
                        found[f"optimizer/{number}/{place}/{name}"] = value.detach().to("cpu", copy=True).contiguous()
        return found

    def go_on(self, done: int, state: Mapping[str, Tensor]) -> None:
        """Stand where a run stood after so many steps; weights are loaded by whoever calls."""
        for number, optimizer in self.optimizers.items():
            learned = [one for group in optimizer.param_groups for one in group["params"]]
            kept: dict[int, dict[str, Tensor]] = {}
            for name, value in state.items():
                kind, *rest = name.split("/")
                if kind == "optimizer" and int(rest[0]) == number:
                    like = learned[int(rest[1])]
                    if value.shape == like.shape:  # fused steps walk memory: moments must lie as their weights do
                        value = torch.empty_like(like).copy_(value)
                    kept.setdefault(int(rest[1]), {})[rest[2]] = value
            optimizer.load_state_dict({"state": kept, "param_groups": optimizer.state_dict()["param_groups"]})
        for _ in range(done * sum(turn.times for turn in self.phase.turns) - done * (len(self.phase.turns) - 1)):
            self._draw()
        self.done = done
        if "random" in state:
            torch.set_rng_state(state["random"])
        if "random cuda" in state and self.stage.device.type == "cuda":
            torch.cuda.set_rng_state(state["random cuda"], self.stage.device)

    def _refuse_live(self) -> None:
        """Raise ValueError for methods that read what a peer's step would change under the others' hands."""
        wanted = sorted(field for reads in self.reads.values() for field in reads if field in (LIVE, SECOND, *PARTS))
        if wanted:
            raise ValueError(
                f"a method here reads {wanted[0]} of networks that all step at once, and the first step changes them; "
                "update='sequential' lets it"
            )

    def _images(self, role: str, places: Tensor, epoch: int) -> Tensor:
        """The pictures of these rows as a role sees them in an epoch; mostly all roles of a step see the same."""
        assert self.split is not None
        eyes, data, seed = self.stage.eyes(role, self.split), self.stage.data, self.stage.recipe.seed
        if self._shown is not None:
            *shown, images = self._shown
            if shown[0] is eyes and shown[1] is places and shown[2] == epoch:
                return images
        images = eyes.index_select(0, places)
        index = self.split.index.index_select(0, places)
        images = augment(images, index, kind=data.augmentation, seed=seed, epoch=data.view(epoch))
        images = self._laid(mixed(images, index, kind=data.mix, seed=seed, epoch=epoch))
        self._shown = eyes, places, epoch, images
        return images

    def _second(self, images: Tensor, places: Tensor | None, epoch: int) -> Tensor:
        """A stronger view of the step's pictures; the same one for student and teacher."""
        index = (
            torch.arange(len(images), device=images.device)
            if self.split is None or places is None
            else self.split.index.index_select(0, places)
        )
        return self._laid(stronger(images, index, seed=self.stage.recipe.seed, epoch=epoch))

    def _laid(self, images: Tensor) -> Tensor:
        """Colour pictures with their channels last, which convolutions read faster."""
        if self.speed.channels_last and images.ndim == 4 and images.shape[1] > 1:
            return images.contiguous(memory_format=torch.channels_last)
        return images

    def _generator(self, time: int) -> torch.Generator:
        purpose = zlib.crc32(f"{self.phase.name} {self.done} {time}".encode())
        return torch.Generator().manual_seed(self.stage.recipe.seed * 1_000_003 + purpose)

    def _batch(self, learner: str, places: Tensor | None, epoch: int, time: int) -> Batch:
        progress = self.done / max(1, self.steps)
        if self.split is None or places is None:
            assert self.phase.supply is not None
            return replace(self.phase.supply(self.done, self._generator(time)), progress=progress)
        role = learner if learner in self.stage.cast else next(iter(self.stage.cast))
        labels, index = self.split.labels.index_select(0, places), self.split.index.index_select(0, places)
        batch = Batch(self._images(role, places, epoch), labels, index, progress)
        kind, seed = self.stage.data.mix, self.stage.recipe.seed
        if kind == "none":
            return batch
        own = shares(index, kind=kind, seed=seed, epoch=epoch, shape=self.stage.data.shape)
        return replace(batch, other=labels.roll(1), share=own)

    def _look(self, learner: str, batch: Batch, places: Tensor | None, epoch: int) -> Seen:
        """What the turn's learner makes of its batch, with what its methods read."""
        network, reads = self.stage.cast[learner], self.reads[learner]
        turn = next(turn for turn in self.phase.turns if turn.learner == learner)
        if turn.only == "parts":
            return look_frozen(network, batch.images, reads)
        seen = look(network, batch.images, reads)
        if SECOND in reads:
            seen = replace(seen, second=network.look(self._second(batch.images, places, epoch)))
        return seen

    def _moment(self, learner: str, epoch: int, places: Tensor | None, seen: dict[str, Seen], time: int) -> Moment:
        """The moment of a turn's own terms; what the learner saw is kept in `seen`, so that it looks but once."""
        batch = self._batch(learner, places, epoch, time)

        def see(role: str, images: Tensor | None = None, *, graph: bool = False) -> Seen:
            network = self.stage.cast[role]
            if role == learner and time >= 0:
                if images is not None:
                    return network.look(images)
                if role not in seen:
                    seen[role] = self._look(role, batch, places, epoch)
                return seen[role]
            if images is None and not graph and role in seen:
                return seen[role].detach()  # peers that step at once speak as they were before
            if images is None and not graph and (kept := self._kept(role, places)) is not None:
                return kept
            pictures = images
            if pictures is None:
                pictures = batch.images if places is None else self._images(role, places, epoch)
            if graph:
                modes = [(module, module.training) for module in network.modules()]
                network.eval()
                with frozen(network):
                    found = network.look(pictures)
                for module, mode in modes:  # it may be a learner whose own turn comes later in this step
                    module.training = mode
                return found
            network.train(role in self.learners and time >= 0)
            return look_frozen(network, pictures)

        return Moment(batch, see, self.done, epoch, self._generator(time))

    def _take(
        self, number: int, turn: Turn, epoch: int, places: Tensor | None, shared: dict[str, Seen], time: int
    ) -> Taken:
        learner = turn.learner
        seen = dict(shared)
        moment = None if turn.own is None else self._moment(learner, epoch, places, seen, time)
        batch = self._batch(learner, places, epoch, time) if moment is None else moment.batch
        names: list[str] = []
        weights: list[float] = []
        terms: list[Tensor] = []
        distilled: list[bool] = []
        mixes = self.stage.data.mix != "none"
        teachers = {lesson.teacher for lesson in turn.lessons if lesson.teacher is not None}
        for lesson in turn.lessons:
            if learner not in seen:
                seen[learner] = self._look(learner, batch, places, epoch)
            student = self.stage.view(lesson.student, seen)
            teacher = student if lesson.teacher is None else self._teacher(lesson, batch, places, epoch, seen)
            told = partial(of_both, lesson.objective) if mixes and lesson.teacher is None else lesson.objective
            for name, values in told(student, teacher, batch).items():
                label = name
                if ":" in lesson.student:
                    label = f"exit {int(lesson.student.partition(':')[2]) + 1}: {name}"
                elif len(teachers) > 1 and lesson.teacher is not None:
                    label = f"from {lesson.teacher}: {name}"
                names.append(label)
                weights.append(lesson.objective.weight_of(name) * lesson.share)
                distilled.append(lesson.teacher is not None)
                terms.append(values)
        for name, values in (turn.own(moment) if turn.own is not None and moment is not None else {}).items():
            names.append(name)
            weights.append(turn.weights.get(name, 1.0))
            distilled.append(bool(turn.told_by) and name not in ("ce", "labels"))
            terms.append(values)
        if learner not in self._named or self._named[learner][0] != names:
            self._named[learner] = (names, weights)
        means = [values.mean() for values in terms]
        weighted = [mean if weight == 1.0 else weight * mean for weight, mean in zip(weights, means, strict=True)]
        loss = _sum(weighted)
        taught = any(distilled)
        measured = taught and self.done % self.measure_every == 0 and time == turn.times - 1
        gradients = None
        if measured and len(terms) > 1:
            gradients = taken_apart(weighted, distilled, self.trained(turn))
        optimizer, stepping = self.optimizers[number], self._stepping[number]
        stepping.clear()
        loss.backward()
        if measured and len(terms) == 1:  # the one gradient there is has just been taken
            gradients = taken_whole(self.trained(turn), loss.device)
        if self.speed.lean:
            stepping.step()
        else:
            optimizer.step()
        with torch.no_grad():
            raw = means[0].detach().view(1) if len(means) == 1 else torch.stack(means)
            count = len(batch.labels)
            each = [
                (values.detach() if weight == 1.0 else weight * values) if len(values) == count
                else (weight * mean).expand(count)
                for weight, values, mean, one in zip(weights, terms, means, distilled, strict=True) if one or not taught
            ]  # fmt: skip
            per_image = _sum(each)
        return Taken(loss.detach(), raw, per_image, places, optimizer.param_groups[0]["lr"], gradients)

    def terms(self, turn: Turn, lesson: Lesson, places: Tensor) -> dict[str, Tensor]:
        """Raw terms of one lesson at these rows, with their graph and without a step, in eval mode."""
        self.stage.cast[turn.learner].eval()
        batch = self._batch(turn.learner, places, 0, 0)
        seen = {turn.learner: self._look(turn.learner, batch, places, 0)}
        teacher = self._teacher(lesson, batch, places, 0, seen)
        return lesson.objective(self.stage.view(lesson.student, seen), teacher, batch)

    def _teacher(self, lesson: Lesson, batch: Batch, places: Tensor | None, epoch: int, seen: dict[str, Seen]) -> Seen:
        """What a lesson's teacher makes of the batch, without gradient but, where that is read, on its pictures."""
        assert lesson.teacher is not None
        view, reads = lesson.teacher, lesson.objective.reads
        role = view.partition(":")[0]
        if role in seen:
            found = self.stage.view(view, seen)
            return found.fixed() if LIVE in reads else found.detach()
        kept = self._kept(view, places)
        if kept is not None:
            return kept
        network = self.stage.cast[role]
        network.train(role in self.learners)  # a peer speaks as it trains, with the batch's own statistics
        images = batch.images if places is None else self._images(role, places, epoch)
        looked = look_frozen(network, images, reads)
        if SECOND in reads:
            looked = replace(looked, second=look_frozen(network, self._second(images, places, epoch)))
        return self.stage.view(view, {role: looked})

    def _kept(self, role: str, places: Tensor | None) -> Seen | None:
        return None if places is None or self._frozen is None else self._frozen.said(role, places, self._drawn)


def _sum(values: list[Tensor]) -> Tensor:
    """The sum of tensors of one shape, with no kernel more than it takes."""
    if len(values) == 1:
        return values[0]
    return values[0] + values[1] if len(values) == 2 else torch.stack(values).sum(dim=0)
