"""What every network keeps to, and what each of them is known for."""

from __future__ import annotations

import copy
import itertools
import random
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load, save, save_file
from torch import Tensor, nn

from kdcore import networks
from kdcore.network import Network, macs_of, parameters_of
from kdcore.networks.mobile import Mobile
from kdcore.networks.resnet import ResNet
from kdcore.networks.torchvision import TorchvisionModel, resized_positions, stages_among
from kdcore.networks.vgg import VGG
from kdcore.networks.wide_resnet import WideResNet
from kdcore.registry import discover
from kdcore.spec import KnobError

NETWORKS = discover(networks, Network)
SHAPES = [(1, 8, 8), (3, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64), (1, 9, 33), (3, 64, 8)]
RELU = ("plain", "resnet", "wide_resnet", "vgg", "mlp", "torchvision")
EACH = pytest.mark.parametrize("key", NETWORKS)


def made(key: str, shape: tuple[int, ...] = (1, 8, 8), classes: int = 3, *, seed: int = 0, **knobs: object) -> Network:
    torch.manual_seed(seed)
    network = NETWORKS[key](**knobs)
    network.build(shape, classes)
    return network


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def assert_lawful(network: Network, images: Tensor, classes: int) -> None:
    seen = network.look(images)
    count = len(images)
    assert seen.logits.shape == (count, classes)
    assert seen.embedding.shape[0] == count
    assert seen.embedding.ndim == 2
    assert len(seen.maps) == len(seen.preacts) == len(network.layers) == len(set(network.layers)) > 0
    for before, after in zip(seen.preacts, seen.maps, strict=True):
        assert before.shape == after.shape
        assert after.ndim == 4
        assert after.shape[0] == count
    if not images.is_meta:
        for tensor in (seen.logits, *seen.maps, *seen.preacts, seen.embedding):
            assert torch.isfinite(tensor).all()


@EACH
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("classes", [2, 11])
def test_fits_any_picture_and_any_number_of_classes(key: str, shape: tuple[int, ...], classes: int) -> None:
    with torch.device("meta"):  # shapes alone, nothing is computed
        network = made(key, shape, classes)
        assert_lawful(network.train(), torch.zeros(2, *shape), classes)
        assert_lawful(network.eval(), torch.zeros(1, *shape), classes)


@EACH
def test_trains_on_two_and_answers_for_one(key: str) -> None:
    network = made(key, (3, 9, 11), 2)
    assert_lawful(network.train(), drawn(2, 3, 9, 11), 2)
    assert_lawful(network.eval(), drawn(1, 3, 9, 11), 2)
    assert torch.equal(network(drawn(1, 3, 9, 11)), network.look(drawn(1, 3, 9, 11)).logits)


@pytest.mark.parametrize("key", [key for key, kind in NETWORKS.items() if "points" in kind.takes])
def test_takes_points_where_it_says_so(key: str) -> None:
    assert_lawful(made(key, (2,), 4), drawn(5, 2), 4)


def ends(key: str) -> dict[str, list[object]]:
    """The extremes of every knob that has any."""
    known: dict[str, list[object]] = {}
    for name, knob in NETWORKS[key].knobs.items():
        if knob.choices:
            known[name] = list(knob.choices)
        elif knob.kind == "bool":
            known[name] = [False, True]
        elif knob.kind != "str":
            known[name] = [knob.low, knob.high]
    return known


@EACH
def test_holds_at_every_combination_of_extreme_knobs(key: str) -> None:
    choices = ends(key)
    for values in itertools.product(*choices.values()):
        knobs = dict(zip(choices, values, strict=True))
        with torch.device("meta"):
            for shape in ((1, 8, 8), (3, 64, 64)):
                assert_lawful(made(key, shape, 2, **knobs).train(), torch.zeros(2, *shape), 2)


@EACH
def test_computes_finite_numbers_at_the_low_end_of_all_knobs(key: str) -> None:
    knobs = {name: values[0] for name, values in ends(key).items()}
    assert_lawful(made(key, **knobs).train(), drawn(2, 1, 8, 8), 3)


@EACH
def test_every_number_knob_changes_what_is_built(key: str) -> None:
    for name, knob in NETWORKS[key].knobs.items():
        if knob.kind == "str":
            continue
        costs = set()
        for value in (knob.low, knob.high):
            with torch.device("meta"):
                network = made(key, (1, 16, 16), **{name: value})
                costs.add((parameters_of(network), macs_of_meta(network, (1, 16, 16))))
        assert len(costs) == 2, name


def macs_of_meta(network: Network, shape: tuple[int, ...]) -> int:
    with torch.device("meta"):
        return macs_of(network, shape)


@EACH
def test_the_same_seed_builds_the_same_and_another_another(key: str) -> None:
    before = random.getstate()
    one, same, other = (made(key, seed=seed).state_dict() for seed in (7, 7, 8))
    assert random.getstate() == before
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


@EACH
def test_every_parameter_learns(key: str) -> None:
    network = made(key, (3, 16, 16), 4).train()
    F.cross_entropy(network(drawn(8, 3, 16, 16)), torch.arange(8) % 4).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


@EACH
def test_each_map_and_preactivation_carries_a_gradient_to_the_first_layer(key: str) -> None:
    network = made(key, (1, 16, 16)).train()
    first = next(network.parameters())
    seen = network.look(drawn(4, 1, 16, 16))
    for tensor in (*seen.maps, *seen.preacts, seen.embedding):
        (gradient,) = torch.autograd.grad(tensor.square().sum(), first, retain_graph=True)
        assert torch.isfinite(gradient).all()


@EACH
def test_can_be_differentiated_twice(key: str) -> None:
    network = made(key, (1, 8, 8)).train()
    images = drawn(2, 1, 8, 8).requires_grad_()
    (slope,) = torch.autograd.grad(network(images).square().sum(), images, create_graph=True)
    slope.square().sum().backward()
    assert any(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())


@pytest.mark.parametrize("key", RELU)
@pytest.mark.parametrize("training", [True, False])
def test_maps_are_the_activated_preactivations(key: str, training: bool) -> None:
    seen = made(key, (1, 16, 16)).train(training).look(drawn(3, 1, 16, 16))
    for before, after in zip(seen.preacts, seen.maps, strict=True):
        assert torch.equal(after, before.relu())
        assert before.min() < 0 or before.shape[2:] == (1, 1)


@EACH
def test_nothing_seen_is_overwritten_later(key: str) -> None:
    network = made(key, (1, 16, 16)).eval()
    seen = network.look(drawn(3, 1, 16, 16))
    versions = [tensor._version for tensor in (*seen.maps, *seen.preacts, seen.embedding)]
    kept = seen.each(Tensor.clone)
    network.look(drawn(3, 1, 16, 16) + 1)
    for before, after in zip((*kept.maps, *kept.preacts), (*seen.maps, *seen.preacts), strict=True):
        assert torch.equal(before, after)
    assert versions == [tensor._version for tensor in (*seen.maps, *seen.preacts, seen.embedding)]


@EACH
def test_the_head_reads_the_embedding(key: str) -> None:
    network = made(key).train()
    seen = network.look(drawn(3, 1, 8, 8))
    head = network.head
    assert isinstance(head, nn.Module)
    torch.testing.assert_close(head(seen.embedding), seen.logits)


@EACH
def test_pictures_of_a_batch_do_not_touch_each_other_when_it_answers(key: str) -> None:
    network = made(key).eval()
    images = drawn(3, 1, 8, 8)
    torch.testing.assert_close(network(images)[1:2], network(images[1:2]), rtol=1e-4, atol=1e-5)


@EACH
def test_the_order_of_channels_in_memory_does_not_matter(key: str) -> None:
    network = made(key, (3, 16, 16)).eval()
    plain = network.look(drawn(2, 3, 16, 16))
    network = network.to(memory_format=torch.channels_last)
    other = network.look(drawn(2, 3, 16, 16).contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(other.logits, plain.logits, rtol=1e-4, atol=1e-4)
    for one, two in zip(plain.maps, other.maps, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)


@EACH
def test_comes_back_from_safetensors(key: str) -> None:
    network, other = made(key, seed=1), made(key, seed=2)
    network.train()(drawn(4, 1, 8, 8))  # moves running statistics
    other.load_state_dict(load(save(network.state_dict())))
    images = drawn(2, 1, 8, 8)
    assert torch.equal(network.eval()(images), other.eval()(images))


@EACH
def test_a_copy_lives_by_itself(key: str) -> None:
    network = made(key).eval()
    twin = copy.deepcopy(network)
    images = drawn(2, 1, 8, 8)
    before = network(images)
    assert torch.equal(twin(images), before)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(0.1)
    assert torch.equal(network(images), before)
    assert not torch.equal(twin(images), before)
    assert_lawful(twin.train(), images, 3)


@EACH
def test_work_is_counted_and_the_mode_kept(key: str) -> None:
    network = made(key).train()
    assert macs_of(network, (1, 8, 8)) > parameters_of(network) / 100
    assert network.training


@EACH
def test_has_a_card(key: str) -> None:
    kind = NETWORKS[key]
    assert kind.title
    assert kind.__doc__
    assert len(kind.__doc__.split("\n")[0]) < 120
    assert all(knob.help.endswith(".") for knob in kind.knobs.values())


def test_resnet_has_the_channels_and_depth_of_its_name() -> None:
    seen = made("resnet", (3, 32, 32), 100, style="x4").look(drawn(1, 3, 32, 32).expand(2, -1, -1, -1))
    assert [tuple(stage.shape[1:]) for stage in seen.maps] == [(64, 32, 32), (128, 16, 16), (256, 8, 8)]
    # ResNet-20 for 10 classes has 0.27 M parameters in He et al.; 1x1 shortcuts add 64 + 2 x 96 + 2 048 + 512
    network = made("resnet", (3, 32, 32), 10, blocks=3)
    assert parameters_of(network) == 272_474
    for blocks in (1, 5):
        network = made("resnet", (3, 32, 32), 10, blocks=blocks)
        convolutions = [
            part for part in network.modules() if isinstance(part, nn.Conv2d) and part.kernel_size == (3, 3)
        ]
        assert len(convolutions) + 1 == 6 * blocks + 2
    assert isinstance(network, ResNet)


def test_wide_resnet_has_the_size_of_its_name() -> None:
    network = made("wide_resnet", (3, 32, 32), 10, blocks=2, widen=2)
    assert isinstance(network, WideResNet)
    assert round(parameters_of(network) / 1e6, 1) == 0.7  # WRN-16-2: 0.7 M
    seen = network.eval().look(drawn(1, 3, 32, 32))
    assert [tuple(stage.shape[1:]) for stage in seen.maps] == [(32, 32, 32), (64, 16, 16), (128, 8, 8)]


def test_vgg_halves_the_plane_as_the_benchmarks_do() -> None:
    for side, planes in ((32, [32, 16, 8, 4, 4]), (64, [64, 32, 16, 8, 4])):
        network = made("vgg", (3, side, side), 10, width=64)
        assert isinstance(network, VGG)
        seen = network.eval().look(drawn(1, 3, side, side))
        assert [stage.shape[2] for stage in seen.maps] == planes
        assert [stage.shape[1] for stage in seen.maps] == [64, 128, 256, 512, 512]


def test_mobile_ends_stages_on_linear_bottlenecks() -> None:
    network = made("mobile", (3, 32, 32), 10)
    assert isinstance(network, Mobile)
    seen = network.eval().look(drawn(1, 3, 32, 32))
    assert [tuple(stage.shape[1:]) for stage in seen.maps] == [(12, 16, 16), (16, 8, 8), (48, 4, 4), (160, 2, 2)]
    assert all(stage.min() < 0 for stage in seen.maps)
    assert seen.embedding.shape == (1, 1280)


TORCHVISION = {
    "resnet18": 5, "mobilenet_v2": 5, "mobilenet_v3_small": 5, "squeezenet1_1": 4, "shufflenet_v2_x0_5": 4,
    "regnet_y_400mf": 5, "efficientnet_b0": 5, "vgg11_bn": 5, "vit_b_32": 4, "swin_t": 4, "googlenet": 5,
}  # fmt: skip
"""Model: how many stages it has."""


@pytest.mark.parametrize("model", TORCHVISION)
def test_torchvision_models_are_read_at_their_stages(model: str) -> None:
    network = made("torchvision", (1, 8, 8), 3, model=model)
    assert len(network.layers) == TORCHVISION[model]
    images = drawn(2, 1, 8, 8)
    assert_lawful(network.train(), images, 3)
    seen = network.look(images)
    if model == "squeezenet1_1":
        assert not hasattr(network, "head")
    else:
        torch.testing.assert_close(network.head(seen.embedding), seen.logits)
    assert_lawful(network.eval(), images[:1], 3)
    seen = network.look(images)
    for before, after in zip(seen.preacts, seen.maps, strict=True):
        assert torch.equal(before, after) or torch.equal(after, before.relu())


def test_torchvision_logits_are_those_of_the_model_itself() -> None:
    import torchvision

    torch.manual_seed(3)
    model = torchvision.models.resnet18(num_classes=4).eval()
    network = made("torchvision", (3, 64, 64), 4, model="resnet18", seed=3).eval()
    torch.testing.assert_close(network(drawn(2, 3, 64, 64)), model(drawn(2, 3, 64, 64)))
    assert set(network.state_dict()) == {f"extractor.{name}" for name in model.state_dict()}


def test_an_unknown_model_names_near_ones() -> None:
    with pytest.raises(KnobError, match=r"model='resnet19'.*resnet18") as caught:
        made("torchvision", model="resnet19")
    assert caught.value.knob == "model"
    with pytest.raises(KnobError, match="torchvision; near are resnet18"):
        made("torchvision", model="")
    with pytest.raises(KnobError, match="reads 1 or 3 channels; these pictures have 2"):
        made("torchvision", (2, 8, 8))


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder weights of an otherwise empty data folder."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv("KDLAB_DATA", str(tmp_path))
    return folder


SMALL = "shufflenet_v2_x0_5"


def test_weights_come_from_a_file_with_or_without_our_prefix(shelf: Path) -> None:
    teacher = made("torchvision", classes=3, model=SMALL, seed=5).eval()
    state = teacher.state_dict()
    save_file(state, shelf / "ours.safetensors")
    save_file(
        {key.removeprefix("extractor."): value.clone() for key, value in state.items()}, shelf / "its.safetensors"
    )
    for name in ("ours.safetensors", "its.safetensors"):
        student = made("torchvision", classes=3, model=SMALL, weights=name, seed=6).eval()
        assert torch.equal(student(drawn(2, 1, 8, 8)), teacher(drawn(2, 1, 8, 8)))


def test_a_file_of_another_class_count_is_refused_with_both_counts(shelf: Path) -> None:
    save_file(made("torchvision", classes=7, model=SMALL).state_dict(), shelf / "seven.safetensors")
    with pytest.raises(
        KnobError, match=r"weights='seven.safetensors' tells 7 classes apart, and the data has 3"
    ) as caught:
        made("torchvision", classes=3, model=SMALL, weights="seven.safetensors")
    assert caught.value.knob == "weights"


def test_a_file_that_does_not_fit_says_why(shelf: Path) -> None:
    state = made("torchvision", classes=3, model=SMALL).state_dict()
    save_file({"fc.weight": torch.zeros(3, 5)}, shelf / "other.safetensors")
    save_file({**state, "extractor.conv1.0.weight": torch.zeros(24, 1, 3, 3)}, shelf / "grey.safetensors")
    (shelf / "broken.safetensors").write_bytes(b"not tensors")
    for name, why in (
        ("other.safetensors", f"does not hold the weights of {SMALL}"),
        ("grey.safetensors", r"conv1.0.weight is \(24, 1, 3, 3\) and should be \(24, 3, 3, 3\)"),
        ("broken.safetensors", "cannot be read as a safetensors file"),
        ("absent.safetensors", "there are broken.safetensors, grey.safetensors, other.safetensors"),
    ):
        with pytest.raises(KnobError, match=why) as caught:
            made("torchvision", classes=3, model=SMALL, weights=name)
        assert caught.value.knob == "weights"


@pytest.mark.parametrize(
    "name",
    ["../x.safetensors", "/etc/x.safetensors", "a/b.safetensors", "a\\b.safetensors", "..safetensors",
     "C:x.safetensors",
     "x\0.safetensors", ".x.safetensors", "x.pth", "resnet18", "", "linked.safetensors"],
)  # fmt: skip
def test_no_name_leads_out_of_the_folder(shelf: Path, name: str) -> None:
    save_file(made("torchvision", model=SMALL).state_dict(), shelf.parent / "x.safetensors")
    (shelf / "linked.safetensors").symlink_to(shelf.parent / "x.safetensors")
    with pytest.raises(KnobError, match=r"is a path|is neither|leads out of") as caught:
        made("torchvision", model=SMALL, weights=name)
    assert caught.value.knob == "weights"


def test_without_a_data_folder_the_message_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KDLAB_DATA", raising=False)
    with pytest.raises(KnobError, match="KDLAB_DATA, which is not set"):
        made("torchvision", model=SMALL, weights="x.safetensors")


def test_downloaded_weights_keep_all_but_the_head(monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision

    torch.manual_seed(11)
    published = torchvision.models.get_model(SMALL, weights=None)
    genuine = torchvision.models.get_model

    def get_model(name: str, *, weights: str | None, **options: object) -> nn.Module:
        return published if weights == "DEFAULT" else genuine(name, weights=weights, **options)

    monkeypatch.setattr(torchvision.models, "get_model", get_model)
    for classes in (3, 1000):
        state = made("torchvision", classes=classes, model=SMALL, weights="downloaded").state_dict()
        for key, value in published.state_dict().items():
            if classes == 1000 or not key.startswith("fc."):
                assert torch.equal(state[f"extractor.{key}"], value), key


def test_a_failed_download_says_what_else_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    import urllib.error

    def refused(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refused)
    monkeypatch.setattr("os.path.exists", lambda _: False)
    with pytest.raises(KnobError, match=r"could not be fetched .*no network.*'none' needs no network") as caught:
        made("torchvision", model=SMALL, weights="downloaded")
    assert caught.value.knob == "weights"


def test_position_embeddings_take_another_grid() -> None:
    key = "encoder.pos_embedding"
    rows = torch.arange(4.0).repeat_interleave(4)  # a 4x4 grid that grows downwards
    given = {key: torch.cat([torch.tensor([9.0]), rows])[None, :, None]}
    resized = resized_positions(given, {key: torch.zeros(1, 1 + 49, 1)})[key]
    assert resized.shape == (1, 50, 1)
    assert resized[0, 0, 0] == 9.0
    grid = resized[0, 1:, 0].view(7, 7)
    assert (grid.diff(dim=0) > 0).all()
    torch.testing.assert_close(grid[:, 0], grid[:, 6])
    torch.testing.assert_close(grid[[0, 3, 6], 0], torch.tensor([0.0, 1.5, 3.0]))


def test_stages_end_at_the_last_unit_of_each_resolution() -> None:
    shapes = {"a": (1, 8, 16, 16), "b": (1, 8, 15, 15), "c": (1, 16, 8, 8), "pool": (1, 16, 1, 1), "fc": (1, 5)}
    assert stages_among(shapes) == ("b", "c")
    assert stages_among({str(block): (1, 17, 8) for block in range(12)}) == ("2", "5", "8", "11")


def test_inception_works_below_its_least_side() -> None:
    with torch.device("meta"):
        network = made("torchvision", (1, 8, 8), 5, model="inception_v3")
        assert_lawful(network.train(), torch.zeros(2, 1, 8, 8), 5)
    assert isinstance(network, TorchvisionModel)
