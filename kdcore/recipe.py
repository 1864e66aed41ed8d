"""What a run is asked for with: plain data, JSON both ways, with an id that follows from its content. No torch."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import resources
from typing import Any

from kdcore.spec import KnobError, Spec, knob

VERSION = 1
LONGEST = 20_000
"""Characters of JSON that a recipe may have."""


class RecipeError(ValueError):
    """A recipe that cannot be read; `where` is the path of the setting ("student.width"), the message what is right."""

    def __init__(self, where: str, message: str) -> None:
        super().__init__(f"{where}: {message}" if where else message)
        self.where = where
        self.text = message


class Training(Spec):
    """The budget: how long, how fast, in which batches. Teacher and student share all but epochs and rate."""

    epochs: int = knob(
        30, 1, 1000, help="Passes of the student, and of the student alone, over its pictures.", unit="epochs"
    )
    teacher_epochs: int = knob(20, 0, 1000, help="Passes of the teacher over its pictures.", unit="epochs")
    batch: int = knob(128, 2, 4096, help="Pictures in one step.", unit="pictures", scale="log")
    rate: float = knob(0.01, 1e-6, 10.0, help="Learning rate of the student.", scale="log")
    teacher_rate: float = knob(0.002, 1e-6, 10.0, help="Learning rate of the teacher.", scale="log")
    optimizer: str = knob("adamw", choices=("adamw", "sgd"), help="sgd has momentum 0.9 and Nesterov's step.")
    schedule: str = knob("cosine", choices=("cosine", "constant"), help="cosine lets the rate fall to zero.")
    weight_decay: float = knob(1e-4, 0.0, 1.0, help="Pull of all weights towards zero.", scale="log")
    snapshot_every: int = knob(
        1, 0, 1000, help="Epochs between snapshots. 0 keeps only each phase's first and last.", unit="epochs"
    )
    device: str = knob(
        "auto", choices=("auto", "cpu", "cuda"), help="Where it runs. auto takes the GPU if there is one."
    )


@dataclass(frozen=True)
class Pick:
    """One entry of a folder with its settings; settings not named keep their defaults."""

    key: str
    settings: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {"is": self.key, **self.settings}


@dataclass(frozen=True)
class Part:
    """A method in a recipe: with its weight (None: the method's own) and the layers it matches."""

    method: Pick
    weight: float | None = None
    pairs: tuple[tuple[int, int], ...] | None = None
    """(student layer, teacher layer) counted from 0, shallow to deep; None: chosen by resolution and depth."""

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = self.method.to_json()
        if self.weight is not None:
            found["weight"] = self.weight
        if self.pairs is not None:
            found["pairs"] = [list(pair) for pair in self.pairs]
        return found


@dataclass(frozen=True)
class Parent:
    """The moment of another run from which a fork goes on."""

    run: str
    """Its id."""
    snapshot: str

    def to_json(self) -> dict[str, Any]:
        return {"run": self.run, "snapshot": self.snapshot}


@dataclass(frozen=True)
class Recipe:
    """Everything a run depends on."""

    data: Pick = Pick("digits", {"label_noise": 0.6})
    teacher: Pick = Pick("plain", {"width": 32, "stage_count": 2})
    student: Pick = Pick("mlp", {})
    scheme: Pick = Pick("offline", {})
    methods: tuple[Part, ...] = (Part(Pick("kd", {"temperature": 2.0})),)
    training: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    parent: Parent | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, which `from_json` reads back to an equal recipe."""
        parent = {} if self.parent is None else {"parent": self.parent.to_json()}
        return {
            "version": VERSION,
            "data": self.data.to_json(),
            "teacher": self.teacher.to_json(),
            "student": self.student.to_json(),
            "scheme": self.scheme.to_json(),
            "methods": [part.to_json() for part in self.methods],
            "training": dict(self.training),
            "seed": self.seed,
            **parent,
        }

    @staticmethod
    def from_json(found: Any) -> Recipe:
        """The recipe that JSON says; keys left out keep their defaults.

        Raises RecipeError with the path, the value and what would be right. Names of entries and knobs are checked
        against the catalog by `check.faults`, not here.
        """
        if not isinstance(found, dict):
            raise RecipeError("", f"a recipe is a JSON object, not {type(found).__name__}")
        version = found.get("version", VERSION)
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise RecipeError("version", f"{version!r} is not a whole number from 1 on")
        if version > VERSION:
            raise RecipeError(
                "version",
                f"this recipe was written by a newer KD Lab (version {version}; this one reads up to {VERSION})",
            )
        known = {"version", "data", "teacher", "student", "scheme", "methods", "training", "seed", "parent"}
        for key in found:
            if key not in known:
                raise RecipeError(str(key)[:40], f"a recipe has no such part; there are {', '.join(sorted(known))}")
        plain = Recipe()
        picks = {
            name: _pick(name, found[name]) if name in found else getattr(plain, name)
            for name in ("data", "teacher", "student", "scheme")
        }
        methods = plain.methods
        if "methods" in found:
            if not isinstance(found["methods"], list) or len(found["methods"]) > 12:
                raise RecipeError("methods", "methods is a list of up to 12 methods")
            methods = tuple(_part(f"methods.{number}", value) for number, value in enumerate(found["methods"]))
        training = found.get("training", {})
        if not isinstance(training, dict):
            raise RecipeError("training", f"training is an object of knobs, not {type(training).__name__}")
        _plain_settings("training", training)
        try:
            Training(**training)
        except KnobError as error:
            raise RecipeError(f"training.{error.knob}", str(error)) from error
        seed = found.get("seed", 0)
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**31:
            raise RecipeError("seed", f"seed={seed!r} is not a whole number from 0 to {2**31 - 1}")
        parent = _parent(found["parent"]) if "parent" in found else None
        return Recipe(methods=methods, training=dict(training), seed=seed, parent=parent, **picks)

    @staticmethod
    def from_text(text: str) -> Recipe:
        """The recipe in a JSON text, which may come from anywhere. Raises RecipeError."""
        if len(text) > LONGEST:
            raise RecipeError("", f"a recipe has at most {LONGEST:,} characters; this one has {len(text):,}")
        try:
            return Recipe.from_json(json.loads(text))
        except (json.JSONDecodeError, RecursionError) as error:
            raise RecipeError("", f"this is not JSON: {error}") from error

    def to_text(self) -> str:
        """Compact JSON with sorted keys: equal recipes have equal texts."""
        return json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), allow_nan=False)

    def budget(self) -> Training:
        """The training knobs, defaults filled in."""
        return Training(**self.training)

    @property
    def id(self) -> str:
        """Sixteen hexadecimal letters that follow from the content and the version of the code."""
        return hashlib.sha256(f"{code_version()}\n{self.to_text()}".encode()).hexdigest()[:16]

    def with_setting(self, path: str, value: Any) -> Recipe:
        """The same with one setting changed: "student.width", "methods.1.temperature", "training.epochs", "seed", or
        "student" (the entry itself). Raises RecipeError.
        """
        found = self.to_json()
        place: Any = found
        *parents, last = path.split(".")
        for name in parents:
            if isinstance(place, list) and name.isdigit() and int(name) < len(place):
                place = place[int(name)]
            elif isinstance(place, dict) and name in place:
                place = place[name]
            else:
                raise RecipeError(path, f"a recipe has no {name!r} there")
        if not isinstance(place, dict):
            raise RecipeError(path, "that is no setting of a recipe")
        if not parents and last in ("data", "teacher", "student", "scheme") and isinstance(value, str):
            value = {"is": value}
        place[last] = value
        return Recipe.from_json(found)

    def replace(self, **changes: Any) -> Recipe:
        """The same with whole parts changed."""
        return replace(self, **changes)


def _pick(where: str, found: Any) -> Pick:
    if not isinstance(found, dict) or not isinstance(found.get("is"), str) or not found["is"]:
        raise RecipeError(where, f'{where} is an object like {{"is": "name", …}}')
    if len(found["is"]) > 60:
        raise RecipeError(where, "a name has at most 60 characters")
    settings = {key: value for key, value in found.items() if key != "is"}
    _plain_settings(where, settings)
    return Pick(found["is"], settings)


def _part(where: str, found: Any) -> Part:
    pick = _pick(where, found)
    settings = dict(pick.settings)
    weight = settings.pop("weight", None)
    pairs = settings.pop("pairs", None)
    if weight is not None:
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight <= 1e7:
            raise RecipeError(f"{where}.weight", f"weight={weight!r} is not a number from 0 to 10,000,000")
        weight = float(weight)
    if pairs is not None:
        good = isinstance(pairs, list) and 0 < len(pairs) <= 64
        for pair in pairs if good else ():
            good = good and isinstance(pair, (list, tuple)) and len(pair) == 2
            good = good and all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 1000 for n in pair)
        if not good:
            raise RecipeError(f"{where}.pairs", "pairs is a list of [student layer, teacher layer], counted from 0")
        pairs = tuple((pair[0], pair[1]) for pair in pairs)
    return Part(Pick(pick.key, settings), weight, pairs)


def _parent(found: Any) -> Parent:
    run, snapshot = (found.get("run"), found.get("snapshot")) if isinstance(found, dict) else (None, None)
    if not isinstance(run, str) or not re.fullmatch(r"[0-9a-f]{16}(-[0-9]{1,3})?", run):
        raise RecipeError("parent", 'parent is {"run": an id of sixteen letters 0-9 a-f, "snapshot": "2-300"}')
    if not isinstance(snapshot, str) or not re.fullmatch(r"[0-9]{1,4}-[0-9]{1,9}", snapshot):
        raise RecipeError("parent.snapshot", f'{str(snapshot)[:40]!r} is no moment of a run; "2-300" is one')
    return Parent(run, snapshot)


def _plain_settings(where: str, settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        if name == "pairs" and where.startswith("methods."):
            continue
        if isinstance(value, float) and not math.isfinite(value):
            raise RecipeError(f"{where}.{name}", f"{name}={value} is not a finite number")
        if not isinstance(value, (bool, int, float, str)):
            raise RecipeError(f"{where}.{name}", f"{name} is a number, a text, true or false")


@lru_cache(maxsize=1)
def code_version() -> str:
    """Twelve letters that change with any file of kdcore."""
    digest = hashlib.sha256()

    def read(folder: Any) -> None:
        for entry in sorted(folder.iterdir(), key=lambda item: item.name):
            if entry.is_dir() and entry.name != "__pycache__":
                read(entry)
            elif entry.name.endswith(".py"):
                digest.update(entry.name.encode() + b"\0" + entry.read_bytes())

    read(resources.files("kdcore"))
    return digest.hexdigest()[:12]
