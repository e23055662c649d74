"""Check a study's configuration file, and say how much work the study is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)

from rmsweep import plan
from rmsweep.config import read_study
from rmsweep.measures import precision
from rmsweep.measures.performance import MEASURES
from rmsweep.sweep.progress import clock


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; print a line, or two."""
    parser = cli.parser(__doc__)
    parser.add_argument("config", help="the study's configuration file")
    options = parser.parse_args(argv)

    study = read_study(options.config)
    precision.check(study)
    seconds = sum(study.size(one) * plan.seconds(study, one) for one in study.conditions)
    least = study.precision.first if study.precision else min(study.sizes.values())
    sizes = f"{least:,} to {study.n_sims:,}" if least < study.n_sims else f"{least:,}"
    most = "at most " if study.precision else ""
    print(
        f"{study.name}: {len(study.conditions):,} conditions x {sizes} replications x "
        f"{len(study.strategies)} strategies, in {most}{plan.n_jobs(study):,} jobs of some "
        f"{clock(seconds)} of CPU time in all"
    )
    if study.precision and (planned := precision.planned_size(study.precision)):
        chosen = study.precision
        print(
            f"{chosen.measure} is a rate: without the key precision, n_sims: {planned} gives a "
            f"standard error of {chosen.mcse:g} at a rate of "
            f"{MEASURES[chosen.measure].rate:g}"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
