"""Several teachers, weighted picture by picture by how likely they find the label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from kdcore.answer import Answer
from kdcore.ensembles import confidence_weights, each_kl
from kdcore.looking import classifier_of
from kdcore.network import Network
from kdcore.recipe import RecipeError
from kdcore.scheme import Between, Moment, Phase, Turn
from kdcore.schooling import Ensemble, Report, eyes, label_loss, told
from kdcore.spec import knob
from kdcore.vocabulary import Classifier, Paper, Terms


class ConfidentTeachers(Ensemble):
    """On each picture the teachers that find its label likely count for more, for answers and for features.

    The label finds out who is wrong, also who is wrong and sure of it. For the features the student's embedding,
    projected into each teacher's, is read by that teacher's own classifier: the better it reads the label there, the
    more that teacher's embedding counts.
    """

    title = "Multi-teacher: by confidence (CA-MKD)"
    paper = Paper(
        "Zhang, Chen, Wang", 2022, "https://arxiv.org/abs/2201.00007",
        "Confidence-Aware Multi-Teacher Knowledge Distillation",
    )  # fmt: skip
    provenance = (
        "Paper and authors' code. Their code divides the answers' term by the number of teachers once more, lets the "
        "student's gradient reach the features' weights, and pools the student's features again for each teacher; here "
        "none of that. Our decisions: features are embeddings, pictures without a label weigh all teachers alike, and "
        "the features' weight is that of hints in this lab instead of 50."
    )
    pitfalls = (
        "It trusts the labels: where they are noisy, it trusts whoever learned the noise by heart.",
        "No weight can exceed 1 / (teachers - 1), so with many teachers the weights are nearly even.",
        "Without labels it is a plain average.",
    )
    example = {
        "data": {"is": "digits", "label_noise": 0.4},
        "teacher": {"is": "plain", "width": 16, "stage_count": 2},
        "training": {"epochs": 30, "teacher_epochs": 20, "teacher_rate": 0.005},
        "methods": [],
        "scheme": {"is": "ca_mkd", "differ": "classes", "share": 0.7},
    }
    differ = "classes"
    features: float = knob(2.0, 0.0, 1000.0, help="Weight of the features' term.")

    def student_phase(self, cast: Mapping[str, Network], between: Between) -> Phase:
        names, report = self.names(), Report(cast, self.names(), between.data())
        projections = self._projections(cast, between)

        def ours(embedding: Tensor) -> tuple[list[Tensor], Tensor]:
            """The embedding in each teacher's terms, and what their classifiers read there, (M, N, C)."""
            projected = [projection(embedding) for projection in projections]
            heads = [_head(cast[name], name) for name in names]
            read = [one.detach() @ head.weight.T + head.bias for one, head in zip(projected, heads, strict=True)]
            return projected, torch.stack(read)

        def own(moment: Moment) -> Terms:
            student, teachers, labels = moment.see("student"), told(moment, names), moment.batch.labels
            distances = each_kl(student.logits, teachers, self.temperature)
            terms = {"kd": (confidence_weights(teachers, labels) * distances).sum(dim=0)}
            if self.features:
                projected, read = ours(student.embedding)
                theirs = [moment.see(name).embedding for name in names]
                errors = [(one - other).square().mean(dim=1) for one, other in zip(projected, theirs, strict=True)]
                terms["features"] = (confidence_weights(read, labels) * torch.stack(errors)).sum(dim=0)
            return {"ce": label_loss(student.logits, labels), **terms} if self.labels else terms

        def shows() -> Sequence[Answer]:
            panels = {"for answers": confidence_weights(report.said("train"), report.pictures.labels)}
            if self.features:
                network = cast["student"]
                was_training = network.training
                with torch.no_grad():
                    _, read = ours(network.eval().look(report.pictures.images).embedding)
                network.train(was_training)
                panels["for features"] = confidence_weights(read, report.pictures.labels)
            said = report.said("validation")
            weights = confidence_weights(said, between.data().validation.labels)
            return [*report.weights(panels), report.knowledge((weights[:, :, None] * said.softmax(dim=2)).sum(dim=0))]

        turn = Turn(
            "student", own=own, weights={"ce": self.labels, "features": self.features}, told_by=tuple(names),
            hears=("logits", "embedding"), also={"projections": projections} if self.features else {},
        )  # fmt: skip
        return Phase("student", "The student learns most from whoever finds the label likely", (turn,), shows=shows)

    def _projections(self, cast: Mapping[str, Network], between: Between) -> nn.ModuleList:
        """A linear map from the student's embedding to each teacher's. Raises RecipeError without a classifier."""
        split = between.data().train

        def size(role: str, images: Tensor) -> int:
            with torch.no_grad():
                return cast[role].eval().look(images[:2]).embedding.shape[1]

        student = size("student", split.images)
        teachers = [size(name, eyes(split)) for name in self.names()]
        if self.features:
            for name in self.names():
                _head(cast[name], name)
        with between.seeded("ca_mkd projections"):
            return nn.ModuleList(nn.Linear(student, teacher) for teacher in teachers).to(between.device())


def _head(network: Network, name: str) -> Classifier:
    """The teacher's classifier as it is now. Raises RecipeError where that is not linear."""
    found = classifier_of(getattr(network.deployed(), "head", None), still=True)
    if found is None:
        raise RecipeError(
            "teacher",
            f"the {name} has no linear classifier to read the student's features with; plain and resnet have one, "
            "or set features=0",
        )
    return found
