"""What a sweep has come to: its pictures and tries as they are by now, and what the winner is worth."""

from __future__ import annotations

import math
from typing import Any

import streamlit as st

from app import state
from app.charts import sweep as chart
from app.draft import sentence
from app.rows import Row, row_of
from app.starting import take_up
from app.theme import percent, points
from app.varied import Field, called, joined, plan_of, resumed, runs_of, train, untrained
from app.views.knobs import plain
from app.views.moment import csv_button
from app.views.still import still
from app.views.sweep_form import fill
from kdcore.cards import Catalog
from kdcore.grid import settings_of, value_of, verdict
from kdcore.launch import LaunchError
from kdcore.recipe import Recipe, RecipeError, code_version
from kdcore.registry import UnknownKey
from kdcore.run import RunError
from kdcore.sweep import MOST_RUNS, Span, Sweep, SweepError, Try, installed
from kdcore.sweeps import Sweeps

MORE = 10
"""Further tries that are offered."""
SEEDS = 5
"""Further seeds over which the winner is compared."""
STATES = {
    "finished": "✓ finished", "pruned": "✂ stopped early", "refused": "✗ refused",
    "failed": "✗ failed",
}  # fmt: skip


def result(board: Sweeps, id: str, catalog: Catalog) -> None:
    """Draws the sweep, again and again while it goes on."""

    was = (board.going() == id, bool(state.kept("sweep.training", False)))

    def live() -> None:
        try:
            found = board.read(id)
        except SweepError as error:
            st.error(plain(str(error)), icon=":material/error:")
            _forget_button(board, id)
            return
        training = _drawn(board, found, catalog)
        state.keep("sweep.training", training)
        if (board.going() == id, training) != was:
            st.rerun()  # only the page sets the pace and names the sweep; a click redraws this part alone

    st.fragment(live, run_every=1.0 if any(was) else None)()


def _drawn(board: Sweeps, found: Sweep, catalog: Catalog) -> bool:
    """Whether runs that compare over seeds are being trained."""
    plan = found.plan
    names = {span.path: called(span.path, plan.recipe) for span in plan.spans}
    st.caption(
        f"{plain(sentence(plan.recipe, catalog))}. Searched: "
        + plain("; ".join(f"{names[span.path]} {_ranged(span)}" for span in plan.spans))
        + f", with {'TPE' if plan.sampler == 'tpe' else 'random draws'} (seed {plan.seed}) for the highest validation "
        "accuracy of the student; test pictures decide nothing."
    )
    _controls(board, found)
    if not any(one.accuracy is not None for one in found.tries):
        st.info(
            "The pictures stand here as soon as the first try has an accuracy. The recipe as it stands goes first."
            if board.going() == plan.id else "No try of this sweep has an accuracy.", icon=":material/query_stats:",
        )  # fmt: skip
        if found.tries:
            _table(found, names)
        return False
    _sentence(found)
    _pictures(found, names, catalog)
    training = _worth(found, names, catalog)
    _table(found, names)
    return training


def _ranged(span: Span) -> str:
    """ "1 to 16 by factors", or its values."""
    if span.choices:
        return joined(span.choices)
    return f"{joined([span.low])} to {joined([span.high])}{' by factors' if span.log else ''}"


def _controls(board: Sweeps, found: Sweep) -> None:
    """Stop, go on, try more; how far it is, or what ended it."""
    id, going = found.plan.id, board.going()
    if going == id:
        bar, button = st.columns([5, 1], vertical_alignment="center")
        bar.progress(min(1.0, found.ended / max(1, found.runs)), text=plain(found.now) or "Beginning …")
        button.button("Stop", icon=":material/stop:", key="sweep.stop", on_click=board.stop,
                      help="What it has found stays, and it can go on later.")  # fmt: skip
        return
    if found.now.startswith(("It ended", "No try")):
        st.error(plain(found.now), icon=":material/error:")
    elif not found.tries and found.start.state != "finished" and (trouble := board.trouble()):
        st.caption(f"It ended before its first try: {plain(trouble)}")
    older = found.plan.code != code_version()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        done = found.finished and found.ended >= found.runs
        more = 0
        if done and not older and found.runs < MOST_RUNS:
            room = MOST_RUNS - found.runs
            more = int(st.number_input("Further tries", 1, room, min(MORE, room), key=f"sweep.more.{id}", width=140))
        label = f"Try {more} more" if done else f"Go on to {found.runs} tries"
        if not older and (more or not done):
            st.button(
                label, icon=":material/play_arrow:", key="sweep.go_on", on_click=_go_on, args=(board, found, more),
                disabled=bool(going) or not installed(),
            )  # fmt: skip
        st.button("Change and sweep again", icon=":material/tune:", key="sweep.change", on_click=fill,
                  args=(found.plan, found.runs))  # fmt: skip
        _forget_button(board, id)
    if going:
        st.caption(f":material/hourglass: Sweep {going[:6]} still goes on; one at a time.")
    if older:
        st.caption("Made with another version of the code: it can be looked at, but does not go on.")


def _forget_button(board: Sweeps, id: str) -> None:
    st.button("Forget", type="tertiary", key="sweep.forget", on_click=_forget, args=(board, id),
              help="Deletes this sweep. Its runs stay on the shelf.")  # fmt: skip


def _go_on(board: Sweeps, found: Sweep, more: int) -> None:
    try:
        found.runs += more
        board.start(found)
    except SweepError as error:
        state.keep("sweep.trouble", str(error))


def _forget(board: Sweeps, id: str) -> None:
    try:
        board.forget(id)
        state.to_address("sweep", "new")
    except (SweepError, OSError) as error:
        state.keep("sweep.trouble", str(error))


def _sentence(found: Sweep) -> None:
    """The best so far with its number, what its accuracy is known to, and how the tries ended."""
    best = found.best
    counts = ", ".join(
        f"{count} {words}" for words, count in (
            ("finished", found.count("finished")), ("stopped early", found.count("pruned")),
            ("refused", found.count("refused")), ("failed", found.count("failed")),
        ) if count
    )  # fmt: skip
    pictures = _validation_pictures(found.start)
    said = f"Tries: {counts or 'none over yet'}."
    if best is not None and best.accuracy is not None and found.start.accuracy is not None:
        said = (
            f"Best on validation pictures: **{percent(best.accuracy, of=pictures)}** (try {best.number + 1}); the "
            f"recipe as it stands {percent(found.start.accuracy, of=pictures)}. {said}"
        )
        if pictures:
            half = 1.96 * math.sqrt(best.accuracy * (1 - best.accuracy) / pictures)
            said += (
                f" With {pictures:,} validation pictures an accuracy is known to ± {100 * half:.1f} points (95 %): "
                "tries closer than that may differ by chance."
            )
    if low := chart.below(found):
        said += f" {low} {'tries lie' if low > 1 else 'try lies'} below the pictures' lower edge (marks there)."
    st.markdown(said)


def _validation_pictures(one: Try) -> int:
    try:
        started = state.history_of(state.shelf().run(one.run)).started
        return int(started.data.get("validation", 0)) if started else 0
    except (RunError, ValueError, TypeError):
        return 0


def _pictures(found: Sweep, names: dict[str, str], catalog: Catalog) -> None:
    plan, dark = found.plan, state.dark()
    try:
        knobs = settings_of(plan.recipe, catalog)
    except UnknownKey:  # of another version of the code
        knobs = {}
    present = {path: value_of(plan.recipe, path, knobs[path]) for path in names if path in knobs}
    about = f"sweep {plan.id}"
    left, right = st.columns([3, 2])
    with left:
        st.markdown("**Which values do well** (the further from the page's own colour, the later the try)")
        still(chart.settings(found, names, present, dark=dark), about=f"{about} settings", key="sweep.settings")
    with right:
        st.markdown("**How the best was found**")
        still(chart.progress(found, dark=dark), about=f"{about} progress", key="sweep.progress")
    left, right = st.columns([3, 2])
    with left:
        st.markdown("**Every try while it learns**")
        still(chart.curves(found, dark=dark), about=f"{about} curves", key="sweep.curves")
    with right:
        if found.importance:
            st.markdown(
                "**Which setting decides**",
                help="Estimated by Optuna (PED-ANOVA): what sets the better tries apart from the others. With few "
                "tries it is rough.",
            )
            still(chart.importance(found, names, dark=dark), about=f"{about} importance", key="sweep.importance")


def _worth(found: Sweep, names: dict[str, str], catalog: Catalog) -> bool:
    """The winner beside the recipe as it stands, on test pictures, and over further seeds."""
    best = found.best
    if best is None or not found.finished:
        return False
    st.subheader("What the winner is worth", anchor=False)
    told = [
        _line("the recipe as it stands", found.start, catalog),
        _line(f"the best, try {best.number + 1}: " + _said(best, names), best, catalog),
    ]
    number = st.column_config.NumberColumn
    st.dataframe(
        told, hide_index=True, width="stretch", key="sweep.worth", placeholder="–",
        column_config={
            "validation": number("validation, %", format="%.1f", help="Decided which try is the best."),
            "test": number("test, %", format="%.1f", help="Looked at once, after the choice; it decided nothing."),
            "pictures": number("test pictures"),
            "gain": number(
                "over the student alone, points", format="%+.1f",
                help="The student alone is trained with the same settings; where they suit it less, this grows.",
            ),
        },
    )  # fmt: skip
    distinct = len({one.run for one in found.tries if one.state == "finished"})
    st.caption(
        f"The winner was picked on validation pictures among {found.count('finished')} finished tries "
        f"({distinct} different runs): its validation accuracy flatters it. Both rows are one seed, and one seed says "
        "little: compare them over seeds that the search has not seen."
    )
    if found.start.accuracy is not None and (best.accuracy or 0) <= found.start.accuracy:
        st.info("No try is better than the recipe as it stands on validation pictures.", icon=":material/info:")
    try:
        winner = found.plan.with_values(best.values)
    except RecipeError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return False
    with st.container(horizontal=True):
        if st.button("Use the best as the recipe", type="primary", key="sweep.use", icon=":material/tune:"):
            take_up(winner)
            state.go("begin", recipe=winner)
        if _there(best.run) and st.button(
            f"Open its run {best.run[:6]}", key="sweep.best", icon=":material/monitoring:"
        ):
            state.go("watch", run=best.run)
    return found.plan.code == code_version() and _over_seeds(found.plan.recipe, winner, catalog)


def _line(name: str, one: Try, catalog: Catalog) -> dict[str, Any]:
    line: dict[str, Any] = {"recipe": name, "validation": None if one.accuracy is None else 100 * one.accuracy}
    try:
        run = state.shelf().run(one.run)
    except RunError:
        return {**line, "test": None, "pictures": None, "gain": None}
    row = row_of(run, catalog)
    counts = [result.get("count") for result in state.history_of(run).results.values()]
    return {
        **line, "test": None if row.student is None else 100 * row.student,
        "pictures": next((count for count in counts if isinstance(count, int)), None),
        "gain": None if row.gain is None else 100 * row.gain,
    }  # fmt: skip


def _said(one: Try, names: dict[str, str]) -> str:
    return ", ".join(f"{names[path]} {joined([value])}" for path, value in one.values.items())


def _there(run_id: str) -> bool:
    try:
        state.shelf().run(run_id)
    except RunError:
        return False
    return True


def _over_seeds(start: Recipe, winner: Recipe, catalog: Catalog) -> bool:
    """Winner against start over seeds that decided nothing so far, on test pictures; whether any of it is training."""
    seeds = [(start.seed + step) % 2**31 for step in range(1, SEEDS + 1)]
    pairs = [[one.with_setting("seed", seed) for seed in seeds] for one in (start, winner)]
    if start == winner:
        return False
    runs = runs_of(pairs)
    told = [[None if run is None else row_of(run, catalog) for run in row] for row in runs]
    missing = untrained(pairs, runs, told)
    going = sum(one is not None and one.state in ("waiting", "running") for row in told for one in row)
    if missing:
        st.button(
            f"Compare both over {SEEDS} further seeds ({len(missing)} run{'s' if len(missing) != 1 else ''})",
            key="sweep.seeds", icon=":material/balance:", on_click=_train, args=(missing,), disabled=bool(going),
        )  # fmt: skip
        if not going and (meant := plan_of(missing, resumed(missing))):
            st.caption(meant)
    if any(one is not None for row in told for one in row):
        lines = [
            {"seed": str(seed), "as it stands": _percent(first), "the best": _percent(second)}
            for seed, first, second in zip(seeds, told[0], told[1], strict=True)
        ]
        st.dataframe(lines, hide_index=True, width="stretch", key="sweep.seeds.table")
        _verdict(told)
    return going > 0


def _percent(one: Row | None) -> str:
    if one is None:
        return "–"
    return percent(one.student) if one.student is not None else {"waiting": "waits", "running": "trains …"}.get(
        one.state, one.state
    )  # fmt: skip


def _verdict(told: list[list[Row | None]]) -> None:
    differences = [
        second.student - first.student for first, second in zip(told[0], told[1], strict=True)
        if first is not None and second is not None and first.student is not None and second.student is not None
    ]  # fmt: skip
    if not differences:
        return
    said = verdict(differences)
    interval = f" ± {100 * said.half:.1f} (95 %)" if said.seeds > 1 else ""
    word = {"beats": "The best **beats** the recipe as it stands", "loses to": "The best **loses to** the recipe as it "
            "stands"}.get(said.word, "**Inconclusive**")  # fmt: skip
    more = f" About {said.more} more seed{'s' if said.more != 1 else ''} would settle it." if said.more else ""
    st.markdown(
        f"{word}: {points(said.mean)}{interval} of test accuracy over {said.seeds} seed"
        f"{'s' if said.seeds != 1 else ''} that the search has not seen.{more}"
    )


def _train(fields: list[Field]) -> None:
    try:
        train(fields)
    except LaunchError as error:
        state.keep("sweep.trouble", str(error))


def _state(one: Try) -> str:
    """How far the try is; one that is not over may still wait for a core."""
    if one.state == "running":
        try:
            waits = state.shelf().run(one.run).state() == "waiting"
        except RunError:
            waits = True
        return "… waits" if waits else "▶ trains"
    return STATES[one.state]


def _table(found: Sweep, names: dict[str, str]) -> None:
    """Every try; a row that is chosen opens its run."""
    ranked = sorted(found.tries, key=lambda one: (one.state != "finished", -(one.accuracy or 0.0), one.number))
    tries = [*([found.start] if found.start.run else []), *ranked]
    told = [
        {
            "try": "as it stands" if one is found.start else str(one.number + 1),
            **{name: joined([one.values[path]]) if path in one.values else None for path, name in names.items()},
            "validation": None if one.accuracy is None else 100 * one.accuracy, "state": _state(one),
            "epochs": one.curve[-1][0] if one.curve else None, "why": one.why, "run": one.run[:6] + one.run[16:],
        }
        for one in tries
    ]  # fmt: skip
    st.markdown("**Every try**")
    number = st.column_config.NumberColumn
    picked = st.dataframe(
        told, hide_index=True, width="stretch", key=f"sweep.table.{found.plan.id}", placeholder="–",
        height=min(38 + 35 * max(1, len(told)), 360), on_select="rerun", selection_mode="single-row",
        column_config={
            "validation": number("validation, %", format="%.1f", help="Of a run that was stopped early: its last."),
            "epochs": number("epochs", help="How far its curve was compared with others."),
        },
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center"):
        csv_button(lambda: chart.rows(found), name=f"sweep-{found.plan.id}", key="sweep.csv")
        chosen = [tries[place] for place in picked.selection.rows if place < len(tries)]
        if chosen and chosen[0].run and _there(chosen[0].run):
            if st.button(f"Open run {chosen[0].run[:6]}", key="sweep.open", icon=":material/monitoring:"):
                state.go("watch", run=chosen[0].run)
        elif chosen:
            st.caption("This try has no run on the shelf." if chosen[0].run else "It was refused: it has no run.")
        else:
            st.caption("Choose a row to open its run.")
