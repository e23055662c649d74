"""Mixed model with random intercepts only."""

from __future__ import annotations

from rmsweep.dataset import Batch, Dataset
from rmsweep.design import Settings
from rmsweep.strategies import Fit, FitError

ENGINE = "lme4"
RANDOM = ("Intercept",)


def minimum(n_terms: int) -> tuple[int, int]:
    """More observations than groups."""
    return 2, 2


def warm_up() -> None:
    """Start R with lme4."""
    from rmsweep import rbridge

    rbridge.start()


def fit(data: Dataset, settings: Settings) -> Fit:
    """Fit ``y ~ x + (1 | group)`` by lme4.

    Misspecified where the slopes vary: their standard errors then come out too small.
    """
    from rmsweep import mixed

    return mixed.fit_by_lme4(data, RANDOM, settings)


def fit_natively(batch: Batch, settings: Settings) -> list[Fit | FitError]:
    """Fit the same model by the native engine."""
    from rmsweep import mixed

    return mixed.fit_natively(batch, RANDOM, settings)
