r"""The profiled criterion of a model with several random-effects terms, and its derivatives.

Let Γ be the covariance of all random effects relative to σ², block-diagonal with I ⊗ G_f for term
f, and V = I + ZΓZ'. With W = Z'V⁻¹Z, U = Z'V⁻¹X, C = (X'V⁻¹X)⁻¹, s = Z'V⁻¹(y − Xβ),
ρ = (y − Xβ)'V⁻¹(y − Xβ), S = W − UCU' and ν = n − p, the REML criterion is that of `criterion`,

    f(G) = log|V| + log|C⁻¹| + ν (1 + log(2πρ/ν)),

and for changes E and F of the entries of any G_f, each placed at all levels of its term,

    df(E)    = tr SE − (ν/ρ) s'Es,  dρ(E) = −s'Es,  dC(E) = C (U'EU) C,
    d²f(E,F) = −tr SESF + (2ν/ρ) s'ESFs − (ν/ρ²) dρ(E) dρ(F).

Without the second term of df and the others of d²f, tr SESF − tr SE tr SF / ν is the expectation of
the profiled Hessian. The ML criterion lacks log|C⁻¹|, has ν = n, and W for S in the traces. For
entries (a, b) and (c, d) of the covariances, tr SESF is a sum of products of the subarrays of S
that belong to one effect of each term, over their levels.

The first term is eliminated level by level, M_i = I + T_i'GT_i = L_iL_i' (see `criterion`), which
leaves B = rest + D'D, D = L⁻¹Q; the others are dense:

    (I + B_22 Γ_2) [W_22 U_2 t_2 W_21] = [B_22 B_2X B_2r B_21],
    log|V| = Σ log|M_i| + log|I + B_22 Γ_2|.

X'V⁻¹X, X'V⁻¹r and ρ are sums of squares, as in penalised least squares (Bates et al. 2015,
equation 17), because as differences they would lose digits where σ is small beside the random
effects: with b = Γ_2 U_2,

    X'V⁻¹X = |D_X − D_2 b|² + |A_X − A_2 b|² + U_2'b,  A the Cholesky factor of rest.

It is least at b, so that errors of b matter little.

Units (`units`) have matrices B, W and U of their own, and all but the products with C are sums over
them. There W takes the place of S, and what UCU' takes off is, with H = UF, FF' = C,

    tr SESF = tr WEWF − 2 tr H'EWFH + tr (H'EH)(H'FH).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rmsweep.lmm.criterion import Criterion
from rmsweep.lmm.crossings import CrossedBlocks, Layout
from rmsweep.lmm.crossproducts import triangle
from rmsweep.lmm.smallmatrix import (
    Array,
    cholesky,
    datasets_first,
    entries_first,
    forward_substitute,
    sums_of_squares,
)
from rmsweep.lmm.strata import Strata

Index = NDArray[np.intp]


class _Level(NamedTuple):
    """The levels of the first term at G, eliminated: M = LL', K = L⁻¹T', D = L⁻¹Q."""

    log_determinant: Array
    K: Array
    D: Array


class _Stratum(NamedTuple):
    """What the contrasts of a term add: log|M|, W = K'K of each class, ρ and ss'."""

    term: int
    number: Array
    log_determinant: Array
    rho: Array
    W: Array
    ss: Array


class _Solved(NamedTuple):
    """What the value of the criterion leaves for its derivatives."""

    value: Array
    rho: Array
    beta: Array
    root: Array
    U: Array
    s: Array
    level: _Level
    W21: Array
    W22: Array
    correction: Array
    strata: list[_Stratum]


def criterion_value(blocks: CrossedBlocks, G: Array, nu: Array, reml: bool) -> Array:
    """Value of the criterion alone, for about a quarter of the work.

    Parameters are those of `crossed_criterion`.
    """
    return _solve(blocks, G, nu, reml, derivatives=False).value


def crossed_criterion(blocks: CrossedBlocks, G: Array, nu: Array, reml: bool) -> Criterion:
    """Criterion with its derivatives with respect to the entries of the covariances.

    Parameters
    ----------
    blocks : CrossedBlocks
        R datasets.
    G : (R, Q, Q) array
        Covariances of the terms' random effects relative to σ², in working units, side by side as
        one block-diagonal matrix.
    nu : (R,) array
        n − p for REML, n for ML.
    reml : bool

    Returns
    -------
    Criterion
        In working units; NaN where a matrix that must be positive definite isn't. The k entries of
        G are the lower triangles of the terms' blocks, row by row and term by term.
    """
    solved = _solve(blocks, G, nu, reml)
    at = _moments(blocks, solved, reml)
    weight = nu / solved.rho
    layout = blocks.layout
    quadratic = layout.in_all(np.matmul(at.Es.transpose(0, 2, 1), np.matmul(at.S, at.Es)))
    if not reml or layout.units > 1:
        # S is W in the traces, and here Z'PZ
        UFEs = layout.in_all(np.matmul(at.UF.transpose(0, 2, 1), at.Es))
        quadratic -= np.matmul(UFEs.transpose(0, 2, 1), UFEs)
    for part in solved.strata:
        own = _entries(blocks.layout)[part.term]
        products = np.matmul(part.ss[..., None], part.W[:, :, None]).sum(axis=1)
        products = (products + products.transpose(0, 2, 1)) / 2.0
        quadratic[:, own, own] += _by_entries(products, *[blocks.layout.sizes[part.term]] * 2)
    hessian = (2.0 * weight)[:, None, None] * quadratic - at.expected
    return Criterion(
        value=solved.value,
        rho=solved.rho,
        beta=solved.beta,
        root=solved.root,
        gradient=at.trace - weight[:, None] * at.ss,
        hessian=(hessian + hessian.transpose(0, 2, 1)) / 2.0,
        rho_gradient=-at.ss,
        information=at.change,
    )


def crossed_expected_hessian(
    blocks: CrossedBlocks, G: Array, nu: Array, reml: bool
) -> tuple[Array, Array]:
    """Gradient (R, k) and expected Hessian (R, k, k), both profiled.

    Parameters are those of `crossed_criterion`.
    """
    solved = _solve(blocks, G, nu, reml)
    at = _moments(blocks, solved, reml)
    gradient = at.trace - (nu / solved.rho)[:, None] * at.ss
    profiled = at.trace[:, :, None] * at.trace[:, None, :] / nu[:, None, None]
    return gradient, at.expected - profiled


class CrossedInformation(NamedTuple):
    """Expected information on G and the scale of V, as `criterion.Information`.

    Attributes
    ----------
    matrix : (R, k + 1, k + 1) array
    rho : (R,) array
    root : (R, p, p) array
    change : (R, k, p, p) array
    S : (R, m, m) array
        W, where there are several units; then it and UF are those of each.
    UF : (R, m, p) array
    layout : Layout
    """

    matrix: Array
    rho: Array
    root: Array
    change: Array
    S: Array
    UF: Array
    layout: Layout

    def quadratic(self, weight: Array) -> Array:
        """Sums over entries E and F of weight_EF F'U'ESFUF, (R, p, p)."""
        every = _changed(self.UF, self.layout)
        n_datasets, m, p, k = every.shape
        SEUF = np.matmul(self.S, every.reshape(n_datasets, m, p * k)).reshape(every.shape)
        weighted = np.matmul(SEUF, self.layout.of_each(weight)[:, None])
        left = every.transpose(0, 2, 1, 3).reshape(n_datasets, p, m * k)
        right = weighted.transpose(0, 1, 3, 2).reshape(n_datasets, m * k, p)
        found: Array = self.layout.in_all(np.matmul(left, right))
        if self.layout.units > 1:
            n_datasets = len(weight)
            weighted = np.matmul(weight, self.change.reshape(n_datasets, k, p * p))
            right = weighted.reshape(n_datasets, k * p, p)
            left = self.change.transpose(0, 2, 1, 3).reshape(n_datasets, p, k * p)
            found = found - np.matmul(left, right)
        return found


def crossed_information(blocks: CrossedBlocks, G: Array, nu: Array) -> CrossedInformation:
    """Expected information of the REML criterion; parameters are those of `crossed_criterion`."""
    solved = _solve(blocks, G, nu, True)
    at = _moments(blocks, solved, True)
    k = at.trace.shape[1]
    matrix = np.empty((len(nu), k + 1, k + 1))
    matrix[:, :k, :k] = at.expected
    matrix[:, :k, k] = matrix[:, k, :k] = at.trace
    matrix[:, k, k] = nu
    return CrossedInformation(
        matrix, solved.rho, solved.root, at.change, at.S, at.UF, blocks.layout
    )


@lru_cache
def _entries(layout: Layout) -> list[slice]:
    """Where the entries of each term's covariance are among those of all."""
    ends = np.cumsum([q * (q + 1) // 2 for q in layout.sizes]).tolist()
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def _where(layout: Layout) -> list[tuple[slice, tuple[Index, Index]]]:
    """Rows of each term's random effects, and rows and columns of its covariance's entries."""
    return [(rows, triangle(q)[:2]) for rows, q in zip(layout.rows(), layout.sizes, strict=True)]


def _changed(UF: Array, layout: Layout) -> Array:
    """EUF for each entry E of the covariances, (R, m, p, k)."""
    changed = []
    for term, (rows, (a, b)) in enumerate(_where(layout)):
        n, q = layout.levels[term], layout.sizes[term]
        own = UF[:, rows].reshape(len(UF), q, n, -1)
        placed = np.zeros((*UF.shape, len(a)))
        part = placed[:, rows].reshape(len(UF), q, n, -1, len(a))
        for entry, (row, column) in enumerate(zip(a, b, strict=True)):
            part[:, row, ..., entry] += own[:, column]
            if row != column:
                part[:, column, ..., entry] += own[:, row]
        changed.append(placed)
    return np.concatenate(changed, axis=3)


def _blocks_of(G: Array, layout: Layout) -> list[Array]:
    """The covariance of each term."""
    ends = np.cumsum(layout.sizes).tolist()
    return [
        np.ascontiguousarray(G[:, start:end, start:end])
        for start, end in zip([0, *ends], ends, strict=False)
    ]


def _times(G: list[Array], layout: Layout, A: Array) -> Array:
    """Γ_2 A, for the random effects of all terms but the first."""
    n_datasets, _, n_columns = A.shape
    out = np.empty(A.shape)
    place = 0
    for term in layout.others:
        q, n = layout.sizes[term], layout.levels[term]
        own = slice(place, place + q * n)
        if q == 1:
            np.multiply(A[:, own], G[term], out=out[:, own])
        else:
            wide = A[:, own].reshape(n_datasets, q, n * n_columns)
            out[:, own] = np.matmul(G[term], wide).reshape(n_datasets, q * n, n_columns)
        place = own.stop
    return out


def _factored(T: Array, g: Array) -> tuple[Array, Array, Array]:
    """M = I + T'GT of (q, q, R, L) and (q, q, R, 1) arrays as LL': L, 1/L_jj and the pivots."""
    q = len(T)
    GT = np.zeros_like(T)
    M = np.zeros(T.shape)
    for a in range(q):
        for j in range(q):
            for b in range(j, q):
                GT[a, j] += g[a, b] * T[b, j]
    for i in range(q):
        for j in range(i + 1):
            for a in range(i, q):
                M[i, j] += T[a, i] * GT[a, j]
        M[i, i] += 1.0
    reciprocals, determinant = cholesky(M)
    return M, reciprocals, determinant


def _eliminate(blocks: CrossedBlocks, G: Array) -> _Level:
    L, reciprocals, determinant = _factored(blocks.T, entries_first(G)[..., None])
    K = forward_substitute(L, reciprocals, blocks.T.swapaxes(0, 1).copy())
    q, n_datasets, c = len(L), *blocks.Q.shape[::2]
    D = blocks.Q.copy()
    by_effect = D.reshape(n_datasets, q, -1, c)
    for i in range(q):
        for j in range(i):
            by_effect[:, i] -= L[i, j][..., None] * by_effect[:, j]
        by_effect[:, i] *= reciprocals[i][..., None]
    return _Level(np.log(determinant).sum(axis=-1), K, D)


def _stratum(part: Strata, G: Array) -> _Stratum:
    L, reciprocals, determinant = _factored(part.T, entries_first(G)[..., None])
    q, _, n_datasets, n_classes = part.T.shape
    K = forward_substitute(L, reciprocals, part.T.swapaxes(0, 1).copy())
    half = forward_substitute(L, reciprocals, part.dd.copy()).swapaxes(0, 1).copy()
    dd = forward_substitute(L, reciprocals, half)
    W, ddK, ss = np.zeros((3, q, q, n_datasets, n_classes))
    for i in range(q):
        W += K[i, :, None] * K[i]
        for j in range(q):
            ddK[i] += dd[i, j] * K[j]
        ss += K[i, :, None] * ddK[i]
    flat = (n_datasets, n_classes, q * q)
    return _Stratum(
        term=part.term,
        number=part.number,
        log_determinant=(np.log(determinant) * part.number).sum(axis=-1),
        rho=np.einsum("iirc->rc", dd).copy().sum(axis=-1),
        W=W.transpose(2, 3, 0, 1).reshape(flat),
        ss=ss.transpose(2, 3, 0, 1).reshape(flat),
    )


def _spread_out(K: Array, D: Array) -> Array:
    """K'D, (R, q L, columns)."""
    q, _, n_datasets, n_levels = K.shape
    wide = D.reshape(n_datasets, q, n_levels, -1)
    out = np.zeros(wide.shape)
    for a in range(q):
        for i in range(q):
            out[:, a] += K[i, a][..., None] * wide[:, i]
    return out.reshape(D.shape)


def _quotients(A: Array, B: Array) -> Array:
    """Solutions of AX = B, (R, k, columns); NaN where A is singular to within rounding."""
    try:
        solutions: Array = np.linalg.solve(A, B).astype(np.float64, copy=False)
    except np.linalg.LinAlgError:
        if len(A) == 1:
            return np.full(B.shape, np.nan)
        return np.concatenate([_quotients(a[None], b[None]) for a, b in zip(A, B, strict=True)])
    return solutions


def _solve(
    blocks: CrossedBlocks, G: Array, nu: Array, reml: bool, *, derivatives: bool = True
) -> _Solved:
    layout, p = blocks.layout, blocks.n_fixed
    k2 = layout.n_others
    in_all = layout.in_all
    of_datasets = _blocks_of(G, layout)
    covariances = [layout.of_each(own) for own in of_datasets]
    level = _eliminate(blocks, covariances[layout.first])
    D2, DH = level.D[:, :, :k2], level.D[:, :, k2:]
    B = blocks.rest[:, :k2] + np.matmul(D2.transpose(0, 2, 1), level.D)
    # (I + B_22 Γ_2)' = I + Γ_2 B_22
    N = _times(covariances, layout, B[:, :, :k2])
    diagonal = np.arange(k2)
    N[:, diagonal, diagonal] += 1.0
    B12 = _spread_out(level.K, D2) if derivatives else D2[:, :0]
    right = np.concatenate([B, B12.transpose(0, 2, 1)], axis=2) if derivatives else B[:, :, k2:]
    solution = _quotients(N.transpose(0, 2, 1), right)
    at = k2 if derivatives else 0
    U2 = solution[:, :, at : at + p + 1]
    b = _times(covariances, layout, U2)

    d = DH - np.matmul(D2, b)
    a = blocks.root[:, k2:] - np.matmul(b.transpose(0, 2, 1), blocks.root[:, :k2])
    HVH = np.matmul(d.transpose(0, 2, 1), d) + np.matmul(a, a.transpose(0, 2, 1))
    HVH += np.matmul(U2.transpose(0, 2, 1), b)
    if blocks.tail is not None:
        HVH = in_all(HVH) + np.matmul(blocks.tail, blocks.tail.transpose(0, 2, 1))
    XVX = entries_first(HVH[:, :p, :p])
    inverse = np.zeros_like(XVX)
    for i in range(p):
        inverse[i, i] = 1.0
    reciprocals, determinant = cholesky(XVX)
    forward_substitute(XVX, reciprocals, inverse)
    root = datasets_first(inverse).swapaxes(1, 2).copy()
    XVr = HVH[:, :p, p:]
    beta = np.matmul(root, np.matmul(root.transpose(0, 2, 1), XVr))
    residual = np.concatenate([-beta, np.ones((len(beta), 1, 1))], axis=1)
    each = layout.of_each(residual)
    left = np.matmul(d, each)
    rho = blocks.rr_rest + in_all(sums_of_squares(left))
    rho += in_all(sums_of_squares(np.matmul(each.transpose(0, 2, 1), a)))
    s2 = np.matmul(U2, each)
    rho += in_all(np.vecdot(s2[:, :, 0], np.matmul(b, each)[:, :, 0]))
    if blocks.tail is not None:
        rho += sums_of_squares(np.matmul(residual.transpose(0, 2, 1), blocks.tail))
    strata = [_stratum(part, of_datasets[part.term]) for part in blocks.strata]
    log_determinant = in_all(level.log_determinant + np.linalg.slogdet(N)[1])
    for part in strata:
        rho = rho + part.rho
        log_determinant = log_determinant + part.log_determinant
    value = log_determinant + nu * (1.0 + np.log(2.0 * np.pi / nu * rho))
    if reml:
        value = value + np.log(determinant)
    U = np.concatenate([_spread_out(level.K, d), U2], axis=1)
    W21 = solution[:, :, k2 + p + 1 :]
    return _Solved(
        value=value,
        rho=rho,
        beta=beta[:, :, 0],
        root=root,
        U=U[:, :, :p],
        s=np.matmul(U, each)[:, :, 0],
        level=level,
        W21=W21,
        W22=solution[:, :, :k2],
        correction=np.matmul(B12, _times(covariances, layout, W21)),
        strata=strata,
    )


class _Moments(NamedTuple):
    """Sums over levels of products of S, U and s, for the entries of the covariances."""

    S: Array
    UF: Array
    Es: Array
    trace: Array
    ss: Array
    change: Array
    expected: Array


def _moments(blocks: CrossedBlocks, solved: _Solved, reml: bool) -> _Moments:
    layout, p = blocks.layout, blocks.n_fixed
    rows, entries = layout.rows(), _entries(layout)
    n_datasets, m1 = len(solved.U), layout.n_first
    m, k = m1 + layout.n_others, entries[-1].stop
    UF = np.matmul(solved.U, layout.of_each(solved.root))
    S = _dense(blocks, solved)
    if reml and layout.units == 1:
        S -= np.matmul(UF, UF.transpose(0, 2, 1))

    trace, ss = np.empty((2, n_datasets, k))
    Es = np.zeros((n_datasets, m, k))
    change = np.empty((n_datasets, k, p, p))
    expected = np.empty((len(solved.rho), k, k))
    for term, (own, (a, b)) in enumerate(_where(layout)):
        q, n = layout.sizes[term], layout.levels[term]
        s = solved.s[:, own].reshape(n_datasets, q, n)
        u = UF[:, own].reshape(n_datasets, q, n, p).transpose(0, 1, 3, 2)
        u = u.reshape(n_datasets, q * p, n)
        uu = np.matmul(u, u.transpose(0, 2, 1)).reshape(n_datasets, q, p, q, p)
        products = np.matmul(s, s.transpose(0, 2, 1))
        placed = Es[:, own].reshape(n_datasets, q, n, k)
        for entry, (row, column) in enumerate(zip(a, b, strict=True), entries[term].start):
            i, j = (own.start + effect * n + np.arange(n) for effect in (row, column))
            factor = 1.0 if row == column else 2.0
            # contiguous: a sum over an array in another order rounds otherwise
            trace[:, entry] = factor * np.ascontiguousarray(S[:, i, j]).sum(axis=1)
            ss[:, entry] = factor * products[:, row, column]
            change[:, entry] = uu[:, row, :, column]
            placed[:, row, :, entry] = s[:, column]
            if row != column:
                change[:, entry] += uu[:, column, :, row]
                placed[:, column, :, entry] = s[:, row]
        for other in range(term + 1):
            q_o, n_o = layout.sizes[other], layout.levels[other]
            block = S[:, own, rows[other]].reshape(n_datasets, q, n, q_o, n_o)
            flat = block.transpose(0, 1, 3, 2, 4).reshape(n_datasets, q * q_o, n * n_o)
            gram = layout.in_all(np.matmul(flat, flat.transpose(0, 2, 1)))
            for part in solved.strata:
                if part.term == term == other:
                    weighted = part.W * part.number[:, None]
                    gram += np.matmul(weighted.transpose(0, 2, 1), part.W)
            found = _by_entries(gram, q, q_o)
            expected[:, entries[term], entries[other]] = found
            expected[:, entries[other], entries[term]] = found.transpose(0, 2, 1)
    trace, ss, change = map(layout.in_all, (trace, ss, change))
    if reml and layout.units > 1:
        every = _changed(UF, layout).reshape(n_datasets, m, p * k)
        products = np.matmul(S, every).reshape(n_datasets, m * p, k)
        every = every.reshape(n_datasets, m * p, k).transpose(0, 2, 1)
        trace -= np.einsum("repp->re", change)
        flat = change.reshape(len(change), k, p * p)
        expected -= 2.0 * layout.in_all(np.matmul(every, products))
        expected += np.matmul(flat, flat.transpose(0, 2, 1))
    for part in solved.strata:
        a, b, _ = triangle(layout.sizes[part.term])
        at = a * layout.sizes[part.term] + b
        factors = np.where(a == b, 1.0, 2.0)
        own = entries[part.term]
        trace[:, own] += factors * (part.W.take(at, axis=2) * part.number[:, None]).sum(axis=1)
        ss[:, own] += factors * part.ss.take(at, axis=2).sum(axis=1)
    return _Moments(S, UF, Es, trace, ss, change, expected)


def _dense(blocks: CrossedBlocks, solved: _Solved) -> Array:
    """W, (R, m, m)."""
    layout, K = blocks.layout, solved.level.K
    m1, n = layout.n_first, layout.levels[layout.first]
    m = m1 + layout.n_others
    W = np.empty((len(solved.U), m, m))
    np.negative(solved.correction, out=W[:, :m1, :m1])
    level = np.arange(n)
    for a in range(len(K)):
        for b in range(len(K)):
            for own in K:
                W[:, a * n + level, b * n + level] += own[a] * own[b]
    W[:, m1:, :m1] = solved.W21
    W[:, :m1, m1:] = solved.W21.transpose(0, 2, 1)
    W[:, m1:, m1:] = solved.W22
    return W


def _by_entries(gram: Array, q_f: int, q_g: int) -> Array:
    """Sums Σ X_(ad) X_(bc) of products of effects as traces for entries (a, b) and (c, d).

    Parameters
    ----------
    gram : (R, q_f q_g, q_f q_g) array
        Products of X_(ad), effect a of one term and d of the other, and X_(bc).
    q_f, q_g : int
        Number of random effects of both.

    Returns
    -------
    (R, k_f, k_g) array
    """
    (a, b, _), (c, d, _) = triangle(q_f), triangle(q_g)
    half = np.where(a == b, 0.5, 1.0)[:, None] * np.where(c == d, 0.5, 1.0)
    a, b = a[:, None], b[:, None]
    found = gram[:, a * q_g + d, b * q_g + c] + gram[:, b * q_g + d, a * q_g + c]
    found += gram[:, a * q_g + c, b * q_g + d] + gram[:, b * q_g + c, a * q_g + d]
    found *= half
    return found
