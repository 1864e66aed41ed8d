"""A classifier of angles: the length of a class's weights, which grows with how lately it came, does not count."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.exemplars import Remembering
from kdcore.network import Network, pool
from kdcore.vocabulary import Seen


class CosineClassifier(nn.Module):
    """Cosines between a feature and each class's proxies, times a learned scale.

    With several proxies for a class, their cosines are averaged with the softmax of themselves as weights (local
    similarity, PODNet).
    """

    def __init__(self, features: int, classes: int, *, proxies: int, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, proxies, features))
        nn.init.kaiming_uniform_(self.weight.view(-1, features), nonlinearity="linear")
        self.scale = nn.Parameter(torch.tensor(scale))

    def cosines(self, features: Tensor) -> Tensor:
        """(N, D) -> (N, C), in [-1, 1]."""
        found = torch.einsum("nd,cpd->ncp", F.normalize(features, dim=1), F.normalize(self.weight, dim=2))
        return (found * found.softmax(dim=2)).sum(dim=2)

    def forward(self, features: Tensor) -> Tensor:
        """(N, D) -> (N, C)."""
        return self.scale * self.cosines(features)


class WithCosines(Remembering):
    """A network whose linear classifier is replaced by one of angles.

    Where the embedding is the pooled last layer, it is pooled before that layer's activation, so that features may be
    negative and angles wider than a right one.
    """

    title = "With a cosine classifier"

    def __init__(self, base: Network, seen: Seen, most: int, *, proxies: int, scale: float) -> None:
        super().__init__(base, seen.logits.shape[1], most)
        last = seen.maps[-1]
        pooled = last.ndim == 4 and last.shape[1] == seen.embedding.shape[1]
        self.signed = pooled and torch.allclose(pool(last), seen.embedding, atol=1e-5)
        if isinstance(getattr(base, "head", None), nn.Linear):
            base.head = nn.Identity()  # type: ignore[assignment]
        self.head = CosineClassifier(seen.embedding.shape[1], seen.logits.shape[1], proxies=proxies, scale=scale)

    def look(self, images: Tensor) -> Seen:
        seen = self.base.look(images)
        embedding = pool(seen.preacts[-1]) if self.signed else seen.embedding
        return replace(seen, logits=self.head(embedding), embedding=embedding)
