"""The two warm processes: a scribe, which writes one run, and a worker, which answers what pages ask. With torch."""

from __future__ import annotations

import contextlib
import gc
import os
from collections import OrderedDict
from typing import Any

import torch

from kdcore import engine
from kdcore.balance import balance
from kdcore.beginnings import source_for
from kdcore.catalog import PROBES, catalog
from kdcore.export import export_student
from kdcore.failure import sentence
from kdcore.processes import cores
from kdcore.recipe import Recipe
from kdcore.registry import pick
from kdcore.revive import Revived, revive
from kdcore.run import RunError
from kdcore.runs import Shelf
from kdcore.scribe import Source, serve
from kdcore.slots import Slots
from kdcore.sources import ray_address
from kdcore.wire import Caller, Message

KEPT_MOMENTS = 2
"""Revived moments kept for the next question; each holds its data set."""


def scribe(shelf: Shelf, caller: Caller, *, source: Source | None = None) -> int:
    """Warm up, say ready, write each run that is asked for. The exit code is that of the last run, 0 if none came."""
    step_aside(10)
    if caller.idle(seconds=0.0) and not ray_address():
        warm_up()
    caller.say({"ready": os.getpid(), "slots": sum(slots.count for slots in _machine(shelf).values())})
    return serve(
        shelf, caller, lambda run: source or source_for(run, shelf), lambda run: slots_for(run.recipe, shelf),
        between=clear_up,
    )  # fmt: skip


def worker(shelf: Shelf, caller: Caller) -> int:
    """Answer requests until stdin ends.

    {"do": "catalog" | "preview" | "balance" | "ask" | "export", …}
    -> {"ok": …} or {"error": sentence, "where": setting}.
    """
    step_aside(5)
    caller.say({"ready": os.getpid()})
    desk = Answers(shelf)
    if caller.idle(seconds=3.0):  # the first page wants the catalog, and the scribe beside needs the core more
        warm_up()
    while (request := caller.hear()) is not None:
        try:
            reply: Message = {"ok": desk.answer(request)}
        except Exception as error:
            reply = {"error": sentence(error), "where": getattr(error, "where", "")}
        caller.say(reply)
    return 0


class Answers:
    """What the worker can do. Everything that it is asked comes checked again: a page may be out of date."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._moments: OrderedDict[tuple[str, str], Revived] = OrderedDict()

    def answer(self, request: Message) -> Any:
        """Raises whatever goes wrong; ValueErrors carry a sentence."""
        match request.get("do"):
            case "catalog":
                return catalog().to_json()
            case "preview":
                return engine.rehearse(Recipe.from_json(request.get("recipe"))).to_json()
            case "balance":
                weights = balance(Recipe.from_json(request.get("recipe")), float(request["share"]))
                return {str(number): weight for number, weight in weights.items()}
            case "ask":
                return self._ask(request)
            case "export":
                files = export_student(self._shelf.run(request["run"]))
                return {name: content.hex() for name, content in files.items()}
        raise RunError(f"{str(request.get('do'))[:40]!r} is nothing that the worker does")

    def _ask(self, request: Message) -> str:
        run = self._shelf.run(request["run"])
        probe = pick(PROBES, request["probe"], what="probe")(**request["settings"])
        moment = (run.id, request["snapshot"])
        if moment not in self._moments:
            self._moments[moment] = revive(run, request["snapshot"])
            while len(self._moments) > KEPT_MOMENTS:
                self._moments.popitem(last=False)
        self._moments.move_to_end(moment)
        torch.manual_seed(0)  # a probe that draws draws the same for the same question
        run.keep_answer(request["key"], probe.ask(self._moments[moment]).to_bytes())
        return request["key"]


def slots_for(recipe: Recipe, shelf: Shelf) -> Slots:
    """The slots that a recipe takes one of: a GPU's where it runs on one, else a core's."""
    machine = _machine(shelf)
    return machine["gpu"] if "gpu" in machine and recipe.budget().device != "cpu" else machine["cpu"]


def _machine(shelf: Shelf) -> dict[str, Slots]:
    folder = shelf.root / "slots"
    if ray_address():
        from kdcore.sources import ray  # only where it was asked for

        return ray.slots(folder)
    wanted = os.environ.get("KDLAB_SLOTS", "")
    found = {"cpu": Slots(folder, "cpu", max(1, int(wanted)) if wanted.isdigit() else cores())}
    if torch.cuda.is_available():
        found["gpu"] = Slots(folder, "gpu", torch.cuda.device_count())
    return found


def step_aside(nice: int) -> None:
    """Let the app and browser go first, with one thread: runs side by side do not quarrel, sums keep their order."""
    with contextlib.suppress(AttributeError, OSError):
        os.nice(nice)
    torch.set_num_threads(1)


def clear_up() -> None:
    """Give back what a run has left, before the next one of this process."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def warm_up() -> None:
    """Train a moment on the default data: the first time loads libraries, for which no click should wait."""
    tiny = Recipe().with_setting("data.train_size", 300).with_setting("training.epochs", 1)
    with contextlib.suppress(Exception), torch.random.fork_rng():  # where this fails, the run itself will say why
        for _ in engine.run(tiny.with_setting("training.teacher_epochs", 1)):
            pass
    gc.collect()
    gc.freeze()
