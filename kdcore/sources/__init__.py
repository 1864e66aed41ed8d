"""The stream of events that the engine says, from elsewhere: each file is one place where a run may be trained."""

from __future__ import annotations

import os


def ray_address() -> str:
    """The Ray cluster that trains runs, as KDLAB_RAY names it ("auto" or host:port); "" where this machine does."""
    return os.environ.get("KDLAB_RAY", "").strip()
