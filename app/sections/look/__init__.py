"""Sections of Look inside."""
