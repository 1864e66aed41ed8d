"""What becomes of a data set: splits, noisy and withheld labels, a class never shown, one normalisation."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from kdcore.dataset import DataError, Dataset, Raw
from kdcore.spec import KnobError

CLASSES = 5


def raw(count: int = 2000, *, test: int = 50, classes: int = CLASSES) -> Raw:
    """Pictures whose first pixel says which they are."""
    generator = torch.Generator().manual_seed(0)

    def pictures(number: int) -> torch.Tensor:
        images = torch.randint(0, 256, (number, 1, 8, 8), generator=generator, dtype=torch.uint8)
        images[:, 0, 0, 0] = torch.arange(number) // 256
        images[:, 0, 0, 1] = torch.arange(number) % 256
        return images

    names = tuple(f"class {place}" for place in range(classes))
    return Raw(pictures(count), torch.arange(count) % classes, pictures(test), torch.arange(test) % classes, names)


class Made(Dataset):
    """A data set that a test hands in."""

    title = "made"
    content = raw()

    def load(self, seed: int) -> Raw:
        return self.content


def made(content: Raw | None = None, **settings) -> Made:
    dataset = Made(**settings)
    if content is not None:
        dataset.content = content
    return dataset


def test_validation_takes_its_share_out_of_training():
    data = made(validation=0.2).prepare(0)
    assert len(data.validation) == 400
    assert len(data.train) == 1600
    assert sorted([*data.train.index.tolist(), *data.validation.index.tolist()]) == list(range(2000))


def test_every_row_stays_with_its_picture_and_its_label():
    content = raw()
    data = made(content).prepare(3)
    for part in (data.train, data.validation):
        pixels = (data.pixels(part.images) * 255).round().to(torch.uint8)
        assert torch.equal(pixels, content.images[part.index])
        assert torch.equal(part.labels, content.labels[part.index])
    assert torch.equal((data.pixels(data.test.images) * 255).round().to(torch.uint8), content.test_images)


def test_the_test_set_has_no_say_in_anything():
    content = raw()
    other = replace(content, test_images=255 - content.test_images, test_labels=content.test_labels.flip(0))
    data, again = made(content, label_noise=0.5).prepare(0), made(other, label_noise=0.5).prepare(0)
    assert torch.equal(data.mean, again.mean)
    assert torch.equal(data.train.images, again.train.images)
    assert torch.equal(data.train.labels, again.train.labels)
    assert torch.equal(data.validation.index, again.validation.index)


def test_validation_pictures_have_no_say_in_the_normalisation():
    content = raw()
    held = made(content).prepare(0).validation.index
    images = content.images.clone()
    images[held] = 255
    again = made(replace(content, images=images, partner=images, test_partner=content.test_images)).prepare(0)
    assert torch.equal(again.mean, made(content).prepare(0).mean)
    assert torch.equal(again.partner_mean, again.mean)


def test_train_size_counts_pictures_before_validation_is_taken_out():
    data = made(train_size=100, validation=0.25).prepare(0)
    assert len(data.train) == 75
    assert len(data.validation) == 25
    assert len(data.test) == 50


def test_train_size_beyond_what_there_is_takes_all():
    assert len(made(train_size=100_000).prepare(0).train) == 1700


@pytest.mark.parametrize(("count", "held"), [(10, 5), (11, 5), (40, 6), (100, 15)])
def test_few_pictures_leave_at_least_one_per_class_on_both_sides(count, held):
    data = made(raw(count)).prepare(0)
    assert len(data.validation) == held
    assert len(data.train) == count - held


@pytest.mark.parametrize("size", [1, 5, 9])
def test_too_few_pictures_are_refused_with_the_count(size):
    with pytest.raises(DataError, match=f"{size} training pictures less 5 for validation"):
        made(train_size=size).prepare(0)


def test_label_noise_redraws_labels_at_its_rate_alike_for_both():
    data = made(raw(20_000), label_noise=0.4).prepare(0)
    wrong = (data.train.labels != data.train.truth).double().mean().item()
    assert wrong == pytest.approx(0.4 * (CLASSES - 1) / CLASSES, abs=0.015)  # a redrawn label may be the right one
    assert torch.equal(data.train.labels, data.teacher_train.labels)
    assert torch.equal(data.validation.labels, data.validation.truth)
    assert torch.equal(data.test.labels, data.test.truth)
    shares = torch.bincount(data.train.labels, minlength=CLASSES) / len(data.train)
    assert shares.sub(1 / CLASSES).abs().max() < 0.01


def test_label_noise_moves_no_picture():
    assert torch.equal(made().prepare(0).train.index, made(label_noise=0.9).prepare(0).train.index)


def test_a_share_of_the_labels_is_kept_in_each_class_and_the_teacher_keeps_all():
    data = made(labelled=0.1).prepare(0)
    for label in range(CLASSES):
        of_class = data.train.truth == label
        kept = (data.train.labels[of_class] >= 0).sum().item()
        assert kept == round(0.1 * of_class.sum().item())
        assert (data.train.labels[of_class] == label).sum() == kept
    assert torch.equal(data.teacher_train.labels, data.teacher_train.truth)


def test_a_tiny_share_keeps_one_label_per_class_and_none_keeps_none():
    labels = made(labelled=0.0001).prepare(0).train.labels
    assert sorted(labels[labels >= 0].tolist()) == list(range(CLASSES))
    assert (made(labelled=0.0).prepare(0).train.labels == -1).all()


def test_a_hidden_class_is_gone_from_the_students_training_only():
    data = made(hidden_class=2).prepare(0)
    assert data.hidden == 2
    assert not (data.train.truth == 2).any()
    plain = made().prepare(0)
    assert torch.equal(data.teacher_train.truth, plain.teacher_train.truth)
    assert torch.equal(data.validation.truth, plain.validation.truth)
    assert len(data.train) == int((plain.train.truth != 2).sum())


def test_a_hidden_class_that_is_none_is_refused():
    with pytest.raises(KnobError, match="classes are 0 to 4") as caught:
        made(hidden_class=5).prepare(0)
    assert caught.value.knob == "hidden_class"


def test_what_the_teacher_sees_is_the_same_scene():
    content = raw()
    content = replace(content, partner=255 - content.images, test_partner=255 - content.test_images)
    data = made(content, hidden_class=1, labelled=0.5).prepare(0)
    for part in (data.train, data.teacher_train, data.validation, data.test):
        total = data.pixels(part.images) + data.partner_pixels(part.partner)
        torch.testing.assert_close(total, torch.ones_like(total), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_names": ("one",)}, "1 class"),
        ({"class_names": ("one", "two")}, "labels run from 0 to 4"),
        ({"labels": torch.arange(2000) % CLASSES - 1}, "labels run from -1 to 3"),
        ({"labels": torch.zeros(3, dtype=torch.int64)}, r"labels \(3,\)"),
        ({"images": torch.zeros(2000, 8, 8)}, r"\(N, c, h, w\)"),
        ({"test_images": torch.zeros(50, 1, 9, 9)}, "differ in shape"),
        ({"test_images": torch.zeros(0, 1, 8, 8), "test_labels": torch.zeros(0)}, "test set is empty"),
        ({"partner": torch.zeros(2000, 1, 8, 8)}, "what the teacher sees"),
        ({"partner": torch.zeros(2000, 3, 8, 8), "test_partner": torch.zeros(50, 3, 8, 8)}, "what the teacher sees"),
    ],
)
def test_data_that_contradicts_itself_is_refused(change, message):
    with pytest.raises(DataError, match=message):
        made(replace(raw(), **change)).prepare(0)


def test_a_constant_channel_stays_finite():
    content = raw()
    content.images[:] = 7
    data = made(content).prepare(0)
    assert data.train.images.abs().max() < 1e-2


def test_moving_to_a_device_keeps_shared_pictures_shared():
    data = made(labelled=0.5).prepare(0)
    moved = data.to("meta")
    assert moved.train.images is moved.teacher_train.images
    assert moved.train.labels is not moved.teacher_train.labels
    hidden = made(hidden_class=0).prepare(0).to("meta")
    assert len(hidden.train) < len(hidden.teacher_train)


def test_only_the_chosen_pictures_become_floats():
    class Counted(torch.Tensor):
        """Pictures that remember how many rows were ever taken out or converted at once."""

        most = 0

        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            found = super().__torch_function__(function, types, args, kwargs or {})
            if isinstance(found, torch.Tensor) and found.is_floating_point() and found.ndim == 4:
                cls.most = max(cls.most, len(found))
            return found

    content = raw(5000)
    content = replace(content, images=content.images.as_subclass(Counted))
    data = made(content, train_size=400).prepare(0)
    assert len(data.train) + len(data.validation) == 400
    assert 0 < Counted.most <= 400
