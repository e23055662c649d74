"""Mixed model with random intercepts and slopes."""

from __future__ import annotations

from rmsweep.dataset import Batch, Dataset
from rmsweep.design import Settings
from rmsweep.strategies import Fit, FitError

ENGINE = "lme4"


def minimum(n_terms: int) -> tuple[int, int]:
    """More observations than random effects, which lme4 insists on."""
    return 2, n_terms + 1


def warm_up() -> None:
    """Start R with lme4."""
    from rmsweep import rbridge

    rbridge.start()


def fit(data: Dataset, settings: Settings) -> Fit:
    """Fit ``y ~ x + (x | group)`` by lme4.

    All coefficients vary between groups, with all their correlations: the maximal model.
    """
    from rmsweep import mixed

    return mixed.fit_by_lme4(data, data.terms, settings)


def fit_natively(batch: Batch, settings: Settings) -> list[Fit | FitError]:
    """Fit the same model by the native engine."""
    from rmsweep import mixed

    return mixed.fit_natively(batch, settings.terms, settings)
