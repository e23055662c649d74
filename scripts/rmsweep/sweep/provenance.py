"""What makes a result: the settings, the code, and the versions of the programs under it."""

from __future__ import annotations

import ast
import hashlib
import html
import itertools
import json
import platform
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from rmsweep import rscript, strategies
from rmsweep.data import pieces, template
from rmsweep.design import Condition, Strategy, Study
from rmsweep.sweep import tables

SOURCE_ROOT = Path(__file__).parents[2]
PYTHON_PROGRAMS = ("numpy", "numpy_blas", "python", "scipy")
DRAWING = ("matplotlib", "numpy", "pandas", "pillow", "seaborn")
RENDERING = ("altair", "jinja2", "numpy", "pandas", "pillow", "vl-convert-python")
DESCRIPTION = re.compile(r"<dc:description>(.*?)</dc:description>", re.DOTALL)
BESIDE = re.compile(r"""["']([\w./]+\.(?:R|css|html\.j2|js|txt))["']""")
"""How code names files beside it that are a part of it."""
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)
META = re.compile(r'<meta name="rmsweep" content="(.*?)">', re.DOTALL)
REMEMBERED = "__pycache__/digests.json"
"""Digests of code as it was, for the next process: to read all of it takes most of a second."""
SECOND = 10**9
"""In the nanoseconds of file systems, some of which count no less than seconds."""
HEAD = 2**20
"""Bytes at the beginning of an SVG or a page that are sure to hold its description."""


def made_with(path: Path) -> dict[str, str]:
    """What a file says of how it was made.

    Raises
    ------
    OSError, ValueError, pyarrow.ArrowException
        If it can't be read.
    """
    if path.suffix == ".parquet":
        return tables.metadata(path)
    tables.check_regular(path)
    pattern = META if path.suffix == ".html" else DESCRIPTION
    with path.open(encoding="utf-8") as file:
        description = pattern.search(file.read(HEAD))
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
    values = {key: pieces.portable(value) for key, value in condition.values.items()}
    data: dict[str, object] = {"seed": study.seed, "condition": values}
    if own_pieces := pieces.files(condition.values):
        data["code"] = " ".join(map(piece_digest, own_pieces))
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
    packages, r_packages = strategies.packages(strategy, bool(study.audit))
    r_programs = () if r_packages is None else ("R", "R_BLAS", *r_packages)
    digests = [code_digest(source) for source in family_sources(strategy.family)]
    return {
        "options": options,
        "code": " ".join(digests),
        "programs": sorted({*PYTHON_PROGRAMS, *packages, *r_programs}),
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
    own_pieces = {file for one in study.conditions for file in pieces.files(one.values)}
    digests = [*map(code_digest, sorted(families)), *map(piece_digest, sorted(own_pieces))]
    own = code_digest("rmsweep.sweep.replication", "rmsweep.sweep.merge")
    return {
        "schema_version": tables.SCHEMA_VERSION,
        "study": study.identity(),
        "code": " ".join([own, *digests]),
        "versions": json.dumps({key: sorted(versions[key]) for key in sorted(versions)}),
    }


def measures_identity(table: Mapping[str, str], *scripts: str) -> dict[str, str]:
    """What a table of measures says of itself.

    Parameters
    ----------
    table : mapping of str to str
        What the table says that it is made from.
    *scripts : str
        What makes it, and what made other measures that it is made from.
    """
    return dict(table) | {"measured_by": code_digest(*scripts)}


MEASURES = {
    "agreement": ("compare_engines",),
    "performance": ("measure_performance",),
    "sample_sizes": ("measure_performance", "find_sample_sizes"),
    "claims": ("measure_performance", "assess_claims"),
    "claims_by_condition": ("measure_performance", "assess_claims"),
}
"""The tables of measures, and the scripts that make them."""
LOOKS = "check_precision"
"""What makes the looks of a study with a precision."""


def figure_identity(study: Study, table: Mapping[str, str], wishes: str = "") -> dict[str, str]:
    """What a figure says of itself.

    Parameters
    ----------
    study : Study
    table : mapping of str to str
        What the table says that it is drawn from.
    wishes : str
        What somebody asked to be drawn in another way; empty for a study's own figures.
    """
    return {
        **{part: table[part] for part in ("study", "versions")},
        **({"wishes": wishes} if wishes else {}),
        "incomplete": table.get("incomplete", ""),
        "labels": json.dumps({strategy.name: strategy.label for strategy in study.strategies}),
        "code": f"{table['code']} {code_digest('draw')}",
        "drawn_by": json.dumps({name: version_of(name) for name in DRAWING}),
    }


def page_identity(study: Study, table: Mapping[str, str]) -> dict[str, str]:
    """What a page says of itself; see `figure_identity`."""
    return figure_identity(study, table) | {
        "code": f"{table['code']} {code_digest('render_report')}",
        "drawn_by": json.dumps({name: version_of(name) for name in RENDERING}),
    }


def piece_digest(file: str) -> str:
    """Digest of a file of the user's own that is a piece of a scenario: its code or its numbers."""
    return template.read(file).digest if file.endswith(template.SUFFIX) else code_digest(file)


def describe_missing(n_datasets: int, planned: int) -> str:
    """What an incomplete table holds."""
    return f"{n_datasets:,} of {planned:,} datasets"


@cache
def code_digest(*starts: str) -> str:
    """Digest of the code that runs when some of it does.

    That is modules of ours or a file of the user's own, all of the library and all below the file's
    folder that they import, at the top or inside a function, and the R files, templates, styles and
    scripts that these name. Comments, docstrings and layout of code play no part: they change no
    number.

    Parameters
    ----------
    *starts : str
        Dotted names of modules, such as ``rmsweep.sweep.replication``, or one path of a file.

    Returns
    -------
    str
        16 hexadecimal digits.

    Raises
    ------
    StrategyError
        If a file of the user's own can't be read.
    """
    ours, key = not any(map(strategies.is_file, starts)), " ".join(starts)
    known = remembered() if ours else {}
    with suppress(KeyError, TypeError, AttributeError, OSError):  # there is none, or no longer
        if known[key]["editions"] == editions(known[key]["editions"]):
            return str(known[key]["digest"])
    now = time.time_ns()
    digest, found = hashlib.sha256(), sources(starts)
    for name, file in sorted(found.items()):
        digest.update(name.encode() + b"\0" + meaning(file).encode() + b"\0")
    text = digest.hexdigest()[:16]
    if ours:
        with suppress(OSError):  # now, for it changes the folder that it is in
            (SOURCE_ROOT / REMEMBERED).parent.mkdir(exist_ok=True)
        # folders, too: a new file in one may be what some code imports; and what makes digests
        places = {place for file in found.values() for place in (file, file.parent)}
        read = editions([__file__, *(it.relative_to(SOURCE_ROOT).as_posix() for it in places)])
        # what was changed meanwhile may have been read before
        if max(when for _, _, *times in read.values() for when in times) < now - SECOND:
            remember(known | {key: {"digest": text, "editions": read}})
    return text


def editions(paths: Iterable[str]) -> dict[str, list[int]]:
    """What shows that files or folders of ours have changed, also with size and time restored."""
    found = {}
    for path in sorted(paths):
        it = (SOURCE_ROOT / path).stat()
        found[path] = [it.st_ino, it.st_size, it.st_mtime_ns, it.st_ctime_ns]
    return found


def remembered() -> dict[str, Any]:
    """What is known of digests that were made earlier; nothing where that can't be read."""
    with suppress(OSError, ValueError):
        found = json.loads((SOURCE_ROOT / REMEMBERED).read_text())
        return found if isinstance(found, dict) else {}
    return {}


def remember(known: Mapping[str, Any]) -> None:
    """Keep digests for the next process, where that is possible."""
    path = SOURCE_ROOT / REMEMBERED
    with suppress(OSError):
        temporary = tables.unfinished(path)
        temporary.write_text(json.dumps(known))
        temporary.replace(path)


def sources(starts: Iterable[str]) -> dict[str, Path]:
    """The files that run when some code does: its own, and those of all that it imports of ours.

    Returns
    -------
    dict of str to Path
        By a name that is the same on every machine.
    """
    found: dict[str, Path] = {}
    roots = {"": SOURCE_ROOT}  # of ours; a file of the user's own brings its folder
    waiting: list[tuple[str, str]] = []
    for start in starts:
        if strategies.is_file(start):
            file = Path(start).resolve()
            roots["own/"] = file.parent
            add(found, "own/", file.parent, file)
            waiting += [("own/", name) for name in imports(file, "")]
        else:
            waiting.append(("", start))
    while waiting:
        origin, module = waiting.pop()
        # what an own file imports is sought below its folder, too
        for root in {origin, ""}:
            file_of_module = source(module, roots[root])
            if file_of_module is None:
                continue
            if add(found, root, roots[root], file_of_module):
                package = module
                if file_of_module.name != "__init__.py":
                    package = module.rpartition(".")[0]
                waiting += [(root, name) for name in imports(file_of_module, package)]
                waiting.append((root, module.rpartition(".")[0]))  # packages come first
    return found


def add(found: dict[str, Path], prefix: str, root: Path, file: Path) -> bool:
    """Add a file, and those beside it that it names, unless it is there."""
    name = prefix + file.relative_to(root).as_posix()
    if name in found:
        return False
    found[name] = file
    for text in BESIDE.findall(file.read_text(encoding="utf-8")):
        beside = (file.parent / text).resolve()
        if beside.is_file() and beside.is_relative_to(root):
            add(found, prefix, root, beside)
    return True


def source(module: str, root: Path) -> Path | None:
    """The file of a module below a folder; None for other people's."""
    place = root.joinpath(*module.split("."))
    candidates = (place / "__init__.py", place.with_name(f"{place.name}.py")) if module else ()
    return next((file for file in candidates if file.is_file()), None)


@cache
def imports(file: Path, package: str) -> frozenset[str]:
    """The modules that a file imports, but for those that only type checkers see.

    Parameters
    ----------
    file : Path
    package : str
        The package that relative imports start from.
    """
    found: set[str] = set()
    waiting: list[ast.AST] = [tree(file)] if file.suffix == ".py" else []
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".") if node.level else []
            parts = parts[: len(parts) - node.level + 1] if node.level else []
            module = ".".join(filter(None, [*parts, node.module or ""]))
            found.add(module)
            found.update(f"{module}.{alias.name}".lstrip(".") for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting += node.orelse
        else:  # no expression imports anything
            children = ast.iter_child_nodes(node)
            waiting += (child for child in children if not isinstance(child, ast.expr))
    return frozenset(found)


@cache
def meaning(file: Path) -> str:
    """The text of a source file without what changes nothing when it runs."""
    if file.suffix == ".R":
        lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
        return "\n".join(line for line in lines if line and not line.startswith("#"))
    return dumped(tree(file)) if file.suffix == ".py" else file.read_text(encoding="utf-8")


@cache
def tree(file: Path) -> ast.Module:
    """A file's syntax tree, which has no comments.

    Raises
    ------
    StrategyError
        If there is none.
    """
    try:
        return ast.parse(file.read_bytes())
    except SyntaxError as error:
        raise strategies.StrategyError(f"{file}: SyntaxError: {error}") from None


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


@cache
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
        **{package: version_of(package) for package in ("numpy", "scipy")},
        "numpy_blas": f"{blas['name']} {blas['version']}",
    }


def needed_packages(
    chosen: Sequence[Strategy], audit: bool = False
) -> tuple[set[str], set[str] | None]:
    """The packages of Python and of R that strategies' rows depend on; None if they need no R."""
    own = [strategies.packages(strategy, audit) for strategy in chosen]
    of_r = [r_packages for _, r_packages in own if r_packages is not None]
    in_python = set(itertools.chain.from_iterable(packages for packages, _ in own))
    return in_python, set(itertools.chain.from_iterable(of_r)) if of_r else None


def needed_programs(study: Study) -> set[str]:
    """The programs whose versions the study's rows depend on."""
    packages, r_packages = needed_packages(study.strategies, bool(study.audit))
    r_programs = set() if r_packages is None else {"R", "R_BLAS", *r_packages}
    return {*PYTHON_PROGRAMS, *packages, *r_programs}


def study_versions(
    study: Study, ask_r: Callable[[tuple[str, ...]], Mapping[str, str]]
) -> dict[str, str]:
    """Versions of all programs that a study uses.

    Parameters
    ----------
    study : Study
    ask_r : callable
        Gives the versions of R, its BLAS and some packages: `installed_r_versions`, or what is
        loaded in this process (`rmsweep.r.versions`).
    """
    return program_versions(study.strategies, ask_r, bool(study.audit))


def program_versions(
    chosen: Sequence[Strategy],
    ask_r: Callable[[tuple[str, ...]], Mapping[str, str]],
    audit: bool = False,
) -> dict[str, str]:
    """Versions of all programs that some strategies use; see `study_versions`."""
    packages, r_packages = needed_packages(chosen, audit)
    found = python_versions() | {package: version_of(package) for package in packages}
    if r_packages is not None:
        found = found | dict(ask_r(tuple(sorted(r_packages))))
    return dict(sorted(found.items()))


R_VERSIONS = """c(
  as.character(getRversion()), basename(extSoftVersion()[["BLAS"]]),
  vapply(commandArgs(TRUE), function(package) {
    tryCatch(as.character(utils::packageVersion(package)), error = function(e) "none")
  }, "")
)"""


def installed_r_versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Versions of R, its BLAS and packages, as an R of its own says; nothing without an R."""
    names = ("R", "R_BLAS", *packages)
    return dict(zip(names, rscript.ask(R_VERSIONS, *packages)(), strict=False))
