"""What can be checked of the environments without a solver: they name what the code imports."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from rmsweep import strategies
from rmsweep.config import load_study

ROOT = Path(__file__).parents[1]
ENVS = ROOT / "envs"
# module to conda package, where the two differ
CONDA = {
    "matplotlib": "matplotlib-base",
    "seaborn": "seaborn-base",
    "ruamel": "ruamel.yaml",
    "vl_convert": "vl-convert-python",
    "PIL": "pillow",
    "markupsafe": "jinja2",
}
PYPI = {
    "rpy2": "rpy2-rinterface",
    "ruamel": "ruamel.yaml",
    "vl_convert": "vl-convert-python",
    "PIL": "pillow",
}
# they come with a package that is named
WITH = {"markupsafe": "jinja2", "matplotlib": "seaborn", "scipy": "statsmodels"}
# only in a terminal, where it comes with the logger plugin
OPTIONAL = {"rich"}
DRAWING = {ROOT / "scripts" / "rmsweep" / name for name in ("figures", "report")}


def imported(paths: list[Path]) -> set[str]:
    """Top-level names of the third-party modules that files import."""
    found = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    own = {path.stem for path in (ROOT / "scripts").iterdir()}
    return found - own - set(sys.stdlib_module_names) - OPTIONAL


def locked() -> dict[str, Version]:
    """Package to version of the lock file."""
    lines = (ENVS / "requirements.lock").read_text().splitlines()
    parts = (line.split("==") for line in lines if not line.startswith("#"))
    return {name: Version(version) for name, version in parts}


def conda_packages(name: str) -> dict[str, str]:
    """Package to version constraint of a conda environment."""
    loaded = yaml.safe_load((ENVS / name).read_text())
    assert loaded["channels"][0] == "conda-forge"
    assert loaded["channels"][-1] == "nodefaults"
    lines = [line for line in loaded["dependencies"] if isinstance(line, str)]
    parts = (re.fullmatch(r"([\w.-]+) ?(.*)", line) for line in lines)
    return {part[1]: part[2] for part in parts if part}


def requirements() -> dict[str, str]:
    """Package to version constraint of the requirements file."""
    lines = (ENVS / "requirements.txt").read_text().splitlines()
    parts = (re.fullmatch(r"([\w.-]+)([=~<>]=.*)", line) for line in lines)
    return {part[1]: part[2] for part in parts if part}


def r_packages() -> set[str]:
    """What the strategies of this package need of R, as conda and Debian spell it."""
    engines = {
        name: strategies.engines(family)[0] for name, (family, _) in strategies.presets().items()
    }
    keys = {"n_groups": [10], "n_obs": [9], "n_items": 9, "n_sites": 2, "sigma": [1], "n_sims": 1}
    study = load_study(keys | {"strategies": list(engines), "engine": engines}, "s")
    needed = (strategies.packages(strategy)[1] or () for strategy in study.strategies)
    return {name.lower() for names in needed for name in names}


ALL = sorted((ROOT / "scripts").rglob("*.py"))
# jobs need neither what starts Snakemake nor, but for one, what draws
OF_JOBS = [path for path in ALL if path.name != "resume.py"]
WITH_FIGURES = ("draw.py", "render_report.py", "document_gallery.py")
WITHOUT_FIGURES = [
    path
    for path in OF_JOBS
    if not DRAWING.intersection(path.parents) and path.name not in WITH_FIGURES
]


def test_the_fitting_environment_has_all_that_fitting_imports() -> None:
    needed = {CONDA.get(name, name) for name in imported(WITHOUT_FIGURES)}
    assert needed <= set(conda_packages("fit.yaml"))
    assert {"r-base", *(f"r-{name}" for name in r_packages())} <= set(conda_packages("fit.yaml"))


def test_the_distribution_s_packages_have_all_that_strategies_need_of_r() -> None:
    assert {f"r-cran-{name}" for name in r_packages()} <= set(
        (ENVS / "apt.txt").read_text().splitlines()
    )


def test_the_report_environment_has_all_that_merging_and_drawing_import() -> None:
    needed = {CONDA.get(name, name) for name in imported(OF_JOBS)} - {"rpy2"}
    assert needed <= set(conda_packages("report.yaml"))


def test_the_whole_environment_has_both_and_snakemake() -> None:
    whole = set(conda_packages("environment.yaml"))
    assert set(conda_packages("fit.yaml")) <= whole
    assert set(conda_packages("report.yaml")) <= whole
    assert "snakemake-minimal" in whole


def test_the_requirements_have_all_that_is_imported() -> None:
    needed = {PYPI.get(WITH.get(name, name), WITH.get(name, name)) for name in imported(ALL)}
    assert needed <= set(requirements())


def test_the_lock_has_versions_that_are_required() -> None:
    found = locked()
    for package, version in requirements().items():
        assert found[package.lower()] in SpecifierSet(version), package


@pytest.mark.parametrize("name", ["fit.yaml", "report.yaml", "environment.yaml"])
def test_versions_are_the_same_everywhere(name: str) -> None:
    pinned = requirements()
    for package, version in conda_packages(name).items():
        plain = package.removesuffix("-base").removesuffix("-minimal")
        here = pinned.get({v: k for k, v in CONDA.items()}.get(package, plain))
        if here and version:
            assert here.startswith(f"~{version}"), f"{package}: {version} and {here}"


def test_every_rule_names_an_environment_that_exists() -> None:
    for rules in (ROOT / "workflow" / "rules").glob("*.smk"):
        text = rules.read_text()
        named = re.findall(r'conda:\s+environment\("([^"]+)"\)', text)
        assert len(named) == len(
            re.findall(r"^ *(?:rule|checkpoint)\b[^\n]*:$", text, flags=re.MULTILINE)
        )
        assert len(named) == len(re.findall(r"^ +log:", text, flags=re.MULTILINE))
        for name in named:
            assert (ENVS / name).is_file()
