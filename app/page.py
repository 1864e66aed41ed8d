"""What a page is, and which there are: every file in app/screens with a `PAGE`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import streamlit as st
from streamlit.navigation.page import StreamlitPage


@dataclass(frozen=True)
class Page:
    """One page. The one with the smallest `order` opens first and has the bare address."""

    key: str
    """Its name in code: what `state.go` takes."""
    title: str
    icon: str
    """A Material symbol, ":material/…:"."""
    order: int
    show: Callable[[], None]
    url_path: str


@lru_cache(maxsize=1)
def pages() -> tuple[Page, ...]:
    """Every page of app/screens, in their order. Raises TypeError for a file without a `PAGE`."""
    import app.screens as folder

    found = []
    for entry in pkgutil.iter_modules(folder.__path__):
        page = getattr(importlib.import_module(f"{folder.__name__}.{entry.name}"), "PAGE", None)
        if not isinstance(page, Page):
            raise TypeError(f"app/screens/{entry.name}.py has no PAGE = Page(…)")
        found.append(page)
    return tuple(sorted(found, key=lambda page: page.order))


def as_streamlit(page: Page) -> StreamlitPage:
    """The page as st.navigation and st.switch_page take it."""
    return st.Page(
        page.show, title=page.title, icon=page.icon, url_path=page.url_path, default=page.key == pages()[0].key
    )


def page_of(key: str) -> Page:
    """The page of that key. Raises KeyError, which lists what there is."""
    for page in pages():
        if page.key == key:
            return page
    raise KeyError(f"{key!r} is no page; there are {', '.join(page.key for page in pages())}")
