"""What probes answer: typed plain arrays (numpy), kept as safetensors with a JSON header. No torch."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy
from safetensors.numpy import load, save


@dataclass(frozen=True)
class Answer:
    """One answer. `says` is one sentence on what to see, with its number; `title` names the picture."""

    title: str
    says: str

    kinds: ClassVar[dict[str, type[Answer]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Answer.kinds[cls.__name__] = cls

    def to_bytes(self) -> bytes:
        """Safetensors: arrays as tensors, everything else as JSON in the header."""
        plain: dict[str, Any] = {"is": type(self).__name__}
        arrays: dict[str, numpy.ndarray] = {}
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, numpy.ndarray):
                arrays[entry.name] = numpy.ascontiguousarray(value)
            elif isinstance(value, dict) and value and all(isinstance(item, numpy.ndarray) for item in value.values()):
                plain[entry.name] = {"arrays": list(value)}
                for number, item in enumerate(value.values()):
                    arrays[f"{entry.name}/{number}"] = numpy.ascontiguousarray(item)
            else:
                plain[entry.name] = value
        return save(arrays or {"none": numpy.zeros(1, dtype=numpy.float32)}, metadata={"answer": json.dumps(plain)})


def answer_from_bytes(found: bytes) -> Answer:
    """The answer in such a file. Raises ValueError if it is none."""
    try:
        length = int.from_bytes(found[:8], "little")
        plain = json.loads(json.loads(found[8 : 8 + length])["__metadata__"]["answer"])
        arrays = load(found)
        kind = Answer.kinds[plain.pop("is")]
        values: dict[str, Any] = {}
        for entry in fields(kind):
            if entry.name in arrays:
                values[entry.name] = arrays[entry.name]
            elif isinstance(plain.get(entry.name), dict) and "arrays" in plain[entry.name]:
                names = plain[entry.name]["arrays"]
                values[entry.name] = {name: arrays[f"{entry.name}/{number}"] for number, name in enumerate(names)}
            else:
                values[entry.name] = plain[entry.name]
        return kind(**values)
    except Exception as error:
        raise ValueError(f"this is no answer of a probe: {error}") from error


@dataclass(frozen=True)
class Matrix(Answer):
    """A heat map per panel: rows x columns, with names."""

    panels: dict[str, numpy.ndarray]
    """title -> (R, K) float32; panels may differ in size only if rows/columns are given per panel."""
    rows: list[str]
    columns: list[str]
    row_axis: str
    column_axis: str
    value_axis: str
    """What the colour means, with its unit."""
    low: float
    high: float
    spread: dict[str, numpy.ndarray]
    """title -> (R, K) float32, the standard deviation behind each value, or nothing."""
    centre: dict[str, float]
    """title -> the value of no effect, where colours turn; without, they go from low to high."""


@dataclass(frozen=True)
class Bars(Answer):
    """Grouped bars: one group of bars per category, one bar per series."""

    series: dict[str, numpy.ndarray]
    """name -> (K,) float32."""
    categories: list[str]
    category_axis: str
    value_axis: str
    low: float
    high: float
    parts: dict[str, str]
    """name -> teacher|student|baseline, whose colour it has."""
    reference: float | None
    """A value worth a line, or None."""
    reference_says: str


@dataclass(frozen=True)
class MapGrid(Answer):
    """Feature maps beside one another: named rows of small pictures that share a scale."""

    picture: numpy.ndarray
    """(h, w, 1 or 3) pixels in [0, 1]."""
    picture_says: str
    looks: dict[str, numpy.ndarray]
    """part -> (h, w) float32: mean squared activation of each place, the sum being 1: where that network looks."""
    rows: dict[str, numpy.ndarray]
    """title -> (K, h, w) float32, K maps."""
    parts: dict[str, str]
    """title -> teacher|student|baseline|difference."""
    notes: dict[str, str]
    """title -> what stands under it: layer and shape."""
    scales: dict[str, list[float]]
    """title -> [low, high] of its colours; rows of the same unit have the same."""
    channels: dict[str, list[int]]
    """title -> which of the layer's channels are shown."""
    diverging: list[str]
    """Rows whose colours are centred on zero."""


@dataclass(frozen=True)
class Plane(Answer):
    """A two-dimensional input plane per network: decision regions and the zero lines of a layer's neurons."""

    x: numpy.ndarray
    """(W,) input coordinate."""
    y: numpy.ndarray
    """(H,)."""
    decisions: dict[str, numpy.ndarray]
    """part -> (H, W) int16: the predicted class."""
    lines: dict[str, numpy.ndarray]
    """part -> (P, 2) float32: the zero lines of the chosen layer's neurons, a NaN row after each line."""
    disagreement: dict[str, numpy.ndarray]
    """part -> (H, W) int16: 1 where it decides otherwise than the teacher."""
    agreement: dict[str, float]
    """part -> share in [0, 1] of the test points on which it decides as the teacher does."""
    points: numpy.ndarray
    """(N, 2) test points."""
    labels: numpy.ndarray
    """(N,) int16."""
    class_names: list[str]
    layers: dict[str, str]
    """part -> the layer drawn and how many neurons it has."""
    x_axis: str
    y_axis: str


@dataclass(frozen=True)
class Gallery(Answer):
    """Pictures in an order, with what each network makes of them."""

    pictures: numpy.ndarray
    """(K, h, w, 1 or 3) uint8."""
    places: list[int]
    """K numbers: where each stands in its split."""
    truth: numpy.ndarray
    """(K,) int16."""
    logits: dict[str, numpy.ndarray]
    """part -> (K, C) float32."""
    divergence: numpy.ndarray
    """(K,) float32, KL(teacher ‖ student) at temperature 1, in nats."""
    class_names: list[str]
    split: str
    """validation or test."""


@dataclass(frozen=True)
class Attribution(Answer):
    """Which places of one picture speak for a class, in the eyes of each network."""

    pictures: dict[str, numpy.ndarray]
    """part -> (h, w, 1 or 3) pixels in [0, 1], as that network sees the scene."""
    said: dict[str, str]
    """part -> the class that it answers, with its probability."""
    methods: list[str]
    """The columns."""
    maps: dict[str, numpy.ndarray]
    """"part/method" -> (h, w) float32 in logits of the class, positive for it; absent where it cannot be had."""
    notes: dict[str, str]
    """"part/method" -> what stands under it."""
    agreement: dict[str, list[float]]
    """"part/method" -> [cosine, Spearman's rank correlation] of its absolute values with the teacher's."""
    completeness: dict[str, list[float]]
    """part -> [sum of its Integrated Gradients, logit at the picture less logit at the baseline]."""
    explained: str
    """The class."""
    class_names: list[str]


@dataclass(frozen=True)
class Fidelity(Answer):
    """How often student and student alone answer as the teacher does, and who of each pair is right."""

    groups: list[str]
    """G sorts of inputs, the first two being test and training inputs."""
    counts: list[int]
    """Inputs of each sort."""
    agreement: dict[str, numpy.ndarray]
    """part -> (G,) share in [0, 1], 0 where there are no such inputs."""
    divergence: dict[str, numpy.ndarray]
    """part -> (2,) mean KL(teacher ‖ part) in nats, test and training."""
    wins: dict[str, numpy.ndarray]
    """part -> (4,) test inputs: both right, only it, only the teacher, neither."""
    inputs: str
    """What the inputs are called: pictures or points."""


@dataclass(frozen=True)
class Calibration(Answer):
    """Confidence against accuracy in M bins, before and after one temperature for each network."""

    bins: dict[str, numpy.ndarray]
    """part -> (M, 3): accuracy, mean confidence, inputs of the bin."""
    scaled: dict[str, numpy.ndarray]
    """The same after the temperature."""
    temperature: dict[str, float]
    """part -> the temperature that fits the validation labels best."""
    ece: dict[str, list[float]]
    """part -> [before, after], expected calibration error in [0, 1]."""
    brier: dict[str, list[float]]
    """part -> [before, after], 0 to 2."""
    accuracy: dict[str, float]
    inputs: str


@dataclass(frozen=True)
class ClassGain(Answer):
    """Accuracy and confusions of each class."""

    class_names: list[str]
    counts: list[int]
    """Test inputs of each class."""
    accuracy: dict[str, numpy.ndarray]
    """part -> (C,)."""
    confusion: dict[str, numpy.ndarray]
    """part -> (C, C): share of the true class (row) that is taken for a class (column)."""


@dataclass(frozen=True)
class DarkKnowledge(Answer):
    """Which classes look alike to each network, at several temperatures, and what each says of one input."""

    temperatures: list[float]
    class_names: list[str]
    """The C classes shown."""
    similarity: dict[str, numpy.ndarray]
    """part -> (T, C, C) float32: mean probability (column) for the inputs of a class (row)."""
    likeness: dict[str, list[float]]
    """part (not the teacher) -> correlation with the teacher's matrix off the diagonal, for each temperature."""
    soft: dict[str, numpy.ndarray]
    """part -> (T, C) float32: the probabilities for the one input."""
    picture: numpy.ndarray
    """(h, w, 1 or 3) in [0, 1], (0, 0, 1) for a point."""
    picture_says: str


@dataclass(frozen=True)
class Embedding(Answer):
    """The same inputs as each network's last layer sees them, laid into a plane."""

    places: dict[str, numpy.ndarray]
    """part -> (N, 2) float32, the others turned so that they lie on the teacher's."""
    labels: numpy.ndarray
    """(N,) int16: the true classes."""
    said: dict[str, numpy.ndarray]
    """part -> (N,) int16: the class that it names."""
    numbers: numpy.ndarray
    """(N,) int64: which test inputs these are."""
    pictures: numpy.ndarray
    """(N, h, w, 1 or 3) uint8, (N, 0, 0, 1) for points."""
    class_names: list[str]
    shared: dict[str, float]
    """part (not the teacher) -> share of the teacher's nearest neighbours that are its own too."""
    way: str
    """What the plane is: PCA or t-SNE."""


@dataclass(frozen=True)
class Forms(Answer):
    """The ways in which one method's loss is written, on the same tensors. The first is ours."""

    method: str
    """Its key."""
    names: list[str]
    values: numpy.ndarray
    """(F,) float64 losses; 0 where a form cannot be computed here."""
    gradients: numpy.ndarray
    """(F,) float64 lengths of the gradient on what the student shows; 0 where a form cannot be computed here."""
    alike: numpy.ndarray
    """(F,) float64 cosines in [-1, 1] between that gradient and ours."""
    factors: list[float | None]
    """The exact gradient over ours, None where no constant does it on these tensors."""
    refusals: list[str]
    """Why a form cannot be computed on these tensors, or ""."""
    measured_on: str
    """What of the student the gradient is taken on, with its shape."""


@dataclass(frozen=True)
class LayerPairs(Answer):
    """Pairs of a student's and a teacher's layer, the one that goes together best first."""

    pairs: list[list[int]]
    """K pairs [student layer, teacher layer], counted from 0."""
    names: list[str]
    """K, "stage 2 ↔ stage 3"."""
    resolution: numpy.ndarray
    """(K,) shorter side of the planes over the longer: 1 where they are the same."""
    cka: numpy.ndarray
    """(K,) unbiased linear CKA, at most 1."""
    explained: numpy.ndarray
    """(K,) share in [0, 1] of the teacher layer's variance that is read linearly off the student's."""
    score: numpy.ndarray
    """(K,) the mean of the three, CKA below 0 counting as 0."""
    reasons: list[str]
    """K sentences."""
    matched: list[bool]
    """K: whether the run itself matched this pair."""
