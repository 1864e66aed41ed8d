"""Writing a run down: a source of events, a slot, a stop request, and every way in which it can end. No torch."""

from __future__ import annotations

import _thread
import contextlib
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator

from kdcore.events import ENDS, Event, Failed, Finished, Stopped
from kdcore.failure import failed_by, is_full, is_no_memory, is_told
from kdcore.processes import this_process
from kdcore.recipe import Recipe
from kdcore.run import Run, RunError
from kdcore.runs import Shelf
from kdcore.slots import Slots
from kdcore.wire import Caller

Source = Callable[[Recipe], Iterator[Event]]
Listener = Callable[[Event], None]
RUNS = 50
"""Runs that a process writes before a fresh one takes its place: what libraries leave behind does not pile up."""
LOOK_EVERY = 0.2
"""Seconds between two looks for a stop request."""
PATIENCE = 3.0
"""Seconds after a stop request in which the source may reach its next event; then it is interrupted."""


def write(run: Run, source: Source, *, slots: Slots, listen: Listener = lambda event: None) -> Event:
    """Write down all that the source says about the run's recipe and give back the event that ended it.

    Waits for a slot first. Never raises: what the source raises becomes Failed, with the traceback in fault.txt; a stop
    request or an interrupt becomes Stopped. Where even that cannot be written (disk full) the run becomes lost when
    this process ends.
    """
    try:
        run.begin(this_process("slot"))
        slot = slots.take(run.stop_requested)
        if slot is None:
            return _end(run, Stopped(time.time()), listen)
        try:
            run.begin(this_process("work"))
            return _follow(run, source, listen)
        finally:
            slot.free()
    except KeyboardInterrupt:
        return _end(run, Stopped(time.time(), by="interrupt"), listen)
    except Exception as error:
        if not (is_told(error) or is_full(error) or is_no_memory(error)):
            with contextlib.suppress(OSError):
                run.keep_fault(traceback.format_exc())
        return _end(run, failed_by(error), listen)


def _follow(run: Run, source: Source, listen: Listener) -> Event:
    looked = time.monotonic()
    with _Impatience(run):
        events = source(run.recipe)
        try:
            for event in events:
                run.append(event)
                listen(event)
                if isinstance(event, ENDS):
                    return event
                if time.monotonic() - looked >= LOOK_EVERY:
                    looked = time.monotonic()
                    if run.stop_requested():
                        return _end(run, Stopped(time.time()), listen)
        except KeyboardInterrupt:
            if run.stop_requested():
                return _end(run, Stopped(time.time()), listen)
            raise
        finally:
            with contextlib.suppress(Exception):
                events.close()  # type: ignore[attr-defined]
    if run.stop_requested():
        return _end(run, Stopped(time.time()), listen)
    return _end(run, Failed(time.time(), "The source of events ended without saying how."), listen)


def _end(run: Run, event: Event, listen: Listener) -> Event:
    """Say the end, unless it was said already (an interrupt may come right after)."""
    with contextlib.suppress(OSError):
        if run.said_end() is None:
            run.append(event)
    with contextlib.suppress(Exception):
        listen(event)
    return event


class _Impatience:
    """Interrupts the main thread when a stop request finds the source deep in something long, such as a download."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            if hasattr(signal, "SIGUSR1"):  # of its own: whoever runs in the background may have SIGINT ignored
                signal.signal(signal.SIGUSR1, signal.default_int_handler)
            self._watch.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._watch.is_alive():
            self._watch.join()  # an interrupt that is on its way is for this run and not for the next one

    def _look(self) -> None:
        while not self._over.wait(LOOK_EVERY):
            if self._run.stop_requested():
                if not self._over.wait(PATIENCE):
                    _interrupt()
                return


def _interrupt() -> None:
    if hasattr(signal, "pthread_kill"):  # a real signal also ends what sleeps or reads in the system
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
    else:
        _thread.interrupt_main()


def serve(
    shelf: Shelf,
    caller: Caller,
    source_for: Callable[[Run], Source],
    slots_for: Callable[[Run], Slots],
    *,
    between: Callable[[], None] = lambda: None,
) -> int:
    """Write each run that is asked for; the exit code is that of the last one, 0 once nobody asks any more.

    After a run that failed or was interrupted, and after many, the process is spent: it says so and ends.
    """  # fmt: skip
    for written in range(1, RUNS + 1):
        request = caller.hear()
        if request is None:
            return 0
        try:
            run = shelf.run(str(request.get("run")))
        except RunError as error:
            caller.say({"error": str(error)})
            return 3
        for name in (signal.SIGTERM, signal.SIGINT):  # asked to go: the run says Stopped first
            signal.signal(name, signal.default_int_handler)
        end = write(run, source_for(run), slots=slots_for(run))
        fine = isinstance(end, Finished) or (isinstance(end, Stopped) and run.stop_requested())
        spent = not fine or written == RUNS
        caller.say({"done": run.id, "end": type(end).__name__, "spent": spent})
        if spent:
            return exit_code(end)
        between()
    return 0


def exit_code(end: Event) -> int:
    """0 finished, 3 failed, 4 stopped."""
    return 0 if isinstance(end, Finished) else 4 if isinstance(end, Stopped) else 3
