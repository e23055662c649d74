"""Mixed models, by lme4 or by the native engine."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from rmsweep.data.dataset import Batch, Dataset
from rmsweep.strategies import CIType, Convergence, Fit, FitError, Preset

if TYPE_CHECKING:
    from rmsweep.lmm import Covariance, CrossProducts

ENGINE = "lme4"
R_PACKAGES = ("lme4", "lmerTest")
MEANINGLESS_NATIVELY = ("optimizer", "derivatives")

# lme4's and lmerTest's texts, told apart by the parts that survived their versions
GRADIENT = re.compile(r"\|(relative )?grad\||scaled gradient|Gradient contains")
HESSIAN = re.compile(r"Hessian|eigenvalue ratio|large eigenvalue")
LMERTEST = re.compile(r"converged? with \d+ (negative )?eigenvalue")
SINGULAR = re.compile(r"singular\) fit|singular fit")


@dataclass(frozen=True, slots=True)
class RandomTerm:
    """The coefficients that vary between the levels of one factor.

    Attributes
    ----------
    columns : {"all"} or tuple of str
        Names of the terms; ``all`` of the fixed effects that can vary between groups.
    covariance : {"full", "diagonal"}
        Whether their correlations are estimated or zero.
    factor : str or None
        Name of the factor; None for the groups.
    """

    columns: Literal["all"] | tuple[str, ...] = "all"
    covariance: Literal["full", "diagonal"] = "full"
    factor: str | None = None

    def __post_init__(self) -> None:
        if not self.columns:
            raise ValueError("columns is empty; allowed: all, or a list of terms")

    def names(self, data: Dataset) -> tuple[str, ...]:
        """The terms that vary."""
        if self.columns != "all":
            return self.columns
        return tuple(term for term in data.terms if term not in data.group_level)


@dataclass(frozen=True, slots=True)
class Options:
    """What a fit depends on.

    Attributes
    ----------
    random : tuple of RandomTerm
    reml : bool
        Whether by restricted maximum likelihood, else by maximum likelihood.
    optimizer : {"nloptwrap", "bobyqa", "Nelder_Mead"}
        lme4's; the native engine has its own.
    derivatives : {"closed", "numerical"}
        What lme4's checks and the degrees of freedom rest on: closed forms where lme4 stopped, or
        lme4's and lmerTest's own numerical derivatives.
    """

    random: tuple[RandomTerm, ...] = (RandomTerm(),)
    reml: bool = True
    optimizer: Literal["nloptwrap", "bobyqa", "Nelder_Mead"] = "nloptwrap"
    derivatives: Literal["closed", "numerical"] = "closed"

    def __post_init__(self) -> None:
        if not self.random:
            raise ValueError("random is empty; allowed: a list of random-effects terms")


@dataclass(frozen=True, slots=True)
class Inference:
    """What is made of a fit.

    Attributes
    ----------
    interval : {"z", "t"}
        Reference distribution of the intervals: the normal, as lme4's Wald intervals, or
        Student's t with Satterthwaite's degrees of freedom.
    """

    interval: CIType = "z"


PRESETS = {
    "lmer": Preset("Mixed model with random intercepts and slopes", {"random": (RandomTerm(),)}),
    "lmer_mis": Preset(
        "Mixed model with random intercepts only", {"random": (RandomTerm(("Intercept",)),)}
    ),
}


def warm_up() -> None:
    """Start R with lme4."""
    from rmsweep import lme4

    lme4.start()


def refuses(data: Dataset, options: Options) -> str:
    """More rows than random effects are needed for each term, which lme4 insists on."""
    n_rows = len(data.y)
    for term in options.random:
        codes = data.factors.get(term.factor or data.group)
        if codes is None:
            return f"no factor {term.factor}; the data have {', '.join(data.factors)}"
        if absent := [name for name in term.names(data) if name not in data.terms]:
            return f"no term {', '.join(absent)}; the data have {', '.join(data.terms)}"
        n_levels = int(codes.max()) + 1
        if n_levels < 2:
            return "grouping factors must have > 1 sampled level"
        n_effects = n_levels * (len(term.names(data)) if term.covariance == "full" else 1)
        if n_rows <= n_effects:
            return (
                f"number of observations (={n_rows}) <= number of random effects (={n_effects}); "
                "the random-effects parameters and the residual variance are unidentifiable"
            )
    return ""


def refuses_natively(data: Dataset, options: Options) -> str:
    """Why the native engine can't fit a model that lme4 can; empty if it can."""
    if len(options.random) > 1:
        return f"the native engine fits one random-effects term, not {len(options.random)}"
    (term,) = options.random
    if term.factor not in (None, data.group):
        return f"the native engine's random effects are those of {data.group}, not {term.factor}"
    names = term.names(data)
    if names != data.terms[: len(names)]:
        return (
            f"the native engine's random effects must be the first of {', '.join(data.terms)}, "
            f"in this order, not {', '.join(names)}"
        )
    return ""


def fit(data: Dataset, options: Options) -> Fit:
    """Fit a mixed model by lme4.

    Estimates, standard errors and the criterion are lme4's (Bates et al. 2015, J. Statistical
    Software 67:1). Its convergence checks and the Satterthwaite degrees of freedom rest on
    derivatives of the criterion where lme4 stopped: by default the engine's closed forms there,
    with ``derivatives: numerical``, and for models that the engine can't fit, lme4's and lmerTest's
    own (Kuznetsova et al. 2017, 82:13).

    Parameters
    ----------
    data : Dataset
    options : Options

    Returns
    -------
    Fit

    Raises
    ------
    FitError
        If the response is an exact function of the predictors, for lme4 would stop anywhere.
    ValueError
        With R's own words, if the model can't be fitted.
    """
    from rmsweep import lme4, lmm

    bars = [
        lme4.bar(term.names(data), term.factor or data.group, term.covariance == "full")
        for term in options.random
    ]
    foreign = refuses_natively(data, options)
    numerical = options.derivatives == "numerical" or bool(foreign)
    lowest, problem = np.nan, foreign or refuses(data, options)
    if len(data.y) <= len(data.terms):
        problem = "no more rows than coefficients"
    # what lme4 refuses, it refuses in its own words
    if not problem:
        products, covariance = crossproducts(Batch([data]), options)
        optimum = lmm.fit(products, reml=options.reml, covariance=covariance, on_error="report")
        problem = products.problems[0]
        if optimum.messages[0] in (lmm.EXACT, lmm.EXACT_BY_GROUP):
            raise FitError(f"fit: {optimum.messages[0]}")
        lowest = optimum.criterion[0] if optimum.converged[0] else np.nan
    result = lme4.lmer(
        data, bars, reml=options.reml, optimizer=options.optimizer, numerical=numerical
    )
    messages = list(dict.fromkeys([*result["messages"], *result["warnings"]]))
    criterion = result["criterion"][0]
    if numerical:
        df = np.array(result["df"])
        checks = list(result["checks"])
    elif problem:
        df = np.full(len(data.terms), np.nan)
        checks, messages = [], [*messages, f"no degrees of freedom: {problem}"]
    else:
        theta = np.array([result["theta"]])
        at = lmm.inference_at(products, theta, reml=options.reml, covariance=covariance)
        df = at.df[0]
        checks = list(lmm.lme4_checks(at, check_singular=True)[0].messages)
        messages += lmm.lmertest_warnings(at.hessian_theta_sigma)[0]
    return Fit(
        estimate=np.array(result["estimate"]),
        se=np.array(result["se"]),
        df=df,
        se_type="REML" if options.reml else "ML",
        df_type="Satterthwaite",
        ci_type="z",
        criterion=criterion,
        criterion_gap=criterion - lowest,
        convergence=Convergence(
            optimizer=result["optimizer"][0],
            opt_code=result["opt_code"][0],
            singular=bool(result["singular"][0]),
            **complaints(checks, messages),
        ),
    )


def fit_batch(batch: Batch, options: Options) -> list[Fit | FitError]:
    """Fit a mixed model with one grouping factor to many datasets by the native engine.

    Its verdicts are what lme4's checks would say of the engine's optimum, not of lme4's: that
    optimum has no gradient to complain of, so only singularity and an ill-conditioned Hessian
    are left. How often lme4 itself fails can't be learnt from them.

    Parameters
    ----------
    batch : Batch
        R datasets.
    options : Options
        Its ``random`` and ``reml``.

    Returns
    -------
    list of R Fit or FitError
    """
    from rmsweep import lmm

    products, covariance = crossproducts(batch, options)
    fitted = lmm.fit(products, reml=options.reml, covariance=covariance, on_error="report")
    checked = lmm.lme4_checks(fitted, check_singular=True)
    df_warnings = lmm.lmertest_warnings(fitted.hessian_theta_sigma)
    fits: list[Fit | FitError] = []
    for row, (message, checks) in enumerate(zip(fitted.messages, checked, strict=True)):
        if np.isnan(fitted.criterion[row]):
            fits.append(FitError(f"fit: {message}"))
            continue
        messages = [message] if message else []
        messages += df_warnings[row]
        fits.append(
            Fit(
                estimate=fitted.estimate[row],
                se=fitted.se[row],
                df=fitted.df[row],
                se_type="REML" if options.reml else "ML",
                df_type="Satterthwaite",
                ci_type="z",
                criterion=fitted.criterion[row],
                convergence=Convergence(
                    optimizer="trust-region Newton",
                    opt_code=0 if fitted.converged[row] else 1,
                    singular=checks.singular,
                    **complaints(checks.messages, messages),
                ),
            )
        )
    return fits


def infer(data: Dataset, fitted: Fit, inference: Inference) -> Fit:
    """Take the intervals from the distribution that is asked for."""
    if fitted.ci_type == inference.interval:
        return fitted
    return replace(fitted, ci_type=inference.interval)


def crossproducts(batch: Batch, options: Options) -> tuple[CrossProducts, Covariance]:
    """What the native engine needs to know of the data and of the model's only term."""
    (term,) = options.random
    return batch.crossproducts(term.names(batch.datasets[0])), term.covariance


def complaints(checks: Iterable[str], messages: Iterable[str]) -> dict[str, str]:
    """Sort messages into the parts of `Convergence`.

    Parameters
    ----------
    checks : iterable of str
        lme4's gradient and Hessian checks, made for singular fits too.
    messages : iterable of str
        All else; what repeats the checks or the singularity is left out.
    """
    checks, messages = list(checks), list(messages)
    known = (GRADIENT, HESSIAN, LMERTEST, SINGULAR)
    return {
        "grad_msg": "; ".join(text for text in checks if GRADIENT.search(text)),
        "hess_msg": "; ".join(text for text in checks if HESSIAN.search(text)),
        "df_msg": "; ".join(text for text in messages if LMERTEST.search(text)),
        "messages": "; ".join(
            text for text in messages if not any(part.search(text) for part in known)
        ),
    }
