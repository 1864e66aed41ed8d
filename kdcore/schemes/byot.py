"""Be your own teacher: the deepest exit of a network teaches its shallower ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.answers.bars import Bars
from kdcore.network import Network, pool
from kdcore.peers import on_validation, right_share
from kdcore.recipe import RecipeError
from kdcore.scheme import Between, Lesson, Phase, Scheme, Turn, alone
from kdcore.spec import knob
from kdcore.vocabulary import Seen


class BeYourOwnTeacher(Scheme):
    """The network grows a classifier after each stage, and its last one teaches the earlier ones.

    Shallow stages are thereby asked to be useful at once, which helps the whole network too; afterwards the extra exits
    are dropped (Zhang et al., ICCV 2019, https://arxiv.org/abs/1905.08094). The deepest exit is taught by the labels
    alone and gets no gradient from what it teaches.
    """

    title = "Self: be your own teacher"
    kind = "self"
    uses_teacher = False
    takes_matching = ("nothing", "one", "each")
    refusal = "an exit has one layer to match, so there is nothing to assign among many"
    example: ClassVar[dict[str, Any]] = {
        "data": {"is": "digits", "label_noise": 0.4},
        "student": {"is": "plain", "width": 8},
        "methods": [{"is": "ce"}, {"is": "kd", "temperature": 3.0}],
    }
    alpha: float = knob(0.3, 0.0, 1.0, help="Share of the deepest exit's teaching; the labels have the rest.")

    def dress(self, role: str, network: Network, look: Callable[[], Seen]) -> Network:
        if role != "student":
            return network
        seen = look()
        if len(seen.maps) < 2:
            raise RecipeError(
                "student", f"be your own teacher needs a student of 2 or more stages; this one has {len(seen.maps)}"
            )
        return WithExits(network, seen)

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        if self.baseline:
            yield alone(between, title="The network alone learns from the labels")
        exits = len(cast["student"].layers) - 1
        lessons: list[Lesson] = [between.labels("student") or between.alone("student")]
        for number in range(exits):
            view = f"student:{number}"
            labels = between.labels(view) or between.alone(view)
            if self.alpha < 1.0:
                lessons.append(replace(labels, share=1.0 - self.alpha))
            if self.alpha > 0.0:
                lessons.append(between.knowledge(view, "student", share=self.alpha))
        title = "The deepest exit teaches the shallower ones"
        yield Phase("student", title, (Turn("student", tuple(lessons)),), shows=lambda: [exits_by_now(cast, between)])


@torch.no_grad()
def exits_by_now(cast: Mapping[str, Network], between: Between) -> Bars:
    """How right each exit is, and how often it says what the deepest one says."""
    network = cast["student"]
    mode = network.training
    seen = network.eval().look(between.data().validation.images)
    network.train(mode)
    logits = [*(one.logits for one in seen.exits), seen.logits]
    right = [right_share(one, between) for one in logits]
    last = logits[-1].argmax(dim=1)
    alike = [float((one.argmax(dim=1) == last).float().mean()) for one in logits]
    names = [*(f"exit {number}" for number in range(1, len(logits))), "deepest exit"]
    told = ", ".join(f"{name} {100 * value:.1f} %" for name, value in zip(names, right, strict=True))
    alone = cast.get("baseline")
    other = None if alone is None else right_share(on_validation({"alone": alone}, between)["alone"], between)
    return Bars(
        "What each exit knows", f"Right for so many of the validation pictures: {told}.",
        {"is right": numpy.array(right, dtype=numpy.float32),
         "says what the deepest exit says": numpy.array(alike, dtype=numpy.float32)},
        names, category_axis="exit, after each stage of the network", value_axis="share of validation pictures",
        low=0.0, high=1.0, parts={"is right": "student", "says what the deepest exit says": "teacher"},
        reference=other, reference_says="" if other is None else f"the network alone {100 * other:.1f} %",
    )  # fmt: skip


class WithExits(Network):
    """A network with a bottleneck and a classifier after each stage but the last. Its logits are the deepest exit's.

    An exit sees one map, of the last stage's shape, and teachers of exits should be asked about their last layer.
    """

    title = "With exits"

    def __init__(self, base: Network, seen: Seen) -> None:
        super().__init__()
        self.base = base
        self.layers = base.layers
        channels, (height, width) = seen.maps[-1].shape[1], seen.maps[-1].shape[2:]
        self.size = (int(height), int(width))
        self.bottlenecks = nn.ModuleList()
        for features in seen.maps[:-1]:
            middle = max(4, channels // 4)
            stride = max(1, features.shape[2] // height)
            self.bottlenecks.append(
                nn.Sequential(
                    nn.Conv2d(features.shape[1], middle, 1, bias=False),
                    nn.BatchNorm2d(middle),
                    nn.ReLU(),
                    nn.Conv2d(middle, middle, stride, stride=stride, bias=False),
                    nn.BatchNorm2d(middle),
                    nn.ReLU(),
                    nn.Conv2d(middle, channels, 1, bias=False),
                    nn.BatchNorm2d(channels),
                )
            )
        classes = seen.logits.shape[1]
        self.classifiers = nn.ModuleList(nn.Linear(channels, classes) for _ in self.bottlenecks)

    def build(self, shape: tuple[int, ...], classes: int) -> None:
        """Nothing: the base is built already."""

    def deployed(self) -> Network:
        return self.base.deployed()

    def look(self, images: Tensor) -> Seen:
        seen = self.base.look(images)
        exits = []
        for features, bottleneck, classifier in zip(seen.maps, self.bottlenecks, self.classifiers, strict=False):
            preact = F.adaptive_avg_pool2d(bottleneck(features), self.size)
            last = F.relu(preact)
            embedding = pool(last)
            exits.append(Seen(classifier(embedding), (last,), (preact,), embedding))
        return replace(seen, exits=tuple(exits))
