"""Draw box plots of one metric over the whole grid, from a study's merged table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rmsweep import cli
from rmsweep.plots import metrics, style
from rmsweep.plots.facets import read_fits


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; draw the figure."""
    parser = cli.parser(__doc__)
    parser.add_argument("fits", type=Path, help="the study's fits.parquet")
    parser.add_argument("--metric", choices=metrics.TITLES, required=True, help="what to draw")
    parser.add_argument(
        "--scale",
        choices=("log", "linear"),
        default="log",
        help="y axis: log (default), or linear as in the post",
    )
    style.add_output(parser)
    options = parser.parse_args(argv)

    fits = read_fits(options.fits, options.metric)
    figure = metrics.draw(fits, options.metric, options.scale)
    style.save(figure, options.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
