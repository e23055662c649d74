"""Makes lme4-fits.csv.gz: what lme4 and lmerTest found on the datasets of `lmm_cases.CASES`.

Usage: python tests/lmm/reference/make_reference.py (needs R with lme4 and lmerTest; it takes
the best part of an hour).
"""

from __future__ import annotations

import csv
import gzip
import io
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from lmm_cases import CASES, dataset

HERE = Path(__file__).parent
REFERENCE = HERE / "lme4-fits.csv.gz"
MODELS = ("full", "diagonal", "intercept")
OPTIMIZERS = ("nloptwrap", "bobyqa")
Key = tuple[str, int, str]


def fit_with_lme4(keys: Iterable[Key], work: Path) -> list[dict[str, str]]:
    """Fit datasets, each a (case, index, optimizer), in one R process; a row for each."""
    keys = list(keys)
    with (work / "data.bin").open("wb") as file:
        for name, index, optimizer in keys:
            case = CASES[name]
            y, X, groups = dataset(case, index)
            header = (len(y), MODELS.index(case.model), case.reml, OPTIMIZERS.index(optimizer))
            for part in (header, groups, y, *X.T[1:]):
                file.write(np.asarray(part, dtype="<f8").tobytes())
    subprocess.run(
        ["Rscript", "--vanilla", HERE / "make_reference.R", work / "data.bin", work / "fits.csv"],
        check=True,
    )
    with (work / "fits.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    if len(rows) != len(keys):
        raise RuntimeError(f"R fitted {len(rows)} of {len(keys)} datasets")
    names = ("case", "index", "optimizer")
    return [
        dict(zip(names, map(str, key), strict=True)) | row
        for key, row in zip(keys, rows, strict=True)
    ]


def main() -> None:
    """Fit all and write the reference file."""
    keys = [
        (case.name, index, optimizer)
        for case in CASES.values()
        for optimizer in case.optimizers
        for index in range(case.n_datasets)
    ]
    with tempfile.TemporaryDirectory() as work:
        rows = fit_with_lme4(keys, Path(work))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    # No time stamp in the header: the same fits make the same file.
    REFERENCE.write_bytes(gzip.compress(text.getvalue().encode(), 9, mtime=0))


if __name__ == "__main__":
    main()
