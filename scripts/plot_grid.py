"""Draw a study's grid of parameters: groups, observations, between-group SD, replications."""

from __future__ import annotations

from collections.abc import Sequence

from rmsweep import cli
from rmsweep.config import read_study
from rmsweep.plots import grid, style


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; draw the figure."""
    parser = cli.parser(__doc__)
    parser.add_argument("--config", required=True, help="the study's configuration file")
    style.add_output(parser)
    options = parser.parse_args(argv)

    style.save(grid.draw(read_study(options.config)), options.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
