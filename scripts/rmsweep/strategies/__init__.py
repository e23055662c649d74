"""Analysis strategies: one file each, one contract.

A file ``scripts/rmsweep/strategies/NAME.py`` is the strategy ``NAME``. It has

- a docstring, whose first line is the strategy's label in tables and figures;
- ``fit(data, settings) -> Fit``, which raises `FitError` (or any `ValueError`) where the
  data can't be fitted: that becomes a row with the message;
- optionally ``minimum(n_terms) -> (groups, observations per group)``, the least data that it
  can fit, so that a grid that asks for less is refused before any job starts;
- optionally ``warm_up()``, which loads what ``fit`` needs and so keeps it out of its time;
- optionally ``ENGINE``, the program that does the computing;
- optionally ``fit_natively(batch, settings)``, the same for many datasets at once by the
  project's own engine: a list with a `Fit` or a `FitError` for each.

Heavy imports belong inside these functions: Snakemake imports the files to check the
configuration.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypedDict

import numpy as np

from rmsweep.dataset import Array, Batch, Dataset

if TYPE_CHECKING:
    from rmsweep.design import Settings, Verdict
    from rmsweep.inference import CIType
    from rmsweep.lmm import LeastSquaresFit


class FitError(ValueError):
    """A dataset that a strategy can't fit. It is a row of data, not an end of the run."""


@dataclass(frozen=True, slots=True)
class Convergence:
    """What an iterative fit said of itself, in parts that don't overlap.

    Attributes
    ----------
    optimizer : str or None
        Name of the optimizer; None for closed-form fits, for which the rest is empty.
    opt_code : int or None
        The optimizer's return code; 0 is success.
    singular : bool or None
        Whether an estimated variance is (nearly) zero or a correlation (nearly) one.
    grad_msg, hess_msg : str
        The complaint of lme4's gradient and of its Hessian check; made for singular fits too,
        which today's lme4 exempts from them.
    df_msg : str
        lmerTest's complaint about the Hessian that its degrees of freedom rest on.
    messages : str
        All other warnings and messages, joined by "; ".
    """

    optimizer: str | None = None
    opt_code: int | None = None
    singular: bool | None = None
    grad_msg: str = ""
    hess_msg: str = ""
    df_msg: str = ""
    messages: str = ""

    def success(self, verdict: Verdict) -> bool:
        """Whether the fit counts as converged.

        Parameters
        ----------
        verdict : {"strict", "published"}
            ``strict``, lme4 from 1.1-19 on: any complaint is a failure, singularity included.
            ``published``, lme4 up to 1.1-18 as the post's program read it: a singular fit is
            no failure, and only lme4's own complaints count, not lmerTest's.
        """
        complaints = bool(self.opt_code or self.grad_msg or self.hess_msg or self.messages)
        if verdict == "published":
            return not complaints
        return not (complaints or self.singular or self.df_msg)


@dataclass(frozen=True, slots=True)
class Fit:
    """One strategy's answer for one dataset.

    Attributes
    ----------
    estimate, se, df : (p,) arrays
        Coefficients, in the order of ``Dataset.terms``, their standard errors, and the
        degrees of freedom of their t statistics.
    se_type, df_type : str
        The conventions that standard errors and degrees of freedom follow.
    ci_type : {"t", "z"}
        Reference distribution of the 95% confidence interval.
    criterion : float
        What the fit minimised (REML criterion or deviance); NaN for closed-form fits.
    criterion_gap : float
        How far that is above the optimum that the native engine finds.
    convergence : Convergence
        How the fit went.
    """

    estimate: Array
    se: Array
    df: Array
    se_type: str
    df_type: str
    ci_type: CIType
    criterion: float = np.nan
    criterion_gap: float = np.nan
    convergence: Convergence = field(default_factory=Convergence)


class Conventions(TypedDict):
    """The conventions of a strategy, as `Fit` takes them."""

    se_type: str
    df_type: str
    ci_type: CIType


def from_least_squares(fitted: LeastSquaresFit, conventions: Conventions) -> list[Fit | FitError]:
    """One `Fit`, or the reason why there is none, for each dataset of the native engine."""
    return [
        FitError(message)
        if message
        else Fit(estimate=estimate, se=se, df=np.full(len(se), fitted.df), **conventions)
        for estimate, se, message in zip(fitted.estimate, fitted.se, fitted.messages, strict=True)
    ]


class Strategy(Protocol):
    """What a strategy's file has to offer (the optional parts are left out here)."""

    __doc__: str | None

    def fit(self, data: Dataset, settings: Settings) -> Fit:
        """Fit one dataset."""

    def fit_natively(self, batch: Batch, settings: Settings) -> list[Fit | FitError]:
        """Fit many datasets at once."""


def names() -> list[str]:
    """Names of all strategies."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> Strategy:
    """The strategy of that name.

    Raises
    ------
    ModuleNotFoundError
        If there is none.
    """
    strategy: Strategy = importlib.import_module(f"{__name__}.{name}")
    return strategy


def engines(name: str) -> tuple[str, ...]:
    """The engines that can fit the strategy, its own first."""
    module = load(name)
    own = str(getattr(module, "ENGINE", "python"))
    return (own, "native") if hasattr(module, "fit_natively") else (own,)


def warm_up(name: str) -> None:
    """Load what the strategy needs to fit."""
    prepare = getattr(load(name), "warm_up", None)
    if prepare:
        prepare()


def label(name: str) -> str:
    """The first line of the strategy's docstring."""
    return (load(name).__doc__ or name).strip().splitlines()[0].rstrip(".")


def minimum(name: str, n_terms: int) -> tuple[int, int]:
    """Fewest groups, and observations per group, that the strategy can fit."""
    declared = getattr(load(name), "minimum", None)
    groups, observations = declared(n_terms) if declared else (2, 1)
    return groups, observations
