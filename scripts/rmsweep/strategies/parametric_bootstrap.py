"""Likelihood ratio tests whose distribution is simulated from the model without the effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from rmsweep.data.dataset import Array, Batch, Dataset
from rmsweep.strategies import (
    Fit,
    FitError,
    OwnTests,
    Preset,
    likelihood_ratio,
    mixed,
)

ENGINE, R_PACKAGES = mixed.ENGINE, mixed.R_PACKAGES
MEANINGLESS_NATIVELY = ("optimizer",)
# statistics this near to each other are the same but for where two searches stopped
TIE = 1e-7


@dataclass(frozen=True, slots=True)
class Options:
    """What a fit depends on, as for `likelihood_ratio.Options`.

    Attributes
    ----------
    random : tuple of mixed.RandomTerm
    draws : int
        Datasets that are simulated for each term.
    optimizer : {"nloptwrap", "bobyqa", "Nelder_Mead"}
    """

    random: tuple[mixed.RandomTerm, ...] = (mixed.RandomTerm(),)
    draws: int = 999
    optimizer: Literal["nloptwrap", "bobyqa", "Nelder_Mead"] = "nloptwrap"

    def __post_init__(self) -> None:
        self.tests  # noqa: B018  (what it refuses is refused here)
        if self.draws < 1:
            raise ValueError(f"draws is {self.draws}; allowed: 1 and more")

    @property
    def tests(self) -> likelihood_ratio.Options:
        """The tests whose distribution is simulated."""
        return likelihood_ratio.Options(self.random, self.optimizer)


PRESETS = {
    "lmer_items_boot": Preset(
        "Mixed model of groups and items with parametric bootstrap tests",
        {"random": mixed.ITEMS},
        assumes="as lmer_items",
        convention="ML; the likelihood ratio's rank among those of 999 datasets simulated without "
        "the effect, for each fixed effect; no intervals",
        reference="pbkrtest's PBmodcomp (Halekoh & Højsgaard 2014; Luke 2017)",
        use="with few groups or items, if it may take its time: 2,000 fits for each fixed effect",
        needs_items=True,
    ),
}

warm_up = mixed.warm_up


def refuses(data: Dataset, options: Options) -> str:
    """What has no likelihood ratio."""
    return likelihood_ratio.refuses(data, options.tests)


def refuses_natively(data: Dataset, options: Options) -> str:
    """As `likelihood_ratio`."""
    return likelihood_ratio.refuses_natively(data, options.tests)


def wants_same_rows(data: Dataset, options: Options) -> bool:
    """As `likelihood_ratio`."""
    return likelihood_ratio.wants_same_rows(data, options.tests)


def as_formula(data: Dataset, options: Options) -> str:
    """The whole model as a formula of lme4's."""
    return likelihood_ratio.as_formula(data, options.tests)


class Null(NamedTuple):
    """A model without one of the fixed effects, fitted by maximum likelihood.

    Attributes
    ----------
    estimate : (p - 1,) array
    sigma : float
        Residual standard deviation.
    theta : sequence of float
        lme4's, term after term.
    deviance : float
    """

    estimate: Array
    sigma: float
    theta: Sequence[float]
    deviance: float


def fit(data: Dataset, options: Options) -> Fit:
    """Fit the model, and those without each of its terms, and simulate from these, all by lme4.

    p is (1 + k)/(1 + B), k of B simulated statistics being as large as the one of the data
    (Halekoh & Højsgaard 2014, J. Statistical Software 59:9). Simulated datasets on which lme4 stops
    with an error are left out.
    """
    from rmsweep import lme4

    whole = mixed.fit(data, options.tests.model).model
    bars = mixed.bars(data, options.tests.model)
    p_value = []
    for term, rng in zip(data.terms, generators(data), strict=True):
        reduced = likelihood_ratio.without(data, term)
        model = likelihood_ratio.reduced_model(data, options.tests)
        found = mixed.fit(reduced, model)
        null = Null(found.model.estimate, found.sigma, found.theta_of_terms, found.model.criterion)
        ys = simulated(reduced, model, null, options.draws, rng)
        statistics = np.subtract(*lme4.deviances(data, bars, options.optimizer, ys, term))
        p_value.append(p_of(null.deviance - whole.criterion, statistics))
    return concluded(whole, np.array(p_value), options)


def fit_batch(batch: Batch, options: Options) -> list[Fit | FitError]:
    """Do the same by the native engine, the datasets that are simulated from one together."""
    model = mixed.Inference(df="normal")
    tests = options.tests
    wholes = mixed.infer_batch(batch, mixed.fit_batch(batch, tests.model), model)
    p_value = np.full((len(wholes), len(batch.datasets[0].terms)), np.nan)
    for column, term in enumerate(batch.datasets[0].terms):
        fitted = likelihood_ratio.reduced_fits(batch, tests, term)
        for row, (data, whole) in enumerate(zip(batch.datasets, wholes, strict=True)):
            if isinstance(whole, FitError) or np.isnan(fitted.criterion[row]):
                continue
            null = Null(
                fitted.estimate[row],
                float(fitted.sigma[row]),
                fitted.theta[row].tolist(),
                float(fitted.criterion[row]),
            )
            reduced = likelihood_ratio.without(data, term)
            rng = generators(data)[column]
            ys = simulated(
                reduced, likelihood_ratio.reduced_model(data, tests), null, options.draws, rng
            )
            drawn = Batch([replace(data, y=y) for y in ys])
            statistics = (
                likelihood_ratio.reduced_fits(drawn, tests, term).criterion
                - mixed.fit_batch(drawn, tests.model).fitted.criterion
            )
            p_value[row, column] = p_of(null.deviance - whole.criterion, statistics)
    return [
        whole if isinstance(whole, FitError) else concluded(whole, own, options)
        for whole, own in zip(wholes, p_value, strict=True)
    ]


def generators(data: Dataset) -> list[np.random.Generator]:
    """A generator for each term."""
    return np.random.default_rng([*data.entropy]).spawn(len(data.terms))


def simulated(
    reduced: Dataset, model: mixed.Options, null: Null, draws: int, rng: np.random.Generator
) -> Array:
    """Responses that follow a model without one of the fixed effects, (draws, n)."""
    from rmsweep.lmm.covariance import lower_root

    ys = reduced.X @ null.estimate + null.sigma * rng.standard_normal((draws, len(reduced.y)))
    theta = np.array(null.theta)
    for term in model.random:
        names = mixed.intercept_first(term, reduced)
        form = lower_root(len(names), term.covariance)
        own, theta = np.split(theta, [len(form.basis)])
        (root,) = form.matrices(own[None])
        codes = reduced.factors[term.factor or reduced.group]
        b = rng.standard_normal((draws, int(codes.max()) + 1, len(names))) @ (null.sigma * root.T)
        ys += np.einsum("nq,dnq->dn", reduced.columns(names), b[:, codes])
    return ys


def p_of(statistic: float, drawn: Array) -> float:
    """The share of statistics, this one among them, that are as large as this one."""
    drawn = drawn[np.isfinite(drawn)]
    return float((1 + (drawn >= statistic - TIE).sum()) / (1 + len(drawn)))


def concluded(whole: Fit, p_value: Array, options: Options) -> Fit:
    """The fit with its tests."""
    missing = np.full(len(p_value), np.nan)
    return replace(
        whole,
        df=np.full(len(p_value), np.inf),
        df_type="infinite",
        own=OwnTests(f"parametric bootstrap, {options.draws} draws", p_value, missing, missing),
    )
