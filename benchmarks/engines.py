"""Programs that fit the full mixed model, on the same datasets: time, agreement, failures.

    python benchmarks/engines.py [--sims 2] [--rounds 1] [--blocks 50 1000] [--sigma 0.1 1]
                                 [--programs mixedlm]

Fits DV ~ IV1 + IV2 + IV3 + (IV1 + IV2 + IV3 | Group) to datasets of every condition of the default
grid, all programs in one process, and prints a Markdown table. CPU time of this process, start-up
apart; the native engine's is per dataset, for as many datasets as the largest of `--blocks` has, in
blocks of each size. The programs take turns on the datasets of a condition, as often as `--rounds`
says, and each one's fastest pass counts. Programs that are not installed are left out, and said so.
`--sigma` and `--programs` (parts of names, beside lmerTest) take some conditions and programs
alone.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import numpy as np
import pandas as pd

from rmsweep import lme4, r
from rmsweep.config import read_study
from rmsweep.data.dataset import Array, Batch, Dataset
from rmsweep.data.scenario import simulate
from rmsweep.strategies import Fit, load

FULL = "DV ~ IV1 + IV2 + IV3 + (IV1 + IV2 + IV3 | Group)"
REFERENCE = "lmerTest, with summary"
LMER = """function(columns, formula) {
  control <- lme4::lmerControl(calc.derivs = FALSE)
  fit <- suppressMessages(suppressWarnings(
    lme4::lmer(as.formula(formula), as.data.frame(columns), control = control)
  ))
  list(lme4::fixef(fit), lme4::REMLcrit(fit))
}"""


Found = TypeVar("Found")


class Result(NamedTuple):
    """What a program says of a dataset.

    Attributes
    ----------
    estimate : (p,) array
    criterion : float
        Of REML; NaN if it is another one.
    df : (p,) array or None
        Satterthwaite's degrees of freedom, if the program has them.
    """

    estimate: Array
    criterion: float
    df: Array | None = None


def figures(value: float) -> str:
    """Three significant digits, thousands apart."""
    return f"{float(f'{value:.3g}'):,g}"


def timed(fit: Callable[[], Found]) -> tuple[float, Found | None]:
    """CPU seconds of a fit and what it gave; None if it failed."""
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = fit()
        except Exception:
            found = None
    return time.process_time() - start, found


def fastest(
    programs: Mapping[str, tuple[Callable[[Any], Any], Sequence[Any]]], rounds: int
) -> dict[str, list[tuple[float, Any]]]:
    """CPU seconds of each program's fits to its data in its fastest pass, and what they gave.

    Programs take turns, for a slow moment of the machine can last longer than a pass. The fewest
    seconds of each fit alone would leave out the garbage collections that a pass needs.
    """
    passes: dict[str, list[list[tuple[float, Any]]]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, (fit, data) in programs.items():
            passes[name].append([timed(partial(fit, one)) for one in data])
    return {
        name: min(own, key=lambda fits: sum(seconds for seconds, _ in fits))
        for name, own in passes.items()
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sims", type=int, default=2, help="datasets per condition")
    parser.add_argument("--rounds", type=int, default=1, help="passes, of which the fastest counts")
    parser.add_argument(
        "--blocks", type=int, nargs="+", default=[50, 1000], help="datasets of a native block"
    )
    parser.add_argument("--sigma", type=float, nargs="+", help="conditions with these alone")
    parser.add_argument("--programs", nargs="+", default=[""], help="parts of names")
    options = parser.parse_args()
    options.blocks.sort()
    if options.sims > options.blocks[-1]:
        parser.error(f"--sims {options.sims}: no more than the largest of --blocks")
    study = read_study(str(ROOT / "config" / "config.yaml"))
    family = load("mixed")
    full = next(strategy.options for strategy in study.strategies if strategy.name == "lmer")
    lme4.start()

    def by_lmertest(data: Dataset) -> Result:
        bars = [lme4.bar(term.names(data), data.group, True) for term in full.random]
        result = lme4.lmer(data, bars, reml=full.reml, optimizer=full.optimizer, numerical=True)
        parts = (np.array(result[name]) for name in ("estimate", "criterion", "df"))
        estimate, criterion, df = parts
        return Result(estimate, criterion[0], df)

    by_lmer_alone = r.start().evalr(LMER)

    def by_lme4(data: Dataset) -> Result:
        estimate, criterion = by_lmer_alone(r.frame(data), r.strings(FULL))
        return Result(np.array(estimate), criterion[0])

    def by_lme4_engine(data: Dataset) -> Result:
        fit = family.fit(data, full).model
        return Result(fit.estimate, fit.criterion, fit.df)

    def by_native_engine(data: list[Dataset]) -> list[Fit]:
        batch = Batch(data)
        return family.infer_batch(batch, family.fit_batch(batch, full), family.Inference())

    def by_statsmodels(data: Dataset) -> Result:
        from statsmodels.regression.mixed_linear_model import MixedLM

        fit = MixedLM(data.y, data.X, data.groups, exog_re=data.X).fit(reml=True)
        if not fit.converged or not np.isfinite(fit.bse_fe).all():
            raise ArithmeticError("no convergence")
        return Result(np.asarray(fit.fe_params), np.nan)

    def by_glmm(data: Dataset) -> Result:
        import glmm

        frame = data.to_frame().astype({"Group": str})
        columns = {name: frame[name].to_numpy() for name in frame}
        fit = glmm.fit(columns, FULL.replace("(IV1", "(1 + IV1"), reml=True)
        return Result(np.asarray(fit.beta), -2 * fit.loglik)

    def by_mixedlm(data: Dataset) -> Result:
        import mixedlm

        fit = mixedlm.lmer(FULL, data.to_frame().astype({"Group": str}), REML=True)
        if not fit.converged:
            raise ArithmeticError("no convergence")
        df = mixedlm.inference.satterthwaite_df(fit).df
        return Result(np.asarray(fit.beta), fit.REMLcrit(), df)

    def by_mixedlm_rs(data: Dataset) -> Result:
        import mixedlm_rs

        fit = mixedlm_rs.MixedLM(data.y, data.X, data.groups, exog_re=data.X).fit(reml=True)
        if not fit.converged or not np.isfinite(fit.bse_fe).all():
            raise ArithmeticError("no convergence")
        return Result(np.asarray(fit.fe_params), -2 * fit.llf)

    def by_pymer4(data: Dataset) -> Result:
        import polars
        from pymer4.models import lmer

        frame = data.to_frame()
        model = lmer(FULL, data=polars.DataFrame({name: frame[name].to_numpy() for name in frame}))
        model.fit()
        estimate, df = (model.result_fit[name].to_numpy() for name in ("estimate", "df"))
        return Result(estimate, -2 * model.result_fit_stats["logLik"][0], df)

    programs: dict[str, Callable[[Dataset], Result]] = {
        REFERENCE: by_lmertest,
        "lme4, fit alone": by_lme4,
        "this project, engine lme4": by_lme4_engine,
        "statsmodels MixedLM": by_statsmodels,
    }
    optional = {
        "glmm": by_glmm,
        "mixedlm": by_mixedlm,
        "mixedlm_rs": by_mixedlm_rs,
        "pymer4": by_pymer4,
    }
    for name, fit in optional.items():
        if importlib.util.find_spec(name):
            programs[f"{name.replace('_', '-')} {importlib.metadata.version(name)} (PyPI)"] = fit

    programs = {
        name: fit
        for name, fit in programs.items()
        if name == REFERENCE or any(part in name for part in options.programs)
    }
    conditions = [
        one for one in study.conditions if options.sigma is None or one.sigma in options.sigma
    ]

    # the first fit of each loads and compiles
    trial = [simulate(study.seed, study.conditions[7], 999).data] * options.blocks[-1]
    for fit in programs.values():
        timed(lambda fit=fit: fit(trial[0]))
    by_native_engine(trial)
    records = []
    natives = {size: f"this project, engine native, blocks of {size:,}" for size in options.blocks}
    for condition in conditions:
        data = [simulate(study.seed, condition, sim).data for sim in range(options.blocks[-1])]
        blocks = {
            name: (by_native_engine, [data[at : at + size] for at in range(0, len(data), size)])
            for size, name in natives.items()
        }
        others = {name: (fit, data[: options.sims]) for name, fit in programs.items()}
        found = fastest(blocks | others, options.rounds)
        for name in blocks:
            seconds = sum(spent for spent, _ in found[name]) / len(data)
            records += [
                (condition.key, sim, name, seconds, 0.0, 0.0, 0.0) for sim in range(options.sims)
            ]
        # the last blocks are the largest
        (_, natively), *_ = found[name]
        for name in programs:
            for sim, ((spent, result), best) in enumerate(zip(found[name], natively, strict=False)):
                off = gap = df_off = np.nan
                if result:
                    off = float(np.abs((result.estimate - best.estimate) / best.se).max())
                    gap = result.criterion - best.criterion
                    if result.df is not None:
                        df_off = float(np.abs(result.df / best.df - 1).max())
                records.append((condition.key, sim, name, spent, off, gap, df_off))

    columns = ["condition", "sim", "program", "seconds", "off", "gap", "df_off"]
    table = pd.DataFrame(records, columns=columns)
    mean = table.pivot_table(index="condition", columns="program", values="seconds", sort=False)
    print(f"{len(conditions) * options.sims} datasets\n")
    print(
        "| program | ms per dataset | times faster than lmerTest, overall (least, most of the "
        "conditions) | estimates off by, median and 95% (in SE) | criterion above native by more "
        "than 1e-6 / 0.01, below by more than 1e-6 | df off by, median and 95% (relative) "
        "| failed |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in [*natives.values(), *programs]:
        rows = table[table["program"] == name]
        ratio = mean[REFERENCE] / mean[name]
        off, gap, df_off = (rows[name].dropna() for name in ("off", "gap", "df_off"))
        above = "not comparable"
        if len(gap):
            above = f"{(gap > 1e-6).sum()} / {(gap > 0.01).sum()}, {(gap < -1e-6).sum()}"
        of_df = f"{df_off.median():.2g}, {df_off.quantile(0.95):.2g}" if len(df_off) else "none"
        print(
            f"| {name} | {figures(1e3 * mean[name].mean())} "
            f"| {figures(mean[REFERENCE].mean() / mean[name].mean())} ({figures(ratio.min())}, "
            f"{figures(ratio.max())}) | {off.median():.2g}, {off.quantile(0.95):.2g} | {above} "
            f"| {of_df} | {rows['off'].isna().sum()} |"
        )
    for name in optional:
        if not importlib.util.find_spec(name):
            print(f"\n{name} is not installed here.")


if __name__ == "__main__":
    main()
