"""What the rules share: the checked study, the command prefixes, and all functions.

Needs `config`; makes `STUDY`, `SETTINGS`, `CODE`, `NAME` and the functions below.
"""

import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from rmsweep import cost
from rmsweep.config import ConfigError, load_study
from rmsweep.design import parse_sims
from rmsweep.provenance import code_digest
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod


def on_cluster():
    """Whether jobs run on other machines, or this is one of them."""
    # nothing but a cluster's profile says how many cores of this machine are for local rules
    return workflow.remote_exec or workflow.resource_settings.local_cores is not None


def checked_study():
    """The study that `config` describes, or one line that says what is wrong with it."""
    source = Path(workflow.configfiles[-1])
    if on_cluster():
        # a cluster spends more on starting a job than on fitting a cell
        config.setdefault("sims_per_job", "auto")
    try:
        return load_study(config, name=source.stem)
    except ConfigError as error:
        raise WorkflowError(f"{source}: {error}") from None


STUDY = checked_study()
SETTINGS = STUDY.settings.to_json()
CODE = code_digest(STUDY.settings.strategies)
NAME = STUDY.settings.study


def script(name, warm=False):
    """The command that runs a script, as a function for `params`.

    Snakemake does not compare parameters that depend on `output` between runs, and how a script
    is started changes no result.
    """
    # a conda environment brings its own python; else this very one, not a shim that looks for it
    in_conda = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
    command = ["python" if in_conda else sys.executable]
    scripts = Path(workflow.basedir) / "scripts"
    # a remote job is long and comes alone: it has no use for a process that outlives it
    if warm and STUDY.persistent_worker and not on_cluster():
        # the worker loads what the study needs
        preload = f"RMSWEEP_SETTINGS={shlex.quote(SETTINGS)}"
        command = [preload, *command, "-I", "-S", f"{scripts}/warm.py"]
    command = " ".join([*command, f"{scripts}/{name}"])

    def started(wildcards, output):
        return command

    return started


def lift_job_rate_limit():
    """Let local jobs start without a limit per second.

    With one, Snakemake's scheduler starts a timer each time it has looked for jobs, and looks
    again whenever one fires: the more jobs have run, the more timers there are, until they cost
    more than the fits.
    """
    if not on_cluster():
        workflow.scheduler.job_rate_limiter = None


wildcard_constraints:
    n_groups=r"\d+",
    n_obs=r"\d+",
    sigma=r"[0-9.e+-]+",
    sims=r"\d+(-\d+)?",


def shards(wildcards):
    """Every shard of the study, or those that are there where that is enough."""
    planned = [f"results/{NAME}/cells/{block.path}" for block in STUDY.blocks()]
    return (
        [path for path in planned if Path(path).exists()]
        if STUDY.allow_incomplete
        else planned
    )


def block_minutes(wildcards, attempt):
    """Run time to ask a cluster for, in minutes."""
    return cost.limit_minutes(
        STUDY.settings,
        int(wildcards.n_groups),
        int(wildcards.n_obs),
        len(parse_sims(wildcards.sims)),
        attempt,
    )


def block_memory(wildcards, attempt):
    """Memory to ask a cluster for, in MB: Python, R and lme4, the dataset, the block's fits."""
    rows = int(wildcards.n_groups) * int(wildcards.n_obs)
    fits = len(parse_sims(wildcards.sims)) * len(STUDY.settings.strategies)
    return round((600 + 2e-3 * rows + 1e-2 * fits) * 2 ** (attempt - 1))


def merged_tables():
    """The study's tables."""
    return [
        f"results/{NAME}/{table}{kind}"
        for table in (
            "fits",
            "coefs",
            "timings",
            *(["audit"] if STUDY.settings.audit else []),
        )
        for kind in (".parquet", ".csv.gz")
    ]


def agreement():
    """The comparison of the engines, where the study has one."""
    return [f"results/{NAME}/agreement.csv"] if STUDY.settings.audit else []


def figures():
    """The study's figures."""
    names = ("coef_abs_err", "se_sum", "t_sum", "convergence", "coefficients", "grid")
    return [
        f"results/{NAME}/figures/{name}.{kind}"
        for name in names
        for kind in ("png", "svg")
    ]
