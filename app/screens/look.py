"""Look inside: what networks see, where they switch, which layers are alike and which teach which, over epochs."""

from __future__ import annotations

from app.page import Page
from app.section import show_sections


def show() -> None:
    show_sections("look", named="view")


PAGE = Page("look", "Look inside", ":material/biotech:", 20, show, "look")
