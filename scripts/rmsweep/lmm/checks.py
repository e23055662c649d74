"""lme4's and lmerTest's checks on a fit, rebuilt on closed-form derivatives.

The rules, tolerances, codes and words are those of lme4 1.1-31's ``checkConv`` and ``checkHess``
and of lmerTest 3.1-3's ``as_lmerModLmerTest``. The programs differentiate numerically; the closed
forms differ from that by far less than the tolerances.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rmsweep.lmm.fit import SATTERTHWAITE_TOLERANCE, SINGULAR_THETA
from rmsweep.lmm.smallmatrix import Array, all_finite, eigenvalues_above

GRADIENT_TOLERANCE = 0.002
HESSIAN_TOLERANCE = 1e-6

SINGULAR = "boundary (singular) fit: see help('isSingular')"


@dataclass(frozen=True, slots=True)
class Checks:
    """lme4's view of one fit.

    Attributes
    ----------
    singular : bool
    codes : tuple of int
        lme4's ``optinfo$conv$lme4$code``; empty where it has none.
    messages : tuple of str
        lme4's ``optinfo$conv$lme4$messages``.
    """

    singular: bool
    codes: tuple[int, ...]
    messages: tuple[str, ...]


class _Checked(Protocol):
    """What lme4's checks need to know of `Estimates`, of any number of terms."""

    @property
    def diagonal(self) -> NDArray[np.intp]: ...
    @property
    def theta(self) -> Array: ...
    @property
    def gradient(self) -> Array: ...
    @property
    def hessian(self) -> Array: ...


def lme4_checks(at: _Checked, *, check_singular: bool = False) -> list[Checks]:
    """lme4's convergence checks of each dataset.

    Parameters
    ----------
    at : Estimates
        At lme4's θ̂ for lme4's verdict; at the engine's optimum for what lme4 would say of it.
    check_singular : bool
        Whether gradient and Hessian of a singular fit are checked too, as lme4 up to 1.1-18 did;
        a singular fit is then no failure of its own and has no message.
    """
    diagonal = at.theta[:, at.diagonal]
    singular = np.logical_or.reduce(diagonal < SINGULAR_THETA, axis=1)
    sound = _sound(at.gradient, at.hessian) & (check_singular | ~singular)
    checks = []
    for row, (is_singular, is_sound) in enumerate(zip(singular, sound, strict=True)):
        checks.append(
            Checks(bool(is_singular), (), ())
            if is_sound
            else lme4_check(
                at.gradient[row], at.hessian[row], diagonal[row], check_singular=check_singular
            )
        )
    return checks


def _sound(gradient: Array, hessian: Array) -> NDArray[np.bool_]:
    """Which datasets pass all checks at a glance, (R,): the others are looked at one by one.

    A gradient within the tolerance needs no scaling. The trace of a Hessian without negative
    eigenvalues is no less than the largest of them.
    """
    flat = np.abs(gradient).max(axis=1) <= GRADIENT_TOLERANCE
    tolerated = HESSIAN_TOLERANCE * np.maximum(1.0, np.einsum("rii->r", hessian))
    sound: NDArray[np.bool_] = flat & (tolerated <= 1.0) & eigenvalues_above(hessian, tolerated)
    return sound


def lme4_check(
    gradient: Array, hessian: Array, diagonal: Array, *, check_singular: bool = False
) -> Checks:
    """lme4's convergence checks of one fit.

    Parameters
    ----------
    gradient : (m,) array
        Of the criterion with respect to θ.
    hessian : (m, m) array
    diagonal : array
        Those entries of θ that are on the diagonal of Λ.
    check_singular : bool
        See `lme4_checks`.
    """
    singular = bool((diagonal < SINGULAR_THETA).any())
    if singular and not check_singular:
        return Checks(True, (), (SINGULAR,))
    if np.isnan(gradient).any():
        return Checks(singular, (-5,), ("Gradient contains NAs",))
    codes, messages = _check_gradient(gradient, hessian)
    hessian_codes, hessian_messages = _check_hessian(hessian)
    # The Hessian's code replaces the gradient's, but its message is added, in lme4 too.
    return Checks(singular, hessian_codes or codes, messages + hessian_messages)


def _check_gradient(gradient: Array, hessian: Array) -> tuple[tuple[int, ...], tuple[str, ...]]:
    try:
        # R's chol(H) is the upper factor, and lme4 solves with it, not with its transpose.
        scaled = np.linalg.solve(np.linalg.cholesky(hessian).T, gradient)
    except np.linalg.LinAlgError:
        return (-1,), ("unable to evaluate scaled gradient",)
    largest = np.minimum(np.abs(scaled), np.abs(gradient)).max()
    if not largest > GRADIENT_TOLERANCE:
        return (), ()
    # lme4 looks for the component in the maximum itself, so it always names the first.
    return (-1,), (
        f"Model failed to converge with max|grad| = {largest:g} "
        f"(tol = {GRADIENT_TOLERANCE:g}, component 1)",
    )


def _check_hessian(hessian: Array) -> tuple[tuple[int, ...], tuple[str, ...]]:
    if not np.isfinite(hessian).all():
        return (-6,), ("Problem with Hessian check (infinite or missing values?)",)
    eigenvalues = np.linalg.eigvalsh(hessian)
    smallest, largest = eigenvalues[0], eigenvalues[-1]
    negative = np.count_nonzero(eigenvalues < -HESSIAN_TOLERANCE)
    if negative:
        return (-3,), (
            f"Model failed to converge: degenerate  Hessian with {negative} negative eigenvalues",
        )
    if (np.abs(eigenvalues) < HESSIAN_TOLERANCE).any():
        return (-4,), (" Hessian is numerically singular: parameters are not uniquely determined",)
    codes: tuple[int, ...] = ()
    messages: tuple[str, ...] = ()
    if largest * HESSIAN_TOLERANCE > 1.0:
        codes += (2,)
        messages += (
            "Model is nearly unidentifiable: very large eigenvalue\n - Rescale variables?",
        )
    if smallest / largest < HESSIAN_TOLERANCE:
        codes += (3,)
        messages += (
            "Model is nearly unidentifiable: large eigenvalue ratio\n - Rescale variables?",
        )
    return codes, messages


def lmertest_warnings(hessian_theta_sigma: Array) -> list[tuple[str, ...]]:
    """Warnings of lmerTest about the Hessian in (θ, σ) of each dataset.

    Parameters
    ----------
    hessian_theta_sigma : (R, m + 1, m + 1) array
        `Estimates.hessian_theta_sigma`; none where it isn't finite.
    """
    sound = eigenvalues_above(hessian_theta_sigma, SATTERTHWAITE_TOLERANCE)
    doubtful = np.flatnonzero(all_finite(hessian_theta_sigma) & ~sound)
    warnings: list[tuple[str, ...]] = [()] * len(hessian_theta_sigma)
    for row, values in zip(
        doubtful, np.linalg.eigvalsh(hessian_theta_sigma[doubtful]), strict=True
    ):
        warnings[row] = _lmertest_warnings(values[::-1])
    return warnings


def _lmertest_warnings(eigenvalues: Array) -> tuple[str, ...]:
    negative = eigenvalues[eigenvalues < -SATTERTHWAITE_TOLERANCE]
    zero = eigenvalues[np.abs(eigenvalues) < SATTERTHWAITE_TOLERANCE]
    warnings = []
    if len(negative):
        warnings.append(
            f"Model failed to converge with {len(negative)} negative {_listed(negative, '')}"
        )
    if len(zero):
        warnings.append(
            f"Model may not have converged with {len(zero)} {_listed(zero, ' close to zero')}"
        )
    return tuple(warnings)


def _listed(values: NDArray[np.floating], what: str) -> str:
    noun = "eigenvalues" if len(values) > 1 else "eigenvalue"
    return f"{noun}{what}: " + " ".join(f"{value:1.1e}" for value in values.tolist())
