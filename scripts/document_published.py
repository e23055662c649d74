"""Write how a study compares with the published table that it reproduces, into a Markdown file."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)

import numpy as np
import pandas as pd

from rmsweep.config import read_study
from rmsweep.design import Level
from rmsweep.documents import update, with_part
from rmsweep.errors import UsageError
from rmsweep.measures.performance import ALPHA
from rmsweep.measures.table import MEASURED
from rmsweep.sweep import tables


class Column(NamedTuple):
    """A column of a published table.

    Attributes
    ----------
    heading : str
    levels : mapping of str to Level
        What our tables say of its conditions: one of the study's.
    measure : {"size", "rejection"}
        How often tests reject the true coefficient, or zero.
    """

    heading: str
    levels: Mapping[str, Level]
    measure: str = "size"


@dataclass(frozen=True, slots=True)
class Published:
    """A table of rejection rates.

    Attributes
    ----------
    source : str
    n_sims : int
        Its replications.
    columns : tuple of Column
    rates : mapping of str to tuple of float
        By strategy; one for each column.
    term : str
        The coefficient that is tested.
    alpha : float
        The level of the tests. At 5% the rates are those of ``performance``; else they are made of
        the p-values in ``coefs``.
    """

    source: str
    n_sims: int
    columns: tuple[Column, ...]
    rates: Mapping[str, tuple[float, ...]]
    term: str
    alpha: float = ALPHA

    @property
    def kind(self) -> str:
        """The table that says it."""
        return "performance" if self.alpha == ALPHA else "coefs"


PUBLISHED = {
    "cameron-gelbach-miller-2008": Published(
        "Cameron, Gelbach & Miller (2008), table 2",
        1000,
        tuple(Column(f"{n} groups", {"n_groups": n}) for n in (5, 10, 15, 20, 25, 30)),
        {
            "iid": (0.426, 0.479, 0.489, 0.490, 0.504, 0.472),
            "cr1": (0.195, 0.132, 0.096, 0.093, 0.095, 0.069),
            "cr3": (0.088, 0.084, 0.065, 0.072, 0.067, 0.057),
            "wild": (0.054, 0.062, 0.056, 0.045, 0.060, 0.045),
        },
        "IV1",
    ),
    "barr-2013": Published(
        "Barr, Levy, Scheepers & Tily (2013), items between conditions",
        100_000,
        (
            Column("12 items, type I error", {"n_obs": 12, "beta": "none"}),
            Column("24 items, type I error", {"n_obs": 24, "beta": "none"}),
            Column("12 items, power", {"n_obs": 12, "beta": "effect"}, "rejection"),
            Column("24 items, power", {"n_obs": 24, "beta": "effect"}, "rejection"),
        ),
        {
            "min_f": (0.092, 0.093, 0.311, 0.444),
            "max_lrt": (0.129, 0.113, 0.371, 0.478),
            "max_z": (0.143, 0.120, 0.394, 0.490),
            "zcp_z": (0.143, 0.119, 0.393, 0.489),
            "intercepts_lrt": (0.171, 0.177, 0.419, 0.548),
            "intercepts_z": (0.193, 0.189, 0.447, 0.563),
            "f1": (0.497, 0.420, 0.732, 0.767),
        },
        "IV1",
        alpha=0.10,
    ),
}
"""Published tables, by the study that reproduces them."""
P_VALUES = {"size": "p_truth", "rejection": "p_value"}
"""The columns of ``coefs`` of which rates are made."""


def compared(path: Path) -> tuple[str, pd.DataFrame]:
    """The study's name, and a row per cell: published, ours, both Monte Carlo errors, difference.

    The difference is in standard errors of the two together.

    Raises
    ------
    UsageError
        If the file is no table of such a study, not the one that is needed, or not of a whole one.
    """
    made_with = tables.made_with(path, "performance or coefs", ["term"])
    study = read_study(made_with["study"])
    if study.name not in PUBLISHED or "incomplete" in made_with:
        raise UsageError(f"{path}: not allowed; allowed: complete ones of {', '.join(PUBLISHED)}")
    paper = PUBLISHED[study.name]
    ours = of_coefs(path, paper) if paper.kind == "coefs" else of_performance(path)
    rows = []
    for strategy, rates in paper.rates.items():
        for column, theirs in zip(paper.columns, rates, strict=True):
            wanted = {"strategy": strategy, "term": paper.term, "measure": column.measure}
            chosen = pd.Series(data=True, index=ours.index)
            for key, level in (wanted | dict(column.levels)).items():
                chosen &= ours[key] == level
            (value,), (mcse,) = ours.loc[chosen, "value"], ours.loc[chosen, "mcse"]
            their_mcse = np.sqrt(theirs * (1.0 - theirs) / paper.n_sims)
            rows.append((strategy, column.heading, theirs, their_mcse, value, mcse))
    columns = ["strategy", "column", "published", "their_mcse", "here", "mcse"]
    frame = pd.DataFrame(rows, columns=columns)
    both = np.hypot(frame["their_mcse"], frame["mcse"])
    return study.name, frame.assign(difference=(frame["here"] - frame["published"]) / both)


def of_performance(path: Path) -> pd.DataFrame:
    """The rates that the study's measures have."""
    tables.made_with(path, "performance", MEASURED.names)
    return tables.read(path, "performance", filters=[("fits", "=", "all")]).to_pandas()


def of_coefs(path: Path, paper: Published) -> pd.DataFrame:
    """The same at another level, of the p-values of all fits that have one."""
    tables.made_with(path, "coefs", P_VALUES.values())
    keys = ["strategy", *dict.fromkeys(key for column in paper.columns for key in column.levels)]
    coefs = tables.read(
        path,
        "coefs",
        columns=[*keys, *P_VALUES.values()],
        filters=[("term", "=", paper.term)],
    ).to_pandas()
    parts = []
    for measure, name in P_VALUES.items():
        known = coefs[coefs[name].notna()]
        rejects = (known[name] < paper.alpha).groupby([known[key] for key in keys])
        rates = rejects.agg(value="mean", n="size").reset_index()
        mcse = np.sqrt(rates["value"] * (1 - rates["value"]) / rates["n"])
        parts.append(rates.assign(measure=measure, term=paper.term, mcse=mcse))
    return pd.concat(parts, ignore_index=True)


def in_markdown(name: str, frame: pd.DataFrame) -> str:
    """The comparison as a table: a row per strategy."""
    paper = PUBLISHED[name]
    lines = [
        f"| {paper.source} | {' | '.join(column.heading for column in paper.columns)} |",
        f"|---{'|---' * len(paper.columns)}|",
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
    parser.add_argument(
        "table", type=Path, help="the study's performance.parquet, or coefs.parquet for Barr et al."
    )
    options = parser.parse_args(argv)
    name, frame = compared(options.table)
    update(options.file, lambda text: with_part(text, name, in_markdown(name, frame)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
