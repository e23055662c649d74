"""What made a result: the settings, the code, and the versions of the programs under it.

Every shard, table and figure says in its own metadata by what it was made. `Judge` compares that
with the study as it is now, whatever became of file times, of Snakemake's own records or of the
configuration in the meantime.
"""

from __future__ import annotations

import ast
import hashlib
import html
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rmsweep import strategies, tables

if TYPE_CHECKING:
    from rmsweep.design import Settings, Study

SOURCE_ROOT = Path(__file__).parents[1]
DESCRIPTION = re.compile(r"<dc:description>(.*?)</dc:description>", re.DOTALL)
HEAD = 65536
"""Bytes at the beginning of an SVG that are sure to hold its description."""


class Judge:
    """Says of a study's files whether they were made by the study as it is now.

    Parameters
    ----------
    study : Study
        The study as it is now.
    cells : Path
        Folder of its shards.
    programs : bool
        Whether this process has the programs that fit and draw; if not, their versions are left
        out of the judgement.
    """

    def __init__(self, study: Study, cells: Path, programs: bool = True) -> None:
        self.study = study
        self.cells = cells
        self.programs = programs

    @cached_property
    def shard(self) -> dict[str, str]:
        """What the metadata of a shard have to say."""
        settings = self.study.settings
        return shard_identity(settings, versions(settings) if self.programs else {})

    @cached_property
    def table(self) -> dict[str, str]:
        """What the metadata of a table have to say."""
        programs = {key: [value] for key, value in json.loads(self.shard["versions"]).items()}
        expected = table_identity(self.study) | {"versions": json.dumps(programs)}
        if self.study.allow_incomplete:
            blocks = list(self.study.blocks())
            there = [block for block in blocks if self.usable(self.cells / block.path)]
            n_there, planned = (sum(len(block.sims) for block in some) for some in (there, blocks))
            if n_there < planned:
                expected["incomplete"] = describe_missing(n_there, planned)
        return expected

    @cached_property
    def figure(self) -> dict[str, str]:
        """What the metadata of a figure have to say."""
        return figure_identity(self.table)

    def usable(self, path: Path) -> bool:
        """Whether a file is there and need not be made anew."""
        return path.exists() and not self.outdated(path)

    def outdated(self, path: str | Path) -> str:
        """Why a file has to be made anew; empty if it has not, or if there is none.

        Parameters
        ----------
        path : str or Path
            A shard, a table or a figure. A file without metadata, such as CSV, is made together
            with one that has some, and before it.

        Returns
        -------
        str
        """
        path = Path(path)
        if path.suffix not in (".parquet", ".svg") or not path.exists():
            return ""
        if path.is_relative_to(self.cells):
            expected = self.shard
        else:
            expected = self.figure if path.suffix == ".svg" else self.table
        try:
            found = made_with(path)
        except (OSError, ValueError, pa.ArrowException):
            return "it does not say what made it"
        different = [
            part
            for part in expected.keys() | found.keys()
            if expected.get(part) != found.get(part) and (self.programs or part != "versions")
        ]
        return f"made with other {', '.join(sorted(different))}" if different else ""


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


def shard_identity(settings: Settings, programs: Mapping[str, str]) -> dict[str, str]:
    """What a shard says of itself.

    Parameters
    ----------
    settings : Settings
        What its rows depend on.
    programs : mapping of str to str
        Versions of the programs that fit.
    """
    modules = [f"rmsweep.strategies.{name}" for name in settings.strategies]
    return {
        "schema_version": tables.SCHEMA_VERSION,
        "settings": settings.to_json(),
        "code": code_digest("rmsweep.replication", *modules),
        "versions": json.dumps(dict(sorted(programs.items()))),
    }


def table_identity(study: Study) -> dict[str, str]:
    """What a table says of itself, but for the versions that its shards were made with."""
    identity = shard_identity(study.settings, {})
    del identity["versions"]
    return identity | {"study": study.identity(), "merge_code": code_digest("rmsweep.merge")}


def figure_identity(table: Mapping[str, str]) -> dict[str, str]:
    """What a figure says of itself.

    Parameters
    ----------
    table : mapping of str to str
        What the table says that it is drawn from.
    """
    programs = {name: version(name) for name in ("matplotlib", "seaborn", "pandas", "numpy")}
    return {
        **{part: table[part] for part in ("study", "versions")},
        "incomplete": table.get("incomplete", ""),
        "code": f"{table['code']} {table['merge_code']} {code_digest('draw')}",
        "drawn_by": json.dumps(programs),
    }


def describe_missing(n_datasets: int, planned: int) -> str:
    """What an incomplete table holds."""
    return f"{n_datasets:,} of {planned:,} datasets"


def code_digest(*modules: str) -> str:
    """Digest of the code that runs when the modules do.

    That is the modules, all of the library that they import, at the top or inside a function, and
    the R files that these name. Comments, docstrings and layout play no part: what they say
    changes no number.

    Parameters
    ----------
    *modules : str
        Dotted names, such as ``rmsweep.replication``.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for file in sorted(sources(modules)):
        name = file.relative_to(SOURCE_ROOT).as_posix()
        digest.update(name.encode() + b"\0" + meaning(file).encode() + b"\0")
    return digest.hexdigest()[:16]


def sources(modules: Iterable[str]) -> set[Path]:
    """The files that run when the modules do: theirs, and those of all that they import of ours."""
    found: set[Path] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        file = source(name)
        if file is None or file in found:
            continue
        found |= {file, *r_files(file)}
        # a module's packages are imported before it
        waiting.append(name.rpartition(".")[0])
        waiting.extend(imports(file))
    return found


def source(module: str) -> Path | None:
    """The file of a module of ours; None for other people's."""
    place = SOURCE_ROOT.joinpath(*module.split("."))
    candidates = (place / "__init__.py", place.with_suffix(".py")) if module else ()
    return next((file for file in candidates if file.exists()), None)


@cache
def imports(file: Path) -> frozenset[str]:
    """The modules that a file imports, but for those that only type checkers see."""
    found: set[str] = set()
    for node in statements(tree(file)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(found)


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below a node, without the bodies of ``if TYPE_CHECKING:``."""
    children = ast.iter_child_nodes(node)
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        children = iter(node.orelse)
    for child in children:
        yield child
        yield from statements(child)


def r_files(file: Path) -> set[Path]:
    """The R files beside a file that it names."""
    names = {node.value for node in ast.walk(tree(file)) if isinstance(node, ast.Constant)}
    beside = {file.parent / name for name in names if isinstance(name, str) and name.endswith(".R")}
    return {path for path in beside if path.exists()}


def meaning(file: Path) -> str:
    """The text of a source file without what changes nothing when it runs."""
    if file.suffix == ".R":
        lines = (line.strip() for line in file.read_text().splitlines())
        return "\n".join(line for line in lines if line and not line.startswith("#"))
    return dumped(file)


@cache
def tree(file: Path) -> ast.Module:
    """A file's syntax tree, which has no comments."""
    return ast.parse(file.read_bytes())


@cache
def dumped(file: Path) -> str:
    """A file's syntax tree as text, without docstrings; the same for any version of Python."""
    parsed = tree(file)
    for node in ast.walk(parsed):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node, clean=False
        ):
            node.body = node.body[1:]
    return dump(parsed)


def dump(node: object) -> str:
    """`ast.dump` without what is empty, which versions of Python spell in different ways."""
    if isinstance(node, ast.AST):
        fields = ast.iter_fields(node)
        parts = (f"{name}={dump(value)}" for name, value in fields if value not in (None, []))
        return f"{type(node).__name__}({','.join(parts)})"
    return f"[{','.join(map(dump, node))}]" if isinstance(node, list) else repr(node)


@cache
def python_versions() -> dict[str, str]:
    """Versions of Python, of the packages that compute, and of numpy's BLAS."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "python": platform.python_version(),
        **{package: version(package) for package in ("numpy", "scipy", "statsmodels")},
        "numpy_blas": f"{blas['name']} {blas['version']}",
    }


def versions(settings: Settings) -> dict[str, str]:
    """Versions of all programs that a study uses, as they are on this machine now."""
    return python_versions() | (r_versions("lme4", "lmerTest") if uses_r(settings) else {})


def uses_r(settings: Settings) -> bool:
    """Whether a study's fits need R."""
    engines = set(settings.engine.values())
    if settings.audit:
        engines |= {strategies.engines(name)[0] for name in settings.engine}
    return "lme4" in engines


R_VERSIONS = """
of <- function(package) tryCatch(as.character(packageVersion(package)), error = function(e) "none")
cat(as.character(getRversion()), basename(extSoftVersion()[["BLAS"]]),
    vapply(commandArgs(TRUE), of, ""), sep = "\n")
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
