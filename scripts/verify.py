"""Check that a study's tables, figures and page were made by the study as it is now."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)

from rmsweep.config import read_study
from rmsweep.errors import UserError
from rmsweep.sweep.judge import Judge


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; judge the files."""
    parser = cli.parser(__doc__)
    cli.add_config(parser)
    parser.add_argument("fits", type=Path, help="the study's fits.parquet")
    parser.add_argument("others", type=Path, nargs="*", help="its other files")
    parser.add_argument(
        "--other-programs",
        action="store_true",
        help="they were made by programs of another environment: don't compare versions",
    )
    options = parser.parse_args(argv)

    study = read_study(options.config)
    judge = Judge(study, options.fits.parent, programs=not options.other_programs)
    for path in (options.fits, *options.others):
        if not path.exists():
            raise UserError(f"{path} is not there")
        if reason := judge.outdated(path):
            raise UserError(f"{path} is not of the study as it is now: {reason}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
