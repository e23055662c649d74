"""A native study's measures, for tests that need some."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

import measure_performance
from rmsweep import plan
from rmsweep.design import Study
from rmsweep.sweep import provenance, replication, shard
from rmsweep.sweep.merge import merge


def made(study: Study, folder: Path) -> pd.DataFrame:
    """The performance measures of a native study, by way of its shards and merged tables."""
    cells = folder / "cells"
    versions = provenance.study_versions(study, lambda _: {})
    for block in plan.blocks(study):
        rows = replication.run_block(study, block)
        identity = provenance.shard_identity(study, block.condition, versions)
        shard.write(rows, cells / block.path, identity)
    tables = [folder / "fits.parquet", folder / "coefs.parquet"]
    merge(study, cells, tables)
    outputs = [folder / "performance.parquet", folder / "performance.csv"]
    arguments = [*tables, "--output", *outputs]
    assert measure_performance.main(list(map(str, arguments))) == 0
    found = pd.read_parquet(outputs[0])
    pd.testing.assert_frame_equal(found, pd.read_csv(outputs[1]), check_dtype=False)
    return found
