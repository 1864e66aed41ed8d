"""The app's side of the warm workers: hand over a recipe, ask a question. No torch."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import re
import sys
import threading
import weakref
from collections import OrderedDict
from typing import Any

from kdcore.answer import Answer, answer_from_bytes
from kdcore.cards import Catalog
from kdcore.clerk import Clerk, patiently
from kdcore.failure import sentence
from kdcore.patience import Waits
from kdcore.preview import Foretold, Preview
from kdcore.recipe import Recipe, RecipeError, code_version
from kdcore.registry import UnknownKey
from kdcore.runs import Run, RunError, Shelf
from kdcore.scribes import Scribes
from kdcore.spec import KnobError
from kdcore.wire import Ended, Message

COMMAND = [sys.executable, "-P", "-m", "kdcore"]
PREVIEWS = 64
"""Previews kept in memory."""


class LaunchError(ValueError):
    """A run that cannot be started; the message says why."""


class AskError(ValueError):
    """A question that cannot be answered; the message says why."""


class Desk:
    """One per server. Keeps an idle scribe and a worker warm; every method may be called from any thread.

    Nothing lasts in this object: what runs is found again on the shelf.
    """

    def __init__(
        self, shelf: Shelf, *, command: list[str] | None = None, slots: int = 0, patience: float = 60.0
    ) -> None:
        """`slots` is how many runs train at once, 0: one per core. `patience` is in seconds, for one answer."""
        self.shelf = shelf
        self._lock = threading.Lock()
        self._previews: OrderedDict[str, Preview] = OrderedDict()
        self._catalog: Catalog | None = None
        command = command or COMMAND
        self._scribes = Scribes(shelf, command=[*command, "scribe", "--root", str(shelf.root)], slots=slots)
        self._clerk = Clerk(
            [*command, "worker", "--root", str(shelf.root)], log=shelf.root / "logs" / "worker.txt", patience=patience
        )
        atexit.register(_close, weakref.ref(self))
        with contextlib.suppress(OSError):
            self._clerk.warm()

    def launch(self, recipe: Recipe) -> str:
        """Start a run of the recipe, or find the one there is; its id. Raises LaunchError."""
        try:
            run, new = self.shelf.create(recipe)
        except (OSError, RunError) as error:
            raise LaunchError(f"The run cannot be started: {sentence(error)}") from error
        if new:
            self._scribes.write(run.id)
        return run.id

    def go_on(self, run_id: str) -> None:
        """Have an interrupted run go on from its last checkpoint, under its own id. Raises LaunchError."""
        try:
            with self._lock:  # of two tabs one has it go on
                if self.shelf.run(run_id).stay_in_line():
                    return  # twice in line, it would be written by two
                run = self.shelf.go_on(run_id)
        except (OSError, RunError, RecipeError) as error:
            raise LaunchError(f"The run cannot go on: {sentence(error)}") from error
        self._scribes.write(run.id)

    def catalog_at_hand(self) -> Catalog | None:
        """All cards where nobody has to be asked for them: kept beside the runs for each version of the code."""
        with self._lock:
            if self._catalog is not None:
                return self._catalog
        kept = self.shelf.kept_catalog(code_version())
        if kept is None:
            return None
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            found = Catalog.from_json(json.loads(kept))
            with self._lock:
                self._catalog = found
            return found
        return None

    def catalog(self) -> Catalog:
        """All cards. Raises AskError."""
        found = self.catalog_at_hand()
        if found is None:
            told = self._asked({"do": "catalog"})
            found = Catalog.from_json(told)
            with contextlib.suppress(OSError):
                self.shelf.keep_catalog(found.version, json.dumps(told))
        with self._lock:
            self._catalog = found
        return found

    def preview(self, recipe: Recipe) -> Preview:
        """What the recipe would come to. What goes wrong stands in its faults or warnings; never raises."""
        text = recipe.to_text()
        with self._lock:
            if text in self._previews:
                self._previews.move_to_end(text)
                return self._previews[text]
        try:
            found = Preview.from_json(self._asked({"do": "preview", "recipe": recipe.to_json()}))
        except _Refused as error:
            found = Preview(faults=[{"where": error.where, "text": str(error)}])
        except AskError as error:
            return Preview(warnings=[str(error)])
        with self._lock:
            self._previews[text] = found
            while len(self._previews) > PREVIEWS:
                self._previews.popitem(last=False)
        return found

    def foretell(self, recipe: Recipe) -> Foretold:
        """What its scheme can say of the recipe's cast before the run, now. Raises AskError."""
        return Foretold.from_json(self._asked({"do": "foretell", "recipe": recipe.to_json()}))

    def balance(self, recipe: Recipe, share: float) -> dict[int, float]:
        """Place of a method in the recipe -> the weight at which its gradient on the student is `share` times that of
        cross-entropy, measured on one batch. Raises AskError with a sentence.
        """
        told = self._asked({"do": "balance", "recipe": recipe.to_json(), "share": share})
        return {int(number): float(weight) for number, weight in told.items()}

    def ask(
        self, run_id: str, probe_key: str, settings: dict[str, object], snapshot: str, *, waits: Waits = patiently
    ) -> Answer:
        """A probe's answer about a run at a snapshot: kept beside the run, computed once. Raises AskError.

        `waits` is told how far it is, from this thread, several times a second while it is computed; it ends the
        computing by raising something, which comes out here.
        """
        try:
            run = self.shelf.run(run_id)
            filled = self.catalog().card("probes", probe_key).fill(settings)
        except (RunError, UnknownKey, KnobError) as error:
            raise AskError(str(error)) from error
        key = answer_key(probe_key, filled, snapshot)
        if (kept := _kept(run, key)) is not None:
            return kept
        self._asked(
            {"do": "ask", "run": run.id, "probe": probe_key, "settings": filled, "snapshot": snapshot, "key": key},
            waits=waits,
        )
        if (kept := _kept(run, key)) is None:
            raise AskError("The answer was computed but could not be read; was the run deleted meanwhile?")
        return kept

    def save_student(self, run_id: str) -> dict[str, bytes]:
        """The student as files, name -> bytes, as `export` writes them. Raises AskError."""
        return {name: bytes.fromhex(text) for name, text in self._asked({"do": "export", "run": run_id}).items()}

    def pids(self) -> list[int]:
        """Process numbers of the scribes and the worker that live."""
        return [*self._scribes.pids(), *self._clerk.pids()]

    def close(self) -> None:
        """End what is idle. A scribe in the middle of a run finishes it; runs still in line are stopped."""
        self._scribes.close()
        self._clerk.close()

    def _asked(self, request: Message, *, waits: Waits = patiently) -> Any:
        try:
            reply = self._clerk.ask(request, waits=waits)
        except TimeoutError as error:
            raise AskError("This took too long to compute and was given up.") from error
        except Ended as error:
            raise AskError(f"The computing process broke: {error or 'it said nothing'}") from error
        except OSError as error:
            raise AskError(f"The computing process cannot be started: {sentence(error)}") from error
        if "error" in reply:
            raise _Refused(str(reply["error"]), str(reply.get("where", "")))
        return reply["ok"]


class _Refused(AskError):
    def __init__(self, text: str, where: str) -> None:
        super().__init__(text)
        self.where = where


def answer_key(probe_key: str, settings: dict[str, object], snapshot: str) -> str:
    """Under what an answer is kept: another question, another moment or other code, another key."""
    digest = hashlib.sha256(json.dumps([code_version(), snapshot, settings], sort_keys=True).encode()).hexdigest()[:16]
    moment = re.sub(r"[^a-z0-9-]", "", snapshot)[:20]
    return f"{probe_key[:40]}-{moment}-{digest}"


def _kept(run: Run, key: str) -> Answer | None:
    content = run.answer(key)
    if content is None:
        return None
    with contextlib.suppress(ValueError):
        return answer_from_bytes(content)
    return None


def _close(desk: weakref.ref[Desk]) -> None:
    found = desk()
    if found is not None:
        found.close()
