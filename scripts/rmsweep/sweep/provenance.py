"""What makes a result: the settings, the code, and the versions of the programs under it."""

from __future__ import annotations

import ast
import hashlib
import html
import itertools
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from rmsweep import strategies
from rmsweep.design import Condition, Strategy, Study
from rmsweep.sweep import tables

SOURCE_ROOT = Path(__file__).parents[2]
PYTHON_PROGRAMS = ("numpy", "numpy_blas", "python", "scipy")
DRAWING = ("matplotlib", "numpy", "pandas", "seaborn")
DESCRIPTION = re.compile(r"<dc:description>(.*?)</dc:description>", re.DOTALL)
R_FILE = re.compile(r"""["'](\w+\.R)["']""")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)
HEAD = 2**20
"""Bytes at the beginning of an SVG that are sure to hold its description."""


def made_with(path: Path) -> dict[str, str]:
    """What a file says of how it was made.

    Raises
    ------
    OSError, ValueError, pyarrow.ArrowException
        If it can't be read.
    """
    if path.suffix == ".parquet":
        return tables.metadata(path)
    with path.open(encoding="utf-8") as file:
        description = DESCRIPTION.search(file.read(HEAD))
    made: dict[str, str] = json.loads(html.unescape(description[1] if description else ""))
    return made


def shard_identity(
    study: Study, condition: Condition, versions: Mapping[str, str]
) -> dict[str, str]:
    """What a shard says of itself: all that its rows depend on, strategy by strategy.

    Parameters
    ----------
    study : Study
    condition : Condition
    versions : mapping of str to str
        Of the programs that fit.

    Returns
    -------
    dict
        ``data``, ``strategies`` and ``versions`` (JSON), ``code`` and ``schema_version``.
    """
    own = {strategy.name: strategy_identity(study, strategy) for strategy in study.strategies}
    data = {"seed": study.seed, "condition": condition.identity}
    return {
        "schema_version": tables.SCHEMA_VERSION,
        "data": json.dumps(data),
        "strategies": json.dumps(own),
        "code": code_digest("rmsweep.sweep.replication"),
        "versions": json.dumps(dict(sorted(versions.items()))),
    }


def strategy_identity(study: Study, strategy: Strategy) -> dict[str, object]:
    """What the rows of one strategy depend on besides the data."""
    options = strategy.identity()
    if strategy.engine == "native":
        options |= {"audit": study.audit}
        if not study.audit:
            for name in getattr(strategies.load(strategy.family), "MEANINGLESS_NATIVELY", ()):
                options["options"].pop(name, None)
    # as JSON gives them back
    options = json.loads(json.dumps(options))
    return {
        "options": options,
        "code": code_digest(*family_sources(strategy.family)),
        "programs": sorted({*PYTHON_PROGRAMS, *strategies.programs(strategy, bool(study.audit))}),
    }


def family_sources(family: str) -> list[str]:
    """Where the code of a strategy family begins."""
    if not strategies.is_file(family):
        return [f"rmsweep.strategies.{family}"]
    return [family, *(["rmsweep.strategies.r_file"] if family.endswith(".R") else [])]


def table_identity(study: Study, versions: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """What a table says of itself.

    Parameters
    ----------
    study : Study
    versions : mapping of str to iterable of str
        Of the programs that its shards were made with.

    Returns
    -------
    dict
        ``study`` and ``versions`` (JSON), ``code`` and ``schema_version``.
    """
    families = {source for one in study.strategies for source in family_sources(one.family)}
    modules = ["rmsweep.sweep.replication", "rmsweep.sweep.merge"]
    return {
        "schema_version": tables.SCHEMA_VERSION,
        "study": study.identity(),
        "code": code_digest(*modules, *sorted(families)),
        "versions": json.dumps({key: sorted(versions[key]) for key in sorted(versions)}),
    }


def measures_identity(table: Mapping[str, str]) -> dict[str, str]:
    """What a table of measures says of itself, given what the table says that it is made from."""
    return dict(table) | {"measured_by": code_digest("compare_engines")}


def figure_identity(table: Mapping[str, str]) -> dict[str, str]:
    """What a figure says of itself.

    Parameters
    ----------
    table : mapping of str to str
        What the table says that it is drawn from.
    """
    return {
        **{part: table[part] for part in ("study", "versions")},
        "incomplete": table.get("incomplete", ""),
        "code": f"{table['code']} {code_digest('draw')}",
        "drawn_by": json.dumps({name: version_of(name) for name in DRAWING}),
    }


def describe_missing(n_datasets: int, planned: int) -> str:
    """What an incomplete table holds."""
    return f"{n_datasets:,} of {planned:,} datasets"


@cache
def code_digest(*starts: str) -> str:
    """Digest of the code that runs when some of it does.

    That is the modules and files themselves, all of the library, and all beside a file, that they
    import, at the top or inside a function, and the R files that these name. Comments, docstrings
    and layout play no part: they change no number.

    Parameters
    ----------
    *starts : str
        Dotted names of modules, such as ``rmsweep.sweep.replication``, or paths of files.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    named = {}
    for file in sources(starts):
        inside = file.is_relative_to(SOURCE_ROOT)
        named[file.relative_to(SOURCE_ROOT).as_posix() if inside else file.name] = file
    for name in sorted(named):
        digest.update(name.encode() + b"\0" + meaning(named[name]).encode() + b"\0")
    return digest.hexdigest()[:16]


def sources(starts: Iterable[str]) -> set[Path]:
    """The files that run when some code does: its own, and those of all that it imports of ours."""
    found: set[Path] = set()
    waiting = [(start, SOURCE_ROOT) for start in starts]
    while waiting:
        start, root = waiting.pop()
        file = Path(start).resolve() if strategies.is_file(start) else source(start, root)
        if file is None or file in found:
            continue
        found.add(file)
        if file.suffix == ".R":
            continue
        found |= r_files(file)
        if not strategies.is_file(start):  # a module's packages are imported before it
            waiting.append((start.rpartition(".")[0], root))
        roots = {SOURCE_ROOT} if file.is_relative_to(SOURCE_ROOT) else {SOURCE_ROOT, file.parent}
        waiting += [(name, root) for name in imports(file) for root in roots]
    return found


def source(module: str, root: Path) -> Path | None:
    """The file of a module below a folder; None for other people's."""
    place = root.joinpath(*module.split("."))
    candidates = (place / "__init__.py", place.with_suffix(".py")) if module else ()
    return next((file for file in candidates if file.exists()), None)


@cache
def imports(file: Path) -> frozenset[str]:
    """The modules that a file imports, but for those that only type checkers see."""
    found: set[str] = set()
    waiting: list[ast.AST] = [tree(file)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting += node.orelse
        else:  # no expression imports anything
            children = ast.iter_child_nodes(node)
            waiting += (child for child in children if not isinstance(child, ast.expr))
    return frozenset(found)


def r_files(file: Path) -> set[Path]:
    """The R files beside a file that it names."""
    beside = {file.parent / name for name in R_FILE.findall(file.read_text(encoding="utf-8"))}
    return {path for path in beside if path.exists()}


@cache
def meaning(file: Path) -> str:
    """The text of a source file without what changes nothing when it runs."""
    if file.suffix == ".R":
        lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
        return "\n".join(line for line in lines if line and not line.startswith("#"))
    return dumped(tree(file))


@cache
def tree(file: Path) -> ast.Module:
    """A file's syntax tree, which has no comments."""
    return ast.parse(file.read_bytes())


def dumped(node: object) -> str:
    """A syntax tree as text, without docstrings; the same for any version of Python.

    `ast.dump` spells what is empty in different ways.
    """
    if isinstance(node, list):
        return f"[{','.join(map(dumped, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = []
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False):
            value = value[1:]
        if value not in (None, []):
            parts.append(f"{name}={dumped(value)}")
    return f"{type(node).__name__}({','.join(parts)})"


def version_of(package: str) -> str:
    """Version of a Python package; ``none`` if it isn't there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


@cache
def python_versions() -> dict[str, str]:
    """Versions of Python, of the packages that compute, and of numpy's BLAS."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "python": platform.python_version(),
        **{package: version_of(package) for package in ("numpy", "scipy", "statsmodels")},
        "numpy_blas": f"{blas['name']} {blas['version']}",
    }


def needed_programs(study: Study) -> set[str]:
    """The programs whose versions the study's rows depend on."""
    own = (strategies.programs(strategy, bool(study.audit)) for strategy in study.strategies)
    return {*PYTHON_PROGRAMS, *itertools.chain.from_iterable(own)}


def installed_versions(study: Study) -> dict[str, str]:
    """Versions of all programs that the study uses, as they are on this machine now."""
    needed = needed_programs(study)
    found = python_versions()
    if "R" in needed:
        found = found | r_versions(*sorted(needed - set(found) - {"R", "R_BLAS"}))
    return {program: found[program] for program in sorted(found) if program in needed}


R_VERSIONS = """
of <- function(package) tryCatch(as.character(packageVersion(package)), error = function(e) "none")
cat(c(as.character(getRversion()), basename(extSoftVersion()[["BLAS"]]),
      vapply(commandArgs(TRUE), of, "")), sep = "\n")
"""


@cache
def r_versions(*packages: str) -> dict[str, str]:
    """Versions of R, its BLAS and packages, as an R of its own says; none without an R."""
    home = os.environ.get("R_HOME")
    program = shutil.which("Rscript", path=f"{home}/bin" if home else None)
    if program is None:
        return {}
    command = [program, "-e", R_VERSIONS, *packages]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    names = ("R", "R_BLAS", *packages)
    # a user's profile may print something first
    return dict(zip(names, said.stdout.splitlines()[-len(names) :], strict=False))
