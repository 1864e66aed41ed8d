"""The teacher's own classifier, reused: the student learns to make the features that it reads."""

from __future__ import annotations

from copy import copy, deepcopy
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.alignment import map_pairs, to_plane
from kdcore.connector import channels
from kdcore.method import Method
from kdcore.network import Network, pool, start_evenly
from kdcore.response import at_least_float
from kdcore.shown import Shown
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Paper, Seen, Terms


def projector(inputs: int, outputs: int, squeeze: int) -> nn.Sequential:
    """1x1, 3x3 and 1x1 convolution with batch norms and ReLUs between, (N, inputs, h, w) -> (N, outputs, h, w).

    The last ReLU is left to whoever calls.
    """
    middle = max(1, outputs // squeeze)
    made = nn.Sequential(
        nn.Conv2d(inputs, middle, 1, bias=False), nn.BatchNorm2d(middle), nn.ReLU(),
        nn.Conv2d(middle, middle, 3, padding=1, bias=False), nn.BatchNorm2d(middle), nn.ReLU(),
        nn.Conv2d(middle, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
    )  # fmt: skip
    start_evenly(made)
    return made


class WithTeacherHead(Network):
    """A network whose last map goes through a projector into a copy of its teacher's classifier, which never learns.

    Its last layer is the projection, and projector and classifier are part of what is deployed. The network's own
    classifier is not used any more.
    """

    title = "With the teacher's classifier"

    def __init__(
        self, base: Network, *, inputs: int, outputs: int, plane: list[int], classes: int, squeeze: int
    ) -> None:
        super().__init__()
        self.base = base
        self.layers = base.layers
        self.made = {"inputs": inputs, "outputs": outputs, "plane": plane, "classes": classes, "squeeze": squeeze}
        """What builds it again around such a base, JSON-ready."""
        self.plane = (plane[0], plane[1])
        self.projector = projector(inputs, outputs, squeeze)
        self.head = nn.Linear(outputs, classes).requires_grad_(False)

    def wear(self, head: nn.Module) -> None:
        """Take a copy of this classifier, as it is now."""
        self.head = deepcopy(head).requires_grad_(False)  # type: ignore[assignment]

    def build(self, shape: tuple[int, ...], classes: int) -> None:
        """Nothing: the base is built already."""

    def deployed(self) -> Network:
        """Itself, without what a scheme or another method added to its base for training."""
        plain = self.base.deployed()
        if plain is self.base:
            return self
        bare = copy(self)
        bare._modules = {**self._modules, "base": plain}
        return bare

    def look(self, images: Tensor) -> Seen:
        seen = self.base.look(images)
        preact = self.projector(to_plane(seen.maps[-1], self.plane))
        projected = F.relu(preact)  # not in place: preact is kept
        embedding = pool(projected)
        return replace(
            seen,
            logits=self.head(embedding),
            maps=(*seen.maps[:-1], projected),
            preacts=(*seen.preacts[:-1], preact),
            embedding=embedding,
        )


class ReusedClassifier(Method):
    """Make the teacher's last map; the teacher's own classifier then answers for the student.

    Much of what a teacher knows of the classes is in its classifier. Who takes that over needs to learn nothing but the
    features that it reads, and no label at all. The projector that makes them stays a part of the student.
    """

    title = "Reused teacher classifier (SimKD)"
    family = "feature"
    formula = (
        r"\frac{1}{chw} \left\Vert r(F_S) - F_T \right\Vert_2^2, "
        r"\quad z_S = U_T \, \overline{r(F_S)} + b_T"
    )
    paper = Paper(
        "Chen, Mei, Zhang, Wang, Feng, Chen",
        2022,
        "https://arxiv.org/abs/2203.14001",
        "Knowledge Distillation with the Reused Teacher Classifier",
    )
    provenance = (
        "authors' code. Our decision: where the student is an exit of a network, which wears no classifier but its "
        "own, the projector is for training only"
    )
    convention = (
        "Mean over elements, as the authors have it, there with weight 1 and nothing else: no cross-entropy, no soft "
        "targets. Here 2, by measurement: on small pictures its gradient is then 0.5 to 0.7 times cross-entropy's "
        "(0.4 to 0.8 on 28x28)."
    )
    pitfalls = (
        "The student is larger than its twin that learns alone, by projector and classifier: the page says how large.",
        "The student's own classifier is never used and never learns.",
        "Its logits, last layer and embedding are those of the projection, so other methods see these.",
        "Not zero for equal networks: the projector does not start as the identity.",
        "The classifier is taken as it is when the lesson begins: between peers that learn at once it is untrained.",
    )
    weight = 2.0
    rests = False
    matches = "one"
    prefers = "last"
    reads = ("maps",)
    shows = (Shown("channels", "last map", "activation"),)
    squeeze: int = knob(2, 1, 16, help="How many times narrower than the teacher the projector is inside.")

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        self.worn = False

    def redress(self, student: Network, seen: Seen, teacher: Network, taught: Seen) -> Network:
        """The student with a projector and a copy of the teacher's classifier, as it is now.

        Raises ValueError where the teacher's classifier does not read the average of its last map.
        """
        head = getattr(teacher.deployed(), "head", None)
        reads = pool(taught.maps[-1])
        fits = reads.shape == taught.embedding.shape and torch.allclose(reads, taught.embedding, atol=1e-4)
        if not isinstance(head, nn.Linear) or not fits:
            raise ValueError(
                f"{type(teacher).title} does not classify the average of its last layer by one linear map, so "
                "its classifier cannot be put on the student; plain, resnet and wide_resnet do"
            )
        self.worn = True
        self.projector: nn.Module = nn.Identity()
        dressed = student
        if not isinstance(dressed, WithTeacherHead):
            ours, theirs = seen.maps[-1], taught.maps[-1]
            dressed = WithTeacherHead(
                student,
                inputs=channels(ours),
                outputs=channels(theirs),
                plane=[min(ours.shape[2], theirs.shape[2]), min(ours.shape[3], theirs.shape[3])],
                classes=head.out_features,
                squeeze=self.squeeze,
            ).to(ours.device)
        dressed.wear(head)
        return dressed

    def build(self, student: Seen, teacher: Seen, images: int) -> None:
        if not self.worn:
            ends = channels(student.maps[0]), channels(teacher.maps[0])
            self.projector = nn.Sequential(projector(*ends, self.squeeze), nn.ReLU())

    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        (ours,), (theirs,) = self.view(student, teacher)
        return {"simkd": (ours - theirs).square().mean(dim=(1, 2, 3))}

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]]:
        """The student's projected map and the teacher's, (N, c, h, w). Raises ValueError for layers but the last."""
        ((ours, theirs),) = map_pairs(student, teacher)
        ours = at_least_float(self.projector(ours))
        if ours.shape != theirs.shape:
            raise ValueError(
                f"the projection has {channels(ours)} channels and the teacher's layer {channels(theirs)}; the reused "
                "classifier reads the last layers, so match the last with the last"
            )
        return [ours], [theirs]
