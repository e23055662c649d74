"""Write the dataset of one cell, its true coefficients and the coefficients of each group."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from rmsweep import cli
from rmsweep.config import read_study
from rmsweep.data.scenario import simulate


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; write the three tables."""
    parser = cli.parser(__doc__)
    parser.add_argument("--config", required=True, help="the study's configuration file")
    cli.add_condition(parser)
    parser.add_argument("--sim", type=cli.replication, required=True, help="replication")
    parser.add_argument("--format", choices=("csv", "parquet"), default="csv")
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for data, betas and coefficients"
    )
    options = parser.parse_args(argv)

    study = read_study(options.config)
    simulated = simulate(study.seed, cli.condition(options, study), options.sim)
    terms = list(simulated.data.terms)
    coefficients = pd.DataFrame(simulated.coefficients, columns=terms)
    coefficients.insert(0, "Group", range(1, len(coefficients) + 1))
    frames = {
        "data": simulated.data.to_frame(),
        "betas": pd.DataFrame({"term": terms, "truth": simulated.betas}),
        "coefficients": coefficients,
    }
    options.output.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        path = options.output / f"{name}.{options.format}"
        if options.format == "csv":
            frame.to_csv(path, index=False)
        else:
            frame.to_parquet(path, index=False)
        print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
