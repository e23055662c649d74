"""The tables: their columns, and writing them so that no half file is ever seen.

A shard, the output of one job, is a Parquet file with one row per dataset and strategy, which
holds the coefficients as a nested list and the time that the fit took. Its condition is a text:
the values are in the folders' names, whatever axes a study has. Merging spreads the shards over the
tables ``fits``, ``coefs``, ``timings`` and, for audited studies, ``audit``, which have a typed
column for each axis.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rmsweep.design import Axis, Condition, Level, plain
from rmsweep.errors import UsageError, UserError

SCHEMA_VERSION = "3"
ABANDONED_SECONDS = 86_400.0

KINDS = {"integer": pa.int64(), "number": pa.float64(), "text": pa.string()}


METRICS = ("coef_abs_err", "se_sum", "t_sum")
"""The post's sums over the coefficients of a fit; their texts are in `rmsweep.measures.sums`."""

# what a shard says of a fit; the tables add whether it counts as converged
FIT = pa.schema(
    [
        *((metric, pa.float64()) for metric in METRICS),
        ("status", pa.string()),
        ("singular", pa.bool_()),
        ("optimizer", pa.string()),
        ("opt_code", pa.int64()),
        ("grad_msg", pa.string()),
        ("hess_msg", pa.string()),
        ("df_msg", pa.string()),
        ("messages", pa.string()),
        ("criterion", pa.float64()),
        ("criterion_gap", pa.float64()),
        ("engine", pa.string()),
        ("se_type", pa.string()),
        ("df_type", pa.string()),
        ("ci_type", pa.string()),
        ("test_type", pa.string()),
        ("unsaid", pa.string()),
    ]
)
COEFFICIENT = pa.schema(
    [
        ("term", pa.string()),
        ("truth", pa.float64()),
        ("estimate", pa.float64()),
        ("se", pa.float64()),
        ("df", pa.float64()),
        ("statistic", pa.float64()),
        ("p_value", pa.float64()),
        ("ci_low", pa.float64()),
        ("ci_high", pa.float64()),
        ("p_truth", pa.float64()),
    ]
)
TIMING = pa.schema(
    [
        ("seconds", pa.float64()),
        ("cpu_seconds", pa.float64()),
        ("host", pa.string()),
        ("worker", pa.string()),
    ]
)
AUDIT = pa.schema(
    [
        ("criterion_gap", pa.float64()),
        ("estimate_diff", pa.float64()),
        ("se_diff", pa.float64()),
        ("df_diff", pa.float64()),
        ("native_status", pa.string()),
        ("reference_status", pa.string()),
        ("native_singular", pa.bool_()),
        ("reference_singular", pa.bool_()),
        ("reference_messages", pa.string()),
    ]
)
SHARD = pa.schema(
    [
        pa.field("condition", pa.string(), nullable=False),
        pa.field("sim", pa.int64(), nullable=False),
        pa.field("strategy", pa.string(), nullable=False),
        *FIT,
        ("coefs", pa.list_(pa.struct(list(COEFFICIENT)))),
        ("audit", pa.struct(list(AUDIT))),
        *TIMING,
    ]
)


def keys(axes: Sequence[Axis]) -> pa.Schema:
    """The columns that say which row of a table is which."""
    return pa.schema(
        [
            pa.field("study", pa.string(), nullable=False),
            *(pa.field(axis.name, KINDS[axis.kind], nullable=False) for axis in axes),
            pa.field("sim", pa.int64(), nullable=False),
            pa.field("strategy", pa.string(), nullable=False),
        ]
    )


def levels(axes: Sequence[Axis], condition: Condition) -> dict[str, Level]:
    """A condition's values in those columns."""
    return {
        axis.name: plain(level) if axis.kind == "text" else level
        for axis, level in ((axis, condition.levels[axis.name]) for axis in axes)
    }


def parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """How files with many rows are written.

    Estimates hardly repeat: without a dictionary of them, files are a fifth smaller and take half
    the time.
    """

    def leaves(field: pa.Field, path: str) -> Iterator[str]:
        if pa.types.is_list(field.type):
            yield from leaves(field.type.value_field, f"{path}.list.element")
        elif pa.types.is_struct(field.type):
            for part in field.type:
                yield from leaves(part, f"{path}.{part.name}")
        elif not pa.types.is_floating(field.type):
            yield path

    repeating = [path for field in schema for path in leaves(field, field.name)]
    return {"compression": "zstd", "use_dictionary": repeating}


MOST_OF_NAME = 100
"""Characters of a file's name that the name of its unfinished self has."""


class WriteError(UserError):
    """A file that can't be written, and why."""


def unfinished(path: Path) -> Path:
    """What a file of this process is called until it is whole.

    Of a long name, which host and process would make too long, the end has to do.
    """
    end = path.name[-MOST_OF_NAME:]
    return path.with_name(f".{end}.{os.uname().nodename}.{os.getpid()}.tmp")


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` when all went well.

    A reader sees the old file, the whole new one or none, also when the process is killed
    or the disk is full: the data are on disk before the name is.

    Raises
    ------
    WriteError
        If the disk is full, or there is no right to write.
    """
    path = Path(path)
    temporary = unfinished(path)
    try:
        if path.exists() and not path.is_file():  # a device is not to be replaced, nor a folder
            raise OSError("it is no ordinary file")
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise WriteError(f"{path} can't be written: {in_words(error)}") from error
    finally:
        with suppress(OSError):  # no right to: then there is none
            temporary.unlink(missing_ok=True)


def is_abandoned(temporary: Path) -> bool:
    """Whether the process that writes a temporary file of `atomic` is no more, as far as is known.

    On other machines that is not known: a day must have passed.
    """
    *_, host, pid, _ = temporary.name.rsplit(".", 3)
    if host == os.uname().nodename.rpartition(".")[2] and pid.isdecimal():
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return False
    with suppress(OSError):
        return time.time() - temporary.stat().st_mtime > ABANDONED_SECONDS
    return False


def check_regular(path: str | Path) -> None:
    """Refuse to wait for what a pipe or a device may say.

    Raises
    ------
    ValueError
        If there is something else than a file.
    OSError
        If there is nothing, or the system does not let this process see it.
    """
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise ValueError("no regular file")


def metadata(path: str | Path) -> dict[str, str]:
    """What a Parquet file of this project says of itself.

    Returns
    -------
    dict
        For a shard see `rmsweep.sweep.provenance.shard_identity`, for a table `table_identity`.
    """
    check_regular(path)
    found = pq.read_metadata(path).metadata or {}
    return {key.decode(): value.decode() for key, value in found.items() if key != b"ARROW:schema"}


def in_words(error: Exception) -> str:
    """Why a file can't be read or written, in one line that does not name the file once more."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return " ".join(str(error).split())


@contextmanager
def naming(path: Path, kind: str) -> Iterator[None]:
    """Refuse what can't be read as a merged table of a kind, such as ``fits``.

    Raises
    ------
    UsageError
        That names the file, and says what is wrong with it.
    """
    try:
        yield
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UsageError(f"{path}: not a table of {kind}: {in_words(error)}") from None


def made_with(path: Path, kind: str, columns: Iterable[str]) -> dict[str, str]:
    """What a merged table says of itself.

    Parameters
    ----------
    path : Path
    kind : str
        What it is taken for.
    columns : iterable of str
        The columns that such a table has, and no other one.

    Raises
    ------
    UsageError
        If it can't be read, or is of another kind.
    """
    with naming(path, kind):
        check_regular(path)
        absent = set(columns) - set(pq.read_schema(path).names)
        found = metadata(path)
        if absent:
            raise ValueError(f"it has no column {', '.join(sorted(absent))}")
        if "study" not in found:
            raise ValueError("it does not say what study made it")
    return found


def read(path: Path, kind: str, **options: Any) -> pa.Table:
    """Read a merged table, with options of `pyarrow.parquet.read_table`.

    Raises
    ------
    UsageError
        If it can't be read.
    """
    with naming(path, kind):
        check_regular(path)
        # the columns say all, whatever the names of the folders
        return pq.read_table(path, partitioning=None, **options)
