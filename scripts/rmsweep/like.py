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
class Estimates:
    """A mixed model of a user's data; p coefficients.

    Attributes
    ----------
    model : Model
    random : RandomTerm
        The columns whose coefficients differ between groups.
    beta, se : (p,) arrays
        Fixed effects in the dataset's order, the intercept first, and their standard errors.
    sd : (p,) array
        Of the groups' coefficients; zero for those that don't differ.
    correlation : (p, p) array
        Of these; positive definite.
    shrunk : bool
        Whether the estimated one was not, and has been made so.
    residual : float
        SD of the residuals.
    """

    model: formula.Model
    random: RandomTerm
    beta: Array
    se: Array
    sd: Array
    correlation: Array
    shrunk: bool
    residual: float

    @property
    def terms(self) -> list[str]:
        """The coefficients by the user's names, in the dataset's order."""
        return [self.model.in_words(term) for term in self.model.data.terms]

    @property
    def as_formula(self) -> str:
        """The model, as R would spell it."""
        data = self.model.data
        text = mixed.as_formula(data, mixed.Options((self.random,)))
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
    if len(model.random) > 1:
        raise UsageError(
            f"formula: {len(model.random)} random-effects terms; allowed: one, such as "
            f"({model.in_words(data.terms[1])} | {model.in_words(data.group)})"
        )
    random = RandomTerm()
    for bar in model.random:
        random = RandomTerm(bar.columns, bar.covariance)
    columns = sorted(random.names(data), key=lambda name: name != "Intercept")
    if others := [model.in_words(name) for name in columns if name not in data.terms]:
        raise UsageError(
            f"formula: random effects of {', '.join(others)}; allowed: of terms that are fixed "
            "effects, too"
        )
    if constant := [model.in_words(name) for name in columns if name in data.group_level]:
        raise UsageError(
            f"formula: random effects of {', '.join(constant)}; allowed: of terms that vary "
            "within groups"
        )
    options = mixed.Options((random,))
    simpler = f"; a formula with (1 | {model.in_words(data.group)}) has fewer random effects"
    if reason := mixed.refuses(data, options):
        raise UsageError(f"formula: {model.in_words(reason)}{simpler}")
    found = mixed.fit_batch(Batch([data]), options).fitted
    if not found.converged[0]:
        raise UserError(f"formula: {model.in_words(found.messages[0])}{simpler}")
    G = covariance(found.theta[0], len(columns), random.covariance) * found.sigma[0] ** 2
    places = [data.terms.index(name) for name in columns]
    p = len(data.terms)
    sd, R = np.zeros(p), np.eye(p)
    sd[places] = np.sqrt(np.diag(G))
    varying = [k for k in places if sd[k] > 0]
    inside = [places.index(k) for k in varying]
    R[np.ix_(varying, varying)] = G[np.ix_(inside, inside)] / np.outer(sd[varying], sd[varying])
    np.fill_diagonal(R, 1.0)
    least = float(np.linalg.eigvalsh(R)[0])
    share = max(0.0, (DEFINITE - least) / (1 - least)) if least < DEFINITE else 0.0
    R = (1 - share) * R + share * np.eye(p)
    return Estimates(
        model=model,
        random=random,
        beta=found.estimate[0],
        se=found.se[0],
        sd=sd,
        correlation=R,
        shrunk=share > 0,
        residual=float(found.sigma[0]),
    )


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
        Empty for six that such data suit.
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
    model, terms = found.model, found.terms
    data, group = model.data, model.in_words(model.data.group)
    sizes = np.bincount(data.groups)
    most = int(sizes.max())
    expected = enough(found, effect, wish)
    least = len(terms) + 2
    middle = max(min(expected, FARTHEST * data.n_groups), 2 * least)
    n_groups = wish.n_groups or [round(share * middle) for share in SHARES]
    around = "" if wish.n_groups else f"the estimate's SE promises that {expected:,} are enough; "
    n_obs = wish.n_obs or sorted({max(2, round(it * most)) for it in TIMES})
    name, truth = terms[effect], wish.truth
    yield f"# Data like those of {path.name}: {len(data.y):,} rows, {data.n_groups:,} groups by"
    yield f"# {group}, in a study of the power for {name}. Made by"
    yield f"#   {command}"
    yield f"# from the estimates of {found.as_formula}"
    yield "# by REML. All numbers can be edited. docs/power.md explains the study."
    title = CONTROL.sub(" ", f"How many groups ({group}) does it take to find {name}?")
    yield f"title: {quoted(title[:LONGEST_TITLE])}"
    yield "description: >-"
    yield f"  Datasets like {path.name}, analysed in several ways: their coefficients, variances"
    yield "  and predictors are those of the data."
    yield "seed: 0"
    yield ""
    yield f"n_groups: {listed(n_groups)}  # {around}the data have {data.n_groups}"
    if sizes.min() == most:
        yield f"n_obs: {listed(n_obs)}  # rows of a group; the data have {most} in each"
    else:
        yield f"n_obs: {listed(n_obs)}  # rows of the largest groups; the data have {most}"
        yield f"# in these and {sizes.min()} to {most} in all; others have fewer here in proportion"
    yield "sigma: [1]  # multiplies the SDs in sigma_ratio: 1 is as in the data"
    yield f"n_sims: {N_SIMS}  # datasets per design: the MCSE of a power of 80% is 1.3 points"
    yield ""
    alike = "all groups have the same rows" if _alike(found) else "groups are resampled whole"
    yield f"# The design matrix of the data; {alike}. If n_obs is not the data's, the"
    yield "# rows that are left out, or taken once more, are random ones of the group. Or"
    yield "# rows: first (the first ones) or rows: spread (in equal steps from first to last)."
    yield f"predictors: {{from: {quoted(file)}, rows: random}}"
    yield f"n_predictors: {len(terms) - 1}  # {', '.join(terms[1:])}"
    yield "beta:  # true coefficients"
    for k, term in enumerate(terms):
        estimate, se = number(found.beta[k]), number(found.se[k])
        if k == effect and truth is not None:
            yield f"  - {number(truth)}  # {term}: as asked for; estimate {estimate}, SE {se}"
        else:
            yield f"  - {estimate}  # {term}: estimate, SE {se}"
    yield "sigma_ratio:  # SDs of the groups' coefficients"
    columns = found.random.names(data)
    for k, term in enumerate(terms):
        said = "estimate" if data.terms[k] in columns else "the same in all groups"
        yield f"  - {number(found.sd[k])}  # {term}: {said}"
    beside = found.correlation[~np.eye(len(terms), dtype=bool)]
    if found.random.covariance == "full" and beside.any():
        why = "estimates" + ", a little nearer to 0 as the fit is singular" * found.shrunk
        yield f"effect_correlation:  # of these coefficients: {why}"
        for k, row in enumerate(found.correlation):
            yield f"  - [{', '.join(number(it) for it in row)}]  # {terms[k]}"
    yield f"noise_sd: {number(found.residual)}  # SD of the residuals: estimate"
    yield ""
    yield "# What the study asks. The true effect is in beta; best is the smallest that matters."
    yield f"power: {{effect: {quoted(name)}, target: {number(wish.target)}}}"
    yield "engine: native"
    chosen = list(wish.strategies) or suitable(found)
    yield f"strategies: [{', '.join(chosen)}]"
    if "lmer" in chosen:
        yield "references: [lmer]"


def enough(found: Estimates, effect: int, wish: Wish) -> int:
    """About how many groups give an effect that power, with as many rows of each as in the data.

    The standard error falls with the square root of their number; a z test needs an effect of
    Φ⁻¹(power) + 1.96 standard errors.
    """
    n_groups = found.model.data.n_groups
    truth = found.beta[effect] if wish.truth is None else wish.truth
    if not truth:  # which is refused where the study is checked
        return n_groups
    errors = float(found.se[effect] / abs(truth) * (ndtri(wish.target) + Z95))
    return max(math.ceil(n_groups * errors**2), 1)


def suitable(found: Estimates) -> list[str]:
    """Six strategies that can say something of such data, and the formula's own mixed model.

    That is added if it is neither `lmer` nor `lmer_mis`.
    """
    data = found.model.data
    two_stage = "lm2_level2" if data.group_level else "lm2"
    if data.cross_level:  # no group's regression can tell the terms apart
        two_stage = "lmer_zcp"
    six = ["lm", "lm_cr2", two_stage, "lmer", "lmer_kr", "lmer_mis"]
    columns, covariance = found.random.names(data), found.random.covariance
    if columns == ("Intercept",) or (
        {*columns} == {*RandomTerm().names(data)} and covariance == "full"
    ):
        return six
    words = dict(zip(data.terms, words_of(found.terms[1:]), strict=True))
    names = ", ".join(quoted(words[name]) for name in columns)
    random = f"{{columns: [{names}], covariance: {covariance}}}"
    return [*six, f"{{name: lmer_formula, from: lmer, random: [{random}]}}"]


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
