"""A large network that learned from few labels labels the rest for a small one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch

from kdcore.answer import Answer
from kdcore.data import Split
from kdcore.network import Network
from kdcore.pseudo_labels import pseudo_labelled, sure, trust
from kdcore.scheme import Between, Phase, Scheme, Turn, alone, taught, taught_by_labels
from kdcore.spec import knob
from kdcore.vocabulary import Paper


class UnlabelledTransfer(Scheme):
    """The teacher learns from the few labels there are; the student learns from what it says of the other pictures.

    A slow, accurate predictor can label as many pictures as one likes, and from enough of them a fast one learns to say
    nearly the same, without the labels that it would have needed itself. The teacher knows no more labels than the
    student alone does.
    """

    title = "Semi-supervised: unlabelled transfer"
    kind = "semi-supervised"
    paper = Paper(
        "Urner, Ben-David, Shalev-Shwartz", 2011, "https://icml.cc/2011/papers/438_icmlpaper.pdf",
        "Access to Unlabeled Data can Speed up Prediction Time",
    )  # fmt: skip
    provenance = "Paper only (a procedure and its theory). Soft answers and the filter by confidence are our own."
    pitfalls = (
        "What the teacher gets wrong for want of labels the student learns too.",
        "Where every label is known, all pictures count as unlabelled: the teacher knows them already, and its answers "
        "are sharper than on new ones.",
    )
    example = {
        "data": {"is": "digits", "labelled": 0.05},
        "teacher": {"is": "plain", "width": 32, "stage_count": 2},
        "student": {"is": "mlp"},
        "training": {"epochs": 30, "teacher_epochs": 40, "teacher_rate": 0.005},
        "scheme": {"is": "unlabeled_transfer"},
    }
    answers: str = knob(
        "soft", choices=("soft", "hard"), help="soft: the recipe's methods. hard: cross-entropy with the class it says."
    )
    transfer: str = knob(
        "unlabelled", choices=("unlabelled", "all"), help="all: the labelled pictures too, with their true labels."
    )
    confidence: float = knob(
        0.0, 0.0, 0.99, help="Leave out pictures on which the teacher is less sure; a tenth stays."
    )

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        title = "The teacher learns from the labels that the student has"
        yield replace(taught_by_labels(between), title=title, pictures="student")
        if self.baseline:
            yield alone(between)

        def split() -> Split:
            data = between.data().train
            if self.answers == "hard":
                found = pseudo_labelled(cast["teacher"], data, self.confidence)
            else:
                rows, _ = sure(cast["teacher"], data, self.confidence)
                found = replace(data.of(rows), labels=torch.full_like(rows, -1))
            known = (data.labels >= 0).nonzero().flatten()
            return _joined(data.of(known), found) if self.transfer == "all" else found

        def shows() -> Sequence[Answer]:
            return trust(cast["teacher"], "teacher", between.data(), self.confidence)

        title = "The student learns from what the teacher says of the other pictures"
        if self.answers == "hard":
            turn = Turn("student", (between.alone("student"),))
            yield Phase("student", title, (turn,), split=split, shows=shows)
            return
        for phase in taught("student", title, "student", "teacher", between):
            yield replace(phase, split=split, shows=shows)


def _joined(one: Split, other: Split) -> Split:
    """Both, with each picture once: what has a true label keeps that."""
    rest = other.of(~torch.isin(other.index, one.index))
    if not len(rest):
        return one
    partner = None if one.partner is None or rest.partner is None else torch.cat([one.partner, rest.partner])
    return Split(
        torch.cat([one.images, rest.images]), torch.cat([one.labels, rest.labels]),
        torch.cat([one.truth, rest.truth]), torch.cat([one.index, rest.index]), partner,
    )  # fmt: skip
