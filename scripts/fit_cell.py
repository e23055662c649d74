"""Fit every strategy to the datasets of one cell, or of a block of cells, and write a shard."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

# one thread per job; read when numpy and R load their BLAS
os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")

from rmsweep import cli, provenance, rbridge, replication, tables, worker
from rmsweep.config import read_settings
from rmsweep.design import Block, Condition, Settings, parse_sims


def warm_up() -> None:
    """Load what every job of the study needs, in a worker that will fork a child for each."""
    import jsonschema  # noqa: F401

    settings = read_settings(os.environ["RMSWEEP_SETTINGS"])
    # R compiles and loads much of itself at its first fit
    n_terms = len(settings.terms)
    replication.run_block(settings, Block(Condition(2 * n_terms, 2 * n_terms, 1.0), range(1)))
    provenance.shard_identity(settings, {})
    if provenance.uses_r(settings):
        rbridge.collect_garbage()


def versions(settings: Settings) -> dict[str, str]:
    """Versions of all programs that the study uses, as they are loaded in this process."""
    programs = provenance.python_versions()
    return programs | (rbridge.versions() if provenance.uses_r(settings) else {})


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; write the shard."""
    parser = cli.parser(__doc__)
    parser.add_argument("--config", required=True, help="the study's configuration file")
    cli.add_condition(parser, required=False)
    parser.add_argument("--sims", type=parse_sims, help="replication 7, or replications 0-49")
    parser.add_argument("--output", help="shard to write (Parquet)")
    parser.add_argument(
        "--check",
        action="store_true",
        help="only see whether the strategies' programs are there, and print their versions",
    )
    options = parser.parse_args(argv)
    settings = read_settings(options.config)

    if options.check:
        replication.warm_up(settings)
        print(json.dumps(versions(settings), indent=2))
        return 0
    needed = ("n_groups", "n_obs", "sigma", "sims", "output")
    absent = [f"--{name.replace('_', '-')}" for name in needed if getattr(options, name) is None]
    if absent:
        parser.error(f"these are needed, too: {', '.join(absent)}")

    block = Block(cli.condition(options), options.sims)
    shard = replication.run_block(settings, block, worker="warm" if worker.warm else "cold")
    metadata = provenance.shard_identity(settings, versions(settings))
    tables.write_shard(shard, options.output, metadata)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
