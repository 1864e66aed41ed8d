"""Sections of The gap."""
