"""The engine against lme4 and lmerTest: at lme4's θ̂, and optimum against optimum.

`reference/lme4-fits.csv.gz` holds lme4's fits, made by `reference/make_reference.py`. R itself
fits a sample again, so that the file can't drift from what lme4 does.
"""

from __future__ import annotations

import csv
import gzip
import io
import subprocess

import glmm
import lmm_support
import numpy as np
import pandas as pd
import pytest
from lmm_cases import CASES, GRID
from lmm_support import Audit, audit, case_products, reference_audits, reference_rows, stacked
from make_negative_eigenvalues import OUTPUT
from make_reference import fit_with_lme4

from rmsweep.config import condition
from rmsweep.data.scenario import simulate
from rmsweep.lmm import (
    cluster_robust_ols,
    crossproducts,
    fit,
    inference_at,
    lmertest_warnings,
    two_stage,
)

# The closed forms are lme4's own formulas; what differs is rounding, of sums over 10,000 rows.
CRITERION_AT_THETA = 1e-8
ESTIMATE_AT_THETA_IN_SE = 1e-9
SE_AT_THETA = 1e-10
SIGMA_AT_THETA = 1e-11

# lmerTest differentiates numerically (numDeriv, Richardson), which costs about half the digits.
DF_AT_THETA = 1e-3
DF_AT_THETA_99 = 1e-5
# Where lmerTest's Hessian has negative eigenvalues, lme4 stopped at no optimum, and degrees of
# freedom rest on those eigenvalues that are left: the smaller they are, the more a numerical
# derivative's error weighs.
DF_AT_NO_OPTIMUM = 0.03
DF_AT_NO_OPTIMUM_90 = 1e-4

# lmerTest counts negative eigenvalues of that numerical Hessian; of fits that may differ.
LMERTEST_VERDICTS = 0.01

# Where units are far from 1, lmerTest's numerical derivatives and its absolute limit of 1e-8 for
# eigenvalues fail, and lme4's steps of 1e-4 are too coarse for its own Hessian.
ILL_SCALED = {"huge-y", "tiny-y", "huge-x", "tiny-x", "collinear"}
X_SCALED = {"huge-x", "tiny-x"}

# The engine must never be above lme4; both criteria are rounded sums of the size of 1e4.
CRITERION_ABOVE = 1e-6

# lme4 stops where the criterion is about 1e-6 to 1e-4 above its minimum: that is what is compared.
STOPPING_ERROR = 1e-4
ESTIMATE_AT_OPTIMUM_IN_SE = 1e-3
SE_AT_OPTIMUM = 1e-3
DF_AT_OPTIMUM = 0.05
DF_AT_OPTIMUM_99 = 2e-3


def test_the_reference_covers_all_conditions_with_both_optimizers():
    held = {(row["case"], row["index"], row["optimizer"]) for row in reference_rows()}
    for case in CASES.values():
        for optimizer in case.optimizers:
            for index in range(case.n_datasets):
                assert (case.name, str(index), optimizer) in held
    assert len(GRID) == 45
    assert all(case.n_datasets >= 20 for case in GRID)


def check_closed_forms(block: Audit) -> None:
    at = block.at_lme4
    name = f"{block.case.name} {block.optimizer}"
    criterion = block.column("criterion")[:, 0]
    assert np.abs(at.criterion - criterion).max() < CRITERION_AT_THETA, name
    difference = (at.estimate - block.column("beta")) / at.se
    assert np.abs(difference).max() < ESTIMATE_AT_THETA_IN_SE, name
    assert np.abs(at.se / block.column("se") - 1).max() < SE_AT_THETA, name
    assert np.abs(at.sigma / block.column("sigma")[:, 0] - 1).max() < SIGMA_AT_THETA, name
    assert list(at.singular) == [row["singular"] == "1" for row in block.rows], name


def test_closed_forms_at_lme4s_theta_agree_to_rounding():
    for block in reference_audits():
        check_closed_forms(block)


def test_lme4s_checks_follow_from_the_closed_forms():
    n_checked = 0
    for block in reference_audits():
        if block.case.name in X_SCALED:
            continue
        for checks, row in zip(block.checks, block.rows, strict=True):
            where = (block.case.name, block.optimizer, row["index"])
            assert " ".join(map(str, checks.codes)) == row["code"], where
            # The size of a gradient, after "=", differs in late digits.
            assert "|".join(checks.messages).split("=")[0] == row["message"].split("=")[0], where
            n_checked += bool(row["code"])
    assert n_checked > 50


def test_satterthwaite_df_at_lme4s_theta_agree_with_lmertest():
    proper, improper = [], []
    for block in reference_audits():
        if block.optimizer != "nloptwrap" or block.case.name in ILL_SCALED:
            continue
        errors = np.abs(block.at_lme4.df / block.column("df") - 1).max(axis=1)
        for error, row in zip(errors, block.rows, strict=True):
            (improper if row["test_warning"] else proper).append(error)
    assert max(proper) < DF_AT_THETA
    assert np.quantile(proper, 0.99) < DF_AT_THETA_99
    assert max(improper) < DF_AT_NO_OPTIMUM
    assert np.quantile(improper, 0.9) < DF_AT_NO_OPTIMUM_90


def at_negative_eigenvalues(scale: float):
    """Degrees of freedom in other units of the response, and lmerTest's, of the default study.

    Its datasets where lme4 stopped at a negative eigenvalue: `make_negative_eigenvalues.py`.
    """
    ours, theirs = [], []
    with gzip.open(OUTPUT, "rt", newline="") as file:
        for row in csv.DictReader(file):
            one = condition(
                n_groups=int(row["n_groups"]), n_obs=int(row["n_obs"]), sigma=float(row["sigma"])
            )
            data = simulate(0, one, int(row["sim"])).data
            products = crossproducts(scale * data.y[None], data.X[None], None, data.groups)
            theta = lmm_support.numbers(row["theta"])
            ours.append(inference_at(products, theta[None]).df[0])
            theirs.append(lmm_support.numbers(row["df"]))
    return np.array(ours), np.array(theirs)


def test_df_at_negative_eigenvalues_are_lmertests():
    ours, theirs = at_negative_eigenvalues(1.0)
    errors = np.abs(ours / theirs - 1).max(axis=1)
    assert len(errors) == 163
    assert np.median(errors) < 1e-6
    assert np.quantile(errors, 0.9) < DF_AT_NO_OPTIMUM_90
    assert errors.max() < DF_AT_NO_OPTIMUM


@pytest.mark.parametrize("scale", [2.0**-20, 2.0**17])
def test_df_at_negative_eigenvalues_keep_their_values_in_other_units_of_the_response(scale):
    ours, _ = at_negative_eigenvalues(1.0)
    other, _ = at_negative_eigenvalues(scale)
    assert other == pytest.approx(ours, rel=1e-9)


def test_no_fit_is_above_lme4s_criterion_and_all_converge():
    for block in reference_audits():
        name = f"{block.case.name} {block.optimizer}"
        assert block.native.converged.all(), name
        assert set(block.native.messages) == {""}, name
        above = block.native.criterion - block.column("criterion")[:, 0]
        assert above.max() < CRITERION_ABOVE, name


def test_lme4_was_stuck_above_the_optimum_in_some_fits():
    """A finding about lme4, kept here so that a change of it is noticed."""
    gaps = {"nloptwrap": [], "bobyqa": []}
    for block in reference_audits():
        if block.case in GRID:
            gaps[block.optimizer].extend(block.column("criterion")[:, 0] - block.native.criterion)
    for gap in gaps.values():
        assert 0.01 < np.mean(np.array(gap) > 0.01) < 0.2


def test_the_two_optima_agree_where_lme4_converged():
    n_compared = 0
    df_ratios = []
    for block in reference_audits():
        native = block.native
        gap = block.column("criterion")[:, 0] - native.criterion
        same = block.clean & (gap < STOPPING_ERROR)
        n_compared += same.sum()
        # lme4's stopping error is absolute in θ, so it weighs more where θ is tiny.
        factor = 10 if block.case.name in ILL_SCALED else 1
        difference = ((native.estimate - block.column("beta")) / native.se)[same]
        assert np.abs(difference).max(initial=0) < factor * ESTIMATE_AT_OPTIMUM_IN_SE
        ratio = (native.se / block.column("se"))[same]
        assert np.abs(ratio - 1).max(initial=0) < factor * SE_AT_OPTIMUM
        if block.optimizer == "nloptwrap" and block.case.name not in ILL_SCALED:
            df_ratios.append((native.df / block.column("df"))[same])
    df_errors = np.abs(np.concatenate(df_ratios) - 1)
    assert df_errors.max() < DF_AT_OPTIMUM
    assert np.quantile(df_errors, 0.99) < DF_AT_OPTIMUM_99
    assert n_compared > 800


def test_lmertests_warnings_follow_from_the_closed_forms():
    n_warned = n_different = n_fits = 0
    for block in reference_audits():
        if block.optimizer != "nloptwrap" or block.case.name in ILL_SCALED:
            continue
        warnings = lmertest_warnings(block.at_lme4.hessian_theta_sigma)
        for warning, row in zip(warnings, block.rows, strict=True):
            n_fits += 1
            n_warned += bool(row["test_warning"])
            n_different += bool(warning) != bool(row["test_warning"])
    assert n_warned > 20
    assert n_different <= LMERTEST_VERDICTS * n_fits


@pytest.mark.slow
def test_r_says_today_what_the_reference_says(tmp_path):
    sample = [
        (row["case"], int(row["index"]), row["optimizer"])
        for row in reference_rows()
        if row["case"] in {"10x5x0.25", "10x25x2", "unbalanced", "diagonal", "ml", "few-rows"}
        and row["index"] == "1"
    ]
    live = fit_with_lme4(sample, tmp_path)
    assert len(live) == 12
    held = {(row["case"], row["index"], row["optimizer"]): row for row in reference_rows()}
    for block in audit(live):
        check_closed_forms(block)
        assert (block.native.criterion - block.column("criterion")[:, 0]).max() < CRITERION_ABOVE
    for row in live:
        old = held[row["case"], row["index"], row["optimizer"]]
        assert float(row["criterion"]) == pytest.approx(float(old["criterion"]), abs=1e-4)
        assert lmm_support.numbers(row["se"]) == pytest.approx(
            lmm_support.numbers(old["se"]), rel=1e-3
        )


@pytest.mark.slow
def test_sleepstudy():
    table = subprocess.run(
        ["Rscript", "-e", "write.csv(lme4::sleepstudy, row.names = FALSE)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    frame = pd.read_csv(io.StringIO(table))
    y = frame["Reaction"].to_numpy()[None]
    X = np.stack([np.ones(len(frame)), frame["Days"].to_numpy()], axis=1)[None]
    products = crossproducts(y, X, None, frame["Subject"].to_numpy())

    # lme4's and lmerTest's digits; lme4's stopping error is 6e-6 of the SE. The data are balanced,
    # so the SE at the true optimum is the two-stage one.
    full = fit(products)
    assert full.estimate[0] == pytest.approx([251.405105, 10.467286], abs=1e-6)
    assert full.se[0] == pytest.approx([6.824597, 1.545790], rel=1e-5)
    assert full.se == pytest.approx(two_stage(products).se, rel=1e-6)
    assert full.df[0] == pytest.approx([17.0, 17.0], abs=1e-3)
    assert full.criterion[0] == pytest.approx(1743.6283, abs=1e-4)
    intercept = fit(products.with_leading_random_effects(1))
    assert intercept.se[0] == pytest.approx([9.746716, 0.804221], abs=1e-6)
    assert intercept.df[0] == pytest.approx([22.8102, 161.000], abs=1e-4)
    statistic = intercept.estimate[0] / intercept.se[0]
    assert statistic == pytest.approx([25.793826, 13.015428], abs=1e-5)

    pooled = cluster_robust_ols(products)
    assert pooled.estimate[0] == pytest.approx([251.405105, 10.467286], abs=1e-6)
    assert pooled.se[0] == pytest.approx([6.86278964, 1.55444885], abs=1e-8)
    assert pooled.df == 16
    staged = two_stage(products)
    assert staged.estimate[0] == pytest.approx([251.405105, 10.467286], abs=1e-6)
    assert staged.se[0] == pytest.approx([6.82455653, 1.54578890], abs=1e-8)
    assert staged.df == 17


@pytest.mark.parametrize("name", ["10x25x1", "30x5x2", "unbalanced", "few-rows"])
def test_an_independent_program_finds_the_same_optimum(name):
    case = CASES[name]
    y, X, groups = stacked(case, range(3))
    native = fit(case_products(case, range(3)))
    for r in range(3):
        data = {"y": y[r], "g": groups.astype(str)} | {f"x{j}": X[r, :, j] for j in (1, 2, 3)}
        other = glmm.fit(data, "y ~ x1 + x2 + x3 + (1 + x1 + x2 + x3 | g)", reml=True)
        # Its optimiser stops at about 1e-6 of the criterion, and it differentiates numerically.
        assert -2 * other.loglik >= native.criterion[r] - CRITERION_ABOVE
        if -2 * other.loglik - native.criterion[r] < 1e-5:
            assert other.beta == pytest.approx(native.estimate[r], abs=1e-3 * native.se[r].min())
            assert other.se == pytest.approx(native.se[r], rel=1e-3)
            assert other.coef_df == pytest.approx(native.df[r], rel=1e-2)
