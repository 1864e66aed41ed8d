"""Contrastive methods: the number of the source's code, and what the memory keeps."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from kdcore.methods.crd import noise_contrast
from kdcore.methods.crd_inbatch import choice

from .fixture import VS8, VT, both, loss, made


def test_equal_scores_cost_in_crd_what_its_source_and_the_closed_form_say():
    images, negatives = 50_000, 16_384
    equal = torch.full((1, 7), 1 / images, dtype=torch.float64)
    found = noise_contrast(equal[:, 0], equal, torch.ones(1, 7, dtype=torch.bool), negatives=negatives, images=images)
    assert found.item() == pytest.approx(10.70909104, rel=1e-7)
    closed = math.log(1 + negatives) + negatives * math.log(1 + 1 / negatives)
    assert closed == pytest.approx(10.70409104, rel=1e-7)
    assert found.item() == pytest.approx(closed, rel=1e-3)


def contrasted(number: int = 5, **settings):
    student, teacher, batch = both("crd", number)
    return made("crd", student, teacher, **settings), student, teacher, batch


def test_crd_is_what_the_draw_of_its_source_comes_to_on_average():
    method, student, teacher, batch = contrasted(3, negatives=50, features=8)
    (ours,), _ = method.view(student, teacher)
    scores = (ours @ method.teacher_memory.T / 0.07).exp() / method.student_scale
    draw, noise = torch.Generator().manual_seed(0), 50 / 100
    right = []
    for row, own in zip(scores, batch.index, strict=True):
        others = torch.tensor([place for place in range(100) if place != own])
        drawn = row[others[torch.randint(len(others), (4000, 50), generator=draw)]]
        right.append(-(row[own] / (row[own] + noise)).log() - (noise / (drawn + noise)).log().sum(dim=1).mean())
    torch.testing.assert_close(method(student, teacher, batch)["student"], torch.stack(right), rtol=5e-3, atol=0)


def test_a_partner_that_is_found_more_easily_costs_less():
    own = torch.tensor([1e-4, 1e-3, 1e-2])
    others, counted = torch.full((3, 4), 1e-4), torch.ones(3, 4, dtype=torch.bool)
    found = noise_contrast(own, others, counted, negatives=16, images=1000)
    assert (found.diff() < 0).all()
    dearer = noise_contrast(own, 10 * others, counted, negatives=16, images=1000)
    assert (dearer > found).all()


def test_the_memory_moves_in_training_only_and_only_where_images_were():
    method, student, teacher, batch = contrasted()
    batch = replace(batch, index=torch.tensor([7, 3, 99, 0, 50]))
    before = {name: part.clone() for name, part in method.state_dict().items()}
    method.eval()(student, teacher, batch)
    assert all(torch.equal(part, before[name]) for name, part in method.state_dict().items())
    method.train()(student, teacher, batch)
    still = torch.ones(100, dtype=torch.bool)
    still[batch.index] = False
    (ours,), (theirs,) = method.view(student, teacher)
    for name, seen in (("student_memory", ours), ("teacher_memory", theirs)):
        memory = getattr(method, name)
        assert torch.equal(memory[still], before[name][still])
        torch.testing.assert_close(memory[batch.index].norm(dim=1), torch.ones(5))
        right = F.normalize(0.5 * before[name][batch.index] + 0.5 * seen)
        torch.testing.assert_close(memory[batch.index], right)
    assert torch.equal(method.met, ~still)
    assert torch.equal(method.classes[batch.index], batch.labels)


def test_a_memory_that_is_saved_comes_back_whole():
    method, student, teacher, batch = contrasted()
    method.train()(student, teacher, batch)
    torch.manual_seed(9)
    other, *_ = contrasted()
    other.build(student, teacher, 100)
    other.load_state_dict(method.state_dict())
    for found, right in zip(
        other.eval()(student, teacher, batch).values(), method.eval()(student, teacher, batch).values(), strict=True
    ):
        assert torch.equal(found, right)


def test_negatives_are_images_that_were_met_and_are_of_other_classes():
    method, student, teacher, batch = contrasted()
    batch = replace(batch, labels=torch.tensor([0, 0, 1, -1, 2]), index=torch.arange(5))
    fresh = method.counted(batch)
    assert torch.equal(fresh, ~torch.eye(5, 100, dtype=torch.bool))
    method.train()(student, teacher, batch)
    counted = method.counted(batch)
    assert not counted[:, 5:].any()
    assert counted[:, :5].int().tolist() == [
        [0, 0, 1, 1, 1],
        [0, 0, 1, 1, 1],
        [1, 1, 0, 1, 1],
        [1, 1, 1, 0, 1],  # its own class is unknown: all others count
        [1, 1, 1, 1, 0],
    ]


def test_crd_falls_as_it_learns_pictures_by_heart():
    _, student, teacher, batch = contrasted()
    leaf = student.embedding.clone().requires_grad_()
    method = made("crd", student, teacher, features=16, negatives=64).train()
    optimizer = torch.optim.Adam([leaf, *method.parameters()], lr=0.02)
    found = []
    for _ in range(60):
        optimizer.zero_grad()
        loss_now = loss(method(replace(student, embedding=leaf), teacher, batch))
        loss_now.backward()
        optimizer.step()
        found.append(loss_now.item())
    assert found[-1] < 0.6 * found[0]


def test_contrast_in_the_batch_is_cross_entropy_with_the_diagonal():
    ours, theirs = F.normalize(VS8), F.normalize(VT)
    right = F.cross_entropy(ours @ theirs.T / 0.07, torch.arange(4), reduction="none")
    torch.testing.assert_close(choice(ours, theirs, 0.07), right)
    assert choice(torch.eye(4), torch.eye(4), 0.07).max() < 1e-4


def test_directions_that_tell_nothing_are_at_chance():
    student, teacher, batch = both("crd_inbatch", 5)
    same = replace(teacher, embedding=torch.ones_like(teacher.embedding))
    terms = made("crd_inbatch", student, same)(student, same, batch)
    torch.testing.assert_close(terms["student"], torch.full((5,), math.log(5)))
