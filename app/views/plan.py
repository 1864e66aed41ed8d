"""What will happen: sizes, time, matched layers, phases and warnings of a recipe, before it is started."""

from __future__ import annotations

import json
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import streamlit as st

from app import state
from app.charts.matching import matching
from app.theme import CONFIG, count, seconds, size
from app.views.asked import Asked, waited_for
from app.views.knobs import plain
from app.words import gloss
from kdcore.launch import Desk
from kdcore.preview import Foretold, Preview
from kdcore.recipe import Recipe

AT_HAND = "at hand"
"""In place of a time: another run has trained that phase."""


@st.cache_resource(show_spinner=False, max_entries=8)
def _asked(_desk: Desk, name: int) -> tuple[Asked[Preview], Asked[Foretold]]:
    hands = ThreadPoolExecutor(1, thread_name_prefix="plan")  # one at a time: what the form shows is asked first
    return (
        Asked(_desk.preview, hands, empty=lambda told: not (told.roles or told.faults)),
        Asked(
            lambda recipe: _desk.foretell(recipe), hands, empty=lambda told: not told.says,
            outdated=lambda told: any(state.shelf().laid(key) for key in told.waits),
        ),
    )  # fmt: skip


def planner() -> Asked[Preview]:
    """Whoever makes plans."""
    return _asked(state.desk(), id(state.desk()))[0]


def foreteller() -> Asked[Foretold]:
    """Whoever says before a run what its scheme can say by then."""
    return _asked(state.desk(), id(state.desk()))[1]


def same_networks(recipe: Recipe) -> str:
    """What the layers depend on: equal for recipes whose layers are the same."""
    found = recipe.to_json()
    return json.dumps([found[name] for name in ("data", "teacher", "student", "scheme")], sort_keys=True)


def layers_known(recipe: Recipe) -> Preview | None:
    """A plan of the same networks on the same data, this recipe's own or the last that this tab saw."""
    found = planner().ready(recipe)
    if found is not None and found.roles:
        state.keep("layers", (same_networks(recipe), found))
        return found
    name, other = state.kept("layers", ("", None))
    return other if name == same_networks(recipe) else None


def plan(recipe: Recipe) -> None:
    """Draws the plan, or says that it is coming and draws it once it is there. Asks the page to run again then."""
    asked = planner().ask(recipe)
    done = waited_for(asked)
    st.fragment(_part, run_every=None if done else 0.4)(asked, done, _taken_over(recipe))


def _taken_over(recipe: Recipe) -> int:
    """How many phases a fork takes over from its parent."""
    return 0 if recipe.parent is None else int(recipe.parent.snapshot.partition("-")[0])


def _part(asked: Future[Preview], was_done: bool, taken_over: int) -> None:
    if not asked.done():
        st.caption(":material/hourglass_top: Measuring a few steps …")
        return
    if not was_done:
        st.rerun()
    if asked.cancelled():
        st.caption("The plan was put aside for a newer one.")
        return
    error = asked.exception()
    if error is not None:
        st.warning(f"No plan could be made: {plain(str(error))}", icon=":material/cloud_off:")
        return
    draw(asked.result(), taken_over=taken_over)


def _there(found: Preview, taken_over: int) -> dict[int, str]:
    """Number of a phase, counted from 0, that costs nothing -> what its row says in place of a time."""
    there = dict.fromkeys(range(taken_over), "taken over")
    for number, phase in enumerate(found.phases):
        if number not in there and state.shelf().laid(phase.get("shared", "")) is not None:
            there[number] = AT_HAND
    return there


def draw(found: Preview, *, taken_over: int = 0) -> None:
    """The plan itself; so many of its first phases cost nothing."""
    if found.faults:
        for fault in found.faults:
            st.error(plain(fault["text"]), icon=":material/error:")
        return
    if not found.roles:
        for warning in found.warnings:
            st.warning(f"No plan could be made: {plain(warning)}", icon=":material/cloud_off:")
        return
    there = _there(found, taken_over)
    ahead = [phase for number, phase in enumerate(found.phases) if number not in there]
    saved = "What a run here has trained already (same data, network, budget and seed) is at hand and costs nothing. "
    st.markdown(
        f"**About {seconds(sum(phase['seconds'] for phase in ahead))}**, {len(ahead)} "
        f"phase{'' if len(ahead) == 1 else 's'}, {sum(phase['epochs'] for phase in ahead)} epochs",
        help="Measured just now by a few steps of each phase on this machine. "
        f"{saved if AT_HAND in there.values() else ''}{gloss('epoch')}",
    )
    for warning in found.warnings:
        st.warning(plain(warning), icon=":material/warning:")
    st.dataframe(
        [
            {
                "": role if role != "baseline" else "student alone",
                "network": what["title"],
                "parameters": f"{count(what['parameters'])} ({size(4 * what['parameters'])})",
                "mult-adds": count(what["macs"]),
            }
            for role, what in found.roles.items()
        ],
        hide_index=True, width="stretch", key="plan.roles",
        column_config={
            "parameters": st.column_config.TextColumn(help=gloss("parameters") + " In brackets at four bytes each."),
            "mult-adds": st.column_config.TextColumn(help=gloss("multiply-accumulates")),
        },
    )  # fmt: skip
    st.dataframe(
        [
            {
                "time": there.get(number) or seconds(phase["seconds"]),
                "epochs": phase["epochs"], "trains": count(phase.get("trained")),
                "phase": f"{number + 1}. {phase['title']}",
            }
            for number, phase in enumerate(found.phases)
        ],
        hide_index=True, width="stretch", key="plan.phases",
        column_config={
            "trains": st.column_config.TextColumn(
                help="Numbers that the phase's optimisers change: the learners' and those of parts that learn beside "
                "them (connectors, discriminators). Everything else is frozen."
            ),
        },
    )  # fmt: skip
    _data(found.data)
    _matched(found)


def _data(data: dict[str, Any]) -> None:
    hidden = data.get("hidden")
    names = data.get("class_names") or []
    said = [
        f"{count(data['train'])} training pictures"
        if len(data["shape"]) == 3
        else f"{count(data['train'])} training points"
    ]
    if data.get("labelled", data["train"]) < data["train"]:
        said.append(f"{count(data['labelled'])} of them labelled")
    said += [f"{count(data['validation'])} for validation", f"{count(data['test'])} for the test at the end"]
    if isinstance(hidden, int) and 0 <= hidden < len(names):
        said.append(f"class {names[hidden]} never shown to the student")
    st.caption(f":material/database: {plain(', '.join(said))}", help=gloss("validation"))


def _matched(found: Preview) -> None:
    """One picture for each method that matches layers; methods that match the same pairs share one."""
    seen: dict[tuple[Any, ...], list[str]] = {}
    why: dict[tuple[Any, ...], str] = {}
    for phase in found.phases:
        for lesson in phase["lessons"]:
            for part in lesson["parts"]:
                if not part["pairs"] or not lesson["teacher"]:
                    continue
                key = (lesson["student"], lesson["teacher"], tuple((s, t) for s, t in part["pairs"]))
                if part["title"] not in seen.setdefault(key, []):
                    seen[key].append(part["title"])
                why[key] = part["why"]
    for number, ((student, teacher, pairs), titles) in enumerate(list(seen.items())[:4]):
        st.markdown(f"**Layers matched by {plain(' and '.join(titles))}**", help=gloss("connector"))
        st.caption(plain(why[student, teacher, pairs]) + ".")
        sides = [found.roles.get(view.split(":")[0], {"layers": []})["layers"] for view in (student, teacher)]
        st.plotly_chart(
            matching(sides[0], sides[1], list(pairs), dark=state.dark(), names=(student, teacher)),
            key=f"plan.matching.{number}", theme=None, config={**CONFIG, "displayModeBar": False},
        )  # fmt: skip
    if len(seen) > 4:
        st.caption(f"… and {len(seen) - 4} more pairs of networks.")
