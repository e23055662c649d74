"""Write the dataset of one cell, its true coefficients and the coefficients of each group."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)

import pandas as pd

from rmsweep.config import read_study
from rmsweep.data import cells, sites
from rmsweep.data.dataset import Array
from rmsweep.data.scenario import simulate
from rmsweep.sweep import tables


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; write the tables."""
    parser = cli.parser(__doc__)
    parser.add_argument("--config", required=True, help="the study's configuration file")
    cli.add_condition(parser)
    parser.add_argument("--sim", type=cli.whole(0), required=True, help="replication")
    parser.add_argument("--format", choices=("csv", "parquet"), default="csv")
    parser.add_argument(
        "--output",
        type=cli.output_folder,
        required=True,
        help="folder for data, betas, the groups' coefficients, the items' and the sites' effects",
    )
    options = parser.parse_args(argv)

    study = read_study(options.config)
    simulated = simulate(study.seed, cli.condition(options, study), options.sim)
    terms = list(simulated.data.terms)

    def of_levels(values: Array, factor: str) -> pd.DataFrame:
        frame = pd.DataFrame(values, columns=terms)
        frame.insert(0, factor, range(1, len(frame) + 1))
        return frame

    frames = {
        "data": simulated.data.to_frame(),
        "betas": pd.DataFrame({"term": terms, "truth": simulated.betas}),
        "coefficients": of_levels(simulated.coefficients, "Group"),
    }
    if simulated.item_effects is not None:
        frames["item_effects"] = of_levels(simulated.item_effects, cells.FACTOR)
    if simulated.site_effects is not None:
        frames["site_effects"] = of_levels(simulated.site_effects, sites.FACTOR)
    paths = [options.output / f"{name}.{options.format}" for name in frames]
    for path, frame in zip(paths, frames.values(), strict=True):
        with tables.atomic(path) as temporary:
            if options.format == "csv":
                frame.to_csv(temporary, index=False)
            else:
                frame.to_parquet(temporary, index=False)
    print(*paths, sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
