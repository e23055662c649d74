"""Make the page of a study, one file that shows its tables and figures and needs nothing else."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)

from rmsweep.config import read_study
from rmsweep.report.page import html
from rmsweep.report.pictures import pictures
from rmsweep.sweep import tables
from rmsweep.sweep.provenance import page_identity


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; write the page."""
    parser = cli.parser(__doc__)
    parser.add_argument("fits", type=Path, help="the study's fits.parquet, the others beside it")
    parser.add_argument(
        "--output", type=cli.output, help="page to write; default, report.html beside the table"
    )
    parser.add_argument(
        "--figures",
        type=Path,
        nargs="*",
        help="PNGs to show; default, all in the folder figures beside the table",
    )
    options = parser.parse_args(argv)

    folder = options.fits.parent
    output = options.output or cli.output(folder / "report.html")
    made_with = tables.made_with(options.fits, "fits", ["fit_success"])
    tables.read(options.fits, "fits", columns=["fit_success"])  # a damaged one is named as such
    study = read_study(made_with["study"])
    figures = options.figures
    if figures is None:
        figures = (folder / "figures").rglob("*.png")
    page = html(
        study,
        folder,
        made_with,
        page_identity(study, made_with),
        pictures(study, figures, folder / "figures", output.parent),
    )
    with tables.atomic(output) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
