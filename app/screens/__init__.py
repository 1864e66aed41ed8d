"""One file per page, each with `PAGE = Page(...)` and `show()`; a file dropped in here appears in the navigation."""
