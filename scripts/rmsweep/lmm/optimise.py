"""Minimises the criterion of many datasets at once.

The covariance is G = YY' with Y symmetric and unbounded. A bound on θ, as in lme4, can hold an
optimiser at a variance of zero that isn't optimal; with YY' a zero variance is an ordinary
stationary point, and Y's Hessian has a negative eigenvalue there unless the optimum is truly
singular: in the null space of Y it is the derivative of the criterion with respect to G. So
"gradient zero and Hessian positive semidefinite" is the whole optimality condition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rmsweep.lmm.covariance import Covariance, Derivatives, Model, Root, symmetric_root
from rmsweep.lmm.criterion import Criterion, criterion, datasets_at_once, penalised
from rmsweep.lmm.crossproducts import Blocks
from rmsweep.lmm.smallmatrix import (
    Array,
    Workspace,
    all_finite,
    eigenvalues_above,
    from_eigen,
    solve_each,
    sums_of_squares,
)
from rmsweep.lmm.start import (
    MORE_STARTS,
    RANDOM_STARTS,
    first_roots,
    further_roots,
    random_starts,
    scored,
    several_minima,
)

# Converged: the quadratic model promises less than this, half of which is the decrease of the
# criterion that is left. A Newton step squares it, so it is mostly far below.
DECREMENT = 1e-12

# Converged: no eigenvalue of the Hessian is below minus this fraction of the largest. Smaller
# ones are rounding; the decrease that one of this size could promise is of the order of 1e-12.
CURVATURE = 1e-6

MAX_EVALUATIONS = 200

# A search heads for a known minimum when a Newton step leaves it no more than this fraction of the
# way there, and promises to leave no more of the criterion's height above it. On 486,000 small
# datasets 39 lowest minima are missed at 0.35, 47 at 0.37 and 56 at 0.4, where a dataset takes 4%
# fewer evaluations.
HEADED = 0.35

# A search settles in a higher minimum than the one known when a Newton step promises no more than
# half of this fraction of the height between them.
SETTLED = 1e-4

# Relative and absolute rounding of the criterion, by which a step may seem to go uphill.
ROUNDING = (1e-12, 1e-11)

# A search that did not arrive, but this far below an optimum, has something else to arrive at.
_DISPROVEN = 1e-6

# Smallest curvature, relative to the largest, that a Newton step believes in.
_FLATTEST = 1e-9

# First radius of the trust region, as a fraction of the norm of the root that a search starts from.
# A further search of small data takes a tenth more steps at 2 than at 0.35, a quarter more at 0.15.
_FIRST_RADIUS = 0.35

# The trust region grows where more than the first fraction of the decrease promised has come, to a
# multiple of the step, and shrinks where less than the second has, at most to a fraction of it.
_WELL, _BADLY = 0.75, 0.25
_LONGER, _SHORTEST = 1.5, 0.2

# At negative curvature a step goes at least this fraction of the radius along it: near a saddle the
# gradient hardly shows the way out.
_PUSH = 0.25

# By how much steps may be longer than the radius.
_SLACK = 1.1

# How far eigenvalues of a root may be below zero, as a fraction of its norm.
_NEGATIVE = 0.001

# Largest ratio of pivots of the Hessian at which it counts as well conditioned.
_FLATTEST_PIVOTS = 1e4


@dataclass(frozen=True, slots=True)
class Optimum:
    """Where the optimiser ended, for each of R datasets.

    Attributes
    ----------
    root : (R, q, q) array
        Y, in working units; no eigenvalue is far below zero.
    at : Criterion
    decrement : (R,) array
        Newton decrement: twice the decrease of the criterion that its quadratic model promises.
    curvature : (R,) array
        Smallest eigenvalue of the Hessian relative to the largest, negative at a saddle; 0 where
        its pivots were enough to tell that all are positive.
    converged : (R,) array of bool
    n_evaluations : (R,) array of int
        Evaluations of the criterion with derivatives.
    """

    root: Array
    at: Criterion
    decrement: Array
    curvature: Array
    converged: NDArray[np.bool_]
    n_evaluations: NDArray[np.intp]

    def take(self, index: NDArray[np.intp]) -> Optimum:
        """Return some of the datasets."""
        values = {name: getattr(self, name)[index] for name in self._by_dataset()}
        return Optimum(at=self.at.take(index), **values)

    def put(self, index: NDArray[np.intp], other: Optimum) -> None:
        """Overwrite the datasets `index` by all those of `other`."""
        self.at.put(index, other.at)
        for name in self._by_dataset():
            getattr(self, name)[index] = getattr(other, name)

    def _by_dataset(self) -> list[str]:
        return [name for name in self.__slots__ if name != "at"]

    def improve(self, other: Optimum) -> None:
        """Take over what the other search found, where that is lower.

        A point that isn't proven to be an optimum, but well below a proven one, disproves that it
        is the lowest.
        """
        lower_by = self.at.value - other.at.value
        rounding = ROUNDING[0] * np.abs(other.at.value) + ROUNDING[1]
        proven = np.where(self.converged, lower_by > rounding, lower_by >= -rounding)
        index = np.flatnonzero(np.where(other.converged, proven, lower_by > _DISPROVEN))
        n_evaluations = self.n_evaluations + other.n_evaluations
        if len(index):
            self.put(index, other.take(index))
        self.n_evaluations[:] = n_evaluations


@np.errstate(all="ignore")  # what isn't finite is looked for in the values
def minimise(blocks: Blocks, model: Model, unit: Array, lme4_start: Array | None = None) -> Optimum:
    """Minimise the criterion over G, dataset by dataset.

    What is computed for a dataset doesn't depend on those beside it.

    Parameters
    ----------
    blocks : Blocks
        R datasets.
    model : Model
    unit : (R, q) array
        Covariances are unit_a (YY')_ab unit_b in working units.
    lme4_start : (R, q, q) array, optional
        Roots of the covariances that lme4 starts from, to search from there as well.
    """
    best = search(OneFactor(blocks, model, unit), first_roots(blocks, model, unit))
    if not several_minima(blocks, model):
        return best

    def look(index: NDArray[np.intp], starts: Array) -> NDArray[np.bool_]:
        """Search from starts (starts, r, q, q) as well; tell which datasets have other minima."""
        runs = np.tile(index, len(starts))
        roots = starts.reshape(-1, *starts.shape[2:])
        problem = OneFactor(blocks.take(runs), model, unit[runs])
        others = search(problem, roots, best.take(runs))
        height = others.at.value - best.at.value[runs]
        settled = others.converged | _settled(height, others.decrement, others.curvature)
        apart = settled & (np.abs(height) > _DISPROVEN)
        known = best.take(index)
        for part in np.split(np.arange(len(runs)), len(starts)):
            known.improve(others.take(part))
        best.put(index, known)
        return np.array(apart.reshape(len(starts), -1).any(axis=0))

    every = np.arange(len(unit))
    roots = further_roots(blocks, model, unit, best.root)
    runs = np.tile(every, len(roots))
    starts = scored(blocks.take(runs), model, unit[runs], np.concatenate(roots))
    starts = starts.reshape(roots.shape)
    if model.balanced:
        look(every, starts)
        return best
    others = [starts, random_starts(RANDOM_STARTS, model, *unit.shape)]
    if lme4_start is not None:
        others.append(lme4_start[None])
    several = every[look(every, np.concatenate(others))]
    look(several, random_starts(MORE_STARTS, model, len(several), unit.shape[1]))
    return best


class Problem(Protocol):
    """The criterion of the datasets of R searches, as a function of a symmetric root Y of G."""

    @property
    def form(self) -> Root:
        """The structure of Y."""

    @property
    def at_once(self) -> int:
        """How many datasets to evaluate the criterion of at once."""

    def nothing(self, n_runs: int) -> Criterion:
        """Where no point has been evaluated yet: the criterion is infinite, the rest unknown."""

    def evaluate(self, index: NDArray[np.intp], root: Array) -> tuple[Criterion, Derivatives]:
        """The criterion of some datasets at their roots, and its derivatives in form's parameters.

        Some of its arrays may be overwritten by the next call.
        """

    def rounding(self, index: NDArray[np.intp], value: Array, root: Array) -> Array:
        """By how much a step may seem to go uphill, for the criterion is rounded."""

    def positive(self, Y: Array) -> Array:
        """A root of the same G without eigenvalues far below zero; may overwrite `Y`."""


class OneFactor:
    """The criterion of datasets with one grouping factor.

    Parameters
    ----------
    blocks : Blocks
        The dataset of each of R searches.
    model : Model
    unit : (R, q) array
        As for `minimise`.
    """

    def __init__(self, blocks: Blocks, model: Model, unit: Array) -> None:
        self._blocks, self._model, self._unit = blocks, model, unit
        self._outer = unit[:, :, None] * unit[:, None, :]
        self._work = Workspace()
        self.form = symmetric_root(unit.shape[1], model.covariance)
        self.at_once = datasets_at_once(blocks)
        self._index = np.arange(len(unit))
        self._active = blocks, unit, self._outer

    def nothing(self, n_runs: int) -> Criterion:
        """As `Problem`."""
        q = self._unit.shape[1]
        return no_criterion(n_runs, q * (q + 1) // 2, self._blocks.xr_rest.shape[1])

    def evaluate(self, index: NDArray[np.intp], root: Array) -> tuple[Criterion, Derivatives]:
        """As `Problem`."""
        reml, covariance, _, penalty = self._model
        # the same datasets until one of the searches ends
        if index is not self._index:
            self._active = self._blocks.take(index), self._unit[index], self._outer[index]
            self._index = index
        blocks, unit, outer = self._active
        G = outer * np.matmul(root, root)
        at = criterion(blocks, G, reml, self._work)
        if penalty:
            at = penalised(at, G, penalty)
        scaled = at.in_units(unit) if covariance == "scalar" else at
        return at, self.form.derivatives(scaled, root, blocks.spare_rows(reml))

    def rounding(self, index: NDArray[np.intp], value: Array, root: Array) -> Array:
        """As `Problem`."""
        return ROUNDING[0] * np.abs(value) + ROUNDING[1]

    def positive(self, Y: Array) -> Array:
        """As `Problem`."""
        return positive_root(Y, self._model.covariance)


@np.errstate(all="ignore")
def search(problem: Problem, start: Array, known: Optimum | None = None) -> Optimum:
    """Go down from one start each, by a trust-region Newton method.

    Searches that are done make room for those that wait, so that the arrays stay well filled.

    Parameters
    ----------
    problem : Problem
        Of R searches.
    start : (R, q, q) array
        Symmetric roots Y.
    known : Optimum, optional
        Optima of the datasets, found before. A search that heads for its dataset's, or settles in a
        higher one, is ended early, without convergence.
    """
    n_runs = len(start)
    form = problem.form
    found = Optimum(
        root=start.copy(),
        at=problem.nothing(n_runs),
        decrement=np.full(n_runs, np.inf),
        curvature=np.full(n_runs, -np.inf),
        converged=np.zeros(n_runs, dtype=bool),
        n_evaluations=np.zeros(n_runs, dtype=np.intp),
    )
    waiting = min(n_runs, problem.at_once)
    runs = _Runs.entering(0, start[:waiting], len(form.basis))
    while len(runs.index):
        index = runs.index
        new, derivatives = problem.evaluate(index, runs.trial)
        usable = np.isfinite(new.value) & all_finite(derivatives.hessian)
        # at first minus infinity, or NaN where nothing is usable
        change = np.where(usable, new.value, np.inf) - runs.value
        rounding = problem.rounding(index, new.value, runs.trial)
        better = change < rounding
        runs.radius = _next_radius(runs, change, rounding)
        runs.n_evaluations += 1
        if better.all():
            found.at.put(index, new)
            runs.root, runs.value = runs.trial, new.value
            runs.gradient, runs.hessian = derivatives.gradient, derivatives.hessian
        else:
            moved = np.flatnonzero(better)
            found.at.put(index[moved], new.take(moved))
            for name, there in (
                ("root", runs.trial),
                ("value", new.value),
                ("gradient", derivatives.gradient),
                ("hessian", derivatives.hessian),
            ):
                getattr(runs, name)[moved] = there[moved]

        step, info = _step(runs.gradient, runs.hessian, runs.radius)
        runs.promised, runs.length = info.promised, info.length
        runs.trial = problem.positive(runs.root + form.matrices(step))
        nowhere = np.isinf(runs.value)
        converged = (
            np.isfinite(runs.value) & (info.decrement < DECREMENT) & (info.curvature > -CURVATURE)
        )
        done = converged | (runs.n_evaluations >= MAX_EVALUATIONS) | (runs.radius < 1e-14) | nowhere
        if known is not None:
            done |= _needless(known, runs, info)
        if not done.any():
            continue
        ended = index[done]
        found.root[ended], found.n_evaluations[ended] = runs.root[done], runs.n_evaluations[done]
        found.decrement[ended], found.curvature[ended] = info.decrement[done], info.curvature[done]
        found.converged[ended] = converged[done]
        runs = runs.take(np.flatnonzero(~done))
        if waiting < n_runs:
            several = start[waiting : waiting + len(ended)]
            runs = runs.joined(_Runs.entering(waiting, several, len(form.basis)))
            waiting += len(several)
    return found


@dataclass(slots=True)
class _Runs:
    """Searches on their way: where each is, and which point it tries next."""

    index: NDArray[np.intp]
    trial: Array
    root: Array
    value: Array
    gradient: Array
    hessian: Array
    radius: Array
    promised: Array
    length: Array
    n_evaluations: NDArray[np.intp]

    @classmethod
    def entering(cls, first: int, start: Array, m: int) -> _Runs:
        """Searches from `first` on, which have been nowhere yet."""
        n_runs = len(start)
        return cls(
            index=np.arange(first, first + n_runs),
            trial=start.copy(),
            root=start.copy(),
            value=np.full(n_runs, np.inf),
            gradient=np.zeros((n_runs, m)),
            hessian=np.zeros((n_runs, m, m)),
            radius=_FIRST_RADIUS * np.sqrt(np.square(start).sum(axis=(1, 2))),
            promised=np.zeros(n_runs),
            length=np.zeros(n_runs),
            n_evaluations=np.zeros(n_runs, dtype=np.intp),
        )

    def take(self, index: NDArray[np.intp]) -> _Runs:
        """Some of the searches."""
        return _Runs(*(getattr(self, name)[index] for name in self.__slots__))

    def joined(self, other: _Runs) -> _Runs:
        """These searches and others."""
        both = ((getattr(self, name), getattr(other, name)) for name in self.__slots__)
        return _Runs(*(np.concatenate(parts) for parts in both))


def _needless(known: Optimum, runs: _Runs, info: _StepInfo) -> NDArray[np.bool_]:
    """Whether searches head for the known optima, or settle in minima above them."""
    index = runs.index
    there = known.root[index]
    way, left = (sums_of_squares(Y - there) for Y in (runs.root, runs.trial))
    height = runs.value - known.at.value[index]
    heading = (left <= HEADED**2 * way) & (np.abs(height + info.promised) <= HEADED * height)
    decided: NDArray[np.bool_] = heading & (info.curvature >= 0.0)
    decided |= _settled(height, info.decrement, info.curvature)
    return decided & known.converged[index]


def _settled(height: Array, decrement: Array, curvature: Array) -> NDArray[np.bool_]:
    """Whether searches this high above the known optima are about to end in other ones."""
    settled: NDArray[np.bool_] = (decrement < SETTLED * height) & (curvature >= 0.0)
    return settled & np.isfinite(height)


def no_criterion(n_runs: int, k: int, p: int) -> Criterion:
    """Where no point has been evaluated yet: the criterion is infinite, the rest unknown."""
    return Criterion(
        value=np.full(n_runs, np.inf),
        rho=np.full(n_runs, np.nan),
        beta=np.full((n_runs, p), np.nan),
        root=np.full((n_runs, p, p), np.nan),
        gradient=np.full((n_runs, k), np.nan),
        hessian=np.full((n_runs, k, k), np.nan),
        rho_gradient=np.full((n_runs, k), np.nan),
        information=np.full((n_runs, k, p, p), np.nan),
    )


def _next_radius(runs: _Runs, change: Array, rounding: Array) -> Array:
    """Adjust the trust regions by how much of what the quadratic model promised has come."""
    beyond_rounding = np.abs(runs.promised) > 10.0 * rounding
    ratio = np.where(beyond_rounding, change / runs.promised, change < rounding)
    # the lowest point of the parabola through both values, the step being a full Newton step
    share = np.maximum(1.0 / (2.0 - ratio), _SHORTEST)
    shorter = share * np.minimum(runs.length, runs.radius)
    longer = np.maximum(runs.radius, np.where(ratio > _WELL, _LONGER * runs.length, 0.0))
    radius: Array = np.where(ratio < _BADLY, shorter, longer)
    return radius


@dataclass(frozen=True, slots=True)
class _StepInfo:
    decrement: Array
    curvature: Array
    promised: Array
    length: Array


def _step(gradient: Array, H: Array, radius: Array) -> tuple[Array, _StepInfo]:
    """Newton step where the Hessian is positive definite, else a safe one; neither is long.

    A step that leaves the trust region is cut short. The best one within it would take the
    eigenvalues of the Hessian, as much work as the criterion, and the search no fewer steps, not
    even where there are eigenvalues.
    """
    downhill = -gradient
    step, pivots = solve_each(H, downhill)
    length = np.sqrt(sums_of_squares(step))
    decrement = np.vecdot(step, downhill)
    share = _share(length, radius)
    step *= share[:, None]
    promised = -(share - 0.5 * share * share) * decrement
    info = _StepInfo(decrement, np.zeros(len(H)), promised, share * length)
    # Pivots far apart are for eigenvalues to judge, like those that aren't positive.
    even = pivots.max(axis=0) < _FLATTEST_PIVOTS * pivots.min(axis=0)
    hard = np.flatnonzero(~even)
    if len(hard):
        step[hard], hard_info = _safe_step(gradient[hard], H[hard], radius[hard])
        for name in info.__slots__:
            getattr(info, name)[hard] = getattr(hard_info, name)
    return step, info


def _share(length: Array, radius: Array) -> Array:
    """How much of a step stays within the trust region."""
    share: Array = np.where(length > _SLACK * radius, radius / length, 1.0)
    return share


def _safe_step(gradient: Array, H: Array, radius: Array) -> tuple[Array, _StepInfo]:
    """Newton step on the absolute values of the curvature, cut short; a push if one is negative."""
    eigenvalues, U = np.linalg.eigh(H)
    largest = np.abs(eigenvalues).max(axis=1)
    largest = np.where(largest > 0.0, largest, 1.0)
    curvature = np.maximum(np.abs(eigenvalues), _FLATTEST * largest[:, None])
    along = np.matmul(gradient[:, None, :], U)[:, 0]
    decrement = (along * along / curvature).sum(axis=1)
    coordinates = -along / curvature
    length = np.sqrt((coordinates * coordinates).sum(axis=1))
    coordinates *= _share(length, radius)[:, None]
    least = np.where(eigenvalues[:, 0] < -CURVATURE * largest, _PUSH * radius, 0.0)
    lowest = coordinates[:, 0]
    coordinates[:, 0] = np.copysign(np.maximum(np.abs(lowest), least), lowest)
    length = np.sqrt((coordinates * coordinates).sum(axis=1))
    promised = (along * coordinates + 0.5 * eigenvalues * coordinates * coordinates).sum(axis=1)
    step = np.matmul(U, coordinates[:, :, None])[:, :, 0]
    return step, _StepInfo(decrement, eigenvalues[:, 0] / largest, promised, length)


def positive_root(Y: Array, covariance: Covariance) -> Array:
    """A root of the same G without eigenvalues far below zero; may overwrite `Y`.

    Where eigenvalues of Y differ in sign alone, Y can be turned without a change of G. Those of
    variances that go to zero do no harm.
    """
    if covariance != "full":
        return np.abs(Y)
    index = np.flatnonzero(~eigenvalues_above(Y, -_NEGATIVE * np.sqrt(sums_of_squares(Y))))
    if len(index):
        eigenvalues, U = np.linalg.eigh(Y[index])
        Y[index] = from_eigen(np.abs(eigenvalues), U)
    return Y
