"""Fit every strategy to the datasets of one cell, or of a block of cells, and write a shard."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

# one thread per job; read when numpy and R load their BLAS
os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")

from rmsweep import cli, provenance, rbridge, replication, strategies, tables, worker
from rmsweep.config import read_settings
from rmsweep.design import Block, Condition, Settings, parse_sims


def warm_up() -> None:
    """Load what every job of the study needs, in a worker that will fork a child for each."""
    import jsonschema  # noqa: F401

    settings = read_settings(os.environ["RMSWEEP_SETTINGS"])
    # R compiles and loads much of itself at its first fit
    n_terms = len(settings.terms)
    replication.run_block(settings, Block(Condition(2 * n_terms, 2 * n_terms, 1.0), range(1)))
    if "R" in versions(settings):
        rbridge.collect_garbage()


def versions(settings: Settings) -> dict[str, str]:
    """Versions of all programs that the study uses."""
    engines = set(settings.engine.values())
    if settings.audit:
        engines |= {strategies.engines(name)[0] for name in settings.engine}
    return provenance.python_versions() | (rbridge.versions() if "lme4" in engines else {})


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
        metavar="FILE",
        help="only see whether the strategies' programs are there, and write their versions",
    )
    options = parser.parse_args(argv)
    settings = read_settings(options.config)

    if options.check:
        replication.warm_up(settings)
        with tables.atomic(options.check) as temporary:
            temporary.write_text(json.dumps(versions(settings), indent=2) + "\n")
        return 0
    needed = ("n_groups", "n_obs", "sigma", "sims", "output")
    absent = [f"--{name.replace('_', '-')}" for name in needed if getattr(options, name) is None]
    if absent:
        parser.error(f"these are needed, too: {', '.join(absent)}")

    block = Block(cli.condition(options), options.sims)
    shard = replication.run_block(settings, block, worker="warm" if worker.warm else "cold")
    metadata = {
        "schema_version": tables.SCHEMA_VERSION,
        "settings": settings.to_json(),
        "code": provenance.code_digest(settings.strategies),
        "versions": json.dumps(versions(settings)),
    }
    tables.write_shard(shard, options.output, metadata)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
