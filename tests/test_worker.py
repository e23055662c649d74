"""The persistent worker: what a job does by it, it would have done without it.

Each test has a checkout of its own, with the real client and worker and a small script.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
DEADLINE = 60.0
"""Seconds after which a test gives up; nothing takes nearly as long."""

SCRIPT = """
import json, os, signal, subprocess, sys, time
from pathlib import Path
from rmsweep import library, worker

os.environ["SET_BY_LOADING"] = "1"
HERE = Path(__file__).parent

def warm_up():
    with (HERE / "warm-ups").open("a") as file:
        print(os.getpid(), file=file)
    time.sleep(0.1)

def wait():
    null = dict.fromkeys(("stdout", "stderr"), subprocess.DEVNULL)
    grandchild = subprocess.Popen(["sleep", "60"], **null)
    (HERE / f"running-{os.getpid()}").write_text(f"{grandchild.pid}")
    while not (HERE / "go").exists():
        time.sleep(0.01)
    grandchild.kill()
    grandchild.wait()

def main():
    task, *arguments = sys.argv[1:]
    if task == "report":
        umask = os.umask(0)
        print(json.dumps([sys.argv, os.getcwd(), dict(os.environ), umask, sys.stdin.read()]))
        print(__name__, __file__, sys.stdout.encoding, sys.stdout.line_buffering)
        print("error", file=sys.stderr)
        print("unterminated", end="")
        subprocess.run(["env"])
    elif task == "raise":
        raise ValueError(*arguments)
    elif task == "exit":
        sys.exit(eval(arguments[0]))
    elif task == "vanish":
        os._exit(int(arguments[0]))
    elif task == "signal":
        os.kill(os.getpid(), int(arguments[0]))
    else:
        if task == "wait":
            wait()
        size = len("".join([*arguments, *os.environ.values()]))
        answer = {"warm": worker.warm, "parent": os.getppid(), "value": library.VALUE}
        answer["pid"] = os.getpid()
        print(json.dumps(answer | {"size": size}))

if __name__ == "__main__":
    raise SystemExit(main())
"""


def running(pid: int) -> bool:
    """Say whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class Checkout:
    """A small checkout, the folder of its workers, and its processes."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root
        self.folder = folder
        self.scripts = root / "scripts"
        self.clients: list[subprocess.Popen[str]] = []
        self.env = {
            **os.environ,
            "PYTHONDONTWRITEBYTECODE": "1",  # Python itself overlooks edits within a second
            "PYTHONUNBUFFERED": "",
            "RMSWEEP_WORKER_DIR": str(folder),
        }
        (self.scripts / "rmsweep").mkdir(parents=True)
        shutil.copy(SCRIPTS / "warm.py", self.scripts)
        shutil.copy(SCRIPTS / "rmsweep" / "worker.py", self.scripts / "rmsweep")
        (self.scripts / "rmsweep" / "library.py").write_text("VALUE = 1\n")
        (self.scripts / "job.py").write_text(SCRIPT)

    def start(
        self, *arguments: str, warm: bool = True, script: str = "scripts/job.py", **options: object
    ) -> subprocess.Popen[str]:
        """Start a job as the rules do, with the worker or without it."""
        prefix = ["-I", "-S", "scripts/warm.py"] if warm else []
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        settings = {"cwd": self.root, "env": self.env, "text": True, **pipes, **options}
        if "preexec_fn" not in settings:
            # Where the tests run in the background of a shell, interrupts are ignored.
            settings["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
        client = subprocess.Popen([sys.executable, *prefix, script, *arguments], **settings)
        self.clients.append(client)
        return client

    def run(
        self, *arguments: str, text: str | None = None, **options: object
    ) -> tuple[int, str, str]:
        """Return exit code, standard output and standard error."""
        client = self.start(*arguments, **options)
        output, errors = client.communicate(text, timeout=DEADLINE)
        return client.returncode, output, errors

    def ask(self, *arguments: str, **options: object) -> dict[str, int]:
        """Return what a job says of itself."""
        code, output, errors = self.run(*(arguments or ("tell",)), **options)
        assert (code, errors) == (0, "")
        return json.loads(output)

    def processes(self) -> list[int]:
        """List the checkout's workers and their children."""
        found = []
        for process in Path("/proc").iterdir():
            try:
                command = (process / "cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
                continue
            if os.fsencode(self.scripts / "rmsweep" / "worker.py") in command:
                found.append(int(process.name))
        return found

    def jobs(self) -> dict[int, int]:
        """List waiting jobs, each with the child it has started."""
        files = [file for file in self.scripts.glob("running-*") if file.read_text()]
        return {int(file.name.partition("-")[2]): int(file.read_text()) for file in files}

    def close(self) -> None:
        """End every process of the checkout."""
        for client in self.clients:
            client.kill()
            client.communicate()
        for pid in [*self.processes(), *self.jobs().values()]:
            if running(pid):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give workers a folder with a short name: sockets' addresses are limited to 108 bytes."""
    with tempfile.TemporaryDirectory(prefix="rmsweep") as folder:
        yield Path(folder)


@pytest.fixture
def checkout(tmp_path: Path, folder: Path) -> Iterator[Checkout]:
    checkout = Checkout(tmp_path / "a checkout", folder)
    yield checkout
    checkout.close()


def inside(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", "", "naïve", "--flag=a b"),
        ("raise", "reason"),
        *(("exit", value) for value in ("None", "0", "3", "-1", "'a message'", "True")),
        ("signal", "9"),
        ("signal", "11"),
        ("signal", "15"),
    ],
)
def test_job_is_the_same_cold_and_warm(checkout: Checkout, arguments: tuple[str, ...]) -> None:
    checkout.env["SOME_VARIABLE"] = "some\nvalue"
    checkout.ask()
    checkout.env["ONLY_LATER"] = "1"
    results = [checkout.run(*arguments, warm=w, text="input\n", umask=0o27) for w in (True, False)]
    assert results[0] == results[1]
    assert len(checkout.processes()) == 1


def test_output_that_cannot_be_written_fails_the_job(checkout: Checkout) -> None:
    for warm in (True, False):
        with Path("/dev/full").open("w") as full:
            assert checkout.run("tell", warm=warm, stdout=full)[0] == 120


def test_closed_streams_are_no_worse_than_cold(checkout: Checkout) -> None:
    command = f'"{sys.executable}" -I -S scripts/warm.py scripts/job.py tell <&- 2>&-'
    shell = {"cwd": checkout.root, "env": checkout.env, "timeout": DEADLINE, "check": True}
    output = subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, **shell).stdout
    assert not json.loads(output)["warm"]


def test_large_requests_pass(checkout: Checkout) -> None:
    checkout.env["LARGE"] = "e" * 100_000
    answer = checkout.ask("tell", "a" * 100_000)
    assert answer["warm"]
    assert answer["size"] > 200_000


def test_simultaneous_first_callers_start_one_worker(checkout: Checkout) -> None:
    clients = [checkout.start("tell") for _ in range(8)]
    answers = [json.loads(client.communicate(timeout=DEADLINE)[0]) for client in clients]
    assert all(answer["warm"] for answer in answers)
    (worker,) = {answer["parent"] for answer in answers}
    assert (checkout.scripts / "warm-ups").read_text() == f"{worker}\n"
    assert checkout.ask()["parent"] == worker


def test_worker_holds_nothing_of_its_first_caller(checkout: Checkout) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader) as pipe:
        client = checkout.start("tell", stdout=writer, stderr=writer, pass_fds=[writer])
        os.close(writer)
        assert json.loads(pipe.read())["warm"]  # ends only when nobody can write any more
    assert client.wait(DEADLINE) == 0
    assert checkout.processes()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_caller_takes_its_job_with_it(checkout: Checkout, number: int) -> None:
    client = checkout.start("wait")
    until(checkout.jobs)
    ((job, grandchild),) = checkout.jobs().items()
    client.send_signal(number)
    assert client.wait(DEADLINE) == -number
    until(lambda: not running(job) and not running(grandchild))
    (worker,) = checkout.processes()
    assert checkout.ask()["parent"] == worker


def test_killed_worker_costs_no_result(checkout: Checkout) -> None:
    clients = [checkout.start("wait") for _ in range(2)]
    until(lambda: len(checkout.jobs()) == 2)
    first = checkout.jobs()
    os.kill(int((checkout.scripts / "warm-ups").read_text()), signal.SIGKILL)
    until(lambda: len(checkout.jobs()) == 4)
    assert not any(map(running, first))
    (checkout.scripts / "go").touch()
    for client in clients:
        assert not json.loads(client.communicate(timeout=DEADLINE)[0])["warm"]
    assert checkout.ask()["warm"]  # by the next worker, in spite of the socket left behind
    for grandchild in first.values():
        os.kill(grandchild, signal.SIGKILL)


def test_crash_costs_one_job(checkout: Checkout) -> None:
    other = checkout.start("wait")
    until(checkout.jobs)
    assert checkout.run("signal", str(signal.SIGSEGV.value))[0] == -signal.SIGSEGV
    (checkout.scripts / "go").touch()
    assert json.loads(other.communicate(timeout=DEADLINE)[0])["warm"]
    assert (checkout.scripts / "warm-ups").read_text().count("\n") == 1


@pytest.mark.parametrize(
    ("task", "number", "said"),
    [
        (
            "vanish",
            3,
            "error: the job ended with exit code 3, perhaps by os._exit; it said nothing",
        ),
        (
            "signal",
            9,
            "error: the job was killed by signal 9, perhaps for lack of memory; it said n",
        ),
        ("raise", "why", "Traceback"),
        ("exit", 0, ""),
    ],
)
def test_no_log_of_a_failed_job_is_empty(
    checkout: Checkout, task: str, number: object, said: str
) -> None:
    log = checkout.root / "log"
    with log.open("w") as file:
        checkout.run(task, str(number), stdout=file, stderr=file)
    assert log.read_text()[: len(said) or None].startswith(said)
    assert ("it said nothing" in log.read_text()) == (task in ("vanish", "signal"))


@pytest.mark.parametrize("name", ["job.py", "rmsweep/library.py"])
def test_edited_code_is_never_run_by_an_old_worker(checkout: Checkout, name: str) -> None:
    job = checkout.scripts / "job.py"
    job.write_text(job.read_text().replace("library.VALUE", "(library.VALUE, 1)"))
    assert checkout.ask()["value"] == [1, 1]
    file = checkout.scripts / name
    times = file.stat()
    old, new = ("library.VALUE, 1", "library.VALUE, 2") if name == "job.py" else ("1", "2")
    file.write_text(file.read_text().replace(old, new))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))  # and its size is the same
    answer = checkout.ask()
    assert answer["value"] == ([1, 2] if name == "job.py" else [2, 1])
    assert answer["warm"]


@pytest.mark.parametrize("change", ["variable", "folder", "script", "priority"])
def test_worker_is_not_shared_where_it_would_have_started_differently(
    checkout: Checkout, change: str
) -> None:
    first = checkout.ask()["parent"]
    if change == "variable":
        checkout.env["R_LIBS_USER"] = "elsewhere"
        second = checkout.ask()
    elif change == "folder":
        (checkout.root / "below").mkdir()
        (checkout.root / "below" / "scripts").symlink_to(checkout.scripts)
        second = checkout.ask(cwd=checkout.root / "below")
    elif change == "script":
        shutil.copy(checkout.scripts / "job.py", checkout.scripts / "other.py")
        second = checkout.ask(script="scripts/other.py")
    else:
        second = checkout.ask(preexec_fn=lambda: os.nice(1))
    assert second["warm"]
    assert second["parent"] != first


def test_checkouts_do_not_share_a_worker(checkout: Checkout, tmp_path: Path) -> None:
    other = Checkout(tmp_path / "another", checkout.folder)
    try:
        (other.scripts / "rmsweep" / "library.py").write_text("VALUE = 2\n")
        answers = [checkout.ask(), other.ask()]
        assert [answer["value"] for answer in answers] == [1, 2]
        assert all(answer["warm"] for answer in answers)
    finally:
        other.close()


@pytest.mark.parametrize("starter", ["ends", "is killed"])
def test_idle_worker_ends_and_leaves_nothing(checkout: Checkout, starter: str) -> None:
    checkout.env["RMSWEEP_WORKER_IDLE"] = "0.2"
    if starter == "ends":
        assert checkout.ask()["warm"]
    else:
        client = checkout.start("wait")
        until(checkout.jobs)
        client.kill()
    until(lambda: not checkout.processes())
    assert inside(checkout.folder) == []
    assert checkout.ask()["warm"]


@pytest.mark.parametrize("when", ["before the job", "during the job"])
def test_callers_of_a_stopped_worker_do_the_work_themselves(checkout: Checkout, when: str) -> None:
    checkout.env["RMSWEEP_WORKER_PATIENCE"] = "1"
    worker = checkout.ask()["parent"]
    if when == "during the job":
        client = checkout.start("wait")
        until(lambda: list(checkout.scripts.glob("running-*")))
        os.kill(worker, signal.SIGSTOP)
        (checkout.scripts / "go").touch()
    else:
        os.kill(worker, signal.SIGSTOP)
        client = checkout.start("tell")
    answer = json.loads(client.communicate(timeout=DEADLINE)[0].splitlines()[-1])
    assert not answer["warm"]
    os.kill(worker, signal.SIGCONT)
    assert checkout.ask()["parent"] == worker


def test_a_long_job_hears_that_its_worker_is_alive(checkout: Checkout) -> None:
    checkout.env["RMSWEEP_WORKER_PATIENCE"] = "0.6"
    worker = checkout.ask()["parent"]
    client = checkout.start("wait")
    until(lambda: list(checkout.scripts.glob("running-*")))
    time.sleep(2)
    (checkout.scripts / "go").touch()
    answer = json.loads(client.communicate(timeout=DEADLINE)[0])
    assert answer["warm"]
    assert answer["parent"] == worker


def test_terminated_worker_leaves_nothing(checkout: Checkout) -> None:
    os.kill(checkout.ask()["parent"], signal.SIGTERM)
    until(lambda: not checkout.processes())
    assert inside(checkout.folder) == []


@pytest.mark.parametrize("fault", ["others may enter", "link", "foreign", "file", "no parent"])
def test_folder_that_is_not_private_is_refused(
    checkout: Checkout, tmp_path: Path, fault: str
) -> None:
    folder = tmp_path / "workers"
    if fault == "no parent":
        folder = folder / "folder"
    elif fault == "link":
        folder.symlink_to(checkout.folder)
    elif fault == "file":
        folder.touch()
    elif fault == "foreign" and os.getuid() != 0:
        folder = Path("/")
    else:
        folder.mkdir()
        folder.chmod(0o711 if fault == "others may enter" else 0o700)
        if fault == "foreign":
            os.chown(folder, 65534, 65534)
    checkout.env["RMSWEEP_WORKER_DIR"] = str(folder)
    assert not checkout.ask()["warm"]
    assert checkout.processes() == []
    assert inside(checkout.folder) == []


@pytest.mark.parametrize("fault", ["raise RuntimeError('reason')", "sys.exit(0)", "os._exit(0)"])
def test_worker_that_cannot_load_leaves_the_work_to_its_callers(
    checkout: Checkout, fault: str
) -> None:
    job = checkout.scripts / "job.py"
    job.write_text(job.read_text().replace("time.sleep(0.1)", fault))
    clients = [checkout.start("exit", "'own error'") for _ in range(3)]
    for client in clients:
        assert client.communicate(timeout=DEADLINE) == ("", "own error\n")
        assert client.returncode == 1
    until(lambda: not checkout.processes())
    logs = [file.read_text() for file in checkout.folder.rglob("log")]
    assert any("reason" in log for log in logs) == ("reason" in fault)


def test_script_of_another_folder_runs_cold(checkout: Checkout, tmp_path: Path) -> None:
    script = tmp_path / "elsewhere.py"
    script.write_text("print('elsewhere')")
    assert checkout.run("tell", script=str(script)) == (0, "elsewhere\n", "")
    assert checkout.processes() == []


@pytest.mark.parametrize("sent", [b"", b"\0", b"\0garbage", b"\0(\x04\0\0\0"])
def test_malformed_request_costs_the_others_nothing(checkout: Checkout, sent: bytes) -> None:
    worker = checkout.ask()["parent"]
    (address,) = checkout.folder.glob("*/socket")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(address))
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answer:
            status = int.from_bytes(answer.read()[-2:], "big")
    assert os.waitstatus_to_exitcode(status) == 1
    assert checkout.ask()["parent"] == worker


def test_worker_leaks_neither_descriptors_nor_processes(checkout: Checkout) -> None:
    worker = checkout.ask()["parent"]

    def descriptors() -> int:
        return len(list(Path(f"/proc/{worker}/fd").iterdir()))

    until(lambda: checkout.processes() == [worker])
    before = descriptors()
    for _ in range(25):
        for client in [checkout.start("tell") for _ in range(4)]:
            assert json.loads(client.communicate(timeout=DEADLINE)[0])["parent"] == worker
    # The last client may be ahead of the worker's housekeeping, as the first one may have been.
    until(lambda: descriptors() <= before)
    assert Path(f"/proc/{worker}/task/{worker}/children").read_text() == ""


@pytest.fixture
def repeating(checkout: Checkout) -> Checkout:
    """Give a checkout whose script has jobs follow one another in one process."""
    job = checkout.scripts / "job.py"
    job.write_text(job.read_text().replace("time.sleep(0.1)", "return True"))
    return checkout


def test_a_process_that_takes_another_job_is_wholly_the_next_callers(repeating: Checkout) -> None:
    pids = [repeating.ask()["pid"]]
    for text in ("input\n", "other input\n"):
        repeating.env["ONLY_NOW"] = text
        options = {"text": text, "umask": 0o27 + len(text)}
        results = [repeating.run("report", text, warm=w, **options) for w in (True, False)]
        assert results[0] == results[1]
        del repeating.env["ONLY_NOW"]
        pids.append(repeating.ask()["pid"])
    assert len(set(pids)) == 1


def test_jobs_at_once_are_in_processes_of_their_own(repeating: Checkout) -> None:
    for _ in range(3):
        clients = [repeating.start("wait") for _ in range(3)]
        until(lambda: len(repeating.jobs()) == 3)
        (repeating.scripts / "go").touch()
        answers = [json.loads(client.communicate(timeout=DEADLINE)[0]) for client in clients]
        assert {answer["pid"] for answer in answers} == set(repeating.jobs())
        assert len({answer["parent"] for answer in answers}) == 1
        (repeating.scripts / "go").unlink()
        for file in repeating.scripts.glob("running-*"):
            file.unlink()
    assert len(repeating.processes()) == 4


@pytest.mark.parametrize(
    "end", [("raise", "why"), ("exit", "3"), ("exit", "'a message'"), ("signal", "9")]
)
def test_a_process_whose_job_failed_takes_no_other(
    repeating: Checkout, end: tuple[str, str]
) -> None:
    first = repeating.ask()
    assert repeating.run(*end)[0] != 0
    second = repeating.ask()
    assert second["warm"]
    assert second["pid"] != first["pid"]
    assert second["parent"] == first["parent"]


def test_a_process_that_was_killed_while_it_waited_is_no_loss(repeating: Checkout) -> None:
    first = repeating.ask()
    os.kill(first["pid"], signal.SIGKILL)
    until(lambda: not running(first["pid"]))
    second = repeating.ask()
    assert second["warm"]
    assert second["parent"] == first["parent"]


def test_killed_caller_takes_a_repeated_job_with_it(repeating: Checkout) -> None:
    first = repeating.ask()
    client = repeating.start("wait")
    until(repeating.jobs)
    ((job, grandchild),) = repeating.jobs().items()
    assert job == first["pid"]
    client.kill()
    client.communicate()
    until(lambda: not running(job) and not running(grandchild))
    assert repeating.ask()["parent"] == first["parent"]


def test_a_process_has_its_time(repeating: Checkout) -> None:
    file = repeating.scripts / "rmsweep" / "worker.py"
    file.write_text(file.read_text().replace("LIFE_SECONDS = ", "LIFE_SECONDS = 0 * "))
    assert len({repeating.ask()["pid"] for _ in range(3)}) == 3


def test_waiting_processes_end_with_their_worker(repeating: Checkout) -> None:
    repeating.env["RMSWEEP_WORKER_IDLE"] = "0.2"
    job = repeating.ask()["pid"]
    until(lambda: not repeating.processes() and not running(job))
    assert inside(repeating.folder) == []


R_SCRIPT = """
import sys
import rpy2.rinterface as ri
from rmsweep import worker

FIT = '''{
  d <- expand.grid(x = 1:8, g = factor(1:6))
  d$y <- 2 + d$x / 3 + sin(7 * as.integer(d$g)) + cos(11 * seq_along(d$x))
  model <- lmer(y ~ x + (1 | g), d)
  as.character(serialize(c(fixef(model), REMLcrit(model)), NULL))
}'''

def warm_up():
    ri.initr()
    ri.evalr("suppressPackageStartupMessages(library(lme4))")

if __name__ == "__main__":
    warm_up()
    print(worker.warm, file=sys.stderr)
    print(ri.evalr("{file <- tempfile(); cat('kept', file = file); file}")[0], file=sys.stderr)
    print(*ri.evalr(FIT))
"""


@pytest.mark.slow
def test_forked_r_gives_the_same_numbers(checkout: Checkout, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    checkout.env |= {"RMSWEEP_WORKER_IDLE": "2", "TMPDIR": str(temporary)}
    (checkout.scripts / "job.py").write_text(R_SCRIPT)
    codes, outputs, errors = zip(*(checkout.run(warm=w) for w in (True, True, False)), strict=True)
    assert codes == (0, 0, 0)
    assert [error.split()[0] for error in errors] == ["True", "True", "False"]
    assert len(set(outputs)) == 1
    assert len(set(errors)) == 3  # each job's temporary files have names of their own
    until(lambda: not checkout.processes())
    assert inside(temporary) == []


def test_pythons_own_variables_are_a_jobs_too(checkout: Checkout, tmp_path: Path) -> None:
    env = checkout.env | {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(tmp_path / "theirs")}
    count = f"sys.path.count({env['PYTHONPATH']!r})"
    assert checkout.run("exit", count, env=env) == (1, "", "")
    assert checkout.ask(env=env)["warm"]
