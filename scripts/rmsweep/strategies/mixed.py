"""Mixed models, by lme4 or by the native engine."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from rmsweep.data import sites
from rmsweep.data.cells import FACTOR
from rmsweep.data.dataset import Array, Batch, Dataset
from rmsweep.strategies import CIType, Convergence, Fit, FitError, Preset, lacks

if TYPE_CHECKING:
    from rmsweep.lmm import Covariance, Crossings, CrossProducts, LmmFit

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
        Names of the terms; ``all`` of the fixed effects that vary within the factor's levels: a
        coefficient of another one can't differ between these.
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
        return data.varying(self.factor)


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
    penalty : float
        What is minimised is the criterion less this times log|G|, G being the random effects'
        covariance relative to σ²: no fit is singular then. 0 for no such penalty.
    """

    random: tuple[RandomTerm, ...] = (RandomTerm(),)
    reml: bool = True
    optimizer: Literal["nloptwrap", "bobyqa", "Nelder_Mead"] = "nloptwrap"
    derivatives: Literal["closed", "numerical"] = "closed"
    penalty: float = 0.0

    def __post_init__(self) -> None:
        if not self.random:
            raise ValueError("random is empty; allowed: a list of random-effects terms")
        if self.penalty < 0:
            raise ValueError(f"penalty is {self.penalty:g}; allowed: 0 and more")
        if self.penalty and self.derivatives == "numerical":
            raise ValueError("a penalty needs derivatives: closed; lmerTest's know of no penalty")


@dataclass(frozen=True, slots=True)
class Inference:
    """What is made of a fit.

    Attributes
    ----------
    interval : {"z", "t"}
        Reference distribution of the intervals: the normal, as lme4's Wald intervals, or
        Student's t with the degrees of freedom of the tests.
    df : {"satterthwaite", "kenward_roger", "between_within", "normal"}
        Degrees of freedom of the tests. Kenward and Roger's come with their own standard errors;
        ``between_within`` takes the number of groups less that of the coefficients of the groups'
        level for these, for coefficients that vary between groups and for interactions of the two,
        and the number of rows less those of groups and of the other coefficients for the rest;
        ``normal`` takes t for z.
    se : {"model", "cr2"}
        Standard errors of the model, or cluster-robust ones that the model makes unbiased (CR2);
        Satterthwaite's degrees of freedom are then those of CR2.
    """

    interval: CIType = "z"
    df: Literal["satterthwaite", "kenward_roger", "between_within", "normal"] = "satterthwaite"
    se: Literal["model", "cr2"] = "model"

    def __post_init__(self) -> None:
        if (self.df, self.se) == ("kenward_roger", "cr2"):
            raise ValueError("df: kenward_roger has standard errors of its own; leave se out")

    @property
    def small_sample(self) -> Literal["kenward_roger", "cr2"] | None:
        """The inference for small samples that takes more than the fit, if any."""
        if self.df == "kenward_roger":
            return "kenward_roger"
        return "cr2" if self.se == "cr2" else None


INTERCEPT = (RandomTerm(("Intercept",)),)
ITEMS = (RandomTerm(), RandomTerm(factor=FACTOR))
INTERCEPTS = (*INTERCEPT, RandomTerm(("Intercept",), factor=FACTOR))
SITES = (RandomTerm(), RandomTerm(factor=sites.FACTOR))
# blme's default prior, of Wishart's family
BLME = 1.5

PRESETS = {
    "lmer": Preset(
        "Mixed model with random intercepts and slopes",
        {"random": (RandomTerm(),)},
        assumes="normal coefficients of groups with any covariance, normal noise of one variance",
        convention="REML; t tests with Satterthwaite's df; z intervals",
        reference="lme4, lmerTest (Bates et al. 2015; Kuznetsova et al. 2017)",
        use="the default of the field; with few groups its z intervals are too short",
    ),
    "lmer_t": Preset(
        "Mixed model with random intercepts and slopes, t intervals",
        {"random": (RandomTerm(),), "interval": "t"},
        assumes="as lmer",
        convention="as lmer, but t intervals with Satterthwaite's df",
        reference="lmerTest",
        use="whenever lmer is, if intervals are reported: they agree with the tests",
    ),
    "lmer_z": Preset(
        "Mixed model with random intercepts and slopes, t taken for z",
        {"random": (RandomTerm(),), "df": "normal"},
        assumes="as lmer, and many groups",
        convention="REML; z tests and intervals",
        reference="lme4 (Barr et al. 2013; Luke 2017)",
        use="to see what t as z costs: too many false positives with few groups",
    ),
    "lmer_ml": Preset(
        "Mixed model by maximum likelihood",
        {"random": (RandomTerm(),), "reml": False, "interval": "t"},
        assumes="as lmer, and many groups",
        convention="ML; t tests and intervals with Satterthwaite's df",
        reference="lmerTest",
        use="to see what ML costs: SEs are too small by about sqrt(1 - 1/G)",
    ),
    "lmer_bw": Preset(
        "Mixed model with between-within degrees of freedom",
        {"random": (RandomTerm(),), "df": "between_within", "interval": "t"},
        assumes="as lmer",
        convention="REML; G - 1 less the group-level terms for terms that vary between groups and "
        "for group-level ones, N - G less the within-group terms for others",
        reference="closed form; for terms without a random slope, nlme",
        use="as a simple stand-in for Satterthwaite's df, which can explode at singular fits",
    ),
    "lmer_kr": Preset(
        "Mixed model with Kenward-Roger inference",
        {"random": (RandomTerm(),), "reml": True, "df": "kenward_roger", "interval": "t"},
        assumes="as lmer",
        convention="REML; adjusted SEs, t with Kenward and Roger's df",
        reference="pbkrtest (Kenward & Roger 1997)",
        use="with few groups and fits that aren't singular; where they are, it is conservative",
    ),
    "lmer_cr2": Preset(
        "Mixed model with cluster-robust (CR2) standard errors",
        {"random": (RandomTerm(),), "se": "cr2", "interval": "t"},
        assumes="independent groups; the model only makes SEs unbiased",
        convention="REML; CR2 with Satterthwaite's df",
        reference="clubSandwich (Pustejovsky & Tipton 2018)",
        use="where the covariance of the full model is in doubt; liberal at singular fits",
    ),
    "lmer_mis": Preset(
        "Mixed model with random intercepts only",
        {"random": INTERCEPT},
        assumes="slopes that don't differ between groups",
        convention="REML; t tests with Satterthwaite's df; z intervals",
        reference="lme4, lmerTest",
        use="to see what left-out random slopes cost: far too many false positives",
    ),
    "lmer_mis_cr2": Preset(
        "Mixed model with random intercepts only and cluster-robust (CR2) standard errors",
        {"random": INTERCEPT, "se": "cr2", "interval": "t"},
        assumes="independent groups; the model only makes SEs unbiased",
        convention="REML; CR2 with Satterthwaite's df",
        reference="clubSandwich (Pustejovsky & Tipton 2018; Huang & Zhang 2025)",
        use="where the full model is singular: it keeps its size whatever the slopes do",
    ),
    "lmer_zcp": Preset(
        "Mixed model with uncorrelated random intercepts and slopes",
        {"random": (RandomTerm(covariance="diagonal"),), "interval": "t"},
        assumes="as lmer, with uncorrelated coefficients of groups",
        convention="REML; t with Satterthwaite's df",
        reference="lme4's `||`, lmerTest",
        use="where the full model is singular: better than to drop the slopes",
    ),
    "lmer_blme": Preset(
        "Mixed model with a penalty against singular fits",
        {
            "random": (RandomTerm(),),
            "penalty": BLME,
            "derivatives": "closed",
            "df": "normal",
        },
        assumes="as lmer",
        convention="REML criterion - 1.5 log|G|, G relative to the residual variance; z, since "
        "there are no df (`df: between_within` is a variant)",
        reference="the criterion of blme's default prior (Chung et al. 2013), minimised by R's "
        "nlminb; blme 1.0-5 itself misses the minimum",
        use="where the full model is singular and correlations are to stay",
    ),
    "lmer_items": Preset(
        "Mixed model with random intercepts and slopes of groups and of items",
        {"random": ITEMS, "interval": "t"},
        assumes="normal coefficients of groups and of items with any covariances, normal noise of "
        "one variance",
        convention="REML; t with Satterthwaite's df; slopes by item for predictors that vary "
        "within items",
        reference="lme4, lmerTest (Baayen et al. 2008; Barr et al. 2013)",
        use="whenever groups meet items: the model that the design justifies",
        needs_items=True,
    ),
    "lmer_items_z": Preset(
        "Mixed model with random intercepts and slopes of groups and of items, t taken for z",
        {"random": ITEMS, "df": "normal"},
        assumes="as lmer_items, and many groups and items",
        convention="REML; z tests and intervals",
        reference="lme4 (Barr et al. 2013; Luke 2017)",
        use="to see what t as z costs: too many false positives with few groups or items",
        needs_items=True,
    ),
    "lmer_items_kr": Preset(
        "Mixed model of groups and items with Kenward-Roger inference",
        {"random": ITEMS, "reml": True, "df": "kenward_roger", "interval": "t"},
        assumes="as lmer_items",
        convention="REML; adjusted SEs, t with Kenward and Roger's df",
        reference="pbkrtest (Kenward & Roger 1997)",
        use="with few groups or items and fits that aren't singular",
        needs_items=True,
    ),
    "lmer_items_zcp": Preset(
        "Mixed model with uncorrelated random intercepts and slopes of groups and of items",
        {
            "random": (
                RandomTerm(covariance="diagonal"),
                RandomTerm(covariance="diagonal", factor=FACTOR),
            ),
            "interval": "t",
        },
        assumes="as lmer_items, with uncorrelated coefficients",
        convention="REML; t with Satterthwaite's df",
        reference="lme4's `||`, lmerTest",
        use="where the full model is singular: better than to drop the slopes",
        needs_items=True,
    ),
    "lmer_items_mis": Preset(
        "Mixed model with random intercepts of groups and of items only",
        {"random": INTERCEPTS, "interval": "t"},
        assumes="slopes that differ neither between groups nor between items",
        convention="REML; t with Satterthwaite's df",
        reference="lme4, lmerTest (Barr et al. 2013)",
        use="to see what left-out random slopes cost: far too many false positives",
        needs_items=True,
    ),
    "lmer_sites": Preset(
        "Mixed model with random intercepts and slopes of groups and of their sites",
        {"random": SITES, "interval": "t"},
        assumes="normal coefficients of groups and of sites with any covariances, normal noise of "
        "one variance",
        convention="REML; t with Satterthwaite's df; slopes by site for predictors that vary "
        "within sites",
        reference="lme4, lmerTest (Raudenbush & Bryk 2002)",
        use="whenever groups are nested in sites: the model that the design justifies",
        needs_sites=True,
    ),
    "lmer_sites_kr": Preset(
        "Mixed model of groups and their sites with Kenward-Roger inference",
        {"random": SITES, "reml": True, "df": "kenward_roger", "interval": "t"},
        assumes="as lmer_sites",
        convention="REML; adjusted SEs, t with Kenward and Roger's df",
        reference="pbkrtest (Kenward & Roger 1997)",
        use="with few sites and fits that aren't singular",
        needs_sites=True,
    ),
    "lmer_sites_mis": Preset(
        "Mixed model with random intercepts and slopes of groups, and intercepts of sites only",
        {
            "random": (RandomTerm(), RandomTerm(("Intercept",), factor=sites.FACTOR)),
            "interval": "t",
        },
        assumes="slopes that don't differ between sites",
        convention="REML; t with Satterthwaite's df",
        reference="lme4, lmerTest",
        use="to see what left-out random slopes of sites cost: too many false positives",
        needs_sites=True,
    ),
}


def r_packages(options: Options, inference: Inference) -> tuple[str, ...]:
    """The packages of R that the rows depend on."""
    from rmsweep import lme4

    own = inference.small_sample
    return (*R_PACKAGES, *([lme4.SMALL_SAMPLE[own]] if own else []))


def warm_up() -> None:
    """Start R with lme4."""
    from rmsweep import lme4

    lme4.start()


def refuses(data: Dataset, options: Options) -> str:
    """More rows than random effects are needed for each term, which lme4 insists on."""
    n_rows = len(data.y)
    for term in options.random:
        factor = term.factor or data.group
        if reason := lacks(data, factor):
            return reason
        codes = data.factors[factor]
        if absent := [name for name in term.names(data) if not data.has_column(name)]:
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
    if options.penalty and (foreign := refuses_natively(data, options)):
        return f"no derivatives of the penalised criterion: {foreign}"
    return ""


def refuses_natively(data: Dataset, options: Options) -> str:
    """Why the native engine can't fit a model that lme4 can; empty if it can."""
    if not is_crossed(data, options):
        return ""
    from rmsweep import lmm

    if options.penalty:
        return "the native engine has the penalty for one random-effects term of the groups alone"
    known = [(data.factors[it.factor or data.group], it) for it in options.random]
    for (codes, term), (other_codes, other) in itertools.combinations(known, 2):
        shared = {*term.names(data)} & {*other.names(data)}
        if shared and same_partition(codes, other_codes):
            one, another = (it.factor or data.group for it in (term, other))
            if one == another:
                return f"two terms have the effect of {min(shared)} for {one}"
            return f"{one} and {another} have the same levels, which share {min(shared)}"
    sizes = sorted((int(codes.max()) + 1) * len(term.names(data)) for codes, term in known)
    if sum(sizes[:-1]) > lmm.MOST_DENSE:
        return (
            f"{sum(sizes[:-1]):,} random effects beside those of the largest term; the native "
            f"engine fits at most {lmm.MOST_DENSE:,}"
        )
    return ""


def is_crossed(data: Dataset, options: Options) -> bool:
    """Whether a model has other random effects than those of one term for the groups."""
    return len(options.random) > 1 or options.random[0].factor not in (None, data.group)


def wants_same_rows(data: Dataset, options: Options) -> bool:
    """Several terms of groups, and what they are nested in, do: no crossing has missing rows."""
    return is_crossed(data, options) and len(data.factors) == 1 + len(data.above)


def same_partition(codes: NDArray[np.int64], others: NDArray[np.int64]) -> bool:
    """Whether two factors put the same rows together."""
    n_levels, n_others = int(codes.max()) + 1, int(others.max()) + 1
    return n_levels == n_others == len(np.unique(codes * n_others + others))


def refuses_to_infer(data: Dataset, inference: Inference) -> str:
    """Between-within degrees of freedom can run out."""
    if inference.df != "between_within":
        return ""
    n_groups, n_level = data.n_groups, len(data.group_level)
    if n_groups - 1 - n_level < 1:
        return f"{n_groups} groups leave no between-groups degree of freedom"
    if len(data.y) - n_groups - (len(data.terms) - 1 - n_level) < 1:
        return f"{len(data.y)} rows in {n_groups} groups leave no within-groups degree of freedom"
    return ""


def beyond_fixed_effects(data: Dataset, term: RandomTerm) -> str:
    """Why it matters to derived fits that random effects have columns of their own."""
    others = [name for name in term.names(data) if name not in data.terms]
    return f"no native fit with random effects of {', '.join(others)} alone" if others else ""


@dataclass(frozen=True, slots=True)
class ByLme4:
    """lme4's fit of one dataset.

    Attributes
    ----------
    model : Fit
        With the model's standard errors and Satterthwaite's degrees of freedom.
    theta : tuple of float
        Where lme4 stopped.
    options : Options
    order : tuple of int
        Where the parameters of the terms, one after the other, are in `theta`.
    sigma : float
        Residual standard deviation.
    """

    model: Fit
    theta: tuple[float, ...]
    options: Options
    order: tuple[int, ...]
    sigma: float

    @property
    def theta_of_terms(self) -> list[float]:
        """θ, term after term; lme4 has an order of its own where there are several."""
        return [self.theta[place] for place in self.order]


@dataclass(frozen=True, slots=True)
class Natively:
    """The native engine's fits of a batch.

    Attributes
    ----------
    fitted : LmmFit
    products : CrossProducts or Crossings
        What it needed to know of the data.
    convergence : list of R Convergence
    options : Options
    """

    fitted: LmmFit
    products: CrossProducts | Crossings
    convergence: list[Convergence]
    options: Options


def bars(data: Dataset, options: Options) -> list[str]:
    """The random-effects terms of lme4's formula."""
    from rmsweep import lme4

    return [
        lme4.bar(term.names(data), term.factor or data.group, term.covariance == "full")
        for term in options.random
    ]


@dataclass(frozen=True, slots=True)
class Optimum:
    """What the native engine finds for a dataset that lme4 is to fit.

    Attributes
    ----------
    fits : LmmFit
        Those of a batch.
    of_batch : CrossProducts or Crossings
        What the engine needed to know of its datasets.
    row : int
        The dataset's place in it.
    """

    fits: LmmFit
    of_batch: CrossProducts | Crossings
    row: int = 0

    @property
    def message(self) -> str:
        """What is wrong with it; empty if nothing is."""
        return self.fits.messages[self.row]

    @property
    def criterion(self) -> float:
        """The least criterion; NaN if it isn't proved to be least."""
        return self.fits.criterion[self.row] if self.fits.converged[self.row] else np.nan

    @property
    def products(self) -> CrossProducts | Crossings:
        """What there is to know of the dataset alone."""
        from rmsweep import lmm

        if isinstance(self.of_batch, lmm.Crossings):
            return self.of_batch
        return self.of_batch.take(np.array([self.row]))


def in_advance(batch: Batch, options: Options) -> Sequence[Optimum | None]:
    """The native engine's optima of many datasets, found together.

    None where `fit` has to look for itself: with several random-effects terms, and in data that are
    too small.
    """
    data = batch.datasets[0]
    if is_crossed(data, options) or len(data.y) <= len(data.terms):
        return [None] * len(batch.datasets)
    products = known(batch, options)
    fits = fitted_natively(products, options)
    return [Optimum(fits, products, row) for row in range(len(batch.datasets))]


def fit(data: Dataset, options: Options, optimum: Optimum | None = None) -> ByLme4:
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
    optimum : Optimum, optional
        Of this dataset (`in_advance`).

    Raises
    ------
    FitError
        If the response is an exact function of the predictors, for lme4 would stop anywhere.
    ValueError
        With R's own words, if the model can't be fitted.
    """
    from rmsweep import lme4, lmm

    foreign = refuses_natively(data, options)
    numerical = options.derivatives == "numerical" or bool(foreign)
    lowest, problem = np.nan, foreign or refuses(data, options)
    if len(data.y) <= len(data.terms):
        problem = "no more rows than coefficients"
    # what lme4 refuses, it refuses in its own words
    if not problem:
        if optimum is None:
            products = known(Batch([data]), options)
            optimum = Optimum(fitted_natively(products, options), products)
        products = optimum.products
        problem = products.problems[0]
        if optimum.message in (lmm.EXACT, lmm.EXACT_BY_GROUP, lmm.EXACT_BY_TERMS):
            raise FitError(f"fit: {optimum.message}")
        numerical |= optimum.message == lmm.TOO_PRECISE
        lowest = optimum.criterion
    result = lme4.lmer(
        data,
        bars(data, options),
        reml=options.reml,
        optimizer=options.optimizer,
        numerical=numerical,
        penalty=options.penalty,
    )
    messages = list(dict.fromkeys([*result["messages"], *result["warnings"]]))
    criterion = result["criterion"][0]
    order = in_own_order(data, options, result)
    if numerical:
        df = np.array(result["df"])
        checks = list(result["checks"])
    elif problem:
        df = np.full(len(data.terms), np.nan)
        checks, messages = [], [*messages, f"no degrees of freedom: {problem}"]
    else:
        theta = np.array([result["theta"]])
        if isinstance(products, lmm.Crossings):
            theta = theta[:, order]
            at = lmm.crossed_inference_at(products, theta, reml=options.reml)
        else:
            at = lmm.inference_at(products, theta, **one_term(options))
        df = at.df[0]
        checks = list(lmm.lme4_checks(at, check_singular=True)[0].messages)
        messages += lmm.lmertest_warnings(at.hessian_theta_sigma)[0]
    fitted = Fit(
        estimate=np.array(result["estimate"]),
        se=np.array(result["se"]),
        df=df,
        se_type=se_type(options),
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
    return ByLme4(
        fitted,
        tuple(result["theta"]),
        options,
        tuple(order),
        result["sigma"][0],
    )


def as_formula(data: Dataset, options: Options) -> str:
    """The model as a formula of lme4's."""
    return " + ".join([data.formula, *bars(data, options)])


def infer(data: Dataset, fitted: ByLme4, inference: Inference) -> Fit:
    """Make of lme4's fit what is asked for.

    Kenward and Roger's standard errors and degrees of freedom are pbkrtest's (Halekoh & Højsgaard
    2014, J. Statistical Software 59:9), cluster-robust ones clubSandwich's (Pustejovsky & Tipton
    2018, J. Business & Economic Statistics 36:672), both where lme4 stopped.

    Raises
    ------
    FitError
        If the adjustment is for REML, and the fit is not.
    ValueError
        With R's own words, if the package has no answer.
    """
    from rmsweep import lme4

    options = fitted.options
    if inference.small_sample is None:
        return concluded(data, fitted.model, options, inference)
    if inference.small_sample == "kenward_roger" and not options.reml:
        raise FitError("Kenward and Roger's adjustment is for fits by REML")
    found = lme4.small_sample(
        data,
        bars(data, options),
        reml=options.reml,
        theta=fitted.theta,
        kind=inference.small_sample,
    )
    adjusted = np.array(found["se"]), np.array(found["df"])
    return concluded(data, fitted.model, options, inference, adjusted)


def concluded(
    data: Dataset,
    model: Fit,
    options: Options,
    inference: Inference,
    adjusted: tuple[Array, Array] | None = None,
) -> Fit:
    """The fit with the standard errors and tests that are asked for.

    Parameters
    ----------
    data : Dataset
    model : Fit
        With the model's own ones, and Satterthwaite's.
    options : Options
    inference : Inference
    adjusted : (se, df), optional
        Those that `Inference.small_sample` calls for.
    """
    if inference == Inference():
        return model
    parts: dict[str, object] = {"ci_type": inference.interval}
    if adjusted is not None:
        parts |= {"se": adjusted[0], "df": adjusted[1], "se_type": se_type(options, inference)}
    if inference.df == "kenward_roger":
        parts["df_type"] = "Kenward-Roger"
    elif inference.df == "between_within":
        parts |= {"df": between_within(data, options), "df_type": "between-within"}
    elif inference.df == "normal":
        parts |= {"df": np.full(len(model.se), np.inf), "df_type": "infinite"}
    return replace(model, **parts)  # type: ignore[arg-type]


def between_within(data: Dataset, options: Options) -> Array:
    """Degrees of freedom of each term (`Inference`); the intercept is of the groups' level."""
    of_groups = [term for term in options.random if term.factor in (None, data.group)]
    varying = {"Intercept", *(name for term in of_groups for name in term.names(data))}
    if len(varying) > 1:  # interactions tell the slopes of groups apart
        varying |= {*data.cross_level}
    within = len(data.terms) - len({"Intercept", *data.group_level} & {*data.terms})
    between_df = data.n_groups - 1 - len(data.group_level)
    within_df = len(data.y) - data.n_groups - within
    between = [term in varying or term in data.group_level for term in data.terms]
    return np.where(between, float(between_df), float(within_df))


def se_type(options: Options, inference: Inference | None = None) -> str:
    """The convention of the standard errors."""
    likelihood = "REML" if options.reml else "ML"
    if options.penalty:
        likelihood = f"{likelihood} - {options.penalty:g} log|G|"
    words = {"kenward_roger": f"{likelihood}, Kenward-Roger", "cr2": f"{likelihood}, CR2"}
    kind = inference.small_sample if inference else None
    return words[kind] if kind else likelihood


def fit_batch(batch: Batch, options: Options) -> Natively:
    """Fit a mixed model to many datasets by the native engine.

    Its verdicts are what lme4's checks would say of the engine's optimum, not of lme4's: that
    optimum has no gradient to complain of, so only singularity and an ill-conditioned Hessian
    are left. How often lme4 itself fails can't be learnt from them.

    Parameters
    ----------
    batch : Batch
        R datasets.
    options : Options
        Its ``random``, ``reml`` and ``penalty``.
    """
    from rmsweep import lmm

    products = known(batch, options)
    fitted = fitted_natively(products, options)
    checked = lmm.lme4_checks(fitted, check_singular=True)
    df_warnings = lmm.lmertest_warnings(fitted.hessian_theta_sigma)
    convergence = []
    for row, (message, checks) in enumerate(zip(fitted.messages, checked, strict=True)):
        messages = [message] if message else []
        messages += df_warnings[row]
        convergence.append(
            Convergence(
                optimizer="trust-region Newton",
                opt_code=0 if fitted.converged[row] else 1,
                singular=checks.singular,
                **complaints(checks.messages, messages),
            )
        )
    return Natively(fitted, products, convergence, options)


def infer_batch(batch: Batch, fits: Natively, inference: Inference) -> list[Fit | FitError]:
    """Make of the engine's fits what is asked for, all by closed forms.

    Parameters
    ----------
    batch : Batch
        R datasets.
    fits : Natively
    inference : Inference

    Returns
    -------
    list of R Fit or FitError

    Raises
    ------
    ValueError
        If the adjustment is for REML, and the fits are not.
    """
    from rmsweep import lmm

    fitted, options = fits.fitted, fits.options
    adjusted = None
    if inference.small_sample == "kenward_roger":
        if isinstance(fitted, lmm.CrossedFit):
            found = lmm.crossed_kenward_roger(fits.products, fitted)  # type: ignore[arg-type]
        else:
            found = lmm.kenward_roger(fits.products, fitted)  # type: ignore[arg-type]
        adjusted = found.se, found.df
    elif inference.small_sample == "cr2":
        if isinstance(fitted, lmm.CrossedFit):
            raise FitError("CR2 is for one random-effects term of the groups alone")
        (term,), data = options.random, batch.datasets[0]
        if reason := beyond_fixed_effects(data, term):
            raise FitError(reason)
        random = [data.terms.index(name) for name in term.names(data)]
        adjusted = lmm.robust_inference(batch.crossproducts(data.terms), fitted, random)
    concluded_fits: list[Fit | FitError] = []
    for row, (data, convergence) in enumerate(zip(batch.datasets, fits.convergence, strict=True)):
        if np.isnan(fitted.criterion[row]):
            concluded_fits.append(FitError(f"fit: {fitted.messages[row]}"))
            continue
        model = Fit(
            estimate=fitted.estimate[row],
            se=fitted.se[row],
            df=fitted.df[row],
            se_type=se_type(options),
            df_type="Satterthwaite",
            ci_type="z",
            criterion=fitted.criterion[row],
            convergence=convergence,
        )
        own = None if adjusted is None else (adjusted[0][row], adjusted[1][row])
        concluded_fits.append(concluded(data, model, options, inference, own))
    return concluded_fits


class OneTerm(TypedDict):
    """What the native engine is told of a model with one term."""

    reml: bool
    covariance: Covariance
    penalty: float


def one_term(options: Options) -> OneTerm:
    """The model's only term."""
    (term,) = options.random
    return OneTerm(reml=options.reml, covariance=term.covariance, penalty=options.penalty)


def fitted_natively(products: CrossProducts | Crossings, options: Options) -> LmmFit:
    """The fits of all datasets; those that can't be fitted have a message."""
    from rmsweep import lmm

    if isinstance(products, lmm.Crossings):
        return lmm.fit_crossed(products, reml=options.reml, on_error="report")
    return lmm.fit(products, **one_term(options), on_error="report")


def intercept_first(term: RandomTerm, data: Dataset) -> list[str]:
    """The terms that vary, in the order of lme4's parameters."""
    return sorted(term.names(data), key=lambda name: name != "Intercept")


def known(batch: Batch, options: Options, without: int | None = None) -> CrossProducts | Crossings:
    """What the native engine needs to know of the data, perhaps `without` a fixed effect."""
    data = batch.datasets[0]
    if is_crossed(data, options):
        return crossings(batch, options, without)
    (term,) = options.random
    names = tuple(intercept_first(term, data))
    first = names == data.terms[: len(names)]
    if without is None and (first or not {*names} <= {*data.terms}):
        return batch.crossproducts(names)
    whole = batch.crossproducts(data.terms)
    if without is not None:
        whole = whole.without_fixed_effect(without)
    if first:
        return whole.with_leading_random_effects(len(names))
    return whole.with_random_effects([data.terms.index(name) for name in names])


def crossings(batch: Batch, options: Options, without: int | None) -> Crossings:
    """The same for several terms."""
    from rmsweep import lmm

    data, factors = batch.datasets[0], batch.factors
    X = batch.stacked(lambda one: one.X)
    random = []
    for term in options.random:
        names = intercept_first(term, data)
        if set(names) <= set(data.terms):
            Z = X[:, :, [data.terms.index(name) for name in names]]
        else:
            Z = batch.stacked(methodcaller("columns", names))
        random.append(lmm.Term(factors[term.factor or data.group], Z, term.covariance))
    kept = [place for place in range(len(data.terms)) if place != without]
    y = batch.stacked(lambda one: one.y)
    present = None
    if batch.crossings:
        present = batch.stacked(lambda one: np.ones(len(one.y))) > 0
    return lmm.crossings(y, X[:, :, kept], random, present)


def in_own_order(data: Dataset, options: Options, result: Mapping[str, Any]) -> list[int]:
    """Where the parameters of the terms, one after the other, are among lme4's.

    lme4 sorts terms by their factors' numbers of levels, and makes each column of ``||`` a term.
    """
    if not is_crossed(data, options):
        return list(range(len(result["theta"])))
    places: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    first = column = 0
    for factor, n_columns in zip(result["term_factors"], result["term_sizes"], strict=True):
        names = tuple(
            "Intercept" if name == "(Intercept)" else name.strip("`")
            for name in result["term_columns"][column : column + n_columns]
        )
        size = n_columns * (n_columns + 1) // 2
        places[factor.strip("`"), names] = list(range(first, first + size))
        first, column = first + size, column + n_columns
    order = []
    for term in options.random:
        factor, names = term.factor or data.group, tuple(intercept_first(term, data))
        own = [names] if term.covariance == "full" else [(name,) for name in names]
        order += [place for it in own for place in places[factor, it]]
    return order


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
