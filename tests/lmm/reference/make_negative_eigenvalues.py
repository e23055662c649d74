"""Make `negative-eigenvalues.csv.gz`: lmerTest's df where its Hessian has negative eigenvalues.

    python tests/lmm/reference/make_negative_eigenvalues.py

Fits `lmer` to every dataset of the default study by lme4, and again by lmerTest where the Hessian
in (θ, σ) has a negative eigenvalue: a row each of condition, replication, θ̂ and lmerTest's degrees
of freedom. Takes about ten minutes.
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[3]
OUTPUT = Path(__file__).with_name("negative-eigenvalues.csv.gz")
sys.path.insert(0, str(ROOT / "scripts"))

from rmsweep import lme4
from rmsweep.config import read_study
from rmsweep.data.dataset import Batch
from rmsweep.data.scenario import simulate
from rmsweep.lmm import inference_at


def digits(values: Iterable[float], spec: str) -> str:
    """Numbers joined by blanks."""
    return " ".join(format(value, spec) for value in values)


def main() -> None:
    """Fit and write."""
    study = read_study(str(ROOT / "config" / "config.yaml"))
    options = next(one.options for one in study.strategies if one.name == "lmer")
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["n_groups", "n_obs", "sigma", "sim", "theta", "df"])
    for condition in study.conditions:
        for sim in range(study.n_sims):
            data = simulate(study.seed, condition, sim).data
            bars = [lme4.bar(data.terms, data.group, True)]
            keys = {"reml": options.reml, "optimizer": options.optimizer}
            theta = lme4.lmer(data, bars, numerical=False, **keys)["theta"]
            at = inference_at(Batch([data]).crossproducts(data.terms), np.array([theta]))
            if np.linalg.eigvalsh(at.hessian_theta_sigma[0])[0] < 0.0:
                df = lme4.lmer(data, bars, numerical=True, **keys)["df"]
                values = digits(theta, ".17g"), digits(df, ".9g")
                key = condition.n_groups, condition.n_obs, condition.sigma, sim
                writer.writerow([*key, *values])
    # without a time stamp, so that the same table has the same bytes
    OUTPUT.write_bytes(gzip.compress(table.getvalue().encode(), mtime=0))


if __name__ == "__main__":
    main()
