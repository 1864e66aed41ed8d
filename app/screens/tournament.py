"""Tournament: every method on one small pair, with the same budget and seeds; what an accuracy costs."""

from __future__ import annotations

import math

import streamlit as st

from app import state, theme
from app.charts import frontier as chart
from app.draft import title_of
from app.page import Page
from app.starting import take_up
from app.views import chosen
from app.views.knobs import plain
from app.views.measuring import followed, refusal, tried, under_way
from app.views.moment import csv_button
from app.views.still import still
from app.words import FAMILIES, gloss
from kdcore.cards import Catalog
from kdcore.recipe import Part, Pick, Recipe, code_version
from kdcore.standings import ALONE, PAIRS, PLAIN, Standings, StandingsError
from kdcore.tournament_table import made_with
from kdcore.tournaments import Tournaments

NAMES = {"digits": "Digits", "fashion": "Fashion-MNIST"}
SEEDS, LIMIT = 3, 120.0
COSTS = {"seconds": "per second", "megabytes": "per megabyte"}


def show() -> None:
    """The page."""
    catalog = state.catalog()
    st.header("Every method on one pair", anchor=False, help=gloss("student alone", "soft labels", "points"))
    board = Tournaments(state.shelf().root)
    refusal("tournament")
    followed(board.going, lambda: _board(board, catalog))


PAGE = Page("tournament", "Tournament", ":material/leaderboard:", 47, show, "tournament")


def _pair(place: st.delta_generator.DeltaGenerator) -> str:
    asked = chosen.one_of(state.from_address("pair"), "pair", "pair", PAIRS, next(iter(PAIRS)), _named)
    pair = place.segmented_control(
        "Pair", list(PAIRS), default=asked, key=f"tournament.pair.{asked}", format_func=_named,
        label_visibility="collapsed", on_change=state.forgive, args=("pair",),
    )  # fmt: skip
    with place:
        chosen.complaint("pair")
    if pair and pair != asked:
        state.to_address("pair", pair)
    return pair or asked


def _named(pair: str) -> str:
    return NAMES.get(pair, pair)


def _cost(place: st.delta_generator.DeltaGenerator) -> str:
    cost = place.segmented_control(
        "Cost", list(COSTS), default="seconds", key="tournament.cost", format_func=lambda key: f"accuracy {COSTS[key]}",
        label_visibility="collapsed",
    )  # fmt: skip
    return cost or "seconds"


def _board(board: Tournaments, catalog: Catalog) -> None:
    left, middle, right = st.columns([2, 3, 5], vertical_alignment="center")
    pair, cost = _pair(left), _cost(middle)
    doing = board.state(pair)
    own: Standings | None = None
    try:
        own = board.own(pair)
    except StandingsError as error:
        st.error(plain(str(error)), icon=":material/error:")
    shipped = board.shipped(pair)
    both = own is not None and own.fine() and shipped is not None
    shown = shipped if own is None or not own.fine() else own
    with right:
        _controls(board, pair, own)
    st.caption(plain(_what(shown.base if shown is not None else PAIRS[pair], catalog)))
    if both and st.toggle("Show the measurement that came with KD Lab", key=f"tournament.shipped.{pair}"):
        shown = shipped
    if shown is None or not shown.fine():
        st.info(
            "The table and the frontier stand here as soon as the first two have been trained."
            if doing == "running" else "Nothing has been measured on this pair yet. Start the tournament above.",
            icon=":material/leaderboard:",
        )  # fmt: skip
        return
    _picture(shown, pair, cost, catalog)
    _table(shown, pair, catalog)
    mine = shown is own
    st.caption(
        ("" if mine else "This came with KD Lab. ") + plain(made_with(shown))
        + " Each interval stands alone: of forty comparisons about two would look clear by chance."
    )  # fmt: skip


def _what(base: Recipe, catalog: Catalog) -> str:
    """The pair and the rules, in two sentences."""
    data, size = base.data.settings, base.data.settings.get("train_size", 0)
    teacher, student = (
        f"{title_of(catalog, 'networks', pick.key)} of width {pick.settings.get('width', '?')}"
        for pick in (base.teacher, base.student)
    )
    return (
        f"{title_of(catalog, 'datasets', base.data.key)}{f', {size:,} pictures' if size else ''}: the teacher "
        f"({teacher}) knows all labels, the student ({student}) {100 * data.get('labelled', 1.0):.0f} % of them. "
        "Each method takes its turn beside cross-entropy, at its own weight, from the same start with the same teacher "
        "and steps."
    )


def _controls(board: Tournaments, pair: str, own: Standings | None) -> None:
    """Start, go on or stop; while it goes on, how far it is."""
    going = board.going()
    if going and going != pair:
        st.caption(f":material/hourglass: The tournament on {_named(going)} goes on; one at a time.")
        return
    if going:
        _under_way(board, own)
        return
    can_go_on = own is not None and not own.finished and own.made.get("code") == code_version()
    seconds = _expected(board, pair, own)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="right"):
        if own is not None and not own.finished:
            done, total = own.steps()
            why = f" {plain(own.now)}" if own.now.startswith("It ended") else ""
            anew = "" if can_go_on else " The code has changed since, so it would begin anew."
            st.caption(f"Stopped after {done} of {total} trainings.{why}{anew}")
        elif own is None and (trouble := board.trouble()):
            st.caption(f"The last attempt ended before it could begin: {plain(trouble)}")
        if own is not None:
            st.button("Forget", type="tertiary", key="tournament.forget", on_click=_forget, args=(board, pair),
                      help="Deletes what was measured on this machine.")  # fmt: skip
        st.button(
            "Go on" if can_go_on else "Measure on this machine", icon=":material/play_arrow:", key="tournament.start",
            on_click=_start, args=(board, pair, own if can_go_on else None),
            help=f"In the background{f', about {theme.seconds(seconds)} of one core' if seconds else ''}; it goes on "
            "when this page or the app is closed, and can be stopped.",
        )  # fmt: skip


def _under_way(board: Tournaments, own: Standings | None) -> None:
    done, total = own.steps() if own is not None else (0, 1)
    doing = f"{done} of {total} trainings · {plain(own.now)}" if own is not None and own.now else ""
    under_way("tournament", done, total, doing, board.stop)


def _expected(board: Tournaments, pair: str, own: Standings | None) -> float:
    """CPU seconds of all trainings of students, from what was measured before; 0 where nothing was."""
    known = own if own is not None and own.finished else board.shipped(pair)
    return SEEDS * sum(row.cost("seconds") for row in known.fine()) if known is not None else 0.0


def _start(board: Tournaments, pair: str, before: Standings | None) -> None:
    seeds, limit = (before.seeds, before.limit) if before is not None else (SEEDS, LIMIT)
    tried("tournament", lambda: board.start(pair, seeds=seeds, limit=limit))


def _forget(board: Tournaments, pair: str) -> None:
    tried("tournament", lambda: board.forget(pair))


def _picture(shown: Standings, pair: str, cost: str, catalog: Catalog) -> None:
    st.markdown("**What an accuracy costs: up and to the left is better**")
    figure = chart.draw(shown, _families(catalog), cost=cost, dark=state.dark())
    still(figure, about=f"tournament {pair} {cost}", key=f"tournament.chart.{pair}.{cost}")
    st.caption(plain(chart.sentence(shown, cost)))


def _families(catalog: Catalog) -> dict[str, str]:
    return {key: str(card.facts["family"]) for key, card in catalog.folders["methods"].items()}


def _table(shown: Standings, pair: str, catalog: Catalog) -> None:
    """Every contender, best first; those that stay out last, with the reason. One that is chosen can be tried."""
    families, reference, alone = _families(catalog), shown.row(PLAIN), shown.row(ALONE)
    told: list[dict[str, object]] = []
    listed = [*shown.fine(), *(row for row in shown.rows if row.refusal and not row.accuracy)]
    for row in listed:
        card = catalog.folders["methods"].get(row.key)
        one: dict[str, object] = {
            "contender": chart.name_of(row), "method": card.title if card else None,
            "family": _family(families, row.key),
        }  # fmt: skip
        if row.accuracy:
            mean, half = row.mean()
            one |= {"student": 100 * mean, "±": 100 * half if math.isfinite(half) else None}
            for name, other in (("over alone", alone), ("over KD", reference)):
                if other is not None and other.accuracy and other is not row:
                    value, width = row.over(other)
                    one |= {name: f"{100 * value:+.1f}" + (f" ± {100 * width:.1f}" if math.isfinite(width) else "")}
            one |= {"against KD": {"better": "clearly better", "worse": "clearly worse"}.get(shown.verdict(row), "")}
            one |= {"CPU s": row.cost("seconds"), "MB": row.cost("megabytes"), "seeds": len(row.accuracy)}
        told.append({**one, "why not": row.refusal} if row.refusal else one)
    number = st.column_config.NumberColumn
    picked = st.dataframe(
        told, hide_index=True, width="stretch", key=f"tournament.table.{pair}", placeholder="–", height=420,
        on_select="rerun", selection_mode="single-row",
        column_config={
            "student": number("student, %", format="%.1f", help="Test accuracy, mean over the seeds."),
            "±": number(format="%.1f", help="Half the 95 % interval of the mean (Student's t), in points."),
            "over alone": st.column_config.TextColumn("over alone, points", help=gloss("student alone", "points")),
            "over KD": st.column_config.TextColumn("over KD, points", help="Seed by seed, with its 95 % interval."),
            "CPU s": number(format="%.1f", help="Of one training of the student, without scoring."),
            "MB": number("memory, MB", format="%.1f",
                         help="Most that training holds in tensors beside pictures and networks."),
        },
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center"):
        csv_button(lambda: chart.rows(shown, families), name=f"tournament-{pair}", key="tournament.csv")
        keys = [listed[place].key for place in picked.selection.rows if place < len(listed)]
        if keys and keys[0] in families:
            if st.button(f"Try {keys[0]} on this pair", key="tournament.try", icon=":material/tune:"):
                recipe = shown.base.replace(methods=(Part(Pick("ce")), Part(Pick(keys[0]))))
                take_up(recipe)
                state.go("begin", recipe=recipe)
        else:
            st.caption("Choose a row to try that method on this pair yourself.")


def _family(families: dict[str, str], key: str) -> str:
    return FAMILIES[families[key]][0] if key in families else "Labels" if key == ALONE else ""
