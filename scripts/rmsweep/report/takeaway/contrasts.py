"""Which level of an axis a difference comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rmsweep.claims.rule import Judged, overall
from rmsweep.design import Level
from rmsweep.measures.rates import Z95
from rmsweep.report.findings import named
from rmsweep.report.takeaway.measured import Measured, by_level

ACCOUNTS = 2 / 3
"""Part of a difference from which on it comes from one level of an axis."""


class Contrast(NamedTuple):
    """An axis, one of whose levels most of a mean difference comes from.

    Attributes
    ----------
    key : str
        The axis.
    parts : mapping of Level to sequence of Judged
        The numbers of that level, and those of the others.
    """

    key: str
    parts: Mapping[Level, Sequence[Judged]]

    @property
    def where(self) -> str:
        """The level."""
        return named(self.key, next(iter(self.parts)))


def contrast(measured: Measured, judged: Sequence[Judged]) -> Contrast | None:
    """The level that accounts for a mean difference, of the axis with the largest contrast.

    Its part of the sum over the levels is at least `ACCOUNTS`, and its difference from the mean
    of the others is beyond Monte Carlo error.
    """
    found: dict[float, Contrast] = {}
    for key in measured.keys:
        parts = by_level(judged, key)
        if len(parts) < 2:
            continue
        means, errors = {}, {}
        for level, own in parts.items():
            means[level], errors[level], _ = overall(own)
            if own[0].case.scale == "ratio":
                errors[level] /= means[level]
                means[level] = float(np.log(means[level]))
        most = max(means, key=lambda level: abs(means[level]))
        others = [mean for level, mean in means.items() if level != most]
        apart = abs(means[most] - float(np.mean(others)))
        accounts = abs(means[most]) >= ACCOUNTS * sum(map(abs, means.values()))
        if accounts and apart > Z95 * float(np.hypot(errors[most], max(errors.values()))):
            found[apart] = Contrast(key, {most: parts[most]} | parts)
    return found[max(found)] if found else None
