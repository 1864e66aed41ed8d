"""Searching: Optuna proposes recipes, the shelf's runs answer, weak runs are stopped from their live curves. No torch.

Optuna's own journal (lines of JSON, nothing pickled) is the storage: a search that was stopped or killed goes on from
it. What pages look at is a `Sweep`, written anew from it.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdcore.cards import Catalog
from kdcore.check import faults
from kdcore.files import cut_to, read_between
from kdcore.history import History, fold
from kdcore.recipe import Recipe, RecipeError
from kdcore.run import Run, RunError
from kdcore.runs import Shelf
from kdcore.sweep import MISSING, Plan, Span, Sweep, SweepError, Try

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

LOOK_EVERY = 0.05
"""Seconds between two looks at the runs."""
KEEP_EVERY = 0.5
"""Seconds between two writings of what pages look at, while no try ends."""
LOOKS = 20
"""Points of a curve, about, at which a run is compared with others."""
UNPRUNED = 5
"""Tries that must have finished before any is stopped early."""
BLIND = 8
"""Tries that TPE draws at random before it begins to model."""
TELLING = 8
"""Finished tries from which on it is estimated which setting decides."""
PATIENCE = 2.0
"""Seconds in which runs that are asked to stop do so."""


@dataclass
class Going:
    """A try whose run is looked at."""

    one: Try
    run: Run
    ours: bool
    """Whether the sweep began the run, and may stop it."""
    trial: Trial | None = None
    """None for the recipe as it stands."""
    since: int = 0
    history: History = field(default_factory=History)
    weak: bool = False
    """Whether it was asked to stop."""


class Search:
    """Fills a sweep. One at a time on a shelf; whoever makes it sees to that."""

    def __init__(
        self,
        sweep: Sweep,
        *,
        shelf: Shelf,
        catalog: Catalog,
        journal: Path,
        write: Callable[[str], None],
        keep: Callable[[Sweep], None],
        stop: Callable[[], bool],
        at_once: int,
    ) -> None:
        """`write` hands the id of a new run to whoever trains it; at most `at_once` go on. Raises SweepError."""
        self.sweep, self._shelf, self._catalog = sweep, shelf, catalog
        self._write, self._keep, self._stop, self._at_once = write, keep, stop, max(1, at_once)
        self._every = max(1, sweep.plan.recipe.budget().epochs // LOOKS)
        self._study = opened(journal, sweep.plan)
        self._going: list[Going] = []
        self._kept = 0.0

    def run(self) -> Sweep:
        """Try what is to be tried. Raises SweepError, and KeyboardInterrupt once `stop` says so."""
        sweep = self.sweep
        sweep.finished = False
        with quiet():
            sweep.tries = [_told(frozen, sweep.plan) for frozen in self._study.get_trials(deepcopy=False)]
            self._begin_with_the_start()
            for one in [one for one in sweep.tries if one.state == "running"]:
                self._take_up(one)
            while self._going or len(sweep.tries) < sweep.runs:
                while len(self._going) < self._at_once and len(sweep.tries) < sweep.runs:
                    self._ask()
                self._look()
        sweep.finished = True
        sweep.now = self._said() if sweep.best is None else ""
        self._keep(sweep)
        return sweep

    def _begin_with_the_start(self) -> None:
        """The recipe as it stands goes first and alone: what all tries have in common is trained with it."""
        start = self.sweep.start = Try(-1, {}, run=self.sweep.start.run)
        self.sweep.now = "the recipe as it stands"
        self._launch(start, self.sweep.plan.recipe, None)
        while self._going:
            self._look()
        if start.state != "finished":
            raise SweepError(f"the recipe as it stands did not run to its end: {start.why or start.state}")

    def _ask(self) -> None:
        plan, number = self.sweep.plan, len(self.sweep.tries)
        self._study.sampler = sampler_of(plan, number)
        trial = self._study.ask()
        one = Try(number, _suggested(trial, plan))
        self.sweep.tries.append(one)
        self._try(one, trial)

    def _take_up(self, one: Try) -> None:
        """A try that was under way when the search ended: its run went on meanwhile, goes on, or is begun anew."""
        from optuna import Trial

        plan = self.sweep.plan
        frozen = self._study.get_trials(deepcopy=False)[one.number]
        self._study.sampler = sampler_of(plan, one.number)
        trial = Trial(self._study, frozen._trial_id)
        one.values = _suggested(trial, plan)
        with contextlib.suppress(RunError):
            run = self._shelf.run(one.run)
            self._let_stop(run)
            if run.state() in ("waiting", "running", "finished"):
                self._going.append(Going(one, run, bool(frozen.user_attrs.get("ours")), trial))
                return
        self._try(one, trial)

    def _try(self, one: Try, trial: Trial) -> None:
        try:
            recipe = self.sweep.plan.with_values(one.values)
            wrong = faults(recipe, self._catalog)
        except RecipeError as error:
            self._tell(one, trial, "refused", str(error))
            return
        if wrong:
            self._tell(one, trial, "refused", f"{wrong[0].where}: {wrong[0].text}")
            return
        self._launch(one, recipe, trial)

    def _launch(self, one: Try, recipe: Recipe, trial: Trial | None) -> None:
        run, ours = self._interrupted(one.run, recipe), True
        if run is None:
            run, ours = self._shelf.create(recipe)
        one.run = run.id
        if trial is not None:
            trial.set_user_attr("run", run.id)
            trial.set_user_attr("ours", ours)
        if ours:
            self._write(run.id)
        self._going.append(Going(one, run, ours, trial))

    def _interrupted(self, id: str, recipe: Recipe) -> Run | None:
        """The run that the try had, in line to go on from its last checkpoint; None where there is nothing of it."""
        if id[:16] != recipe.id:  # of another try, in a file that anyone may have written
            return None
        with contextlib.suppress(RunError, RecipeError):
            self._let_stop(self._shelf.run(id))
            return self._shelf.go_on(id)
        return None

    def _let_stop(self, run: Run) -> None:
        """Wait for a run that the search asked to stop when it ended, and that has not come to it."""
        while run.stop_requested() and run.state() in ("waiting", "running"):
            if self._stop():
                raise KeyboardInterrupt
            time.sleep(LOOK_EVERY)

    def _look(self) -> None:
        """Look at every run once, wait a moment."""
        over = [going for going in self._going if self._follow(going)]
        self._going = [going for going in self._going if going not in over]
        if over or time.monotonic() - self._kept > KEEP_EVERY:
            if self.sweep.start.state == "finished":
                self.sweep.now = f"{self.sweep.ended} of {self.sweep.runs} tries are over"
            self._keep(self.sweep)
            self._kept = time.monotonic()
        if self._stop():
            self._end_runs()
            raise KeyboardInterrupt
        if not over:
            time.sleep(LOOK_EVERY)

    def _follow(self, going: Going) -> bool:
        """Read on in its log, stop it if it is weak; whether it is over."""
        one = going.one
        state = going.run.state()  # before the events: those of a run that has ended are then all there
        events, going.since = going.run.events(going.since)
        fold(events, going.history)
        known = {epoch for epoch, _ in one.curve}
        for epoch, value in curve(going.history, self._every):
            if epoch in known:
                continue
            one.curve.append((epoch, value))
            one.accuracy = value
            if going.trial is not None:
                self._compare(going, epoch, value, state)
        if state in ("waiting", "running"):
            return False
        if state == "finished" and (reached := validated(going.history)) is not None:
            one.accuracy = reached
            self._tell(one, going.trial, "finished", "")
        elif going.weak:
            self._tell(one, going.trial, "pruned", one.why)
        else:
            why = going.history.failure or {"stopped": "it was stopped", "lost": "its process ended"}.get(state, state)
            self._tell(one, going.trial, "failed", why)
        return True

    def _compare(self, going: Going, epoch: int, value: float, state: str) -> None:
        """Tell Optuna how far the run is; stop it where Optuna's pruner finds it weak."""
        assert going.trial is not None
        going.trial.report(value, epoch)
        if going.ours and not going.weak and state in ("waiting", "running") and going.trial.should_prune():
            going.weak = True
            going.one.why = f"below the median of the others after {epoch} epochs"
            going.run.request_stop()

    def _tell(self, one: Try, trial: Trial | None, state: Any, why: str) -> None:
        """The try is over."""
        from optuna.trial import TrialState

        one.state, one.why = state, why
        if trial is None:
            return
        trial.set_user_attr("state", state)
        trial.set_user_attr("why", why)
        if state == "finished":
            self._study.tell(trial, one.accuracy)
        else:
            self._study.tell(trial, state=TrialState.PRUNED if state == "pruned" else TrialState.FAIL)
        if state == "finished" and len(self.sweep.plan.spans) > 1 and self.sweep.count("finished") >= TELLING:
            self._weigh()

    def _weigh(self) -> None:
        from optuna.importance import get_param_importances

        with contextlib.suppress(ValueError, RuntimeError):  # all accuracies equal, for instance
            found = get_param_importances(self._study)
            self.sweep.importance = {path: float(share) for path, share in found.items()}

    def _end_runs(self) -> None:
        """Ask what goes on to stop. The tries stay open: their runs go on when the search does."""
        ours = [going.run for going in self._going if going.ours]
        for run in ours:
            run.request_stop()
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and any(run.state() in ("waiting", "running") for run in ours):
            time.sleep(LOOK_EVERY)

    def _said(self) -> str:
        """Why a search that is over has no result."""
        refused, failed = self.sweep.count("refused"), self.sweep.count("failed")
        first = next((one.why for one in self.sweep.tries if one.why), "")
        return f"No try has a result: {refused} refused, {failed} failed. The first: {first}"


def opened(journal: Path, plan: Plan) -> Study:
    """The study in that file, made where there is none. The caller is the only one who writes. Raises SweepError."""
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
    except ImportError as error:
        raise SweepError(MISSING) from error

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    tail = read_between(journal, 0)
    cut_to(journal, tail.rfind(b"\n") + 1)  # half a line that a killed process left
    Path(f"{journal}.lock").unlink(missing_ok=True)  # its lock
    epochs = plan.recipe.budget().epochs
    pruner = optuna.pruners.MedianPruner(UNPRUNED, max(1, epochs // 6)) if plan.pruner == "median" else (
        optuna.pruners.NopPruner()
    )  # fmt: skip
    with quiet():
        try:
            storage = JournalStorage(JournalFileBackend(str(journal), lock_obj=JournalFileOpenLock(str(journal))))
            study = optuna.create_study(
                storage=storage, study_name=plan.id, direction="maximize", load_if_exists=True, pruner=pruner,
                sampler=sampler_of(plan, 0),
            )  # fmt: skip
            for frozen in study.get_trials(deepcopy=False):
                _told(frozen, plan)
        except OSError:
            raise
        except Exception as error:  # whatever a file that anyone may have written leads Optuna into
            raise SweepError(
                f"Optuna's file of this sweep, {journal.name}, is damaged ({type(error).__name__}). Forget the sweep "
                "and start it anew: runs that have finished are found again"
            ) from error
    return study


def sampler_of(plan: Plan, number: int) -> Any:
    """The sampler of one try, seeded by the search's seed and the try's number: a search that goes on draws what it
    would have drawn."""
    import optuna

    seed = int.from_bytes(hashlib.sha256(f"{plan.seed} {number}".encode()).digest()[:4], "little")
    if plan.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=BLIND)


def _suggested(trial: Trial, plan: Plan) -> dict[str, Any]:
    """The values that Optuna proposes, settled."""
    return {span.path: span.settle(_suggest(trial, span)) for span in plan.spans}


def _suggest(trial: Trial, span: Span) -> Any:
    if span.choices:
        return trial.suggest_categorical(span.path, span.choices)
    assert span.low is not None
    assert span.high is not None
    if span.whole:
        return trial.suggest_int(span.path, int(span.low), int(span.high), log=span.log)
    return trial.suggest_float(span.path, span.low, span.high, log=span.log)


def _told(frozen: FrozenTrial, plan: Plan) -> Try:
    """A try as Optuna's file tells it."""
    from optuna.trial import TrialState

    kept = frozen.user_attrs
    states = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    state: Any = states.get(frozen.state, "running")
    if state == "failed" and kept.get("state") == "refused":
        state = "refused"
    values = {span.path: span.settle(frozen.params[span.path]) for span in plan.spans if span.path in frozen.params}
    told = sorted((int(epoch), float(value)) for epoch, value in frozen.intermediate_values.items())
    reached = frozen.value if frozen.value is not None else told[-1][1] if told else None
    return Try(frozen.number, values, state, str(kept.get("run", "")), reached, told, str(kept.get("why", "")))


def student_of(history: History) -> str:
    """The role whose accuracy is the run's: the last student, or the last peer; "" before it is known."""
    roles = history.started.roles if history.started else {}
    for part in ("student", "peer"):
        found = [role for role, what in roles.items() if what.get("part") == part]
        if found:
            return found[-1]
    return ""


def curve(history: History, every: int) -> list[tuple[int, float]]:
    """(epochs of the student over all its phases, validation accuracy) after each `every` epochs."""
    role, offset = student_of(history), 0
    found = []
    for phase in history.phases:
        if role not in phase.scores:
            continue
        series = phase.scores[role]
        for epoch, value in zip(series.epochs, series.values, strict=True):
            at = offset + round(epoch)
            if value is not None and at > 0 and at % every == 0 and abs(epoch - round(epoch)) < 1e-6:
                found.append((at, float(value)))
        offset += phase.epochs
    return found


def validated(history: History) -> float | None:
    """The student's validation accuracy at the end of a run that finished."""
    found = history.results.get(student_of(history), {}).get("validation_accuracy")
    return float(found) if isinstance(found, (int, float)) else None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's warnings about what is experimental in it, or was reported twice."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"optuna\..*")
        warnings.filterwarnings("ignore", module="kdcore.searching")
        yield
