"""Mixed models for the strategies: by lme4, or by the native engine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from rmsweep import lmm, rbridge
from rmsweep.dataset import Batch, Dataset
from rmsweep.design import Settings
from rmsweep.strategies import Convergence, Fit, FitError

# lme4's and lmerTest's texts, told apart by the parts that survived their versions
GRADIENT = re.compile(r"\|(relative )?grad\||scaled gradient|Gradient contains")
HESSIAN = re.compile(r"Hessian|eigenvalue ratio|large eigenvalue")
LMERTEST = re.compile(r"converged? with \d+ (negative )?eigenvalue")
SINGULAR = re.compile(r"singular\) fit|singular fit")


def fit_by_lme4(data: Dataset, random: Sequence[str], settings: Settings) -> Fit:
    """Fit a mixed model with one grouping factor by lme4.

    Estimates, standard errors and the criterion are lme4's (Bates et al. 2015, J. Statistical
    Software 67:1). Its convergence checks and the Satterthwaite degrees of freedom rest on
    derivatives of the criterion where lme4 stopped: by default the engine's closed forms there,
    with ``derivatives: numerical`` lme4's and lmerTest's own (Kuznetsova et al. 2017, 82:13).

    Parameters
    ----------
    data : Dataset
        The data.
    random : sequence of str
        The terms whose coefficients vary between groups, with all their correlations.
    settings : Settings
        Its ``optimizer``, ``reml`` and ``derivatives``.

    Returns
    -------
    Fit

    Raises
    ------
    FitError
        With R's own words, if the model can't be fitted.
    """
    numerical = settings.derivatives == "numerical"
    result = rbridge.lmer(data, random, settings, numerical)
    heard = list(dict.fromkeys([*result["heard"], *result["said"]]))
    criterion = result["criterion"][0]
    products = Batch([data]).crossproducts(random)
    gap, problem = np.nan, products.problems[0]
    if not problem:
        optimum = lmm.fit(products, reml=settings.reml)
        gap = criterion - optimum.criterion[0] if optimum.converged[0] else np.nan
    if numerical:
        df = np.array(result["df"])
        checks = list(result["checks"])
    elif problem:
        df = np.full(len(data.terms), np.nan)
        checks, heard = [], [*heard, f"no degrees of freedom: {problem}"]
    else:
        at = lmm.inference_at(products, np.array([result["theta"]]), reml=settings.reml)
        df = at.df[0]
        checks = list(lmm.lme4_verdicts(at, check_singular=True)[0].messages)
        heard += lmm.lmertest_warnings(at.hessian_theta_sigma)[0]
    return Fit(
        estimate=np.array(result["estimate"]),
        se=np.array(result["se"]),
        df=df,
        se_type="REML" if settings.reml else "ML",
        df_type="Satterthwaite",
        ci_type="z",
        criterion=criterion,
        criterion_gap=gap,
        convergence=Convergence(
            optimizer=result["optimizer"][0],
            opt_code=result["opt_code"][0],
            singular=bool(result["singular"][0]),
            **complaints(checks, heard),
        ),
    )


def fit_natively(batch: Batch, random: Sequence[str], settings: Settings) -> list[Fit | FitError]:
    """Fit a mixed model with one grouping factor to many datasets by the native engine.

    Its verdicts are what lme4's checks would say of the engine's optimum, not of lme4's: that
    optimum has no gradient to complain of, so only singularity and an ill-conditioned Hessian
    are left. How often lme4 itself fails can't be learnt from them.

    Parameters
    ----------
    batch : Batch
        R datasets.
    random : sequence of str
        The terms whose coefficients vary between groups, with all their correlations.
    settings : Settings
        Its ``reml``.

    Returns
    -------
    list of R Fit or FitError
    """
    fitted = lmm.fit(batch.crossproducts(random), reml=settings.reml, on_error="report")
    verdicts = lmm.lme4_verdicts(fitted, check_singular=True)
    doubts = lmm.lmertest_warnings(fitted.hessian_theta_sigma)
    fits: list[Fit | FitError] = []
    for row, (message, verdict) in enumerate(zip(fitted.messages, verdicts, strict=True)):
        if np.isnan(fitted.criterion[row]):
            fits.append(FitError(f"fit: {message}"))
            continue
        heard = [message] if message else []
        heard += doubts[row]
        fits.append(
            Fit(
                estimate=fitted.estimate[row],
                se=fitted.se[row],
                df=fitted.df[row],
                se_type="REML" if settings.reml else "ML",
                df_type="Satterthwaite",
                ci_type="z",
                criterion=fitted.criterion[row],
                convergence=Convergence(
                    optimizer="trust-region Newton",
                    opt_code=0 if fitted.converged[row] else 1,
                    singular=verdict.singular,
                    **complaints(verdict.messages, heard),
                ),
            )
        )
    return fits


def complaints(checks: Iterable[str], heard: Iterable[str]) -> dict[str, str]:
    """Sort messages into the parts of `Convergence`.

    Parameters
    ----------
    checks : iterable of str
        lme4's gradient and Hessian checks, made for singular fits too.
    heard : iterable of str
        All that was said; what repeats the checks or the singularity is left out.
    """
    checks, heard = list(checks), list(heard)
    known = (GRADIENT, HESSIAN, LMERTEST, SINGULAR)
    return {
        "grad_msg": "; ".join(text for text in checks if GRADIENT.search(text)),
        "hess_msg": "; ".join(text for text in checks if HESSIAN.search(text)),
        "df_msg": "; ".join(text for text in heard if LMERTEST.search(text)),
        "messages": "; ".join(
            text for text in heard if not any(part.search(text) for part in known)
        ),
    }
