"""What schemes with quantised students share: their knobs, roles and pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy

from kdcore.answer import Answer
from kdcore.answers.bars import Bars
from kdcore.network import Network
from kdcore.quantisation import QUANTISERS, Quantised, chosen, quantised_in, sizes
from kdcore.scheme import Scheme
from kdcore.spec import knob
from kdcore.vocabulary import Seen

QUANTISED = ("student", "baseline")
"""Roles that compute with few bits."""


class FewBits(Scheme):
    """A student with weights of few bits."""

    bits: int = knob(4, 1, 8, help="Most bits of a weight; binary takes 1 of them, ternary 2.", unit="bits")
    quantiser: str = knob(
        "auto", choices=QUANTISERS,
        help="uniform: equal steps up to the largest weight. learned: equal steps, their size is trained. "
        "ternary: -a, 0, a. binary: -a, a. auto: binary at 1 bit, else uniform.",
    )  # fmt: skip
    ends: str = knob(
        "8 bits", choices=("8 bits", "as the rest"), help="First and last layer, which few bits hurt most."
    )

    def dress(self, role: str, network: Network, look: Callable[[], Seen]) -> Network:
        if role not in QUANTISED:
            return network
        return Quantised(network, chosen(self.quantiser, self.bits), ends=self.ends)


def sized(cast: Mapping[str, Network]) -> Callable[[], Sequence[Answer]]:
    """The student on disk against itself in float32, and how its whole numbers are spread, at every scoring."""

    def shows() -> Sequence[Answer]:
        network = quantised_in(cast["student"])
        assert network is not None
        return [on_disk(network), used(network)]

    return shows


def on_disk(network: Quantised) -> Bars:
    """Bytes of the packed file as a share of the float32 file's."""
    found = sizes(network)
    share = found["packed"] / found["float32"]
    return Bars(
        title="Size on disk",
        says=f"Packed, the student takes {found['packed']:,} bytes, {100 * share:.0f} % of {found['float32']:,} "
        "in float32.",
        series={"student": numpy.array([1.0, share], dtype=numpy.float32)},
        categories=[f"float32: {found['float32']:,} bytes", f"packed: {found['packed']:,} bytes"],
        category_axis="file",
        value_axis="share of the float32 file",
        low=0.0,
        high=1.0,
        parts={"student": "student"},
        reference=None,
        reference_says="",
    )


def used(network: Quantised) -> Bars:
    """How often each whole number stands in the weights of the fewest bits; of 8 bits, in sixteen bins."""
    codes = network.codes()
    fewest = min(one.bits for one in codes.values())
    numbers = numpy.concatenate([one.numbers.flatten().cpu().numpy() for one in codes.values() if one.bits == fewest])
    low, high = int(numbers.min()), int(numbers.max())
    wide = -(-(high - low + 1) // 16)
    starts = list(range(low, high + 1, wide))
    counts = numpy.histogram(numbers, bins=[*starts, starts[-1] + wide])[0]
    names = [str(start) if wide == 1 else f"{start} to {start + wide - 1}" for start in starts]
    zero = float((numbers == 0).mean())
    shares = (counts / len(numbers)).astype(numpy.float32)
    return Bars(
        title="Whole numbers in the weights",
        says=f"{len(numbers):,} weights of {fewest} bits take {len(numpy.unique(numbers))} different whole numbers; "
        f"{100 * zero:.0f} % are zero.",
        series={"student": shares},
        categories=names,
        category_axis=f"whole number of a {fewest}-bit weight",
        value_axis="share of these weights",
        low=0.0,
        high=float(shares.max()),
        parts={"student": "student"},
        reference=None,
        reference_says="",
    )
