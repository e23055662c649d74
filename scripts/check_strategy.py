"""Check a strategy of your own, a Python or R file, against the contract for strategies.

python scripts/check_strategy.py config/strategies/mine.R
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)

from rmsweep.strategies.resolve import resolve
from rmsweep.sweep.contract import CHECKS, broken


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; check, and say what does not hold."""
    parser = cli.parser(__doc__)
    parser.add_argument("strategy", help="a .py or .R file, or the name of a strategy")
    options = parser.parse_args(argv)

    shared = {"engine": "lme4", "verdict": "strict"}
    (strategy,), _ = resolve([options.strategy], shared, Path())
    problems = broken(strategy)
    print(f"{strategy.name}: {strategy.label}")
    for check in CHECKS:
        name = check.__name__.replace("_", " ")
        print(f"  {name}: {problems.get(name, 'yes')}")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
