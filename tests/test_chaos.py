"""Whatever ends a run, the same command goes on and the tables come out the same."""

from __future__ import annotations

import contextlib
import os
import random
import re
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from conftest import Checkout

pytestmark = pytest.mark.slow

STUDY = {"strategies": ["lm", "slow", "lm2"], "n_sims": 24}
N_CELLS = 48
SMALL_DISK = "96k"
"""Room for a few shards."""
SMALL_FILE = 8192
"""Bytes; fewer than a shard has, more than a job's log."""


def prepare(checkout: Checkout) -> str:
    """Write the study, whose fits are slow enough to be killed and cheap otherwise."""
    checkout.write_strategy("slow", "__import__('time').sleep(0.1)")
    return checkout.write_study(**STUDY)


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, make_checkout: Callable[[Path], Checkout]
) -> Checkout:
    """Give a checkout in which the study ran to its end."""
    checkout = make_checkout(tmp_path_factory.mktemp("undisturbed"))
    checkout.sweep(prepare(checkout))
    checkout.close()
    return checkout


class Run:
    """A study that is run again and again, with what it says in a file."""

    def __init__(self, checkout: Checkout, *arguments: str, **options: object) -> None:
        self.checkout = checkout
        self.study = prepare(checkout)
        self.command = ["--cores", "2", "--configfile", self.study, *arguments]
        self.command += ["--", "results/tiny/fits.parquet"]
        self.said = checkout.root / "said"
        self.start(**options)

    def start(self, **options: object) -> None:
        """Give the command that a user would give."""
        with self.said.open("a") as file:
            self.process = self.checkout.start(*self.command, stdout=file, **options)

    def alive(self) -> bool:
        return self.process.poll() is None

    def targets(self, what: str) -> list[int]:
        """List the processes of a kind."""
        running = self.checkout.processes()
        workers = {pid for pid, command in running.items() if "rmsweep/worker.py" in command}
        forks = {pid for pid in workers if parent(pid) in workers}
        return {
            "snakemake": [self.process.pid],
            "group": [-self.process.pid],
            "worker": sorted(workers - forks),
            "fit": sorted(forks),
            "client": [pid for pid, command in running.items() if "-S" in command.split()],
            "merge": [pid for pid, command in running.items() if "merge_shards.py" in command],
        }[what]

    def strike(self, what: str, n_shards: int, delay: float) -> int:
        """Kill, once so many shards are there; give the number of processes."""
        self.checkout.until(lambda: len(self.checkout.shards()) >= n_shards or not self.alive())
        time.sleep(delay)
        self.checkout.until(lambda: self.targets(what) or not self.alive())
        killed = 0
        for pid in self.targets(what) if self.alive() else []:
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if pid < 0 else os.kill)(abs(pid), signal.SIGKILL)
                killed += 1
        return killed

    def unlock(self) -> None:
        """Give the command that a killed Snakemake makes necessary."""
        self.process.wait()
        self.checkout.snakemake("--unlock", "--configfile", self.study)


def parent(pid: int) -> int:
    """Give a process's parent; 0 if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def test_killed_at_random_moments(checkout: Checkout, undisturbed: Checkout) -> None:
    rng = random.Random(20)
    kinds = ["snakemake", "group", "worker", "fit", "client"] * 2
    rng.shuffle(kinds)
    # the last ones leave enough of the work to be hit
    moments = sorted(rng.randrange(N_CELLS - 12) for _ in kinds)
    strikes = [*zip(kinds, moments, strict=True), ("merge", N_CELLS), ("group", N_CELLS)]
    run = Run(checkout)
    killed = []
    for what, moment in strikes:
        if not run.alive():
            run.start()
        killed.append(run.strike(what, moment, rng.uniform(0.0, 0.3)))
        if what in ("snakemake", "group"):
            run.unlock()
    run.process.wait()
    checkout.until(
        lambda: all("rmsweep/worker.py" in text for text in checkout.processes().values())
    )
    checkout.snakemake(*run.command)
    assert len(killed) == 12
    assert sum(map(bool, killed)) >= 10, killed
    assert checkout.digests() == undisturbed.digests()


def test_killed_run_leaves_a_lock_that_says_what_to_do(checkout: Checkout) -> None:
    run = Run(checkout)
    assert run.strike("snakemake", 1, 0.0)
    run.process.wait()
    assert "--unlock" in checkout.snakemake(*run.command, check=False)


def test_second_run_is_refused(checkout: Checkout, undisturbed: Checkout) -> None:
    run = Run(checkout)
    checkout.until(checkout.shards)
    output = checkout.snakemake(*run.command, check=False)
    assert "Directory cannot be locked" in output
    assert run.process.wait() == 0
    assert checkout.digests() == undisturbed.digests()


def test_planted_shards_are_named_and_redone(undisturbed: Checkout, tmp_path: Path) -> None:
    checkout = undisturbed.copy(tmp_path / "checkout")
    truncated, empty, foreign, other = checkout.shards()[3:7]
    truncated.write_bytes(truncated.read_bytes()[:-1])
    empty.write_bytes(b"")
    foreign.write_bytes(other.read_bytes())
    study = prepare(checkout)
    output = checkout.sweep(study, check=False)
    # what can't be read is seen at once; what is whole, but of another cell, when it is merged
    assert re.search(r"fit_cell +2\n", output)
    foreign_name = foreign.relative_to(checkout.results() / "cells")
    assert "nothing merged, shards are not as planned: 1 damaged: " + str(foreign_name) in output
    output = checkout.sweep(study)
    assert re.search(r"fit_cell +1\n", output)
    assert checkout.digests() == undisturbed.digests()
    checkout.close()


@pytest.fixture
def small_disk(checkout: Checkout) -> Iterator[Disk]:
    disk = Disk(checkout.results().parent)
    yield disk
    disk.close()


class Disk:
    """A disk that is soon full: a small tmpfs or, without the right to mount, a file size limit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.mounted = self.mount(f"size={SMALL_DISK}")

    def mount(self, options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)]
        with contextlib.suppress(FileNotFoundError):
            return subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0
        return False

    def options(self) -> dict[str, object]:
        """Give what a process has to be started with to feel it."""
        limits = SMALL_FILE, resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, limits)
        return {} if self.mounted else {"preexec_fn": limit}

    def close(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


def test_full_disk(checkout: Checkout, undisturbed: Checkout, small_disk: Disk) -> None:
    run = Run(checkout, "--retries", "0", **small_disk.options())
    assert run.process.wait() == 1
    said = run.said.read_text()
    assert re.search("error: .*(No space left on device|File too large)", said), said
    assert len(checkout.shards()) < N_CELLS
    for path in checkout.shards():
        assert len(pq.read_table(path)) == len(STUDY["strategies"])
    assert not (checkout.results() / "fits.parquet").exists()
    if small_disk.mounted:
        assert small_disk.mount("remount,size=100m")
    checkout.snakemake(*run.command)
    assert checkout.digests() == undisturbed.digests()
