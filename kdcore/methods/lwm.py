"""Learning without memorizing: find the evidence for a class where the teacher finds it."""

from __future__ import annotations

from torch import Tensor

from kdcore.alignment import one_plane
from kdcore.geometry import unit
from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.slopes import logit_of, slope
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def evidence(seen: Seen, classes: Tensor, *, learning: bool) -> Tensor:
    """Grad-CAM of one class in the one layer that was seen, (N, h, w): where the map speaks for it; `classes` is (N,).

    Each channel counts by the mean over places of the logit's slope on it.
    """
    (features,) = seen.maps
    weights = slope(seen, logit_of(seen.logits, classes), features, learning=learning).mean(dim=(2, 3), keepdim=True)
    return (weights * at_least_float(features)).sum(dim=1).relu()


class LearningWithoutMemorizing(Method):
    """Find the evidence for a class in the places where the teacher finds it.

    Grad-CAM shows which places of a layer speak for a class. Made for networks that must keep what they knew while they
    learn new classes; between a teacher and a student it is attention transfer that knows the class.
    """

    title = "Learning without memorizing (LwM)"
    family = "gradient"
    formula = (
        r"\left\Vert \frac{Q_S}{\Vert Q_S \Vert_2} - \frac{Q_T}{\Vert Q_T \Vert_2} \right\Vert_1, \quad "
        r"Q = \mathrm{ReLU}\left( \sum_c \overline{\frac{\partial z_y}{\partial F_c}} \, F_c \right)"
    )
    paper = Paper(
        "Dhar, Singh, Peng, Wu, Chellappa",
        2019,
        "https://arxiv.org/abs/1811.08051",
        "Learning without Memorizing",
    )
    provenance = (
        "paper. Our decisions: the class is the teacher's first choice, for both; the larger plane is averaged down "
        "before the lengths are taken; the attention term alone, since its companion is soft targets"
    )
    convention = (
        "Sum over places, mean over images, as the paper's norm has it. Public code takes the mean over places, which "
        "is hw times smaller, with weight 0.4 (KD-Zoo). "
        "Here 0.25, by measurement: on small pictures its gradient is then 0.2 to 1.3 times cross-entropy's "
        "(0.8 to 3.2 on 28x28)."
    )
    pitfalls = (
        "Public code exists that multiplies gradients by gradients where the activations belong (KD-Zoo).",
        "A layer without a plane (1x1) has nothing to say: its evidence is in one place.",
        "Where nothing speaks for the class the evidence is zero, and the image teaches nothing.",
        "It takes layers that the logits come from: in a transformer the token grids are copies beside the way.",
    )
    weight = 0.25
    rests = True
    matches = "one"
    prefers = "last"
    reads = ("logits", "maps", "inputs")
    shows = (Shown("channels", "evidence for the class", "evidence of a place, the map at length one"),)

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        ours, theirs = self.evidences(student, teacher)
        return {"lwm": (ours - theirs).abs().sum(dim=1)}

    def evidences(self, student: Seen, teacher: Seen) -> tuple[Tensor, Tensor]:
        """Both networks' evidence for the teacher's first choice, of length one, (N, hw) each."""
        classes = teacher.logits.detach().argmax(dim=1)
        ours, theirs = one_plane(
            evidence(student, classes, learning=True).unsqueeze(1),
            evidence(teacher, classes, learning=False).detach().unsqueeze(1),
        )
        return unit(ours.flatten(1)), unit(theirs.flatten(1))

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]] | None:
        """Both evidences as they are compared, (N, 1, h, w); None where no slopes were kept."""
        if student.inputs is None or teacher.inputs is None:
            return None
        planes = [seen.maps[0].shape[2:] for seen in (student, teacher)]
        plane = (min(one[0] for one in planes), min(one[1] for one in planes))
        ours, theirs = self.evidences(student, teacher)
        return [ours.view(-1, 1, *plane)], [theirs.view(-1, 1, *plane)]
