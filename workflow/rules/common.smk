"""What the rules share: the checked study, its judge, the command prefixes, and all functions.

Needs the configuration files; makes `STUDY`, `NAME`, `RESULTS`, `JUDGE` and the functions below.
"""

import hashlib
import io
import itertools
import json
import os
import shlex
import subprocess
import sys
import tempfile
from contextlib import contextmanager, redirect_stderr, suppress
from functools import cache
from pathlib import Path

from snakemake.sourcecache import HostingProviderFile


def folder_of_project(rules):
    """The folder that this project is in, by that of its rules, which a module may have from GitHub.

    Snakemake then has a bare clone and reads one file after another from it; jobs need all of them.
    """
    if isinstance(rules, os.PathLike):
        return Path(rules).parents[1]
    if not isinstance(rules, HostingProviderFile):
        sys.exit(
            "error: a Snakefile from a URL lacks its scripts; allowed: that of a clone, or one by "
            "github(...) or gitlab(...)"
        )
    clone = rules.hosted_repo
    commit = clone.repo.commit(rules.ref)
    folder = clone.repo_clone.with_name(f"{clone.repo_clone.name}@{commit.hexsha}")
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            copy = clone.repo.clone(f"{temporary}/project", no_checkout=True)
            copy.git.checkout(commit.hexsha)
            with suppress(OSError):  # another process was faster
                Path(temporary, "project").rename(folder)
    return folder


# of this very file: `workflow.basedir` is that of a workflow that imports this one
PROJECT = folder_of_project(workflow.current_basedir)
sys.path.insert(0, str(PROJECT / "scripts"))

from rmsweep import plan
from rmsweep.cli import in_words
from rmsweep.config import DEFAULT_STUDY, load_study, one_line, read_settings, refuse
from rmsweep.design import Block, parse_sims
from rmsweep.errors import UserError
from rmsweep.figures import names as figure_names
from rmsweep.report.pictures import TEXTS
from rmsweep.strategies import is_file
from rmsweep.sweep import lock, looks, results
from rmsweep.sweep.judge import Judge
from rmsweep.sweep.provenance import needed_programs, table_identity
from snakemake.cli import parse_args
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod, Quietness
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

# what becomes known only while this file is read
IMPORTED = not workflow.modifier.is_main_snakefile()
MODULE = workflow.modifier.namespace
PATHS = workflow.modifier.path_modifier
STORAGE = workflow.storage_settings.default_storage_provider is not None


@cache
def executor():
    """The executor that runs jobs on other machines; none on this one, or in such a job."""
    # only those that are no local ones have a number of jobs, and dry runs that were given one
    if workflow.remote_exec or workflow.resource_settings.nodes is None:
        return None
    # Snakemake tells a workflow no more than that; it says which profiles it uses, once is enough
    try:
        with redirect_stderr(io.StringIO()):
            name = parse_args(sys.argv[1:])[1].executor or "local"
    except SystemExit:  # a program that uses Snakemake's API has other arguments
        return "unknown"
    plugin = ExecutorPluginRegistry().get_plugin(name)
    return None if plugin.common_settings.local_exec else name


def on_cluster():
    """Whether jobs run on other machines, or this is one of them."""
    return workflow.remote_exec or executor() is not None


def in_conda():
    """Whether jobs run in environments of their own, with other programs than this process."""
    return DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method


def other_programs():
    """Whether jobs may have other programs than this process: they bring them, or share nothing."""
    return in_conda() or STORAGE


def moved(path):
    """A path of a rule as it is once a workflow that imports this one has put its prefix before."""
    return str(PATHS.replace_prefix(str(path)))


def environment(name):
    """The conda environment of a rule, as a function for `conda`; none where jobs run in none."""
    # Snakemake looks for wildcards in the path
    path = str(PROJECT / "envs" / name).replace("{", "{{")
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
    if executor() != "slurm" and set('$`"\\\\') & set(str(Path.cwd())):
        sys.exit(
            f"error: {str(Path.cwd())!r}: on a cluster, the name of the working folder is not "
            "allowed to have a dollar, a backquote, a double quote or a backslash"
        )
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

    Snakemake's own `config` is YAML 1.1: it reads some values as others, and forgets equal keys. A
    workflow that imports this one has the study in its own configuration.
    """
    if IMPORTED:
        files, given, words = [], config, ()
        where, name, folder = f"module {MODULE}: ", MODULE, Path()
    else:
        # a study's file stands alone: it is not laid over the default one
        files = workflow.overwrite_configfiles or [DEFAULT_STUDY]
        given, words = workflow.config_settings.config, sys.argv
        where, name, folder = f"{files[-1]}: ", files[-1].stem, files[-1].parent
    with in_one_line():
        settings = read_settings(files, given, words)
    if on_cluster():
        # a cluster spends more on starting a job than on fitting a cell
        settings.setdefault("sims_per_job", "auto")
    with in_one_line(where):
        study = load_study(settings, name=name, folder=folder)
        if study.precision:
            # it imports much
            from rmsweep.measures.precision import check

            check(study)
        if STORAGE and (study.precision or study.allow_incomplete):
            key = "precision" if study.precision else "allow_incomplete"
            refuse(key, settings[key], "none of it with a storage provider")
    return study


if on_cluster() and not workflow.remote_exec:
    check_paths()
STUDY = checked_study()
NAME = STUDY.name
RESULTS = f"results/{NAME}"
JUDGE = Judge(STUDY, Path(moved(RESULTS)), programs=not other_programs())
FOR_SCRIPTS = {
    "RMSWEEP_STUDY": one_line(STUDY),
    # a worker has loaded the code, also that of the study's own files: other code, other worker
    "RMSWEEP_CODE": table_identity(STUDY, {})["code"],
}
# the jobs' scripts take them from here: Snakemake prints the command of a job that fails, twice
os.environ.update({} if IMPORTED else FOR_SCRIPTS)


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
    if IMPORTED:  # perhaps more than once, by one workflow
        command = [
            "env",
            *(f"{key}={text}" for key, text in FOR_SCRIPTS.items()),
            *command,
        ]
    scripts = PROJECT / "scripts"
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
        # with a storage provider there is nothing here to look at: see `watched`
        if workflow.is_main_process and not STORAGE:
            paths = [moved(pattern.format(**dict(wildcards))) for pattern in patterns]
            with in_one_line():
                workflow.dag.forcefiles.update(filter(JUDGE.outdated, paths))
        return []

    return outdated


def watched(pattern):
    """What has to have made a file, as a function for `params` that Snakemake compares.

    That is for storage providers, where `due` sees no file. Snakemake's record is then all there
    is, and `rule verify` looks at the files themselves.
    """

    def made_by(wildcards):
        path = moved(pattern.format(**dict(wildcards)))
        text = json.dumps(JUDGE.expected(path), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    return made_by if STORAGE else unwatched("")


def made_by_this_run():
    """All of the study that the jobs of this run make, or made earlier."""
    paths = {path for job in workflow.dag.jobs for path in job.output}
    if STORAGE:  # local copies are gone with their jobs
        queries = {path.storage_object.query for path in paths if path.is_storage}
        return sorted(query for query in queries if f"{JUDGE.results}/" in query)
    # an importer makes other things as well
    return sorted(str(it) for it in paths if Path(it).is_relative_to(JUDGE.results))


def begin():
    """Begin a run, before its first job."""
    lock.hold(NAME)
    check_programs()
    lift_job_rate_limit()
    results.record(STUDY, JUDGE.results)


def end():
    """End a run that went well: verify what it made, and say where it is."""
    if not STORAGE:
        verify()
    if Quietness.ALL not in (workflow.output_settings.quiet or ()):
        print(*results.in_words(made_by_this_run()), sep="\n", file=sys.stderr)


def verify():
    """Refuse to end well unless all that is there was made by the study as it is now."""
    found = {path: JUDGE.outdated(path) for path in made_by_this_run()}
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
    # an importer's rules may have names around these
    to_fit = any(
        name in job.rule.name
        for job in workflow.dag.needrun_jobs()
        for name in ("fit_cell", "check_precision")
    )
    if other_programs() or not (to_check and to_fit):
        return
    command = script("fit_cell.py", warm=True)(None, None)
    # those that Snakemake gives a job: the worker that starts now is then the jobs', too
    of_jobs = {f"{name}_NUM_THREADS": "1" for name in ("MKL", "OMP", "OPENBLAS")}
    of_jobs["TMPDIR"] = tempfile.gettempdir()
    if subprocess.run(
        [*command, "--check"], env=os.environ | of_jobs, stdout=subprocess.DEVNULL
    ).returncode:
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
    look="[0-9]+",


def numbers_of_parts():
    """Into how many parts commas part the names of the study's shards."""
    commas = {one.further.count(",") + bool(one.further) for one in STUDY.conditions}
    return [number + 1 for number in sorted(commas, reverse=True)]


def in_parts(pattern, n_parts, constrained=False):
    """A pattern of shards, or of what belongs to them, with a wildcard for each part of their names.

    Snakemake tells a job on another machine its wildcards with commas between them, and one that has
    commas itself in pieces.
    """
    allowed = [
        ",n_groups=[^/]+/n_obs=[^/]+/sigma=[^/]+/[^/,]+",
        *[",[^/,]+"] * (n_parts - 1),
    ]
    parts = (
        f"{{part{number}{constraint if constrained else ''}}}"
        for number, constraint in enumerate(allowed)
    )
    return pattern.replace("*", ",".join(parts))


def block(wildcards):
    """The block of replications that the parts of a shard's name stand for."""
    name = ",".join(wildcards)
    key, _, sims = name.rpartition("sim=")
    try:
        return Block(JUDGE.conditions[key[:-1]], parse_sims(sims))
    except (KeyError, ValueError):
        raise WorkflowError(f"{name}: no cell of {NAME}") from None


def shards(wildcards):
    """Every shard of the study, or those that are there where that is enough."""
    if not STUDY.allow_incomplete:
        last_look(wildcards)
    return [
        f"{RESULTS}/cells/{block.path}"
        for block in plan.blocks(JUDGE.planned)
        if not STUDY.allow_incomplete or JUDGE.usable(JUDGE.shards.path(block))
    ]


def folder_of_cells(wildcards, input, output):
    """The folder of the shards, or of their copies that a storage provider makes for a job."""
    folders = itertools.chain.from_iterable(Path(path).parents for path in input)
    return next(
        (str(it) for it in folders if it.name == "cells"), str(JUDGE.shards.folder)
    )


def folder_of_figures(wildcards, output):
    """The folder of the figures, or of what a storage provider takes for it."""
    return next(str(it) for it in Path(output[0]).parents if it.name == "figures")


def look(number):
    """A look of a study with a precision; until it is taken, Snakemake plans no further."""
    return Path(checkpoints.check_precision.get(look=number).output[0])


def last_look(wildcards):
    """The look that settles the replications of all conditions, if the study has looks."""
    numbers = itertools.count() if STUDY.precision else ()
    settling = (
        number for number in numbers if not looks.unsettled(STUDY, look(number))
    )
    return next((str(looks.path(Path(RESULTS), number)) for number in settling), [])


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
    return [*([str(looks.path(Path(RESULTS), number - 1))] if before else []), *paths]


def look_before(wildcards, output):
    """The option that names the look before one."""
    number = int(wildcards.look)
    before = looks.path(JUDGE.results, number - 1)
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
        f"{RESULTS}/{name}{kind}"
        for name in names
        for kind in (".parquet", *([".csv.gz"] if STUDY.has_csv(name) else []))
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


def sample_sizes():
    """The numbers of groups that strategies need, where the study asks for a power."""
    return [
        f"{RESULTS}/sample_sizes{kind}" for kind in (".csv", ".parquet") if STUDY.power
    ]


@cache
def slices(name):
    """The slices that a figure is drawn for: with incomplete tables, those that have rows."""
    parts = figure_names.slices(STUDY, name)
    if STUDY.allow_incomplete:
        usable = {
            planned.condition.key
            for planned in plan.blocks(JUDGE.planned)
            if JUDGE.usable(JUDGE.shards.path(planned))
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


def everything():
    """All that a run of the study makes."""
    return [
        *replications(),
        *merged_tables(),
        *agreement(),
        *performance(),
        *claims(),
        *claims("claims_by_condition"),
        *sample_sizes(),
        *figures(),
        *page(),
    ]
