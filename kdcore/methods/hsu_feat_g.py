"""The sources study, features weighted by gradients: what the teacher's classifier listens to counts."""

from __future__ import annotations

from torch import Tensor

from kdcore.connector import linear_projection
from kdcore.fisher import feature_weights, linear_classifier, mean_one
from kdcore.method import Method
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms


class WeightedFeatureSource(Method):
    """Match the teacher's embedding, each feature weighted by how much it matters to what the teacher says.

    The weights are the diagonal of the Fisher information of the features, made of the teacher's gradients: how much a
    feature's column of the classifier differs between the classes that the teacher finds likely for this image.
    """

    title = "Sources study: features with gradients"
    family = "gradient"
    formula = (
        r"\sum_d w_d \left(r(h_S)_d - h_{T,d}\right)^2, \quad "
        r"w_d \propto \sum_k p_{T,k} U_{kd}^2 - \left(\sum_k p_{T,k} U_{kd}\right)^2"
    )
    paper = Paper(
        "Hsu, Smith, Shen, Kira, Jin",
        2022,
        "https://arxiv.org/abs/2203.10163",
        "A Closer Look at Knowledge Distillation with Features, Logits, and Gradients",
    )
    provenance = (
        "paper only (no public code was found): that the Fisher information weighs. Our derivation: its diagonal for "
        "features that a linear classifier U reads, and the option to bring each image's weights to a mean of one"
    )
    convention = (
        "Sum over features, mean over images, without the half of the expansion. "
        "Here 0.04, by measurement: on small pictures its gradient is then 0.5 to 1.1 times cross-entropy's "
        "(0.1 to 1 on 28x28)."
    )
    pitfalls = (
        "With scale fisher an image of which the teacher is sure counts for next to nothing.",
        "The diagonal takes features for independent, which they are not.",
        "It needs a teacher whose embedding goes straight into a linear classifier.",
    )
    weight = 0.04
    rests = True
    reads = ("logits", "embedding", "classifier")
    shows = (Shown("numbers", "weighted embedding", "activation times the root of its weight", "feature"),)
    scale: str = knob(
        "mean1", choices=("mean1", "fisher"), help="Each image's weights with a mean of one, or as they are."
    )

    def build(self, student: Seen, teacher: Seen, images: int) -> None:
        linear_classifier(teacher, whose="teacher")
        self.connector = linear_projection(student.embedding, teacher.embedding)

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        ours = at_least_float(self.connector(at_least_float(student.embedding)))
        change = ours - at_least_float(teacher.embedding)
        return {"hsu_feat_g": (self.weights(teacher) * change.square()).sum(dim=1)}

    def weights(self, teacher: Seen) -> Tensor:
        """How much each of the teacher's features counts for each image, (N, D)."""
        found = feature_weights(teacher.logits, linear_classifier(teacher, whose="teacher").weight)
        return mean_one(found) if self.scale == "mean1" else found

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """Both embeddings times the roots of the weights, (N, D) each: the distance is between these."""
        roots = self.weights(teacher).sqrt()
        ours = at_least_float(self.connector(at_least_float(student.embedding)))
        return [roots * ours], [roots * at_least_float(teacher.embedding)]
