"""A tournament's standings as a Markdown table, with what they were measured on. No torch."""

from __future__ import annotations

import json
import math
import time

from kdcore.standings import ALONE, PLAIN, Row, Standings

PAIR = ("data", "teacher", "student", "scheme", "training")
"""The parts of a recipe that all contenders share."""


def markdown(standings: Standings) -> str:
    """The table, best first. Raises ValueError where plain KD or the student alone has no result yet."""
    plain, alone = standings.row(PLAIN), standings.row(ALONE)
    if plain is None or alone is None or not plain.accuracy or not alone.accuracy:
        raise ValueError("the student alone and plain KD have no result yet; there is nothing to compare with")
    fine = standings.fine()
    lines = [
        f"Cross-entropy and one method at its own weight; {_seeds(standings)}; test accuracy of the last epoch; 95 % "
        f"intervals over seeds. Student alone {_percent(alone.mean()[0])} %, plain KD {_percent(plain.mean()[0])} %, "
        f"teacher {_percent(sum(standings.teacher) / len(standings.teacher))} %.",
        "",
        "| method | student, % | over alone, points | over KD, points | CPU s | memory, MB |",
        "|---|---|---|---|---|---|",
    ]
    for row in fine:
        name = "student alone" if row is alone else f"`{row.key}`"
        lines.append(
            f"| {name} | {_percent(row.mean()[0])} | {_points(row, alone)} | {_points(row, plain)} | "
            f"{row.cost('seconds'):.1f} | {row.cost('megabytes'):.1f} |"
        )
    lines += [
        "",
        _verdicts(standings),
        "",
        *(f"Whom no other beats for less {words}, cheapest first: {_frontier(standings, cost)}."
          for cost, words in (("seconds", "CPU time"), ("megabytes", "memory"))),
    ]  # fmt: skip
    lines += [f"\n`{row.key}` does not take part: {row.refusal}." for row in standings.rows if row.refusal]
    base = {key: value for key, value in standings.base.to_json().items() if key in PAIR}
    lines += ["", f"Pair: `{json.dumps(base)}`.", "", made_with(standings)]
    return "\n".join(lines) + "\n"


def _verdicts(standings: Standings) -> str:
    if len(standings.teacher) < 3:
        return "With fewer than three seeds nobody is clearly better or worse than plain KD."
    others = [row for row in standings.fine() if row.key not in (PLAIN, ALONE)]
    better, worse = (
        ", ".join(f"`{row.key}`" for row in others if standings.verdict(row) == word) or "none"
        for word in ("better", "worse")
    )
    return (
        f"Clearly better than plain KD here: {better}. Clearly worse: {worse}. Each interval stands alone: of "
        f"{len(others)} comparisons about {max(1, round(len(others) / 20))} would look clear by chance."
    )


def made_with(standings: Standings) -> str:
    """One line on the machine and the versions."""
    made = standings.made
    when = time.strftime("%Y-%m-%d", time.gmtime(made["started"])) if made.get("started") else "unknown day"
    return (
        f"Measured {when}: code {made.get('code')}, torch {made.get('torch')}, Python {made.get('python')}, "
        f"{made.get('threads')} thread of {made.get('processor')} ({made.get('cores')} cores, {made.get('system')}). "
        "CPU seconds are of the student's training without its scoring; memory is the most that training holds in "
        "tensors beside pictures and networks."
    )


def _seeds(standings: Standings) -> str:
    done = len(standings.teacher)
    partly = [row for row in standings.rows if not row.refusal and len(row.accuracy) < done]
    words = f"{done} paired seeds (0 to {done - 1})" if done > 1 else "one seed (0)"
    return words + (f", {len(partly)} contenders with one fewer" if partly else "")


def _frontier(standings: Standings, cost: str) -> str:
    return ", ".join("student alone" if row.key == ALONE else f"`{row.key}`" for row in standings.frontier(cost))


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _points(row: Row, other: Row) -> str:
    if row is other:
        return "–"
    value, half = row.over(other)
    return f"{100 * value:+.1f}" + (f" ± {100 * half:.1f}" if math.isfinite(half) else "")
