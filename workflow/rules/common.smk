"""What the rules share: the checked study, its judge, the command prefixes, and all functions.

Needs the configuration files; makes `STUDY`, `NAME`, `RESULTS`, `JUDGE` and the functions below.
"""

import itertools
import os
import shlex
import subprocess
import sys
from contextlib import contextmanager
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from rmsweep import plan
from rmsweep.cli import in_words
from rmsweep.config import DEFAULT_STUDY, load_study, one_line, read_settings
from rmsweep.design import Block, parse_sims
from rmsweep.errors import UserError
from rmsweep.figures import names as figure_names
from rmsweep.report.pictures import TEXTS
from rmsweep.strategies import is_file
from rmsweep.sweep import lock, looks
from rmsweep.sweep.judge import Judge
from rmsweep.sweep.provenance import needed_programs, table_identity
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod


def on_cluster():
    """Whether jobs run on other machines, or this is one of them."""
    # nothing but a cluster's profile says how many cores of this machine are for local rules
    return workflow.remote_exec or workflow.resource_settings.local_cores is not None


def in_conda():
    """Whether jobs run in environments of their own, with other programs than this process."""
    return DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method


def environment(name):
    """The conda environment of a rule, as a function for `conda`; none where jobs run in none."""
    # Snakemake looks for wildcards in the path
    path = str(Path(workflow.basedir, "envs", name)).replace("{", "{{")
    path = path.replace("}", "}}")

    def path_in_conda(wildcards):
        return path if in_conda() else None

    return path_in_conda


@contextmanager
def in_one_line(where=""):
    """End the run with one line where there is something that a user can mend.

    Snakemake adds two lines to an error of its own kind, and shows none of them if it is quiet.
    """
    try:
        yield
    except (UserError, OSError) as error:
        sys.exit(f"error: {where}{in_words(error)}")


def check_paths():
    """Refuse paths that a cluster's jobs would not get as they are, or would run a part of.

    Snakemake writes that of the Snakefile into their commands as Python quotes it, and that of
    Python without quotes.
    """
    folder = str(workflow.basedir)
    quoted = repr(folder)
    if quoted[1:-1] != folder or quoted[0] == '"' and set("$`") & set(folder):
        sys.exit(
            f"error: {quoted}: on a cluster, the name of the project's folder is not allowed to "
            "have a backslash, a line break, or an apostrophe beside a dollar or a backquote"
        )
    if shlex.quote(sys.executable) != sys.executable:
        sys.exit(
            f"error: {sys.executable!r}: on a cluster, the path of Python is not allowed to have "
            "blanks or other special characters; make a link to the environment, and run "
            "LINK/bin/python -m snakemake"
        )


def checked_study():
    """The study of this run: its files' settings, with those of the command line over them.

    Snakemake's own `config` is YAML 1.1: it reads some values as others, and forgets equal keys.
    """
    # a study's file stands alone: it is not laid over the default one
    files = workflow.overwrite_configfiles or [DEFAULT_STUDY]
    with in_one_line():
        settings = read_settings(files, workflow.config_settings.config, sys.argv)
    if on_cluster():
        # a cluster spends more on starting a job than on fitting a cell
        settings.setdefault("sims_per_job", "auto")
    with in_one_line(f"{files[-1]}: "):
        study = load_study(settings, name=files[-1].stem, folder=files[-1].parent)
        if study.precision:
            # it imports much
            from rmsweep.measures.precision import check

            check(study)
    return study


if on_cluster():
    check_paths()
STUDY = checked_study()
NAME = STUDY.name
RESULTS = f"results/{NAME}"
JUDGE = Judge(STUDY, Path(RESULTS), programs=not in_conda())
# the jobs' scripts take them from here: Snakemake prints the command of a job that fails, twice
os.environ.update(
    RMSWEEP_STUDY=one_line(STUDY),
    # a worker has loaded the code, also that of the study's own files: other code, other worker
    RMSWEEP_CODE=table_identity(STUDY, {})["code"],
)


def unwatched(value):
    """A value as a function for `params` that Snakemake does not compare between runs.

    It compares none that depends on `output`. What made a file is written in the file itself, and
    `due` reads it there: Snakemake's own record is gone with `.snakemake`, and its comparison
    leaves out whatever comes after a job that has a reason of its own to run.
    """

    def constant(wildcards, output):
        return value

    return constant


def script(name, warm=False):
    """The command that runs a script, a list, as a function for `params`."""
    # a conda environment brings its own python; else this very one, not a shim that looks for it
    command = ["python" if in_conda() else sys.executable]
    scripts = Path(workflow.basedir) / "scripts"
    # a remote job is long and comes alone: it has no use for a process that outlives it
    if warm and STUDY.persistent_worker and not on_cluster():
        command += ["-I", "-S", f"{scripts}/warm.py"]
    return unwatched([*command, f"{scripts}/{name}"])


def due(*patterns):
    """An input function without inputs: it has Snakemake make those files anew that are outdated.

    Parameters
    ----------
    *patterns : str
        Outputs of the rule, with its wildcards.
    """

    def outdated(wildcards):
        if workflow.is_main_process:
            paths = [pattern.format(**dict(wildcards)) for pattern in patterns]
            with in_one_line():
                workflow.dag.forcefiles.update(filter(JUDGE.outdated, paths))
        return []

    return outdated


def verify():
    """Refuse to end well unless all that is there was made by the study as it is now."""
    paths = {str(path) for job in workflow.dag.jobs for path in job.output}
    found = {path: JUDGE.outdated(path) for path in sorted(paths)}
    found = {path: reason for path, reason in found.items() if reason}
    if found:
        path, reason = next(iter(found.items()))
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        sys.exit(f"error: {path}{more} is not of the study as it is now: {reason}")


def check_programs():
    """Stop before the first fit if a program that fits is missing: every fit would fail.

    What our own Python code needs was imported by this very process.
    """
    own_files = any(is_file(strategy.family) for strategy in STUDY.strategies)
    to_check = own_files or "R" in needed_programs(STUDY)
    # what a look asks for is not planned before it
    fitting = {"fit_cell", "check_precision"}
    to_fit = any(job.rule.name in fitting for job in workflow.dag.needrun_jobs())
    if in_conda() or not (to_check and to_fit):
        return
    command = script("fit_cell.py", warm=True)(None, None)
    if subprocess.run([*command, "--check"], stdout=subprocess.DEVNULL).returncode:
        sys.exit(1)


def lift_job_rate_limit():
    """Let local jobs start without a limit per second.

    With one, Snakemake's scheduler starts a timer each time it has looked for jobs, and looks
    again whenever one fires: the more jobs have run, the more timers there are, until they cost
    more than the fits.
    """
    if not on_cluster():
        workflow.scheduler.job_rate_limiter = None


wildcard_constraints:
    cell="n_groups=[^/]+/n_obs=[^/]+/sigma=[^/]+/[^/]*sim=[0-9-]+",
    look="[0-9]+",


def block(wildcards):
    """The block of replications that a cell's name stands for."""
    key, _, sims = wildcards.cell.rpartition("sim=")
    try:
        return Block(JUDGE.conditions[key[:-1]], parse_sims(sims))
    except (KeyError, ValueError):
        raise WorkflowError(f"{wildcards.cell}: no cell of {NAME}") from None


def shards(wildcards):
    """Every shard of the study, or those that are there where that is enough."""
    if not STUDY.allow_incomplete:
        last_look(wildcards)
    planned = [f"{RESULTS}/cells/{block.path}" for block in plan.blocks(JUDGE.planned)]
    return list(filter(JUDGE.usable, planned)) if STUDY.allow_incomplete else planned


def look(number):
    """A look of a study with a precision; until it is taken, Snakemake plans no further."""
    return Path(checkpoints.check_precision.get(look=number).output[0])


def last_look(wildcards):
    """The look that settles the replications of all conditions, if the study has looks."""
    looked = map(look, itertools.count() if STUDY.precision else ())
    return next((str(it) for it in looked if not looks.unsettled(STUDY, it)), [])


def batch(wildcards):
    """What a look reads: the one before, and all shards of the conditions that it did not settle."""
    number = int(wildcards.look)
    before = look(number - 1) if number else None
    planned = looks.planned(STUDY, before)
    paths = [
        f"{RESULTS}/cells/{block.path}"
        for condition in looks.unsettled(STUDY, before)
        for block in plan.blocks_of(planned, condition)
    ]
    return [*([str(before)] if before else []), *paths]


def look_before(wildcards, output):
    """The option that names the look before one."""
    number = int(wildcards.look)
    before = looks.path(Path(RESULTS), number - 1)
    return ["--before", str(before)] if number else []


def latest_look(wildcards, output):
    """The option that says how many replications there are, if looks do."""
    return ["--look", str(it)] if (it := JUDGE.latest_look) else []


def replications():
    """The table of the replications of each condition, if they are not planned but found."""
    settled = STUDY.precision and not STUDY.allow_incomplete
    return [f"{RESULTS}/replications{kind}" for kind in (".csv", ".parquet") if settled]


def merged_tables():
    """The study's tables."""
    names = ("fits", "coefs", "timings", *(["audit"] if STUDY.audit else []))
    return [
        f"{RESULTS}/{name}{kind}" for name in names for kind in (".parquet", ".csv.gz")
    ]


def agreement():
    """The comparison of the engines, where the study has one."""
    return [
        f"{RESULTS}/agreement{kind}" for kind in (".csv", ".parquet") if STUDY.audit
    ]


def performance():
    """The performance measures."""
    return [f"{RESULTS}/performance{kind}" for kind in (".csv", ".parquet")]


def claims(name="claims"):
    """The claims put to the test, or the numbers behind them."""
    return [f"{RESULTS}/{name}{kind}" for kind in (".csv", ".parquet")]


@cache
def slices(name):
    """The slices that a figure is drawn for: with incomplete tables, those that have rows."""
    parts = figure_names.slices(STUDY, name)
    if STUDY.allow_incomplete:
        usable = {
            planned.condition.key
            for planned in plan.blocks(JUDGE.planned)
            if JUDGE.usable(f"{RESULTS}/cells/{planned.path}")
        }
        return sorted(
            part for part, own in parts.items() if any(c.key in usable for c in own)
        )
    return sorted(parts)


def figures():
    """The study's figures, slice by slice."""
    folder = Path(RESULTS, "figures")
    return [
        str(path)
        for name in figure_names.NAMES
        for path in figure_names.paths(folder, name, slices(name))
    ]


def pictures():
    """Those of the figures that the page shows."""
    return [path for path in figures() if path.endswith(".png")]


def page():
    """The page."""
    return [f"{RESULTS}/report.html"]


CATEGORIES = {".html": "Page", ".png": "Figures", ".csv": "Tables"}
"""Of Snakemake's own report; it has no other files."""
LARGEST_LINK = 2**21
"""Bytes of a link that holds a page, in base64, up to which browsers open it."""


def in_report(paths):
    """Outputs, marked for Snakemake's own report where it has a place for them."""
    return [
        reported(path) if Path(path).suffix in CATEGORIES else path for path in paths
    ]


def reported(path):
    """An output for Snakemake's own report, with its caption and labels."""
    file = Path(path)
    category, name = CATEGORIES[file.suffix], file.stem

    def labels(wildcards, output):
        if category == "Figures":
            part = file.parent.relative_to(f"{RESULTS}/figures").as_posix()
            return {
                "Figure": TEXTS[name].title,
                "Part": part.strip(".") or "whole study",
            }
        if category == "Tables":
            return {"Table": file.name}
        # in a report of a single file it is a link that holds the whole page
        alone = Path(output[0]).stat().st_size * 4 / 3 < LARGEST_LINK
        formats = "report.html and report.zip" if alone else "report.zip only"
        return {"Page": file.name, "Opens from": formats}

    caption = f"../report/{category.lower()}/{name}.rst"
    return report(path, category=category, caption=caption, labels=labels)
