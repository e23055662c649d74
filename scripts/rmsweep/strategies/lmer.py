"""Mixed model with random intercepts and slopes."""

from __future__ import annotations

from rmsweep.dataset import Dataset
from rmsweep.design import Settings
from rmsweep.strategies import Fit

ENGINE = "lme4"


def minimum(n_terms: int) -> tuple[int, int]:
    """More observations than random effects, which lme4 insists on."""
    return 2, n_terms + 1


def warm_up() -> None:
    """Start R with lme4 and lmerTest."""
    from rmsweep import rbridge

    rbridge.start()


def fit(data: Dataset, settings: Settings) -> Fit:
    """Fit ``y ~ x + (x | group)`` by lme4, degrees of freedom by lmerTest.

    All coefficients vary between groups, with all their correlations: the maximal model.
    """
    from rmsweep import rbridge

    return rbridge.fit_lmer(data, random=data.terms, settings=settings)
