"""Write what studies say of the post's claims, from their tables, into a Markdown file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)

import pandas as pd

from rmsweep.claims.table import ASSESSED
from rmsweep.config import read_study
from rmsweep.design import Study
from rmsweep.documents import update, with_part
from rmsweep.errors import UsageError
from rmsweep.sweep import tables

LEGEND = """\
Each test has an estimate over the study's conditions and its Monte Carlo standard error (of a rate
of 0 or 1, a 95% interval); how many numbers are for the claim, against it, and undecided; and its
own verdict."""


@dataclass(frozen=True, slots=True)
class Source:
    """A study and its table of claims."""

    study: Study
    claims: pd.DataFrame

    @property
    def title(self) -> str:
        """What a column is called."""
        return f"`{self.study.name}`, {self.study.n_sims:,} replications"


def read(path: Path) -> Source:
    """Read a study's ``claims.parquet``.

    Raises
    ------
    UsageError
        If it is none, is incomplete, or has slices.
    """
    made_with = tables.made_with(path, "claims", ASSESSED.names)
    study = read_study(made_with["study"])
    if "incomplete" in made_with or study.further_axes:
        raise UsageError(
            f"{path}: not allowed; allowed: a complete study of groups, observations and sigma"
        )
    return Source(study, tables.read(path, "claims").to_pandas())


def verdicts(sources: Sequence[Source]) -> list[str]:
    """One row per claim: what it says, and each study's verdict."""
    titles = " | ".join(source.title for source in sources)
    lines = [
        f"| | section of the post | claim | {titles} |",
        f"|---|---|---|{'---|' * len(sources)}",
    ]
    first = sources[0].claims.drop_duplicates("id")
    for row in first.itertuples():
        found = [verdict(one.claims[one.claims["id"] == row.id].iloc[0]) for one in sources]
        lines.append(f"| {row.id} | {row.section} | {row.claim} | {' | '.join(found)} |")
    return lines


def verdict(row: pd.Series) -> str:
    """A study's verdict on a claim, and why it has none."""
    if row["verdict"] == "not testable":
        return f"not testable: {row['reason']}"
    return str(row["verdict"])


def numbers(sources: Sequence[Source]) -> list[str]:
    """One row per test: what it compares, and each study's numbers."""
    titles = " | ".join(source.title for source in sources)
    lines = [f"| | compared | true if | {titles} |", f"|---|---|---|{'---|' * len(sources)}"]
    for place, row in enumerate(sources[0].claims.itertuples()):
        found = [in_words(one.claims.iloc[place]) for one in sources]
        name = f"{row.id}.{row.test}"
        lines.append(f"| {name} | {row.compared} | {row.true_if} | {' | '.join(found)} |")
    return lines


def in_words(test: pd.Series) -> str:
    """The numbers of a test, or why there are none."""
    if not test["n_numbers"]:
        return f"not testable: {test['test_reason']}"
    sides = f"{test['n_for']} / {test['n_against']} / {test['n_undecided']}"
    error = "–" if pd.isna(test["mcse"]) else f"{test['mcse']:.2g}"
    if test["mcse"] == 0 and test["unit"] == "rate":  # which says nothing of a rate of 0 or 1
        error = f"{round(test['low'], 12):.2g} to {test['high']:.2g}"
    return f"{test['estimate']:.3g} ({error}); {sides}: {test['test_verdict']}"


def with_claims(text: str, sources: Sequence[Source]) -> str:
    """The text, with what is between its two marks made anew."""
    parts = ["## Verdicts", "", *verdicts(sources), "", "## Numbers", "", LEGEND, ""]
    parts += numbers(sources)
    return with_part(text, "claims", "\n".join(parts))


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; update the file."""
    parser = cli.parser(__doc__)
    parser.add_argument("file", type=Path, help="Markdown file with the begin and end marks")
    parser.add_argument("claims", type=Path, nargs="+", help="claims.parquet of each study")
    options = parser.parse_args(argv)
    sources = [read(path) for path in options.claims]
    if len({tuple(zip(one.claims["id"], one.claims["test"], strict=True)) for one in sources}) > 1:
        raise UsageError("tables of other claims are not allowed; assess them anew")
    update(options.file, lambda text: with_claims(text, sources))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
