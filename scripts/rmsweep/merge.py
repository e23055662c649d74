"""Merge a study's shards into its tables, once every cell is there, whole and unique."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from rmsweep import tables
from rmsweep.design import Block, Study
from rmsweep.provenance import describe_missing, shard_identity, table_identity
from rmsweep.rerun import commands

ROWS_PER_GROUP = 100_000
NAMED = 10

Sink = Callable[[pa.Table], None]


class MergeError(RuntimeError):
    """Shards that are missing, damaged or not what their place says."""


def merge(study: Study, cells: Path, outputs: Iterable[Path]) -> None:
    """Merge the planned shards, in the study's order, in bounded memory.

    The tables' bytes depend on the rows alone, not on how the shards cut them.

    Parameters
    ----------
    study : Study
        Says which cells there have to be, and whether it may be fewer.
    cells : Path
        Folder of the shards.
    outputs : iterable of Path
        Files to write: ``fits``, ``coefs``, ``timings`` or ``audit``, with ``.parquet`` or
        ``.csv.gz``.

    Raises
    ------
    MergeError
        If any shard is missing, damaged, or holds other rows than its place says. All of them
        are named; damaged ones are renamed to ``*.rejected``, so that the next run makes them
        anew. No table is written, unless the study allows incomplete ones: these say so in
        their metadata, under ``incomplete``.
    """
    problems: dict[str, list[str]] = defaultdict(list)
    versions: dict[str, set[str]] = defaultdict(set)
    n_datasets = 0
    metadata = table_identity(study)
    with ExitStack() as stack:
        sinks = [stack.enter_context(open_table(path, metadata)) for path in outputs]
        for block in study.blocks():
            path = cells / block.path
            try:
                shard = read_shard(path, study, block)
            except FileNotFoundError:
                problems["missing"].append(block.path)
            except (OSError, ValueError, pa.ArrowException) as error:
                path.rename(path.with_suffix(".rejected"))
                problems["damaged"].append(f"{block.path} ({' '.join(str(error).split())})")
            else:
                for program, version in json.loads(shard.schema.metadata[b"versions"]).items():
                    versions[program].add(version)
                n_datasets += len(block.sims)
                if not problems or study.allow_incomplete:
                    for sink in sinks:
                        sink(shard)
        if problems and not (study.allow_incomplete and n_datasets):
            raise MergeError(describe(problems))
        if problems:
            planned = study.n_sims * len(study.conditions())
            metadata["incomplete"] = describe_missing(n_datasets, planned)
        metadata["versions"] = json.dumps({key: sorted(versions[key]) for key in sorted(versions)})
    for unfinished in cells.rglob(".*.tmp"):  # of jobs that were killed while they wrote
        unfinished.unlink(missing_ok=True)


def describe(problems: dict[str, list[str]]) -> str:
    """One line that names what is wrong and what to do."""
    parts = []
    for kind, items in problems.items():
        more = f" and {len(items) - NAMED} more" if len(items) > NAMED else ""
        parts.append(f"{len(items)} {kind}: {', '.join(items[:NAMED])}{more}")
    return (
        f"nothing merged, shards are not as planned: {'; '.join(parts)}. Damaged ones were renamed "
        "to *.rejected; the same command again makes what is missing"
    )


def read_shard(path: Path, study: Study, block: Block) -> pa.Table:
    """Read a shard and check that it holds its block's rows, all of them and no others.

    Raises
    ------
    FileNotFoundError
        If there is none.
    OSError, ValueError, pyarrow.ArrowException
        If it can't be read, or is not what it should be.
    """
    table = pq.ParquetFile(path, page_checksum_verification=True).read(use_threads=False)
    if not table.schema.equals(tables.SHARD):
        raise ValueError("its columns are not those of a shard")
    found = table.schema.metadata or {}
    for key, expected in shard_identity(study.settings, {}).items():
        if key != "versions" and found.get(key.encode()) != expected.encode():
            raise ValueError(f"made with other {key}")
    json.loads(found.get(b"versions", b""))  # a ValueError if there are none
    names = study.settings.strategies
    planned = {
        "n_groups": [block.condition.n_groups] * len(table),
        "n_obs": [block.condition.n_obs] * len(table),
        "sigma": [block.condition.sigma] * len(table),
        "sim": [sim for sim in block.sims for _ in names],
        "strategy": [name for _ in block.sims for name in names],
    }
    for key, expected_values in planned.items():
        if table[key].to_pylist() != expected_values:
            raise ValueError(f"holds other rows than planned: see {key}")
    return table


@contextmanager
def open_table(path: Path, metadata: dict[str, str]) -> Iterator[Sink]:
    """Open a table for writing; give the function that adds a shard's rows to it.

    Parameters
    ----------
    path : Path
        ``fits``, ``coefs``, ``timings`` or ``audit``, with ``.parquet`` or ``.csv.gz``.
    metadata : dict
        What the Parquet file says of itself; what is added while the table is open goes in
        when it is closed.
    """
    name, _, kind = path.name.partition(".")
    select, schema = TABLES[name]
    schema = schema.with_metadata(metadata)
    with tables.atomic(path) as temporary, ExitStack() as stack:
        if kind == "parquet":
            writer = stack.enter_context(pq.ParquetWriter(temporary, schema, compression="zstd"))
        else:
            stream = stack.enter_context(pa.CompressedOutputStream(str(temporary), "gzip"))
            writer = stack.enter_context(pyarrow.csv.CSVWriter(stream, schema))
        waiting: list[pa.Table] = []

        def flush(whole_groups_only: bool) -> None:
            rows = pa.concat_tables(waiting).combine_chunks()
            waiting.clear()
            while len(rows) >= (ROWS_PER_GROUP if whole_groups_only else 1):
                writer.write_table(rows.slice(0, ROWS_PER_GROUP))
                rows = rows.slice(ROWS_PER_GROUP)
            waiting.append(rows)

        def add(shard: pa.Table) -> None:
            waiting.append(select(shard))
            if sum(map(len, waiting)) >= ROWS_PER_GROUP:
                flush(whole_groups_only=True)

        yield add
        flush(whole_groups_only=False)
        if kind == "parquet":
            writer.add_key_value_metadata(metadata)


def fits(shard: pa.Table) -> pa.Table:
    """The rows of ``fits``: one per dataset and strategy."""
    rows = shard.select(tables.FITS.names)
    return rows.append_column("rerun", commands(rows))


def coefs(shard: pa.Table) -> pa.Table:
    """The rows of ``coefs``: one per dataset, strategy and term."""
    nested = shard["coefs"].combine_chunks()
    keys = shard.select(tables.KEYS.names).take(pc.list_parent_indices(nested))
    terms = pa.Table.from_struct_array(pc.list_flatten(nested))
    return pa.table([*keys.columns, *terms.columns], schema=tables.COEFS)


def timings(shard: pa.Table) -> pa.Table:
    """The rows of ``timings``: one per dataset and strategy."""
    return shard.select(tables.TIMINGS.names)


def audit(shard: pa.Table) -> pa.Table:
    """The rows of ``audit``: one per audited dataset and native strategy."""
    audited = shard.filter(pc.is_valid(shard["audit"]))
    compared = pa.Table.from_struct_array(audited["audit"].combine_chunks())
    keys = audited.select(tables.KEYS.names)
    return pa.table([*keys.columns, *compared.columns], schema=tables.AUDITS)


TABLES = {
    "audit": (audit, tables.AUDITS),
    "fits": (fits, pa.schema([*tables.FITS, ("rerun", pa.string())])),
    "coefs": (coefs, tables.COEFS),
    "timings": (timings, tables.TIMINGS),
}
