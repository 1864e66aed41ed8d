"""Integrated-gradients overlays: some pictures show the student where the teacher found its evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from kdcore.method import Method
from kdcore.network import Network
from kdcore.response import at_least_float, soft_kl
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms

TOGETHER = 512
"""Points on the way to a picture that the teacher looks at together."""


def integrated_gradients(network: Network, images: Tensor, baseline: Tensor, classes: Tensor, steps: int) -> Tensor:
    """How much each pixel adds to the logit of a class on the way from a baseline, (N, c, h, w) like the images.

    Sundararajan et al. 2017, by the midpoint rule: summed over pixels it is the logit less that of the baseline.
    `baseline` goes with the images by broadcasting, `classes` is (N,). The network looks in the mode that it is in.
    """
    way = (images - baseline).detach()
    slopes = torch.zeros_like(way)
    shares = (torch.arange(steps, device=images.device, dtype=images.dtype) + 0.5) / steps
    for some in shares.split(max(1, TOGETHER // max(1, len(images)))):
        points = (baseline + some.view(-1, 1, 1, 1, 1) * way).flatten(0, 1).detach().requires_grad_()
        with torch.enable_grad():
            logits = network.look(points).logits.gather(1, classes.repeat(len(some))[:, None])
        (found,) = torch.autograd.grad(logits.sum(), points)
        slopes += found.view(len(some), *way.shape).sum(dim=0)
    return way * slopes / steps


def evidence(attributions: Tensor) -> Tensor:
    """Absolute attributions summed over channels and brought to [0, 1] in each image, (N, c, h, w) -> (N, 1, h, w)."""
    size = attributions.abs().sum(dim=1, keepdim=True)
    low, high = size.amin(dim=(2, 3), keepdim=True), size.amax(dim=(2, 3), keepdim=True)
    return (size - low) / (high - low).clamp(min=1e-12)


def overlaid(images: Tensor, maps: Tensor, *, share: float, black: Tensor, white: Tensor) -> Tensor:
    """Images (N, c, h, w) with maps (N, 1, h, w) in [0, 1] blended in as grey pictures; `share` is the maps' part.

    `black` and `white` are what no and full light are in the images' own numbers, (1, c, 1, 1).
    """
    return (1.0 - share) * images + share * (black + maps * (white - black))


@dataclass(frozen=True)
class Retouched(Seen):
    """What a student saw of a batch in which some pictures were overlaid, and what the teacher says of these."""

    changed: Tensor | None = None
    """(N,) whether the picture was overlaid."""
    taught: Tensor | None = None
    """(N, C) the teacher's logits on the overlaid pictures, zero for the others."""
    before: Tensor | None = None
    """(N, C) the same before they were overlaid; None where the teacher is still training, so that it answers otherwise
    when it is asked as a teacher.
    """

    def each(self, change: Callable[[Tensor], Tensor]) -> Seen:
        """The same with every tensor that has a row for each image changed."""
        rows = {name: getattr(self, name) for name in ("changed", "taught", "before")}
        changed: dict[str, Any] = {name: change(row) for name, row in rows.items() if row is not None}
        return replace(super().each(change), **changed)


class WithOverlays(Network):
    """A network that in training gets some pictures with the teacher's evidence laid over them, and is itself else."""

    title = "With overlays"

    def __init__(self, base: Network, teacher: Network, *, chance: float, share: float, steps: int) -> None:
        super().__init__()
        self.base = base
        self.layers = base.layers
        self.teacher = [teacher]  # in a list: a teacher is no part of its student, and in no snapshot of it
        self.chance, self.share, self.steps = chance, share, steps

    def build(self, shape: tuple[int, ...], classes: int) -> None:
        """Nothing: the base is built already."""

    def deployed(self) -> Network:
        return self.base.deployed()

    def look(self, images: Tensor) -> Seen:
        """What the base makes of the images, of which in training some are overlaid. Raises ValueError for points."""
        if not (self.training and torch.is_grad_enabled()):  # as a peer's teacher it looks at what it is given
            return self.base.look(images)
        if images.ndim != 4:
            raise ValueError("ig_kd lays maps over pictures; points in a plane have none")
        drawn = torch.rand(len(images)).to(images.device)  # from the run's own numbers: they go on where it goes on
        changed = drawn < self.chance
        places = changed.nonzero().flatten()
        if len(places) == 0:
            return self.base.look(images)
        was_training = self.teacher[0].training
        shown, before, after = self.retouch(images, places)
        seen = self.base.look(images.index_copy(0, places, shown))
        rows = [torch.zeros_like(seen.logits, dtype=said.dtype).index_copy(0, places, said) for said in (after, before)]
        return Retouched(
            **{one.name: getattr(seen, one.name) for one in fields(Seen)},
            changed=changed, taught=rows[0], before=None if was_training else rows[1],
        )  # fmt: skip

    def retouch(self, images: Tensor, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The pictures at these places with the teacher's evidence over them, and its logits before and after."""
        teacher = self.teacher[0].deployed()
        was_training = teacher.training
        teacher.eval()
        try:
            pixels, chosen = images.detach(), images.index_select(0, places)
            black, white = (edge(pixels, dim=(0, 2, 3), keepdim=True) for edge in (torch.amin, torch.amax))
            with torch.no_grad():
                before = teacher.look(chosen.detach()).logits
            found = integrated_gradients(teacher, chosen.detach(), black, before.argmax(dim=1), self.steps)
            shown = overlaid(chosen, evidence(found), share=self.share, black=black, white=white)
            with torch.no_grad():
                after = teacher.look(shown.detach()).logits
        finally:
            teacher.train(was_training)
        return shown, before, after


class IntegratedGradients(Method):
    """Match the teacher's soft targets, on pictures of which some show where the teacher found its evidence.

    Soft targets say what the teacher sees, not where. Integrated gradients say which pixels made the difference; laid
    over a picture now and then, they draw the student's eye there, without a loss of their own.
    """

    title = "Integrated-gradients overlays (IG-KD)"
    family = "gradient"
    formula = (
        r"T^2 \; \mathrm{KL}\left(\sigma(z_T(x')/T) \,\Vert\, \sigma(z_S(x')/T)\right), "
        r"\quad x' = (1 - \alpha) x + \alpha \, \mathrm{norm}\left(\sum_c |\mathrm{IG}_T(x)|\right) "
        r"\; \text{with probability } p"
    )
    paper = Paper(
        "Hernandez, Chang, Nordling",
        2025,
        "https://arxiv.org/abs/2503.13008",
        "Knowledge Distillation: Enhancing Neural Network Compression with Integrated Gradients",
    )
    provenance = (
        "summaries only: overlays of precomputed maps with probability 0.1 beside soft targets. Our decisions: the "
        "midpoint rule with 50 steps from black, the map as a grey picture at one half, the teacher asked about the "
        "overlaid picture too. The class is the teacher's first choice and the map is taken anew from the picture as "
        "it is augmented; black and white are the darkest and brightest pixels of the batch in each channel"
    )
    convention = (
        "As plain soft targets: times T squared, summed over classes, mean over images, there 0.9 of it beside 0.1 of "
        "cross-entropy. "
        "Here 1, by measurement: on small pictures its gradient is then 0.6 to 0.8 times cross-entropy's (2.3 to 4.3 "
        "on 28x28)."
    )
    pitfalls = (
        "More than a quarter of overlaid pictures hurts, says the source: the student never sees overlays in a test.",
        "Every method of the recipe sees the overlaid picture; other methods' teachers see the plain one.",
        "With probability 0 it is plain soft targets; beside kd these count twice.",
        "Each overlaid picture costs the teacher as many looks as there are steps.",
    )
    weight = 1.0
    rests = True
    reads = ("logits",)
    shows = (Shown("classes", "softened classes", "probability"),)
    temperature: float = knob(4.0, 1.0, 20.0, help="Softness of both distributions.")
    chance: float = knob(0.1, 0.0, 1.0, help="Chance that a picture is overlaid, each time it is seen (p).")
    share: float = knob(0.5, 0.0, 1.0, help="The map's part in an overlaid picture (alpha).")
    steps: int = knob(50, 1, 256, help="Steps on the way from black to the picture.", scale="log")

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        self.checked = False

    def redress(self, student: Network, seen: Seen, teacher: Network, taught: Seen) -> Network:
        """The student as it sees some pictures overlaid in training; it is deployed as it was."""
        base = student.base if isinstance(student, WithOverlays) else student
        if self.chance == 0.0 or self.share == 0.0:
            return base
        return WithOverlays(
            base, teacher, chance=self.chance, share=self.share, steps=self.steps,
        )  # fmt: skip

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        theirs = at_least_float(teacher.logits)
        if isinstance(student, Retouched) and student.changed is not None and student.taught is not None:
            self.check(student, theirs)
            theirs = torch.where(student.changed[:, None], at_least_float(student.taught), theirs)
        return {"ig_kd": soft_kl(student.logits, theirs, self.temperature)}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """The softened class probabilities, (N, C) each."""
        sides = [(at_least_float(seen.logits) / self.temperature).softmax(dim=1) for seen in (student, teacher)]
        return [sides[0]], [sides[1]]

    def check(self, student: Retouched, teacher: Tensor) -> None:
        """Raise ValueError, the first time, where the teacher looks at other pictures than the student's."""
        if self.checked or student.before is None or student.changed is None:
            return
        self.checked = True  # once: reading a number off a GPU would hold up every step
        apart = (at_least_float(student.before) - teacher)[student.changed].abs().mean()
        if apart > 0.05 * (1.0 + teacher.abs().mean()):
            raise ValueError(
                "the teacher has a sensor of its own, so its evidence is no place in the student's pictures; ig_kd "
                "needs both to see the same"
            )
