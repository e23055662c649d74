"""The contract that every strategy keeps, as checks that also run over a file of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from rmsweep import strategies
from rmsweep.config import condition
from rmsweep.data.dataset import Batch, Dataset
from rmsweep.data.scenario import Simulated, simulate
from rmsweep.design import Strategy
from rmsweep.errors import UsageError
from rmsweep.strategies import Fit
from rmsweep.sweep.replication import Outcome, fit_datasets

# an iterative fit ends within its tolerance of the optimum, not at the same bits
ORDER_TOLERANCE = 1e-2
# standard errors that an estimate of much data may be off by
FAR = 5


def outcome(strategy: Strategy, data: Dataset) -> Outcome:
    """What the sweep makes of a strategy and a dataset."""
    return fit_datasets([strategy], [([0], Batch([data]))], 1)[strategy.name][0]


def fitted(strategy: Strategy, data: Dataset) -> Fit:
    """The fit.

    Raises
    ------
    AssertionError
        If there is none, with the reason.
    """
    found = outcome(strategy, data)
    assert found.fit is not None, found.error
    return found.fit


def some_data(
    strategy: Strategy, n_groups: int = 10, n_obs: int = 8, sigma: float = 1.0
) -> Simulated:
    """A dataset with three predictors; with items, sites or both, if it is refused without."""
    keys = {"n_groups": n_groups, "n_obs": n_obs, "sigma": sigma}
    without = simulate(0, condition(**keys), 0)
    if not strategies.refuses(without.data, strategy):
        return without
    items = {"n_items": "all", "item_sigma": sigma}
    sites = {"n_sites": n_groups // 2, "site_sigma": sigma}
    for more in (items, sites, items | sites):
        found = simulate(0, condition(**keys, **more), 0)
        if not strategies.refuses(found.data, strategy):
            return found
    return without


def gives_a_value_for_each_term(strategy: Strategy) -> None:
    """Numbers of the right shape; only `unsaid` accounts for terms without any."""
    data = some_data(strategy).data
    fit = fitted(strategy, data)
    said = ~np.isnan(fit.estimate)
    assert fit.unsaid or said.all(), "estimate has a value that is no number"
    for name in ("estimate", "se", "df"):
        values = getattr(fit, name)
        assert values.shape == (len(data.terms),), f"{name} has the shape {values.shape}"
        assert values.dtype == np.float64, f"{name} is of {values.dtype}"
        assert name == "estimate" or (values[said] > 0).all(), f"{name} has one that is not above 0"


def names_its_conventions(strategy: Strategy) -> None:
    """It says what its standard errors, degrees of freedom and intervals are."""
    fit = fitted(strategy, some_data(strategy).data)
    assert fit.ci_type in ("t", "z"), f"ci_type is {fit.ci_type!r}; allowed: t, z"
    assert fit.se_type, "se_type is empty"
    assert fit.df_type, "df_type is empty"
    assert strategy.label, "its docstring, or its first comment, is empty"


def gives_the_same_bits_twice(strategy: Strategy) -> None:
    """Nothing but the data decides."""
    data = some_data(strategy).data
    one, two = (fitted(strategy, data) for _ in range(2))
    for name in ("estimate", "se", "df"):
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes(), f"{name} differs"


def leaves_the_data_alone(strategy: Strategy) -> None:
    """Other strategies get the same data."""
    data = some_data(strategy).data
    before = data.y.tobytes(), data.X.tobytes(), data.groups.tobytes()
    fitted(strategy, data)
    assert before == (data.y.tobytes(), data.X.tobytes(), data.groups.tobytes())


def recovers_the_truth(strategy: Strategy) -> None:
    """With 200 groups of 30, estimates are within five standard errors of the truth."""
    simulated = some_data(strategy, n_groups=200, n_obs=30, sigma=0.1)
    fit = fitted(strategy, simulated.data)
    off = float(np.nanmax(np.abs(fit.estimate - simulated.betas)))
    largest = float(np.nanmax(fit.se))
    assert off < FAR * largest, f"off by {off:.3g}, with standard errors {largest:.3g}"


def does_not_mind_the_order_of_rows(strategy: Strategy) -> None:
    """Shuffled rows are the same data; where their order is time's, it is kept within groups."""
    data = some_data(strategy).data
    order = np.random.default_rng(0).permutation(len(data.y))
    if getattr(strategies.load(strategy.family), "ORDERED", False):
        kept = np.empty_like(order)
        kept[np.argsort(data.groups[order], kind="stable")] = np.argsort(data.groups, kind="stable")
        order = kept
    factors = {name: codes[order] for name, codes in data.factors.items()}
    shuffled = replace(data, y=data.y[order], X=data.X[order], factors=factors)
    one, two = (fitted(strategy, some) for some in (data, shuffled))
    for name in ("estimate", "se"):
        off = float(np.nanmax(np.abs(getattr(one, name) - getattr(two, name))))
        assert off <= ORDER_TOLERANCE * np.nanmax(one.se), f"{name} differs by {off:.2g}"


def fails_as_a_row_on_a_rank_deficient_design(strategy: Strategy) -> None:
    """Where coefficients can't be told apart, there are none."""
    data = some_data(strategy).data
    X = data.X.copy()
    X[:, 3] = X[:, 1] + X[:, 2]
    found = outcome(strategy, replace(data, X=X))
    assert found.fit is None, "fitted three predictors of which one is the sum of the others"
    assert found.error, "failed without a reason"


CHECKS: tuple[Callable[[Strategy], None], ...] = (
    gives_a_value_for_each_term,
    names_its_conventions,
    gives_the_same_bits_twice,
    leaves_the_data_alone,
    recovers_the_truth,
    does_not_mind_the_order_of_rows,
    fails_as_a_row_on_a_rank_deficient_design,
)


def broken(strategy: Strategy) -> dict[str, str]:
    """The checks that a strategy does not pass, and why.

    Raises
    ------
    UsageError
        If Python was told to leave assertions out: nothing would fail.
    """
    if not __debug__:
        raise UsageError("PYTHONOPTIMIZE leaves out what a check is made of; allowed: none")
    strategies.warm_up(strategy.family)
    found = {}
    for check in CHECKS:
        try:
            check(strategy)
        except AssertionError as error:
            found[check.__name__.replace("_", " ")] = str(error) or "no"
    return found
