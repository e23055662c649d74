"""Write what studies found into a Markdown file: facts, verdicts, numbers and figures."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)

import pandas as pd
from PIL import Image

from rmsweep.config import read_study
from rmsweep.design import Study
from rmsweep.documents import update, with_part
from rmsweep.errors import UsageError
from rmsweep.figures.facets import View, read_measures
from rmsweep.report import words
from rmsweep.report.data import facts
from rmsweep.report.findings import findings, headlines, summary
from rmsweep.report.pictures import pictures
from rmsweep.report.takeaway import takeaway
from rmsweep.sweep import tables

SHOWN = {
    "config": ("se_sum", "coverage"),
    "precise": ("standard_errors",),
    "published-figures": ("convergence",),
    "type-one-error": ("size",),
    "simpson": ("bias",),
    "anova": ("power",),
    "messy": ("size",),
}
"""The figures that show most, by study."""
OF_ALL = ("nested_loop",)
"""Those of other studies."""
TERM = "IV1"
MEASURES = ("bias", "size", "rmse_ratio", "convergence_rate")
PIXELS, SHADES = 900, 128


def section(fits: Path, file: Path) -> str:
    """What a study found, with its figures, whose pictures are written beside the file.

    Parameters
    ----------
    fits : Path
        The study's ``fits.parquet``; the other tables and the figures are beside it.
    file : Path
        The Markdown file.

    Raises
    ------
    UsageError
        If the study is incomplete, or a table or a figure can't be read.
    """
    made_with = tables.made_with(fits, "fits", ["fit_success"])
    if "incomplete" in made_with:
        raise UsageError(f"{fits}: not allowed; allowed: tables of a complete study")
    study, folder = read_study(made_with["study"]), fits.parent
    known = facts(study, made_with, fits)
    each = " each" if len(study.conditions) > 1 else ""
    lines = [f"## {study.title}", ""]
    if described := study.source["description"]:
        lines += [described, ""]
    lines += [
        f"Study `{study.name}`: {known['conditions']}, {known['replications']}{each}, "
        f"{known['strategies']}, {known['fits']}, by {known['programs']}.",
        "",
        *(f"- **{point.lead}.** {point.text}" for point in takeaway(study, folder)),
        "",
        *verdicts(study, folder),
    ]
    for name in SHOWN.get(study.name, OF_ALL):
        lines += [figure(study, folder, name, file), ""]
    lines += [*numbers(study, folder), ""]
    return "\n".join(lines)


def verdicts(study: Study, folder: Path) -> list[str]:
    """The claims that the study says most about; nothing if it decides none."""
    found = findings(study, folder)
    top = headlines(found)
    if not top:
        return []
    lines = [summary(found), ""]
    for one in top:
        tally = f": {one.tally}" if one.tally else ""
        lines.append(f"- **{one.claim}** {one.answer}{tally}. {one.first}")
    return [*lines, ""]


def figure(study: Study, folder: Path, name: str, file: Path) -> str:
    """A figure and its caption; the picture is written into ``figures`` beside the file."""
    drawn = sorted((folder / "figures").rglob(f"{name}.png"))
    if not drawn:
        raise UsageError(f"{folder}/figures: without {name}.png is not allowed; run the study")
    (shown,) = pictures(study, drawn[:1], folder / "figures", folder)
    target = cli.output(file.parent / "figures" / f"{study.name}-{name}.png")
    with Image.open(shown.file) as opened:
        picture = opened.convert("RGB")
    height = round(picture.height * PIXELS / picture.width)
    picture = picture.resize((PIXELS, height), Image.Resampling.LANCZOS)
    few = picture.quantize(SHADES, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    with tables.atomic(target) as temporary:
        few.save(temporary, format="png", optimize=True)
    return f"![{shown.title}](figures/{target.name})\n\n*{shown.title}.* {shown.caption}"


def numbers(study: Study, folder: Path) -> list[str]:
    """One row per strategy: the medians of its measures over the conditions, and their range."""
    view = View.of(study, [one.name for one in study.strategies])
    frame = read_measures(folder / "performance.parquet", MEASURES[:3], view).frame
    frame = frame[frame["term"].isna() | (frame["term"] == TERM)]
    reference = view.reference.name
    titles = ["bias", "type I error", f"RMSE / RMSE of `{reference}`", "fits without a warning"]
    lines = [f"| strategy | {' | '.join(titles)} |", f"|---|{'---|' * len(titles)}"]
    for name in view.names:
        own = frame[frame["strategy"] == name]
        cells = [summarised(own[own["measure"] == measure], measure) for measure in MEASURES]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    said = (
        f"Medians over the conditions, and in brackets the lowest and the highest value; bias, "
        f"type I error and RMSE are those of the coefficient {TERM}."
    )
    errors = frame.loc[frame["measure"] == "size", "mcse"]
    if errors.notna().any():
        said += f" Monte Carlo standard errors of single rates are at most {errors.max():.1%}."
    return [*lines, "", said]


def summarised(rows: pd.DataFrame, measure: str) -> str:
    """``5.1% (4.6% to 5.5%)``; a dash where nothing is defined."""
    values = rows["value"].dropna()
    if values.empty:
        return "–"
    rate = words.of_measure(measure).kind == "rate"
    texts = [
        f"{value:.1%}" if rate else f"{round(value, 3) + 0.0:.3f}".replace("-", "−")
        for value in (values.median(), values.min(), values.max())
    ]
    return f"{texts[0]} ({texts[1]} to {texts[2]})" if len({*texts}) > 1 else texts[0]


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; update the file."""
    parser = cli.parser(__doc__)
    parser.add_argument("file", type=Path, help="Markdown file with the begin and end marks")
    parser.add_argument("fits", type=Path, nargs="+", help="fits.parquet of each study")
    options = parser.parse_args(argv)
    sections = [section(fits, options.file) for fits in options.fits]
    text = "\n".join(sections).strip()
    update(options.file, lambda whole: with_part(whole, "gallery", text))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
