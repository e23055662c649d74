"""Write what a comparison of two studies finds into a Markdown file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)

from rmsweep.comparison.studies import Side, Studies
from rmsweep.comparison.table import compare
from rmsweep.documents import update, with_part
from rmsweep.report.comparison import sentences, shared


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; update the file."""
    parser = cli.parser(__doc__)
    parser.add_argument("file", type=Path, help="Markdown file with the marks of A-and-B")
    parser.add_argument("a", type=Path, help="folder of a study's results")
    parser.add_argument("b", type=Path, help="of another one's")
    parser.add_argument("--strategies", nargs="+", default=(), help="as compare.py has them")
    options = parser.parse_args(argv)

    compared = compare(Studies.of(Side.open(options.a), Side.open(options.b), options.strategies))
    lines = [shared(compared), "", *(f"- {text}" for text in sentences(compared))]
    name = f"{options.a.resolve().name}-and-{options.b.resolve().name}"
    update(options.file, lambda text: with_part(text, name, "\n".join(lines)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
