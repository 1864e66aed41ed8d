"""Rocket launching: a deeper booster and the light network share layers and learn side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import nn

from kdcore.answer import Answer
from kdcore.network import Network
from kdcore.peers import label_loss, on_validation, shares_by_class, with_twin
from kdcore.recipe import Pick, RecipeError
from kdcore.scheme import Between, Casting, Moment, Phase, Scheme, Turn, alone
from kdcore.spec import knob
from kdcore.vocabulary import Paper, Terms

DEEPER = {"interval": ("depth", "blocks"), "bottom": ("stage_count",)}
"""The knobs that may make a network deeper, by what is shared."""


class RocketLaunching(Scheme):
    """A light network learns beside a deeper booster that stands on the same weights, and follows its answers.

    The booster goes along the whole way, so the light network sees how it comes to its answers, not only where it
    ends; what the booster learns in the shared layers is the light network's at once. The booster is the student's
    network with more layers; batch norms and classifiers are each one's own. The hint never reaches the booster's own
    layers (the gradient block of the paper), only the shared ones through the light network. The term "labels" is the
    booster's cross-entropy.
    """

    title = "Online: rocket launching"
    kind = "online"
    uses_teacher = False
    uses_methods = False
    paper = Paper(
        "Zhou, Fan, Cui, Bian, Zhu, Gai", 2018, "https://arxiv.org/abs/1708.04106",
        "Rocket Launching: A Universal and Efficient Framework for Training Well-performing Light Net",
    )  # fmt: skip
    provenance = (
        "Paper and the authors' code: squared difference of the logits summed over classes, weight 0.03, the booster's "
        "logits without gradient. Ours: the booster is grown from the student, whose initial weights it takes over."
    )
    pitfalls = (
        "The shared layers serve two networks: with few of their own, the light one may lose what the booster gains.",
        "The hint compares raw logits; a large weight drowns the labels where logits are large.",
    )
    example = {
        "data": {"is": "toy2d"},
        "student": {"is": "mlp", "width": 16},
        "methods": [],
        "training": {"epochs": 40},
    }
    sharing: str = knob(
        "interval", choices=("interval", "bottom"),
        help="interval: the light network is the first blocks of each stage. bottom: it is the lowest stages.",
    )  # fmt: skip
    more: int = knob(2, 1, 6, help="Blocks in each stage, or stages, that the booster has beyond the student's.")
    gamma: float = knob(0.03, 0.0, 1.0, help="Weight of the squared difference between the two networks' logits.")

    def cast(self, teacher: Pick, student: Pick) -> dict[str, Casting]:
        for name in DEEPER[self.sharing]:
            now = student.settings.get(name)
            if isinstance(now, int) and not isinstance(now, bool):
                booster = Pick(student.key, {**student.settings, name: now + self.more})
                roles = {"booster": Casting(booster, "teacher"), "student": Casting(student, "student")}
                return with_twin(roles, student, self.baseline)
        raise RecipeError(
            "student",
            f"sharing={self.sharing!r} needs a student with a knob {' or '.join(DEEPER[self.sharing])}, by which the "
            f"booster is made deeper; {student.key} has none, plain has",
        )

    def phases(self, cast: Mapping[str, Network], between: Between) -> Iterator[Phase]:
        if between.data().train.partner is not None:
            raise RecipeError("data", "booster and light network share layers, so both must see the same pictures")
        booster, light = cast["booster"], cast["student"]
        shared = shareable(booster, light)
        if not shared:
            raise RecipeError("student", "no layer of this student has the same shape in a deeper network of its kind")
        if self.baseline:
            yield alone(between, title="The light network alone learns from the labels")

        def own(moment: Moment) -> Terms:
            labels, ours = moment.batch.labels, moment.see("student").logits
            theirs = booster.look(moment.batch.images).logits
            return {
                "ce": label_loss(ours, labels),
                "labels": label_loss(theirs, labels),
                "hint": (ours - theirs.detach()).square().sum(dim=1),
            }

        def shows() -> Sequence[Answer]:
            logits = on_validation({"booster": booster, "student": light}, between)
            truth = between.data().validation.truth
            said = {name: one.argmax(dim=1) for name, one in logits.items()}
            numbers = sum(light.get_parameter(name).numel() for name in shared)
            share = numbers / sum(one.numel() for one in light.parameters())
            agree = float((said["booster"] == said["student"]).float().mean())
            return [
                shares_by_class(
                    {name: one == truth for name, one in said.items()},
                    {"booster": "teacher", "student": "student"}, between,
                    title="Booster and light network, class by class",
                    says=f"They share {100 * share:.0f} % of the light network's numbers and say the same class for "
                    f"{100 * agree:.1f} % of the validation pictures.",
                    value_axis="accuracy on validation pictures",
                )
            ]  # fmt: skip

        turn = Turn(
            "student", own=own, weights={"hint": self.gamma}, told_by=("booster",), also={"booster": booster}
        )  # fmt: skip
        yield Phase(
            "together", "Booster and light network learn on shared layers", (turn,), moving=("booster",),
            begins=lambda: tie(booster, light, shared), shows=shows,
        )  # fmt: skip


def shareable(booster: nn.Module, light: nn.Module) -> list[str]:
    """Names of weights that both have in the same shape; classifiers, biases and norms stay each one's own."""
    theirs = dict(booster.named_parameters())
    return [
        name for name, one in light.named_parameters()
        if one.ndim > 1 and not name.startswith("head.") and name in theirs and theirs[name].shape == one.shape
    ]  # fmt: skip


def tie(booster: nn.Module, light: nn.Module, names: Sequence[str]) -> None:
    """From now on these weights of the booster are the light network's own."""
    for name in names:
        place, _, last = name.rpartition(".")
        setattr(booster.get_submodule(place), last, light.get_parameter(name))
