"""The set-up on machines that are made up: what it does, and what it says where it can't."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from checkout import ROOT
from rmsweep.config import read_study

ENVS = ROOT / "envs"
TOOLS = ("cat", "dirname", "grep", "mkdir", "rm", "sed", "sh", "tr")
PACKAGES = (ENVS / "apt.txt").read_text().split()
ONES_OF_R = "lme4 lmerTest nlme pbkrtest clubSandwich plm metafor geepack"

# makes the folder; stops in the middle if it is told to
CONDA = """#!/bin/sh
echo "$@" >> "$ASKED"
[ "$2" = update ] && exit
[ -e "$6" ] && exit 17
mkdir -p "$5/bin" && echo '#!/bin/sh' > "$5/bin/python" && /bin/chmod +x "$5/bin/python"
[ ! -e "$BREAK" ]
"""
# as an R that has the packages of $HAS
RSCRIPT = """#!/bin/sh
shift 2
for package; do case " $HAS " in *" $package "*) ;; *) printf '%s ' "$package" ;; esac; done
"""
PYTHON = """#!/bin/sh
case $1 in
  -c) exit {old} ;;
  -V) echo "Python 3.9.2" ;;
  -m)
    mkdir -p "$3/bin"
    echo 'exec /bin/true' > "$3/bin/python"
    /bin/chmod +x "$3/bin/python" ;;
esac
"""


class Machine:
    """A machine with few programs, and an account without rights.

    Parameters
    ----------
    folder : Path
        For the programs, and a copy of `envs`.
    """

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.programs = folder / "bin"
        self.programs.mkdir()
        shutil.copytree(ENVS, self.project / "envs")
        for tool in TOOLS:
            (self.programs / tool).symlink_to(str(shutil.which(tool)))
        self.add("id", "#!/bin/sh\necho 1000\n")
        self.asked = folder / "asked"
        self.broken = folder / "break"
        self.variables = {"HAS": ""}

    def add(self, name: str, text: str) -> None:
        """Add a program."""
        (self.programs / name).write_text(text)
        (self.programs / name).chmod(0o755)

    def set_up(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Set the environment up."""
        paths = {"PATH": self.programs, "ASKED": self.asked, "BREAK": self.broken}
        return subprocess.run(
            ["envs/setup.sh", ".env", *words],
            cwd=self.project,
            env={name: str(path) for name, path in paths.items()} | self.variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_without_rights_on_debian(machine: Machine) -> None:
    machine.add("dpkg-query", "#!/bin/sh\n[ $4 = r-cran-plm ] && echo 'install ok installed'\n")
    machine.add("apt-get", "#!/bin/sh\nexit 99\n")
    failed = machine.set_up()
    assert failed.returncode == 1
    packages = " ".join(package for package in PACKAGES if package != "r-cran-plm")
    assert failed.stderr.splitlines() == [
        "error: missing: R. There is no conda, and no right to install packages of the system.",
        "Ask the administrator for",
        f"    apt-get install {packages} ",
        "or install conda in your home (https://conda-forge.org/download), which needs no rights.",
        "Then call `make setup` again.",
    ]


@pytest.mark.parametrize("has", ["", "lme4 lmerTest"])
def test_without_rights_elsewhere(machine: Machine, has: str) -> None:
    asked = f"R 4.2 or later with its headers, a C compiler, and these packages of R: {ONES_OF_R}"
    if has:
        machine.variables["HAS"] = has
        machine.add("Rscript", RSCRIPT)
        asked = "these packages of R: nlme pbkrtest clubSandwich plm metafor geepack "
    failed = machine.set_up()
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[1:3] == ["Ask the administrator for", f"    {asked}"]


def test_without_rights_where_r_has_all(machine: Machine) -> None:
    machine.variables["HAS"] = ONES_OF_R
    machine.add("Rscript", RSCRIPT)
    machine.add("python3", PYTHON.format(old=1))
    machine.add("python3.12", PYTHON.format(old=0))
    ended = machine.set_up()
    assert ended.returncode == 0, ended.stderr
    assert "== python3.12 makes .env\n" in ended.stderr
    assert ended.stderr.endswith("== .env is complete\n")
    (machine.programs / "python3.12").unlink()
    shutil.rmtree(machine.project / ".env")
    failed = machine.set_up()
    assert failed.returncode == 1
    assert (
        "error: Python: Python 3.9.2 is not enough; allowed: Python 3.11 to 3.14" in failed.stderr
    )


def test_a_half_made_environment_is_made_anew(machine: Machine) -> None:
    machine.add("conda", CONDA)
    machine.broken.touch()
    assert machine.set_up().returncode == 1
    assert (machine.project / ".env" / "bin" / "python").exists()
    machine.broken.unlink()
    (machine.project / ".env" / "of the first").touch()
    ended = machine.set_up()
    assert ended.returncode == 0, ended.stderr
    assert "== removing .env, which was half made\n" in ended.stderr
    assert not (machine.project / ".env" / "of the first").exists()
    # what is whole is brought up to date
    assert machine.set_up().returncode == 0
    calls = [line.split()[1] for line in machine.asked.read_text().splitlines()]
    assert calls == ["create", "create", "update"]


def test_the_set_up_knows_the_packages_of_r() -> None:
    assert f'r_packages="{ONES_OF_R}"\n' in (ENVS / "setup.sh").read_text()
    of_debian = {name.removeprefix("r-cran-") for name in PACKAGES if name.startswith("r-cran-")}
    assert of_debian == set(ONES_OF_R.lower().split())


def test_an_older_python_says_so_in_one_line() -> None:
    code = "import sys; sys.version_info = (3, 9, 2); from rmsweep import cli"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: Python 3.9 is not allowed; allowed: 3.11 to 3.14")
    assert ended.stderr.count("\n") == 1


def test_citation_and_catalogue_are_whole() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors", "license"} <= cited.keys()
    titles = " ".join(work["title"] for work in cited["references"])
    for name in ("Comparing common analysis strategies", "lme4", "lmerTest", "statsmodels"):
        assert name in titles
    for work in cited["references"]:
        assert {"type", "title", "authors"} <= work.keys()
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["software-stack-deployment"] == {"conda": True}
    assert (ROOT / "workflow" / "Snakefile").is_file()
    assert read_study(str(ROOT / ".test" / "config" / "config.yaml")).n_datasets == 3
    assert (ROOT / "config" / "README.md").is_file()
