"""The benchmark's results as Markdown."""

from __future__ import annotations

import statistics
from typing import Any

from kdcore.benchmark import ratios
from kdcore.standings import mean_and_half

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
- Where augmentation shows each picture in so many **views**, rows with a cached teacher begin after it has seen them
  all; the run to the end counts that in, and stands beside one with another view in every epoch.
- Both loops lower their rate alike, step by step: a schedule is no matter of speed, and in runs as short as these it
  moves the accuracy.
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
    memory = found["memory"]
    lines += [
        "",
        f"Trained to the end from the same start, keeping the teacher's answers counted in, in "
        f"{len(whole['lab']['seconds'])} orders of the pictures: public loop {_typical(whole['public'])}; the lab "
        f"{_typical(whole['lab'])}: **{whole['public']['times']['median']:.1f} times** less "
        f"({whole['public']['times']['low']:.1f} to {whole['public']['times']['high']:.1f}), and a difference of "
        f"{_difference(whole, 'public')} (95 %, paired by order). Tensors at the most, beside pictures and networks: "
        f"{memory['public']:.1f} MiB and {memory['lab']:.1f} MiB.",
        *_against_endless(whole, recipe["data"].get("views", 0)),
        "",
    ]
    return "\n".join(lines)


def _against_endless(whole: dict[str, Any], views: int) -> list[str]:
    """A sentence on what keeping views saves against another view in every epoch, and what it costs in accuracy."""
    if "endless" not in whole:
        return []
    endless = whole["endless"]
    return [
        "",
        f"The lab with another view in every epoch, at which the teacher looks: {_typical(endless)}. With {views} "
        f"views **{endless['times']['median']:.1f} times** less, and a difference of {_difference(whole, 'endless')}.",
    ]


def _typical(one: dict[str, Any]) -> str:
    """Seconds and mean test accuracy of a loop that was trained to its end in several orders."""
    accuracy = sum(one["test_accuracy"]) / len(one["test_accuracy"])
    return f"{statistics.median(one['seconds']):.1f} s ({one['steps']} steps), test accuracy {100 * accuracy:.1f} %"


def _difference(whole: dict[str, Any], other: str) -> str:
    """Of the lab's test accuracy and another's, with its interval over the orders."""
    pairs = zip(whole["lab"]["test_accuracy"], whole[other]["test_accuracy"], strict=True)
    mean, half = mean_and_half([one - its for one, its in pairs])
    return f"{100 * mean:+.1f} ± {100 * half:.1f} points"


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


def _said(part: dict[str, Any]) -> str:
    rest = ", ".join(f"{key} {value}" for key, value in part.items() if key != "is")
    return f"`{part['is']}` ({rest})" if rest else f"`{part['is']}`"
