"""Which study a Snakemake runs now: a lock that ends with its process, however that ends.

Snakemake's own locks are files that a process which is killed leaves behind.
"""

from __future__ import annotations

import fcntl
from contextlib import suppress
from pathlib import Path
from typing import IO

_held: list[IO[str]] = []


def file(study: str) -> Path:
    """The file that is locked, in the working folder."""
    return Path(".snakemake", f"rmsweep-{study}.running")


def hold(study: str) -> None:
    """Hold a study's lock for as long as this process lives."""
    with suppress(OSError):  # a file system without locks
        path = file(study)
        path.parent.mkdir(exist_ok=True)
        _held.append(path.open("a"))
        fcntl.flock(_held[-1], fcntl.LOCK_SH | fcntl.LOCK_NB)


def is_held(study: str) -> bool:
    """Whether another process holds a study's lock."""
    try:
        with file(study).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
