"""Which places of a picture speak for a class: Integrated Gradients, occlusion, Grad-CAM, and how alike two maps are.

Integrated Gradients and occlusion are captum's, which is imported where it is used: training needs none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.patience import Way
from kdcore.probe import ProbeError
from kdcore.vocabulary import Seen

TOGETHER = 64
"""Changed pictures that a network looks at together."""
FEWEST, MOST = 16, 256
"""Steps of Integrated Gradients."""
GRADIENTS, PATCHES, CAM = "Integrated Gradients", "Occlusion", "Grad-CAM"
FROM_THE_END = ("last layer", "second to last", "third to last")
"""Grad-CAM's layers: two networks of different depth are compared from the end."""
CHOSEN = "chosen layer"
PLACES = 64
"""Places of the patch that occlusion moves, at most."""
MACS = 6_000_000_000
"""Multiply-accumulates that the attributions of one picture may cost: under a second of one core."""


def work_of(network: nn.Module, image: Tensor) -> int:
    """Multiply-accumulates of convolutions and linear layers for one picture (1, c, h, w), by one look at it.

    torch's flop counter counts more finely, but takes a second to import, which the first answer would wait for.
    """
    counted = [0]

    def count(module: nn.Module, _: tuple, output: Tensor) -> None:
        counted[0] += output.numel() * module.weight[0].numel()  # type: ignore[index, operator, union-attr]

    hooks = [
        module.register_forward_hook(count)
        for module in network.modules()
        if isinstance(module, (nn.Conv2d, nn.Linear))
    ]
    try:
        with torch.no_grad():
            network(image)
    finally:
        for hook in hooks:
            hook.remove()
    return counted[0]


def steps_for(macs: int) -> int:
    """Steps of Integrated Gradients for networks of together so many multiply-accumulates a picture.

    A step is a forward and a backward pass, worth three forward ones; occlusion takes up to 64 more.
    """
    return int(min(MOST, max(FEWEST, (MACS / max(1, macs) - PLACES) / 3)))


@dataclass(frozen=True)
class Maps:
    """What speaks for a class in one picture, by every method that this network allows."""

    maps: dict[str, Tensor]
    """method -> (h, w) in logits, on the picture's plane; the colours of a place together."""
    layers: dict[str, tuple[int, str]]
    """Method of Grad-CAM -> (layer, its own plane as "4×4")."""
    total: float
    """Sum of the Integrated Gradients, which should be the logit's difference to the baseline."""


def maps_of(
    look: Callable[[Tensor], Seen],
    image: Tensor,
    *,
    baseline: Tensor,
    target: int,
    steps: int,
    layer: int | None = None,
) -> Maps:
    """All maps of a network for one picture (1, c, h, w) and class: Grad-CAM of the last three layers or of `layer`."""
    (found,) = maps_of_many(look, image, baselines=baseline, targets=[target], steps=steps, layer=layer)
    return found


def maps_of_many(
    look: Callable[[Tensor], Seen],
    images: Tensor,
    *,
    baselines: Tensor,
    targets: Sequence[int],
    steps: int,
    layer: int | None = None,
    way: Way | None = None,
) -> list[Maps]:
    """The same for each of (N, c, h, w) pictures and its class, looked at together.

    `way` hears of every picture looked at, three times where a slope is taken.
    """

    def logits(changed: Tensor) -> Tensor:
        if way is not None:
            way.step(len(changed) * (3 if torch.is_grad_enabled() else 1))
        return look(changed).logits

    gradients = gradients_of_many(logits, images, baselines=baselines, targets=targets, steps=steps)
    # All colours of a place were covered together: each has the same number.
    patches = occlusions(logits, images, baselines=baselines, targets=targets)[:, 0]
    cams = cams_of_many(look, images, targets=targets)
    places = dict(zip(FROM_THE_END, sorted(cams, reverse=True), strict=False))
    if layer is not None:
        places = {CHOSEN: layer} if layer in cams else {}
    found = []
    for number in range(len(images)):
        maps = {GRADIENTS: gradients[number].sum(dim=0), PATCHES: patches[number]}
        layers = {}
        for place, which in places.items():
            maps[f"{CAM}, {place}"] = spread(cams[which][number], *images.shape[2:])
            layers[f"{CAM}, {place}"] = (which, "×".join(str(side) for side in cams[which].shape[1:]))
        found.append(Maps(maps, layers, float(gradients[number].double().sum())))
    return found


def integrated_gradients(
    logits: Callable[[Tensor], Tensor], image: Tensor, *, baseline: Tensor, target: int, steps: int
) -> Tensor:
    """Sundararajan, Taly and Yan 2017: (c, h, w) in logits, their sum the logit's difference to the baseline.

    `image` and `baseline` are (1, c, h, w); Gauss-Legendre quadrature with `steps` points. Raises ProbeError without
    captum.
    """
    return gradients_of_many(logits, image, baselines=baseline, targets=[target], steps=steps)[0]


def gradients_of_many(
    logits: Callable[[Tensor], Tensor], images: Tensor, *, baselines: Tensor, targets: Sequence[int], steps: int
) -> Tensor:
    """The same of (N, c, h, w) pictures, each for its class: (N, c, h, w)."""
    return (
        _captum("IntegratedGradients")(logits)
        .attribute(
            images, baselines=baselines, target=list(targets), n_steps=steps, method="gausslegendre",
            internal_batch_size=max(TOGETHER, len(images)),
        )
        .detach()
    )  # fmt: skip


def window_of(height: int, width: int) -> tuple[int, int, int, int]:
    """(rows, columns, rows between two, columns between two) of the patch that occlusion moves: a quarter of a side,
    half overlapping, 49 to 64 places whatever the size.
    """
    rows, columns = max(1, height // 4), max(1, width // 4)
    return rows, columns, max(1, rows // 2), max(1, columns // 2)


def occlusion(logits: Callable[[Tensor], Tensor], image: Tensor, *, baseline: Tensor, target: int) -> Tensor:
    """Zeiler and Fergus 2014: (c, h, w) in logits, what the logit loses when a patch over the place shows the baseline.

    The mean over the patches that cover the place. Raises ProbeError without captum.
    """
    return occlusions(logits, image, baselines=baseline, targets=[target])[0]


def occlusions(
    logits: Callable[[Tensor], Tensor], images: Tensor, *, baselines: Tensor, targets: Sequence[int]
) -> Tensor:
    """The same of (N, c, h, w) pictures, each for its class: (N, c, h, w)."""
    channels, height, width = images.shape[1:]
    rows, columns, down, across = window_of(height, width)
    with torch.no_grad():
        found = _captum("Occlusion")(logits).attribute(
            images,
            sliding_window_shapes=(channels, rows, columns),
            strides=(channels, down, across),
            baselines=baselines,
            target=list(targets),
            perturbations_per_eval=max(1, TOGETHER // len(images)),
        )
    return found.detach()


def grad_cams(look: Callable[[Tensor], Seen], image: Tensor, *, target: int) -> dict[int, Tensor]:
    """Selvaraju et al. 2017: layer -> (h', w') in logits, 0 or more, at that layer's own plane.

    ReLU(sum over channels of the gradient's mean over the plane times the map). Layers without a plane are left out,
    and those whose maps are a copy beside the way to the logits (a transformer's).
    """
    return {layer: cams[0] for layer, cams in cams_of_many(look, image, targets=[target]).items()}


def cams_of_many(look: Callable[[Tensor], Seen], images: Tensor, *, targets: Sequence[int]) -> dict[int, Tensor]:
    """The same of (N, c, h, w) pictures, each for its class: layer -> (N, h', w')."""
    with torch.enable_grad():
        seen = look(images.detach().requires_grad_())
        layers = [layer for layer, maps in enumerate(seen.maps) if maps.shape[2] * maps.shape[3] > 1]
        if not layers:
            return {}
        told = seen.logits.gather(1, torch.tensor(list(targets), device=images.device)[:, None])
        slopes = torch.autograd.grad(told.sum(), [seen.maps[layer] for layer in layers], allow_unused=True)
    found = {}
    for layer, slope in zip(layers, slopes, strict=True):
        if slope is not None:
            weights = slope.mean(dim=(2, 3), keepdim=True)
            found[layer] = (weights * seen.maps[layer]).sum(dim=1).relu().detach()
    return found


def spread(cam: Tensor, height: int, width: int) -> Tensor:
    """A layer's map (h', w') on the picture's plane, (height, width)."""
    return F.interpolate(cam[None, None], size=(height, width), mode="bilinear", align_corners=False)[0, 0]


def alike(ours: numpy.ndarray, theirs: numpy.ndarray) -> tuple[float, float] | None:
    """(cosine, Spearman's rank correlation) of two maps' absolute values; None where one is the same everywhere."""
    a, b = numpy.abs(ours).ravel().astype(float), numpy.abs(theirs).ravel().astype(float)
    if numpy.ptp(a) < 1e-12 or numpy.ptp(b) < 1e-12:
        return None
    cosine = float(a @ b / numpy.sqrt((a @ a) * (b @ b)))
    return cosine, float(numpy.corrcoef(ranks(a), ranks(b))[0, 1])


def ranks(values: numpy.ndarray) -> numpy.ndarray:
    """The rank of each value from 1 on; equal values share their mean rank."""
    _, place, counts = numpy.unique(values, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[place]


def _captum(name: str) -> Callable:
    try:
        import captum.attr
    except ImportError as error:
        raise ProbeError("attributions are computed with captum, which is not installed: pip install captum") from error
    return getattr(captum.attr, name)
