"""A run's student as two files that need no run any more, and back: weights as safetensors, the rest as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from kdcore.catalog import NETWORKS
from kdcore.dressing import as_built, dressed, made_by
from kdcore.files import read_up_to, write_whole
from kdcore.methods.simkd import WithTeacherHead
from kdcore.network import Network
from kdcore.quantisation import packed, quantised_in
from kdcore.registry import pick
from kdcore.revive import revive
from kdcore.run import Run

WEIGHTS, CARD = "student.safetensors", "student.json"
PACKED = "student.packed.safetensors"
"""The whole numbers of a student of few bits, beside the same weights as floats."""
FORMAT = "kdlab-student"
MOST_CLASSES = 100_000


class ExportError(ValueError):
    """A student that cannot be saved or rebuilt; the message says why."""


@dataclass(frozen=True)
class Student:
    """A network on its own, in eval mode on the CPU, and what it must be fed."""

    network: Network
    shape: tuple[int, ...]
    """(c, h, w) of a picture, or (2,) of a point."""
    class_names: tuple[str, ...]
    mean: Tensor
    """(c, 1, 1) or (2,): of pixels in [0, 1]."""
    std: Tensor

    def logits(self, images: Tensor) -> Tensor:
        """(N, *shape) pixels in [0, 1] (or points) -> (N, C)."""
        with torch.no_grad():
            return self.network((images - self.mean) / self.std)


def export_student(run: Run, *, role: str = "student") -> dict[str, bytes]:
    """The newest state of a role as files, name -> bytes, without what its methods or its scheme added for training.

    Raises ExportError, RunError, or what `revive` raises.
    """
    holding = [snapshot for snapshot in run.history().snapshots if role in snapshot.roles]
    if not holding:
        raise ExportError(f"run {run.id} has no snapshot of the {role} yet")
    revived = revive(run, holding[-1].name)
    network = revived.networks[role].deployed()
    base = network.base if isinstance(network, WithTeacherHead) else network
    shape, classes = tuple(revived.data.shape), revived.data.classes
    key = next((key for key, kind in NETWORKS.items() if type(base) is kind), None)
    built: dict[str, Any]
    if key is not None and as_built(base, shape, classes):
        built = {"network": {"is": key, **base.skeleton(base.settings())}}  # the weights are in the file
    else:
        built = {"made_by_scheme": made_by(run.recipe, role, revived.networks[role])}
    few_bits = quantised_in(revived.networks[role])
    state = network.state_dict() if few_bits is None else few_bits.settled()
    weights = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
    card = {
        "format": FORMAT,
        "version": 1,
        **built,
        **({"teacher_head": network.made} if isinstance(network, WithTeacherHead) else {}),
        "shape": list(shape),
        "classes": classes,
        "class_names": list(revived.data.class_names),
        "mean": revived.data.mean.flatten().tolist(),
        "std": revived.data.std.flatten().tolist(),
        "made_by": {
            "run": run.id,
            "state": run.state(),
            "epoch": revived.epoch,
            "role": role,
            "recipe": run.recipe.to_json(),
        },
    }
    files = {WEIGHTS: save(weights), CARD: json.dumps(card, indent=1, allow_nan=False).encode()}
    return files if few_bits is None else {**files, PACKED: save(packed(few_bits))}


def save_student(run: Run, folder: Path, *, over: bool = False) -> list[Path]:
    """Write them into a folder. Raises ExportError where a file is there already and `over` is not set."""
    there = [name for name in (WEIGHTS, CARD) if (folder / name).exists()]
    if there and not over:
        raise ExportError(f"{folder} has {' and '.join(there)} already; choose another folder or overwrite (--force)")
    files = export_student(run)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_whole(folder / name, content)
    return [folder / name for name in files]


def load_student(folder: Path | str) -> Student:
    """The student in such a folder, rebuilt. Raises ExportError with what does not fit; no pickle is ever read."""
    folder = Path(folder)
    card = _card(folder / CARD)
    classes, names, shape = card["classes"], card["class_names"], card["shape"]
    if len(names) != classes:
        raise ExportError(f"{CARD} says {classes} classes and names {len(names)}")
    try:
        if "made_by_scheme" in card:
            network = dressed(card["made_by_scheme"], tuple(shape), classes)
        else:
            picked = dict(card["network"])
            network = pick(NETWORKS, str(picked.pop("is", "")), what="network")(**picked)
            network.build(tuple(shape), classes)
        if "teacher_head" in card:
            network = WithTeacherHead(network, **_head(card["teacher_head"]))
    except (ValueError, RuntimeError, TypeError) as error:
        raise ExportError(f"{CARD}: the network cannot be built: {error}") from error
    try:
        weights = load((folder / WEIGHTS).read_bytes())
    except (OSError, SafetensorError) as error:
        raise ExportError(f"{WEIGHTS} cannot be read: {error}") from error
    _fit(network.state_dict(), weights, classes)
    network.load_state_dict(weights)
    network.eval().requires_grad_(False)
    view = (-1, 1, 1) if len(shape) == 3 else (-1,)
    return Student(
        network, tuple(shape), tuple(names), torch.tensor(card["mean"]).view(view), torch.tensor(card["std"]).view(view)
    )


def _fit(built: dict[str, Tensor], weights: dict[str, Tensor], classes: int) -> None:
    """Raise ExportError for the first disagreement, the one about classes before all others."""
    other = [name for name in built if name in weights and built[name].shape != weights[name].shape]
    for name in other:
        wanted, found = built[name].shape, weights[name].shape
        if wanted[1:] == found[1:] and wanted[:1] == (classes,):
            raise ExportError(f"{WEIGHTS} is for {found[0]} classes ({name}), {CARD} says {classes}: they are no pair")
    for name in other:
        raise ExportError(f"{name} has shape {tuple(weights[name].shape)}; {CARD} makes it {tuple(built[name].shape)}")
    if missing := sorted(built.keys() - weights.keys()):
        raise ExportError(f"{WEIGHTS} lacks {', '.join(missing[:4])}: it is of another network than {CARD} says")
    if extra := sorted(weights.keys() - built.keys()):
        raise ExportError(f"{WEIGHTS} has {', '.join(extra[:4])}, which the network of {CARD} has not")


def _head(made: Any) -> dict[str, Any]:
    """What builds a reused teacher's classifier with its projector. Raises ExportError for anything else."""
    names = ("inputs", "outputs", "classes", "squeeze")
    if isinstance(made, dict) and made.keys() == {*names, "plane"} and isinstance(made["plane"], list):
        numbers = [*(made[name] for name in names), *made["plane"]]
        if len(numbers) == 6 and all(type(one) is int and 0 < one <= MOST_CLASSES for one in numbers):
            return made
    raise ExportError(f"{CARD}: teacher_head={made!r} does not say {', '.join(names)} and plane in whole numbers")


def _card(path: Path) -> dict[str, Any]:
    try:
        card = json.loads(read_up_to(path, 10_000_000))
    except (OSError, ValueError, RecursionError) as error:
        raise ExportError(f"{CARD} cannot be read: {error}") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise ExportError(f"{CARD} was not written by an export of KD Lab")
    if card.get("version") != 1:
        raise ExportError(f"{CARD} has version {card.get('version')!r}; this KD Lab reads version 1")
    shape, classes = card.get("shape"), card.get("classes")
    whole = isinstance(shape, list) and all(type(size) is int and 0 < size <= 4096 for size in shape)
    if not isinstance(shape, list) or not whole or len(shape) not in (1, 3):
        raise ExportError(f"{CARD}: shape={shape!r} is neither [c, h, w] nor [2]")
    if type(classes) is not int or not 2 <= classes <= MOST_CLASSES:
        raise ExportError(f"{CARD}: classes={classes!r} is not a whole number from 2 to {MOST_CLASSES:,}")
    made = card.get("made_by_scheme", card.get("network"))
    if not isinstance(made, dict) or not isinstance(card.get("class_names"), list):
        raise ExportError(f"{CARD} lacks network or class_names")
    for name in ("mean", "std"):
        values = card.get(name)
        numbers = isinstance(values, list) and all(isinstance(value, (int, float)) for value in values)
        if not isinstance(values, list) or not numbers or len(values) != shape[0]:
            raise ExportError(f"{CARD}: {name} is a list of {shape[0]} numbers, one a channel")
    return card
