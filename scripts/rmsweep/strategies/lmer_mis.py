"""Mixed model with random intercepts only."""

from __future__ import annotations

from rmsweep.dataset import Dataset
from rmsweep.design import Settings
from rmsweep.strategies import Fit

ENGINE = "lme4"


def minimum(n_terms: int) -> tuple[int, int]:
    """More observations than groups."""
    return 2, 2


def warm_up() -> None:
    """Start R with lme4 and lmerTest."""
    from rmsweep import rbridge

    rbridge.start()


def fit(data: Dataset, settings: Settings) -> Fit:
    """Fit ``y ~ x + (1 | group)`` by lme4, degrees of freedom by lmerTest.

    Misspecified where the slopes vary: their standard errors then come out too small.
    """
    from rmsweep import rbridge

    return rbridge.fit_lmer(data, random=("Intercept",), settings=settings)
