"""The folder is the registry: each file in a package gives one class that keeps the folder's contract. No torch."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


class UnknownKey(ValueError):
    """A name that is in no folder; the message lists those that are."""


def discover(package: ModuleType, contract: type[T]) -> dict[str, type[T]]:
    """Every concrete class of the contract, by the name of the file it stands in, sorted.

    Raises TypeError for a file that does not hold exactly one such class.
    """
    found: dict[str, type[T]] = {}
    for module_info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{package.__name__}.{module_info.name}")
        classes = [
            value
            for value in vars(module).values()
            if inspect.isclass(value)
            and issubclass(value, contract)
            and value.__module__ == module.__name__
            and not inspect.isabstract(value)
        ]
        if len(classes) != 1:
            raise TypeError(f"{module.__name__} holds {len(classes)} classes of {contract.__name__}; one is right")
        found[module_info.name] = classes[0]
    return found


def pick(folder: dict[str, T], key: str, *, what: str) -> T:
    """The entry of that key. Raises UnknownKey, which lists what there is: `'blobz' is no data set; there are …`."""
    if key not in folder:
        raise UnknownKey(f"{key!r} is no {what}; there are {', '.join(sorted(folder))}")
    return folder[key]
