"""Fit every strategy to a data file of your own, and print the coefficient tables.

python scripts/fit_table.py examples/sleepstudy.csv --formula "Reaction ~ Days" --group Subject
python scripts/fit_table.py examples/sleepstudy.csv --formula "Reaction ~ Days + (Days | Subject)"
python scripts/fit_table.py data.csv --formula "rt ~ trial" --group person --html page.html
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)

import numpy as np
import pandas as pd

from rmsweep import formula, r, strategies
from rmsweep.data.dataset import Array, Batch
from rmsweep.data.files import NUMBER, Table
from rmsweep.design import Strategy
from rmsweep.errors import UsageError
from rmsweep.measures.sums import TEXTS
from rmsweep.strategies.inference import infer, stars
from rmsweep.strategies.mixed import RandomTerm
from rmsweep.strategies.resolve import resolve
from rmsweep.sweep import tables
from rmsweep.sweep.merge import converged, converged_published
from rmsweep.sweep.provenance import program_versions
from rmsweep.sweep.replication import fit_datasets, rows

RESULT = ["strategy", *tables.FIT.names, "coefs"]
PRESETS = ["lm", "lm2", "lmer", "lmer_mis"]
NOTES = ("unsaid", "grad_msg", "hess_msg", "df_msg", "messages")
NAMING = (*NOTES, "se_type")
"""Texts in which terms may be named."""


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; print the tables."""
    parser = cli.parser(__doc__)
    cli.add_data(parser)
    parser.add_argument(
        "--truth", type=Path, help="file with the columns term and truth, if the truth is known"
    )
    parser.add_argument(
        "--strategies",
        nargs="+",
        default=PRESETS,
        metavar="NAME",
        help="presets, or .py and .R files; default, the post's four",
    )
    parser.add_argument(
        "--engine", default="lme4", choices=("lme4", "native"), help="what fits; default lme4"
    )
    parser.add_argument("--optimizer", default="nloptwrap", help="lme4's optimizer")
    parser.add_argument(
        "--verdict", default="strict", help="rule for a converged fit: strict or published"
    )
    parser.add_argument("--ml", action="store_true", help="maximum likelihood instead of REML")
    parser.add_argument("--json", action="store_true", help="print the same as JSON")
    parser.add_argument(
        "--html", type=cli.output, metavar="FILE", help="write a page with the same and pictures"
    )
    options = parser.parse_args(argv)
    cli.refuse_overwriting([options.data, options.truth], [options.html])

    shared = {"engine": options.engine, "verdict": options.verdict}
    shared |= {"optimizer": options.optimizer, "reml": not options.ml}
    chosen, _ = resolve(options.strategies, shared, Path())
    model = formula.model(cli.table(options), options.formula, options.group)
    truth = np.full((1, len(model.data.terms)), np.nan)
    if options.truth:
        truth[0] = read_truth(options.truth, model)

    chosen = [as_typed(strategy, model) for strategy in chosen]
    results = [fit(strategy, model, truth) for strategy in chosen]
    if options.html:
        written = page(options.data, model, chosen, results, truth[0], argv)
        with tables.atomic(options.html) as temporary:
            temporary.write_text(written, encoding="utf-8")
    if options.json:
        about = summary(model)
        print(json.dumps([in_json(row | {"data": about}) for row in results], indent=2))
    else:
        read = "\n".join(read_in_words(options.data, model))
        print("\n\n".join([read, *map(as_text, chosen, results)]))
    return 0


def as_typed(strategy: Strategy, model: formula.Model) -> Strategy:
    """The strategy with the formula's random effects, if it has those that the data allow."""
    if not model.random or getattr(strategy.options, "random", None) != (RandomTerm(),):
        return strategy
    random = tuple(RandomTerm(bar.columns, bar.covariance, bar.factor) for bar in model.random)
    return replace(strategy, options=replace(strategy.options, random=random))


def fit(strategy: Strategy, model: formula.Model, truth: Array) -> dict[str, Any]:
    """Fit one strategy; its row as in a study's tables, with the names of the user's formula."""
    data = model.data
    if strategy.engine != "native":
        strategies.warm_up(strategy.family)
    outcomes = fit_datasets([strategy], [([0], Batch([data]))], 1)[strategy.name]
    others = {"strategy": strategy.name, "engine": strategy.engine}
    table = rows(outcomes, data.terms, truth, others)
    success = (converged_published if strategy.verdict == "published" else converged)(table)
    row: dict[str, Any] = table.select(RESULT).to_pylist()[0]
    for coef in row["coefs"] if row["status"] != "failed" else ():
        known = (np.array([coef[name]], dtype=float) for name in ("estimate", "se", "df"))
        by_t = infer(*known, normal=False)
        coef |= {"t_ci_low": float(by_t.ci_low[0]), "t_ci_high": float(by_t.ci_high[0])}
        del coef["p_truth"]
    row["coefs"] = sorted(row["coefs"] or (), key=lambda coef: model.order.index(coef["term"]))
    for coef in row["coefs"]:
        coef["term"] = model.in_words(coef["term"])
    texts = {key: model.in_notes(text) for key, text in row.items() if key in NAMING and text}
    written = model.as_formula(strategies.as_formula(data, strategy))
    return row | texts | {"fit_success": success[0].as_py(), "formula": written}


def page(
    path: Path,
    model: formula.Model,
    chosen: Sequence[Strategy],
    results: Sequence[dict[str, Any]],
    truth: Array,
    argv: Sequence[str] | None,
) -> str:
    """The page of the data and the fits."""
    from rmsweep.report import dataset_page
    from rmsweep.report.fitted import Fitted

    case = Fitted(
        data=model.data,
        terms=tuple(map(model.in_words, model.data.terms)),
        groups=model.groups,
        group=model.in_words(model.data.group),
        strategies=tuple(chosen),
        rows=tuple(results),
        truth=truth,
    )
    command = ["python", "scripts/fit_table.py", *(sys.argv[1:] if argv is None else argv)]
    origin = dataset_page.Origin(
        source=path.name,
        model=model.fixed,
        response=model.in_words(model.data.response),
        read=read_in_words(path, model)[1:],
        command=shlex.join(command),
        versions=program_versions(chosen, r.versions),
    )
    return dataset_page.html(case, [result["formula"] for result in results], origin)


def summary(model: formula.Model) -> dict[str, Any]:
    """What was read: rows, groups and their sizes, levels of categorical variables."""
    data = model.data
    sizes = np.bincount(data.groups)
    extremes = {"smallest": int(sizes.argmin()), "largest": int(sizes.argmax())}
    groups = {
        size: {"group": model.groups[place], "rows": int(sizes[place])}
        for size, place in extremes.items()
    }
    factors = {
        model.in_words(name): len(set(codes.tolist())) for name, codes in data.factors.items()
    }
    return {
        "formula": model.fixed,
        "rows": model.n_rows,
        "rows_used": len(data.y),
        "missing": dict(model.missing),
        "group": model.in_words(data.group),
        "n_groups": data.n_groups,
        **groups,
        "factors": factors,
        "levels": {name: list(levels) for name, levels in model.levels.items()},
        "between_groups": [model.in_words(term) for term in data.group_level],
        "cross_level": [model.in_words(term) for term in data.cross_level],
        "left_out": list(model.aliased),
    }


def read_in_words(path: Path, model: formula.Model) -> list[str]:
    """The same as lines of text."""
    read = summary(model)
    smallest, largest = read["smallest"], read["largest"]
    lost = read["rows"] - read["rows_used"]
    lines = [f"{path}: {read['formula']}", f"{read['rows_used']:,} of {read['rows']:,} rows"]
    if lost:
        missing = ", ".join(f"{name} in {number:,}" for name, number in read["missing"].items())
        lines[-1] += f"; {lost:,} left out, without a value of {missing}"
    sizes = f"{smallest['rows']:,} rows each"
    if smallest["rows"] < largest["rows"]:
        sizes = (
            f"{smallest['rows']:,} ({smallest['group']}) to "
            f"{largest['rows']:,} ({largest['group']}) rows"
        )
    lines.append(f"{read['n_groups']:,} groups by {read['group']}, {sizes}")
    if largest["rows"] == 1:
        lines.append("Note: each group has one row; repeated measures need a row for each measure")
    lines += [
        f"{number:,} levels of {name}"
        for name, number in read["factors"].items()
        if name != read["group"]
    ]
    lines += [f"Levels of {name}: {', '.join(found)}" for name, found in read["levels"].items()]
    if read["between_groups"]:
        lines.append(f"Constant within groups: {', '.join(read['between_groups'])}")
    if read["cross_level"]:
        lines.append(f"Without a random slope of its own: {', '.join(read['cross_level'])}")
    if read["left_out"]:
        lines.append(f"Note: left out, as others determine it: {', '.join(read['left_out'])}")
    return lines


def in_json(value: Any) -> Any:
    """A value as JSON can have it: numbers that aren't finite are null."""
    if isinstance(value, dict):
        return {key: in_json(part) for key, part in value.items()}
    if isinstance(value, list):
        return [in_json(part) for part in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def read_truth(path: Path, model: formula.Model) -> Array:
    """Read the true coefficients, in the order of the dataset's terms.

    Raises
    ------
    UsageError
        If a column or a term is missing, or a truth is no number.
    """
    table = Table(path)
    absent = {"term", "truth"} - set(table.names)
    if absent:
        raise UsageError(f"{path}: no column {', '.join(sorted(absent))}")
    names, truth = table.column("term").labels(), table.column("truth")
    if truth.kind != "number":
        odd = next((text for text in truth.texts if not NUMBER.fullmatch(text)), truth.texts[0])
        raise UsageError(f"{path}: truth: {odd!r} is no number; allowed: finite numbers")
    found = [names.texts[code] if code >= 0 else "" for code in names.codes]
    if "Intercept" not in found:
        found = ["Intercept" if name == "(Intercept)" else name for name in found]
    values = dict(zip(found, truth.values, strict=True))
    terms = [model.in_words(term) for term in model.data.terms]
    if absent := set(terms) - set(values):
        raise UsageError(f"{path}: no truth for {', '.join(sorted(absent))}")
    if len(values) < len(table):
        raise UsageError(f"{path}: a term is there twice; allowed: once")
    known = np.array([values[term] for term in terms])
    if not np.isfinite(known).all():
        raise UsageError(f"{path}: truth: allowed: finite numbers")
    return known


def as_text(strategy: Strategy, result: dict[str, Any]) -> str:
    """One strategy's coefficient table, metrics and messages."""
    heading = f"{strategy.name}: {strategy.label}\n{result['formula']}"
    if result["status"] == "failed":
        return f"{heading}\nfailed: {result['messages']}"
    table = pd.DataFrame(result["coefs"]).set_index("term")
    by_z = result["ci_type"] == "z" and result["test_type"] == "t"
    shown = pd.DataFrame(
        {
            "Estimate": table["estimate"],
            "2.5_ci": table["ci_low"],
            "97.5_ci": table["ci_high"],
            # beside the reported z intervals: those that agree with the tests
            **({"2.5_t": table["t_ci_low"], "97.5_t": table["t_ci_high"]} if by_z else {}),
            "SE": table["se"],
            "DF": table["df"],
            "T-stat": table["statistic"],
            "P-val": table["p_value"].map("{:.4g}".format),
            "Sig": table["p_value"].map(stars),
        }
    ).rename_axis(None)
    lines = [heading, shown.to_string()]
    lines += [
        f"{metric.label}: {result[key]:.6g}"
        for key, metric in TEXTS.items()
        if result[key] is not None
    ]
    lines += [f"Note: {result[key]}" for key in NOTES if result[key]]
    if result["singular"]:
        lines.append("Note: the fit is singular")
    conventions = f"SE: {result['se_type']}; df: {result['df_type']}; CI: {result['ci_type']}"
    if result["test_type"] != "t":
        conventions += f"; tests and CI: {result['test_type']}"
    return "\n".join([*lines, conventions])


if __name__ == "__main__":
    raise SystemExit(main())
