r"""The profiled REML or ML criterion of a mixed model and its derivatives, in closed form.

Of group i let V_i = I + Z_i G Z_i' be the covariance of the response relative to σ². With
M_i = I + T_i'GT_i = L_iL_i' (T_i the Cholesky factor of Z_i'Z_i),

    W_i = Z'V⁻¹Z = K'K,  U_i = Z'V⁻¹X = K'D,  K = L⁻¹T',  D = L⁻¹T⁻¹Z'X,

and with C = (ΣX'V⁻¹X)⁻¹, β = CΣX'V⁻¹y, s_i = Z'V⁻¹(y − Xβ), ρ = Σ(y − Xβ)'V⁻¹(y − Xβ) and
ν = n − p, the REML criterion profiled over β and σ² is (Bates et al. 2015, equation 41, after
the matrix determinant lemma)

    f(G) = Σ log|M_i| + log|C⁻¹| + ν (1 + log(2πρ/ν));

the ML criterion (their equation 35) lacks log|C⁻¹| and has ν = n. Its derivatives follow from
dV⁻¹ = −V⁻¹ZEZ'V⁻¹ for a change E of G:

    df(E)    = tr SE,  S = Σ[W − UCU' − (ν/ρ)ss'],  dρ(E) = −Σ s'Es
    d²f(E,F) = Σ tr[(−W + 2UCU' + (2ν/ρ)ss')EWF] − tr(C M_E C M_F) − (2ν/ρ) h_E'C h_F
               − (ν/ρ²) dρ(E) dρ(F),  M_E = ΣU'EU,  h_E = ΣU'Es

(ML: without the terms UCU' and C M C M). Every product over groups is linear in E and F, so both
are computed once for the entries of G and carried to any parametrisation by the chain rule.
No inverse of Z'Z is needed and nothing is subtracted from large numbers to leave small ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rmsweep.lmm.crossproducts import Blocks, triangle
from rmsweep.lmm.smallmatrix import (
    Array,
    Workspace,
    cholesky,
    datasets_first,
    entries_first,
    forward_substitute,
    sums,
    whiten,
)

Index = NDArray[np.intp]

_SQRT_HALF = np.sqrt(0.5)

# Datasets × groups that are worked on at once; more would fall out of the cache.
_ELEMENTS_AT_ONCE = 8_000
_DATASETS_AT_ONCE = 800
# Values of the products over groups of all pairs of entries: a few arrays of 8 MB.
_PRODUCTS_AT_ONCE = 1_000_000


def datasets_at_once(blocks: Blocks) -> int:
    """How many datasets to evaluate the criterion of at once."""
    q, _, n_groups = blocks.r.shape
    n_products = (q * blocks.xr_rest.shape[1] + q) ** 2
    within = _ELEMENTS_AT_ONCE // n_groups, _PRODUCTS_AT_ONCE // n_products
    return int(min(_DATASETS_AT_ONCE, max(1, min(within))))


@dataclass(frozen=True, slots=True)
class Criterion:
    """The criterion at one G for each of R datasets; k = q(q+1)/2 entries of G, row by row.

    A derivative with respect to an off-diagonal entry is for both of its places at once.

    Attributes
    ----------
    value : (R,) array
    rho : (R,) array
        Penalised residual sum of squares ρ.
    beta : (R, p) array
        Estimate of the fixed effects, less the pooled OLS one.
    root : (R, p, p) array
        F with FF' = C, upper triangular.
    gradient : (R, k) array
    hessian : (R, k, k) array
        Second derivatives without their last term, −(ν/ρ²) dρ dρ': those at fixed σ².
    rho_gradient : (R, k) array
        dρ.
    information : (R, k, p, p) array
        F'M_EF, by which C changes: dC(E) = F (F'M_EF) F'.
    """

    value: Array
    rho: Array
    beta: Array
    root: Array
    gradient: Array
    hessian: Array
    rho_gradient: Array
    information: Array

    def put(self, index: Index, other: Criterion) -> None:
        """Overwrite the datasets `index` by all those of `other`."""
        for name in self.__slots__:
            getattr(self, name)[index] = getattr(other, name)

    def take(self, index: Index) -> Criterion:
        """Return some of the datasets."""
        return Criterion(*(getattr(self, name)[index] for name in self.__slots__))

    def in_units(self, unit: Array) -> Criterion:
        """Take derivatives with respect to H, where G_ab = unit_a H_ab unit_b; unit is (R, q)."""
        rows, columns, _ = triangle(unit.shape[1])
        scale = unit[:, rows] * unit[:, columns]
        return replace(
            self,
            gradient=self.gradient * scale,
            hessian=self.hessian * scale[:, :, None] * scale[:, None, :],
            rho_gradient=self.rho_gradient * scale,
            information=self.information * scale[:, :, None, None],
        )


class _Places(NamedTuple):
    """Where sums over groups of products of two entries are found, for each pair of E and F."""

    factor: Array
    aw: tuple[Index, ...]
    aw_factor: Array
    uus: tuple[Index, ...]
    uu_trace: Index
    ss: Index


@lru_cache
def _places(q: int, p: int) -> _Places:
    rows, columns, place = triangle(q)
    k = len(rows)
    a, b = rows[:, None], columns[:, None]
    c, d = rows[None, :], columns[None, :]
    # E of an entry is e_a e_b' + e_b e_a', halved on the diagonal.
    half = np.where(rows == columns, 0.5, 1.0)
    aw = ((d, a, b, c), (c, a, b, d), (d, b, a, c), (c, b, a, d))
    m = q * p + q
    s = q * p
    i, j = np.divmod(np.arange(p * p), p)
    uu_places = [(t * p + i) * m + u * p + j for t, u in ((a, b), (b, a))]
    us_places = [(t * p + np.arange(p)) * m + s + u for t, u in ((a, b), (b, a))]
    return _Places(
        factor=2.0 * half,
        aw=tuple((place[t, u] * k + place[v, w]).ravel() for t, u, v, w in aw),
        aw_factor=half[:, None] * half,
        uus=tuple(
            np.concatenate([uu, us], axis=1).ravel()
            for uu, us in zip(uu_places, us_places, strict=True)
        ),
        uu_trace=((a * p + np.arange(p)) * m + b * p + np.arange(p)).ravel(),
        ss=((s + rows) * m + s + columns),
    )


class _Solved(NamedTuple):
    """What the criterion's value leaves for its derivatives; entries first, groups last.

    K', D' and d' have the columns of K, D and d first. The sums are those of D'D over groups.
    `root` is F with FF' = C, dataset by dataset.
    """

    value: Array
    rho: Array
    nu: Index
    beta: Array
    root: Array
    F: Array
    K: Array
    D: Array
    d: Array
    DD: Array
    DD_sums: Array


def _gram(columns: Array, name: str, work: Workspace) -> Array:
    """Lower triangle of A'A, packed row by row, of the columns (c, m, R, G) of A."""
    c, _, *shape = columns.shape
    packed = work.array(name, c * (c + 1) // 2, *shape)
    for a in range(c):
        row = packed[a * (a + 1) // 2 :][: a + 1]
        np.einsum("lrg,klrg->krg", columns[a], columns[: a + 1], out=row)
    return packed


def _solve(blocks: Blocks, G: Array, reml: bool, work: Workspace) -> _Solved:
    """Value of the criterion, by generalised least squares within and over groups."""
    q, shape = len(blocks.r), blocks.r.shape[1:]
    n_datasets, p = blocks.xr_rest.shape
    g = entries_first(G)

    # Below M the transposes of what its factor is divided into: T, T⁻¹Z'X (T' where X = Z), T⁻¹Z'r.
    same = blocks.x is None
    tall = work.array("tall", 2 * q + (1 if same else p + 1), q, *shape)
    M, T = tall[:q], tall[q : 2 * q]
    for a in range(q):
        first = a * (a + 1) // 2
        T[a, : a + 1] = blocks.z[first : first + a + 1]
        T[a, a + 1 :] = 0.0
    if blocks.x is not None:
        tall[2 * q : -1] = blocks.x.swapaxes(0, 1)
    tall[-1] = blocks.r
    GT = work.array("GT", q, q, *shape)
    for j in range(q):
        np.einsum("kir,irg->krg", g[j:, j:], T[j:, j], out=GT[j:, j])
    for i in range(q):
        np.einsum("arg,akrg->krg", T[i:, i], GT[i:, : i + 1], out=M[i, : i + 1])
    diagonal = tall.reshape(len(tall) * q, *shape)[: q * q : q + 1]
    np.add(diagonal, 1.0, out=diagonal)
    determinant = whiten(tall)
    K, d = T, tall[-1]
    D = K if same else tall[2 * q : -1]

    DD = _gram(D, "DD", work)
    DD_sums = sums(DD)
    Dd = np.einsum("plrg,lrg->prg", D, d, out=work.array("Dd", p, *shape))
    dd = np.einsum("lrg,lrg->lr", d, d)
    # the same for X'V⁻¹X, the identity and X'V⁻¹r
    rows, columns, _ = triangle(p)
    whole = np.empty((2 * p + 1, p, n_datasets))
    whole[:p] = blocks.xx_rest.transpose(1, 2, 0)
    whole[rows, columns] += DD_sums
    whole[p : 2 * p] = np.eye(p)[:, :, None]
    np.add(blocks.xr_rest.T, sums(Dd), out=whole[-1])
    XVX_determinant = whiten(whole)
    F, t = whole[p : 2 * p], datasets_first(whole[-1])
    root = datasets_first(F)
    rho = blocks.rr_rest
    for part in dd:
        rho = rho + part
    rho = rho - np.vecdot(t, t)
    beta = np.matmul(root, t[:, :, None])[:, :, 0]
    nu = blocks.spare_rows(reml)
    value = sums(np.log(determinant)) + nu * (1.0 + np.log(2.0 * np.pi / nu * rho))
    if reml:
        value = value + np.log(XVX_determinant)
    return _Solved(value, rho, nu, beta, root, F, K, D, d, DD, DD_sums)


def criterion(blocks: Blocks, G: Array, reml: bool, work: Workspace) -> Criterion:
    """Criterion with its derivatives with respect to the entries of G.

    Parameters
    ----------
    blocks : Blocks
        R datasets.
    G : (R, q, q) array
        Covariance of the random effects relative to σ², in working units.
    reml : bool
        The REML criterion, else the ML one.
    work : Workspace

    Returns
    -------
    Criterion
        In working units; NaN where a matrix that must be positive definite isn't. Some of its
        arrays are the workspace's, which the next call with it overwrites.
    """
    solved = _solve(blocks, G, reml, work)
    crossed = _cross(solved, reml, work)
    rho, W, cross = solved.rho, crossed.W, crossed.cross
    q, (n_datasets, p) = len(solved.K), solved.beta.shape
    k = len(W)
    at = _places(q, p)
    factors = work.array("factors", q, p + 1 if reml else 1, *W.shape[1:])
    np.multiply(crossed.s, _SQRT_HALF, out=factors[:, 0])
    if reml:
        factors[:, 1:] = crossed.UF
    Q = _gram(factors, "Q", work)
    Q *= 2.0
    Q -= W

    # M_E and h_E for each entry of G, side by side: the Hessian subtracts their cross-products.
    both = _changes(cross, at, k, work)
    information = both[:, :, : p * p].reshape(n_datasets, k, p, p)
    hessian = _traces(Q, W, at, work)
    h = both if reml else both[:, :, p * p :]
    hessian -= _products("hh", h, work)
    return Criterion(
        value=solved.value,
        rho=rho,
        beta=solved.beta,
        root=solved.root,
        gradient=crossed.gradient,
        hessian=(hessian + hessian.transpose(0, 2, 1)) / 2.0,
        rho_gradient=crossed.ss * (rho / (-2.0 * solved.nu))[:, None] * at.factor,
        information=information,
    )


def penalised(at: Criterion, G: Array, penalty: float) -> Criterion:
    """Add −penalty · log|G| to a criterion at G, (R, q, q); NaN where G isn't positive definite."""
    q = G.shape[1]
    rows, columns, _ = triangle(q)
    L = entries_first(G)
    reciprocals, determinant = cholesky(L)
    half = entries_first(np.broadcast_to(np.eye(q), G.shape))
    half = datasets_first(forward_substitute(L, reciprocals, half))
    inverse = np.matmul(half.transpose(0, 2, 1), half)
    # E of an entry is e_a e_b' + e_b e_a', halved on the diagonal
    factor = np.where(rows == columns, 1.0, 2.0)
    traces = inverse[:, rows[:, None], rows] * inverse[:, columns[:, None], columns]
    traces += inverse[:, rows[:, None], columns] * inverse[:, columns[:, None], rows]
    traces *= factor[:, None] * factor / 2.0
    return replace(
        at,
        value=at.value - penalty * np.log(determinant),
        gradient=at.gradient - penalty * factor * inverse[:, rows, columns],
        hessian=at.hessian + penalty * traces,
    )


def expected_hessian(blocks: Blocks, G: Array, reml: bool, work: Workspace) -> tuple[Array, Array]:
    """Gradient (R, k) and expected Hessian (R, k, k) with respect to the entries of G.

    The expectation Σ tr WEWF is that for known β and σ² (Longford 1987, section 3). Parameters
    and units are those of `criterion`.
    """
    solved = _solve(blocks, G, reml, work)
    crossed = _cross(solved, reml, work)
    at = _places(len(solved.K), solved.beta.shape[1])
    return crossed.gradient, _traces(crossed.W, crossed.W, at, work)


@dataclass(frozen=True, slots=True)
class Information:
    """Expected information on G and σ² at one G for each of R datasets, β being unknown.

    The parameters are the k entries of σ²G and the scale s of V = s(I + ZGZ'), all relative to σ².
    The scale takes the place of σ²: a change of the parameters that is linear, so that V is linear
    in both, and without inverses of more than V.

    Attributes
    ----------
    matrix : (R, k + 1, k + 1) array
        I_EF = Σ tr[(W − 2UCU')EWF] + tr(C M_E C M_F), I_Es = Σ tr E(W − UCU'), I_ss = n − p.
    rho : (R,) array
    root : (R, p, p) array
        F with FF' = C, upper triangular.
    change : (R, k, p, p) array
        F'M_EF.
    W : (k, R, G) array
    UF : (q, p, R, G) array
        These two are the workspace's, which the next call with it overwrites.
    """

    matrix: Array
    rho: Array
    root: Array
    change: Array
    W: Array
    UF: Array


def information(blocks: Blocks, G: Array, work: Workspace) -> Information:
    """Expected information of the REML criterion; parameters and units are those of `criterion`."""
    solved = _solve(blocks, G, True, work)
    crossed = _cross(solved, True, work)
    W, UF = crossed.W, crossed.UF
    q, k, (n_datasets, p) = len(solved.K), len(W), solved.beta.shape
    at = _places(q, p)
    UCU = _gram(UF, "Q", work)
    scale = datasets_first(sums(W - UCU)) * at.factor
    UCU *= -2.0
    UCU += W
    changes = _changes(crossed.cross, at, k, work)[:, :, : p * p].copy()
    both = _traces(UCU, W, at, work)
    matrix = np.empty((n_datasets, k + 1, k + 1))
    matrix[:, :k, :k] = (both + both.transpose(0, 2, 1)) / 2.0
    matrix[:, :k, :k] += _products("hh", changes, work)
    matrix[:, :k, k] = matrix[:, k, :k] = scale
    matrix[:, k, k] = solved.nu
    return Information(
        matrix=matrix,
        rho=solved.rho,
        root=solved.root,
        change=changes.reshape(n_datasets, k, p, p),
        W=W,
        UF=UF,
    )


class _Crossed(NamedTuple):
    """The gradient, and the products over groups that it shares with the Hessian.

    s is √(2ν/ρ) times that of the module's docstring, as the Hessian needs it; so are its products.
    """

    W: Array
    UF: Array
    s: Array
    cross: Array
    ss: Array
    gradient: Array


def _cross(solved: _Solved, reml: bool, work: Workspace) -> _Crossed:
    _, rho, nu, beta, _, F, K, D, d, DD, DD_sums = solved
    q, (n_datasets, p) = len(K), beta.shape
    shape = d.shape[1:]
    _, _, place = triangle(q)
    at = _places(q, p)

    if D is K:
        W, W_sums = DD, DD_sums
        U = W.take(place.ravel(), axis=0, out=work.array("U", q * q, *shape), mode="clip")
        U = U.reshape(q, q, *shape)
    else:
        W = _gram(K, "W", work)
        W_sums = sums(W)
        U = work.array("U", q, p, *shape)
        for a in range(q):
            np.einsum("lrg,plrg->prg", K[a], D, out=U[a])
    residual = _residual(solved, work)

    # UF, then s: their cross-products over groups hold all but tr(QEWF). F = R⁻ᵀ for ΣX'V⁻¹X = RR'.
    stack = work.array("stack", q * p + q, *shape)
    UF = stack[: q * p].reshape(q, p, *shape)
    s = stack[q * p :]
    for j in range(p):
        np.einsum("airg,ir->arg", U[:, : j + 1], F[: j + 1, j], out=UF[:, j])
    np.einsum("alrg,lrg->arg", K, residual, out=s)
    np.multiply(s, np.sqrt(2.0 * nu / rho)[:, None], out=s)
    cross = _products("cross", stack.transpose(1, 0, 2), work)
    cross = cross.reshape(n_datasets, len(stack) ** 2)
    ss = cross.take(at.ss, axis=1)
    S = datasets_first(W_sums) - ss / 2.0
    if reml:
        S -= sums(cross.take(at.uu_trace, axis=1).reshape(n_datasets, len(W), p))
    return _Crossed(W, UF, s, cross, ss, S * at.factor)


def _products(name: str, A: Array, work: Workspace) -> Array:
    """AA' of matrices (R, m, n); numpy takes twice as long where it sees one factor in both."""
    turned = work.array("turned", len(A), *A.shape[:0:-1])
    turned[...] = A.transpose(0, 2, 1)
    out = work.array(name, len(A), A.shape[1], A.shape[1])
    products: Array = np.matmul(A, turned, out=out)
    return products


def _residual(solved: _Solved, work: Workspace) -> Array:
    """What β leaves of d, (q, R, G), which it overwrites."""
    d = solved.d
    beta = entries_first(solved.beta)
    d -= np.einsum("plrg,pr->lrg", solved.D, beta, out=work.array("fitted", *d.shape))
    return d


def _picked(name: str, source: Array, places: Index, work: Workspace) -> Array:
    out = work.array(name, len(source), len(places))
    return source.take(places, axis=1, out=out, mode="clip")


def _changes(cross: Array, at: _Places, k: int, work: Workspace) -> Array:
    """F'M_EF and F'h_E of each entry of G, side by side, (R, k, p² + p)."""
    both = _picked("both", cross, at.uus[0], work)
    both += _picked("other", cross, at.uus[1], work)
    both = both.reshape(len(cross), k, both.shape[1] // k)
    both *= at.factor[:, None] / 2.0
    return both


def _traces(A: Array, W: Array, at: _Places, work: Workspace) -> Array:
    """Sums over groups of tr AEWF for each pair of E and F (R, k, k), of packed A and W."""
    k, n_datasets = W.shape[:2]
    AW = work.array("AW", n_datasets, k, k)
    AW = np.matmul(A.transpose(1, 0, 2), W.transpose(1, 2, 0), out=AW).reshape(n_datasets, k * k)
    traces = _picked("traces", AW, at.aw[0], work)
    # of a symmetric AW the last two terms of four are the first two again
    twice = A is W
    for places in at.aw[1:2] if twice else at.aw[1:]:
        traces += _picked("other", AW, places, work)
    traces = traces.reshape(n_datasets, k, k)
    traces *= 2.0 * at.aw_factor if twice else at.aw_factor
    return traces


def conditional_modes(blocks: Blocks, G: Array, reml: bool, work: Workspace) -> Array:
    """Conditional modes Gs_i of the random effects, (R, n_groups, q), in working units.

    Parameters are those of `criterion`.
    """
    at = _solve(blocks, G, reml, work)
    s = np.einsum("alrg,lrg->arg", at.K, _residual(at, work))
    modes = np.einsum("kar,arg->krg", entries_first(G), s)
    return np.ascontiguousarray(modes.transpose(1, 2, 0))
