"""Every form against the method itself, against the goldens, and against a slow computation written out in numpy."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import product

import numpy
import pytest
import torch

from kdcore.conventions import CHOOSES, FORMS, weight_in_ours
from kdcore.form import Compared, Form
from kdcore.method import Method
from kdcore.pairing import Pairing
from kdcore.probes.conventions import own_value, what_is_compared
from kdcore.vocabulary import Seen

from .methods.fixture import FS, FS8, FT, METHODS, VS, VS8, VT, ZS, ZT, Y, both, fx
from .methods.live import Live

CASES = [(key, number) for key, forms in FORMS.items() for number in range(len(forms))]


def named(key: str, words: str) -> Form:
    """The form whose name has these words."""
    (found,) = [form for form in FORMS[key] if words in form.name]
    return found


def method_of(key: str, student: Seen, teacher: Seen, **settings: object) -> Method:
    torch.manual_seed(0)
    made = METHODS[key](**settings)
    made.build(student, teacher, 100)
    made = made.to(torch.float64).eval().requires_grad_(False)
    for scales in getattr(made, "log_scales", ()):  # as if they had learned
        scales.add_(torch.linspace(-1.0, 1.0, len(scales)))
    return made


def prepared(key: str, *, seed: int = 0) -> tuple[Seen, Seen, torch.Tensor, Method, Pairing, Compared]:
    """What a student and a teacher saw of six pictures in float64, the method in our form, and what is compared."""
    layers = "at" if key == "sp" else key  # sp matches one pair, but one of its forms looks at every stage
    student, teacher, batch = both(layers, 6, dtype=torch.float64, seed=seed)
    if not isinstance(student, Live):
        student = student.each(lambda tensor: tensor.detach().clone().requires_grad_())
    method = method_of(key, student, teacher)
    count = {"nothing": 0, "one": 1, "each": 2}[method.matches]
    pairing = Pairing(((1, 1),) if key == "sp" else tuple((number, number) for number in range(count)), "")
    return student, teacher, batch.labels, method, pairing, what_is_compared(
        key, method, pairing, student, teacher, batch.labels
    )  # fmt: skip


def gradient(value: torch.Tensor, student: Seen, compared: Compared) -> torch.Tensor:
    leaves = [student.logits, *student.maps, *student.preacts, student.embedding]
    if student.second is not None:
        leaves.append(student.second.logits)
    if isinstance(student, Live):
        leaves = list(compared.student)
    parts = torch.autograd.grad(value, leaves, retain_graph=True, allow_unused=True)
    return torch.cat([torch.zeros_like(leaf).flatten() if part is None else part.flatten()
                      for part, leaf in zip(parts, leaves, strict=True)])  # fmt: skip


def test_every_knob_that_chooses_a_form_is_there() -> None:
    for key, names in CHOOSES.items():
        assert key in FORMS
        assert set(names) <= METHODS[key].knobs.keys()
    for key, number in CASES:
        assert FORMS[key][number].settings.keys() <= METHODS[key].knobs.keys()
        assert (FORMS[key][number].relation == "ours") == (number == 0)


@pytest.mark.parametrize("key", FORMS)
def test_the_first_form_is_our_method(key: str) -> None:
    student, teacher, labels, method, pairing, compared = prepared(key)
    ours = own_value(method, pairing, student, teacher, labels)
    form = FORMS[key][0].value(compared)
    torch.testing.assert_close(form, ours, rtol=1e-6, atol=0)
    if not isinstance(student, Live):  # there the method's graph leads to the network, the form's to the slopes
        torch.testing.assert_close(
            gradient(form, student, compared), gradient(ours, student, compared), rtol=1e-5, atol=1e-9
        )


@pytest.mark.parametrize(("key", "number"), [case for case in CASES if case[1]])
def test_a_form_is_what_its_relation_says(key: str, number: int) -> None:
    form = FORMS[key][number]
    measured = []
    for seed in (0, 1):
        student, _, _, _, _, compared = prepared(key, seed=seed)
        if form.refuses(compared):
            assert form.relation == "another"
            return
        ours, value = FORMS[key][0].value(compared), form.value(compared)
        mine, its = gradient(ours, student, compared), gradient(value, student, compared)
        factor = form.factor(compared)
        if form.relation == "factor" and factor is not None:
            torch.testing.assert_close(value, factor * ours, rtol=1e-9, atol=0)
        if form.relation == "shifted":
            assert factor == 1.0
            assert abs(float((value - ours).detach())) > 1e-3
        if factor is not None:
            assert form.relation in ("factor", "shifted")
            torch.testing.assert_close(its, factor * mine, rtol=1e-8, atol=1e-12)
        cosine = float(its @ mine / (its.norm() * mine.norm()))
        measured.append((cosine, float(its.norm() / mine.norm())))
    if form.relation == "another":
        (cosine, ratio), (_, other_ratio) = measured
        assert cosine < 1 - 1e-6 or abs(ratio / other_ratio - 1) > 1e-3, "it is a constant times ours"


@pytest.mark.parametrize(("key", "number"), [case for case in CASES if FORMS[case[0]][case[1]].settings])
def test_with_a_forms_settings_our_method_is_that_form(key: str, number: int) -> None:
    form = FORMS[key][number]
    student, teacher, labels, method, pairing, compared = prepared(key)
    if form.refuses(compared):
        teacher = Seen(
            teacher.logits, teacher.maps, teacher.preacts, teacher.embedding[:, : student.embedding.shape[1]]
        )
        compared = what_is_compared(key, method, pairing, student, teacher, labels)
        assert not form.refuses(compared)
    there = method_of(key, student, teacher, **form.settings)
    if any(True for _ in there.parameters()):
        there.load_state_dict(method.state_dict())
    ours = form.times * own_value(there, pairing, student, teacher, labels)
    torch.testing.assert_close(form.value(compared), ours, rtol=1e-6, atol=0)


def at(key: str, student: torch.Tensor, teacher: torch.Tensor | None, **knobs: object) -> Compared:
    """The goldens' tensors as they are, without any connector."""
    settings = {**METHODS[key]().settings(), **knobs}
    return Compared((student,), () if teacher is None else (teacher,), Y, settings)


def unit_places(layer: torch.Tensor) -> torch.Tensor:
    """Each channel of each image at mean 0 and variance 1 over its places."""
    return torch.nn.functional.instance_norm(layer)


GOLDENS = [
    ("kd", "T², summed", at("kd", ZS, ZT), 5.546734264),
    ("kd", "T², summed", at("kd", ZS, ZT, temperature=1.0), 2.655129304),
    ("kd", "Mean over classes too", at("kd", ZS, ZT), 1.109346853),
    ("kd", "Without T²", at("kd", ZS, ZT), 5.546734264 / 16),
    ("logit_regression", "Mean over pictures", at("logit_regression", ZS, ZT), 16.45578608),
    ("logit_regression", "Half the sum", at("logit_regression", ZS, ZT), 41.1394652),
    ("label_smoothing", "over all classes", at("label_smoothing", ZS, None), 2.558692033),
    ("label_smoothing", "over the wrong", at("label_smoothing", ZS, None), 2.557621994),
    ("tfkd_reg", "times T²", at("tfkd_reg", ZS, None), 4.357106969),
    ("tfkd_reg", "Softmax of probabilities", at("tfkd_reg", ZS, None), 0.182272102),
    ("dist", "times τ²", at("dist", ZS, ZT, temperature=1.0), 2.338062991),
    ("dist", "times τ²", at("dist", ZS, ZT), 41.30889682),
    ("ls_kd", "over C - 1", at("ls_kd", ZS, ZT), 0.9895823095),
    ("ls_kd", "Variance over C", at("ls_kd", ZS, ZT), 1.225957775),
    ("at", "unit maps", at("at", FS, FT), 0.004811925691),
    ("at", "The norm", at("at", FS, FT), 0.2767284689),
    ("nst", "Squared", at("nst", FS, FT), 0.4962195116),
    ("nst", "Inner products", at("nst", FS, FT), 0.6297896207),
    ("nst", "Gaussian", at("nst", FS, FT), 0.2413551271),
    ("fitnet", "Mean over all", at("fitnet", FS8, FT), 0.9974435517),
    ("ab", "margin 1", at("ab", FS8, FT), 1.520681109),
    ("ab", "3/1000", at("ab", FS8, FT), 0.003 * 194.6471819),
    ("ft", "Whole", at("ft", FS8, FT), 0.1009588475),
    ("ft", "Energy", at("ft", FS8, FT), 0.02565208425),
    ("rkd", "25 of", at("rkd", VS, VT), 15.64010972),
    ("rkd", "1 of", at("rkd", VS, VT), 0.1658980049 + 2 * 0.2298531919),
    ("pkt", "Mean over all pairs", at("pkt", VS, VT), 0.1471701028),
    ("pkt", "row", at("pkt", VS, VT), 0.5886804112),
    ("cc", "Gaussian", at("cc", VS, VT), 0.1790206936),
    ("cc", "Products", at("cc", VS8, VT), 6.377826321),
    ("dkd", "Label and", at("dkd", ZS, ZT), 42.12077092),
    ("dkd", "Plain soft", at("dkd", ZS, ZT), 5.546734264),
    ("cankd", "The mean", at("cankd", unit_places(FS8), unit_places(FT)), 2 * 0.9950650206),
    ("cankd", "Half", at("cankd", unit_places(FS8), unit_places(FT)), 0.9950650206),
]


@pytest.mark.parametrize(("key", "words", "compared", "golden"), GOLDENS)
def test_goldens(key: str, words: str, compared: Compared, golden: float) -> None:
    forms = [form for form in FORMS[key] if words in form.name]
    form = min(forms, key=lambda form: len(form.name))
    assert float(form.value(compared)) == pytest.approx(golden, rel=1e-7)


def test_similarity_preserving_golden() -> None:
    compared = Compared((FS, FS), (FT, FT), Y, {})
    for form in FORMS["sp"]:
        assert float(form.value(compared)) == pytest.approx(0.3322733216, rel=1e-7)


def softmax(logits: numpy.ndarray) -> numpy.ndarray:
    powers = numpy.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_outputs_written_out() -> None:
    ours, theirs = softmax(ZS.numpy() / 4), softmax(ZT.numpy() / 4)
    compared = at("kd", ZS, ZT)
    each = [[4**2 * (ours[n, k] - theirs[n, k]) ** 2 for k in range(5)] for n in range(4)]
    assert float(named("kd", "between probabilities").value(compared)) == pytest.approx(numpy.mean(each))
    soft = [-16 * sum(theirs[n, k] * math.log(ours[n, k]) for k in range(5)) for n in range(4)]
    assert float(named("kd", "Cross-entropy").value(compared)) == pytest.approx(numpy.mean(soft))
    entropy = [-16 * sum(p * math.log(p) for p in row) for row in theirs]
    assert numpy.mean(soft) - numpy.mean(entropy) == pytest.approx(5.546734264)
    a, b = (side.numpy() - side.numpy().mean(axis=1, keepdims=True) for side in (ZS, ZT))
    centred = named("logit_regression", "Centred").value(at("logit_regression", ZS, ZT))
    assert float(centred) == pytest.approx(((a - b) ** 2).mean())
    hot = FORMS["kd"][0].value(at("kd", ZS, ZT, temperature=1e4))
    assert 2 * float(hot) == pytest.approx(float(centred), rel=1e-3), "the limit that the form's note names"


def test_maps_written_out() -> None:
    a, b = FS8.numpy() ** 2, FT.numpy() ** 2
    each = [a[n] / numpy.sqrt((a[n] ** 2).sum()) - b[n] / numpy.sqrt((b[n] ** 2).sum()) for n in range(4)]
    assert float(named("at", "Without the mean").value(at("at", FS8, FT))) == pytest.approx(
        (numpy.array(each) ** 2).mean()
    )
    assert "6 and its partner 8" in named("at", "Without the mean").refuses(at("at", FS, FT))
    half = [0.5 * ((FS8.numpy()[n] - FT.numpy()[n]) ** 2).sum() for n in range(4)]
    assert float(named("fitnet", "Half the sum").value(at("fitnet", FS8, FT))) == pytest.approx(numpy.mean(half))
    wide = [max(0.0, 2 - (1 if t > 0 else -1) * s) ** 2 for s, t in zip(FS8.flatten(), FT.flatten(), strict=True)]
    assert float(named("ab", "Margin 2").value(at("ab", FS8, FT))) == pytest.approx(numpy.mean(wide))


def test_boundaries_of_layers_of_different_size_have_no_single_factor() -> None:
    small, large = FS8[:, :, :2], FT
    same = Compared((large, large), (large, large), Y, {"margin": 1.0})
    other = Compared((small, large), (small, large), Y, {"margin": 1.0})
    authors = named("ab", "3/1000")
    assert authors.factor(same) == pytest.approx(0.003 * 128)
    assert authors.factor(other) is None


def test_overhaul_guessers_channels_and_generators_written_out() -> None:
    errors = [(s - t) ** 2 if s > t or t > 0 else 0.0 for s, t in zip(FS8.flatten(), FT.flatten(), strict=True)]
    assert float(named("ofd", "Sum").value(at("ofd", FS8, FT))) == pytest.approx(sum(errors) / 4 / 1000)
    fixed = named("vid", "stay at 5").value(at("vid", FS8, FT, variances=(torch.full((8,), 2.0),)))
    assert float(fixed) == pytest.approx(0.9044633114)
    gaps = [((FS8[n] - FT[n]) ** 2).sum() for n in range(4)]
    assert float(named("mgd", "Sum").value(at("mgd", FS8, FT))) == pytest.approx(float(sum(gaps)) / 4)

    def rows(layer: torch.Tensor) -> torch.Tensor:
        grams = layer.flatten(2) @ layer.flatten(2).transpose(1, 2)
        return grams / grams.norm(dim=2, keepdim=True)

    both_sides = at("ickd", rows(FS8), rows(FT))
    assert float(FORMS["ickd"][0].value(both_sides)) == pytest.approx(1.954420646)
    assert float(FORMS["ickd"][1].value(both_sides)) == pytest.approx(1.954420646 / 4)


def test_flows_graphs_and_neighbourhoods_written_out() -> None:
    ours = fx((2, 3, 8, 8), 0.21, 0.2), fx((2, 5, 4, 4), 0.33, 0.4)
    theirs = fx((2, 3, 8, 8), 0.47, 0.5), fx((2, 5, 4, 4), 0.59, 0.8)
    flows = Compared(ours, theirs, Y[:2], {})
    assert float(FORMS["fsp"][0].value(flows)) == pytest.approx(0.005127240614)

    def flow(layers: tuple[torch.Tensor, ...]) -> numpy.ndarray:
        pooled = torch.nn.functional.max_pool2d(layers[0], 2)
        return torch.einsum("nixy,njxy->nij", pooled, layers[1]).numpy() / 16

    apart = flow(ours) - flow(theirs)
    assert float(named("fsp", "Maximum pooling, norms").value(flows)) == pytest.approx(
        sum(numpy.linalg.norm(apart[n, :, j]) for n in range(2) for j in range(5)) / 2
    )

    def edges(layer: torch.Tensor) -> numpy.ndarray:
        flat = layer.flatten(1).numpy()
        squares = numpy.array([[((a - b) ** 2).sum() for b in flat] for a in flat])
        return squares / squares.max()

    maps = (FS, FS[:, :, :2]), (FT, FT[:, :, 1:])
    graph = Compared((ZS, *maps[0]), (ZT, *maps[1]), Y, {"vertex": 0.1, "edge": 5.0, "transformation": 5.0})
    s, t = ([edges(layer) for layer in side] for side in maps)
    vertex = ((ZS - ZT) ** 2).mean().item()
    change = (((s[0] - s[1]) ** 2).mean() - ((t[0] - t[1]) ** 2).mean()) ** 2
    right = vertex + ((s[1] - t[1]) ** 2).mean() + change
    assert float(named("irg", "whole batch").value(graph)) == pytest.approx(right)

    near = Compared(maps[0], maps[1], Y, {"initial": 10.0})
    first = float(FORMS["hkd"][0].value(near))
    second = float(FORMS["hkd"][1].value(near))
    alone = float(FORMS["hkd"][1].value(Compared(maps[0][1:], maps[1][1:], Y, {}))) / 100
    assert (first - alone) / 10 == pytest.approx((second - alone) / 100)


def test_slopes_times_slopes_do_not_see_the_layer_and_may_say_nothing() -> None:
    slopes = fx((4, 6, 4, 4), 0.9, 0.4), fx((4, 8, 4, 4), 0.7, 0.1)
    form = named("lwm", "Slopes times")

    def on(features: torch.Tensor) -> float:
        return float(form.value(Compared((features, slopes[0]), (FT, slopes[1]), Y, {})))

    assert on(FS) == on(5.0 * FS.flip(0))
    found = numpy.zeros((2, 4, 16))
    for side, grown in enumerate(slopes):
        weighted = numpy.einsum("nc,ncxy->nxy", grown.mean((2, 3)).numpy(), grown.numpy()).reshape(4, 16).clip(0)
        found[side] = weighted / numpy.sqrt((weighted**2).sum(1, keepdims=True))
    assert on(FS) == pytest.approx(numpy.abs(found[0] - found[1]).mean())
    even = Compared((FS, torch.ones_like(FS)), (FT, torch.ones_like(FT)), Y, {})
    assert "alike in all places" in form.refuses(even)
    assert not form.refuses(Compared((FS, slopes[0]), (FT, slopes[1]), Y, {}))


def test_the_authors_masks_only_halve() -> None:
    method = METHODS["mlkd"](classes=1.0, masked=1.0)
    assert method.masked == 1.0
    strong = 3 * fx((4, 5), 1.3, 0.2), 4 * fx((4, 5), 1.7, 0.6)
    compared = Compared((ZS, strong[0]), (ZT, strong[1]), Y, METHODS["mlkd"]().settings())
    found = float(named("mlkd", "multiply means").value(compared))
    right = torch.nn.functional.cross_entropy(strong[0], Y).item()
    counted = (ZT.softmax(1).amax(1) <= ZT.softmax(1).amax(1).quantile(0.5)).double().mean().item()
    named_classes = (ZT.softmax(1).sum(0) <= ZT.softmax(1).sum(0).quantile(0.5)).double().mean().item()
    for heat in (2, 3, 4, 5, 6):
        p, q = (side / heat for side in (ZS, ZT))
        weak = heat**2 * torch.nn.functional.kl_div(p.log_softmax(1), q.softmax(1), reduction="batchmean").item()
        p, q = p.softmax(1), q.softmax(1)
        right += counted * (weak + ((p @ p.T - q @ q.T) ** 2).sum().item() / 4)
        right += named_classes * ((p.T @ p - q.T @ q) ** 2).sum().item() / 5
        p, q = (ZS, ZT) if heat in (2, 6) else strong
        right += heat**2 * torch.nn.functional.kl_div(
            (p / heat).log_softmax(1), (q / heat).softmax(1), reduction="batchmean"
        ).item()  # fmt: skip
    assert found == pytest.approx(right)


def unit(rows: numpy.ndarray) -> numpy.ndarray:
    return rows / numpy.sqrt((rows**2).sum(axis=-1, keepdims=True))


def test_relations_written_out() -> None:
    def likely(rows: numpy.ndarray) -> numpy.ndarray:
        alike = (unit(rows) @ unit(rows).T + 1) / 2
        found = numpy.zeros((4, 4))
        for i in range(4):
            others = [j for j in range(4) if j != i]
            for j in others:
                found[i, j] = alike[i, j] / sum(alike[i, other] for other in others)
        return found

    ours, theirs = likely(VS.numpy()), likely(VT.numpy())
    pairs = [theirs[i, j] * math.log(theirs[i, j] / ours[i, j]) for i, j in product(range(4), repeat=2) if i != j]
    assert float(named("pkt", "diagonal").value(at("pkt", VS, VT))) == pytest.approx(sum(pairs) / 16, rel=1e-4)

    def kernel(rows: numpy.ndarray) -> numpy.ndarray:
        cosines = unit(rows) @ unit(rows).T
        return math.exp(-0.8) * (1 + 0.8 * cosines + 0.32 * cosines**2)

    apart = kernel(VS.numpy()) - kernel(VT.numpy())
    norm = named("cc", "Norm").value(at("cc", VS, VT))
    assert float(norm) == pytest.approx(numpy.linalg.norm(apart) / 16)
    grams = VS.numpy() @ VS.numpy().T - VT.numpy() @ VT.numpy().T
    assert float(named("cc", "Bilinear").value(at("cc", VS, VT))) == pytest.approx((grams**2).mean())
    normed = named("rkd", "length one first").value(at("rkd", VS, VT))
    plain = FORMS["rkd"][0].value(at("rkd", torch.tensor(unit(VS.numpy())), torch.tensor(unit(VT.numpy()))))
    assert float(normed) == pytest.approx(float(plain))
    assert float(named("rkd", "Half").value(at("rkd", VS, VT))) == pytest.approx((0.1658980049 + 0.2298531919) / 2)


def test_the_weight_gives_the_gradient_and_none_comes_out_of_nothing() -> None:
    assert weight_in_ours(1000.0, gradient=0.002, our_gradient=0.05) == pytest.approx(40.0)
    with pytest.raises(ValueError, match="no gradient"):
        weight_in_ours(1.0, gradient=0.1, our_gradient=0.0)


def test_reading_the_forms_brings_no_torch() -> None:
    script = "import sys, kdcore.conventions\nprint('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout.strip() == "False"
