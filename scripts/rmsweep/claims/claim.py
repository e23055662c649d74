"""What a claim is: a text, and tests that say which numbers would make it true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Level = Literal["low", "medium", "high"]
"""Of an axis, relative to the study's own levels: the lower, middle and upper third."""
Where = Mapping[str, tuple[Level, ...] | float]
"""Which conditions: of each axis the levels, or a value that they are within a factor of 2 of.

The axes are ``n_groups``, ``n_obs``, ``sigma`` and ``rows``, the product of the first two."""
Uses = Literal["all", "converged", "not_converged"]
"""Which fits: all with estimates, or those that did or did not converge by their verdict."""


@dataclass(frozen=True, slots=True)
class Region:
    """The values for which a claim counts as true, without its ends.

    Attributes
    ----------
    low, high : float
    """

    low: float = -np.inf
    high: float = np.inf

    def __str__(self) -> str:
        if np.isinf(self.low):
            return f"below {self.high:.3g}"
        if np.isinf(self.high):
            return f"above {self.low:.3g}"
        return f"between {self.low:.3g} and {self.high:.3g}"


@dataclass(frozen=True, slots=True)
class Test:
    """One number per condition, and the region that a claim puts it in.

    Attributes
    ----------
    measure : str
        A key of `rmsweep.claims.cases.MEASURES`.
    of : tuple of str
        Strategies: names, or the origins of variants.
    region : Region
        Where the number has to be.
    against : tuple of str
        The strategies that those of a comparison are compared with.
    where : tuple of Where
        The conditions: those that any of these fits. All, by default.
    over : mapping of str to {1, -1}
        Axes over which the number is itself a comparison: its value at their highest levels (1;
        lowest, -1) over that at the opposite ones, or minus that where it is no ratio.
    step : str
        The same, for each level of this axis and the next higher one.
    term : str
        The coefficient; ``slopes`` for each of them. Empty for measures of whole fits.
    fits : {"all", "converged", "not_converged"}
    against_fits : {"", "converged"}
        Fits of the same strategy with which those of `fits` are compared.
    engine : str
        Strategies of another engine say nothing.
    pooled : bool
        Whether the conditions' numbers are averaged into one, weighted by their datasets: for
        claims about fits, wherever they are.
    some : bool
        Whether the claim is that it happens somewhere: no study can refute that.
    always : bool
        Whether the claim is that it is so without an exception: one refutes that.
    needs : tuple of str
        Keys of a study, one of which has to be other than its default: the claim is about such
        data.
    study : str
        A study in ``config/`` that has what the test needs.
    """

    __test__ = False  # for pytest

    measure: str
    of: tuple[str, ...]
    region: Region
    against: tuple[str, ...] = ()
    where: tuple[Where, ...] = ({},)
    over: Mapping[str, Literal[1, -1]] = field(default_factory=dict)
    step: str = ""
    term: str = ""
    fits: Uses = "all"
    against_fits: Literal["", "converged"] = ""
    engine: str = ""
    pooled: bool = False
    some: bool = False
    always: bool = False
    needs: tuple[str, ...] = ()
    study: str = "config"


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim.

    Attributes
    ----------
    id : int
    section : str
        Where it is made.
    text : str
        In our own words.
    tests : tuple of Test
        It holds if all of them do.
    lacks : str
        What its tests would need and no table has; empty where there are tests.
    """

    id: int
    section: str
    text: str
    tests: tuple[Test, ...] = ()
    lacks: str = ""
