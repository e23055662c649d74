"""Draw the figures of a study from its merged table, as PNG and SVG, and as PDF if asked."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)
# a notebook's, in the environment of its terminal, need not be installed here
os.environ["MPLBACKEND"] = "agg"

from matplotlib.figure import Figure

from rmsweep.errors import UsageError, UserError
from rmsweep.figures import (
    claims,
    coefficients,
    convergence,
    cost,
    grid,
    metrics,
    names,
    nested_loop,
    points,
    style,
    zip_plot,
)
from rmsweep.figures.facets import View, read_fits, read_measures
from rmsweep.sweep import provenance, tables

Drawn = Iterator[tuple[str, Figure]]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be drawn: from which table, what of the study, on what scale.

    Unless the layout is somebody's own, some figures have another one (`names.layout`).
    """

    table: Path
    view: View
    scale: metrics.Scale = "log"
    own_layout: bool = False

    @property
    def measures(self) -> Path:
        """The table of performance."""
        return self.table.with_name("performance.parquet")


def draw_metric(wish: Wish, name: str) -> Drawn:
    """Box plots of a metric, slice by slice."""
    for part, rows in read_fits(wish.table, name, wish.view).slices().items():
        yield part, metrics.draw(rows, name, wish.scale)


def draw_convergence(wish: Wish, name: str) -> Drawn:
    """Bars of how the fits went, slice by slice."""
    read = convergence.read_successes if wish.view.post else convergence.read_causes
    for part, rows in read(wish.table, wish.view).slices().items():
        yield part, convergence.draw_rates(rows) if wish.view.post else convergence.draw(rows)


def draw_points(wish: Wish, name: str) -> Drawn:
    """Points of a performance measure, slice by slice."""
    view = wish.view
    if not wish.own_layout:
        view = replace(view, layout=names.layout(view.study, name))
    if name == "power" and view.study.power:
        view = replace(view, terms=view.terms or (view.study.power.effect,))
    measures = [points.spec_of(name, view).measure, *([points.WRONG] if name == "power" else [])]
    rows = read_measures(wish.measures, measures, view)
    conditions = view.study.slices(view.layout.axes)
    for part, own in rows.slices().items():
        if name not in names.OF_EFFECTS or names.any_effect(conditions[part]):
            yield part, points.draw(own, name)


def draw_zip(wish: Wish, name: str) -> Drawn:
    """Zip plots of some conditions, slice by slice."""
    measured = read_measures(wish.measures, ["coverage"], wish.view)
    for part, own in measured.slices().items():
        yield part, zip_plot.draw(own, wish.table.with_name("coefs.parquet"))


def draw_cost(wish: Wish, name: str) -> Drawn:
    """Processor time against accuracy, slice by slice."""
    rows = cost.read(wish.table.with_name("timings.parquet"), wish.measures, wish.view)
    for part, own in rows.slices().items():
        yield part, cost.draw(own)


def draw_nested_loop(wish: Wish, name: str) -> Drawn:
    """All conditions of the study in one figure."""
    yield "", nested_loop.draw(read_measures(wish.measures, nested_loop.MEASURES, wish.view))


def draw_coefficients(wish: Wish, name: str) -> Drawn:
    """Densities of the groups' coefficients, slice by slice."""
    for part in read_fits(wish.table, "fit_success", wish.view).slices():
        yield part, coefficients.draw(wish.view, part)


def draw_grid(wish: Wish, name: str) -> Drawn:
    """The study's design, slice by slice."""
    draw = grid.draw_planes_of if wish.view.post else grid.draw
    for part in read_fits(wish.table, "fit_success", wish.view).slices():
        yield part, draw(wish.view, part)


def draw_claims(wish: Wish, name: str) -> Drawn:
    """The claims, slice by slice."""
    for part, one in claims.read_claims(wish.table.parent).slices(wish.view.layout.axes).items():
        yield part, claims.draw(one)


FIGURES: dict[str, Callable[[Wish, str], Drawn]] = {
    **dict.fromkeys(tables.METRICS, draw_metric),
    **dict.fromkeys(points.SPECS, draw_points),
    "convergence": draw_convergence,
    "zip": draw_zip,
    "cost": draw_cost,
    "nested_loop": draw_nested_loop,
    "claims": draw_claims,
    "coefficients": draw_coefficients,
    "grid": draw_grid,
}


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; draw."""
    parser = cli.parser(__doc__)
    parser.add_argument("fits", type=Path, help="the study's fits.parquet; others are beside it")
    parser.add_argument(
        "--output", type=cli.output_folder, help="folder; default, figures beside the table"
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"of {', '.join(FIGURES)}")
    parser.add_argument(
        "--style",
        choices=("paper", "post"),
        default="paper",
        help="post: the post's six figures, as the post drew them, into figures-of-the-post",
    )
    parser.add_argument(
        "--scale",
        choices=("log", "linear"),
        help="y axis of the metrics: log (default), or linear as in the post",
    )
    parser.add_argument(
        "--strategies", nargs="+", default=[], metavar="NAME", help="those to show; default, up to "
        "eight, of each family one and then others"
    )  # fmt: skip
    parser.add_argument(
        "--reference",
        default="",
        metavar="NAME",
        help="strategy that others are compared with; default, lmer or the study's first",
    )
    parser.add_argument(
        "--terms",
        nargs="+",
        default=[],
        metavar="TERM",
        help="coefficients to show; default, all where there is room",
    )
    for place, what in {"rows": "rows of panels", "columns": "columns", "x": "x axis"}.items():
        text = f"axis of the study for the {what}; what has no place gets figures of its own"
        parser.add_argument(f"--{place}", default="", metavar="AXIS", help=text)
    parser.add_argument(
        "--at",
        nargs="+",
        default=[],
        metavar="AXIS=LEVEL",
        help="condition of the zip plot; default, the middle of the x axis, the first rows",
    )
    parser.add_argument(
        "--pdf",
        action="store_true",
        help="write PDF files, too; those that are there are drawn anew in any case",
    )
    parser.add_argument("--jobs", type=cli.whole(1), default=1, help="figures to draw at a time")
    options = parser.parse_args(argv)

    table, post = options.fits, options.style == "post"
    wanted = options.only or (names.POST if post else names.NAMES)
    for name in wanted:
        if name not in names.NAMES:
            raise UsageError(f"--only: {name!r}; allowed: {', '.join(names.NAMES)}")
    usual = "figures-of-the-post" if post else "figures"
    folder = options.output or cli.output_folder(table.parent / usual)
    fits = read_fits(table, "fit_success")
    layout = names.Layout.of(fits.study, options.rows, options.columns, options.x)
    chosen = options.strategies, options.reference, layout, options.terms, options.at, post
    scale = options.scale or ("linear" if post else "log")
    own_layout = any((options.rows, options.columns, options.x))
    for name in options.only or ():
        if name in names.OF_EFFECTS and not names.any_effect(fits.study.conditions):
            raise UsageError(f"--only: {name!r}: all true slopes of the study are zero")
    wish = Wish(table, View.of(fits.study, *chosen), scale, own_layout)
    # a study's own figures are those without wishes: the next run draws them anew
    wishes = vars(options).keys() - {"fits", "output", "only", "pdf", "jobs"}
    asked = [name for name in sorted(wishes) if getattr(options, name) != parser.get_default(name)]
    made_with = provenance.figure_identity(fits.study, fits.made_with, " ".join(asked))
    one = partial(draw_one, wish, folder, made_with, options.pdf)
    with drawers(min(options.jobs, len(wanted))) as pool:
        try:
            drawn = set().union(*pool.map(one, wanted))
        except BrokenProcessPool:
            reason = "a process that draws was killed, perhaps for lack of memory"
            raise UserError(f"{reason}: draw fewer at a time (--jobs)") from None
    if not options.only and folder.resolve() == (table.parent / "figures").resolve():
        remove_others(folder, drawn)
    return 0


def drawers(number: int) -> Executor:
    """Processes that draw; where the system gives them no semaphores, this very one."""
    try:
        return ProcessPoolExecutor(number, multiprocessing.get_context("fork"))
    except OSError:  # /dev/shm is closed or missing, as in some containers
        return ThreadPoolExecutor(1)


def draw_one(
    wish: Wish, folder: Path, made_with: Mapping[str, str], pdf: bool, name: str
) -> set[Path]:
    """Draw one figure, slice by slice; give the files."""
    drawn: set[Path] = set()
    for part, figure in FIGURES[name](wish, name):
        paths = names.paths(folder, name, [part])
        # one that somebody asked for earlier must not show an older study than the others
        as_pdf = paths[0].with_suffix(".pdf")
        paths += [as_pdf] if pdf or as_pdf.exists() else []
        style.save(figure, paths, made_with)
        drawn.update(paths)
    return drawn


def remove_others(folder: Path, drawn: Collection[Path]) -> None:
    """Remove the figures of conditions that the study no longer has, and nothing else."""
    for path in sorted(folder.rglob("*.svg")):
        with suppress(ValueError):  # not one of ours
            if path not in drawn and "drawn_by" in provenance.made_with(path):
                for kind in (*names.KINDS, "pdf"):
                    path.with_suffix(f".{kind}").unlink(missing_ok=True)
                with suppress(OSError):  # others are still there
                    path.parent.rmdir()


if __name__ == "__main__":
    raise SystemExit(main())
