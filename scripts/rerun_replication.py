r"""Fit one strategy to one dataset of a study again, alone, with the table's own numbers.

python scripts/rerun_replication.py results/config/fits.parquet --failed
python scripts/rerun_replication.py results/config/fits.parquet --row 17
python scripts/rerun_replication.py --config config/quick.yaml \
    --n-groups 10 --n-obs 5 --sigma 0.1 --sim 3 --strategy lmer --save data.csv
python scripts/rerun_replication.py --config config/quick.yaml \
    --n-groups 10 --n-obs 5 --sigma 0.1 --sim 3 --html page.html

R prints its own summary and messages. Exit code 1 says that the numbers differ from the table's.
"""

from __future__ import annotations

import pdb
import shlex
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)

import pandas as pd

from rmsweep import lme4, strategies
from rmsweep.config import names_of_conditions, read_study
from rmsweep.data.scenario import Simulated, simulate, term_names
from rmsweep.design import MAIN, Condition, Study
from rmsweep.sweep import rerun, tables
from rmsweep.sweep.provenance import installed_r_versions, study_versions


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; fit, print and compare."""
    parser = cli.parser(__doc__)
    parser.add_argument("table", type=Path, nargs="?", help="the study's fits.parquet")
    parser.add_argument("--config", help="a configuration file, where there is no table")
    cli.add_condition(parser, required=False)
    parser.add_argument("--sim", type=cli.whole(0), help="replication")
    parser.add_argument("--strategy", help="analysis strategy")
    parser.add_argument(
        "--row", type=cli.whole(0), help="instead of these: row of the table, from 0"
    )
    parser.add_argument(
        "--failed",
        type=cli.whole(0),
        nargs="?",
        const=20,
        metavar="N",
        help="list the first N (default 20) fits without success, with their command lines",
    )
    parser.add_argument("--save", type=cli.output, metavar="FILE", help="write the dataset as CSV")
    parser.add_argument(
        "--html",
        type=cli.output,
        metavar="FILE",
        help="write a page of the dataset and what all strategies of the study make of it",
    )
    parser.add_argument(
        "--pdb", action="store_true", help="step through the fit in a debugger first"
    )
    options = parser.parse_args(argv)
    if (options.table is None) == (options.config is None):
        parser.error("give either a table or --config")
    cli.refuse_overwriting([options.table], [options.save, options.html])
    keys = (*names_of_conditions(), "sim", "strategy")
    named = [key for key in keys if getattr(options, key) is not None]
    if options.row is not None and named:
        parser.error(f"--row says it all; allowed beside it: no --{named[0].replace('_', '-')}")
    if options.table is None and (options.row is not None or options.failed is not None):
        parser.error("--row and --failed need a table")

    study = rerun.study_of(options.table) if options.table else read_study(options.config)
    if options.failed is not None:
        return list_failed(options.table, options.failed)
    if options.row is not None:
        vars(options).update(rerun.levels_of(options.table, options.row))
    needed = (*MAIN, "sim", *([] if options.html else ["strategy"]))
    absent = [f"--{key.replace('_', '-')}" for key in needed if getattr(options, key) is None]
    if absent:
        parser.error(f"these are needed, too, or --row: {', '.join(absent)}")
    by_name = {strategy.name: strategy for strategy in study.strategies}
    if options.strategy is not None and options.strategy not in by_name:
        parser.error(f"--strategy: {options.strategy!r}; allowed: {', '.join(by_name)}")

    sim = int(options.sim)
    condition = cli.condition(options, study)
    simulated = simulate(study.seed, condition, sim)
    data = simulated.data
    if options.save:
        with tables.atomic(options.save) as temporary:
            data.to_frame().to_csv(temporary, index=False)
    if options.html:
        written = page(study, condition, sim, simulated, argv)
        with tables.atomic(options.html) as temporary:
            temporary.write_text(written, encoding="utf-8")
    if options.strategy is None:
        return 0
    strategy = by_name[options.strategy]
    if options.pdb:
        try:
            pdb.runcall(strategies.load(strategy.family).fit, data, strategy.options)
        except Exception as error:
            traceback.print_exception(error)
            pdb.post_mortem(error.__traceback__)
    print(f"{condition}, sim={sim}, {strategy.name}: {strategy.label}", flush=True)
    with lme4.verbose():
        row = rerun.refit(study, condition, sim, strategy)
    print(pd.DataFrame(row["coefs"]).to_string(index=False))
    shown = ["fit_success", *tables.FIT.names]
    print("\n".join(f"{key}: {row[key]}" for key in shown if row.get(key) not in (None, "")))
    return 0 if options.table is None else compare(row, options.table, study)


def page(
    study: Study, condition: Condition, sim: int, simulated: Simulated, argv: Sequence[str] | None
) -> str:
    """The page of the dataset and the fits of all strategies."""
    from rmsweep.report import dataset_page, words
    from rmsweep.report.fitted import Fitted

    data, names = simulated.data, term_names(condition)
    called = dict(zip(data.terms, names, strict=True))
    case = Fitted(
        data=data,
        terms=names,
        groups=tuple(map(str, range(1, data.n_groups + 1))),
        group=data.group,
        strategies=study.strategies,
        rows=tuple(rerun.refit_all(study, condition, sim)),
        truth=simulated.betas,
    )
    levels = [words.in_sentence(axis.name, condition.levels[axis.name]) for axis in study.axes]
    sizes = words.counted(int(case.sizes.min()), "row")
    if case.sizes.min() < case.sizes.max():
        sizes = f"{case.sizes.min():,} to {case.sizes.max():,} rows"
    constant = f"Constant within groups: {', '.join(called[term] for term in data.group_level)}"
    words_for = [f"{word} for {name}" for word, name in called.items() if word != name]
    command = ["python", "scripts/rerun_replication.py"]
    origin = dataset_page.Origin(
        source=f"simulated, replication {sim} of study “{study.name}”",
        model=data.formula,
        response=data.response,
        read=[
            f"Condition: {', '.join(levels)}",
            f"{words.counted(data.n_groups, 'group')}, {sizes} each",
            *([constant] if data.group_level else []),
            *([f"Models say {', '.join(words_for)}"] if words_for else []),
        ],
        command=shlex.join([*command, *(sys.argv[1:] if argv is None else argv)]),
        versions=study_versions(study, installed_r_versions),
    )
    formulas = [strategies.as_formula(data, strategy) for strategy in study.strategies]
    return dataset_page.html(case, formulas, origin)


def list_failed(table: Path, n_rows: int) -> int:
    """Print the rows that were no success, each with its command line."""
    rows = rerun.unsuccessful(table)
    for row in rows.slice(0, n_rows).to_pylist():
        print(f"row {row['row']} ({row['status']}): {row['command']}")
    print(f"{min(n_rows, len(rows)):,} of {len(rows):,} rows that were no success")
    return 0


def compare(row: rerun.Row, table: Path, study: Study) -> int:
    """Say whether the row is the table's; if not, what may be the reason."""
    different = rerun.differences(row, table)
    if different is None:
        print(f"{table} has no such row to compare with")
    elif not different:
        print(f"equal to the bit to {table}")
    else:
        print(f"differs from {table}:", *different, sep="\n  ")
        others = rerun.other_surroundings(table, study, study_versions(study, installed_r_versions))
        print(f"which was made with {'other ' + ', '.join(others) if others else 'the same code'}")
    return 1 if different else 0


if __name__ == "__main__":
    raise SystemExit(main())
