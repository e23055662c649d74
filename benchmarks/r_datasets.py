"""`fit_table.py` against R's own `lm` and `lmer` on the repeated measures that come with R.

    python benchmarks/r_datasets.py [NAME ...]

Writes each dataset as CSV, has one R fit them all from these files, and `fit_table.py` too: from
the fixed effects alone, from the formula with its random effects, and natively. Prints the largest
differences of each: of estimates, in standard errors; of standard errors, relative; by how much the
criterion is above R's. Exit code 1 if one is above its tolerance. `tests/test_r_datasets.py` does
the same.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from rmsweep import cli

cli.begin(__name__)

import numpy as np

import fit_table

# Least squares by two decompositions, of designs whose columns differ by up to 1e5: estimates in
# standard errors, and these relative to themselves.
CLOSED = 1e-10
# The same lme4 with the same numbers under other names: to the bit with one grouping factor. With
# more, lmerTest's numerical derivatives leave a trace in the model.
LME4 = 1e-9
# lme4 stops within its tolerance of the optimum; the native engine goes there.
NATIVE = 1e-3
# By how much the native criterion may lie above lme4's: rounding.
NATIVE_CRITERION = 1e-8


@dataclass(frozen=True, slots=True)
class Known:
    """A dataset of R's and its model.

    Attributes
    ----------
    package : str
        Package of R.
    fixed : str
        Response and fixed effects.
    group : str
        Column of the groups.
    random : str
        Random effects of `lmer`.
    implied : bool
        Whether `fit_table.py` finds the same ones from the fixed effects and the group.
    """

    package: str
    fixed: str
    group: str
    random: str
    implied: bool = True


KNOWN = {
    "ChickWeight": Known("datasets", "weight ~ Time + factor(Diet)", "Chick", "(Time | Chick)"),
    "CO2": Known(
        "datasets", "uptake ~ log(conc) + Type + Treatment", "Plant", "(log(conc) | Plant)"
    ),
    "DNase": Known("datasets", "density ~ log(conc)", "Run", "(log(conc) | Run)"),
    "Indometh": Known("datasets", "log(conc) ~ time", "Subject", "(time | Subject)"),
    "Loblolly": Known("datasets", "height ~ sqrt(age)", "Seed", "(sqrt(age) | Seed)"),
    "Orange": Known("datasets", "circumference ~ scale(age)", "Tree", "(scale(age) | Tree)"),
    "sleep": Known("datasets", "extra ~ factor(group)", "ID", "(1 | ID)", implied=False),
    "Theoph": Known("datasets", "conc ~ Time + Wt", "Subject", "(Time | Subject)"),
    "BodyWeight": Known("nlme", "weight ~ Time + factor(Diet)", "Rat", "(Time | Rat)"),
    "Dialyzer": Known(
        "nlme",
        "rate ~ poly(pressure, 2) + factor(QB)",
        "Subject",
        "(poly(pressure, 2) || Subject)",
        implied=False,
    ),
    "ergoStool": Known("nlme", "effort ~ Type", "Subject", "(1 | Subject)", implied=False),
    "Glucose": Known("nlme", "conc ~ Time", "Subject", "(Time | Subject)"),
    "IGF": Known("nlme", "conc ~ age", "Lot", "(age | Lot)"),
    "Machines": Known("nlme", "score ~ Machine", "Worker", "(Machine | Worker)"),
    "MathAchieve": Known("nlme", "MathAch ~ SES + MEANSES", "School", "(SES | School)"),
    "Milk": Known("nlme", "protein ~ Time + Diet", "Cow", "(Time | Cow)"),
    "Oats": Known("nlme", "yield ~ nitro + Variety", "Block", "(1 | Block/Variety)", implied=False),
    "Orthodont": Known("nlme", "distance ~ age + Sex", "Subject", "(age | Subject)"),
    "Ovary": Known(
        "nlme",
        "follicles ~ sin(2 * pi * Time) + cos(2 * pi * Time)",
        "Mare",
        "(sin(2 * pi * Time) + cos(2 * pi * Time) | Mare)",
    ),
    "Oxboys": Known("nlme", "height ~ age + I(age^2)", "Subject", "(age + I(age^2) | Subject)"),
    "Pixel": Known(
        "nlme", "pixel ~ day + I(day^2)", "Dog", "(1 | Dog) + (1 | Dog:Side)", implied=False
    ),
    "Rail": Known("nlme", "travel ~ 1", "Rail", "(1 | Rail)"),
    "RatPupWeight": Known("nlme", "weight ~ sex + Treatment + Lsize", "Litter", "(sex | Litter)"),
    "Spruce": Known("nlme", "logSize ~ scale(days)", "Tree", "(scale(days) | Tree)"),
    "cake": Known("lme4", "angle ~ temp + recipe", "replicate", "(0 + temp | replicate)", False),
    "Dyestuff": Known("lme4", "Yield ~ 1", "Batch", "(1 | Batch)"),
    "Pastes": Known("lme4", "strength ~ 1", "batch", "(1 | batch/cask)", implied=False),
    "Penicillin": Known(
        "lme4", "diameter ~ 1", "plate", "(1 | plate) + (1 | sample)", implied=False
    ),
    "sleepstudy": Known("lme4", "Reaction ~ Days", "Subject", "(Days | Subject)"),
    "Arabidopsis": Known(
        "lme4", "log(total.fruits + 1) ~ factor(nutrient) + amd", "gen", "(amd | gen)", False
    ),
}

# the models as a person types them, on the file as read.csv reads it
REFERENCE = r"""
suppressPackageStartupMessages(library(lme4))
cases <- read.delim("cases.tsv", quote = "")
write_out <- function(case, model, estimate, se, criterion = NaN) {
  cat(sprintf("%s\t%s\t%s\t%.17g\t%.17g\t%.17g\n", case, model, names(estimate), estimate, se,
              criterion), sep = "")
}
for (row in seq_len(nrow(cases))) {
  case <- cases[row, ]
  data <- read.csv(paste0(case$name, ".csv"))
  group <- data[[case$group]]
  model <- lm(as.formula(case$fixed), data)
  X <- model.matrix(model)
  used <- factor(group[as.integer(rownames(X))])
  A <- solve(crossprod(X))
  scores <- rowsum(X * residuals(model), used)
  G <- nlevels(used)
  V <- A %*% crossprod(scores) %*% A * G / (G - 1) * nrow(X) / (nrow(X) - ncol(X))
  write_out(case$name, "lm", coef(model), sqrt(diag(V)))
  for (kind in c("lmer", "lmer_mis")) {
    random <- if (kind == "lmer") case$random else sprintf("(1 | %s)", case$group)
    formula <- as.formula(paste(case$fixed, "+", random))
    fit <- suppressWarnings(suppressMessages(lmer(formula, data)))
    write_out(case$name, kind, fixef(fit), sqrt(diag(as.matrix(vcov(fit)))), REMLcrit(fit))
  }
}
"""
Coefficients = Mapping[str, tuple[float, float, float]]
"""Estimate, standard error, criterion by term."""


def write(names: Iterable[str], folder: Path) -> None:
    """Write datasets as CSV, and the list of their models."""
    exports = [
        f'write.csv(as.data.frame({KNOWN[name].package}::{name}), "{name}.csv", row.names = FALSE)'
        for name in names
    ]
    rscript("\n".join(exports), folder)
    lines = [
        "\t".join((name, known.fixed, known.group, known.random))
        for name, known in KNOWN.items()
        if name in names
    ]
    (folder / "cases.tsv").write_text("\n".join(["name\tfixed\tgroup\trandom", *lines, ""]))


def rscript(code: str, folder: Path) -> str:
    """Run R as a program of its own, with levels in the order of their code points."""
    env = os.environ | {"LC_COLLATE": "C"}
    env.pop("LC_ALL", None)
    command = ["Rscript", "--vanilla", "-e", code]
    return subprocess.run(
        command, cwd=folder, env=env, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def reference(folder: Path) -> dict[tuple[str, str], dict[str, tuple[float, float, float]]]:
    """What R says, by dataset and model."""
    found: dict[tuple[str, str], dict[str, tuple[float, float, float]]] = {}
    for line in rscript(REFERENCE, folder).splitlines():
        name, model, term, *values = line.split("\t")
        estimate, se, criterion = map(float, values)
        found.setdefault((name, model), {})[term] = estimate, se, criterion
    return found


def fitted(folder: Path, name: str, *options: str) -> list[dict[str, Any]]:
    """What `fit_table.py` says, as JSON."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = fit_table.main([str(folder / f"{name}.csv"), *options, "--json"])
    if code:
        raise SystemExit(f"fit_table.py refused {name}")
    found: list[dict[str, Any]] = json.loads(out.getvalue())
    return found


def differences(ours: Mapping[str, Any], theirs: Coefficients) -> tuple[float, float, float]:
    """Largest differences: estimates in SEs, SEs relative to themselves, and the criterion.

    Infinite where there is no fit or the terms are others.
    """
    coefs = {coef["term"].replace("Intercept", "(Intercept)"): coef for coef in ours["coefs"]}
    if ours["status"] == "failed" or list(coefs) != list(theirs):
        return np.inf, np.inf, np.inf
    estimate, se, criterion = np.array(list(theirs.values())).T
    mine = [np.array([coef[key] for coef in coefs.values()]) for key in ("estimate", "se")]
    above = (ours["criterion"] or np.nan) - criterion[0]
    return np.abs((mine[0] - estimate) / se).max(), np.abs(mine[1] / se - 1).max(), above


def compare(
    name: str, folder: Path, expected: Mapping[tuple[str, str], Coefficients]
) -> list[tuple[str, tuple[float, float, float], bool]]:
    """All ways to fit a dataset: what it is, the differences, whether they are within tolerance."""
    known = KNOWN[name]
    plain = "--formula", known.fixed, "--group", known.group
    typed = "--formula", f"{known.fixed} + {known.random}", "--group", known.group
    kinds = ["lm", "lmer_mis", *(["lmer"] if known.implied else [])]
    runs = {
        "fixed effects": (plain, kinds),
        "random effects typed": (typed, ["lmer"]),
        "natively": (typed, ["lm", "lmer_mis", "lmer"]),
    }
    found = []
    for way, (options, strategies) in runs.items():
        native = way == "natively"
        extra = ["--engine", "native"] if native else []
        for result in fitted(folder, name, *options, "--strategies", *strategies, *extra):
            strategy = result["strategy"]
            estimate, se, above = found_here = differences(result, expected[name, strategy])
            tolerance = CLOSED if strategy == "lm" else NATIVE if native else LME4
            good = max(estimate, se) <= tolerance and not above > NATIVE_CRITERION
            found.append((f"{name}, {strategy}, {way}", found_here, bool(good)))
    return found


def main() -> int:
    """Compare, print, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="datasets; default all")
    names = parser.parse_args().names or list(KNOWN)
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        write(names, Path(folder))
        expected = reference(Path(folder))
        for name in names:
            for what, (estimate, se, above), good in compare(name, Path(folder), expected):
                bad += not good
                mark = "" if good else "  <- above its tolerance"
                print(f"{what:55} {estimate:9.1e} {se:9.1e} {above:9.1e}{mark}")
    print(f"{len(names)} datasets; {bad} differences above their tolerance")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
