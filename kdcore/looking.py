"""Looking with more than the eyes: pictures to take slopes on, the classifier, the parameters."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from kdcore.network import Network
from kdcore.vocabulary import Classifier, Seen

LIVE = "inputs"
"""What a cached teacher cannot give."""
SECOND = "second"
"""A stronger view of the same pictures."""
PARTS = ("classifier", "parameters")
"""What belongs to the network and not to the batch."""


def look(network: Network, images: Tensor, reads: Collection[str] = ()) -> Seen:
    """What the network makes of (N, *shape), with what of its inputs and parts is read; with none, just a look."""
    if LIVE not in reads:
        return with_parts(network, network.look(images), reads)
    images = images.detach().requires_grad_()
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative
        seen = network.look(images)
    exits = tuple(replace(one, inputs=images) for one in seen.exits)
    return with_parts(network, replace(seen, inputs=images, exits=exits), reads)


def look_frozen(network: Network, images: Tensor, reads: Collection[str] = ()) -> Seen:
    """The same as a teacher looks: no graph at all, or only one that leads to the pictures."""
    if LIVE in reads:
        with frozen(network):
            seen = look(network, images, (LIVE,))
    else:
        with torch.no_grad():
            seen = network.look(images)
    return with_parts(network, seen, reads, still=True)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """While it lasts, no graph leads to the network's parameters."""
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in learned:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learned:
            parameter.requires_grad_(True)


def with_parts(network: nn.Module, seen: Seen, reads: Collection[str], *, still: bool = False) -> Seen:
    """What was seen with classifier and parameters, where they are read; `still` cuts them off from the graph.

    Exits have their own classifiers; parameters belong to the network as a whole.
    """
    if not any(part in reads for part in PARTS):
        return seen
    plain = network.deployed() if isinstance(network, Network) else network
    classifier: Classifier | None = None
    exits = seen.exits
    if "classifier" in reads:
        classifier = classifier_of(getattr(plain, "head", None), still=still)
        heads = getattr(network, "classifiers", ())
        exits = tuple(
            replace(one, classifier=classifier_of(head, still=still)) for one, head in zip(exits, heads, strict=False)
        )
    parameters: Mapping[str, Tensor] = {}
    if "parameters" in reads:
        parameters = {name: one.detach() if still else one for name, one in plain.named_parameters()}
    return replace(seen, classifier=classifier, parameters=parameters, exits=exits)


def classifier_of(head: nn.Module | None, *, still: bool = False) -> Classifier | None:
    """Weight and bias of a linear head, a bias of zeros where it has none; None where it is not linear."""
    if not isinstance(head, nn.Linear):
        return None
    bias = head.weight.new_zeros(head.out_features) if head.bias is None else head.bias
    return Classifier(head.weight.detach(), bias.detach()) if still else Classifier(head.weight, bias)
