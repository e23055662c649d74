"""One dataset and what each strategy makes of it: the numbers behind its page and notes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rmsweep.data.dataset import Array, Batch, Dataset
from rmsweep.design import Strategy
from rmsweep.lmm.covariance import lower_root
from rmsweep.measures.performance import ALPHA
from rmsweep.strategies import mixed, mundlak

PARTS = ("estimate", "se", "df", "statistic", "p_value", "ci_low", "ci_high")
# relative: what the arithmetic of predictors leaves of equal cross-products
SAME_DESIGN = 1e-9


class RandomEffects(NamedTuple):
    """What a mixed model says of how groups differ.

    Attributes
    ----------
    sd : dict of str to float
        Standard deviations of the coefficients that vary, by their terms in the dataset.
    correlations : dict of (str, str) to float
        Of those that are estimated; without those of coefficients that don't vary at all.
    sigma : float
        Residual standard deviation.
    """

    sd: dict[str, float]
    correlations: dict[tuple[str, str], float]
    sigma: float


@dataclass(frozen=True)
class Fitted:
    """One dataset, and the fits of some strategies.

    Attributes
    ----------
    data : Dataset
    terms : tuple of p str
        What the dataset's terms are called.
    groups : tuple of G str
        What its groups are called.
    group : str
        What the factor of the groups is called.
    strategies : tuple of S Strategy
    rows : tuple of S mapping
        Their rows, as in a study's tables, with ``coefs`` that have these terms and
        ``fit_success``.
    truth : (p,) array
        The true coefficients; NaN where they are not known.
    """

    data: Dataset
    terms: tuple[str, ...]
    groups: tuple[str, ...]
    group: str
    strategies: tuple[Strategy, ...]
    rows: tuple[Mapping[str, Any], ...]
    truth: Array

    @cached_property
    def numbers(self) -> dict[str, Array]:
        """The `PARTS` of the coefficient tables, (S, p) each; NaN where there is none."""
        found = {part: np.full((len(self.rows), len(self.terms)), np.nan) for part in PARTS}
        for place, row in enumerate(self.rows):
            for coef in row["coefs"] or () if row["status"] != "failed" else ():
                for part in PARTS:
                    value = coef[part]
                    if value is not None:
                        found[part][place, self.terms.index(coef["term"])] = value
        return found

    @property
    def names(self) -> list[str]:
        """The strategies' names."""
        return [strategy.name for strategy in self.strategies]

    @property
    def fitted(self) -> list[int]:
        """Places of the strategies that gave estimates."""
        return [place for place, row in enumerate(self.rows) if row["status"] != "failed"]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Rows of each group, (G,)."""
        return np.bincount(self.data.groups)

    @cached_property
    def rows_of(self) -> list[NDArray[np.intp]]:
        """Places of the rows of each group, in their order."""
        order = np.argsort(self.data.groups, kind="stable")
        return np.split(order, np.cumsum(self.sizes)[:-1])

    @property
    def within(self) -> list[int]:
        """Places of the terms that vary within groups, and of the intercept."""
        level = self.data.group_level
        return [place for place, term in enumerate(self.data.terms) if term not in level]

    @cached_property
    def same_design(self) -> bool:
        """Whether all groups have the same cross-products of predictors.

        Then least squares, the mean of the groups' own regressions, and mixed models whose random
        effects are all or some of the fixed ones give the same estimates.
        """
        X = self.data.X
        products = np.array([X[rows].T @ X[rows] for rows in self.rows_of])
        scale = np.abs(products).max()
        return bool((np.abs(products - products[0]) <= SAME_DESIGN * scale).all())

    def random_terms(self, place: int) -> tuple[str, ...] | None:
        """The dataset's terms whose coefficients vary between groups in a strategy's model.

        None of strategies that are no mixed model, or one with other random effects than the
        groups'.
        """
        options = self.strategies[place].options
        if not isinstance(options, mixed.Options) or mixed.is_crossed(self.data, options):
            return None
        return options.random[0].names(self.data)

    def random_effects(self, place: int) -> RandomEffects | None:
        """What a strategy's model says of how groups differ, by the native engine.

        None where the engine can't say it, or the strategy is no such model.
        """
        if place not in self._random_effects:
            self._random_effects[place] = self._find_random_effects(place)
        return self._random_effects[place]

    @cached_property
    def _random_effects(self) -> dict[int, RandomEffects | None]:
        return {}

    def _find_random_effects(self, place: int) -> RandomEffects | None:
        strategy, data = self.strategies[place], self.data
        options = strategy.options
        if self.random_terms(place) is None or place not in self.fitted:
            return None
        covariance = options.random[0].covariance
        if strategy.family == "mundlak":
            data = mundlak.with_group_means(data)
        try:
            products = mixed.known(Batch([data]), options)
            fit = mixed.fitted_natively(products, options)
        except ValueError:  # the strategy's row says why
            return None
        if not fit.converged[0]:
            return None
        names = options.random[0].names(self.data)
        names = tuple(sorted(names, key=lambda name: name != "Intercept"))
        root = fit.sigma[0] * lower_root(len(names), covariance).matrices(fit.theta)[0]
        G = root @ root.T
        sd = np.sqrt(G.diagonal())
        correlations = {
            (names[j], names[i]): float(G[i, j] / (sd[i] * sd[j]))
            for i in range(len(names))
            for j in range(i)
            if covariance == "full" and sd[i] > 0 and sd[j] > 0
        }
        by_name = dict(zip(names, map(float, sd), strict=True))
        return RandomEffects(by_name, correlations, float(fit.sigma[0]))

    def shown(self, term: str) -> str:
        """What one of the dataset's terms is called; other names stay."""
        known = dict(zip(self.data.terms, self.terms, strict=True))
        return known.get(term, term)


def number(value: float, digits: int = 3) -> str:
    """A number in a sentence or a table: ``0.0123``, ``1,235``, ``−3``, ``1.2e−7``."""
    if not np.isfinite(value):
        return "∞" if value > 0 else "–"
    text = f"{value:.{digits}g}"
    if "e" in text and 1e-4 <= abs(value) < 1e15:  # where digits are cut off before the point
        text = f"{float(text):,.0f}"
    elif abs(float(text)) >= 1e3 and "e" not in text:
        text = f"{float(text):,.10g}" if "." in text else f"{int(text):,}"
    return text.replace("-", "−").replace("e−0", "e−").replace("e+0", "e").replace("e+", "e")


def p_value(value: float) -> str:
    """A p-value in a sentence: ``p = 0.031``, ``p < 0.001``; on the right side of 5%."""
    digits = 2 if abs(value - ALPHA) > 0.001 else 4
    return "p < 0.001" if value < 0.001 else f"p = {number(value, digits)}"
