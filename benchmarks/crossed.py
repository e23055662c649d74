"""Models with crossed and nested random effects: the native engine beside lmerTest and pbkrtest.

    python benchmarks/crossed.py [--datasets 50] [--adjusted 15] [--block 1000] [--only 1] [--save]

Simulates twelve designs; fits the first datasets of each by lmerTest with summary and, in designs
of up to 1,000 rows, by pbkrtest, and many by the native engine (a tenth of the block where levels
can't be pooled). Prints a Markdown table: CPU times, how often each program ends above the other's
criterion, and how standard errors and degrees of freedom agree at the θ where lme4 stopped.
`--save` writes the agreement to tests/lmm/reference/crossed.csv, which the tests read. Standard
deviations of the random effects are drawn anew for each dataset, some of them zero, and their
correlations; σ is 1.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import numpy as np
from numpy.typing import NDArray

from rmsweep import lme4, lmm
from rmsweep.data.dataset import Array, Dataset
from rmsweep.strategies import mixed
from rmsweep.strategies.mixed import Options, RandomTerm

OUTPUT = ROOT / "tests" / "lmm" / "reference" / "crossed.csv"
COLUMNS = (
    "design",
    "datasets",
    "native_above",
    "lme4_above",
    "lme4_above_by_0.01",
    "lme4_above_by",
    "se_at_theta",
    "df_at_theta",
    "adjusted",
    "kr_se_at_theta",
    "kr_df_at_theta",
)
SLOPES, INTERCEPT = ("Intercept", "x"), ("Intercept",)
MAXIMAL = RandomTerm(SLOPES, factor="a"), RandomTerm(SLOPES, factor="b")
ABOVE = 1e-6
KR_ROWS = 1000
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Design:
    """A design and its model: rows by the levels of two factors, and x as it is drawn."""

    a: Index
    b: Index
    x: Callable[[np.random.Generator], Array]
    random: tuple[RandomTerm, ...]
    missing: float = 0.0


def square(n_a: int, n_b: int) -> tuple[Index, Index]:
    """Levels of a crossed design."""
    rows = np.arange(n_a * n_b)
    return rows // n_b, rows % n_b


def coded(first: NDArray[np.bool_]) -> Callable[[np.random.Generator], Array]:
    """A predictor of two levels, the same in each dataset."""
    return lambda _: np.where(first, 0.5, -0.5)


def latin(
    n: int, random: tuple[RandomTerm, ...] = MAXIMAL, missing: float = 0.0, drawn: bool = False
) -> Design:
    """A Latin square of two lists, or a predictor that is drawn for each row."""
    a, b = square(n, n)
    x = (lambda rng: rng.normal(size=len(a))) if drawn else coded((a + b) % 2 == 0)
    return Design(a, b, x, random, missing)


def schools(n_schools: int, n_classes: int) -> Design:
    """Classes of ten in schools, and a predictor that is drawn for each pupil."""
    a, b = square(n_schools, n_classes * 10)
    return Design(a, a * n_classes + b // 10, lambda rng: rng.normal(size=len(a)), MAXIMAL)


def designs() -> dict[str, Design]:
    """The designs by name."""
    a, b = square(24, 12)
    school, pupil = square(20, 50)
    of_a = RandomTerm(SLOPES, factor="a")
    intercepts = RandomTerm(INTERCEPT, factor="a"), RandomTerm(INTERCEPT, factor="b")
    zcp = tuple(RandomTerm(SLOPES, "diagonal", factor) for factor in "ab")
    between = coded(b < 6)
    nested = coded(pupil % 2 == 0)
    return {
        "24 x 12, x between items, (1+x|a) + (1|b)": Design(a, b, between, (of_a, intercepts[1])),
        "24 x 12, (1|a) + (1|b)": Design(a, b, between, intercepts),
        "24 x 24 Latin square, (1+x|a) + (1+x|b)": latin(24),
        "the same, ||": latin(24, zcp),
        "24 x 24, 5% missing": latin(24, missing=0.05),
        "40 x 40 Latin square": latin(40),
        "40 x 40, 50% missing, x by row": latin(40, missing=0.5, drawn=True),
        "20 schools x 5 classes x 10, (1+x|a) + (1|b)": Design(
            school, school * 5 + pupil // 10, nested, (of_a, intercepts[1])
        ),
        "60 x 60 Latin square": latin(60),
        "60 x 60, 5% missing": latin(60, missing=0.05),
        "20 schools x 5 classes x 10, x by row, (1+x|a) + (1+x|b)": schools(20, 5),
        "100 schools x 10 classes x 10, x by row, (1+x|a) + (1+x|b)": schools(100, 10),
    }


@dataclass(frozen=True)
class Drawn:
    """Datasets of a design: y (R, n), X (R, n, 2), and which rows there are."""

    design: Design
    y: Array
    X: Array
    present: NDArray[np.bool_] | None

    def crossings(self, rows: slice) -> lmm.Crossings:
        """What the engine needs of some of them."""
        X, codes = self.X[rows], {"a": self.design.a, "b": self.design.b}
        terms = [
            lmm.Term(codes[term.factor or ""], X[:, :, : len(term.columns)], term.covariance)
            for term in self.design.random
        ]
        return lmm.crossings(
            self.y[rows], X, terms, None if self.present is None else self.present[rows]
        )

    def dataset(self, row: int) -> Dataset:
        """One of them, the rows that it has."""
        kept = slice(None) if self.present is None else self.present[row]
        factors = {"a": self.design.a[kept], "b": self.design.b[kept]}
        return Dataset(self.y[row, kept], self.X[row, kept], factors, ("Intercept", "x"), "y")


def drawn(design: Design, n_datasets: int, seed: int) -> Drawn:
    """Simulate."""
    rng = np.random.default_rng([seed, 16])
    X = np.ones((n_datasets, len(design.a), 2))
    y = rng.normal(size=X.shape[:2])
    largest, share = {"a": (0.1, 1.2), "b": (0.0, 0.8)}, {"a": 0.1, "b": 0.3}
    for row in range(n_datasets):
        X[row, :, 1] = design.x(rng)
        for name, codes in (("a", design.a), ("b", design.b)):
            sd = rng.uniform(*largest[name], 2) * (rng.uniform(size=2) >= share[name])
            correlation = rng.uniform(-0.8, 0.8)
            b = rng.normal(size=(codes.max() + 1, 2))
            b[:, 1] = correlation * b[:, 0] + np.sqrt(1 - correlation**2) * b[:, 1]
            y[row] += (sd * b[codes] * X[row]).sum(axis=1)
    present = rng.uniform(size=y.shape) >= design.missing if design.missing else None
    return Drawn(design, y, X, present)


def by_r(data: Drawn, n_datasets: int, n_adjusted: int, folder: Path) -> list[dict[str, Any]]:
    """What lmerTest and pbkrtest say of the first datasets."""
    file = folder / "rows.csv"
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["dataset", "y", "x", "a", "b"])
        for number in range(n_datasets):
            one = data.dataset(number)
            columns = one.y, one.X[:, 1], one.factors["a"], one.factors["b"]
            for values in zip(*(it.tolist() for it in columns), strict=True):
                writer.writerow([number, *map(repr, values)])
    bars = mixed.bars(data.dataset(0), Options(data.design.random))
    formula = " + ".join(["y ~ x", *bars])
    command = ["Rscript", "--vanilla", str(Path(__file__).with_suffix(".R"))]
    command += [str(file), formula, str(n_adjusted)]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in found.stdout.splitlines() if line.startswith("{")]


def cpu(function: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds, and what the function gave."""
    start = time.process_time()
    value = function()
    return time.process_time() - start, value


def compared(name: str, data: Drawn, block: int, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The native engine beside R's rows."""
    n_datasets = len(rows)
    seconds, fitted = cpu(lambda: lmm.fit_crossed(data.crossings(slice(block))))
    prepared = data.crossings(slice(block))
    kr_seconds, _ = cpu(lambda: lmm.crossed_kenward_roger(prepared, fitted))
    known = data.crossings(slice(n_datasets))
    options = Options(data.design.random)
    order = mixed.in_own_order(data.dataset(0), options, rows[0])
    theta = np.array([row["theta"] for row in rows])[:, order]
    at = lmm.crossed_inference_at(known, theta)
    kr = lmm.crossed_kenward_roger(known, at)
    criterion = np.array([row["criterion"][0] for row in rows])
    gap = criterion - fitted.criterion[:n_datasets]
    # lmerTest leaves out what its numerical Hessian has of eigenvalues below zero
    regular = np.array([it.codes == () and not it.singular for it in lmm.lme4_checks(at)])
    adjusted = [row for row in rows if "kr_se" in row]

    def off(key: str, ours: Array, theirs: list[dict[str, Any]], which: Any = slice(None)) -> float:
        values = np.array([row[key] for row in theirs])
        return float(np.abs(ours[: len(values)] / values - 1)[which].max(initial=0.0))

    per = {"native": seconds / block, "native KR": kr_seconds / block}
    per["lmerTest"] = float(np.mean([row["seconds"][0] for row in rows]))
    if adjusted:
        per["pbkrtest"] = float(np.mean([row["kr_seconds"][0] for row in adjusted]))
    agreement: dict[str, Any] = {
        "design": name,
        "datasets": n_datasets,
        "native_above": int((gap < -ABOVE).sum() + (~fitted.converged).sum()),
        "lme4_above": int((gap > ABOVE).sum()),
        "lme4_above_by_0.01": int((gap > 0.01).sum()),
        "lme4_above_by": f"{gap.max():.2g}",
        "se_at_theta": f"{off('se', at.se, rows):.1e}",
        "df_at_theta": f"{off('df', at.df, rows, regular):.1e}",
        "adjusted": len(adjusted),
        "kr_se_at_theta": f"{off('kr_se', kr.se, adjusted):.1e}" if adjusted else "",
        "kr_df_at_theta": f"{off('kr_df', kr.df, adjusted):.1e}" if adjusted else "",
    }
    return agreement | {"seconds": per}


def line(found: Mapping[str, Any]) -> str:
    """A row of the table."""
    per = found["seconds"]
    kr = per.get("pbkrtest")
    cells = [
        found["design"],
        f"{per['lmerTest'] * 1e3:.0f}",
        f"{per['native'] * 1e3:.3g}",
        f"{per['lmerTest'] / per['native']:,.0f}",
        f"{kr * 1e3:.0f}" if kr else "",
        f"{per['native KR'] * 1e3:.2g}",
        f"{kr / per['native KR']:,.0f}" if kr else "",
        found["datasets"],
        f"{found['lme4_above']} / {found['lme4_above_by_0.01']} ({found['lme4_above_by']})",
        found["native_above"],
        f"{found['se_at_theta']}, {found['df_at_theta']}",
        f"{found['kr_se_at_theta']}, {found['kr_df_at_theta']}" if kr else "",
    ]
    return " | ".join(map(str, cells))


def saved() -> dict[str, dict[str, Any]]:
    """What earlier runs saved, by design."""
    if not OUTPUT.exists():
        return {}
    with OUTPUT.open(newline="") as file:
        return {row["design"]: row for row in csv.DictReader(file)}


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", type=int, default=50, help="fitted by lmerTest")
    parser.add_argument("--adjusted", type=int, default=15, help="of these, by pbkrtest")
    parser.add_argument("--block", type=int, default=1000, help="datasets of a native block")
    parser.add_argument(
        "--only", type=int, nargs="+", help="designs by number, from 1; default all"
    )
    parser.add_argument("--save", action="store_true", help="write the agreement for the tests")
    options = parser.parse_args()
    lme4.start()
    header = (
        "design, model | lmerTest, ms | native, ms | times faster | pbkrtest, ms | native KR, ms | "
        "times faster | datasets | lme4 above by > 1e-6 / > 0.01 (most) | native above | "
        "SE, df at lme4's θ | KR's SE, df there"
    )
    print(f"| {header} |\n|{'---|' * (header.count('|') + 1)}", flush=True)
    agreements = saved() if options.save else {}
    for place, (name, design) in enumerate(designs().items()):
        if place + 1 not in (options.only or [place + 1]):
            continue
        # the general route takes 10 to 100 times as long
        slow = bool(design.missing) or "schools" in name
        block = max(options.datasets, options.block // 10 if slow else options.block)
        data = drawn(design, block, place)
        rows_each = round(len(design.a) * (1 - design.missing))
        n_adjusted = options.adjusted if rows_each <= KR_ROWS else 0
        with tempfile.TemporaryDirectory() as folder:
            rows = by_r(data, options.datasets, n_adjusted, Path(folder))
        found = compared(name, data, block, rows)
        print(f"| {line(found)} |", flush=True)
        agreements[name] = {key: found[key] for key in COLUMNS}
        if options.save:
            with OUTPUT.open("w", newline="") as out:
                writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(agreements[it] for it in designs() if it in agreements)


if __name__ == "__main__":
    main()
