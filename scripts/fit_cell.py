"""Fit every strategy to the datasets of one cell, or of a block of cells, and write a shard."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from argparse import ArgumentTypeError
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)

from rmsweep import config as configuration
from rmsweep import r, strategies, worker
from rmsweep.data import pieces
from rmsweep.design import Block, parse_sims
from rmsweep.sweep import provenance, replication
from rmsweep.sweep.shard import Shards, reusable, write


def warm_up() -> bool:
    """Load what every job of the study needs, in a worker that will fork children for them.

    Returns
    -------
    bool
        Whether one process may do one job after the other: not with code of the user's own.
    """
    import jsonschema  # noqa: F401

    study = configuration.read_study(os.environ["RMSWEEP_STUDY"])
    # R compiles and loads much of itself at its first fit, and lme4.R knows a formula from its
    # second dataset on
    keys = ("n_predictors", "predictor_level", "n_sites")
    terms = {key: study.conditions[0][key] for key in keys}
    size = 2 * (terms["n_predictors"] + 1)
    n_groups = max(size, 2 * terms["n_sites"])
    small = configuration.condition(n_groups=n_groups, n_obs=size, sigma=1.0, **terms)
    table = replication.run_block(study, Block(small, range(2)))
    identity = provenance.shard_identity(study, small, provenance.study_versions(study, r.versions))
    with tempfile.TemporaryDirectory() as folder:
        write(table, Path(folder, "shard.parquet"), identity)
    if "R" in provenance.needed_programs(study):
        r.collect_garbage()
    own_pieces = any(pieces.files(condition.values) for condition in study.conditions)
    return not (own_pieces or any(strategies.is_file(one.family) for one in study.strategies))


def sims(text: str) -> range:
    """Replications, for `argparse`."""
    try:
        return parse_sims(text)
    except ValueError:
        raise ArgumentTypeError(
            f"{text!r} is not allowed; allowed: a replication, as 7, or several, as 0-49"
        ) from None


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; write the shard."""
    parser = cli.parser(__doc__)
    cli.add_config(parser)
    parser.add_argument("--condition", metavar="KEY", help="condition as in the shard's path")
    cli.add_condition(parser, required=False)
    parser.add_argument("--sims", type=sims, help="replication 7, or replications 0-49")
    parser.add_argument("--output", type=cli.output, help="shard to write (Parquet)")
    parser.add_argument(
        "--check",
        action="store_true",
        help="only check that the strategies' programs are installed, and print their versions",
    )
    options = parser.parse_args(argv)
    study = configuration.read_study(options.config)

    if options.check:
        replication.warm_up(study)
        print(json.dumps(provenance.study_versions(study, r.versions), indent=2))
        return 0
    for name in ("sims", "output"):
        if getattr(options, name) is None:
            parser.error(f"--{name} is needed, too")
    keys = configuration.names_of_conditions()
    named = [key for key in keys if getattr(options, key) is not None]
    if options.condition and named:
        parser.error(f"--condition says it all; allowed beside it: no --{named[0]}")
    if options.condition:
        known = {condition.key: condition for condition in study.conditions}
        if options.condition not in known:
            parser.error(f"--condition: {options.condition!r}; allowed: one of the study's")
        condition = known[options.condition]
    else:
        condition = cli.condition(options, study)

    last = study.size(condition) - 1
    if options.sims[-1] > last:
        parser.error(f"--sims: {options.sims[-1]} is not allowed; allowed: the study's 0 to {last}")

    block = Block(condition, options.sims)
    replication.warm_up(study)
    versions = provenance.study_versions(study, r.versions)
    # before the fits: the code may change while they run
    identity = provenance.shard_identity(study, condition, versions)
    shards = Shards(study, options.output.parent, versions=versions)
    reused = reusable(shards, block, options.output)
    how = "warm" if worker.warm else "cold"
    table = replication.run_block(study, block, how, reused)
    write(table, options.output, identity)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
