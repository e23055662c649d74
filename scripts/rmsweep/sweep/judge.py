"""The judge of a study's files: whether the study as it is now made them.

Every shard, table, figure and page says in its own metadata what made it. That is compared with the
study as it is now, whatever became of file times, of Snakemake's own records or of the
configuration in the meantime.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import pyarrow as pa

from rmsweep import plan
from rmsweep.design import Condition, Study
from rmsweep.sweep.provenance import (
    MEASURES,
    describe_missing,
    figure_identity,
    made_with,
    measures_identity,
    page_identity,
    table_identity,
)
from rmsweep.sweep.shard import Shards


class Judge:
    """Says of a study's files why they have to be made anew.

    Parameters
    ----------
    study : Study
        The study as it is now.
    results : Path
        Its folder.
    programs : bool
        Whether this process has the programs that fit and draw; if not, their versions are left
        out of the judgement.
    """

    def __init__(self, study: Study, results: Path, programs: bool = True) -> None:
        self.study = study
        self.shards = Shards(study, results / "cells", programs)
        self.programs = programs

    @cached_property
    def conditions(self) -> dict[str, Condition]:
        """The study's conditions by their keys."""
        return {condition.key: condition for condition in self.study.conditions}

    def condition_of(self, path: Path) -> Condition | None:
        """The condition that a shard's path names; None if it is no shard of the study."""
        if not path.is_relative_to(self.shards.folder):
            return None
        key, _, _ = path.relative_to(self.shards.folder).as_posix().rpartition("sim=")
        return self.conditions.get(key[:-1])

    @cached_property
    def table(self) -> dict[str, str]:
        """What the metadata of a table have to say."""
        versions = {program: [it] for program, it in self.shards.versions.items()}
        expected = table_identity(self.study, versions)
        if self.study.allow_incomplete:
            blocks = list(plan.blocks(self.study))
            n_there = sum(len(b.sims) for b in blocks if self.usable(self.shards.path(b)))
            if n_there < self.study.n_datasets:
                expected["incomplete"] = describe_missing(n_there, self.study.n_datasets)
        return expected

    @cached_property
    def figure(self) -> dict[str, str]:
        """What the metadata of a figure have to say."""
        return figure_identity(self.study, self.table)

    @cached_property
    def page(self) -> dict[str, str]:
        """What a page has to say of itself."""
        return page_identity(self.study, self.table)

    def usable(self, path: str | Path) -> bool:
        """Whether a file is there and need not be made anew."""
        return Path(path).exists() and not self.outdated(path)

    def outdated(self, path: str | Path) -> str:
        """Why a file has to be made anew; empty if it has not, or if there is none.

        Parameters
        ----------
        path : str or Path
            A shard, a table, a figure or a page. A file without metadata, such as CSV, is made
            together with one that has some, and before it.

        Returns
        -------
        str
        """
        path = Path(path)
        if path.suffix not in (".parquet", ".svg", ".html") or not path.exists():
            return ""
        if condition := self.condition_of(path):
            return self.shards.outdated(path, condition)
        expected = {".svg": self.figure, ".html": self.page}.get(path.suffix, self.table)
        if path.suffix == ".parquet" and path.stem in MEASURES:
            expected = measures_identity(self.table, *MEASURES[path.stem])
        try:
            found = made_with(path)
        except (OSError, ValueError, pa.ArrowException):
            return "it does not say what made it"
        different = [
            part
            for part in sorted(expected.keys() | found.keys())
            if expected.get(part) != found.get(part)
            and (self.programs or part not in ("versions", "drawn_by"))
        ]
        return f"made with other {', '.join(different)}" if different else ""
