"""Write how a study compares with the published table that it reproduces, into a Markdown file."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)

import numpy as np
import pandas as pd

from rmsweep.config import read_study
from rmsweep.documents import update, with_part
from rmsweep.errors import UsageError
from rmsweep.measures.table import MEASURED
from rmsweep.sweep import tables


@dataclass(frozen=True, slots=True)
class Published:
    """A table of rejection rates.

    Attributes
    ----------
    source : str
    n_sims : int
        Its replications.
    rates : mapping of str to tuple of float
        By strategy; one for each number of groups.
    n_groups : tuple of int
    term : str
        The coefficient whose true value is tested.
    """

    source: str
    n_sims: int
    rates: Mapping[str, tuple[float, ...]]
    n_groups: tuple[int, ...]
    term: str


PUBLISHED = {
    "cameron-gelbach-miller-2008": Published(
        "Cameron, Gelbach & Miller (2008), table 2",
        1000,
        {
            "iid": (0.426, 0.479, 0.489, 0.490, 0.504, 0.472),
            "cr1": (0.195, 0.132, 0.096, 0.093, 0.095, 0.069),
            "cr3": (0.088, 0.084, 0.065, 0.072, 0.067, 0.057),
            "wild": (0.054, 0.062, 0.056, 0.045, 0.060, 0.045),
        },
        (5, 10, 15, 20, 25, 30),
        "IV1",
    )
}
"""Published tables, by the study that reproduces them."""


def compared(path: Path) -> tuple[str, pd.DataFrame]:
    """The study's name, and a row per cell: published, ours, both Monte Carlo errors, difference.

    The difference is in standard errors of the two together.

    Raises
    ------
    UsageError
        If the file is no performance table of such a study, or not of a whole one.
    """
    made_with = tables.made_with(path, "performance", MEASURED.names)
    study = read_study(made_with["study"])
    if study.name not in PUBLISHED or "incomplete" in made_with:
        raise UsageError(f"{path}: not allowed; allowed: complete ones of {', '.join(PUBLISHED)}")
    paper = PUBLISHED[study.name]
    table = tables.read(
        path,
        "performance",
        filters=[("measure", "=", "size"), ("fits", "=", "all"), ("term", "=", paper.term)],
    ).to_pandas()
    ours = table.set_index(["strategy", "n_groups"])
    rows = []
    for strategy, rates in paper.rates.items():
        for n_groups, theirs in zip(paper.n_groups, rates, strict=True):
            value, mcse = ours.loc[(strategy, n_groups), ["value", "mcse"]]
            their_mcse = np.sqrt(theirs * (1.0 - theirs) / paper.n_sims)
            rows.append((strategy, n_groups, theirs, their_mcse, value, mcse))
    columns = ["strategy", "n_groups", "published", "their_mcse", "here", "mcse"]
    frame = pd.DataFrame(rows, columns=columns)
    both = np.hypot(frame["their_mcse"], frame["mcse"])
    return study.name, frame.assign(difference=(frame["here"] - frame["published"]) / both)


def in_markdown(name: str, frame: pd.DataFrame) -> str:
    """The comparison as a table: a row per strategy, a column per number of groups."""
    paper = PUBLISHED[name]
    lines = [
        f"| {paper.source} | {' | '.join(f'{n} groups' for n in paper.n_groups)} |",
        f"|---{'|---' * len(paper.n_groups)}|",
    ]
    for strategy, rows in frame.groupby("strategy", sort=False):
        cells = (
            f"{row.published:.3f} / {row.here:.3f} ({row.difference:+.1f})"
            for row in rows.itertuples()
        )
        lines.append(f"| `{strategy}` | {' | '.join(cells)} |")
    within = int((frame["difference"].abs() < 3.0).sum())
    lines.append(
        f"\nPublished / here (difference in standard errors of both). {within} of {len(frame)} "
        "differences are below 3."
    )
    return "\n".join(lines)


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; update the file."""
    parser = cli.parser(__doc__)
    parser.add_argument("file", type=Path, help="Markdown file with the begin and end marks")
    parser.add_argument("performance", type=Path, help="the study's performance.parquet")
    options = parser.parse_args(argv)
    name, frame = compared(options.performance)
    update(options.file, lambda text: with_part(text, name, in_markdown(name, frame)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
