"""What made a result: the code and the versions of the programs under it."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

LIBRARY = Path(__file__).parent
# what a cell's numbers pass through; the strategies in use join them
CORE = (
    "dataset.py",
    "design.py",
    "dgp.py",
    "inference.py",
    "lmer.R",
    *sorted(f"lmm/{path.name}" for path in (LIBRARY / "lmm").glob("*.py")),
    "mixed.py",
    "rbridge.py",
    "replication.py",
    "strategies/__init__.py",
    "tables.py",
)


def code_digest(strategies: Iterable[str]) -> str:
    """Digest of the code that a cell's rows depend on.

    Snakemake gets it as a parameter, so that a change of code makes rows anew, and merging
    refuses rows of other code.
    """
    digest = hashlib.sha256()
    for name in (*CORE, *sorted(f"strategies/{name}.py" for name in strategies)):
        digest.update(name.encode() + b"\0" + (LIBRARY / name).read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@cache
def python_versions() -> dict[str, str]:
    """Versions of Python, of the packages that compute, and of numpy's BLAS."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "python": platform.python_version(),
        **{package: version(package) for package in ("numpy", "scipy", "statsmodels")},
        "numpy_blas": f"{blas['name']} {blas['version']}",
    }
