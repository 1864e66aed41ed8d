"""What every method keeps, whatever it computes."""

from __future__ import annotations

import inspect
from dataclasses import fields, replace
from typing import get_args

import pytest
import torch
from torch import Tensor

from kdcore.method import Family, Matching, Reads
from kdcore.vocabulary import Batch, Paper, Seen

from .fixture import METHODS, at_least, both, learning, looked, loss, made, permuted
from .live import Live, seen_with, with_logits

EVERY = pytest.mark.parametrize("key", METHODS)
RESTING = pytest.mark.parametrize("key", [key for key, method in METHODS.items() if method.rests])
LEARNED = pytest.mark.parametrize("key", [key for key in METHODS if list(made(key, *both(key, 2)[:2]).parameters())])
SHOWN = pytest.mark.parametrize("key", [key for key in METHODS if made(key, *both(key, 2)[:2]).view(*both(key, 2)[:2])])
TAUGHT = pytest.mark.parametrize("key", [key for key, method in METHODS.items() if method.needs_teacher])
FIELDS = get_args(Reads)


def terms_of(key: str, student: Seen, teacher: Seen, batch: Batch) -> dict[str, Tensor]:
    return made(key, student, teacher)(student, teacher, batch)


def check_finite(key: str, student: Seen, teacher: Seen, batch: Batch) -> None:
    """Terms are (N,), finite and in float32 at least, and so are the student's gradients."""
    student, leaves = learning(student)
    terms = terms_of(key, student, teacher, batch)
    assert terms
    for term in terms.values():
        assert term.shape == batch.labels.shape
        assert term.dtype == at_least(student.logits.dtype)
        assert term.isfinite().all()
    loss(terms).backward()
    assert all(leaf.grad is None or leaf.grad.isfinite().all() for leaf in leaves)


@EVERY
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("number", [1, 2, 5])
def test_terms_are_one_finite_number_per_image(key, number, dtype):
    check_finite(key, *both(key, number, dtype=dtype))


@EVERY
def test_logit_gaps_of_300_stay_finite(key):
    student, teacher, batch = both(key, 5)
    far = torch.full_like(student.logits, -150.0)
    far[:, 0] = 150.0
    check_finite(key, with_logits(student, far), with_logits(teacher, -far), batch)


@EVERY
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_layers_stay_finite(key, value):
    student, teacher, batch = both(key, 5)

    def constant(tensor: Tensor) -> Tensor:
        return torch.full_like(tensor, value)

    if isinstance(student, Live):  # all weights alike: dead at zero, without any contrast at one
        check_finite(key, seen_with(student, constant), teacher, batch)
        check_finite(key, seen_with(student, constant), seen_with(teacher, constant), batch)
        return
    check_finite(key, student.each(constant), teacher.each(constant), batch)
    check_finite(key, student.each(constant), teacher, batch)


@EVERY
def test_layers_without_a_plane_stay_finite(key):
    student, teacher, batch = both(key, 5)
    if isinstance(student, Live):
        widths = [tuple(features.shape[1] for features in side.maps) for side in (student, teacher)]
        check_finite(key, *looked(*widths, 5, (1,) * len(widths[0])))
        return
    flat = [tensor.mean(dim=(2, 3), keepdim=True) for tensor in student.maps]
    check_finite(key, replace(student, maps=tuple(flat), preacts=tuple(flat)), teacher, batch)


@EVERY
def test_autocast_does_not_reach_the_loss(key):
    student, teacher, batch = both(key, 5)
    method = made(key, student, teacher).train()
    plain = method(student, teacher, batch)
    again = made(key, student, teacher).train()  # a memory would have moved
    with torch.autocast("cpu", torch.bfloat16):
        terms = again(student, teacher, batch)
    rounding = 0.2 if list(method.parameters()) else 1e-5  # learned parts may run in halves, formulas may not
    for name, term in terms.items():
        torch.testing.assert_close(term, plain[name], rtol=rounding, atol=rounding)


@EVERY
def test_the_student_learns_and_the_teacher_does_not(key):
    student, teacher, batch = both(key, 5, dtype=torch.float64)
    student, leaves = learning(student)
    loss(terms_of(key, student, teacher, batch)).backward()
    assert any(leaf.grad is not None and leaf.grad.abs().max() > 0 for leaf in leaves)
    if isinstance(teacher, Live):
        assert teacher.inputs.grad is None
        assert all(parameter.grad is None for parameter in teacher.network.parameters())
    else:
        assert not any(t.requires_grad for t in (teacher.logits, *teacher.maps, *teacher.preacts, teacher.embedding))


@TAUGHT
def test_no_gradient_reaches_a_teacher_even_where_it_could(key):
    """A network that teaches its own exits hands over what is still in its graph."""
    student, teacher, batch = both(key, 5, dtype=torch.float64)
    if not isinstance(teacher, Live):
        return
    student, _ = learning(student)
    teaching = replace(teacher, teaching=False)
    teaching = permuted(teaching, torch.arange(5))
    loss(terms_of(key, student, teaching, batch)).backward()
    assert all(parameter.grad is None for parameter in teaching.network.parameters())


@LEARNED
def test_learned_parts_learn(key):
    student, teacher, batch = both(key, 5, dtype=torch.float64)
    method = made(key, student, teacher).train()
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1)
    for _ in range(2):  # what stands before a part that starts at zero learns from the second step on
        loss(method(student, teacher, batch)).backward()
        optimizer.step()
    for name, module in method.named_modules():  # a shift may cancel in a softmax, but not all of a module's numbers
        own = [part for part in module.parameters(recurse=False) if part.requires_grad]
        assert not own or any(part.grad is not None and part.grad.abs().max() > 1e-12 for part in own), name


@TAUGHT
def test_it_rests_when_both_saw_the_same_if_it_says_so(key):
    _, teacher, batch = both(key, 5, dtype=torch.float64)
    found = torch.stack(list(terms_of(key, teacher, teacher, batch).values()))
    if METHODS[key].rests:
        assert found.abs().max() < 1e-9
    else:
        assert found.abs().max() > 1e-6


@RESTING
@pytest.mark.parametrize("seed", range(3))
def test_what_rests_is_never_negative(key, seed):
    terms = terms_of(key, *both(key, 5, dtype=torch.float64, seed=seed))
    assert loss(terms) > 0
    assert all(term.mean() > -1e-12 for term in terms.values())


@EVERY
def test_the_order_of_the_batch_does_not_matter(key):
    student, teacher, batch = both(key, 5, dtype=torch.float64)
    method, order = made(key, student, teacher), torch.tensor([3, 0, 4, 2, 1])
    before = method(student, teacher, batch)
    moved = replace(batch, images=batch.images[order], labels=batch.labels[order], index=batch.index[order])
    for name, term in method(permuted(student, order), permuted(teacher, order), moved).items():
        torch.testing.assert_close(term, before[name][order], rtol=1e-9, atol=1e-12)


def guarded(seen: Seen, allowed: tuple[str, ...]) -> Seen:
    """A Seen whose other fields raise when touched."""

    class Guarded(Seen):
        def __getattribute__(self, name: str):
            if name in FIELDS and name not in allowed:
                raise AssertionError(f"reads {name} without saying so")
            return super().__getattribute__(name)

    return Guarded(**{one.name: getattr(seen, one.name) for one in fields(Seen)})


@EVERY
def test_it_reads_only_what_it_says(key):
    student, teacher, batch = both(key, 5)
    kind = METHODS[key]
    method = made(key, student, teacher)
    known = replace(batch, labels=batch.labels if "labels" in kind.reads else None)  # type: ignore[arg-type]
    theirs = guarded(teacher, kind.reads if kind.needs_teacher else ())
    method(guarded(student, kind.reads), theirs, known)
    method.build(guarded(student, kind.reads), theirs, 100)
    if kind.needs_teacher:
        method.view(guarded(student, kind.reads), theirs)


@pytest.mark.parametrize(("key", "field"), [(key, field) for key in METHODS for field in METHODS[key].reads])
def test_it_needs_what_it_says(key, field):
    student, teacher, batch = both(key, 5)
    method = made(key, student, teacher)
    if field == "labels":
        batch = replace(batch, labels=None)  # type: ignore[arg-type]
    rest = tuple(name for name in FIELDS if name != field)
    student, teacher = guarded(student, rest), guarded(teacher, rest)
    with pytest.raises((AssertionError, TypeError, AttributeError)):
        method(student, teacher, batch)


@SHOWN
def test_its_view_lays_equal_shapes_side_by_side(key):
    student, teacher, _ = both(key, 5)
    ours, theirs = made(key, student, teacher).view(student, teacher)
    assert ours
    assert [tensor.shape for tensor in ours] == [tensor.shape for tensor in theirs]
    assert all(tensor.isfinite().all() for tensor in (*ours, *theirs))


@EVERY
def test_its_card_is_complete(key):
    kind = METHODS[key]
    assert kind.title.strip()
    assert kind.family in get_args(Family)
    assert isinstance(kind.paper, Paper)
    assert kind.paper.authors
    assert kind.paper.link.startswith("https://")
    assert 1900 < kind.paper.year < 2100
    assert kind.provenance.strip()
    assert kind.convention.strip()
    assert isinstance(kind.pitfalls, tuple)
    assert all(pitfall.endswith(".") for pitfall in kind.pitfalls)
    assert kind.weight > 0
    assert isinstance(kind.rests, bool)
    assert kind.matches in get_args(Matching)
    assert kind.prefers in ("middle", "last")
    assert kind.reads
    assert set(kind.reads) <= set(FIELDS)
    assert isinstance(kind.needs_teacher, bool)
    if kind.matches == "nothing":
        assert not {"maps", "preacts"} & set(kind.reads)


@EVERY
def test_its_formula_is_balanced_latex(key):
    formula, depth = METHODS[key].formula, 0
    assert formula.strip()
    for letter in formula.replace(r"\{", "").replace(r"\}", ""):
        depth += (letter == "{") - (letter == "}")
        assert depth >= 0, formula
    assert depth == 0, formula
    assert formula.count(r"\left") - formula.count(r"\leftarrow") == formula.count(r"\right") - formula.count(
        r"\rightarrow"
    )
    assert "$" not in formula


@EVERY
def test_its_docstring_says_what_it_does_and_then_why(key):
    says, _, why = (inspect.getdoc(METHODS[key]) or "").partition("\n\n")
    assert says.endswith(".")
    assert len(says) <= 120
    assert "\n" not in says
    assert why.strip().endswith(".")
    assert (inspect.getmodule(METHODS[key]).__doc__ or "").strip().endswith(".")


@EVERY
def test_its_knobs_explain_themselves(key):
    for knob in METHODS[key].knobs.values():
        assert knob.help.endswith("."), knob.name
        if knob.kind in ("int", "float"):
            assert knob.low is not None, knob.name
            assert knob.high is not None, knob.name
