"""Where functions of a plane are zero: marching squares, joined into as few points as the lines need. No torch."""

from __future__ import annotations

import numpy


def zero_lines(fields: numpy.ndarray, *, x: numpy.ndarray, y: numpy.ndarray) -> numpy.ndarray:
    """The zero lines of fields (K, H, W) over a grid x (W,), y (H,): (P, 2) float32 points, a NaN row after each line.

    Linear interpolation on the edges of the grid's cells (marching squares); points that lie within a twentieth of a
    cell of the line through their neighbours are left out, so a straight line needs two.
    """
    lines = [line for field in fields for line in _lines(field.astype(float))]
    if not lines:
        return numpy.zeros((0, 2), dtype=numpy.float32)
    gap = numpy.full((1, 2), numpy.nan)
    points = numpy.concatenate([piece for line in lines for piece in (line, gap)])
    after = numpy.cumsum([len(line) + 1 for line in lines])
    keep = _needed(points, [(end - len(line) - 1, end - 2) for end, line in zip(after, lines, strict=True)])
    keep[after - 1] = True
    points = points[keep]
    columns, rows = numpy.arange(len(x)), numpy.arange(len(y))
    placed = numpy.stack([numpy.interp(points[:, 0], columns, x), numpy.interp(points[:, 1], rows, y)], axis=1)
    return placed.astype(numpy.float32)


def _lines(field: numpy.ndarray) -> list[numpy.ndarray]:
    """Zero lines of one field (H, W) as (P, 2) points (column, row) in cells."""
    height, width = field.shape
    on = field > 0
    flat, upright = on[:, 1:] != on[:, :-1], on[1:] != on[:-1]  # edges along a row, edges along a column
    offset = height * (width - 1)
    places = numpy.zeros((offset + (height - 1) * width, 2))

    def crossing(before: numpy.ndarray, after: numpy.ndarray) -> numpy.ndarray:
        return before / (before - after)

    rows, columns = numpy.nonzero(flat)
    share = crossing(field[rows, columns], field[rows, columns + 1])
    places[rows * (width - 1) + columns] = numpy.stack([columns + share, rows], axis=1)
    rows, columns = numpy.nonzero(upright)
    share = crossing(field[rows, columns], field[rows + 1, columns])
    places[offset + rows * width + columns] = numpy.stack([columns, rows + share], axis=1)

    neighbours: dict[int, list[int]] = {}
    crossed = numpy.stack([flat[:-1], upright[:, 1:], flat[1:], upright[:, :-1]], axis=2)
    for row, column in zip(*numpy.nonzero(crossed.any(axis=2)), strict=True):
        edges = (
            row * (width - 1) + column, offset + row * width + column + 1,
            (row + 1) * (width - 1) + column, offset + row * width + column,
        )  # fmt: skip
        met = [int(edge) for edge, here in zip(edges, crossed[row, column], strict=True) if here]
        for first, second in zip(met[::2], met[1::2], strict=True):  # four crossings are a saddle: two lines
            neighbours.setdefault(first, []).append(second)
            neighbours.setdefault(second, []).append(first)

    found = []
    starts = [edge for edge, near in neighbours.items() if len(near) == 1]
    for start in [*starts, *neighbours]:
        if start not in neighbours:
            continue
        path, here = [start], start
        while neighbours.get(here):
            after = neighbours[here].pop()
            neighbours[after].remove(here)
            if not neighbours[here]:
                del neighbours[here]
            here = after
            path.append(here)
        neighbours.pop(here, None)
        found.append(places[path])
    return found


def _needed(points: numpy.ndarray, ends: list[tuple[int, int]], tolerance: float = 0.05) -> numpy.ndarray:
    """Which points (P, 2) of lines, each from its first to its last place, are needed (Douglas and Peucker, 1973).

    All lines are halved together, since there are hundreds of short ones. (P,) bool.
    """
    keep = numpy.zeros(len(points), dtype=bool)
    first, last = numpy.array(ends).reshape(-1, 2).T
    keep[first] = keep[last] = True
    while True:
        long = last - first > 1
        first, last = first[long], last[long]
        if not len(first):
            return keep
        counts = last - first - 1
        starts = numpy.cumsum(counts) - counts
        places = numpy.arange(counts.sum()) + numpy.repeat(first + 1 - starts, counts)
        between = points[places] - numpy.repeat(points[first], counts, axis=0)
        along = points[last] - points[first]
        length = numpy.hypot(along[:, 0], along[:, 1])
        closed = length == 0.0  # starts where it ends
        along, length = (numpy.repeat(one, counts, axis=0) for one in (along, numpy.where(closed, 1.0, length)))
        distances = numpy.where(
            numpy.repeat(closed, counts),
            numpy.hypot(between[:, 0], between[:, 1]),
            numpy.abs(between[:, 0] * along[:, 1] - between[:, 1] * along[:, 0]) / length,
        )
        far = numpy.maximum.reduceat(distances, starts)
        reached = numpy.where(distances == numpy.repeat(far, counts), places, len(points))
        middle = numpy.minimum.reduceat(reached, starts)[far > tolerance]
        first, last = first[far > tolerance], last[far > tolerance]
        keep[middle] = True
        first, last = numpy.concatenate([first, middle]), numpy.concatenate([middle, last])
