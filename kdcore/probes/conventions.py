"""One method, written in the ways of papers and public code, on the same pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy
import torch
from torch import Tensor

from kdcore.alignment import map_pairs
from kdcore.answers.forms import Forms
from kdcore.augmentation import stronger
from kdcore.beside import Sides, sides
from kdcore.conventions import CHOOSES, FORMS
from kdcore.dataset import Split
from kdcore.form import Compared, Form
from kdcore.looking import LIVE, SECOND
from kdcore.method import Method
from kdcore.pairing import Pairing, PairingError, automatic, named
from kdcore.probe import Probe, ProbeError
from kdcore.slopes import input_slope, logit_of
from kdcore.slopes import slope as slope_on
from kdcore.spec import knob
from kdcore.vocabulary import Batch, Seen

if TYPE_CHECKING:
    from kdcore.revive import Revived


class Conventions(Probe):
    """How much do the losses differ that go by one method's name?

    Value and gradient of each form on the same pictures. A weight that was tuned for one form is wrong for another by
    the factor between their gradients.
    """

    title = "Same name, different loss"
    answers = "Forms"
    method: str = knob("kd", choices=tuple(FORMS), help="Whose forms are compared.")
    inputs: int = knob(64, 4, 512, help="How many validation inputs make the batch.", unit="inputs")

    def ask(self, revived: Revived) -> Forms:
        who = sides(revived)
        split = revived.data.validation
        split = split.of(torch.arange(min(self.inputs, len(split))))
        labels = split.labels
        if len(labels) < 4:
            raise ProbeError(f"{len(labels)} validation inputs are too few for a batch; 4 or more are needed")
        student, teacher = looked(self.method, who, split)
        try:
            method, pairing, learned = prepared(self.method, who, student, teacher)
            compared = what_is_compared(self.method, method, pairing, student, teacher, labels)
        except (ValueError, IndexError) as error:
            raise ProbeError(f"{self.method} cannot be computed on this run's networks: {error}") from error
        leaves, measured_on = _leaves(method, student, compared)
        forms = FORMS[self.method]
        refusals = [form.refuses(compared) for form in forms]
        values, gradients = [], []
        for form, refusal in zip(forms, refusals, strict=True):
            value, gradient = (0.0, torch.zeros(1)) if refusal else slope(form, compared, leaves)
            values.append(value)
            gradients.append(gradient)
        lengths = [float(gradient.norm()) for gradient in gradients]
        alike = [
            float(gradient @ gradients[0]) / (length * lengths[0]) if length and lengths[0] and not refusal else 0.0
            for gradient, length, refusal in zip(gradients, lengths, refusals, strict=True)
        ]
        there = [
            length / lengths[0] for length, refusal in zip(lengths, refusals, strict=True) if lengths[0] and not refusal
        ]
        spread = f"from {min(there):.4g} to {max(there):.4g} times ours" if there else "none: ours has no gradient here"
        return Forms(
            title=f"{type(method).title}: {len(forms)} ways to write it",
            says=f"Gradients {spread}, on the same {len(student.logits)} validation inputs{_knobs(compared)}.{learned}",
            method=self.method,
            names=[form.name for form in forms],
            values=numpy.array(values),
            gradients=numpy.array(lengths),
            alike=numpy.clip(numpy.array(alike), -1.0, 1.0),
            factors=[None if refusal else form.factor(compared) for form, refusal in zip(forms, refusals, strict=True)],
            refusals=refusals,
            measured_on=measured_on,
        )


def looked(key: str, who: Sides, split: Split) -> tuple[Seen, Seen]:
    """What both sides make of the split, with what the method reads; slopes are taken on the student's tensors."""
    from kdcore.catalog import METHODS

    reads = METHODS[key].reads
    if LIVE in reads:
        seen = who.look_as_taught(split, reads)
        return seen["student"], seen["teacher"]
    seen = who.look(split)
    if SECOND in reads:
        harder = {name: stronger(images, split.index, seed=0, epoch=0) for name, images in _shown(split).items()}
        strong = who.look(replace(split, images=harder["images"], partner=harder.get("partner")))
        seen = {part: replace(one, second=strong[part]) for part, one in seen.items()}
    return seen["student"].each(lambda tensor: tensor.detach().clone().requires_grad_()), seen["teacher"]


def _shown(split: Split) -> dict[str, Tensor]:
    """The split's pictures, and those of a teacher with a sensor of its own."""
    return {"images": split.images} if split.partner is None else {"images": split.images, "partner": split.partner}


def prepared(key: str, who: Sides, student: Seen, teacher: Seen) -> tuple[Method, Pairing, str]:
    """The method in our own form with the run's other knobs, its layers, and a sentence on parts that were not learned.

    What the run learned for it (a connector) is used. Raises PairingError.
    """
    from kdcore.catalog import METHODS

    recipe = who.revived.recipe
    part = next((part for part in recipe.methods if part.method.key == key), None)
    kind = METHODS[key]
    given: dict[str, Any] = {} if part is None else dict(part.method.settings)
    method = kind(**{name: value for name, value in given.items() if name not in CHOOSES.get(key, ())})
    shapes = {
        side: [tuple(layer.shape[1:]) for layer in seen.maps]
        for side, seen in (("student", student), ("teacher", teacher))
    }
    if part is None or part.pairs is None or method.matches == "nothing":
        pairing = automatic(method.matches, method.prefers, **shapes)
    else:
        pairing = named(method.matches, part.pairs, **shapes)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        method.build(*narrowed(method, pairing, student, teacher), len(who.revived.data.train))
    method.eval().requires_grad_(False)
    if not any(True for _ in method.parameters()):
        return method, pairing, ""
    if who.objective is not None and key in who.objective.methods:
        learned = who.objective.methods[key].state_dict()
        own = method.state_dict()
        if {name: value.shape for name, value in learned.items()} == {name: value.shape for name, value in own.items()}:
            method.load_state_dict(learned)
            return method, pairing, ""
    return method, pairing, " Its learned part is untrained: this run did not use it."


def narrowed(method: Method, pairing: Pairing, student: Seen, teacher: Seen) -> tuple[Seen, Seen]:
    """Both sides with the layers that the method compares."""
    if method.matches == "nothing":
        return student, teacher
    return student.of([pair[0] for pair in pairing.pairs]), teacher.of([pair[1] for pair in pairing.pairs])


def what_is_compared(
    key: str, method: Method, pairing: Pairing, student: Seen, teacher: Seen, labels: Tensor
) -> Compared:
    """The tensors that every form of the method gets, made as the method itself makes them."""
    ours, theirs = narrowed(method, pairing, student, teacher)
    found: tuple[list[Tensor], list[Tensor]]
    knobs = method.settings()
    if LIVE in method.reads:
        ours, theirs = ours.fixed(), theirs.fixed()
        own, told = (_slopes(key, side, teacher, labels) for side in (ours, theirs))
        found = [tensor.requires_grad_() for tensor in own], told
    elif key == "mlkd":
        found = [student.logits, _second(student).logits], [teacher.logits, _second(teacher).logits]
    elif key in ("label_smoothing", "tfkd_reg"):
        found = [student.logits], []
    elif method.reads in (("logits",), ("labels", "logits")):
        found = [student.logits], [teacher.logits]
    elif method.reads == ("embedding",):
        found = [student.embedding], [teacher.embedding]
    elif key in ("fitnet", "vid", "cankd", "ickd", "mgd", "ofd"):
        found = method.view(ours, theirs) or ([], [])
        if key == "vid":
            knobs = {**knobs, "variances": tuple(method.variances())}  # type: ignore[operator]
    elif key == "fsp":
        joined = zip(method.connectors, ours.maps, strict=True)  # type: ignore[arg-type]
        found = [connector(layer) for connector, layer in joined], list(theirs.maps)
    elif key == "hkd":
        found = list(ours.maps), list(theirs.maps)
    elif key == "irg":
        found = [student.logits, *ours.maps], [teacher.logits, *theirs.maps]
    elif key == "ab":
        pairs = method.connected(ours, theirs)  # type: ignore[operator]
        found = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    elif key == "ft":
        ((one, other),) = map_pairs(ours, theirs)
        found = [method.translator(one)], [method.paraphraser(other)]  # type: ignore[operator]
    elif key == "sp":
        shapes = [[tuple(layer.shape[1:]) for layer in seen.maps] for seen in (student, teacher)]
        stages = automatic("each", "last", student=shapes[0], teacher=shapes[1])
        every = replace(stages, pairs=(*stages.pairs, *pairing.pairs))
        found = [student.maps[s] for s, _ in every.pairs], [teacher.maps[t] for _, t in every.pairs]
    else:
        pairs = list(map_pairs(ours, theirs))
        found = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return Compared(tuple(found[0]), tuple(found[1]), labels, knobs)


def _second(seen: Seen) -> Seen:
    assert seen.second is not None
    return seen.second


def _slopes(key: str, seen: Seen, teacher: Seen, labels: Tensor) -> list[Tensor]:
    """What a method of slopes takes of one side, without a graph: slopes on pixels, or a map and the slopes on it."""
    if key == "jacobian_match":
        return [input_slope(seen, logit_of(seen.logits, labels), learning=False).detach()]
    (features,) = seen.maps
    chosen = teacher.logits.detach().argmax(dim=1)
    found = slope_on(seen, logit_of(seen.logits, chosen), features, learning=False)
    return [features.detach().clone(), found.detach()]


def own_value(method: Method, pairing: Pairing, student: Seen, teacher: Seen, labels: Tensor) -> Tensor:
    """Our method's loss as training has it, ()."""
    batch = Batch(student.logits.new_zeros(len(labels), 1, 1, 1), labels, torch.arange(len(labels)))
    terms = method(*narrowed(method, pairing, student, teacher), batch)
    return torch.stack([values.mean() for name, values in terms.items() if name not in method.own_terms]).sum()


def slope(form: Form, compared: Compared, leaves: list[Tensor]) -> tuple[float, Tensor]:
    """The form's value and its gradient on the leaves, in one row."""
    value = form.value(compared)
    parts = torch.autograd.grad(value, leaves, retain_graph=True, allow_unused=True)
    rows = [torch.zeros_like(leaf) if part is None else part for part, leaf in zip(parts, leaves, strict=True)]
    return float(value.detach()), torch.cat([row.flatten().double() for row in rows])


def _knobs(compared: Compared) -> str:
    """The numbers that the formulas have letters for: ", at temperature 4"."""
    numbers = {name: value for name, value in compared.knobs.items() if isinstance(value, (int, float))}
    found = [f"{name} {value:g}" for name, value in numbers.items() if not isinstance(value, bool)]
    return f", at {', '.join(found)}" if found else ""


def _leaves(method: Method, student: Seen, compared: Compared) -> tuple[list[Tensor], str]:
    """What of the student the gradient is taken on, and its name with its shape."""
    if LIVE in method.reads:
        said = "slopes on the pixels" if len(compared.student) == 1 else "last layer and the slopes on it"
        return list(compared.student), said
    if student.second is not None:
        return [student.logits, student.second.logits], "logits of both views, {} × {} each".format(
            *student.logits.shape
        )
    if "preacts" in method.reads:
        return list(student.preacts), f"{len(student.preacts)} feature maps before their activation"
    if "maps" in method.reads and "logits" in method.reads:
        return [student.logits, *student.maps], f"logits and {len(student.maps)} feature maps"
    if "maps" in method.reads:
        return list(student.maps), f"{len(student.maps)} feature maps"
    if "embedding" in method.reads:
        return [student.embedding], "embedding, {} × {}".format(*student.embedding.shape)
    return [student.logits], "logits, {} × {}".format(*student.logits.shape)


__all__ = ["Conventions", "PairingError", "own_value", "prepared", "slope", "what_is_compared"]
