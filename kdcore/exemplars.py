"""Pictures kept of classes that are gone: drawn at random, or chosen so that their mean stays the class's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.data import Split
from kdcore.network import Network, lots
from kdcore.recipe import RecipeError
from kdcore.scheme import Between
from kdcore.tasks import Tasks
from kdcore.vocabulary import Seen

NEARNESS = 0.1
"""By what distances are divided to be logits: their order, and so the class said, does not depend on it."""


def check_memory(memory: int, classes: int) -> None:
    """Raises RecipeError for a memory that has no place for each class."""
    if 0 < memory < classes:
        raise RecipeError(
            "scheme.memory",
            f"memory={memory} has no picture for each of {classes} classes; 0 keeps none, {classes} or more keep some",
        )


def drawn_rows(between: Between, classes: Sequence[int], each: int) -> Tensor:
    """Rows of the training pictures: `each` labelled ones of each class, by the recipe's seed alone."""
    labels = between.data().train.labels
    with between.seeded("exemplars"):
        order = torch.randperm(len(labels)).to(labels.device)
    found = [order[labels[order] == label][:each] for label in classes]
    return torch.cat(found) if found else order[:0]


def herded(features: Tensor, count: int) -> Tensor:
    """Places of the pictures, best first, whose mean feature stays closest to the mean of all, (n, D) -> (count,).

    Features have length one (iCaRL's herding, algorithm 4). At most n are given.
    """
    mean, total = features.mean(dim=0), torch.zeros_like(features[0])
    free = torch.ones(len(features), dtype=torch.bool, device=features.device)
    chosen: list[Tensor] = []
    for number in range(1, min(count, len(features)) + 1):
        far = ((total + features) / number - mean).square().sum(dim=1)
        place = far.masked_fill(~free, float("inf")).argmin()
        free[place] = False
        total = total + features[place]
        chosen.append(place)
    return torch.stack(chosen)


def unit_features(network: Network, images: Tensor) -> Tensor:
    """Embeddings of length one in eval mode, without gradient, (N, *shape) -> (N, D)."""
    was_training = network.training
    network.eval()
    with torch.no_grad():
        found = torch.cat([network.look(lot).embedding for lot in lots(images)])
    network.train(was_training)
    return F.normalize(found, dim=1)


class Remembering(Network):
    """A network that carries the rows of the pictures it keeps.

    They are part of the network, and not beside it, because the pictures of a task depend on them: a run that goes on
    brings its networks back before it asks for pictures.
    """

    title = "With kept pictures"
    exemplars: Tensor
    """(C, most) rows of the training pictures, best first; -1 where there is none."""
    stands: Tensor
    """() the task for which a copy was made; 0: none."""

    def __init__(self, base: Network, classes: int, most: int) -> None:
        super().__init__()
        self.base = base
        self.layers = base.layers
        self.register_buffer("exemplars", torch.full((classes, max(1, most)), -1))
        self.register_buffer("stands", torch.tensor(0))

    def build(self, shape: tuple[int, ...], classes: int) -> None:
        """Nothing: the base is built already."""

    def look(self, images: Tensor) -> Seen:
        return self.base.look(images)

    def kept(self, classes: Sequence[int]) -> Tensor:
        """Rows of the pictures kept of these classes."""
        found = self.exemplars[list(classes)].flatten()
        return found[found >= 0]

    def remember(self, split: Split, tasks: Tasks, task: int, memory: int) -> None:
        """Choose pictures of the task's classes, and keep fewer of the older ones, so that all fit into memory."""
        each = memory // len(tasks.seen(task))
        self.exemplars[:, each:] = -1
        for label in tasks.groups[task]:
            self.exemplars[label] = -1
            rows = (split.labels == label).nonzero().flatten()
            if len(rows) and each:
                chosen = rows[herded(unit_features(self, split.images[rows]), each)]
                self.exemplars[label, : len(chosen)] = chosen

    def become(self, other: Remembering, task: int) -> None:
        """A copy of the other as it stands before this task."""
        self.load_state_dict(other.state_dict())
        self.stands.fill_(task)


class NearestMeans(Remembering):
    """Says the class whose kept pictures' mean feature is nearest; while it trains, what its classifier says.

    The linear classifier is biased towards the classes that came last; means of features are not.
    """

    title = "With nearest means of kept pictures"
    means: Tensor
    """(C, D) mean features of length one."""
    has: Tensor
    """(C,) whether a class has a mean."""

    def __init__(self, base: Network, seen: Seen, most: int) -> None:
        classes = seen.logits.shape[1]
        super().__init__(base, classes, most)
        self.register_buffer("means", torch.zeros(classes, seen.embedding.shape[1]))
        self.register_buffer("has", torch.zeros(classes, dtype=torch.bool))

    def look(self, images: Tensor) -> Seen:
        seen = self.base.look(images)
        if self.training:
            return seen
        features = F.normalize(seen.embedding, dim=1)
        near = 2.0 * features @ self.means.T  # minus squared distance of unit vectors, but for a constant
        return replace(seen, logits=near.masked_fill(~self.has, -2.0) / NEARNESS)

    def remember(self, split: Split, tasks: Tasks, task: int, memory: int) -> None:
        super().remember(split, tasks, task, memory)
        for label in tasks.seen(task):
            rows = self.kept([label])
            if len(rows):
                mean = unit_features(self, split.images[rows]).mean(dim=0)
                self.means[label] = F.normalize(mean, dim=0)
                self.has[label] = True
