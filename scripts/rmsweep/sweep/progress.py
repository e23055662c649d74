"""How far a study is: what its shards say, while a run is going or not.

Only the folders of the shards are listed, and each shard is read once: what a reader sees is a
whole file or none, and a file that replaced another has another inode. Nothing is locked.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import pyarrow.compute as pc

from rmsweep import plan
from rmsweep.design import Block, Condition, Study, plain
from rmsweep.sweep import looks, tables
from rmsweep.sweep.content import DamagedError
from rmsweep.sweep.judge import Judge
from rmsweep.sweep.merge import identified
from rmsweep.sweep.shard import (
    OutdatedError,
    Shards,
    blocks_among,
    one_line,
)

State = Literal["done", "outdated", "damaged", "unreadable"]

PAUSE = 120.0
"""Seconds without work that count as a break between two runs."""
NAMED = 10
BAR_WIDTH = 40


@dataclass(frozen=True, slots=True)
class ShardReport:
    """What one shard says.

    Attributes
    ----------
    state : {"done", "outdated", "damaged", "unreadable"}
        ``outdated``: made with other settings or code, so that the next run replaces it.
    problem : str
        What is wrong with a damaged one, or keeps one from being read.
    fits, failed, not_converged : int
        Rows; those without estimates; those with estimates that don't count as a success.
    seconds, cpu_seconds : float
        Wall and CPU time of its fits.
    finished : float
        When it was written, in seconds since the epoch.
    """

    state: State
    problem: str = ""
    fits: int = 0
    failed: int = 0
    not_converged: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    finished: float = 0.0


@dataclass(frozen=True, slots=True)
class Progress:
    """A study's state at one moment.

    Attributes
    ----------
    study : Study
        What is planned.
    shards : dict of Block to ShardReport
        The planned shards that are there.
    unsettled : int
        Conditions that may need more replications than are planned by now.
    """

    study: Study
    shards: dict[Block, ShardReport]
    unsettled: int = 0

    @property
    def planned(self) -> int:
        """Datasets in all."""
        return self.study.n_datasets

    @property
    def complete(self) -> bool:
        """Whether nothing is left to fit."""
        return self.cells("done") == self.planned and not self.unsettled

    def cells(self, state: State) -> int:
        """Datasets in shards of that state."""
        return sum(len(block.sims) for block, shard in self.shards.items() if shard.state == state)

    def done(self) -> Iterator[tuple[Block, ShardReport]]:
        """The shards that need not be made again."""
        return ((block, shard) for block, shard in self.shards.items() if shard.state == "done")

    def busy(self) -> list[tuple[float, float]]:
        """Stretches of time in which shards were made, first to last, without the breaks."""
        spans = sorted((shard.finished - shard.seconds, shard.finished) for _, shard in self.done())
        stretches: list[tuple[float, float]] = []
        for start, end in spans:
            if stretches and start <= stretches[-1][1] + PAUSE:
                start, last = stretches.pop()
                end = max(end, last)
            stretches.append((start, end))
        return stretches

    def elapsed(self) -> float:
        """Seconds of work so far, without the breaks between runs."""
        return sum(end - start for start, end in self.busy())

    def remaining(self) -> float:
        """Expected seconds to the end at the pace of the latest run; NaN before any shard.

        A missing dataset is taken to need what the others of its condition did. For a condition
        without any, the cost model decides, scaled by what the other conditions needed.
        """
        model = {c: plan.seconds(self.study, c) for c in self.study.conditions}
        left = Counter({condition: self.study.size(condition) for condition in model})
        spent = dict.fromkeys(model, 0.0)
        for block, shard in self.done():
            left[block.condition] -= len(block.sims)
            spent[block.condition] += shard.seconds
        ready = {condition: self.study.size(condition) - left[condition] for condition in model}
        modelled = sum(ready[condition] * model[condition] for condition in model)
        stretches = self.busy()
        if not modelled or not stretches:
            return math.nan
        scale = sum(spent.values()) / modelled
        work = sum(left[c] * (spent[c] / ready[c] if ready[c] else scale * model[c]) for c in model)
        start, end = stretches[-1]
        lately = sum(shard.seconds for _, shard in self.done() if shard.finished >= start)
        return work * (end - start) / lately if lately else math.nan


class Monitor:
    """Looks at a study's shards again and again.

    Parameters
    ----------
    study : Study
        What is planned.
    cells : Path
        Folder of the shards.
    """

    def __init__(self, study: Study, cells: Path) -> None:
        self.judge = Judge(study, cells.parent)
        self.shards = Shards(study, cells)
        self.known: dict[tuple[Block, int], ShardReport] = {}

    def look(self) -> Progress:
        """Read what is new."""
        look = self.judge.latest_look
        study = looks.planned(self.judge.study, look)
        unsettled = looks.unsettled(study, look) if study.precision else []
        known: dict[tuple[Block, int], ShardReport] = {}
        for condition in study.conditions:
            try:
                folder = self.shards.path(Block(condition, range(1))).parent
                with os.scandir(folder) as entries:
                    inodes = {entry.name: entry.inode() for entry in entries}
            except FileNotFoundError:
                continue
            covered: set[int] = set()
            for block in found(study, condition, inodes):
                if covered.isdisjoint(block.sims):
                    inode = inodes[Path(block.path).name]
                    shard = self.known.get((block, inode)) or self.read(block)
                    if shard:
                        known[block, inode] = shard
                        covered.update(block.sims)
        self.known = known
        shards = {block: shard for (block, _), shard in known.items()}
        return Progress(study, shards, len(unsettled))

    def read(self, block: Block) -> ShardReport | None:
        """Read a shard; None if it is gone."""
        try:
            finished = self.shards.path(block).stat().st_mtime
            shard = self.shards.read(block)
        except FileNotFoundError:
            return None
        except OutdatedError:
            return ShardReport("outdated", finished=finished)
        except DamagedError as error:
            return ShardReport("damaged", one_line(error))
        except MemoryError:
            return ShardReport("unreadable", "not enough memory")
        except OSError as error:
            return ShardReport("unreadable", tables.in_words(error))
        rows = identified(shard, self.judge.study, block.condition)
        failed = pc.equal(rows["status"], "failed")
        return ShardReport(
            "done",
            fits=len(rows),
            failed=pc.sum(failed).as_py(),
            not_converged=pc.sum(pc.and_not(pc.invert(rows["fit_success"]), failed)).as_py(),
            seconds=pc.sum(rows["seconds"]).as_py(),
            cpu_seconds=pc.sum(rows["cpu_seconds"]).as_py(),
            finished=finished,
        )


def found(study: Study, condition: Condition, names: Iterable[str]) -> list[Block]:
    """The blocks of a condition that have a file, those that the configuration plans first.

    Blocks of another length count as well: a cluster's profile may have cut the study.
    """
    blocks = [b for b in blocks_among(names, condition) if b.sims[-1] < study.size(condition)]
    planned = set(plan.blocks_of(study, condition))
    return sorted(blocks, key=lambda block: (block not in planned, block.sims.start))


def summary(progress: Progress, now: float) -> str:
    """One line: how much is done, and how long the rest will take."""
    finished, planned = progress.cells("done"), progress.planned
    others = {state: progress.cells(state) for state in get_args(State)[1:]}
    others = {"missing": planned - finished - sum(others.values())} | others
    done = [shard for _, shard in progress.done()]
    parts = [f"{finished:,} of {planned:,} datasets done ({finished / planned:.1%})"]
    parts += [f"{count:,} {state}" for state, count in others.items() if count]
    if done:
        fits, failed, not_converged = (
            sum(getattr(shard, part) for shard in done)
            for part in ("fits", "failed", "not_converged")
        )
        parts.append(f"{failed:,} of {fits:,} fits failed, {not_converged:,} not converged")
        parts.append(f"elapsed {clock(progress.elapsed())}")
        parts.append(f"CPU time {clock(sum(shard.cpu_seconds for shard in done))}")
    if progress.unsettled:
        n_conditions = len(progress.study.conditions)
        parts.append(f"{progress.unsettled:,} of {n_conditions:,} conditions may need more")
    if done and not progress.complete:
        parts.append(f"about {clock(progress.remaining())} left")
        ago = max(0.0, now - max(shard.finished for shard in done))
        parts.append(f"latest shard {clock(ago)} ago")
    return f"{progress.study.name}: {'; '.join(parts)}"


def by_condition(progress: Progress) -> list[str]:
    """The table of the conditions, a line each below the heading.

    Cells are datasets; failed fits (rows without estimates) and those that have estimates but
    did not converge are rows of the cells that are done.
    """
    heading = (
        *(axis.name for axis in progress.study.axes),
        *("cells", "missing", *get_args(State)),
        *("fits", "failed", "not converged"),
    )
    counts = {condition: Counter[str]() for condition in progress.study.conditions}
    for block, shard in progress.shards.items():
        count = counts[block.condition]
        count[shard.state] += len(block.sims)
        for part in ("fits", "failed", "not_converged"):
            count[part.replace("_", " ")] += getattr(shard, part)
    rows: list[tuple[str, ...]] = [heading]
    for condition, count in counts.items():
        count["cells"] = progress.study.size(condition)
        count["missing"] = count["cells"] - sum(count[state] for state in get_args(State))
        place = [plain(condition.levels[axis.name]) for axis in progress.study.axes]
        rows.append((*place, *(f"{count[name]:,}" for name in heading[len(place) :])))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.rjust, row, widths)) for row in rows]


def damage(progress: Progress) -> list[str]:
    """The shards that are damaged or can't be read now, a line each."""
    found = [
        f"{shard.state}: {block.path} ({shard.problem})"
        for block, shard in progress.shards.items()
        if shard.problem
    ]
    more = [f"and {len(found) - NAMED:,} more of them"] if len(found) > NAMED else []
    return found[:NAMED] + more


def bar(progress: Progress) -> str:
    """A bar that is full when all is done, and not before."""
    full = BAR_WIDTH * progress.cells("done") // progress.planned
    return "█" * full + "░" * (BAR_WIDTH - full)


def clock(seconds: float) -> str:
    """A duration, as in ``1:02:03``."""
    if math.isnan(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
