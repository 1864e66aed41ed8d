"""How well a network does on held-out pictures, and which training pictures hurt most."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from kdcore.dataset import Data, Split
from kdcore.network import Network, lots


@dataclass(frozen=True)
class Score:
    """Accuracy in [0, 1], mean cross-entropy in nats, accuracy per class, and the hidden class's own figures."""

    accuracy: float
    loss: float
    count: int
    per_class: list[float | None]
    right: Tensor
    """(count,) whether each picture's class was said."""
    hidden: dict[str, float] = field(default_factory=dict)


def logits_of(network: Network, images: Tensor) -> Tensor:
    """(N, C) in eval mode, without gradient."""
    was_training = network.training
    network.eval()
    with torch.no_grad():
        found = torch.cat([network(lot) for lot in lots(images)])
    network.train(was_training)
    return found


def score(
    network: Network, images: Tensor, split: Split, *, classes: int, hidden: int = -1, bias: float | None = None,
    look: Callable[[Network, Tensor], Tensor] = logits_of,
) -> Score:  # fmt: skip
    """The score on a split with true labels; `look` gives the logits.

    With a hidden class, also its accuracy raw and with a bias added to its logit; the bias is chosen here so that the
    class is predicted as often as it occurs, unless one is given (on test, the one found on validation).
    """
    logits = look(network, images).float()
    right = logits.argmax(dim=1) == split.truth
    counts = torch.bincount(split.truth, minlength=classes)
    hits = torch.bincount(split.truth[right], minlength=classes)
    summed = torch.stack([right.float().mean(), F.cross_entropy(logits, split.truth)]).tolist()
    per_class = [h / c if c else None for h, c in zip(hits.tolist(), counts.tolist(), strict=True)]
    found: dict[str, float] = {}
    if hidden >= 0 and counts[hidden] > 0:
        if bias is None:
            bias = even_bias(logits, hidden, int(counts[hidden]))
        shifted = logits.clone()
        shifted[:, hidden] += bias
        said = shifted.argmax(dim=1)
        found = {
            "raw": float(per_class[hidden] or 0.0),
            "corrected": float((said[split.truth == hidden] == hidden).float().mean()),
            "corrected_overall": float((said == split.truth).float().mean()),
            "bias": float(bias),
        }
    return Score(summed[0], summed[1], len(split), per_class, right, found)


def even_bias(logits: Tensor, label: int, count: int) -> float:
    """What to add to a class's logit so that it wins for `count` of the (N, C) rows."""
    others = logits.clone()
    others[:, label] = float("-inf")
    needed = (others.max(dim=1).values - logits[:, label]).sort().values
    if count >= len(needed):
        return float(needed[-1]) + 1.0
    return float((needed[count - 1] + needed[count]) / 2)


def png(pixels: Tensor) -> str:
    """A (c, h, w) picture in [0, 1] as PNG in base64; c is 1 or 3, others show their first channel."""
    if pixels.shape[0] not in (1, 3):
        pixels = pixels[:1]
    values = pixels.mul(255).round().to(torch.uint8).cpu().permute(1, 2, 0).contiguous().numpy()
    image = Image.fromarray(values[:, :, 0] if values.shape[2] == 1 else values)
    kept = io.BytesIO()
    image.save(kept, format="PNG", optimize=True)
    return base64.b64encode(kept.getvalue()).decode("ascii")


def pictures_of(data: Data, split: Split, places: Tensor) -> dict[str, str]:
    """index -> PNG of these rows of a split; empty for points."""
    if not data.images_of_plane:
        return {}
    pixels = data.pixels(split.images[places])
    return {str(index): png(one) for index, one in zip(split.index[places].tolist(), pixels, strict=True)}
