"""What the model does not explain."""

from __future__ import annotations

import numpy as np

from rmsweep.data import pieces
from rmsweep.data.dataset import Array
from rmsweep.data.draws import Draws, Purpose
from rmsweep.data.rows import Rows, autoregressive
from rmsweep.design import Condition


def noise(condition: Condition, z: Array, rows: Rows, draws: Draws) -> Array:
    r"""The observations' noise, (n,).

    ``noise_distribution`` is that of the innovations, ``noise_autocorrelation`` the φ of the AR(1)
    series that they make within each group. The variance of group g is s_g² = exp(hZ_g - h²/2) with
    h = ``noise_heterogeneity``: mean 1, coefficient of variation √(exp(h²) - 1).

    z are the program's own draws, and are changed.

    Misleads
        Autocorrelation: `ols`, and `lmer_mis` about slopes, but only of predictors that are
        autocorrelated, too, or a trend: var(Σxe)/n tends to (1 + φ_xφ)/(1 - φ_xφ). With other
        predictors nothing happens to slopes. Strategies that compare groups (`lm`, `lm2`, `fe`)
        hold. Heterogeneity: mixed models are inefficient; cluster-robust strategies and `lm2` are
        right.
    """
    if condition["noise_distribution"] != "normal":
        own = draws.of(Purpose.NOISE)
        z = pieces.drawn("noise_distribution", condition["noise_distribution"], own, z)
    if phi := condition["noise_autocorrelation"]:
        z = autoregressive(z, rows, phi)
    if h := condition["noise_heterogeneity"]:
        logs = h * draws.of(Purpose.HETEROGENEITY).standard_normal(condition.n_groups) - h**2 / 2
        z = z * np.exp(logs / 2)[rows.groups]
    z *= condition["noise_sd"]
    z += condition["noise_mean"]
    return z
