"""An ensemble of teachers, and a student whose width and depth are searched under it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy
import torch
from torch import Tensor, nn

from kdcore.answer import Answer
from kdcore.answers.bars import Bars
from kdcore.network import Network, parameters_of
from kdcore.recipe import Pick, RecipeError
from kdcore.scheme import Between, Casting, Lesson, Phase, Scheme, Turn, alone
from kdcore.scoring import logits_of
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Seen

WIDE, DEEP = ("width", "widen", "heads"), ("depth", "blocks")
"""Knobs of networks that say how wide and how deep."""
VARIANTS = ((1.0, 0), (2.0, 0), (1.0, 1), (0.5, 1), (0.5, 0))
"""Factor on the width and layers more, in the order in which they are tried."""


class OracleSearch(Scheme):
    """Several students of other widths and depths learn briefly from an ensemble of teachers; the best one goes on.

    Which student follows a teacher best is not said by its size alone, so a few are tried: each hears every teacher
    with an equal share, and is judged by its validation accuracy less a price for its parameters. The best keeps its
    weights and learns for the rest of the epochs. The student alone is that same network from the same start, with as
    many epochs as both stretches together; what the search itself cost comes on top and is said.
    """

    title = "Architecture search: ensemble teacher, searched student"
    kind = "architecture search"
    paper = Paper(
        "Kang, Mun, Han", 2020, "https://arxiv.org/abs/1911.13019",
        "Towards Oracle Knowledge Distillation with Neural Architecture Search",
    )  # fmt: skip
    provenance = (
        "The paper's question, a student searched under an ensemble. It searches by a learned controller and weighs "
        "teachers by who is right; here a few sizes are tried and teachers weigh alike, which is our own decision."
    )
    pitfalls = (
        "A brief trial favours students that learn fast, which may be others than those that end best.",
        "Validation accuracy on which was searched is too good a promise; compare on the test pictures.",
    )
    example = {
        "data": {"is": "digits", "label_noise": 0.6},
        "teacher": {"is": "plain", "width": 16, "stage_count": 2},
        "student": {"is": "plain", "width": 6, "stage_count": 2},
        "methods": [{"is": "kd", "temperature": 2.0}],
        "training": {"epochs": 30},
    }
    teachers: int = knob(2, 1, 5, help="How many teachers, alike but for their start.", unit="teachers")
    tries: int = knob(3, 2, len(VARIANTS), help="How many students are tried.", unit="students")
    trial: float = knob(0.6, 0.1, 0.9, help="Share of the student's epochs that each trial has.")
    price: float = knob(
        0.005, 0.0, 0.5, help="Validation accuracy that twice as many parameters must gain to be worth it."
    )

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        roles = {f"teacher {number + 1}": Casting(teacher, "teacher") for number in range(self.teachers)}
        self._sizes = variants(student, self.tries)
        for number, one in enumerate(self._sizes):
            roles[f"try {number + 1}"] = Casting(one, "peer")
        roles["student"] = Casting(student, "student")
        if self.baseline:
            roles["baseline"] = Casting(student, "baseline", twin_of="student")
        self._tried: list[Network] = []
        return roles

    def dress(self, role: str, network: Network, look: Callable[[], Seen]) -> Network:
        if role.startswith("try"):
            self._tried.append(network)
        if role not in ("student", "baseline"):
            return network
        return OneOf([copy.deepcopy(one) for one in self._tried])

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        teachers = [role for role in cast if role.startswith("teacher")]
        tries = [role for role in cast if role.startswith("try")]
        for number, role in enumerate(teachers):
            turn = Turn(role, (between.alone(role),))
            title = f"Teacher {number + 1} of {len(teachers)} learns from the labels"
            yield Phase(role, title, (turn,), budget="teacher", pictures="teacher")

        def learning(role: str) -> Turn:
            labels = between.labels(role)
            told: list[Lesson] = [between.knowledge(role, teacher, share=1.0 / len(teachers)) for teacher in teachers]
            return Turn(role, (*([labels] if labels else []), *told))

        def shows() -> Sequence[Answer]:
            return [self._picture(cast, tries, between)]

        for number, role in enumerate(tries):
            size = " and ".join(f"{name} {self._sizes[number].settings[name]}" for name in told(self._sizes[number]))
            title = f"Trial {number + 1}: a student of {size} learns briefly from the teachers"
            yield Phase(role, title, (learning(role),), share=self.trial, shows=shows)
        # Chosen before lessons are made, since they have the shapes of the chosen one. It follows from the weights of
        # those that were tried, so a plan, a look back and a resumed run come to what this run comes to.
        scores = self._scores(cast, tries, between)
        best = max(range(len(tries)), key=lambda number: scores[number][1])
        for role in ("student", "baseline"):
            if role in cast:
                one_of(cast[role]).choice.fill_(best)
        if self.baseline:
            yield alone(between, title="The chosen student alone learns from the labels")

        def begins() -> None:
            with torch.no_grad():
                one_of(cast["student"]).standing().load_state_dict(cast[tries[best]].state_dict())

        turn = learning("student")
        yield replace(
            Phase("student", "The chosen student goes on learning from the teachers", (turn,)),
            share=1.0 - self.trial, begins=begins, shows=shows,
        )  # fmt: skip

    def _scores(self, cast: Mapping[str, Network], tries: Sequence[str], between: Between) -> list[tuple[float, float]]:
        """Of each tried one: validation accuracy, and that less the price of its parameters."""
        held = between.data().validation
        sizes = [parameters_of(cast[role]) for role in tries]
        found = []
        for role, size in zip(tries, sizes, strict=True):
            right = float((logits_of(cast[role], held.images).argmax(dim=1) == held.truth).float().mean())
            found.append((right, right - self.price * math.log2(size / sizes[0])))
        return found

    def _picture(self, cast: Mapping[str, Network], tries: Sequence[str], between: Between) -> Bars:
        scores = self._scores(cast, tries, between)
        best = max(range(len(tries)), key=lambda number: scores[number][1])
        sizes = [f"{parameters_of(cast[role]):,} parameters" for role in tries]
        names = [", ".join(f"{name} {one.settings[name]}" for name in told(one)) for one in self._sizes]
        return Bars(
            title="Which student follows the teachers best?",
            says=f"Best by now: {names[best]} with {100 * scores[best][0]:.1f} % of the validation pictures right; "
            f"less the price of its parameters, {100 * scores[best][1]:.1f} %.",
            series={
                "accuracy": numpy.array([right for right, _ in scores], dtype=numpy.float32),
                "less the price of parameters": numpy.array([worth for _, worth in scores], dtype=numpy.float32),
            },
            categories=[f"{name} ({size})" for name, size in zip(names, sizes, strict=True)],
            category_axis="student that was tried",
            value_axis="validation accuracy",
            low=0.0,
            high=1.0,
            parts={"accuracy": "student"},
            reference=None,
            reference_says="",
        )


class OneOf(Network):
    """Several networks of which one stands; the others rest."""

    title = "One of several"
    choice: Tensor
    """() the number of the one that stands."""

    def __init__(self, networks: Sequence[Network]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.register_buffer("choice", torch.zeros((), dtype=torch.long))

    def build(self, shape: tuple[int, ...], classes: int) -> None:
        """Nothing: they are built already."""

    def standing(self) -> Network:
        """The one that stands."""
        return self.networks[int(self.choice)]  # type: ignore[return-value]

    @property
    def layers(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.standing().layers

    def look(self, images: Tensor) -> Seen:
        return self.standing().look(images)

    def deployed(self) -> Network:
        return self.standing().deployed()


def one_of(network: nn.Module) -> OneOf:
    """The choice of networks, also where something was added around it."""
    return next(one for one in network.modules() if isinstance(one, OneOf))


def told(pick: Pick) -> list[str]:
    """The knobs that say how wide and how deep this network is."""
    return [name for name in (*WIDE, *DEEP) if type(pick.settings.get(name)) is int]


def variants(student: Pick, tries: int) -> list[Pick]:
    """The student's own size first, then others, none twice. Raises RecipeError where there are no two."""
    found: list[Pick] = []
    wide = [name for name in told(student) if name in WIDE][:1]
    deep = [name for name in told(student) if name in DEEP][:1]
    for factor, more in VARIANTS:
        settings = dict(student.settings)
        for name in wide:
            settings[name] = max(1, round(settings[name] * factor))
        for name in deep:
            settings[name] += more
        if Pick(student.key, settings) not in found:
            found.append(Pick(student.key, settings))
    if len(found) < 2:
        raise RecipeError(
            "student", f"{student.key} has no width or depth in whole numbers to search; plain and mlp have both"
        )
    return found[:tries]
