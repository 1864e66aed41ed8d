"""Events as files have them, checked field by field: a damaged line can spoil no reader. No torch."""

from __future__ import annotations

import dataclasses
import json
import sys
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from kdcore.events import Event, event_from_json

LARGEST = 2**53
"""Whole numbers beyond this are no counts of anything."""
FURTHEST = sys.float_info.max


def event_from_line(line: bytes) -> Event:
    """The event of one line of a log. Raises ValueError for anything that is not exactly one."""
    try:
        event = event_from_json(json.loads(line))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    for name, kind in _kinds(cast(Any, type(event))).items():
        if not fits(getattr(event, name), kind):
            raise ValueError(f"{type(event).__name__}.{name} is not {kind}")
    return event


def fits(value: Any, kind: Any) -> bool:
    """Whether a value read from JSON is what an annotation says: numbers, texts, lists, dicts, unions of them."""
    if kind is Any:
        return True
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in inner)
    if origin is list:
        return isinstance(value, list) and all(fits(item, inner[0]) for item in value)
    if origin in (dict, Mapping):
        return isinstance(value, dict) and all(fits(item, inner[1]) for item in value.values())
    if kind is type(None):
        return value is None
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        return isinstance(value, (int, float)) and -FURTHEST <= value <= FURTHEST  # false for nan, too
    if kind is int:
        return isinstance(value, int) and abs(value) <= LARGEST
    return isinstance(value, kind)


@cache
def _kinds(kind: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {entry.name: hints[entry.name] for entry in dataclasses.fields(kind)}
