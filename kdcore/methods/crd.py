"""Contrastive distillation: find the teacher's view of an image among those of all others."""

from __future__ import annotations

import torch
from torch import Tensor

from kdcore.contrast import Direction
from kdcore.geometry import inner, unit
from kdcore.method import Method
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms

MARGIN = 1e-7
"""Added to denominators, as the authors have it."""


def noise_contrast(own: Tensor, others: Tensor, counted: Tensor, *, negatives: int, images: int) -> Tensor:
    """Noise-contrastive loss of telling an image's own entry from so many others, (N,) x (N, M) x (N, M) -> (N,).

    `own` and `others` are scores scaled to a mean of 1/images. The authors draw their negatives at random from the
    entries that count; here each of these counts with its share, which is what the draw comes to on average.
    """
    noise = negatives / images
    found = (own / (own + noise + MARGIN)).log()
    kept_out = (noise / (others + noise + MARGIN)).log() * counted
    return -found - negatives * kept_out.sum(dim=1) / counted.sum(dim=1).clamp(min=1)


class ContrastiveDistillation(Method):
    """Tell the teacher's view of an image from its views of images of other classes, and the other way round.

    What the two networks make of one image shares more than any distance says. To find the partner among many
    candidates, remembered from earlier batches, the student has to capture how the teacher's features hang together.
    """

    title = "Contrastive distillation (CRD)"
    family = "relation"
    formula = (
        r"-\log \frac{u_+}{u_+ + m/M} - m \, \mathbb{E}_{j \neq y} \log \frac{m/M}{u_j + m/M}, "
        r"\quad u = \frac{1}{Z} \exp\left(V_T^\top g_S(f_S) / \tau\right)"
    )
    paper = Paper(
        "Tian, Krishnan, Isola", 2020, "https://arxiv.org/abs/1910.10699", "Contrastive Representation Distillation"
    )
    provenance = (
        "authors' code (RepDistiller). Our decision: all remembered images of other classes take part with their share "
        "instead of a random draw, classes are learned as labels go by, and Z is taken before the first batch"
    )
    convention = (
        "Sum of both sides, mean over images, as the authors have it, there with weight 0.8. The draw of m negatives "
        "is replaced by its average: the same loss without its noise, and one matrix product instead of m N rows."
        " Here 0.3, by measurement: on small pictures its gradient is then 0.6 to 0.7 times cross-entropy's."
    )
    pitfalls = (
        "In its first epoch an image meets the random entry that the memory began with, not the teacher's view: the "
        "loss rises for an epoch or two before it falls.",
        "Images without a known label count as negatives even where they are of the same class.",
        "The memory has two entries of `features` numbers for each training image, also in every snapshot: 61 MB for "
        "60,000 images at 128. A step scores the batch against all of it.",
        "The scale Z is fixed once, from random entries: it depends on the seed.",
    )
    weight = 0.3
    rests = False
    reads = ("labels", "embedding")
    own_terms = ("teacher",)
    shows = (Shown("numbers", "direction in the common space", "coordinate, the whole at length one", "coordinate"),)
    student_memory: Tensor
    """(M, features), the student's direction of each training image; likewise `teacher_memory`."""
    teacher_memory: Tensor
    student_scale: Tensor
    """(), Z: what the student's scores are divided by; likewise `teacher_scale`."""
    teacher_scale: Tensor
    classes: Tensor
    """(M,) labels as they went by, -1 where none is known."""
    met: Tensor
    """(M,) whether the image has gone by."""
    features: int = knob(128, 4, 512, help="Length of the directions that are compared.", scale="log")
    negatives: int = knob(16384, 1, 65536, help="How many negatives an image counts as having (m).", scale="log")
    temperature: float = knob(0.07, 0.02, 1.0, help="Lower: only the most similar candidates matter.", scale="log")
    momentum: float = knob(0.5, 0.0, 0.99, help="Share of a remembered entry that stays when its image comes again.")

    def build(self, student: Seen, teacher: Seen, images: int) -> None:
        device = student.embedding.device
        self.student_embed = Direction(student.embedding.shape[1], self.features).to(device)
        self.teacher_embed = Direction(teacher.embedding.shape[1], self.features).to(device)
        bound = (3.0 / self.features) ** 0.5
        for name in ("student_memory", "teacher_memory"):
            self.register_buffer(name, torch.empty(images, self.features).uniform_(-bound, bound).to(device))
        self.register_buffer("classes", torch.full((images,), -1, device=device))
        self.register_buffer("met", torch.zeros(images, dtype=torch.bool, device=device))
        with torch.no_grad():
            ours = self.student_embed(student.embedding.float())
            theirs = self.teacher_embed(teacher.embedding.float())
            self.register_buffer("student_scale", self.likeness(ours, self.teacher_memory).mean() * images)
            self.register_buffer("teacher_scale", self.likeness(theirs, self.student_memory).mean() * images)

    def likeness(self, directions: Tensor, memory: Tensor) -> Tensor:
        """Scores of all remembered entries before they are scaled, (N, features) x (M, features) -> (N, M)."""
        return (inner(directions, memory) / self.temperature).exp()

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        (ours,), (theirs,) = self.view(student, teacher)
        counted, place = self.counted(batch), batch.index.unsqueeze(1)
        terms = {}
        for name, directions, memory, scale in (
            ("student", ours, self.teacher_memory, self.student_scale),
            ("teacher", theirs, self.student_memory, self.teacher_scale),
        ):
            scores = self.likeness(directions, memory) / scale
            own = scores.gather(1, place).squeeze(1)
            terms[name] = noise_contrast(own, scores, counted, negatives=self.negatives, images=len(memory))
        if self.training:
            self.remember(ours.detach(), theirs.detach(), batch)
        return terms

    def counted(self, batch: Batch) -> Tensor:
        """Which entries are negatives of which image, (N, M): met before, and not known to be of its class.

        While none has been met all are, as random as they are.
        """
        known = (batch.labels >= 0).unsqueeze(1)
        alike = known & (batch.labels.unsqueeze(1) == self.classes.unsqueeze(0))
        return (~alike & (self.met | ~self.met.any())).scatter(1, batch.index.unsqueeze(1), False)

    def remember(self, ours: Tensor, theirs: Tensor, batch: Batch) -> None:
        """Move the entries of these images towards what was just seen; all others stay as they are."""
        for name, directions in (("student_memory", ours), ("teacher_memory", theirs)):
            memory = getattr(self, name)
            moved = unit(self.momentum * memory[batch.index] + (1.0 - self.momentum) * directions)
            setattr(self, name, memory.index_copy(0, batch.index, moved))  # in place would spoil the backward pass
        self.classes = self.classes.index_copy(0, batch.index, batch.labels)
        self.met = self.met.index_fill(0, batch.index, True)

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """The directions of either side in the common space, (N, features)."""
        return [self.student_embed(student.embedding)], [self.teacher_embed(teacher.embedding)]
