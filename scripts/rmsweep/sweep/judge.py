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
from rmsweep.sweep import looks
from rmsweep.sweep.provenance import (
    LOOKS,
    MEASURES,
    describe_missing,
    figure_identity,
    made_with,
    measures_identity,
    page_identity,
    table_identity,
)
from rmsweep.sweep.shard import Identity, Shards


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
        self.results = results
        self._tables: dict[tuple[int, ...], dict[str, str]] = {}
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

    @property
    def latest_look(self) -> Path | None:
        """The last look of a study with a precision; None before the first, and of others."""
        return looks.latest(self.study, self.results, self.usable)

    @property
    def planned(self) -> Study:
        """The study with the replications that are planned by now."""
        return looks.planned(self.study, self.latest_look)

    @cached_property
    def versions(self) -> dict[str, list[str]]:
        """What a table has to say of the programs that its shards were made with."""
        return {program: [version] for program, version in self.shards.versions.items()}

    @property
    def table(self) -> dict[str, str]:
        """What the metadata of a table have to say."""
        study = self.planned
        sizes = tuple(study.sizes.values())
        if sizes not in self._tables:
            expected = table_identity(study, self.versions)
            if study.allow_incomplete:
                blocks = list(plan.blocks(study))
                n_there = sum(len(b.sims) for b in blocks if self.usable(self.shards.path(b)))
                if n_there < study.n_datasets:
                    expected["incomplete"] = describe_missing(n_there, study.n_datasets)
            self._tables[sizes] = expected
        return self._tables[sizes]

    @cached_property
    def look(self) -> dict[str, str]:
        """What the metadata of a look have to say."""
        return measures_identity(table_identity(self.study, self.versions), LOOKS)

    @property
    def figure(self) -> dict[str, str]:
        """What the metadata of a figure have to say."""
        return figure_identity(self.study, self.table)

    @cached_property
    def page(self) -> dict[str, str]:
        """What a page has to say of itself."""
        return page_identity(self.study, self.table)

    def expected(self, path: str | Path) -> Identity:
        """What a file has to say of itself, be it there or not: see `outdated`."""
        path = Path(path)
        if condition := self.condition_of(path):
            return self.shards.expected(condition)
        if path.suffix in (".svg", ".html"):
            return self.figure if path.suffix == ".svg" else self.page
        if path.stem == "replications" or path == looks.path(self.results, path.stem):
            return self.look
        if path.stem in MEASURES and path.suffix == ".parquet":
            return measures_identity(self.table, *MEASURES[path.stem])
        return self.table

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
        expected = self.expected(path)
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
