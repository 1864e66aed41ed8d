"""The gap: how far student and student alone are from the teacher, in answers, confidence, classes and features."""

from __future__ import annotations

from app.page import Page
from app.section import show_sections


def show() -> None:
    show_sections("gap", named="show")


PAGE = Page("gap", "The gap", ":material/compare_arrows:", 22, show, "gap")
