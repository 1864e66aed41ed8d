"""What noisy votes give away: privacy budgets of noisy-max queries, whatever the votes were.

One training example stands with one teacher, so changing it changes at most that teacher's vote: one count falls by 1,
another rises by 1. Budgets are added up as Rényi divergences at an order and turned into (epsilon, delta) at the end
(Mironov 2017, https://arxiv.org/abs/1702.07476). The bounds are independent of the data: they hold for any votes and
may be published; the sharper bounds of the papers depend on the votes and may not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

Mechanism = Literal["gaussian", "laplace"]


def divergence(mechanism: Mechanism, scale: float, order: float) -> float:
    """Rényi divergence of one query at an order above 1, in nats. `scale` is sigma, or the Laplace noise's b."""
    if mechanism == "gaussian":
        return order / scale**2  # order * ||change||² / (2 sigma²), and ||(1, -1)||² = 2
    falling = (order - 1.0) / scale - math.log((2.0 * order - 1.0) / order)
    rising = -order / scale + math.log((order - 1.0) / (2.0 * order - 1.0))
    return 2.0 * max(0.0, _log_sum(falling, rising) / (order - 1.0))  # two counts, each changed by 1


def epsilon(mechanism: Mechanism, scale: float, queries: int, *, delta: float) -> float:
    """The smallest epsilon for which so many queries are (epsilon, delta)-private by this accounting."""
    if queries == 0:
        return 0.0

    def at(log_excess: float) -> float:
        order = 1.0 + math.exp(log_excess)
        return queries * divergence(mechanism, scale, order) + math.log(1.0 / delta) / (order - 1.0)

    found = _least(at)
    if mechanism == "laplace":  # pure privacy adds up too, and for few queries that is less
        found = min(found, queries * 2.0 / scale)
    return found


def _least(function: Callable[[float], float]) -> float:
    """Least value for orders between 1 + 1e-6 and 1 + 1e6."""
    low, high = math.log(1e-6), math.log(1e6)
    from scipy.optimize import minimize_scalar

    return float(minimize_scalar(function, bounds=(low, high), method="bounded", options={"xatol": 1e-9}).fun)


def _log_sum(one: float, other: float) -> float:
    large, small = max(one, other), min(one, other)
    return large + math.log1p(math.exp(small - large)) if math.isfinite(small) else large
