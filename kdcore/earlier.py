"""A run's networks as they were before the moment that is looked at."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from kdcore.network import Network
from kdcore.probe import ProbeError
from kdcore.run import Run

if TYPE_CHECKING:
    from kdcore.revive import Revived


def kept_until(revived: Revived, role: str) -> list[str]:
    """The snapshots that hold a role in the phase in which it learned last, up to this moment, oldest first; none
    before it began.

    Raises ProbeError where the run is not at hand.
    """
    history = _run(revived).history()
    names = [snapshot.name for snapshot in history.snapshots]
    past = [one for one in history.snapshots[: names.index(revived.snapshot) + 1] if role in one.roles]
    return [one.name for one in past if one.phase == past[-1].phase] if past else []


def network_at(revived: Revived, role: str, snapshot: str) -> Network:
    """A role's network as that snapshot, which must hold it, has it; in eval mode, without gradient."""
    network = copy.deepcopy(revived.networks[role])
    prefix = f"role/{role}/"
    found = {
        name.removeprefix(prefix): value
        for name, value in _run(revived).tensors(snapshot).items()
        if name.startswith(prefix)
    }
    network.load_state_dict(found)
    return network.to(next(revived.networks[role].parameters()).device)


def _run(revived: Revived) -> Run:
    if not isinstance(revived.kept, Run):
        raise ProbeError("earlier snapshots cannot be reached: this moment was brought back without its run")
    return revived.kept
