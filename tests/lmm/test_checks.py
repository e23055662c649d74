"""lme4's and lmerTest's checks, against R's own functions on made-up derivatives."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from rmsweep.lmm import lme4_check, lmertest_warnings

R_CHECK = """
args <- commandArgs(trailingOnly = TRUE)
values <- as.numeric(readLines(args[1]))
control <- lme4::lmerControl()$checkConv
while (length(values) > 0) {
  m <- values[1]
  gradient <- values[1 + 1:m]
  hessian <- matrix(values[1 + m + 1:(m * m)], m)
  values <- values[-(1:(1 + m + m * m))]
  # Intercepts of m terms, none of which is zero, so that all are checked.
  result <- suppressWarnings(lme4:::checkConv(
    list(gradient = gradient, Hessian = hessian), rep(1, m), control, rep(0, m)))
  cat(result$code, "\\t", gsub("\\n", "\\\\n", paste(unlist(result$messages), collapse = "|"),
      fixed = TRUE), "\\n", sep = " ")
}
"""


def situations():
    rng = np.random.default_rng(7)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    for eigenvalues in (
        (1.0, 20.0, 300.0),
        (-1.0, 2.0, 3.0),
        (-2.0, -1.0, 3.0),
        (1e-8, 1.0, 2.0),
        (1.0, 2.0, 3e6),
        (1e-5, 2.0, 30.0),
        (1e-5, 2.0, 3e6),
        (-1e-8, 1.0, 2.0),
    ):
        hessian = (rotation * eigenvalues) @ rotation.T
        for size in (1e-4, 1e-2, 5.0):
            yield size * rng.normal(size=3), (hessian + hessian.T) / 2


@pytest.mark.slow
def test_codes_and_words_are_lme4s(tmp_path):
    cases = list(situations())
    text = [f"{v:.17g}" for g, H in cases for v in (len(g), *g.tolist(), *H.ravel().tolist())]
    (tmp_path / "values").write_text("\n".join(text) + "\n")
    output = subprocess.run(
        ["Rscript", "--vanilla", "-e", R_CHECK, tmp_path / "values"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert len(output) == len(cases)
    for line, (gradient, hessian) in zip(output, cases, strict=True):
        codes, messages = line.split("\t")
        checks = lme4_check(gradient, hessian, np.ones(3))
        assert list(checks.codes) == [int(code) for code in codes.split() if code != "0"]
        mine = "|".join(checks.messages).replace("\n", "\\n")
        assert mine.strip() == messages.strip()


def test_singular_fits_are_checked_on_request_only():
    gradient, hessian = np.array([1.0, 0.0]), np.diag([4.0, -1.0])
    diagonal = np.array([0.5, 9e-5])
    modern = lme4_check(gradient, hessian, diagonal)
    assert (modern.singular, modern.codes) == (True, ())
    assert modern.messages == ("boundary (singular) fit: see help('isSingular')",)
    old = lme4_check(gradient, hessian, diagonal, check_singular=True)
    assert old.singular
    assert old.codes == (-3,)
    assert old.messages[0] == "unable to evaluate scaled gradient"
    assert old.messages[1].endswith("1 negative eigenvalues")
    clean = lme4_check(np.zeros(2), np.eye(2), diagonal, check_singular=True)
    assert (clean.codes, clean.messages) == ((), ())


@pytest.mark.parametrize(
    ("eigenvalues", "expected"),
    [
        ((1.0, 2.0), ()),
        ((1.0, -0.25), ("Model failed to converge with 1 negative eigenvalue: -2.5e-01",)),
        (
            (1.0, -2.0, -0.25),
            ("Model failed to converge with 2 negative eigenvalues: -2.5e-01 -2.0e+00",),
        ),
        (
            (1.0, 0.0),
            ("Model may not have converged with 1 eigenvalue close to zero: 0.0e+00",),
        ),
    ],
)
def test_lmertests_warnings(eigenvalues, expected):
    assert lmertest_warnings(np.diag(eigenvalues)[None]) == [expected]
