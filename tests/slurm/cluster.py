"""A SLURM cluster of several nodes on this machine, for tests: real daemons on the loopback.

It needs the programs `slurmctld`, `slurmd`, `munged` and SLURM's commands, but no root, systemd,
cgroups or database. Every daemon runs under a guard, which ends with all that the daemon has
started as soon as its standard input is closed: by `Cluster.stop`, by `Cluster.cut_power`, or by
the kernel when the tests' process is gone, however it ended.
"""

from __future__ import annotations

import ctypes
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Self

COMMANDS = ("sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")
DAEMONS = ("munged", "slurmctld", "slurmd")
SYSTEM_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
NODE_TIMEOUT_SECONDS = 5

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def guard(command: list[str]) -> None:
    """Run a command until standard input ends, then kill it and all its descendants."""
    # Daemons' orphans become children of this process instead of init's.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    subprocess.Popen(command, stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # adopted children need no reaping
    sys.stdin.read()
    # Daemons first, so that none can report the end of what it has started.
    while children := children_of(os.getpid()):
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def children_of(pid: int) -> list[int]:
    """Processes whose parent is `pid`."""
    children = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # the name, in parentheses, may contain anything
            parent = path.read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if int(parent) == pid:
            children.append(int(path.parent.name))
    return children


def free_ports(number: int) -> list[int]:
    """Different ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_for(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait until a condition holds.

    Raises
    ------
    TimeoutError
        If it still does not after that time.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not in {seconds:.0f} s: {what}")
        time.sleep(0.1)


class Job(NamedTuple):
    """What SLURM says of a job."""

    state: str
    node: str
    limit: str
    name: str
    comment: str


class Cluster:
    """A running cluster with a partition ``main``; a context manager.

    Attributes
    ----------
    environment : dict
        What a process needs to have this cluster's commands.
    nodes : list of str
        Names of the nodes.
    """

    def __init__(self, n_nodes: int = 3, cpus: int = 4) -> None:
        absent = [name for name in DAEMONS if not shutil.which(name, path=SYSTEM_PATH)]
        if absent:
            raise FileNotFoundError(f"no {', '.join(absent)}: install what envs/apt-dev.txt lists")
        # The path of a socket has a hundred characters at most, a test's own folder can have more.
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
        self.nodes = [f"n{number}" for number in range(1, n_nodes + 1)]
        self.guards: dict[str, subprocess.Popen[bytes]] = {}
        commands = self.folder / "bin"
        self.environment = os.environ | {
            "PATH": f"{commands}:{SYSTEM_PATH}",
            "SLURM_CONF": str(self.folder / "slurm.conf"),
        }
        self._write_configuration(cpus)
        self._write_commands(commands)

    def __enter__(self) -> Self:
        munge = [f"--{name}={self.folder / 'munge'}.{name}" for name in ("socket", "pid-file")]
        munge += [f"--{name}={self.folder / 'munge'}.{name}" for name in ("log-file", "seed-file")]
        key = f"--key-file={self.folder / 'munge.key'}"
        try:
            self._start("munged", "munged", "--foreground", "--force", key, *munge)
            wait_for((self.folder / "munge.socket").exists, "munged answers")
            self._start("slurmctld", "slurmctld", "-D")
            for node in self.nodes:
                self._start(node, "slurmd", "-D", "-N", node)
            wait_for(self._is_up, "all nodes are idle")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End all daemons and jobs, and remove all files."""
        for name in [*self.nodes, "slurmctld", "munged"]:
            self._end(name)
        shutil.rmtree(self.folder)

    def cut_power(self, node: str) -> None:
        """End a node and all that runs on it at once, with no word to anybody."""
        self._end(node)

    def run(self, *command: str) -> str:
        """Run one of SLURM's commands.

        Returns
        -------
        str
            Its output.
        """
        return subprocess.run(
            command, env=self.environment, check=True, stdout=subprocess.PIPE, text=True
        ).stdout.strip()

    def jobs(self, states: str = "all") -> dict[str, Job]:
        """Jobs by their ids; the controller remembers ended ones for some minutes."""
        what = ("--noheader", f"--states={states}", "--format=%i|%T|%N|%l|%j|%k")
        rows = (line.split("|") for line in self.run("squeue", *what).splitlines())
        return {id_: Job(*fields) for id_, *fields in rows}

    def active_jobs(self) -> dict[str, Job]:
        """Jobs that have not ended yet, by their ids."""
        return self.jobs("PENDING,RUNNING,COMPLETING")

    def calls(self, command: str) -> int:
        """How many times a SLURM command was called, except by this class."""
        log = self.folder / "calls"
        return log.read_text().split().count(command) if log.exists() else 0

    def _start(self, name: str, *command: str) -> None:
        log = (self.folder / f"{name}.out").open("wb")
        with log:
            self.guards[name] = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__, *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment | {"PATH": SYSTEM_PATH},
                cwd=self.folder,
                start_new_session=True,  # Ctrl-C is for the tests, which then stop the cluster
            )

    def _end(self, name: str) -> None:
        if process := self.guards.pop(name, None):
            process.communicate()

    def _is_up(self) -> bool:
        listed = subprocess.run(
            ["sinfo", "-h", "-N", "-t", "idle", "-o", "%N"],
            env=self.environment | {"PATH": SYSTEM_PATH},
            capture_output=True,
            text=True,
        )
        return len(listed.stdout.split()) == len(self.nodes)

    def _write_commands(self, folder: Path) -> None:
        """SLURM's commands, which know their configuration and count their calls.

        Snakemake's job step drops the variable ``SLURM_CONF`` before it calls srun.
        """
        folder.mkdir()
        for name in COMMANDS:
            script = folder / name
            script.write_text(
                "#!/bin/sh\n"
                f"export SLURM_CONF={self.folder}/slurm.conf\n"
                f"echo {name} >> {self.folder}/calls\n"
                f'exec {shutil.which(name, path=SYSTEM_PATH)} "$@"\n'
            )
            script.chmod(0o755)

    def _write_configuration(self, cpus: int) -> None:
        # Processes are tracked by group: by descent, one whose parent has ended is never killed.
        host, user = socket.gethostname().partition(".")[0], getpass.getuser()
        for name in ("state", *self.nodes):
            (self.folder / name).mkdir()
        self.folder.chmod(0o755)
        key = self.folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(os.urandom(128))
        port, *node_ports = free_ports(1 + len(self.nodes))
        lines = f"""
            ClusterName=test
            SlurmctldHost={host}(127.0.0.1)
            SlurmctldPort={port}
            CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
            SlurmUser={user}
            SlurmdUser={user}
            AuthType=auth/munge
            AuthInfo=socket={self.folder}/munge.socket
            CredType=cred/munge
            StateSaveLocation={self.folder}/state
            SlurmdSpoolDir={self.folder}/%n
            SlurmctldPidFile={self.folder}/slurmctld.pid
            SlurmdPidFile={self.folder}/%n.pid
            SlurmctldLogFile={self.folder}/slurmctld.log
            SlurmdLogFile={self.folder}/%n.log
            SlurmdParameters=config_overrides
            ProctrackType=proctrack/pgid
            TaskPlugin=task/none
            JobAcctGatherType=jobacct_gather/none
            AccountingStorageType=accounting_storage/none
            SelectType=select/cons_tres
            SelectTypeParameters=CR_Core_Memory
            SchedulerType=sched/backfill
            SchedulerParameters=bf_interval=2,batch_sched_delay=0
            MpiDefault=none
            JobRequeue=0
            KillWait=2
            SlurmdTimeout={NODE_TIMEOUT_SECONDS}
            PartitionName=main Nodes=ALL Default=YES LLN=YES State=UP
        """
        size = f"CPUs={cpus} RealMemory=8000 State=UNKNOWN"
        nodes = [
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} {size}"
            for node, port in zip(self.nodes, node_ports, strict=True)
        ]
        text = "\n".join([*(line.strip() for line in lines.splitlines()), *nodes, ""])
        (self.folder / "slurm.conf").write_text(text)
        (self.folder / "cgroup.conf").write_text("CgroupAutomount=no\n")


if __name__ == "__main__":
    guard(sys.argv[1:])
