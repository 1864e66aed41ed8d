"""A recipe brought to life: its data, its networks, and the losses between them. Training and revival start here."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, Literal

import torch
from torch import Tensor

from kdcore.catalog import DATASETS, METHODS, NETWORKS, SCHEMES
from kdcore.dataset import Data, Split
from kdcore.looking import LIVE, look_frozen
from kdcore.method import Method
from kdcore.methods.ce import CrossEntropy
from kdcore.network import Network, macs_of, parameters_of
from kdcore.objective import Objective, Share, Terms
from kdcore.pairing import Pairing, PairingError, automatic, named
from kdcore.recipe import Part, Pick, Recipe, RecipeError, Training
from kdcore.registry import UnknownKey, pick
from kdcore.scheme import Between, Casting, Lesson, OwnStage, Scheme
from kdcore.spec import KnobError
from kdcore.vocabulary import Seen


@dataclass(frozen=True)
class Stage:
    """Everything that a recipe names, made and on its device."""

    recipe: Recipe
    budget: Training
    scheme: Scheme
    data: Data
    castings: dict[str, Casting]
    cast: dict[str, Network]
    device: torch.device
    bare: dict[str, Network] = field(default_factory=dict)
    """role -> its network before methods added to it, for those to which they did."""
    dressed: set[str] = field(default_factory=set)
    """Roles to whose network the scheme added, or which it made itself."""

    def view(self, name: str, seen: Mapping[str, Seen]) -> Seen:
        """What a view ("role" or "role:exit") saw."""
        role, _, number = name.partition(":")
        return seen[role].exits[int(number)] if number else seen[role]

    def eyes(self, role: str, split: Split) -> Tensor:
        """The pictures as this role sees them: teachers may have a sensor of their own."""
        if split.partner is not None and self.castings[role].part == "teacher":
            return split.partner
        return split.images

    def batch_of(self, split: Split) -> int:
        """Pictures in a training step on this split: never more than there are."""
        return min(self.budget.batch, len(split))


class Cast(dict[str, Network]):
    """Role -> its network. Whoever asks for a role that the scheme has not cast is told so."""

    def __missing__(self, role: str) -> Network:
        raise RecipeError("scheme", f"the cast has no {role}: {', '.join(self) or 'nobody'} is all there is")


def seeded(recipe: Recipe, purpose: str) -> int:
    """A seed that belongs to one purpose of one recipe."""
    return (recipe.seed * 1_000_003 + zlib.crc32(purpose.encode())) % 2**63


def place(recipe: Recipe) -> torch.device:
    """Where it runs. Raises RecipeError if a GPU is asked for and there is none."""
    wanted = recipe.budget().device
    if wanted == "cuda" and not torch.cuda.is_available():
        raise RecipeError(
            "training.device", "device='cuda': this machine has no GPU that torch can use; 'auto' or 'cpu' runs"
        )
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def set_stage(
    recipe: Recipe, device: torch.device | None = None, *, weights: Literal["fresh", "later"] = "fresh"
) -> Stage:
    """Data, networks and scheme of a recipe. With weights to come "later", from a snapshot, no file of weights is read.

    Raises RecipeError with the path of the setting for whatever does not fit, DataError for data that cannot be used.
    """
    device = place(recipe) if device is None else device
    scheme = _made("scheme", SCHEMES, recipe.scheme, "scheme")
    data = _data(recipe.data.key, tuple(sorted(recipe.data.settings.items())), recipe.seed, device)
    pictures = "images" if data.images_of_plane else "points"
    picks = {role: filled(role, getattr(recipe, role)) for role in ("teacher", "student")}
    castings = scheme.cast(**picks)
    cast = Cast()
    for role, casting in castings.items():
        kind = pick(NETWORKS, casting.network.key, what="network")
        if pictures not in kind.takes:
            raise RecipeError(
                "teacher" if casting.part == "teacher" else "student",
                f"{recipe.data.key} gives {pictures}, {casting.network.key} takes {' or '.join(kind.takes)}",
            )
        settings = kind.skeleton(casting.network.settings) if weights == "later" else casting.network.settings
        where = "teacher" if casting.part == "teacher" else "student"
        network = _made(where, NETWORKS, Pick(casting.network.key, settings), "network")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seeded(recipe, f"network {casting.twin_of or role}"))
            try:
                network.build(data.shape, data.classes)
            except KnobError as error:
                raise RecipeError(f"{where}.{error.knob}", str(error)) from error
        cast[role] = (
            network.to(device, memory_format=torch.channels_last) if pictures == "images" else network.to(device)
        )
    stage = Stage(recipe, recipe.budget(), scheme, data, castings, cast, device)
    for role in list(cast):
        cast[role].eval()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seeded(recipe, f"dress {role}"))
            dressed = scheme.dress(role, cast[role], partial(glimpse, stage, role, data.train))
        if dressed is not cast[role]:
            stage.dressed.add(role)
        cast[role] = dressed.to(device)
    return stage


def glimpse(stage: Stage, role: str, split: Split, reads: Collection[str] = ()) -> Seen:
    """What a role's network makes of one training batch, in eval mode: for shapes. Nothing hangs on its pictures."""
    network = stage.cast[role]
    network.eval()
    return look_frozen(network, stage.eyes(role, split)[: stage.batch_of(split)], set(reads) - {LIVE})


def filled(where: str, choice: Pick) -> Pick:
    """The network's pick with every knob. Raises RecipeError."""
    try:
        kind = pick(NETWORKS, choice.key, what="network")
        return Pick(choice.key, kind(**choice.settings).settings())
    except UnknownKey as error:
        raise RecipeError(where, str(error)) from error
    except KnobError as error:
        raise RecipeError(f"{where}.{error.knob}", str(error)) from error


def _made(where: str, folder: Mapping[str, type], choice: Pick, what: str):  # type: ignore[no-untyped-def]
    try:
        return pick(dict(folder), choice.key, what=what)(**choice.settings)
    except UnknownKey as error:
        raise RecipeError(where, str(error)) from error
    except KnobError as error:
        raise RecipeError(f"{where}.{error.knob}", str(error)) from error


@lru_cache(maxsize=2)
def _data(key: str, settings: tuple[tuple[str, Any], ...], seed: int, device: torch.device) -> Data:
    """The prepared data on its device, kept for the next moment of the same run (a film asks for dozens) and for the
    next run, which then has the very pictures of which a teacher's answers may be kept.

    Raises RecipeError, DataError.
    """
    try:
        return _made("data", DATASETS, Pick(key, dict(settings)), "data set").prepare(seed).to(device)
    except KnobError as error:
        raise RecipeError(f"data.{error.knob}", str(error)) from error


class Losses(Between):
    """The recipe's methods, built for the two views of each lesson."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.names = _names(stage.recipe.methods)
        kinds = [METHODS[part.method.key] for part in stage.recipe.methods if part.method.key in METHODS]
        self.redresses = any(kind.redress is not Method.redress for kind in kinds)
        """Whether a method adds to the student's network when its lesson is made."""

    def alone(self, student: str) -> Lesson:
        objective = Objective(
            [CrossEntropy()], [Share("ce", 1.0, automatic("nothing", "last", student=(), teacher=()))]
        )
        return Lesson(student, None, objective, "alone")

    def labels(self, student: str, share: float = 1.0) -> Lesson | None:
        chosen = self._chosen(needs_teacher=False)
        if not chosen:
            return None
        nothing = Pairing((), "compares outputs, no layers")
        shares = [Share(name, weight, nothing) for name, _, method, weight in chosen]
        return Lesson(student, None, Objective([method for _, _, method, _ in chosen], shares), "labels", share)

    def knowledge(self, student: str, teacher: str, share: float = 1.0) -> Lesson:
        chosen = self._chosen(needs_teacher=True)
        reads = {field for _, _, method, _ in chosen for field in method.reads}
        self._redress(student, teacher, [(name, method) for name, _, method, _ in chosen])
        student_seen, teacher_seen = self._seen(student, reads), self._seen(teacher, reads)
        shapes = {
            "student": [tuple(features.shape[1:]) for features in student_seen.maps],
            "teacher": [tuple(features.shape[1:]) for features in teacher_seen.maps],
        }
        shares = []
        for name, part, method, weight in chosen:
            try:
                if part.pairs is None:
                    pairing = automatic(method.matches, method.prefers, **shapes)
                else:
                    pairing = named(method.matches, part.pairs, **shapes)
            except PairingError as error:
                raise RecipeError(f"methods.{self.names.index(name)}.pairs", f"{name}: {error}") from error
            shares.append(Share(name, weight, pairing))
        objective = Objective([method for _, _, method, _ in chosen], shares)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seeded(self.stage.recipe, f"lesson {student} {teacher}"))
            places = (
                int(self.stage.data.teacher_train.index.max()) + 1
            )  # Batch.index is a place in the whole loaded set
            try:
                objective.build(student_seen, teacher_seen, places)
            except ValueError as error:
                raise RecipeError("methods", str(error)) from error
        return Lesson(student, teacher, objective.to(self.stage.device), "knowledge", share)

    def own_stages(self, lesson: Lesson) -> tuple[list[OwnStage], Lesson | None]:
        found: list[OwnStage] = []
        rest: dict[str, Terms] = {}
        objective = lesson.objective
        for name, method in objective.methods.items():
            share = float(method.own_stage)  # type: ignore[arg-type]
            if share <= 0.0:
                rest[name] = "all"
                continue
            parts = bool(method.own_terms)
            alone = replace(lesson, objective=objective.narrowed({name: "own" if parts else "all"}))
            found.append(OwnStage(name, str(method.title), alone, share, "parts" if parts else "student"))
            if parts:
                rest[name] = "others"
        if not found:
            return [], lesson
        return found, replace(lesson, objective=objective.narrowed(rest)) if rest else None

    def device(self) -> torch.device:
        return self.stage.device

    def data(self) -> Data:
        return self.stage.data

    @contextmanager
    def seeded(self, purpose: str) -> Iterator[None]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seeded(self.stage.recipe, purpose))
            yield

    def _redress(self, student: str, teacher: str, methods: list[tuple[str, Method]]) -> None:
        """Let methods add to the student's network for good; always to the network as the scheme made it."""
        adding = [(name, method) for name, method in methods if type(method).redress is not Method.redress]
        if not adding or ":" in student or ":" in teacher:
            return
        stage = self.stage
        stage.cast[student] = stage.bare.setdefault(student, stage.cast[student])
        for name, method in adding:
            with self.seeded(f"redress {student} {name}"):
                seen = self._seen(student, ()), self._seen(teacher, ())
                try:
                    stage.cast[student] = method.redress(stage.cast[student], seen[0], stage.cast[teacher], seen[1]).to(
                        stage.device
                    )
                except ValueError as error:
                    raise RecipeError(f"methods.{self.names.index(name)}", f"{name}: {error}") from error

    def _chosen(self, *, needs_teacher: bool) -> list[tuple[str, Part, Method, float]]:
        found = []
        for number, (name, part) in enumerate(zip(self.names, self.stage.recipe.methods, strict=True)):
            method: Method = _made(f"methods.{number}", METHODS, part.method, "method")
            weight = method.weight if part.weight is None else part.weight
            if method.needs_teacher == needs_teacher and weight > 0.0:
                found.append((name, part, method, weight))
        return found

    def _seen(self, view: str, reads: Collection[str]) -> Seen:
        role = view.partition(":")[0]  # looked at afresh: a method may measure the teacher as it is by then
        return self.stage.view(view, {role: glimpse(self.stage, role, self.stage.data.train, reads)})


def _names(parts: tuple[Part, ...]) -> list[str]:
    """Each method's key, numbered from its second appearance on."""
    names: list[str] = []
    for part in parts:
        twins = sum(1 for other in parts[: len(names)] if other.method.key == part.method.key)
        names.append(f"{part.method.key}{twins + 1}" if twins else part.method.key)
    return names


def describe_roles(stage: Stage) -> dict[str, dict[str, object]]:
    """Plain data about every network, for Started and Preview."""
    found: dict[str, dict[str, object]] = {}
    for role, network in stage.cast.items():
        seen = glimpse(stage, role, stage.data.train)
        casting = stage.castings[role]
        plain = network.deployed()
        found[role] = {
            "part": casting.part,
            "twin_of": casting.twin_of,
            "network": casting.network.key,
            "title": type(plain).title,
            "settings": casting.network.settings,
            "parameters": parameters_of(plain),
            "macs": macs_of(plain, stage.data.shape),
            "layers": [
                {"name": name, "shape": list(features.shape[1:])}
                for name, features in zip(network.layers, seen.maps, strict=True)
            ],
        }
    return found


def describe_data(stage: Stage) -> dict[str, object]:
    """Plain data about the data, for Started and Preview."""
    data = stage.data
    return {
        "key": stage.recipe.data.key,
        "title": DATASETS[stage.recipe.data.key].title,
        "shape": list(data.shape),
        "classes": data.classes,
        "class_names": list(data.class_names),
        "train": len(data.train),
        "labelled": int((data.train.labels >= 0).sum()),
        "teacher_train": len(data.teacher_train),
        "validation": len(data.validation),
        "test": len(data.test),
        "hidden": data.hidden,
        "augmentation": data.augmentation,
    }
