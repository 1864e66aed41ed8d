"""Everything that the folders hold, found by looking into them."""

from __future__ import annotations

from kdcore import datasets, methods, networks, probes, schemes
from kdcore.cards import Catalog, card_of
from kdcore.dataset import Dataset
from kdcore.method import Method
from kdcore.network import Network
from kdcore.probe import Probe
from kdcore.recipe import code_version
from kdcore.registry import discover
from kdcore.scheme import Scheme

METHODS = discover(methods, Method)  # type: ignore[type-abstract]
NETWORKS = discover(networks, Network)  # type: ignore[type-abstract]
DATASETS = discover(datasets, Dataset)  # type: ignore[type-abstract]
SCHEMES = discover(schemes, Scheme)  # type: ignore[type-abstract]
PROBES = discover(probes, Probe)  # type: ignore[type-abstract]

_SCHEME_FACTS = (
    "kind", "uses_teacher", "uses_methods", "takes_matching", "refusal", "example", "paper", "provenance", "pitfalls",
    "foretells",
)  # fmt: skip
_METHOD_FACTS = (
    "family", "formula", "paper", "provenance", "convention", "pitfalls", "weight", "rests", "matches", "prefers",
    "reads", "own_terms", "needs_teacher",
)  # fmt: skip


def catalog() -> Catalog:
    """All cards, as plain data."""
    return Catalog(
        code_version(),
        {
            "methods": {key: card_of("methods", key, kind, _METHOD_FACTS) for key, kind in METHODS.items()},
            "networks": {key: card_of("networks", key, kind, ("takes",)) for key, kind in NETWORKS.items()},
            "datasets": {key: card_of("datasets", key, kind, ("gives", "where")) for key, kind in DATASETS.items()},
            "schemes": {key: card_of("schemes", key, kind, _SCHEME_FACTS) for key, kind in SCHEMES.items()},
            "probes": {key: card_of("probes", key, kind, ("answers", "needs")) for key, kind in PROBES.items()},
        },
    )


__all__ = ["DATASETS", "METHODS", "NETWORKS", "PROBES", "SCHEMES", "catalog"]
