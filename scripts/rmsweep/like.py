"""From a user's own data to a study of data like these: a mixed model's estimates, as a study."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from rmsweep import formula
from rmsweep.data.dataset import Array, Batch
from rmsweep.data.items import FACTOR, design_of
from rmsweep.data.scenario import terms as names_of
from rmsweep.data.template import words_of
from rmsweep.errors import UsageError, UserError
from rmsweep.measures.rates import Z95
from rmsweep.strategies import mixed
from rmsweep.strategies.mixed import RandomTerm

if TYPE_CHECKING:
    import pyarrow as pa

DIGITS = 6
"""Of the numbers in a study, so that they are the same on every machine."""
DEFINITE = 1e-3
"""Least eigenvalue of a correlation matrix in a study."""
SHARES = (0.5, 0.75, 1.0, 1.5, 2.0)
"""Numbers of groups by default, in units of the one that is expected to be enough."""
FARTHEST = 10
"""How many times the data's groups a study's middle one is at most by default."""
TIMES = (0.5, 1.0, 2.0)
"""Numbers of rows by default, in units of the data's."""
CONTROL = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
LONGEST_TITLE = 200
N_SIMS = 1000
TARGET = 0.8


@dataclass(frozen=True, slots=True)
class Spread:
    """How the coefficients differ between the levels of a factor; p coefficients.

    Attributes
    ----------
    random : RandomTerm
        The columns whose coefficients differ.
    sd : (p,) array
        Of the coefficients; zero for those that don't differ.
    correlation : (p, p) array
        Of these; positive definite.
    shrunk : bool
        Whether the estimated one was not, and has been made so.
    """

    random: RandomTerm
    sd: Array
    correlation: Array
    shrunk: bool


@dataclass(frozen=True, slots=True)
class Estimates:
    """A mixed model of a user's data; p coefficients.

    Attributes
    ----------
    model : Model
    beta, se : (p,) arrays
        Fixed effects in the dataset's order, the intercept first, and their standard errors.
    groups : Spread
    residual : float
        SD of the residuals.
    items : Spread or None
        That of the second factor, if the model has one.
    item_design : str
        How the predictor goes along with items (`rmsweep.data.items`); empty without them.
    """

    model: formula.Model
    beta: Array
    se: Array
    groups: Spread
    residual: float
    items: Spread | None = None
    item_design: str = ""

    @property
    def terms(self) -> list[str]:
        """The coefficients by the user's names, in the dataset's order."""
        return [self.model.in_words(term) for term in self.model.data.terms]

    @property
    def item(self) -> str:
        """The factor of the items by the user's name; empty without them."""
        return self.model.in_words(self.items.random.factor or "") if self.items else ""

    @property
    def n_items(self) -> int:
        """Number of items; 0 without them."""
        factor = self.items.random.factor if self.items else None
        return int(self.model.data.factors[factor].max()) + 1 if factor else 0

    @property
    def as_formula(self) -> str:
        """The model, as R would spell it."""
        data = self.model.data
        random = (self.groups.random, *([self.items.random] if self.items else []))
        text = mixed.as_formula(data, mixed.Options(random))
        return self.model.as_formula(text)


def estimates(model: formula.Model) -> Estimates:
    """Fit a mixed model by REML, with the native engine.

    That is the formula's own random effects, else all that `lmer` has by default.

    Raises
    ------
    UsageError
        If the model can't be fitted, or a study can't have such data.
    """
    data = model.data
    if not data.terms or data.terms[0] != "Intercept":
        raise UsageError("formula: without an intercept; allowed: one with an intercept")
    if len(data.terms) < 2:
        raise UsageError("formula: without a predictor; allowed: one with a predictor")
    random, item_design = [RandomTerm()], ""
    if model.random:
        bars = sorted(model.random, key=lambda bar: bar.factor != data.group)
        random = [RandomTerm(bars[0].columns, bars[0].covariance)]
        if len(bars) > 1:
            item_design = _item_design(model)
            random.append(RandomTerm(bars[1].columns, bars[1].covariance, bars[1].factor))
    for term in random:
        _check(model, term)
    options = mixed.Options(tuple(random))
    bars_of_one = " + ".join(f"(1 | {model.in_words(factor)})" for factor in data.factors)
    simpler = f"; a formula with {bars_of_one} has fewer random effects"
    if reason := mixed.refuses(data, options) or mixed.refuses_natively(data, options):
        raise UsageError(f"formula: {model.in_words(reason)}{simpler}")
    found = mixed.fit_batch(Batch([data]), options).fitted
    if not found.converged[0]:
        raise UserError(f"formula: {model.in_words(found.messages[0])}{simpler}")
    spreads, first = [], 0
    for term in random:
        names = mixed.intercept_first(term, data)
        q = len(names)
        last = first + (q * (q + 1) // 2 if term.covariance == "full" else q)
        G = covariance(found.theta[0, first:last], q, term.covariance) * found.sigma[0] ** 2
        places = [data.terms.index(name) for name in names]
        spreads.append(_spread(term, G, places, len(data.terms)))
        first = last
    return Estimates(
        model=model,
        beta=found.estimate[0],
        se=found.se[0],
        groups=spreads[0],
        residual=float(found.sigma[0]),
        items=spreads[1] if item_design else None,
        item_design=item_design,
    )


def _item_design(model: formula.Model) -> str:
    """How the predictor goes along with the levels of a second factor."""
    data = model.data
    group, *others = map(model.in_words, data.factors)
    terms = [model.in_words(term) for term in data.terms[1:]]
    if len(model.random) > 2 or len(others) != 1:
        raise UsageError(
            f"formula: {len(model.random)} random-effects terms; allowed: one, such as "
            f"({terms[0]} | {group}), or one for groups and one for items"
        )
    x, (item,) = data.X[:, -1], others
    n_values = len(np.unique(x))
    if len(terms) > 1 or n_values != 2:
        many = f"{len(terms)} predictors" if len(terms) > 1 else f"{terms[0]} has {n_values} values"
        raise UsageError(f"formula: {many}; allowed with {item}: one predictor with two values")
    design = design_of(x, *data.factors.values())
    if not design:
        raise UsageError(
            f"formula: no design of {group}, {item} and {terms[0]} that a study has; allowed: each "
            f"{group} meets each {item} once, with {terms[0]} constant within {item} or in a Latin "
            f"square of two lists, or meets each {item} at both values; both values as often"
        )
    return design


def _check(model: formula.Model, term: RandomTerm) -> None:
    """Refuse random effects that a study can't have."""
    data, names = model.data, term.names(model.data)
    if others := [model.in_words(name) for name in names if name not in data.terms]:
        raise UsageError(
            f"formula: random effects of {', '.join(others)}; allowed: of terms that are fixed "
            "effects, too"
        )
    same = data.constant[term.factor] if term.factor else data.group_level
    if constant := [model.in_words(name) for name in names if name in same]:
        within = model.in_words(term.factor) if term.factor else "groups"
        raise UsageError(
            f"formula: random effects of {', '.join(constant)}; allowed: of terms that vary "
            f"within {within}"
        )


def _spread(term: RandomTerm, G: Array, places: Sequence[int], p: int) -> Spread:
    """SDs and correlations of all p coefficients, from the covariance of those at some places."""
    sd, R = np.zeros(p), np.eye(p)
    sd[places] = np.sqrt(np.diag(G))
    varying = [k for k in places if sd[k] > 0]
    inside = [places.index(k) for k in varying]
    R[np.ix_(varying, varying)] = G[np.ix_(inside, inside)] / np.outer(sd[varying], sd[varying])
    np.fill_diagonal(R, 1.0)
    least = float(np.linalg.eigvalsh(R)[0])
    share = max(0.0, (DEFINITE - least) / (1 - least)) if least < DEFINITE else 0.0
    R = (1 - share) * R + share * np.eye(p)
    return Spread(term, sd, R, shrunk=share > 0)


def covariance(theta: Array, q: int, kind: str) -> Array:
    """The random effects' covariance relative to σ², (q, q), from lme4's parameters."""
    L = np.zeros((q, q))
    if kind == "full":
        rows, columns = np.triu_indices(q)
        L[columns, rows] = theta
    else:
        np.fill_diagonal(L, theta)
    return L @ L.T


def design(model: formula.Model) -> pa.Table:
    """The data's groups, numbered, and its design matrix, for a file (`rmsweep.data.template`)."""
    import pyarrow as pa

    data = model.data
    terms = [model.in_words(term) for term in data.terms[1:]]
    group = model.in_words(data.group)
    while group in terms:
        group += " (group)"
    columns = {group: pa.array(data.groups + 1)}
    columns |= dict(zip(terms, map(pa.array, data.X.T[1:]), strict=True))
    return pa.table(columns)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a user wants to know.

    Attributes
    ----------
    effect : str
        The term whose power is asked for; empty for the last one of the formula.
    truth : float or None
        Its true value; None for its estimate.
    n_groups, n_obs : sequence of int
        Designs; empty for groups around the number that is expected to be enough, and multiples of
        the data's rows.
    strategies : sequence of str
        Empty for those that such data suit.
    target : float
        The power that is wanted.
    """

    effect: str = ""
    truth: float | None = None
    n_groups: Sequence[int] = ()
    n_obs: Sequence[int] = ()
    strategies: Sequence[str] = ()
    target: float = TARGET


def study(found: Estimates, data: Path, file: str, command: str, wish: Wish) -> str:
    """A study of data like a user's, as YAML; every number says where it comes from.

    Parameters
    ----------
    found : Estimates
    data : Path
        The user's file.
    file : str
        Name of the file of the design, beside the study.
    command : str
        What made the study.
    wish : Wish

    Raises
    ------
    UsageError
        If the wish is for a term that the model lacks.
    """
    model, terms = found.model, found.terms
    effect = wish.effect or model.in_words(model.order[-1])
    if effect not in terms[1:]:
        raise UsageError(f"--effect: {effect!r} is no term; allowed: {', '.join(terms[1:])}")
    lines = _lines(found, data, file, command, wish, terms.index(effect))
    # a name can hold a line break, which would end a comment
    return "\n".join(CONTROL.sub(" ", line) for line in lines) + "\n"


def _lines(
    found: Estimates, path: Path, file: str, command: str, wish: Wish, effect: int
) -> Iterator[str]:
    """The lines of a study."""
    terms, item = found.terms, found.item
    data, group = found.model.data, found.model.in_words(found.model.data.group)
    name, truth = terms[effect], wish.truth
    factors = f"{group} and {found.n_items:,} items by {item}," if item else f"{group},"
    yield f"# Data like those of {path.name}: {len(data.y):,} rows, {data.n_groups:,} groups by"
    yield f"# {factors} in a study of the power for {name}. Made by"
    yield f"#   {command}"
    yield f"# from the estimates of {found.as_formula}"
    yield "# by REML. All numbers can be edited. docs/power.md explains the study."
    of_items = f" and items ({item})" if item else ""
    title = CONTROL.sub(" ", f"How many groups ({group}){of_items} does it take to find {name}?")
    yield f"title: {quoted(title[:LONGEST_TITLE])}"
    yield "description: >-"
    yield f"  Datasets like {path.name}, analysed in several ways: their coefficients, variances"
    yield "  and predictors are those of the data."
    yield "seed: 0"
    yield ""
    yield from _sizes(found, wish, effect)
    yield "sigma: [1]  # multiplies the SDs in sigma_ratio: 1 is as in the data"
    yield f"n_sims: {N_SIMS}  # datasets per design: the MCSE of a power of 80% is 1.3 points"
    yield ""
    yield from _with_items(found) if item else _from_file(found, file)
    yield "beta:  # true coefficients"
    for k, term in enumerate(terms):
        estimate, se = number(found.beta[k]), number(found.se[k])
        if k == effect and truth is not None:
            yield f"  - {number(truth)}  # {term}: as asked for; estimate {estimate}, SE {se}"
        else:
            yield f"  - {estimate}  # {term}: estimate, SE {se}"
    yield from _of_spread(found, found.groups, ("sigma_ratio", "effect_correlation"), "groups")
    if found.items:
        yield "item_sigma: 1  # multiplies the SDs in item_sigma_ratio: 1 is as in the data"
        yield from _of_spread(found, found.items, ("item_sigma_ratio", "item_correlation"), "items")
    yield f"noise_sd: {number(found.residual)}  # SD of the residuals: estimate"
    yield ""
    yield "# What the study asks. The true effect is in beta; best is the smallest that matters."
    called = names_of(len(terms) - 1)[effect] if item else name
    yield f"power: {{effect: {quoted(called)}, target: {number(wish.target)}}}"
    yield "engine: native"
    chosen = list(wish.strategies) or suitable(found)
    yield f"strategies: [{', '.join(chosen)}]"
    if reference := next((it for it in ("lmer_items", "lmer") if it in chosen), None):
        yield f"references: [{reference}]"


def _sizes(found: Estimates, wish: Wish, effect: int) -> Iterator[str]:
    """The lines of the numbers of groups and of rows."""
    data, item, least = found.model.data, found.item, len(found.terms) + 2
    sizes = np.bincount(data.groups)
    most = int(sizes.max())
    expected = enough(found, effect, wish)
    middle = max(min(expected, FARTHEST * data.n_groups), 2 * least)
    around = f"the estimate's SE promises that {expected:,} are enough; "
    if math.isinf(expected):
        middle, around = data.n_groups, f"no number is enough with {found.n_items} items; "
    # with items, as many groups for each of two lists
    step = 2 if item else 1
    n_groups = wish.n_groups or [step * round(share * middle / step) for share in SHARES]
    around = "" if wish.n_groups else around
    yield f"n_groups: {listed(n_groups)}  # {around}the data have {data.n_groups}"
    if item:
        step = most // found.n_items
        n_obs = wish.n_obs or [step * max(2, round(it * found.n_items)) for it in TIMES]
        rows = "a row" if step == 1 else "two rows"
        yield f"n_obs: {listed(n_obs)}  # {rows} for each item; the data have {found.n_items} items"
        return
    n_obs = wish.n_obs or sorted({max(2, round(it * most)) for it in TIMES})
    if sizes.min() == most:
        yield f"n_obs: {listed(n_obs)}  # rows of a group; the data have {most} in each"
    else:
        yield f"n_obs: {listed(n_obs)}  # rows of the largest groups; the data have {most}"
        yield f"# in these and {sizes.min()} to {most} in all; others have fewer here in proportion"


def _from_file(found: Estimates, file: str) -> Iterator[str]:
    """The lines of predictors that are the data's."""
    terms = found.terms
    alike = "all groups have the same rows" if _alike(found) else "groups are resampled whole"
    yield f"# The design matrix of the data; {alike}. If n_obs is not the data's, the"
    yield "# rows that are left out, or taken once more, are random ones of the group. Or"
    yield "# rows: first (the first ones) or rows: spread (in equal steps from first to last)."
    yield f"predictors: {{from: {quoted(file)}, rows: random}}"
    yield f"n_predictors: {len(terms) - 1}  # {', '.join(terms[1:])}"


def _with_items(found: Estimates) -> Iterator[str]:
    """The lines of the predictor of data with items."""
    name, item = found.terms[1], found.item
    low, high = np.unique(found.model.data.X[:, 1])
    said = {
        "between": f"is the same in all rows of an item ({item})",
        "latin_square": f"has the one or the other value for an item ({item}), by the group's list",
        "within": f"has both values for each group and item ({item})",
    }[found.item_design]
    yield "# The design of the data: all groups meet all items, as many at each of two values."
    yield "n_items: all  # as many as a group meets in n_obs rows"
    yield f"n_predictors: 1  # IV1: {name}"
    yield "predictor_distribution: factor  # two values, predictor_mean - and + predictor_sd"
    yield f"predictor_mean: {number((low + high) / 2)}  # {name} is {number(low)} or {number(high)}"
    yield f"predictor_sd: {number((high - low) / 2)}  # half of their difference"
    yield f"item_design: {found.item_design}  # {name} {said}"


def _of_spread(
    found: Estimates, spread: Spread, keys: tuple[str, str], whose: str
) -> Iterator[str]:
    """The lines of the SDs and correlations of coefficients."""
    terms, data = found.terms, found.model.data
    columns = spread.random.names(data)
    yield f"{keys[0]}:  # SDs of the {whose}' coefficients"
    for k, term in enumerate(terms):
        said = "estimate" if data.terms[k] in columns else f"the same in all {whose}"
        yield f"  - {number(spread.sd[k])}  # {term}: {said}"
    beside = spread.correlation[~np.eye(len(terms), dtype=bool)]
    if spread.random.covariance == "full" and beside.any():
        why = "estimates" + ", a little nearer to 0 as the fit is singular" * spread.shrunk
        yield f"{keys[1]}:  # of these coefficients: {why}"
        for k, row in enumerate(spread.correlation):
            yield f"  - [{', '.join(number(it) for it in row)}]  # {terms[k]}"


def enough(found: Estimates, effect: int, wish: Wish) -> float:
    """About how many groups give an effect that power, with as many rows of each as in the data.

    The squared standard error falls with their number, but for the items' part; a z test needs an
    effect of Φ⁻¹(power) + 1.96 standard errors. Infinite if the items' part alone is too large.
    """
    n_groups = found.model.data.n_groups
    truth = found.beta[effect] if wish.truth is None else wish.truth
    if not truth:  # which is refused where the study is checked
        return n_groups
    needed = float(truth / (ndtri(wish.target) + Z95)) ** 2
    of_items = variance_by_items(found)
    if needed <= of_items:
        return math.inf
    of_groups = n_groups * (float(found.se[effect]) ** 2 - of_items)
    return max(math.ceil(of_groups / (needed - of_items)), 1)


def variance_by_items(found: Estimates) -> float:
    """What the items add to the variance of the predictor's estimate, if both values are as often.

    It is that of the difference of two means of I / 2 intercepts where the predictor is constant
    within items, else that of the mean of I slopes.
    """
    if not found.items:
        return 0.0
    intercept, slope = np.square(found.items.sd)
    if found.item_design == "between":
        return float(intercept / np.ptp(found.model.data.X[:, 1]) ** 2 * 4 / found.n_items)
    return float(slope / found.n_items)


def suitable(found: Estimates) -> list[str]:
    """Strategies that can say something of such data, and the formula's own mixed model.

    These are six, or with items eight. The model is added if it is none of them.
    """
    data, terms = found.model.data, found.terms
    if found.items:
        chosen = ["lmer", "f1", "f2", "min_f", "lm_twoway"]
        chosen += ["lmer_items", "lmer_items_kr", "lmer_items_mis"]
        base, words = "lmer_items", names_of(len(terms) - 1)
    else:
        two_stage = "lm2_level2" if data.group_level else "lm2"
        if data.cross_level:  # no group's regression can tell the terms apart
            two_stage = "lmer_zcp"
        chosen = ["lm", "lm_cr2", two_stage, "lmer", "lmer_kr", "lmer_mis"]
        base, words = "lmer", words_of(terms[1:])
    spreads = [found.groups, *([found.items] if found.items else [])]
    random = [it.random for it in spreads]
    full = all(
        {*it.names(data)} == {*data.varying(it.factor)}
        and (it.covariance == "full" or len(it.names(data)) == 1)
        for it in random
    )
    if full or all(it.names(data) == ("Intercept",) for it in random):
        return chosen
    called = dict(zip(data.terms, words, strict=True))
    bars = []
    for term in random:
        names = ", ".join(quoted(called[name]) for name in term.names(data))
        factor = f", factor: {FACTOR}" if term.factor else ""
        bars.append(f"{{columns: [{names}], covariance: {term.covariance}{factor}}}")
    return [*chosen, f"{{name: lmer_formula, from: {base}, random: [{', '.join(bars)}]}}"]


def _alike(found: Estimates) -> bool:
    """Whether all groups of the data have the same rows of the design."""
    data = found.model.data
    sizes = np.bincount(data.groups)
    if (sizes != sizes[0]).any():
        return False
    X = data.X[np.argsort(data.groups, kind="stable")].reshape(len(sizes), -1)
    return not np.ptp(X, axis=0).any()


def number(value: float, digits: int = DIGITS) -> str:
    """A number as a study spells it."""
    return f"{float(value) + 0.0:.{digits}g}"


def listed(numbers: Sequence[int]) -> str:
    """Numbers as a list of YAML."""
    return f"[{', '.join(map(str, numbers))}]"


def quoted(text: str) -> str:
    """A text that YAML takes for nothing else."""
    return json.dumps(text, ensure_ascii=False)
