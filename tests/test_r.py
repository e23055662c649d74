"""R inside this process: what its user's start-up files may say, and what it can't load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rmsweep import rscript
from rmsweep.config import condition
from rmsweep.data.scenario import simulate
from rmsweep.sweep.provenance import installed_r_versions

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PROFILE = """
cat("Good morning\\n")
message("and good luck")
.libPaths(c("~/by-profile", .libPaths()))
setwd("~/elsewhere")
options(contrasts = c("contr.sum", "contr.poly"), digits = 3, OutDec = ",", na.action = "na.fail")
options(warn = 2)
Sys.setenv(OMP_NUM_THREADS = "2", R_DEFAULT_PACKAGES = "base")
suppressWarnings(RNGkind("Marsaglia-Multicarry", sample.kind = "Rounding"))
attach(list(vcov = function(...) stop("masked")))
lmer <- cat <- writeLines <- c <- lm <- function(...) stop("masked")
.First <- function() base::cat("Good afternoon\\n")
.Last <- function() base::cat("Good night\\n")
"""
# depends on contrasts, digits, the search path and the working folder
STRATEGY = """
fit <- function(data, formula, group) {
  data$half <- factor(rep_len(c("a", "b"), nrow(data)))
  model <- lm(update(formula, . ~ . + half), data)
  estimate <- coef(model)[1:4] + as.numeric(format(pi)) + file.exists("data.csv")
  data.frame(term = names(estimate), estimate = estimate, se = sqrt(diag(vcov(model)))[1:4], df = 9)
}
"""
LOOK = """
import json, sys
sys.path.insert(0, "scripts")
from rmsweep import r
from rmsweep.sweep.provenance import installed_r_versions

inside = r.start().evalr
print(json.dumps({
    "libraries": list(inside(".libPaths()")),
    "objects": list(inside("ls(globalenv(), all.names = TRUE)")),
    "digits": inside("getOption('digits')")[0],
    "search": list(inside("search()")),
    "folder": inside("getwd()")[0],
    "versions": [ask(("lme4", "shell")) for ask in (r.versions, installed_r_versions)],
}))
"""
BROKEN = f"""
import sys
sys.path.insert(0, {str(ROOT / "scripts")!r})
from rmsweep import r
try:
    r.load(sys.argv[1])
except r.BrokenEnvironmentError as error:
    print(error)
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home of a user with start-up files of R, and with a package that is an empty shell."""
    home = tmp_path / "home"
    for name in ("by-profile/shell", "by-environment", "elsewhere"):
        (home / name).mkdir(parents=True)
    (home / ".Rprofile").write_text(PROFILE)
    (home / ".Renviron").write_text("R_LIBS_USER=~/by-environment\n")
    shell = home / "by-profile" / "shell" / "DESCRIPTION"
    shell.write_text("Package: shell\nVersion: 3.1\n")
    return home


def run(*command: str, **options: object) -> str:
    ended = subprocess.run([sys.executable, *command], check=True, capture_output=True, **options)
    return ended.stdout.decode()


def test_a_users_profile_changes_neither_numbers_nor_output(home: Path, tmp_path: Path) -> None:
    data = simulate(0, condition(n_groups=10, n_obs=8, sigma=0.5), 0).data.to_frame()
    data.to_csv(tmp_path / "data.csv", index=False)
    (tmp_path / "mine.R").write_text(STRATEGY)
    script = str(ROOT / "scripts" / "fit_table.py")
    command = [script, "data.csv", "--formula", "DV ~ IV1 + IV2 + IV3", "--group", "Group"]
    command += ["--json", "--strategies", "lmer", "lmer_mis", "mine.R"]
    without = run(*command, cwd=tmp_path)
    assert [row["status"] for row in json.loads(without)][-1] == "ok"
    assert run(*command, cwd=tmp_path, env=os.environ | {"HOME": str(home)}) == without


def test_of_a_profile_the_library_paths_count(home: Path) -> None:
    plain = json.loads(run("-c", LOOK, cwd=ROOT))
    found = json.loads(run("-c", LOOK, cwd=ROOT, env=os.environ | {"HOME": str(home)}))
    added = [str(home / name) for name in ("by-profile", "by-environment")]
    assert found.pop("libraries") == [*added, *plain.pop("libraries")]
    # the judge, which asks an R of its own, sees the same packages
    inside, outside = found.pop("versions")
    assert inside == outside
    assert inside["shell"] == "3.1"
    plain.pop("versions")
    assert found == plain


def test_a_profile_that_ends_r_is_left_out(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("R_HOME", raising=False)
    expected = installed_r_versions(("lme4",))
    assert set(expected) == {"R", "R_BLAS", "lme4"}
    monkeypatch.setenv("HOME", str(home))
    for last_words in ("quit(status = 1)", "stop('not here')", "sink('elsewhere')"):
        (home / ".Rprofile").write_text(last_words)
        assert installed_r_versions(("lme4",)) == expected


def test_without_an_r_there_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("R_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    assert rscript.ask("letters")() == []


@pytest.mark.parametrize(
    ("package", "words"),
    [
        ("absent", "R has no package absent: run `make setup`, or in R: install.packages"),
        ("shell", "R has the package shell, but can't load it: package ‘shell’ does not have"),
    ],
)
def test_a_package_that_is_not_there_is_told_from_one_that_cannot_be_loaded(
    package: str, words: str, home: Path
) -> None:
    env = os.environ | {"R_LIBS": str(home / "by-profile")}
    (line,) = run("-c", BROKEN, package, env=env).splitlines()
    assert line.startswith(words)
