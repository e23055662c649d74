"""Draw the figures of a study from its merged table, as PNG and SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from rmsweep import cli, provenance, tables
from rmsweep.config import read_study
from rmsweep.plots import coefficients, convergence, grid, metrics, style
from rmsweep.plots.facets import read_fits


def figures(table: Path, scale: metrics.Scale) -> dict[str, Callable[[], Figure]]:
    """All figures by name, each ready to be drawn.

    Raises
    ------
    UsageError
        If the file is no merged table.
    """
    try:
        study = read_study(tables.metadata(table)["study"])
    except (OSError, ValueError, KeyError) as error:
        raise cli.UsageError(f"{table}: not a merged table of fits ({error})") from None

    def metric(name: metrics.Metric) -> Figure:
        return metrics.draw(read_fits(table, name), name, scale)

    return {
        **{name: partial(metric, name) for name in metrics.TITLES},
        "convergence": lambda: convergence.draw(read_fits(table, "fit_success")),
        "coefficients": lambda: coefficients.draw(study),
        "grid": lambda: grid.draw(study),
    }


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; draw."""
    parser = cli.parser(__doc__)
    parser.add_argument("fits", type=Path, help="the study's fits.parquet")
    parser.add_argument("--output", type=Path, help="folder; default, figures beside the table")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names of figures")
    parser.add_argument(
        "--scale",
        choices=("log", "linear"),
        default="log",
        help="y axis of the metrics: log (default), or linear as in the post",
    )
    options = parser.parse_args(argv)

    drawable = figures(options.fits, options.scale)
    wanted = options.only or list(drawable)
    for name in wanted:
        if name not in drawable:
            raise cli.UsageError(f"--only: {name!r}; allowed: {', '.join(drawable)}")
    folder = options.output or options.fits.parent / "figures"
    made_with = provenance.figure_identity(tables.metadata(options.fits))
    for name in wanted:
        paths = [folder / f"{name}.{kind}" for kind in style.KINDS]
        style.save(drawable[name](), paths, made_with)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
