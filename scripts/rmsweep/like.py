"""From a user's own data to a study of data like these: a mixed model's estimates, as a study."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from rmsweep import formula
from rmsweep.data.cells import FACTOR, Codes
from rmsweep.data.dataset import Array, Batch
from rmsweep.data.items import design_of
from rmsweep.data.levels import is_constant
from rmsweep.data.scenario import terms as names_of
from rmsweep.data.template import words_of
from rmsweep.errors import UsageError, UserError
from rmsweep.measures.rates import Z95
from rmsweep.strategies import mixed, refuses
from rmsweep.strategies.mixed import RandomTerm
from rmsweep.strategies.resolve import resolve

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
POWER_STEPS = 50
OF_ITEMS = ("lmer_items", "lmer_items_kr", "lmer_items_mis")
REFERENCES = ("lmer_items", "lmer_items_mis", "lmer")
WITH_ITEMS = ("lmer", "f1", "f2", "min_f", "lm_twoway", *OF_ITEMS)
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
        How the predictor goes along with items, if keys of a study say all about it
        (`rmsweep.data.items`); empty where a file of the design does, or without items.
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
    def words(self) -> tuple[str, ...]:
        """What a study's datasets call them."""
        if self.from_file:
            return words_of(self.terms[1:], self.items is not None)
        return names_of(len(self.terms) - 1)

    @property
    def item(self) -> str:
        """The factor of the items by the user's name; empty without them."""
        return self.model.in_words(self.items.random.factor or "") if self.items else ""

    @property
    def n_items(self) -> int:
        """Number of items; 0 without them."""
        codes = self.item_codes
        return 0 if codes is None else int(codes.max()) + 1

    @property
    def item_codes(self) -> Codes | None:
        """Each row's item, (n,); None without them."""
        return self.model.data.factors[self.items.random.factor or ""] if self.items else None

    @property
    def nested(self) -> bool:
        """Whether each item is of one group alone."""
        codes = self.item_codes
        return codes is not None and is_constant(self.model.data.groups.astype(float), codes)

    @property
    def from_file(self) -> bool:
        """Whether a file has the design of a study of such data."""
        return not self.item_design

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
    random, item_design = _random(model), ""
    if len(random) > 1 and len(data.terms) == 2:
        item_design = design_of(data.X[:, 1], *data.factors.values())
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
        items=spreads[1] if len(spreads) > 1 else None,
        item_design=item_design,
    )


def _random(model: formula.Model) -> list[RandomTerm]:
    """The random effects: those of groups, and perhaps those of items."""
    data = model.data
    if not model.random:
        return [RandomTerm()]
    bars = sorted(model.random, key=lambda bar: bar.factor != data.group)
    first = RandomTerm(bars[0].columns, bars[0].covariance)
    if len(bars) == 1:
        return [first]
    group, *others = map(model.in_words, data.factors)
    if len(bars) > 2 or len(others) != 1:
        split = len({bar.factor for bar in bars}) < len(bars)
        hint = "; || makes several terms of a categorical predictor" if split else ""
        raise UsageError(
            f"formula: {len(bars)} random-effects terms; allowed: one, such as "
            f"({model.in_words(data.terms[1])} | {group}), or one for groups and one for "
            f"items{hint}"
        )
    groups, codes = data.factors.values()
    if is_constant(codes.astype(float), groups):
        raise UsageError(
            f"group: each {group} is of one {others[0]}; allowed: --group {quoted(others[0])}"
        )
    return [first, RandomTerm(bars[1].columns, bars[1].covariance, bars[1].factor)]


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


def design(found: Estimates) -> pa.Table:
    """The data's groups, numbered, and its design matrix, for a file (`rmsweep.data.template`).

    With items, which are numbered, too, like ones are next to each other, and so are like groups.
    """
    import pyarrow as pa

    model, codes = found.model, found.item_codes
    data, groups = model.data, model.data.groups
    names = [model.in_words(name) for name in (*data.factors, *data.terms[1:])]
    for place in range(len(data.factors)):
        while names.count(names[place]) > 1:
            names[place] += " (group)" if place == 0 else " (item)"
    if codes is None:
        return pa.table([pa.array(it) for it in (groups + 1, *data.X.T[1:])], names)
    width = len(str(found.n_items))
    items = by_likeness(data.X, codes, groups)[codes]
    groups = by_likeness(data.X, groups, codes)[groups]
    labels = pa.array([f"{item + 1:0{width}}" for item in items])
    columns = [pa.array(groups + 1), labels, *map(pa.array, data.X.T[1:])]
    return pa.table(columns, names).take(np.argsort(groups, kind="stable"))


def by_likeness(X: Array, levels: Codes, others: Codes) -> Codes:
    """Each level's place in an order in which like ones are next to each other.

    Levels are sorted by the columns that are constant within them, and then by where they are along
    the line on which sums of the columns by level of the other factor differ most: it tells apart
    levels that go with other rows, such as the lists of a Latin square.

    Parameters
    ----------
    X : (n, p) array
        A design matrix.
    levels, others : (n,) int array
        Levels of the factor and of the other one, 0, 1, ...

    Returns
    -------
    (L,) int array
    """
    first = np.unique(levels, return_index=True)[1]
    same = [column[first] for column in X.T if is_constant(column, levels)]
    sums = np.zeros((len(first), int(others.max()) + 1, X.shape[1]))
    np.add.at(sums, (levels, others), X / np.abs(X).max(axis=0))
    sums -= sums.mean(axis=1, keepdims=True)
    flat = sums.reshape(len(first), -1)
    along = np.random.default_rng(0).standard_normal(len(first))
    for _ in range(POWER_STEPS):
        along = flat @ (flat.T @ along)
        along /= max(np.linalg.norm(along), np.finfo(float).tiny)
    order = np.lexsort([along.round(DIGITS), *same[::-1]])
    return np.argsort(order)


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
    yield from _from_file(found, file) if found.from_file else _with_items(found)
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
    called = name if found.from_file else found.words[effect]
    yield f"power: {{effect: {quoted(called)}, target: {number(wish.target)}}}"
    yield "engine: native"
    chosen = list(wish.strategies) or suitable(found)
    yield f"strategies: [{', '.join(chosen)}]"
    if reference := next((it for it in REFERENCES if it in chosen), None):
        yield f"references: [{reference}]"


def _sizes(found: Estimates, wish: Wish, effect: int) -> Iterator[str]:
    """The lines of the numbers of groups and of rows."""
    data, item, least = found.model.data, found.item, len(found.terms) + 2
    sizes = np.bincount(data.groups)
    most, n_items = int(sizes.max()), found.n_items
    expected = enough(found, effect, wish)
    middle = max(min(expected, FARTHEST * data.n_groups), 2 * least)
    around = f"the estimate's SE promises that {expected:,} are enough; "
    if math.isinf(expected):
        middle, around = data.n_groups, f"no number is enough with {n_items} items; "
    # with the keys of items, as many groups for each of two lists
    step = 1 if found.from_file else 2
    n_groups = wish.n_groups or [step * round(share * middle / step) for share in SHARES]
    around = "" if wish.n_groups else around
    yield f"n_groups: {listed(n_groups)}  # {around}the data have {data.n_groups}"
    if not found.from_file:
        step = most // n_items
        n_obs = wish.n_obs or [step * max(2, round(it * n_items)) for it in TIMES]
        rows = "a row" if step == 1 else "two rows"
        yield f"n_obs: {listed(n_obs)}  # {rows} for each item; the data have {n_items} items"
        return
    n_obs = wish.n_obs or sorted({max(2, round(it * most)) for it in TIMES})
    if sizes.min() == most:
        yield f"n_obs: {listed(n_obs)}  # rows of a group; the data have {most} in each"
    else:
        yield f"n_obs: {listed(n_obs)}  # rows of the largest groups; the data have {most}"
        yield f"# in these and {sizes.min()} to {most} in all; others have fewer here in proportion"
    if found.nested:
        yield f"# They have {n_items:,} items ({item}) in all; a group has more or fewer in this"
        yield "# proportion, at least one."
    elif item:
        numbers = [f"{max(2, round(it / most * n_items)):,}" for it in n_obs]
        here = " and ".join(filter(None, [", ".join(numbers[:-1]), numbers[-1]]))
        yield f"# They have {n_items:,} items ({item}); so these are {here} items."


def _from_file(found: Estimates, file: str) -> Iterator[str]:
    """The lines of predictors that are the data's."""
    terms = found.terms
    if found.items:
        yield "# The design of the data, with the rows that are missing there. Groups and items"
        yield "# are resampled: each is taken equally often, to within one, and a group that has"
        yield "# an item has its rows of it. A second copy of an item is another item."
        yield f"predictors: {quoted(file)}"
        yield "n_items: all  # those of the file, in proportion to n_obs"
    else:
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
    of_items = variance_by_items(found, effect)
    if needed <= of_items:
        return math.inf
    of_groups = n_groups * (float(found.se[effect]) ** 2 - of_items)
    return max(math.ceil(of_groups / (needed - of_items)), 1)


def variance_by_items(found: Estimates, effect: int) -> float:
    r"""What the items add to the variance of an estimate, whatever the number of groups.

    Least squares weighs rows by w = X(X'X)⁻¹e, and its variance has the parts

    .. math:: \sum_l s_l' G s_l, \quad s_l = \sum_{i \in l} w_i x_i

    of groups and of items l, and σ²w'w. The share of the items' part is taken of the squared
    standard error. In balanced designs, where that is the variance of least squares, it is exact.
    """
    data, codes = found.model.data, found.item_codes
    if found.items is None or codes is None or found.nested:
        return 0.0
    w = np.linalg.pinv(data.X)[effect]

    def part(spread: Spread, levels: Codes) -> float:
        sums = np.column_stack([np.bincount(levels, w * column) for column in data.X.T])
        G = np.outer(spread.sd, spread.sd) * spread.correlation
        return float(np.einsum("lj,jk,lk->", sums, G, sums))

    of_items = part(found.items, codes)
    others = part(found.groups, data.groups) + found.residual**2 * float(w @ w)
    return float(found.se[effect]) ** 2 * of_items / (of_items + others)


def suitable(found: Estimates) -> list[str]:
    """Strategies that can say something of such data, and the formula's own mixed model.

    These are six, or with items eight, less those that can't be had. The model is added if it is
    none of them.
    """
    data = found.model.data
    if found.items:
        chosen = _that_fit(found, WITH_ITEMS)
        base = "lmer_items"
    else:
        two_stage = "lm2_level2" if data.group_level else "lm2"
        if data.cross_level:  # no group's regression can tell the terms apart
            two_stage = "lmer_zcp"
        chosen = ["lm", "lm_cr2", two_stage, "lmer", "lmer_kr", "lmer_mis"]
        base = "lmer"
    spreads = [found.groups, *([found.items] if found.items else [])]
    random = [it.random for it in spreads]
    full = all(
        {*it.names(data)} == {*data.varying(it.factor)}
        and (it.covariance == "full" or len(it.names(data)) == 1)
        for it in random
    )
    if full or all(it.names(data) == ("Intercept",) for it in random):
        return chosen
    called = dict(zip(data.terms, found.words, strict=True))
    bars = []
    for term in random:
        names = ", ".join(quoted(called[name]) for name in term.names(data))
        factor = f", factor: {FACTOR}" if term.factor else ""
        bars.append(f"{{columns: [{names}], covariance: {term.covariance}{factor}}}")
    return [*chosen, f"{{name: lmer_formula, from: {base}, random: [{', '.join(bars)}]}}"]


def _that_fit(found: Estimates, names: Sequence[str]) -> list[str]:
    """Those of some strategies that can fit data with such items."""
    data = found.model.data
    group, item = data.factors
    renamed = replace(
        data,
        factors={group: data.groups, FACTOR: data.factors[item]},
        constant={FACTOR: data.constant[item]},
        determined={FACTOR: data.determined[item]},
    )
    known, _ = resolve([*names], {"engine": "native", "verdict": "strict"}, Path())
    chosen = [one for one in known if not refuses(renamed, one)]
    # a model may have more random effects than these data can tell apart
    models = {one.options for one in chosen if one.family == "mixed"}
    fits = {it: mixed.fit_batch(Batch([renamed]), it).fitted.converged[0] for it in models}
    return [one.name for one in chosen if fits.get(one.options, True)]


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
