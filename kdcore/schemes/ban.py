"""Born-again networks: each generation teaches the next, all alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F

from kdcore.answer import Answer
from kdcore.answers.bars import Bars
from kdcore.network import Network
from kdcore.peers import on_validation, right_share
from kdcore.recipe import Pick
from kdcore.scheme import Between, Casting, Phase, Scheme, Turn, taught
from kdcore.spec import knob
from kdcore.vocabulary import Paper


class BornAgain(Scheme):
    """The student teaches a fresh copy of itself, generation after generation.

    The first generation learns from the labels alone, so it is the yardstick too. Every later one starts from new
    random weights and is taught by the one before. What they say together, the mean of their probabilities, is shown
    beside what each says.
    """

    title = "Self: born again"
    kind = "self"
    uses_teacher = False
    paper = Paper(
        "Furlanello, Lipton, Tschannen, Itti, Anandkumar", 2018, "https://arxiv.org/abs/1805.04770",
        "Born-Again Neural Networks",
    )  # fmt: skip
    provenance = "Paper; generations learn by the recipe's methods and for as many epochs each."
    pitfalls = (
        "The ensemble costs as many networks as it has generations: compare it with a network of that size too.",
        "A generation that started where its teacher started would have nothing to gain: each starts anew.",
    )
    example = {
        "data": {"is": "digits", "label_noise": 0.6},
        "student": {"is": "plain", "width": 8, "stage_count": 2},
        "scheme": {"is": "ban", "generations": 3},
        "training": {"epochs": 30},
    }
    generations: int = knob(2, 1, 6, help="How many generations are taught by the one before.", unit="generations")
    baseline: bool = knob(True, help="Show the first generation, which learns from the labels alone, as the yardstick.")

    def _names(self) -> list[str]:
        return ["baseline", *(f"generation {number}" for number in range(1, self.generations)), "student"]

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        first, *middle, last = self._names()
        roles = {first: Casting(student, "baseline" if self.baseline else "assistant")}
        roles.update({name: Casting(student, "assistant") for name in middle})
        roles[last] = Casting(student, "student")
        return roles

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        names = self._names()
        first, *later = names

        def shows(number: int) -> Callable[[], Sequence[Answer]]:
            return lambda: [together({name: cast[name] for name in names[: number + 1]}, between)]

        turn = Turn(first, (between.alone(first),))
        yield Phase(first, "Generation 0 learns from the labels", (turn,), shows=shows(0))
        teacher = first
        for number, name in enumerate(later, start=1):
            title = f"Generation {number} learns from generation {number - 1}"
            for phase in taught(name, title, name, teacher, between):
                yield replace(phase, shows=shows(number))
            teacher = name


def together(generations: Mapping[str, Network], between: Between) -> Bars:
    """Accuracy of each generation so far, and of the mean of the probabilities of it and all before it."""
    logits = list(on_validation(generations, between).values())
    summed = torch.stack([F.softmax(one, dim=1) for one in logits]).cumsum(dim=0)
    alone = [right_share(one, between) for one in logits]
    ensembles = [right_share(one, between) for one in summed]
    says = f"Generation 0 is right for {100 * alone[0]:.1f} % of the validation pictures"
    if len(logits) > 1:
        says += (
            f", generation {len(logits) - 1} for {100 * alone[-1]:.1f} %, all {len(logits)} together for "
            f"{100 * ensembles[-1]:.1f} %"
        )
    return Bars(
        "Each generation, and all up to it together", says + ".",
        {"alone": torch.tensor(alone).numpy(), "with all before it": torch.tensor(ensembles).numpy()},
        [str(number) for number in range(len(logits))], category_axis="generation",
        value_axis="accuracy on validation pictures", low=0.0, high=1.0, parts={"alone": "student"}, reference=None,
        reference_says="",
    )  # fmt: skip
