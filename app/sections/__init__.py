"""Sections of pages, one file each: a folder for each page."""
