"""Check a piece of a scenario, a file of yours or one of ours, against the contract for pieces.

python scripts/check_piece.py config/data/laplace.py
python scripts/check_piece.py lognormal
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)

from rmsweep.data.contract import checked


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; check, and say what does not hold."""
    parser = cli.parser(__doc__)
    parser.add_argument("piece", help="a .py file with a function draw, sizes or observed; a name")
    options = parser.parse_args(argv)

    found = checked(options.piece)
    print(options.piece)
    for check, said in found.items():
        print(f"  {check}: {said}")
    return 1 if {*found.values()} != {"yes"} else 0


if __name__ == "__main__":
    raise SystemExit(main())
