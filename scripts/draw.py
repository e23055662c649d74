"""Draw the figures of a study from its merged table, as PNG and SVG."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)
# a notebook's, in the environment of its terminal, need not be installed here
os.environ["MPLBACKEND"] = "agg"

from matplotlib.figure import Figure

from rmsweep.errors import UsageError, UserError
from rmsweep.figures import claims, coefficients, convergence, grid, metrics, rates, style
from rmsweep.figures.facets import read_fits
from rmsweep.sweep import provenance, tables

Drawn = Iterator[tuple[str, Figure]]
NAMES = [*tables.METRICS, "convergence", *rates.TEXTS, "claims", "coefficients", "grid"]


def draw_metric(table: Path, name: str, scale: metrics.Scale) -> Drawn:
    """Box plots of a metric, slice by slice."""
    for part, fits in read_fits(table, name).slices().items():
        yield part, metrics.draw(fits, name, scale)


def draw_convergence(table: Path) -> Drawn:
    """Bars of the convergence rates, slice by slice."""
    for part, fits in read_fits(table, "fit_success").slices().items():
        yield part, convergence.draw(fits)


def draw_rates(table: Path, name: str) -> Drawn:
    """Points of a rate of the performance measures, slice by slice."""
    measured = rates.read_rates(table.with_name("performance.parquet"), name)
    for part, fits in measured.slices().items():
        yield part, rates.draw(fits, name)


def draw_claims(table: Path) -> Drawn:
    """The claims, slice by slice."""
    for one in claims.read_claims(table.parent).slices():
        yield one.slice, claims.draw(one)


def draw_design(table: Path, draw: Callable[..., Figure]) -> Drawn:
    """A figure of the study's design, slice by slice."""
    for part, fits in read_fits(table, "fit_success").slices().items():
        yield part, draw(fits.study, part, fits.study.slices()[part])


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; draw."""
    parser = cli.parser(__doc__)
    parser.add_argument("fits", type=Path, help="the study's fits.parquet")
    parser.add_argument(
        "--output", type=cli.output_folder, help="folder; default, figures beside the table"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="NAME",
        help=f"of {', '.join(NAMES)}; size, coverage and claims need the measures beside it",
    )
    parser.add_argument(
        "--scale",
        choices=("log", "linear"),
        default="log",
        help="y axis of the metrics: log (default), or linear as in the post",
    )
    parser.add_argument("--jobs", type=cli.whole(1), default=1, help="figures to draw at a time")
    options = parser.parse_args(argv)

    table = options.fits
    wanted = options.only or NAMES
    for name in wanted:
        if name not in NAMES:
            raise UsageError(f"--only: {name!r}; allowed: {', '.join(NAMES)}")
    folder = options.output or cli.output_folder(table.parent / "figures")
    fits = read_fits(table, "fit_success")
    made_with = provenance.figure_identity(fits.study, fits.made_with)
    one = partial(draw_one, table, folder, made_with, options.scale)
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(min(options.jobs, len(wanted)), fork) as pool:
        try:
            drawn = set().union(*pool.map(one, wanted))
        except BrokenProcessPool:
            reason = "a process that draws was killed, perhaps for lack of memory"
            raise UserError(f"{reason}: draw fewer at a time (--jobs)") from None
    if not options.only and folder.resolve() == (table.parent / "figures").resolve():
        remove_others(folder, drawn)
    return 0


def draw_one(
    table: Path, folder: Path, made_with: Mapping[str, str], scale: metrics.Scale, name: str
) -> set[Path]:
    """Draw one figure, slice by slice; give the files."""
    if name in tables.METRICS:
        figures = draw_metric(table, name, scale)
    elif name in rates.TEXTS:
        figures = draw_rates(table, name)
    elif name == "convergence":
        figures = draw_convergence(table)
    elif name == "claims":
        figures = draw_claims(table)
    else:
        figures = draw_design(table, {"coefficients": coefficients.draw, "grid": grid.draw}[name])
    drawn: set[Path] = set()
    for part, figure in figures:
        paths = style.paths(folder, part, name)
        style.save(figure, paths, made_with)
        drawn.update(paths)
    return drawn


def remove_others(folder: Path, drawn: Collection[Path]) -> None:
    """Remove the figures of conditions that the study no longer has, and nothing else."""
    for path in sorted(folder.rglob("*.svg")):
        with suppress(ValueError):  # not one of ours
            if path not in drawn and "drawn_by" in provenance.made_with(path):
                for kind in style.KINDS:
                    path.with_suffix(f".{kind}").unlink(missing_ok=True)
                with suppress(OSError):  # others are still there
                    path.parent.rmdir()


if __name__ == "__main__":
    raise SystemExit(main())
