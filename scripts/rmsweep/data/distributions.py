"""Distributions of mean 0 and variance 1: of noise, of the groups' effects, of predictors.

Each is a function of a random generator of its own, of the program's standard normal draws z, and
of its options. Those that can be made from z are, so that they are compared with the normal
distribution on the same random numbers. The scenario multiplies by the SD that the study asks for.
"""

from __future__ import annotations

import numpy as np

from rmsweep.data.dataset import Array
from rmsweep.data.options import require


def normal(rng: np.random.Generator, z: Array) -> Array:
    """Normal: the draws z themselves.

    Misleads
        No strategy. All of them assume it.
    """
    return z


def t(rng: np.random.Generator, z: Array, *, df: float = 5.0) -> Array:
    """Heavy tails: √((ν - 2)/ν) · t(ν), with ν = df above 2.

    Kurtosis 3 + 6/(ν - 4) for ν > 4. Estimates have the same tails, so measures that need moments
    of order ν or higher are not defined.

    Misleads
        Few strategies: size hardly changes, but least-squares estimates lose efficiency.
    """
    require(df > 2, "df", "a number above 2")
    heavy: Array = z * np.sqrt((df - 2) / rng.chisquare(df, z.shape))
    return heavy


def contaminated(
    rng: np.random.Generator, z: Array, *, share: float = 0.1, ratio: float = 5.0
) -> Array:
    """Outliers: (1 - ε) N(0, 1) + ε N(0, c²), over √(1 - ε + εc²), with ε = share, c = ratio.

    Kurtosis 3(1 - ε + εc⁴)/(1 - ε + εc²)²: 16.45 for the defaults.

    Misleads
        Few strategies: size hardly changes, but least-squares estimates lose efficiency.
    """
    require(0 <= share <= 1, "share", "a number from 0 to 1")
    require(ratio > 0, "ratio", "a number above 0")
    sd = np.where(rng.random(z.shape) < share, ratio, 1.0)
    outlying: Array = z * sd / np.sqrt(1 - share + share * ratio**2)
    return outlying


def chi_squared(rng: np.random.Generator, z: Array, *, df: float = 3.0) -> Array:
    """Skew: (χ²(k) - k)/√(2k), with k = df.

    Skewness √(8/k), kurtosis 3 + 12/k. It uses new draws, not z.

    Misleads
        As effects: t tests of the skewed coefficients when groups are few. As noise: tests of the
        intercept in small data.
    """
    require(df > 0, "df", "a number above 0")
    skewed: Array = (rng.chisquare(df, z.shape) - df) / np.sqrt(2 * df)
    return skewed


def lognormal(rng: np.random.Generator, z: Array, *, log_sd: float = 0.8) -> Array:
    """Skew: (exp(sz) - exp(s²/2))/√((exp(s²) - 1) exp(s²)), with s = log_sd.

    Skewness (exp(s²) + 2)√(exp(s²) - 1): 3.69 for s = 0.8.

    Misleads
        As effects: t tests of the skewed coefficients when groups are few. As noise: tests of the
        intercept in small data.
    """
    require(0 < log_sd <= 5, "log_sd", "a number above 0, at most 5")
    s2 = log_sd**2
    skewed: Array = (np.exp(log_sd * z) - np.exp(s2 / 2)) / np.sqrt(np.expm1(s2) * np.exp(s2))
    return skewed


def mixture(
    rng: np.random.Generator, z: Array, *, share: float = 0.2, distance: float = 0.8
) -> Array:
    """Two classes: a share π at d√((1 - π)/π), the others at -d√(π/(1 - π)), plus √(1 - d²) z.

    π = share, d = distance: the part of the SD that lies between the classes. Skewness
    d³(1 - 2π)/√(π(1 - π)): .768 for the defaults.

    Misleads
        As effects: t tests of the skewed coefficients when groups are few. Fixed effects of mixed
        models are robust otherwise.
    """
    require(0 < share < 1, "share", "a number between 0 and 1")
    require(0 <= distance <= 1, "distance", "a number from 0 to 1")
    odds = np.sqrt((1 - share) / share)
    centre = np.where(rng.random(z.shape) < share, distance * odds, -distance / odds)
    mixed: Array = centre + np.sqrt(1 - distance**2) * z
    return mixed


def binary(rng: np.random.Generator, z: Array) -> Array:
    """Two values, -1 and 1, with equal probability: the sign of z.

    A predictor with an SD of 0.5 is then ±½, such as a treatment assigned by the toss of a coin.

    Misleads
        No strategy. With few groups, a level-2 predictor may have the same value in all of them,
        and the fits fail.
    """
    return np.where(z < 0, -1.0, 1.0)
