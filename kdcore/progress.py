"""A run's progress as text, a moving line on a terminal and plain lines elsewhere; its results as a table. No torch."""

from __future__ import annotations

import math
import shutil
import time
from typing import TextIO

from kdcore.events import Event, Failed, Finished, Note, PhaseStarted, Step, Stopped
from kdcore.history import History, fold

LINE_EVERY = 5.0
"""Seconds between plain lines."""


class Progress:
    """Call it with every event."""

    def __init__(self, stream: TextIO) -> None:
        self.history = History()
        self._stream = stream
        self._moving = stream.isatty()
        self._drawn = 0.0
        self._width = 0

    def __call__(self, event: Event) -> None:
        fold([event], self.history)
        match event:
            case PhaseStarted():
                self._line(f"{self._count()}{event.title}: {event.epochs} epochs, {event.steps:,} steps")
                self._drawn = time.monotonic()
            case Step():
                phase = self.history.phase
                last = phase is not None and event.step >= phase.steps
                if last or time.monotonic() - self._drawn >= (0.1 if self._moving else LINE_EVERY):
                    self._drawn = time.monotonic()
                    self._draw(last)
            case Note():
                self._line(event.text)
            case Failed():
                self._line(f"Failed: {event.reason} {event.advice}".rstrip())
            case Stopped():
                self._line("Stopped; what was recorded stays.")
            case Finished():
                self._line(f"Finished in {duration(event.seconds)}.")

    def _count(self) -> str:
        started, phase = self.history.started, self.history.phase
        return f"{phase.number + 1}/{started.phases} " if started and phase and started.phases else ""

    def _draw(self, last: bool) -> None:
        phase = self.history.phase
        if phase is None:
            return
        done = phase.step / max(1, phase.steps)
        left = phase.seconds_left or 0.0
        learner = phase.learners[0] if phase.learners else ""
        score = self.history.last_score(learner)
        seen = f"  {learner} {score:.1%}" if score is not None and learner in phase.scores else ""
        told = f"{done:4.0%}  epoch {phase.epoch:.0f}/{phase.epochs}{seen}  {phase.rate:,.0f} pictures/s"
        told += "" if last else f"  {duration(left)} left"
        if not self._moving:
            self._line("  " + told.strip())
            return
        columns = shutil.get_terminal_size().columns
        wide = max(8, min(28, columns - len(told) - 6))
        full = round(done * wide)
        text = f"  [{'#' * full}{'.' * (wide - full)}] {told}"[: columns - 1]
        self._stream.write("\r" + text.ljust(self._width))
        self._width = len(text)
        if last:
            self._stream.write("\n")
            self._width = 0
        self._stream.flush()

    def _line(self, text: str) -> None:
        if self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._width = 0
        self._stream.write(text + "\n")
        self._stream.flush()


def duration(seconds: float) -> str:
    """0.4 s, 12 s, 3 min 05 s, 2 h 10 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def table(history: History) -> str:
    """Test accuracy of every role, and what the student has over itself alone with the interval of that difference.

    The interval is the normal one for two classifiers on the same pictures: from how many only one of them gets right.
    """
    results = history.results
    if not results:
        return "no results yet"
    wide = max(len(role) for role in results)
    lines = [f"{'':{wide}}  test accuracy"]
    for role, found in results.items():
        accuracy = found.get("test_accuracy")
        lines.append(f"{role:{wide}}  {accuracy:13.2%}" if isinstance(accuracy, (int, float)) else f"{role:{wide}}  ?")
    student = results.get("student", {}).get("test_accuracy")
    for role, found in results.items():
        if found.get("part") != "baseline" or not isinstance(student, (int, float)) or role == "student":
            continue
        difference = 100 * (student - found.get("test_accuracy", math.nan))
        lines.append(f"student over {role} (the same alone): {difference:+.2f} points{_interval(found)}")
    return "\n".join(lines)


def _interval(found: dict[str, object]) -> str:
    won, lost, count = found.get("won"), found.get("lost"), found.get("count")
    if not (isinstance(won, int) and isinstance(lost, int) and isinstance(count, int) and count > 0):
        return ""
    half = 196 * math.sqrt(max(0.0, won + lost - (won - lost) ** 2 / count)) / count
    return f" ± {half:.2f} (95 %, {count:,} test pictures)"
