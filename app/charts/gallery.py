"""A Gallery: small pictures with what each network says of them, packed for the page or drawn for a film."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator
from typing import Any

import numpy
import plotly.graph_objects as go
from PIL import Image

from app import theme
from app.charts.picture_grid import pictured
from kdcore.answers.gallery import Gallery

ANSWER = Gallery

NAMES = {"teacher": "Teacher", "student": "Student", "baseline": "Student alone"}
CLASSES = 12
"""Classes that have bars; of more, those that some network finds likeliest."""
WARM = 4.0
"""The temperature at which likely classes are chosen, so that the second and third choices count too."""


def draw(answer: Gallery, *, dark: bool) -> go.Figure:
    """The pictures in rows; under each what every network says of it, in the network's colour."""
    chances = {part: softmax(answer.logits[part]) for part in NAMES if part in answer.logits}
    words, told = [], []
    for number in range(len(answer.pictures)):
        said = {part: (answer.class_names[int(one[number].argmax())], float(one[number].max()))
                for part, one in chances.items()}  # fmt: skip
        words.append("<br>".join(_tinted(part, f"{name} · {100 * sure:.0f} %") for part, (name, sure) in said.items()))
        told.append("<br>".join([
            f"truth: {_truth(answer, number)}",
            *(f"{NAMES[part].lower()}: {name}, {theme.percent(sure)} sure" for part, (name, sure) in said.items()),
            f"apart: KL {float(answer.divergence[number]):.2f} nats",
        ]))  # fmt: skip
    who = " and ".join(_tinted(part, f"the {NAMES[part].lower()}") for part in chances)
    foot = f"Under each picture: what {who} say{'s' if len(chances) == 1 else ''} · how sure"
    return pictured(answer.pictures, words=words, told=told, foot=foot, dark=dark, lines=len(chances))


def _tinted(part: str, text: str) -> str:
    return f"<span style='color:{theme.COLOURS[part]}'>{text}</span>"


def packed(answer: Gallery) -> dict[str, Any]:
    """{"cards", "parts", "names", "about"}, JSON-ready; what is sure stands in percent, divergence in nats."""
    chances = {part: softmax(logits) for part, logits in answer.logits.items()}
    cards = [_card(answer, number, chances) for number in range(len(answer.places))]
    stamp = hashlib.sha256(repr([(card["place"], card["about"]) for card in cards]).encode()).hexdigest()[:16]
    return {
        "cards": cards,
        "parts": [
            {"part": part, "name": NAMES[part], "colour": theme.COLOURS[part]}
            for part in NAMES
            if part in answer.logits
        ],
        "names": answer.class_names,
        "about": stamp,
    }


def softmax(logits: numpy.ndarray, temperature: float = 1.0) -> numpy.ndarray:
    """Probabilities over the last axis."""
    raised = numpy.exp((logits - logits.max(axis=-1, keepdims=True)) / temperature)
    return raised / raised.sum(axis=-1, keepdims=True)


def rows(answer: Gallery) -> Iterator[tuple[object, ...]]:
    """What is drawn, for a CSV: first the names of the columns."""
    yield (
        "split",
        "picture",
        "truth",
        "network",
        "says",
        "sure",
        "KL(teacher‖student)/nats",
        *(f"logit {name}" for name in answer.class_names),
    )
    for part, logits in answer.logits.items():
        chances = softmax(logits)
        for number, place in enumerate(answer.places):
            said = int(logits[number].argmax())
            yield (
                answer.split,
                place if place >= 0 else "your own",
                _truth(answer, number),
                NAMES[part].lower(),
                answer.class_names[said],
                f"{chances[number, said]:.6g}",
                f"{answer.divergence[number]:.6g}",
                *(f"{value:.6g}" for value in logits[number]),
            )


def _card(answer: Gallery, number: int, chances: dict[str, numpy.ndarray]) -> dict[str, Any]:
    words = answer.class_names
    said = {part: int(found[number].argmax()) for part, found in chances.items()}
    sure = {part: theme.percent(float(found[number, said[part]]), of=50) for part, found in chances.items()}
    told = ", ".join(f"{NAMES[part].lower()} {words[said[part]]} ({sure[part]})" for part in NAMES if part in said)
    place, divergence = answer.places[number], float(answer.divergence[number])
    named = f"Picture {place}, truth {_truth(answer, number)}" if place >= 0 else "Your picture"
    likely = numpy.max([softmax(logits[number], WARM) for logits in answer.logits.values()], axis=0)
    classes = sorted(numpy.argsort(-likely, kind="stable")[:CLASSES].tolist())
    return {
        "place": place,
        "picture": png(answer.pictures[number]),
        "said": said,
        "measure": f"KL {divergence:.2f}",
        "about": f"{named}: {told}. KL {divergence:.2f} nats.",
        "logits": {
            part: [round(float(value), 4) for value in logits[number]] for part, logits in answer.logits.items()
        },
        "classes": classes,
    }


def _truth(answer: Gallery, number: int) -> str:
    """The picture's class, "unknown" where nobody told it."""
    label = int(answer.truth[number])
    return answer.class_names[label] if label >= 0 else "unknown"


def png(picture: numpy.ndarray) -> str:
    """(h, w, 1 or 3) uint8 as an address that holds the picture itself."""
    file = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
