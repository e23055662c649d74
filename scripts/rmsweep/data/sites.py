r"""Sites that groups are nested in: the schools of classes, the clinics of patients.

With ``n_sites`` sites each group is of a site s, whose coefficients differ from the truth:

.. math::

    y_{gi} = \sum_k x_{gik} (\beta_k + \sigma_k u_{gk} + \varsigma_k t_{sk}) + e_{gi}, \quad
        \varsigma_k = \mathtt{site\_sigma} \cdot \mathtt{site\_sigma\_ratio}_k

t has variance 1 and the correlations ``site_correlation``; coefficient 0 is the intercept. n_groups
is the number of groups in all. Sites have as many of them, to within one. Groups of one size are of
the sites one after the other; groups of different sizes are dealt out in turn, so that each site
has small and large ones.

A predictor of level 3 (``predictor_level``) is constant within sites, and its ς is 0.

Truth
    β, the mean over groups and over sites.

Misleads
    All strategies that take groups for independent, about predictors with site slopes, about those
    of level 3 and about the intercept. With m groups in each of S sites and ρ the share of the
    variance of the groups' own coefficients that lies between sites, the squared standard error of
    their mean is too small by a factor of about 1 + (m - 1)ρ, the design effect (Kish 1965).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rmsweep.data.cells import Codes
from rmsweep.data.dataset import Array
from rmsweep.data.draws import Draws, Purpose
from rmsweep.data.effects import of_levels
from rmsweep.data.rows import Rows
from rmsweep.data.vectors import vector
from rmsweep.design import Condition

FACTOR = "Site"
"""The factor's name in the data."""


@lru_cache(maxsize=8)
def sites_of(n_groups: int, n_sites: int, equal: bool) -> Codes:
    """The site of each group, (n_groups,), 0 ... n_sites - 1."""
    groups = np.arange(n_groups)
    found = groups * n_sites // n_groups if equal else groups % n_sites
    found.flags.writeable = False
    return found


def of_rows(sites: Codes, rows: Rows) -> Codes:
    """The site of each row, (n,); datasets of one layout share them."""
    if not rows.equal:
        return sites[rows.groups]
    return _of_equal_groups(sites.tobytes(), len(rows.groups) // len(sites))


@lru_cache(maxsize=8)
def _of_equal_groups(sites: bytes, n_obs: int) -> Codes:
    found = np.repeat(np.frombuffer(sites, dtype=np.int64), n_obs)
    found.flags.writeable = False
    return found


def site_effects(condition: Condition, draws: Draws) -> Array:
    """How the coefficients of sites differ from the truth, (n_sites, p)."""
    own = draws.of(Purpose.SITE_EFFECTS)
    return of_levels(condition, "site", ~between_sites(condition), int(condition["n_sites"]), own)


def between_sites(condition: Condition) -> NDArray[np.bool_]:
    """Which predictors are constant within sites, (n_predictors,)."""
    level = vector(condition["predictor_level"], int(condition["n_predictors"]))
    constant: NDArray[np.bool_] = level == 3
    return constant
