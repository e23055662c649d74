"""Mixed models by maximum likelihood, whose fixed effects are tested by likelihood ratios."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from rmsweep.data.dataset import Array, Batch, Dataset
from rmsweep.strategies import Fit, FitError, OwnTests, Preset, mixed

if TYPE_CHECKING:
    from rmsweep.lmm import LmmFit

ENGINE, R_PACKAGES = mixed.ENGINE, mixed.R_PACKAGES
MEANINGLESS_NATIVELY = ("optimizer",)


@dataclass(frozen=True, slots=True)
class Options:
    """What a fit depends on, as for `mixed.Options`.

    Attributes
    ----------
    random : tuple of mixed.RandomTerm
    optimizer : {"nloptwrap", "bobyqa", "Nelder_Mead"}
    """

    random: tuple[mixed.RandomTerm, ...] = (mixed.RandomTerm(),)
    optimizer: Literal["nloptwrap", "bobyqa", "Nelder_Mead"] = "nloptwrap"

    def __post_init__(self) -> None:
        self.model  # noqa: B018  (what it refuses is refused here)

    @property
    def model(self) -> mixed.Options:
        """The model of which each term is dropped in turn."""
        return mixed.Options(self.random, reml=False, optimizer=self.optimizer)


PRESETS = {
    "lmer_lrt": Preset(
        "Mixed model with likelihood ratio tests",
        {"random": (mixed.RandomTerm(),)},
        assumes="as lmer, and many groups",
        convention="ML; chi-squared with 1 df for the fixed effect that is dropped, its random "
        "slope stays; no intervals",
        reference="lme4's anova (Barr et al. 2013; Luke 2017)",
        use="to see what likelihood ratios cost: with few groups they reject too often",
    ),
    "lmer_items_lrt": Preset(
        "Mixed model of groups and items with likelihood ratio tests",
        {"random": mixed.ITEMS},
        assumes="as lmer_items, and many groups and items",
        convention="ML; chi-squared with 1 df for the fixed effect that is dropped, its random "
        "slopes stay; no intervals",
        reference="lme4's anova (Barr et al. 2013; Luke 2017)",
        use="to see what likelihood ratios cost: with few groups or items they reject too often",
        needs_items=True,
    ),
}

warm_up = mixed.warm_up


def refuses(data: Dataset, options: Options) -> str:
    """What can't be fitted, and a model of one term, without which nothing is left."""
    if len(data.terms) == 1:
        return "a model of one term has none that could be dropped"
    return mixed.refuses(data, options.model)


def refuses_natively(data: Dataset, options: Options) -> str:
    """As `mixed`; and a single term's random effects must be those of fixed effects."""
    reason = mixed.refuses_natively(data, options.model)
    if mixed.is_crossed(data, options.model):
        return reason
    return reason or mixed.beyond_fixed_effects(data, options.random[0])


def wants_same_rows(data: Dataset, options: Options) -> bool:
    """As `mixed`."""
    return mixed.wants_same_rows(data, options.model)


def as_formula(data: Dataset, options: Options) -> str:
    """The whole model as a formula of lme4's."""
    return mixed.as_formula(data, options.model)


def in_advance(batch: Batch, options: Options) -> Sequence[mixed.Optimum | None]:
    """The native engine's optima of the whole model."""
    return mixed.in_advance(batch, options.model)


def fit(data: Dataset, options: Options, optimum: mixed.Optimum | None = None) -> Fit:
    """Fit the model and, for each term, the one without it, all by lme4.

    The statistic is the difference of the deviances, chi-squared with one degree of freedom under
    the null hypothesis (Barr et al. 2013, J. Memory and Language 68:255).
    """
    from rmsweep import lme4

    whole = mixed.fit(data, options.model, optimum).model
    bars = mixed.bars(data, options.model)
    deviances, messages = [], []
    for term in data.terms:
        reduced = lme4.lmer(
            data, bars, reml=False, optimizer=options.optimizer, numerical=False, without=term
        )
        deviances.append(reduced["criterion"][0])
        if reduced["opt_code"][0]:
            messages.append(f"without {term}: convergence code {reduced['opt_code'][0]}")
    return tested(whole, np.array(deviances), messages)


def fit_batch(batch: Batch, options: Options) -> list[Fit | FitError]:
    """Fit the same by the native engine."""
    model = mixed.Inference(df="normal")
    wholes = mixed.infer_batch(batch, mixed.fit_batch(batch, options.model), model)
    terms = batch.datasets[0].terms
    reduced = [reduced_fits(batch, options, term) for term in terms]
    found: list[Fit | FitError] = []
    for row, whole in enumerate(wholes):
        if isinstance(whole, FitError):
            found.append(whole)
            continue
        messages = [
            f"without {name}: {part.messages[row]}"
            for name, part in zip(terms, reduced, strict=True)
            if part.messages[row]
        ]
        deviances = np.array([part.criterion[row] for part in reduced])
        found.append(
            FitError("; ".join(messages))
            if np.isnan(deviances).any()
            else tested(whole, deviances, messages)
        )
    return found


def reduced_fits(batch: Batch, options: Options, term: str) -> LmmFit:
    """The native engine's fits without one of the fixed effects, whose random slopes stay."""
    column = batch.datasets[0].terms.index(term)
    return mixed.fitted_natively(mixed.known(batch, options.model, column), options.model)


def without(data: Dataset, left_out: str) -> Dataset:
    """The data without one of the fixed effects; random effects can still have its column."""
    kept = [place for place, term in enumerate(data.terms) if term != left_out]
    return replace(
        data,
        X=np.ascontiguousarray(data.X[:, kept]),
        terms=tuple(data.terms[place] for place in kept),
        group_level=tuple(term for term in data.group_level if term != left_out),
        cross_level=tuple(term for term in data.cross_level if term != left_out),
        further={**data.further, left_out: data.column(left_out)},
    )


def reduced_model(data: Dataset, options: Options) -> mixed.Options:
    """The model with random effects spelled out, which stay when a fixed effect is dropped."""
    random = (replace(term, columns=term.names(data)) for term in options.random)
    return replace(options.model, random=tuple(random))


def tested(whole: Fit, deviances: Array, messages: Sequence[str]) -> Fit:
    """The fit with its tests, from the deviances of the models without each of its terms."""
    from scipy.special import chdtrc

    # two searches end within their tolerance of one optimum, where a term explains nothing
    statistic = np.maximum(deviances - whole.criterion, 0.0)
    missing = np.full(len(statistic), np.nan)
    said = [whole.convergence.messages] if whole.convergence.messages else []
    return replace(
        whole,
        df=np.full(len(statistic), np.inf),
        df_type="infinite",
        convergence=replace(whole.convergence, messages="; ".join([*said, *messages])),
        own=OwnTests("likelihood ratio", chdtrc(1.0, statistic), missing, missing),
    )
