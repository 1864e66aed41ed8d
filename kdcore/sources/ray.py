"""The same events from a Ray cluster: one run per worker, trained there and written down here.

Of this machine's runs the cluster sees the recipe, the moment from which a run goes on, and phases that another run has
trained; they travel as JSON and safetensors. Ray pickles what it carries: only machines that trust one another belong
into a cluster.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from kdcore.beginnings import begun
from kdcore.events import ENDS, Event, Failed, Finished, Note, Snapshot
from kdcore.foundation import Foundations, nothing
from kdcore.processes import this_process
from kdcore.recipe import Recipe
from kdcore.run import Run, safetensors_of
from kdcore.runs import Shelf
from kdcore.scribe import Source
from kdcore.slots import Slots
from kdcore.sources.cluster import Cancelled, Spare, Worker, WorkerLost, count
from kdcore.sources.parcels import Parcel, line_of, packed, packed_start, unpacked
from kdcore.sources.trainer import OVER, Trainer
from kdcore.start import Start

TRIES = 3
"""Workers that a run may lose before it has failed."""
SPARE = Spare(seconds=2.0)


def slots(folder: Path) -> dict[str, Slots]:
    """How many runs of this shelf train at once: one for each core, or GPU, of the cluster. Raises ClusterError."""
    return {kind: Slots(folder, f"ray-{kind}", number) for kind, number in count().items()}


def source(run: Run, shelf: Shelf) -> Source:
    """The events of the run, trained on the cluster that KDLAB_RAY names.

    A worker that is lost is replaced: what was said after the last checkpoint is taken back, and the next one goes on
    from there, or begins anew where there is none. A stop request ends the worker's process and then the events.
    """

    def events(recipe: Recipe) -> Iterator[Event]:
        lost = ""
        for left in reversed(range(TRIES)):
            try:
                said = begun(run, shelf, partial(_trained, run))(recipe)
                for number, event in enumerate(said):
                    yield event
                    if lost and not number:
                        yield Note(time.time(), f"A Ray worker was lost: {lost}. Another one trains in its place.")
                return
            except Cancelled:
                return
            except WorkerLost as error:
                lost = str(error)
            if run.stop_requested():
                return
            kept = run.interrupted_at()
            if left:
                run.rewind(0 if kept is None else kept["bytes"])
        advice = "Look at the cluster's nodes" + ("." if kept is None else "; the run can go on from its checkpoint.")
        yield Failed(time.time(), f"{TRIES} Ray workers were lost during this run; the last: {lost}.", advice)

    return events


def _trained(run: Run, recipe: Recipe, *, start: Start | None = None, laid: Foundations = nothing) -> Iterator[Event]:
    """What the engine says on a worker. The run waits while the cluster has none to give.

    Raises Cancelled, WorkerLost, and ClusterError.
    """
    stop = run.stop_requested
    gpu = recipe.budget().device != "cpu" and "gpu" in count()
    worker = SPARE.take(gpu=gpu)
    fine = False
    try:
        if worker is None:
            run.begin(this_process("slot"))
            worker = Worker(Trainer, gpu=gpu)
            worker.ready(stop)
            run.begin(this_process("work"))
        worker.ask("begin", recipe.to_text(), None if start is None else packed_start(start), stop=stop)
        snapshots: Iterator[Snapshot] = iter(())
        while True:
            for parcel in worker.ask("more", stop=stop):
                if parcel == OVER:
                    return
                if key := _question(parcel):
                    snapshots = _answer(worker, key, laid, run)
                    continue
                event = unpacked(parcel)
                if isinstance(event, Snapshot) and not event.tensors:  # of a phase taken over: they never left
                    event = replace(event, tensors=next(snapshots).tensors)
                if isinstance(event, Failed) and parcel[1]:
                    run.keep_fault(parcel[1].decode(errors="replace"))
                fine = isinstance(event, Finished)
                yield event
                if isinstance(event, ENDS):
                    return
    finally:
        if fine and worker is not None:
            SPARE.keep(worker)
        elif worker is not None:
            worker.end()


def _question(parcel: Parcel) -> str:
    """The key of the phase that the worker asks for; "" for an event."""
    return str(json.loads(parcel[0])["asks"]) if parcel[0].startswith(b'{"asks"') else ""


def _answer(worker: Worker, key: str, laid: Foundations, run: Run) -> Iterator[Snapshot]:
    """Send the phase, its snapshots without tensors; gives back the snapshots with them, in order."""
    found = laid(key)
    if found is None:
        worker.ask("answer_nothing", stop=run.stop_requested)
        return iter(())
    told = [(line_of(event), b"") if isinstance(event, Snapshot) else packed(event) for event in found.events()]
    worker.ask("answer", found.run, told, safetensors_of(found.weights), stop=run.stop_requested)
    return (event for event in found.events() if isinstance(event, Snapshot))
