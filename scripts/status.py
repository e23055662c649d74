"""Show a study's progress: finished, missing and damaged cells, failed fits, and the time left.

A study is named by its folder of results, or as for Snakemake, with the keys that a run had:

    python scripts/status.py results/config
    python scripts/status.py --configfile config/config.yaml --config engine=native

This only reads the shards, so it can be used during a run, from any machine that sees the folder.
Exit code 0: all cells are done; 1: some are not.
"""

from __future__ import annotations

import shutil
import sys
import time
from argparse import ArgumentTypeError
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)

from rmsweep.config import DEFAULT_STUDY, read_overridden
from rmsweep.sweep import progress, results
from rmsweep.sweep.judge import Judge

CLEAR = "\x1b[H\x1b[J"
DAY = 86_400


def seconds(text: str) -> float:
    """A time to wait, for `argparse`."""
    try:
        number = float(text)
        if not 0 < number < DAY:
            raise ValueError
    except ValueError:
        raise ArgumentTypeError(
            f"{text!r} is not allowed; allowed: a number above 0 and below {DAY:,}"
        ) from None
    return number


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; print the state, once or until all is done."""
    parser = cli.parser(__doc__)
    parser.add_argument("results", type=Path, nargs="?", help="the study's folder of results")
    parser.add_argument(
        "--configfile", type=Path, nargs="+", default=[], metavar="FILE", help="the study's files"
    )
    parser.add_argument(
        "--config",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="keys that come last, as a run had them; a file is taken for one of --configfile",
    )
    parser.add_argument(
        "--cells", type=Path, help="folder of the shards; default results/{study}/cells"
    )
    parser.add_argument(
        "--watch",
        type=seconds,
        nargs="?",
        const=2.0,
        metavar="SECONDS",
        help="repeat every SECONDS (default 2) until all cells are done",
    )
    options = parser.parse_args(argv)

    keys = [word for word in options.config if "=" in word and not Path(word).exists()]
    files = options.configfile + [Path(word) for word in options.config if word not in keys]
    if options.results is None:
        study = read_overridden(files or [DEFAULT_STUDY], keys)
    elif keys or files:
        parser.error(f"{options.results} says which study it is; allowed beside it: no --config")
    else:
        study = results.study_of(options.results)
    cells = options.cells or (options.results or Path("results", study.name)) / "cells"
    monitor = progress.Monitor(study, cells)
    state = monitor.look()
    while options.watch is not None and not state.complete:
        show(state)
        time.sleep(options.watch)
        state = monitor.look()
    show(state, whole=True)
    reason = Judge(study, cells.parent).outdated(cells.with_name("fits.parquet"))
    if reason:
        print(f"the tables are outdated ({reason}): run the study again")
    return 0 if state.complete else 1


def show(state: progress.Progress, whole: bool = False) -> None:
    """Print the state: over the last one in a terminal, else as a line, or all if `whole`."""
    line = progress.summary(state, time.time())
    details = [*progress.by_condition(state), *progress.damage(state)]
    if sys.stdout.isatty():
        lines = [*details, progress.bar(state), line]
        if not whole:
            room = shutil.get_terminal_size().lines - 2  # the last line may take two
            lines = [CLEAR + "\n".join(lines[-room:])]
    else:
        lines = [*details, line] if whole else [line]
    print("\n".join(lines), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
