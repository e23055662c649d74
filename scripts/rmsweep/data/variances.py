"""Variances and correlations that are drawn anew for each dataset."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rmsweep.data.draws import Draws, Purpose
from rmsweep.data.vectors import vector
from rmsweep.design import Condition

CORRELATIONS = ("effect_correlation", "item_correlation", "site_correlation")
"""Those of the coefficients of a group, an item and a site."""


def as_drawn(condition: Condition, draws: Draws) -> Condition:
    r"""The condition of one dataset.

    With ``variances: uniform``, those of each coefficient between groups, items and sites, and
    that of the noise, are what the condition says times a draw from U(0, 1) of its own. With
    ``correlation_range`` r, the correlation of the coefficients of a group, that of the
    coefficients of an item and that of a site's are each what the condition says plus a draw from
    U(-r, r), the same for all pairs. So Barr et al. (2013, J. Memory and Language 68:255) cover
    what experiments may be like.
    """
    uniform, reach = condition["variances"] == "uniform", condition["correlation_range"]
    if not uniform and not reach:
        return condition
    n_terms = int(condition["n_predictors"]) + 1
    rng = draws.of(Purpose.VARIANCES)
    # all of them are drawn in any case, so that each has the same random numbers
    of_groups, of_items = np.sqrt(rng.random((2, n_terms)))
    of_noise = np.sqrt(rng.random())
    shifts = reach * rng.uniform(-1.0, 1.0, 2)
    of_sites = np.sqrt(rng.random(n_terms))
    shift_of_sites = reach * rng.uniform(-1.0, 1.0)
    values = dict(condition.values)
    if uniform:
        for key, factors in (
            ("sigma_ratio", of_groups),
            ("item_sigma_ratio", of_items),
            ("site_sigma_ratio", of_sites),
        ):
            values[key] = tuple((vector(condition[key], n_terms) * factors).tolist())
        values["noise_sd"] = float(condition["noise_sd"] * of_noise)
    if reach:
        for key, shift in zip(CORRELATIONS, (*shifts, shift_of_sites), strict=True):
            values[key] = float(condition[key] + shift)
    return replace(condition, values=values)
