"""Merge a study's shards into its tables, once every cell is there, whole and unique."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from gzip import GzipFile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rmsweep import plan
from rmsweep.design import Block, Condition, Study
from rmsweep.errors import UserError
from rmsweep.sweep import csv_files, looks, tables
from rmsweep.sweep.content import DamagedError
from rmsweep.sweep.provenance import describe_missing, needed_programs, table_identity
from rmsweep.sweep.shard import OutdatedError, Shards

ROWS_PER_GROUP = 100_000
COMPRESSION = 4
"""Of CSV: pyarrow's 9 takes more than three times as long, for files 3 to 7% smaller."""
NAMED = 10

Sink = Callable[[pa.Table], None]


class MergeError(UserError):
    """Shards that are missing, damaged or not what their place says."""


def merge(study: Study, cells: Path, outputs: Collection[Path], programs: bool = True) -> None:
    """Merge the planned shards, in the study's order, in bounded memory.

    The tables' bytes depend on the rows alone, not on how the shards cut them.

    Parameters
    ----------
    study : Study
        Says which cells there have to be, and whether it may be fewer.
    cells : Path
        Folder of the shards.
    outputs : collection of Path
        Files to write: ``fits``, ``coefs``, ``timings`` or ``audit``, with ``.parquet`` or
        ``.csv.gz``. The first is in place last.
    programs : bool
        Whether this process has the programs that fitted; if not, their versions are not compared.

    Raises
    ------
    MergeError
        If any shard is missing, damaged, of another study, or can't be read now. All of them are
        named; damaged ones, and no others, are renamed to ``*.rejected``, so that the next run
        makes them anew. No table is written, unless the study allows incomplete ones: these say so
        in their metadata, under ``incomplete``.
    """
    problems: dict[str, list[str]] = defaultdict(list)
    versions: dict[str, set[str]] = defaultdict(set)
    shards = Shards(study, cells, programs)
    table_identity(study, {})  # now: the code may change while shards are read
    n_datasets = 0
    metadata: dict[str, str] = {}
    with ExitStack() as stack:
        sinks = [stack.enter_context(open_table(path, study, metadata)) for path in outputs]
        for block, shard in readable(shards, plan.blocks(study), problems, versions):
            n_datasets += len(block.sims)
            if not problems or study.allow_incomplete:
                rows = identified(shard, study, block.condition)
                for sink in sinks:
                    sink(rows)
        if problems and not (study.allow_incomplete and n_datasets):
            raise MergeError(describe(problems))
        metadata |= table_identity(study, versions)
        if problems:
            metadata["incomplete"] = describe_missing(n_datasets, study.n_datasets)
    if {path.parent for path in outputs} == {cells.parent}:  # in the study's own folder
        tidy_up(study, cells, outputs)


def readable(
    shards: Shards,
    blocks: Iterable[Block],
    problems: dict[str, list[str]],
    versions: dict[str, set[str]],
) -> Iterator[tuple[Block, pa.Table]]:
    """The shards of these blocks that are as planned.

    Parameters
    ----------
    shards : Shards
    blocks : iterable of Block
    problems : dict of str to list of str
        Gets those that are not, by what is wrong with them. Damaged ones are renamed.
    versions : dict of str to set of str
        Gets the versions of the study's programs that made those that are.
    """
    used = needed_programs(shards.study)
    for block in blocks:
        path = shards.path(block)
        try:
            shard = shards.read(block)
        except FileNotFoundError:
            problems["missing"].append(block.path)
        except OutdatedError as error:
            problems["outdated"].append(f"{block.path} ({error})")
        except DamagedError as error:
            problems["damaged"].append(f"{block.path} ({error}{reject(path)})")
        except MemoryError:
            problems["unreadable"].append(f"{block.path} (not enough memory)")
        except OSError as error:
            problems["unreadable"].append(f"{block.path} ({tables.in_words(error)})")
        else:
            for program, version in json.loads(shard.schema.metadata[b"versions"]).items():
                if program in used:
                    versions[program].add(version)
            yield block, shard


def reject(path: Path) -> str:
    """Rename a damaged shard, so that the next run makes it anew; say if that can't be done."""
    try:
        path.rename(path.with_suffix(".rejected"))
    except OSError as error:
        return f"; it can't be renamed: {tables.in_words(error)}"
    return ""


def tidy_up(study: Study, cells: Path, outputs: Collection[Path]) -> None:
    """Remove what other versions of the study and jobs that were killed have left."""
    left = [] if study.audit else ["audit.parquet", "audit.csv.gz"]
    left += [] if study.audit else ["agreement.parquet", "agreement.csv"]
    left += [] if study.power else ["sample_sizes.parquet", "sample_sizes.csv"]
    left += without_csv(outputs)
    left += [] if is_of(study, cells.parent) else ["replications.parquet", "replications.csv"]
    unfinished = filter(tables.is_abandoned, cells.rglob(".*.parquet.*.tmp"))
    for path in (*(cells.parent / name for name in left), *unfinished):
        with suppress(OSError):
            path.unlink()


def without_csv(outputs: Collection[Path]) -> list[str]:
    """The CSV files that aren't written beside the Parquet ones."""
    written = {path.name for path in outputs}
    both = {name: f"{name}.csv.gz" for name in TABLES if f"{name}.parquet" in written}
    return [csv for csv in both.values() if csv not in written]


def is_of(study: Study, results: Path) -> bool:
    """Whether there may be a table of replications: the study finds them, or was planned by it."""
    table = results / "replications.parquet"
    if study.precision or not table.exists():
        return True
    with suppress(UserError, KeyError):
        return {key: row["n_sims"] for key, row in looks.read(table).items()} == study.sizes
    return False


def describe(problems: dict[str, list[str]]) -> str:
    """One line that names what is wrong and what to do."""
    parts = []
    for kind, items in problems.items():
        more = f" and {len(items) - NAMED} more" if len(items) > NAMED else ""
        parts.append(f"{len(items)} {kind}: {', '.join(items[:NAMED])}{more}")
    renamed = "Damaged ones were renamed to *.rejected. " if "damaged" in problems else ""
    return (
        f"nothing merged, shards are not as planned: {'; '.join(parts)}. "
        f"{renamed}The same command again makes what is missing"
    )


@contextmanager
def open_table(path: Path, study: Study, metadata: dict[str, str]) -> Iterator[Sink]:
    """Open a table for writing; give the function that adds a shard's rows to it.

    Parameters
    ----------
    path : Path
        ``fits``, ``coefs``, ``timings`` or ``audit``, with ``.parquet`` or ``.csv.gz``.
    study : Study
    metadata : dict
        What the Parquet file says of itself, as it is when the table is closed.
    """
    name, _, kind = path.name.partition(".")
    keys = tables.keys(study.axes)
    select, columns = TABLES[name]
    schema = columns(keys)
    with tables.atomic(path) as temporary, ExitStack() as stack:
        if kind == "parquet":
            options = tables.parquet_options(schema)
            writer = stack.enter_context(pq.ParquetWriter(temporary, schema, **options))
        else:
            file = stack.enter_context(temporary.open("wb"))
            # neither name nor time: the same rows are the same bytes
            stream = GzipFile("", "wb", COMPRESSION, file, mtime=0)
            writer = csv_files.Writer(stack.enter_context(stream), schema)
            stack.enter_context(writer)
        waiting: list[pa.Table] = []

        def flush(whole_groups_only: bool) -> None:
            rows = pa.concat_tables(waiting).combine_chunks()
            waiting.clear()
            while len(rows) >= (ROWS_PER_GROUP if whole_groups_only else 1):
                writer.write_table(rows.slice(0, ROWS_PER_GROUP))
                rows = rows.slice(ROWS_PER_GROUP)
            waiting.append(rows)

        def add(rows: pa.Table) -> None:
            waiting.append(select(rows, keys))
            if sum(map(len, waiting)) >= ROWS_PER_GROUP:
                flush(whole_groups_only=True)

        yield add
        flush(whole_groups_only=False)
        if kind == "parquet":
            writer.add_key_value_metadata(metadata)


def identified(shard: pa.Table, study: Study, condition: Condition) -> pa.Table:
    """A shard's rows with the columns that they need in a table: keys, and the verdict."""
    constants = {"study": study.name} | tables.levels(study.axes, condition)
    verdicts = {strategy.name: strategy.verdict for strategy in study.strategies}
    schema = tables.keys(study.axes)
    for name, value in constants.items():
        column = pa.array([value], schema.field(name).type).take(pa.array([0] * len(shard)))
        shard = shard.append_column(schema.field(name), column)
    published = [verdicts[name] == "published" for name in shard["strategy"].to_pylist()]
    success = pc.if_else(pa.array(published), converged_published(shard), converged(shard))
    return shard.append_column("fit_success", success)


def converged(rows: pa.Table) -> pa.ChunkedArray:
    """The verdict ``strict``, lme4 from 1.1-19 on: any complaint is a failure.

    A singular fit is one, and so is lmerTest's complaint about the degrees of freedom.
    """
    return pc.equal(rows["status"], "ok")


def converged_published(rows: pa.Table) -> pa.ChunkedArray:
    """The verdict ``published``, lme4 up to 1.1-18 as the post's program read it.

    A singular fit is no failure, and only lme4's own complaints count, not lmerTest's.
    """
    good = pc.not_equal(rows["status"], "failed")
    good = pc.and_(good, pc.equal(pc.fill_null(rows["opt_code"], 0), 0))
    for part in ("grad_msg", "hess_msg", "messages"):
        good = pc.and_(good, pc.equal(pc.fill_null(rows[part], ""), ""))
    return good


def rerun_commands(rows: pa.Table, keys: pa.Schema) -> pa.Array:
    """The command lines that fit rows again, for those whose fit was no success.

    Parameters
    ----------
    rows : pyarrow.Table
        Has the keys and ``fit_success``.
    keys : pyarrow.Schema
        The columns that say which row is which.

    Returns
    -------
    pyarrow.Array
        A text or null per row. The table's path is relative to the project's folder.
    """
    parts: list[Any] = ["python scripts/rerun_replication.py results/", rows["study"]]
    parts.append("/fits.parquet")
    for key in keys.names[1:]:
        parts += [f" --{key.replace('_', '-')} ", rows[key].cast(pa.string())]
    texts = pc.binary_join_element_wise(*parts, "")
    return pc.if_else(rows["fit_success"], pa.scalar(None, pa.string()), texts)


def fits(rows: pa.Table, keys: pa.Schema) -> pa.Table:
    """The rows of ``fits``: one per dataset and strategy."""
    rerun = rerun_commands(rows, keys)
    return rows.append_column("rerun", rerun).select(fits_schema(keys).names)


def coefs(rows: pa.Table, keys: pa.Schema) -> pa.Table:
    """The rows of ``coefs``: one per dataset, strategy and term."""
    nested = rows["coefs"].combine_chunks()
    own = rows.select(keys.names).take(pc.list_parent_indices(nested))
    terms = pa.Table.from_struct_array(pc.list_flatten(nested))
    return pa.table([*own.columns, *terms.columns], schema=pa.schema([*keys, *tables.COEFFICIENT]))


def timings(rows: pa.Table, keys: pa.Schema) -> pa.Table:
    """The rows of ``timings``: one per dataset and strategy."""
    return rows.select([*keys.names, *tables.TIMING.names])


def audit(rows: pa.Table, keys: pa.Schema) -> pa.Table:
    """The rows of ``audit``: one per audited dataset and native strategy."""
    audited = rows.filter(pc.is_valid(rows["audit"]))
    compared = pa.Table.from_struct_array(audited["audit"].combine_chunks())
    own = audited.select(keys.names)
    return pa.table([*own.columns, *compared.columns], schema=pa.schema([*keys, *tables.AUDIT]))


def fits_schema(keys: pa.Schema) -> pa.Schema:
    """The columns of ``fits``."""
    place = tables.FIT.get_field_index("status")
    own = list(tables.FIT)
    return pa.schema(
        [*keys, *own[:place], ("fit_success", pa.bool_()), *own[place:], ("rerun", pa.string())]
    )


TABLES = {
    "fits": (fits, fits_schema),
    "coefs": (coefs, lambda keys: pa.schema([*keys, *tables.COEFFICIENT])),
    "timings": (timings, lambda keys: pa.schema([*keys, *tables.TIMING])),
    "audit": (audit, lambda keys: pa.schema([*keys, *tables.AUDIT])),
}
