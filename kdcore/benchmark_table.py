"""The benchmark's results as Markdown."""

from __future__ import annotations

import math
from typing import Any

from kdcore.benchmark import ratios

HEAD = """# How fast it is

The same distillation by the loop that public repositories use and by this lab's own, measured in one run: blocks of all
rows take turns, and each ratio compares two blocks of the same turn. Quote the ratios; absolute times belong to the
machine. Made by `python -m kdcore benchmark`.

- **Public loop**: DataLoader with PIL (and PIL augmentation where the recipe augments), teacher forward in float32 in
  every step, features of all layers by hooks, loss, top-1 and top-5 read in every step, torch's optimiser as it comes,
  batch 64. The DataLoader has no workers: their CPU time would have to be counted too.
- **times**: how many times less time a picture takes than in the public loop: median over the pairs, lowest to highest.
- **share of peak**: multiply-accumulates needed (student three times, teacher once where it looks), two operations
  each, against float32 matrix products measured in the same run.
- The interval of the two accuracies is over test pictures alone: another order of the training pictures moves runs as
  short as these by a point or two as well.
- Time is CPU time on a CPU and wall time on a GPU.
"""


def markdown(found: dict[str, Any]) -> str:
    """The page made of everything measured."""
    machine = found["machine"]
    parts = [
        HEAD,
        f"Machine: {machine['device']}, {machine['cores']} cores, {machine['threads']} thread used, "
        f"{machine['system']}, Python {machine['python']}, torch {machine['torch']}, code {machine['code']}, "
        f"{machine['day']}.\n",
    ]
    parts += [_case(name, one) for name, one in found["cases"].items()]
    if found.get("scaling"):
        parts.append(_scaling(found["scaling"]))
    return "\n".join(parts)


def _case(name: str, found: dict[str, Any]) -> str:
    recipe, macs, whole = found["recipe"], found["macs"], found["whole"]
    lines = [
        f"## {name}",
        "",
        f"{found['pictures']} pictures of {_said(recipe['data'])}; teacher {_said(recipe['teacher'])} "
        f"({macs['teacher'] / 1e6:.2f} M multiply-accumulates a picture), student {_said(recipe['student'])} "
        f"({macs['student'] / 1e6:.3f} M); {' + '.join(_said(part) for part in recipe['methods'])}. Peak measured: "
        f"{found['peak']['gflops']:.0f} GFLOP/s, copies {found['peak']['copy_gb_s']:.0f} GB/s read and written.",
        "",
        "| | batch | pictures/s | times | lowest to highest | share of peak |",
        "|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        times = row["times"]
        lines.append(
            f"| {row['name']} | {row['batch']} | {row['pictures_per_second']:,.0f} | **{times['median']:.1f}** "
            f"| {times['low']:.1f} to {times['high']:.1f} | {100 * row['share_of_peak']:.0f} % |"
        )
    lines += _against_cached(found["rows"])
    public, lab, difference = whole["public"], whole["lab"], whole["difference"]
    mean, half = interval(**difference)
    memory = found["memory"]
    lines += [
        "",
        f"Trained to the end from the same start, keeping the teacher's answers counted in: public loop "
        f"{public['seconds']:.1f} s ({public['steps']} steps), the lab {lab['seconds']:.1f} s ({lab['steps']} steps): "
        f"**{whole['ratio']:.1f} times** less. Test accuracy {100 * public['test_accuracy']:.1f} % and "
        f"{100 * lab['test_accuracy']:.1f} %: a difference of {100 * mean:+.1f} ± {100 * half:.1f} points (95 %, "
        f"paired over {difference['count']} test pictures). Tensors at the most, beside pictures and networks: "
        f"{memory['public']:.1f} MiB and {memory['lab']:.1f} MiB.",
        "",
    ]
    return "\n".join(lines)


def _against_cached(rows: list[dict[str, Any]]) -> list[str]:
    """A sentence on what is left of the gain once the public loop has its tensors and its teacher's answers at hand."""
    cached = next((row for row in rows if row["name"] == "+ teacher cached"), None)
    lab = next((row for row in rows if row["name"].startswith("the lab as it is")), None)
    if cached is None or lab is None:
        return []
    times = ratios(cached["microseconds"], lab["microseconds"])
    return [
        "",
        f"Against the public loop with tensors resident and the teacher cached: **{times['median']:.1f} times** "
        f"({times['low']:.1f} to {times['high']:.1f}).",
    ]


def _scaling(found: dict[str, Any]) -> str:
    lines = [
        "## How it grows",
        "",
        "Least time of seven blocks, beside the straight line fitted through all points.",
        "",
    ]
    for curve in found.values():
        line = [curve["start"] + curve["slope"] * x for x in curve["x"]]
        lines += [
            f"**{curve['what']} against {curve['along']}**: {curve['start']:.3f} + {curve['slope']:.5f} for each; the "
            f"line explains {100 * curve['r2']:.2f} % of the variance.",
            "",
            f"| {curve['along']} | {' | '.join(f'{x:g}' for x in curve['x'])} |",
            f"|---|{'---|' * len(curve['x'])}",
            f"| measured, ms | {' | '.join(f'{y:.2f}' for y in curve['y'])} |",
            f"| line, ms | {' | '.join(f'{y:.2f}' for y in line)} |",
            "",
        ]
    return "\n".join(lines)


def interval(*, won: int, lost: int, count: int) -> tuple[float, float]:
    """Difference of two accuracies on the same pictures, and half of its 95 % interval."""
    mean = (won - lost) / count
    return mean, 1.96 * math.sqrt(max(0.0, (won + lost) / count - mean**2) / count)


def _said(part: dict[str, Any]) -> str:
    rest = ", ".join(f"{key} {value}" for key, value in part.items() if key != "is")
    return f"`{part['is']}` ({rest})" if rest else f"`{part['is']}`"
