"""PATE: teachers on disjoint parts of private pictures vote with noise, and a student learns the votes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.answer import Answer
from kdcore.answers.bars import Bars
from kdcore.data import Split
from kdcore.network import Network
from kdcore.privacy import Mechanism, epsilon
from kdcore.recipe import Pick, RecipeError
from kdcore.scheme import Between, Casting, Phase, Scheme, Turn
from kdcore.scoring import logits_of
from kdcore.spec import knob
from kdcore.vocabulary import Paper

BINS = 10
"""Of the picture of how clear the votes were."""


class PrivateVotes(Scheme):
    """Teachers that never saw the same picture vote on the classes of others; the student learns the noisy winner.

    One private picture can have changed one teacher only, and so one vote only, which the noise on the counts hides.
    How well is a number: the privacy budget epsilon at a delta, from the noise and the number of questions alone
    (a bound that holds for any votes). Whoever gets the student gets the votes and nothing else of the private
    pictures. The student alone learns the same public pictures with their true labels, so the difference is what
    privacy costs. An epsilon above 10 promises next to nothing; with few teachers it cannot be much smaller than that
    without drowning the votes.
    """

    title = "Privacy: noisy votes (PATE)"
    kind = "robustness"
    uses_methods = False
    paper = Paper(
        "Papernot, Abadi, Erlingsson, Goodfellow, Talwar", 2017, "https://arxiv.org/abs/1610.05755",
        "Semi-supervised Knowledge Transfer for Deep Learning from Private Training Data",
    )  # fmt: skip
    provenance = (
        "Votes after the paper (laplace) and Papernot et al. 2018, https://arxiv.org/abs/1802.08908 (gaussian), "
        "without its threshold on consensus. Budgets by Rényi divergence, independent of the data; the student is "
        "supervised."
    )
    pitfalls = (
        "Choosing noise, teachers or epochs by results on private pictures costs privacy that is not counted here.",
        "The recipe's early scores and pictures of teachers are for learning about PATE; a private release has none.",
        "The paper's published small budgets rest on 250 teachers and on bounds that depend on the votes.",
    )
    example = {
        "data": {"is": "toy2d", "figure": "gaussians", "classes": 4, "noise": 0.3, "size": 3000},
        "teacher": {"is": "mlp", "width": 16, "depth": 1},
        "student": {"is": "mlp", "width": 32, "depth": 1},
        "scheme": {"is": "pate", "teachers": 25, "noise": 6.0, "questions": 40},
        "methods": [],
        "training": {"epochs": 30, "teacher_epochs": 6, "teacher_rate": 0.01},
    }
    teachers: int = knob(5, 2, 50, help="How many teachers, each with a part of the private pictures.", unit="teachers")
    mechanism: str = knob("gaussian", choices=("gaussian", "laplace"), help="Which noise is added to the counts.")
    noise: float = knob(
        1.0, 0.01, 100.0, scale="log", unit="votes", help="Its scale: the standard deviation, or Laplace's b."
    )
    questions: int = knob(200, 10, 20_000, help="How many public pictures the teachers vote on.", unit="pictures")
    public: float = knob(0.3, 0.05, 0.9, help="Share of the training pictures that are public; the rest is private.")
    delta: float = knob(
        1e-5, 1e-12, 0.1, scale="log", help="Chance with which the promise may fail; below 1 / private pictures."
    )

    def _names(self) -> list[str]:
        return [f"teacher {number}" for number in range(1, self.teachers + 1)]

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        roles = {name: Casting(teacher, "teacher") for name in self._names()}
        roles["student"] = Casting(student, "student")
        if self.baseline:
            roles["baseline"] = Casting(student, "baseline", twin_of="student")
        return roles

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        whole = between.data().teacher_train
        private, public = self._parts(whole, between)
        if len(private) < self.teachers:
            raise RecipeError(
                "scheme.teachers",
                f"teachers={self.teachers}: there are {len(private)} private pictures; fewer teachers",
            )
        for number, name in enumerate(self._names()):
            part = private[number :: self.teachers]
            turn = Turn(name, (between.alone(name),))
            yield Phase(
                name, f"Teacher {number + 1} of {self.teachers} learns from its own {len(part)} private pictures",
                (turn,), budget="teacher", pictures="teacher", split=partial(_often, whole.of(part), 2 * len(whole)),
            )  # fmt: skip
        asked, whole_epoch = whole.of(public), 2 * len(between.data().train)
        if self.baseline:
            yield Phase(
                "baseline", "The student alone learns the same public pictures with their true labels",
                (Turn("baseline", (between.alone("baseline"),)),),
                split=lambda: _often(replace(asked, labels=asked.truth), whole_epoch),
            )  # fmt: skip
        yield Phase(
            "student", "The student learns the noisy votes on public pictures",
            (Turn("student", (between.alone("student"),)),),
            split=lambda: _often(replace(asked, labels=self.votes(cast, asked.images, between)[1]), whole_epoch),
            shows=lambda: self._pictures(cast, asked, between, len(private)),
        )  # fmt: skip

    def _parts(self, whole: Split, between: Between) -> tuple[Tensor, Tensor]:
        """Rows of the private pictures, and of the public ones that are asked about."""
        with between.seeded("private and public"):
            order = torch.randperm(len(whole)).to(whole.labels.device)
        count = max(1, round(self.public * len(whole)))
        return order[count:], order[: min(count, self.questions)]

    def votes(self, cast: Mapping[str, Network], images: Tensor, between: Between) -> tuple[Tensor, Tensor]:
        """(N, C) counts without noise, and (N,) the winners with it."""
        classes = between.data().classes
        said = torch.stack([logits_of(cast[name], images).argmax(dim=1) for name in self._names()])
        counts = F.one_hot(said, classes).sum(dim=0).float()
        with between.seeded("votes"):
            noise = noise_of(self.mechanism, self.noise, counts.shape).to(counts.device)
        return counts, (counts + noise).argmax(dim=1)

    def spent(self, questions: int) -> float:
        """Epsilon at the scheme's delta after so many questions."""
        kind: Mechanism = "gaussian" if self.mechanism == "gaussian" else "laplace"
        return epsilon(kind, self.noise, questions, delta=self.delta)

    def _pictures(self, cast: Mapping[str, Network], asked: Split, between: Between, private: int) -> Sequence[Answer]:
        counts, winners = self.votes(cast, asked.images, between)
        first, second = counts.topk(2, dim=1).values.unbind(dim=1)
        gaps = ((first - second) / self.teachers).cpu().numpy()
        shares = numpy.histogram(gaps, bins=BINS, range=(0.0, 1.0))[0] / len(gaps)
        right = float((winners == asked.truth).float().mean())
        plain = float((counts.argmax(dim=1) == asked.truth).float().mean())
        budget = self.spent(len(asked))
        small = "" if self.delta < 1.0 / private else f" Delta is not below 1 / {private:,}: too large to promise much."
        clear = Bars(
            title="How clearly the teachers voted",
            says=f"{len(asked):,} questions cost epsilon = {budget:.3g} at delta = {self.delta:.0e}; "
            f"{100 * right:.1f} % of the noisy votes are right, {100 * plain:.1f} % without noise.{small}",
            series={"questions": shares.astype(numpy.float32)},
            categories=[f"{10 * place}–{10 * place + 10} %" for place in range(BINS)],
            category_axis=f"lead of the first class over the second, share of the {self.teachers} votes",
            value_axis="share of the questions",
            low=0.0,
            high=float(shares.max()),
            parts={"questions": "teacher"},
            reference=None,
            reference_says="",
        )
        return [clear, self._trade(counts, asked, between)]

    def _trade(self, counts: Tensor, asked: Split, between: Between) -> Bars:
        """How many votes are right at other noises, and what those would cost."""
        kind: Mechanism = "gaussian" if self.mechanism == "gaussian" else "laplace"
        factors = (0.25, 0.5, 1.0, 2.0, 4.0)
        with between.seeded("votes"):
            noise = noise_of(self.mechanism, 1.0, counts.shape).to(counts.device)
        right = [
            float(((counts + factor * self.noise * noise).argmax(dim=1) == asked.truth).float().mean())
            for factor in factors
        ]
        costs = [epsilon(kind, factor * self.noise, len(asked), delta=self.delta) for factor in factors]
        return Bars(
            title="What privacy costs",
            says=f"Noise of {self.noise:g} votes leaves {100 * right[2]:.0f} % of the votes right at epsilon "
            f"{costs[2]:.3g}; four times as much leaves {100 * right[4]:.0f} % at epsilon {costs[4]:.3g}.",
            series={"votes": numpy.array(right, dtype=numpy.float32)},
            categories=[
                f"noise {factor * self.noise:.3g}: epsilon {cost:.3g}"
                for factor, cost in zip(factors, costs, strict=True)
            ],
            category_axis=f"scale of the noise in votes, and the budget of all {len(asked):,} questions",
            value_axis="share of right votes",
            low=0.0,
            high=1.0,
            parts={"votes": "teacher"},
            reference=1.0 / between.data().classes,
            reference_says="chance",
        )


def noise_of(mechanism: str, scale: float, shape: Sequence[int]) -> Tensor:
    """Draws from torch's global generator."""
    if mechanism == "gaussian":
        return scale * torch.randn(*shape)
    return torch.distributions.Laplace(0.0, scale).sample(torch.Size(shape))


def _often(split: Split, length: int) -> Split:
    """A few pictures so often that an epoch has as many steps as if there were `length` of them."""
    places = torch.arange(len(split), device=split.labels.device)
    return split.of(places.repeat(-(-length // len(places)))[: max(length, len(places))])
