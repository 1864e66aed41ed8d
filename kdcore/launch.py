"""The app's side of the warm workers: hand over a recipe, ask a question. No torch."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import re
import sys
import threading
import time
import weakref
from collections import OrderedDict, deque

from kdcore.answer import Answer, answer_from_bytes
from kdcore.cards import Catalog
from kdcore.events import Failed, Stopped
from kdcore.failure import sentence
from kdcore.preview import Preview
from kdcore.processes import cores
from kdcore.recipe import Recipe, code_version
from kdcore.registry import UnknownKey
from kdcore.runs import Run, RunError, Shelf
from kdcore.spec import KnobError
from kdcore.wire import Child, Clerk, Ended, Message

COMMAND = [sys.executable, "-P", "-m", "kdcore"]
PREVIEWS = 64
"""Previews kept in memory."""
TRIES = 2
"""How often a run is handed over, and a scribe that dies before it is ready is started again, before it counts as failed."""


class LaunchError(ValueError):
    """A run that cannot be started; the message says why."""


class AskError(ValueError):
    """A question that cannot be answered; the message says why."""


class Desk:
    """One per server. Keeps one idle scribe and one worker warm; every method may be called from any thread.

    Each scribe writes one run and ends. At most two more than there are slots live at once; further runs wait in line
    here. Nothing lasts in this object: what runs is found again on the shelf.
    """

    def __init__(self, shelf: Shelf, *, command: list[str] | None = None, slots: int = 0, patience: float = 60.0) -> None:
        """`slots` is how many runs train at once, 0: one per core. `patience` is in seconds, for one answer."""
        self.shelf = shelf
        self._command = command or COMMAND
        self._slots = slots or cores()
        self._lock = threading.RLock()
        self._idle: Child | None = None
        self._busy: dict[Child, str] = {}
        self._line: deque[str] = deque()
        self._handed: dict[str, int] = {}
        self._broken = 0
        self._started = 0
        self._closed = False
        self._previews: OrderedDict[str, Preview] = OrderedDict()
        self._catalog: Catalog | None = None
        self._clerk = Clerk(
            [*self._command, "worker", "--root", str(shelf.root)], log=shelf.root / "logs" / "worker.txt", patience=patience
        )
        atexit.register(_close, weakref.ref(self))
        self._seat()
        with contextlib.suppress(OSError):
            self._clerk.warm()

    def launch(self, recipe: Recipe) -> str:
        """Start a run of the recipe, or find the one there is; its id. Raises LaunchError."""
        try:
            run, new = self.shelf.create(recipe)
        except (OSError, RunError) as error:
            raise LaunchError(f"The run cannot be started: {sentence(error)}") from error
        if new:
            with self._lock:
                self._broken = 0
                self._line.append(run.id)
            self._seat()
        return run.id

    def catalog(self) -> Catalog:
        """All cards: kept beside the runs for each version of the code. Raises AskError."""
        with self._lock:
            if self._catalog is not None:
                return self._catalog
        kept = self.shelf.kept_catalog(code_version())
        found: Catalog | None = None
        if kept is not None:
            with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
                found = Catalog.from_json(json.loads(kept))
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

    def ask(self, run_id: str, probe_key: str, settings: dict[str, object], snapshot: str) -> Answer:
        """A probe's answer about a run at a snapshot: kept beside the run, computed once. Raises AskError."""
        try:
            run = self.shelf.run(run_id)
            filled = self.catalog().card("probes", probe_key).fill(settings)
        except (RunError, UnknownKey, KnobError) as error:
            raise AskError(str(error)) from error
        key = answer_key(run, probe_key, filled, snapshot)
        if (kept := _kept(run, key)) is not None:
            return kept
        self._asked(
            {"do": "ask", "run": run.id, "probe": probe_key, "settings": filled, "snapshot": snapshot, "key": key}
        )
        if (kept := _kept(run, key)) is None:
            raise AskError("The answer was computed but could not be read; was the run deleted meanwhile?")
        return kept

    def save_student(self, run_id: str) -> dict[str, bytes]:
        """The student as files, name -> bytes, as `export` writes them. Raises AskError."""
        return {name: bytes.fromhex(text) for name, text in self._asked({"do": "export", "run": run_id}).items()}

    def close(self) -> None:
        """End what is idle. A scribe in the middle of a run finishes it; runs still in line are stopped."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            idle, self._idle = self._idle, None
            for child in self._busy:
                child.let_go()
            waiting = list(self._line)
            self._line.clear()
        for id in waiting:
            self._say_end(id, Stopped(time.time(), by="the app's end"))
        if idle is not None:
            idle.end()
        self._clerk.close()

    def _seat(self) -> None:
        """Hand runs in line to the idle scribe and start the next one, as far as there is room."""
        with self._lock:
            while not self._closed:
                if self._idle is None and len(self._busy) < self._slots + 2 and self._broken < TRIES:
                    self._idle = self._start()
                    if self._idle is None:
                        continue
                if self._broken >= TRIES and self._idle is None:
                    self._give_up()
                if self._idle is None or not self._line:
                    return
                child, self._idle = self._idle, None
                id = self._line.popleft()
                self._busy[child] = id
                with contextlib.suppress(Ended):  # then _ended brings the run back into line
                    child.say({"run": id})

    def _start(self) -> Child | None:
        self._started += 1
        log = self.shelf.root / "logs" / f"scribe-{self._started % 20}.txt"
        try:
            return Child(
                [*self._command, "scribe", "--root", str(self.shelf.root)], log=log, hear=self._heard, ended=self._ended
            )
        except OSError as error:
            self._broken += 1
            self._words = sentence(error)
            return None

    _words = ""
    """The last that a broken scribe said."""

    def _heard(self, child: Child, message: Message) -> None:
        if "ready" in message:
            with self._lock:
                self._broken = 0
                self._slots = max(self._slots, int(message.get("slots", 0)))

    def _ended(self, child: Child) -> None:
        with self._lock:
            id = self._busy.pop(child, None)
            if child is self._idle:
                self._idle = None
                self._broken += 1
                self._words = child.last_words()
            if id is not None and self._never_begun(id):
                self._handed[id] = self._handed.get(id, 0) + 1
                self._broken += 1
                self._words = child.last_words()
                if self._handed[id] < TRIES and not self._closed:
                    self._line.appendleft(id)
                else:
                    self._say_end(id, self._not_started())
        self._seat()

    def _never_begun(self, id: str) -> bool:
        with contextlib.suppress(RunError):
            return self.shelf.run(id).waits_in_line()
        return False

    def _give_up(self) -> None:
        """No scribe comes up: say so in every run in line, and try again at the next launch."""
        while self._line:
            self._say_end(self._line.popleft(), self._not_started())

    def _not_started(self) -> Failed:
        return Failed(
            time.time(),
            "The training process ended before it could begin" + (f": {self._words}" if self._words else "."),
            "See the newest file in logs beside the runs.",
        )

    def _say_end(self, id: str, event: Failed | Stopped) -> None:
        with contextlib.suppress(OSError, RunError):
            self.shelf.run(id).append(event)

    def _asked(self, request: Message) -> dict[str, object] | str:
        try:
            reply = self._clerk.ask(request)
        except TimeoutError as error:
            raise AskError("This took too long to compute and was given up.") from error
        except Ended as error:
            raise AskError(f"The computing process broke: {error}" if str(error) else "The computing process broke.") from error
        except OSError as error:
            raise AskError(f"The computing process cannot be started: {sentence(error)}") from error
        if "error" in reply:
            raise _Refused(str(reply["error"]), str(reply.get("where", "")))
        return reply["ok"]


class _Refused(AskError):
    def __init__(self, text: str, where: str) -> None:
        super().__init__(text)
        self.where = where


def answer_key(run: Run, probe_key: str, settings: dict[str, object], snapshot: str) -> str:
    """Under what an answer is kept: another question, another moment or other code, another key.

    Recorded runs keep theirs over versions of the code, since they are shipped with their answers.
    """
    version = "" if run.recorded else code_version()
    digest = hashlib.sha256(json.dumps([version, snapshot, settings], sort_keys=True).encode()).hexdigest()[:16]
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
