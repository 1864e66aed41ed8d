"""The two warm processes: a scribe, which writes one run, and a worker, which answers what pages ask. With torch."""

from __future__ import annotations

import contextlib
import gc
import os
import time
from collections import OrderedDict
from typing import Any

import torch

from kdcore import engine
from kdcore.balance import balance
from kdcore.beginnings import laid_on, source_for
from kdcore.catalog import PROBES, catalog
from kdcore.export import export_student
from kdcore.failure import sentence
from kdcore.foretelling import foretell
from kdcore.network import parameters_of
from kdcore.patience import Stopped, told
from kdcore.probe import Probe, ProbeError
from kdcore.processes import SCRIBE, WORKER, cores, step_back
from kdcore.recipe import Recipe
from kdcore.registry import pick
from kdcore.rehearsal import rehearse
from kdcore.revive import Revived, revive
from kdcore.run import RunError
from kdcore.runs import Shelf
from kdcore.scribe import Source, serve
from kdcore.slots import Slots
from kdcore.sources import ray_address
from kdcore.wire import Caller, Message

KEPT_MOMENTS = 64
"""Revived moments kept for the next question, a film's and a few: those of one run share its data set."""
KEPT_NUMBERS = 16_000_000
"""Weights in them together, beyond two."""
SAYS = 0.2
"""Seconds between two words on how far an answer is."""
RESTS, ENOUGH, NEARBY = 0.5, 15.0, 5.0
"""Seconds without a question before it looks ahead, those that it spends on that for one run with one choice of what is
linked, and for one question."""
LOOKED_AT = 64
"""Questions of which it remembers that it has looked around them."""


def scribe(shelf: Shelf, caller: Caller, *, source: Source | None = None) -> int:
    """Warm up, say ready, write each run that is asked for. The exit code is that of the last run, 0 if none came."""
    step_aside(SCRIBE)
    if caller.idle(seconds=0.0) and not ray_address():
        warm_up()
    caller.say({"ready": os.getpid(), "slots": sum(slots.count for slots in _machine(shelf).values())})
    return serve(
        shelf, caller, lambda run: source or source_for(run, shelf), lambda run: slots_for(run.recipe, shelf),
        between=clear_up,
    )  # fmt: skip


def worker(shelf: Shelf, caller: Caller) -> int:
    """Answer requests until stdin ends.

    {"do": "catalog" | "preview" | "foretell" | "balance" | "ask" | "export", "number": …, …}
    -> {"ok": …} or {"error": sentence, "where": setting}, with the number; before it, where an answer takes long,
    {"share": how much of it is done}. {"do": "stop", "number": …}: nobody wants that answer any more.
    """
    step_aside(WORKER)
    caller.say({"ready": os.getpid()})
    desk = Answers(shelf)
    if caller.idle(seconds=3.0):  # the first page wants the catalog, and the scribe beside needs the core more
        warm_up()
        with contextlib.suppress(ImportError):
            import captum.attr  # noqa: F401 # half a second, for which no picture should wait
    while (request := caller.hear()) is not None:
        number = int(request.get("number", 0))
        if number in caller.unwanted:
            continue
        try:
            with told(_Waiting(caller, number)):
                reply: Message = {"ok": desk.answer(request)}
        except Exception as error:
            reply = {"error": sentence(error), "where": getattr(error, "where", "")}
        caller.say({**reply, "number": number})
        desk.look_ahead(caller)
    return 0


class _Waiting:
    """Whoever waits for the answer of that number, as its steps see it."""

    def __init__(self, caller: Caller, number: int) -> None:
        self._caller, self._number, self._said = caller, number, time.monotonic()

    def __call__(self, share: float) -> None:
        if self._number in self._caller.unwanted:
            raise Stopped("nobody waits for this any more")
        if time.monotonic() - self._said >= SAYS:
            self._said = time.monotonic()
            self._caller.say({"share": share, "number": self._number})


class _Unasked:
    """Nobody waits: what is looked at ahead ends as soon as something is asked, or there was enough of it."""

    def __init__(self, caller: Caller, seconds: float) -> None:
        self._caller, self._until = caller, time.monotonic() + seconds
        self.asked = False

    def __call__(self, share: float) -> None:
        self.asked = self.asked or not self._caller.idle(0.0)
        if self.asked or time.monotonic() > self._until:
            raise Stopped("something else was asked")


class Answers:
    """What the worker can do. Everything that it is asked comes checked again: a page may be out of date."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._moments: OrderedDict[tuple[str, str], Revived] = OrderedDict()
        self._spent: OrderedDict[str, float] = OrderedDict()
        self._shown: tuple[str, Probe, Revived] | None = None
        """The run, the question and the moment that whoever looks asked for: a film asks for others after it."""
        self._around: OrderedDict[str, None] = OrderedDict()

    def answer(self, request: Message) -> Any:
        """Raises whatever goes wrong; ValueErrors carry a sentence."""
        match request.get("do"):
            case "catalog":
                return catalog().to_json()
            case "preview":
                return rehearse(Recipe.from_json(request.get("recipe"))).to_json()
            case "foretell":
                return foretell(Recipe.from_json(request.get("recipe")), laid_on(self._shelf)).to_json()
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
            while len(self._moments) > KEPT_MOMENTS or (len(self._moments) > 2 and self._numbers() > KEPT_NUMBERS):
                self._moments.popitem(last=False)
        self._moments.move_to_end(moment)
        revived = self._moments[moment]
        torch.manual_seed(0)  # a probe that draws draws the same for the same question
        run.keep_answer(request["key"], probe.ask(revived).to_bytes())
        question = (run.id, type(probe), probe.settings())
        if self._shown is None or question != (self._shown[0], type(self._shown[1]), self._shown[1].settings()):
            self._shown = (run.id, probe, revived)
        return request["key"]

    def look_ahead(self, caller: Caller) -> None:
        """While nobody asks, look at what will be wanted next of the run asked about last: the present question with a
        control moved on, then what other sections of a page ask.

        Only of a finished one, and once for each choice of what is linked: what trains has the core for itself. The
        answers are not kept, but what they were made of is (`recalled`).
        """
        if self._shown is None or not caller.idle(RESTS):
            return
        name, probe, revived = self._shown
        if not self._looked_around(caller, name, probe, revived):
            return
        asked = [kind.following(probe) for kind in PROBES.values() if kind.ahead]
        asked.sort(key=lambda one: one.ahead)
        chosen = f"{name} {[one.settings() for one in asked]}"
        spent = self._spent.get(chosen, 0.0)
        began = time.monotonic()
        try:
            if spent >= ENOUGH or self._shelf.run(name).state() != "finished":
                return
            with told(_Unasked(caller, ENOUGH - spent)):
                for one in asked:
                    with contextlib.suppress(ProbeError):
                        one.ask(revived)
            spent = ENOUGH
        except Stopped:
            spent += time.monotonic() - began
        except Exception:
            spent = ENOUGH  # whoever asks will be told what is wrong
        self._spent[chosen] = spent
        while len(self._spent) > LOOKED_AT:
            self._spent.popitem(last=False)

    def _looked_around(self, caller: Caller, name: str, probe: Probe, revived: Revived) -> bool:
        """Asks the present question with a control moved on. Whether it may go on: nobody asked meanwhile."""
        key = f"{name} {revived.epoch} {type(probe).__name__} {probe.settings()}"
        if key in self._around:
            return True
        unasked = _Unasked(caller, NEARBY)
        with contextlib.suppress(Exception):  # whoever asks will be told what is wrong
            if self._shelf.run(name).state() != "finished":
                return True
            with told(unasked):
                for other in probe.beside():
                    unasked(0.0)
                    with contextlib.suppress(ProbeError):
                        other.ask(revived)
        if not unasked.asked:
            self._around[key] = None
            while len(self._around) > LOOKED_AT:
                self._around.popitem(last=False)
        return not unasked.asked

    def _numbers(self) -> int:
        return sum(parameters_of(one) for moment in self._moments.values() for one in moment.networks.values())


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
    step_back(nice)
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
