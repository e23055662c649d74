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
from rmsweep.sweep.progress import clock


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; print a line."""
    parser = cli.parser(__doc__)
    parser.add_argument("config", help="the study's configuration file")
    options = parser.parse_args(argv)

    study = read_study(options.config)
    n_jobs = sum(1 for _ in plan.blocks(study))
    seconds = study.n_sims * sum(plan.seconds(study, one) for one in study.conditions)
    print(
        f"{study.name}: {len(study.conditions):,} conditions x {study.n_sims:,} replications x "
        f"{len(study.strategies)} strategies, in {n_jobs:,} jobs of some "
        f"{clock(seconds)} of CPU time in all"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
