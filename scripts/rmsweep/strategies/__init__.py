"""Analysis strategies: families of fits, and the presets that studies name.

A family is a module of this package, or a Python or R file of the user's own. It has

- ``fit(data, options)``, which gives a `Fit`, and raises `FitError` (or any `ValueError`) where
  the data can't be fitted: that becomes a row with the message;
- optionally ``Options``, a frozen dataclass of all that the fit depends on;
- optionally ``Inference``, another one, of all that is made of a fit, and with it
  ``infer(data, fitted, inference)``: then ``fit`` may give whatever ``infer`` makes a `Fit` of, and
  strategies that differ in their inference alone share their fits;
- optionally ``refuses(data, options)``: why data of such a layout can't be fitted, or an empty
  text. It may look at the numbers of rows, groups and terms, not at the values; and
  ``refuses_to_infer(data, inference)``, the same for what is made of a fit;
- optionally ``as_formula(data, options)``: the model, if it has more than fixed effects;
- optionally ``tail_df(condition, options)``: the degrees of freedom of the t distribution that
  has the tails of its estimates in such data, where these are heavier than a normal
  distribution's;
- optionally ``ENGINE``, the program that does the computing, ``PACKAGES``, the names of the Python
  packages beyond numpy and scipy whose versions the rows depend on, and ``R_PACKAGES``, those of R;
  ``r_packages(options, inference)`` gives all of R's where options decide which they are;
- optionally ``ORDERED``, which is true if the order of a group's rows matters to it;
- optionally ``in_advance(batch, options)``, what many datasets, as those of ``fit_batch``, can have
  computed together: a list with one object for each, which ``fit`` gets as its third argument, or
  None, as where a dataset is fitted alone;
- optionally ``warm_up()``, which loads what ``fit`` needs and so keeps it out of its time;
- optionally ``fit_batch(batch, options)``, the same for many datasets at once by the project's own
  engine: a list with what ``fit`` would give, or a `FitError`, for each. They have as many groups,
  in a file of the user's own also the same rows, and so where ``wants_same_rows(data, options)``
  says it. With it, ``refuses_natively(data, options)`` where that engine can't fit all that the
  other one can, and ``MEANINGLESS_NATIVELY``, the names of options that mean nothing to it;
- optionally ``infer_batch(batch, fitted, inference)``, which gives that list from whatever
  ``fit_batch`` gives for the whole batch;
- in this package ``PRESETS``: its strategies by name, each with a label and its options. A file of
  the user's own is one strategy, with the file's name and the first line of its docstring.

Heavy imports belong inside the functions: Snakemake imports the families to check a configuration.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np

from rmsweep import user_file
from rmsweep.data import cells, scenario, sites
from rmsweep.data.dataset import Array, Dataset
from rmsweep.design import Condition, Strategy
from rmsweep.errors import UserError
from rmsweep.user_file import in_words

if TYPE_CHECKING:
    from rmsweep.lmm import LeastSquaresFit

CIType = Literal["t", "z"]
NUMBER = re.compile(r"\d[\d,]*")


class StrategyError(UserError):
    """A strategy that a study can't have: one line with the entry, and what is allowed."""


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

    @property
    def clean(self) -> bool:
        """Whether there is nothing at all to complain of."""
        texts = (self.grad_msg, self.hess_msg, self.df_msg, self.messages)
        return not (self.opt_code or self.singular or any(texts))


@dataclass(frozen=True, slots=True)
class OwnTests:
    """Tests and intervals that are not those of a t statistic.

    Attributes
    ----------
    kind : str
        What they are, such as ``wild cluster bootstrap``.
    p_value : (p,) array
        Of each coefficient against zero, two-sided.
    ci_low, ci_high : (p,) arrays
        The 95% intervals; NaN where the test has none.
    """

    kind: str
    p_value: Array
    ci_low: Array
    ci_high: Array


@dataclass(frozen=True, slots=True)
class Fit:
    """One strategy's answer for one dataset.

    Attributes
    ----------
    estimate, se, df : (p,) arrays
        Coefficients, in the order of ``Dataset.terms``, their standard errors, and the
        degrees of freedom of their t statistics, infinite for the normal distribution. NaN where
        the strategy says nothing of a term.
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
    unsaid : str
        Why there are terms of which it says nothing; empty if there are none.
    own : OwnTests or None
        Tests that take the place of those by `df`.
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
    unsaid: str = ""
    own: OwnTests | None = None

    def of_terms(self, fitted: Sequence[str], wanted: Sequence[str]) -> Fit:
        """The fit of some of the terms that it has, in the order that is wanted."""
        places = [fitted.index(term) for term in wanted]
        return replace(self, estimate=self.estimate[places], se=self.se[places], df=self.df[places])


class Conventions(TypedDict):
    """The conventions of a strategy, as `Fit` takes them."""

    se_type: str
    df_type: str
    ci_type: CIType


@dataclass(frozen=True, slots=True)
class Preset:
    """A strategy that studies can name.

    Attributes
    ----------
    label : str
        A line that says what it is.
    options : mapping
        The options that make it what it is; the others are the study's, or at their defaults.
    assumes, convention, reference, use : str
        For the list of strategies in the documentation: what has to be true of the data, how
        standard errors and tests are made, who described it or which program is its yardstick, and
        when to use it.
    needs_items, needs_sites : bool
        Whether it refuses data without items, or without sites.
    """

    label: str
    options: Mapping[str, Any] = field(default_factory=dict)
    assumes: str = ""
    convention: str = ""
    reference: str = ""
    use: str = ""
    needs_items: bool = False
    needs_sites: bool = False

    @property
    def needs_more(self) -> bool:
        """Whether it refuses data with groups alone."""
        return self.needs_items or self.needs_sites


@dataclass(frozen=True, slots=True)
class NoOptions:
    """The options of a family that has none."""


def from_least_squares(
    fitted: LeastSquaresFit,
    conventions: Conventions,
    n_terms: int | None = None,
    first: int = 0,
    unsaid: str = "",
) -> list[Fit | FitError]:
    """One `Fit`, or the reason why there is none, for each dataset of the native engine.

    Parameters
    ----------
    fitted : LeastSquaresFit
        R datasets.
    conventions : Conventions
    n_terms : int, optional
        Number of the data's terms, if there are more than those of the fit.
    first : int
        Place of the fit's first one among them.
    unsaid : str
        Why it says nothing of the others.
    """
    n_fitted = fitted.estimate.shape[1]
    place = slice(first, first + n_fitted)

    def among_all(values: Array) -> Array:
        if n_terms is None or n_terms == n_fitted:
            return values
        everywhere = np.full(n_terms, np.nan)
        everywhere[place] = values
        return everywhere

    df = np.broadcast_to(fitted.df, fitted.estimate.shape)
    return [
        FitError(message)
        if message
        else Fit(
            among_all(estimate), among_all(se), among_all(own_df), unsaid=unsaid, **conventions
        )
        for estimate, se, own_df, message in zip(
            fitted.estimate, fitted.se, df, fitted.messages, strict=True
        )
    ]


def lacks(data: Dataset, factor: str) -> str:
    """That there is no such factor; empty if there is."""
    if factor in data.factors:
        return ""
    keys = {cells.FACTOR: " (see n_items)", sites.FACTOR: " (see n_sites)"}
    hint = keys.get(factor, "")
    return f"no factor {factor}{hint}; the data have {', '.join(data.factors)}"


def says_nothing_of(terms: Sequence[str]) -> str:
    """Why a strategy has no estimates of group-level terms; empty if there are none."""
    return f"no estimate of {', '.join(terms)}: constant within groups" if terms else ""


@cache
def presets() -> dict[str, tuple[str, Preset]]:
    """All strategies of this package: name to family and preset."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        for name, preset in getattr(load(module.name), "PRESETS", {}).items():
            found[name] = (module.name, preset)
    return dict(sorted(found.items()))


def is_file(family: str) -> bool:
    """Whether a family is a file of the user's own."""
    return family.endswith((".py", ".R"))


@cache
def load(family: str) -> Any:
    """A family: a module, or for an R file what acts as one.

    Raises
    ------
    StrategyError
        If a file can't be read, in Python's or R's own words.
    """
    if not is_file(family):
        return importlib.import_module(f"{__name__}.{family}")
    path = Path(family)
    if path.suffix == ".R":
        return importlib.import_module(f"{__name__}.r_file").RFile(path)
    # a helper beside it can be imported
    if str(path.parent.resolve()) not in sys.path:
        sys.path.append(str(path.parent.resolve()))
    try:
        module = user_file.load(path, "strategy")
    except (Exception, SystemExit) as error:
        raise StrategyError(f"{family}: {in_words(error)}") from None
    if not callable(getattr(module, "fit", None)):
        raise StrategyError(f"{family}: no function fit(data, options)")
    options = getattr(module, "Options", NoOptions)
    if not (is_dataclass(options) and options.__dataclass_params__.frozen):  # type: ignore[attr-defined]
        raise StrategyError(f"{family}: Options is no frozen dataclass")
    if isinstance(getattr(module, "PACKAGES", ()), str):
        raise StrategyError(f"{family}: PACKAGES is one text; allowed: a tuple of names")
    return module


def engines(family: str) -> tuple[str, ...]:
    """The engines that can fit a family, its own first."""
    module = load(family)
    own = str(getattr(module, "ENGINE", "python"))
    return (own, "native") if hasattr(module, "fit_batch") else (own,)


def packages(
    strategy: Strategy, audit: bool = False
) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """The packages of Python and of R that a strategy's rows depend on; None if it needs no R."""
    if strategy.engine == "native" and not audit:
        return (), None
    module = load(strategy.family)
    of_r = getattr(module, "R_PACKAGES", None)
    if hasattr(module, "r_packages"):
        of_r = module.r_packages(strategy.options, strategy.inference)
    return getattr(module, "PACKAGES", ()), of_r


def tail_df(strategy: Strategy, condition: Condition) -> float:
    """Degrees of freedom of the t distribution whose tails a strategy's estimates have.

    It decides which moments there are, whatever a sample says: those below it. Infinite for the
    normal distribution's. Some tails are those of any strategy's estimates
    (`rmsweep.data.scenario.tail_df`).
    """
    tails = getattr(load(strategy.family), "tail_df", None)
    own = float(tails(condition, strategy.options)) if tails else np.inf
    return min(own, scenario.tail_df(condition))


def as_formula(data: Dataset, strategy: Strategy) -> str:
    """The model of a strategy as a formula."""
    write = getattr(load(strategy.family), "as_formula", None)
    return str(write(data, strategy.options)) if write else data.formula


def warm_up(family: str) -> None:
    """Load what a family needs to fit by its own engine.

    Raises
    ------
    StrategyError
        If a file of the user's own can't, in its own words.
    """
    prepare = getattr(load(family), "warm_up", None)
    if prepare is None:
        return
    try:
        prepare()
    except UserError:
        raise
    except Exception as error:
        if not is_file(family):
            raise
        raise StrategyError(f"{family}: warm_up: {in_words(error)}") from None


def refuses_layout(condition: Condition, strategy: Strategy) -> str:
    """Why a strategy can't fit a condition's datasets even with no row missing; empty if it can.

    The layout of the data decides, whatever the replication. Rows that are missing at random leave
    some datasets that can be fitted if those with all rows can; and where sizes of groups differ
    between datasets, some may be fitted. Of samples of the items it must be true that all groups
    meet the same ones, with most rows of each, and that none meet the same, with most items: what
    holds for both holds for all.
    """
    if scenario.sizes_differ(condition):
        return ""
    reasons = [
        refuses(scenario.simulate(0, one, 0).data, strategy)
        for one in scenario.extremes(scenario.complete(condition))
    ]
    kinds = {NUMBER.sub("", reason) for reason in reasons}
    return reasons[0] if len(kinds) == 1 else ""


def refuses(data: Dataset, strategy: Strategy) -> str:
    """Why a strategy can't fit data of such a layout; empty if it can."""
    if not len(data.y):
        return "no row is observed"
    module = load(strategy.family)
    depends_on = {"refuses": strategy.options, "refuses_to_infer": strategy.inference}
    if strategy.engine == "native":
        depends_on["refuses_natively"] = strategy.options
    try:
        reasons = (
            getattr(module, name)(data, chosen)
            for name, chosen in depends_on.items()
            if hasattr(module, name)
        )
        return str(next(filter(None, reasons), ""))
    except Exception as error:
        if not is_file(strategy.family):
            raise
        return f"refuses: {in_words(error)}"


def wants_same_rows(data: Dataset, strategy: Strategy) -> bool:
    """Whether a strategy fits datasets together only where all of them have the same rows."""
    wants = getattr(load(strategy.family), "wants_same_rows", None)
    return is_file(strategy.family) or bool(wants and wants(data, strategy.options))
