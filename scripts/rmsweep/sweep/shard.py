"""Shards: where they are, writing and reading them, and the one judge of what they hold."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rmsweep.config import axis_defaults
from rmsweep.design import Block, Condition, Study, parse_sims
from rmsweep.errors import UserError
from rmsweep.sweep import tables
from rmsweep.sweep.content import DamagedError, check
from rmsweep.sweep.provenance import installed_r_versions, shard_identity, study_versions

Identity = Mapping[str, Any]
FEW_ROWS = 10
T = TypeVar("T")


class UnreadableError(UserError):
    """A shard that may be good, but that the system does not let this process read."""


class OutdatedError(ValueError):
    """A shard that was made by another study, code or program, and by which."""


class Shards:
    """The shards of a study.

    Parameters
    ----------
    study : Study
        The study as it is now.
    folder : Path
        The folder ``cells`` of its results.
    programs : bool
        Whether this process has the programs that fit; if not, their versions are left out of the
        judgement.
    versions : mapping of str to str, optional
        Of these programs; default, those that are installed.
    """

    def __init__(
        self,
        study: Study,
        folder: Path,
        programs: bool = True,
        versions: Mapping[str, str] | None = None,
    ) -> None:
        self.study = study
        self.folder = folder
        self.programs = programs
        self._versions = versions
        self.names = [strategy.name for strategy in study.strategies]
        self._expected: dict[Condition, Identity] = {}

    def path(self, block: Block) -> Path:
        """Where a block's shard is."""
        return self.folder / block.path

    @cached_property
    def versions(self) -> Mapping[str, str]:
        """Versions of the programs that fit; none if this process can't say."""
        if self._versions is None:
            return study_versions(self.study, installed_r_versions) if self.programs else {}
        return self._versions

    def expected(self, condition: Condition) -> Identity:
        """What a shard of the condition has to say of itself."""
        if condition not in self._expected:
            identity = shard_identity(self.study, condition, self.versions)
            self._expected[condition] = parsed(identity)
        return self._expected[condition]

    def outdated(self, path: Path, condition: Condition) -> str:
        """Why a shard has to be made anew; empty if it has not.

        It may have rows of other strategies besides: they do no harm.

        Raises
        ------
        UnreadableError
            If this process can't read it now, which says nothing of the shard.
        """
        try:
            found = again_if_doubtful(lambda: parsed(tables.metadata(path)))
        except MemoryError:
            raise UnreadableError(f"{path} can't be read: not enough memory") from None
        except (OSError, ValueError, pa.ArrowException) as error:
            if isinstance(error, OSError) and error.errno:
                raise UnreadableError(f"{path} can't be read: {os.strerror(error.errno)}") from None
            return f"it is no shard ({one_line(error)})"
        return self.differences(found, self.expected(condition), self.names)

    def differences(self, found: Identity, expected: Identity, names: Sequence[str]) -> str:
        """What differs in what made the rows of some strategies; empty if nothing does."""
        for name in names:
            here, there = (rows_identity(identity, name) for identity in (found, expected))
            different = [part for part in there if here[part] != there[part]]
            if not self.programs:
                different = [part for part in different if part != "versions"]
            if different:
                return f"made with other {', '.join(different)} ({name})"
        return ""

    def read(self, block: Block) -> pa.Table:
        """Read a shard and check that it holds its block's rows, all of them and no others.

        Returns
        -------
        pyarrow.Table
            The rows of the study's strategies, dataset by dataset, in the study's order.

        Raises
        ------
        FileNotFoundError
            If there is none.
        OSError, MemoryError
            If this process can't read it now, which says nothing of the shard.
        DamagedError
            If it is not what its place says.
        OutdatedError
            If it is of another study.
        """
        table, found = load(self.path(block))
        if reason := self.differences(found, self.expected(block.condition), self.names):
            raise OutdatedError(reason)
        rows = select(table, block, list(found["strategies"]), self.names)
        check(rows, block, self.study, self.study.strategies)
        return rows


def load(path: Path) -> tuple[pa.Table, Identity]:
    """Read a shard, with what it says of itself.

    Raises
    ------
    OSError, MemoryError
        If the system can't read it now.
    DamagedError
        If it is no Parquet file, or not a whole one.
    OutdatedError
        If it says nothing that this version understands.
    """
    return again_if_doubtful(lambda: load_once(path))


def again_if_doubtful(read: Callable[[], T]) -> T:
    """What a reader gives; it is asked twice before something counts as damaged.

    Libraries that run out of memory say so in many ways, some of which look like damage.
    """
    try:
        return read()
    except FileNotFoundError:
        raise
    except (OSError, ValueError, pa.ArrowException):
        return read()


def load_once(path: Path) -> tuple[pa.Table, Identity]:
    """As `load`, but ready to take a lack of memory for damage."""
    try:
        tables.check_regular(path)
        # apart from the parsing: an error of the system here is no fault of what the file holds
        content = pa.py_buffer(path.read_bytes())
        # without threads, which the system may refuse
        file = pq.ParquetFile(content, page_checksum_verification=True, pre_buffer=False)
        table = file.read(use_threads=False)
    except MemoryError:
        raise
    except (OSError, ValueError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise DamagedError(one_line(error)) from error
    try:
        raw = table.schema.metadata or {}
        found = parsed({key.decode(): value.decode() for key, value in raw.items()})
    except ValueError as error:
        raise OutdatedError(one_line(error)) from error
    if not table.schema.equals(tables.SHARD):
        raise DamagedError("its columns are not those of a shard")
    return table, found


def one_line(error: Exception) -> str:
    """An error's words without line breaks."""
    return " ".join(str(error).split())


def parsed(metadata: Mapping[str, str]) -> Identity:
    """A shard's metadata as values.

    Raises
    ------
    ValueError
        If they are not those of a shard.
    """
    try:
        found = {key: json.loads(metadata[key]) for key in ("data", "strategies", "versions")}
        owners = list(found["strategies"].values())
        mappings = [found["data"]["condition"], found["versions"], *owners]
        if not all(isinstance(it, dict) for it in mappings) or "seed" not in found["data"]:
            raise TypeError
        programs = [program for own in owners for program in own["programs"]]
        texts = [*programs, *found["versions"].values()]
        if not all(isinstance(it, str) for it in texts):
            raise TypeError
        if not all({"options", "code"} <= own.keys() for own in owners):
            raise TypeError
    except (KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("what it says of its making is not to be understood") from None
    return found | {"schema_version": metadata.get("schema_version"), "code": metadata.get("code")}


def rows_identity(identity: Identity, name: str) -> dict[str, Any]:
    """What made the rows of one strategy, in parts that an error can name."""
    own = identity["strategies"].get(name, {})
    # a key that came later was at its default before
    condition = axis_defaults() | identity["data"]["condition"]
    return {
        "layout": identity["schema_version"],
        "data": (identity["data"]["seed"], condition, identity["data"].get("code")),
        "options": own.get("options"),
        "code": (identity["code"], own.get("code")),
        "versions": {key: identity["versions"].get(key) for key in own.get("programs", ())},
    }


def select(table: pa.Table, block: Block, there: list[str], names: list[str]) -> pa.Table:
    """The rows of some strategies, in their order, of a shard with these and perhaps others.

    Raises
    ------
    DamagedError
        If the shard doesn't hold each dataset and strategy once, in order.
    """
    planned = {
        "condition": [str(block.condition)] * len(table),
        "sim": [sim for sim in block.sims for _ in there],
        "strategy": there * len(block.sims),
    }
    for key, expected in planned.items():
        if table[key].to_pylist() != expected:
            raise DamagedError(f"holds other rows than planned: see {key}")
    if there == names:
        return table
    offsets = [there.index(name) for name in names]
    first = range(0, len(table), len(there))
    return table.take(pa.array([start + offset for start in first for offset in offsets]))


def kept(path: Path) -> Path | None:
    """Where the latest shard of a path is kept while Snakemake makes it anew.

    Snakemake deletes an output before its job starts, and again if the job fails; of a second name
    for the same file it knows nothing.
    """
    for parent in path.parents:
        if parent.name == "cells":
            return parent.with_name(".kept") / path.relative_to(parent)
    return None


def write(table: pa.Table, path: Path, identity: Mapping[str, str]) -> None:
    """Write a shard, atomically, with what made it in its metadata, and keep it."""
    with tables.atomic(path) as temporary:
        pq.write_table(
            table.replace_schema_metadata(dict(identity)),
            temporary,
            write_page_checksum=True,
            # few rows are no smaller for it, and take twice as long
            compression="zstd" if len(table) > FEW_ROWS else "none",
            use_dictionary=False,
        )
    second = kept(path)
    if second is None:
        return
    temporary = tables.unfinished(second)
    with suppress(OSError):  # what is not kept costs time, no more
        second.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, temporary)
        temporary.replace(second)


def blocks_among(names: Iterable[str], condition: Condition) -> list[Block]:
    """The blocks of a condition that files of these names hold, whatever their length."""
    found = []
    for name in names:
        further, _, label = name.removesuffix(".parquet").rpartition("sim=")
        with suppress(ValueError):  # another file
            block = Block(condition, parse_sims(label))
            if further.rstrip(",") == condition.further:
                found.append(block)
    return found


def reusable(shards: Shards, block: Block, path: Path) -> dict[str, pa.Table]:
    """The rows of kept shards that the study would make again just as they are, by strategy.

    They may be of some of the block's replications only: of a study that had fewer, or cut them in
    another way. Shards that can't be read have none.
    """
    second = kept(path)
    if second is None or not second.parent.exists():
        return {}
    # that of the very block first
    names = sorted((file.name for file in second.parent.iterdir()), key=second.name.__ne__)
    found: dict[str, list[pa.Table]] = {}
    missing = {name: set(block.sims) for name in shards.names}
    for other in blocks_among(names, block.condition):
        if any(not sims.isdisjoint(other.sims) for sims in missing.values()):
            for name, rows in rows_of(shards, other, second.with_name(Path(other.path).name)):
                left = pa.array(sorted(missing[name]), pa.int64())
                found.setdefault(name, []).append(rows.filter(pc.is_in(rows["sim"], left)))
                missing[name] -= set(other.sims)
    return {name: pa.concat_tables(parts) for name, parts in found.items()}


def rows_of(shards: Shards, block: Block, path: Path) -> list[tuple[str, pa.Table]]:
    """The rows of a shard, anywhere, that are of the study as it is now, by strategy."""
    try:
        table, found = load(path)
        expected, there = shards.expected(block.condition), list(found["strategies"])
        usable = []
        for strategy in shards.study.strategies:
            name = strategy.name
            if name in there and not shards.differences(found, expected, [name]):
                rows = select(table, block, there, [name]).replace_schema_metadata()
                check(rows, block, shards.study, [strategy])
                usable.append((name, rows))
        return usable
    except (OSError, DamagedError, OutdatedError):
        return []
