"""The random numbers that scenarios add to those that every dataset has."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from rmsweep.design import Condition, seed_sequence


class Purpose(IntEnum):
    """What random numbers are for, besides the data, which are 0, and the audit, which is 1.

    A number that is taken keeps its meaning: another one would change finished studies.
    """

    RESAMPLING = 2
    LAYOUT = 3
    MEANS = 4
    MEANS_DISTRIBUTION = 5
    PREDICTORS = 6
    EFFECTS = 7
    NOISE = 8
    HETEROGENEITY = 9
    MISSING = 10
    VARIANCES = 11
    ITEM_EFFECTS = 12
    ITEM_SAMPLE = 13
    ITEM_PREDICTORS = 14
    TEMPLATE = 15
    ITEM_DISTRIBUTION = 16
    SITE_EFFECTS = 17


@dataclass(frozen=True, slots=True)
class Draws:
    """The generators of a cell.

    Attributes
    ----------
    seed : int
        The study's.
    condition : Condition
    sim : int
        The replication.
    """

    seed: int
    condition: Condition
    sim: int

    def of(self, purpose: Purpose) -> np.random.Generator:
        """A child of the cell's seed, which no other purpose's draws touch."""
        return np.random.default_rng(
            seed_sequence(self.seed, self.condition, self.sim, int(purpose))
        )
