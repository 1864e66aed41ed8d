"""The contract of a method: a pure loss between what two networks saw. It owns no network and no optimiser."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from torch import Tensor, nn

from kdcore.shown import Shown
from kdcore.spec import Spec
from kdcore.vocabulary import Batch, Paper, Seen, Terms

if TYPE_CHECKING:
    from kdcore.network import Network

Family = Literal["labels", "response", "feature", "relation", "parameter", "gradient"]
Matching = Literal["nothing", "one", "each", "all"]
Reads = Literal["labels", "logits", "maps", "preacts", "embedding", "inputs", "classifier", "parameters", "second"]


class Method(Spec, nn.Module, ABC):
    """A loss with its knobs and its card. The docstring is the card: first sentence what it does, the rest why.

    `forward` gets the layers that the recipe's pairing names: with `matches` "one" or "each" the student's and the
    teacher's `maps` stand pair by pair (`student.maps[i]` goes with `teacher.maps[i]`; one pair for "one"); with "all"
    they are every layer of either side that was chosen; with "nothing" the method must not read maps.
    """

    title: ClassVar[str]
    """The name people use."""
    family: ClassVar[Family]
    formula: ClassVar[str]
    """LaTeX, what `forward` computes, averaged over the batch."""
    paper: ClassVar[Paper]
    provenance: ClassVar[str]
    """Where formula and defaults were read: authors' code, benchmark code, paper only, or our own decision."""
    convention: ClassVar[str]
    """The reduction that this follows, and its factor to other conventions in public code."""
    pitfalls: ClassVar[tuple[str, ...]] = ()
    weight: ClassVar[float]
    """A sane weight beside cross-entropy at this lab's scale."""
    rests: ClassVar[bool]
    """Whether the loss is zero when both networks saw the same (and learned parts are the identity)."""
    holds: ClassVar[bool] = False
    """Whether a factor made from the student is held fixed, so that the gradient is not the slope of the value."""
    matches: ClassVar[Matching] = "nothing"
    prefers: ClassVar[Literal["middle", "last"]] = "middle"
    """Which student layer the automatic pairing takes when `matches` is "one"."""
    reads: ClassVar[tuple[Reads, ...]]
    """What it uses of either side; the engine keeps only that of a cached teacher.

    "inputs" makes everything seen hang on the pictures, the teacher's too (see `kdcore.slopes`): the teacher then looks
    at every batch anew, and the step takes several times as long. "classifier" and "parameters" cost nothing.
    "second" has both networks look at a stronger view of the same pictures too, which doubles a step.
    """
    needs_teacher: ClassVar[bool] = True
    own_terms: ClassVar[tuple[str, ...]] = ()
    """Terms that train only the method's own parts (an autoencoder's reconstruction) and never the student."""
    own_parts: ClassVar[tuple[str, ...]] = ()
    """The submodules that `own_terms` train; they are held still once the method's own stage is over."""
    shows: ClassVar[tuple[Shown, ...]] = ()
    """What the tensors of `view` are, in their order and over again; unnamed ones are told by their shape."""
    no_view: str = ""
    """Why nothing can be laid side by side, where that is so: one sentence."""
    own_stage: float = 0.0
    """Share of the student's epochs, before the others, that the source gives to this method alone: a method with such
    a stage makes this a knob. With `own_terms` the stage trains the method's own parts, and the method teaches after
    it; without, it trains the student, and the method is done."""

    def build(self, student: Seen, teacher: Seen, images: int) -> None:
        """Make learned parts from the shapes seen. `images` is the size of the training set. Called once."""

    @abstractmethod
    def forward(self, student: Seen, teacher: Seen, batch: Batch) -> Terms:
        """The terms, (N,) each. Raises ValueError for what it cannot compare.

        The teacher's tensors carry no gradient, unless "inputs" are read: then they hang on its pictures, and the
        method detaches what it takes from them.
        """

    def redress(self, student: Network, seen: Seen, teacher: Network, taught: Seen) -> Network:
        """The student's network with what this method adds to it for good (the teacher's classifier, for instance).

        Called before `build`, with what both networks saw of one batch. It must keep training and deployment whole.
        """
        return student

    def view(self, student: Seen, teacher: Seen) -> tuple[list[Tensor], list[Tensor]] | None:
        """What the loss compares, for pictures: the student's tensors and, beside each, the teacher's of equal shape.

        Made by the very functions that `forward` uses, after `build`. None where there is nothing to lay side by side.
        """
        return None
