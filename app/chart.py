"""Which chart draws which kind of answer: every file in app/charts with an `ANSWER`."""

from __future__ import annotations

import importlib
import pkgutil
from functools import lru_cache
from types import ModuleType

from kdcore.answer import Answer


@lru_cache(maxsize=1)
def charts() -> dict[type[Answer], ModuleType]:
    """Kind of answer -> its chart: `draw`, `rows`, and `scales` where colours must be the same over a film.

    Raises TypeError where two charts draw the same kind.
    """
    import app.charts as folder

    found: dict[type[Answer], ModuleType] = {}
    for entry in pkgutil.iter_modules(folder.__path__):
        module = importlib.import_module(f"{folder.__name__}.{entry.name}")
        kind = getattr(module, "ANSWER", None)
        if kind is None:
            continue
        if kind in found:
            raise TypeError(f"{module.__name__} and {found[kind].__name__} both draw {kind.__name__}; one is right")
        found[kind] = module
    return found


def chart_of(answer: Answer) -> ModuleType:
    """The chart that draws such an answer. Raises TypeError where there is none."""
    try:
        return charts()[type(answer)]
    except KeyError:
        raise TypeError(f"no file in app/charts draws a {type(answer).__name__}") from None
