"""Draw the convergence rates over the whole grid, from a study's merged table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rmsweep import cli
from rmsweep.plots import convergence, style
from rmsweep.plots.facets import read_fits


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; draw the figure."""
    parser = cli.parser(__doc__)
    parser.add_argument("fits", type=Path, help="the study's fits.parquet")
    style.add_output(parser)
    options = parser.parse_args(argv)

    style.save(convergence.draw(read_fits(options.fits, "fit_success")), options.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
