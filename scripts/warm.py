"""Run a script as ``python SCRIPT ARGUMENTS...`` does, without waiting for its imports.

Usage: python -I -S scripts/warm.py SCRIPT ARGUMENTS...

The work is done by a child of a persistent worker (``rmsweep/worker.py``), which has loaded the
script's libraries already; the first caller starts it. Arguments, environment, working folder,
umask, standard streams and exit status are the caller's. Where no worker can be had, or one is
lost or silent, this process becomes ``python SCRIPT ARGUMENTS...`` itself: the results are the
same.
"""
# ruff: noqa: PTH102, PTH108, PTH109, PTH115, PTH116, PTH118, PTH120, PTH123, SIM105
# Every job waits for this program, so it imports next to nothing: pathlib, socket, signal and
# hashlib would each take about as long as all the rest, the C modules beneath them take none.

from __future__ import annotations

import os
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

SCRIPTS = os.path.dirname(os.path.realpath(__file__))

# What Python, R and the numerical libraries read once, when they start.
START_UP_VARIABLES = (
    *("CONDA_", "GLIBC_", "GOMP_", "HOME", "LANG", "LC_", "LD_", "MALLOC_", "MKL_", "OMP_"),
    *("OPENBLAS_", "PATH", "PYTHON", "R_", "RMSWEEP_", "RPY2_", "TMPDIR", "TZ", "VIRTUAL_ENV"),
)

PATIENCE_SECONDS = 60.0
"""Longer than a worker takes to load, also from a slow file system; ``RMSWEEP_WORKER_PATIENCE``
overrides it. A worker that is at work says so three times as often."""


def worker_key(script: str) -> str:
    """Digest all that a worker's children could not take over from the caller.

    Callers share a worker only where it would have started and loaded in the same way for each
    of them: the same code and interpreter, and also the same resource limits and control group,
    so that no job of a cluster runs at the expense, or within the lifetime, of another.
    """
    from _blake2 import blake2b

    code = []
    for folder, subfolders, files in os.walk(SCRIPTS):
        subfolders[:] = sorted(set(subfolders) - {"__pycache__"})
        for name in sorted(files):
            if name.endswith((".py", ".R")):
                info = os.stat(os.path.join(folder, name))
                # The change time shows an edit that keeps the size and restores the mtime.
                edition = info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns
                code.append((folder, name, *edition))
    variables = sorted(kv for kv in os.environ.items() if kv[0].startswith(START_UP_VARIABLES))
    inherited = [os.readlink("/proc/self/ns/mnt"), os.getgid(), os.nice(0)]
    inherited += [sorted(os.getgroups()), sorted(os.sched_getaffinity(0))]
    for name in ("cgroup", "limits"):
        with open(f"/proc/self/{name}") as file:
            inherited.append(file.read())
    # The working folder may hold start-up files of R, such as .Rprofile.
    facts = sys.executable, sys.version, script, os.getcwd(), variables, inherited
    return blake2b(repr((facts, code)).encode(), digest_size=16).hexdigest()


def private_folder() -> str:
    """Return the folder of this user's workers, which nobody else can look into."""
    folder = os.environ.get("RMSWEEP_WORKER_DIR") or f"/tmp/rmsweep-{os.getuid()}"
    make_folder(folder)
    info = os.lstat(folder)
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid() or info.st_mode & 0o077:
        raise PermissionError(f"{folder} is not a private folder")
    return folder


def make_folder(path: str) -> None:
    """Create a folder, by the umask of the moment, unless it is there."""
    try:
        os.mkdir(path)
    except FileExistsError:
        pass


def patience() -> float:
    """Seconds to wait for a sign of life."""
    return float(os.environ.get("RMSWEEP_WORKER_PATIENCE", PATIENCE_SECONDS))


def connect(address: str) -> _socket.socket | None:
    """Connect to the worker of an address; None where there is none."""
    import _socket

    connection = _socket.socket(_socket.AF_UNIX)
    connection.settimeout(patience())
    try:
        connection.connect(address)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    owner = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)[4:8]
    if int.from_bytes(owner, sys.byteorder) != os.getuid():
        raise PermissionError(f"{address} belongs to another user")
    return connection


def start_worker(address: str, script: str) -> None:
    """Start a worker as a daemon: connections wait in its backlog while it loads."""
    import _socket

    listener = _socket.socket(_socket.AF_UNIX)
    try:
        os.unlink(address)  # left behind by a worker that was killed
    except FileNotFoundError:
        pass
    listener.bind(address)
    listener.listen(_socket.SOMAXCONN)
    if child := os.fork():
        os.waitpid(child, 0)
        listener.close()
        return
    try:
        os.setsid()
        if not os.fork():
            # The streams of this job must see their end when this job ends.
            log_path = os.path.join(os.path.dirname(address), "log")
            log = os.open(log_path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
            for stream, file in enumerate((listener.fileno(), log, log)):
                os.dup2(file, stream)
            os.environ["RMSWEEP_WORKER_PATIENCE"] = str(patience())
            # pages of 2 MB, where the system has them, of which a fork copies one entry, not 512
            os.environ.setdefault("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
            worker = os.path.join(SCRIPTS, "rmsweep", "worker.py")
            os.execv(sys.executable, [sys.executable, worker, script])
    finally:
        os._exit(0)


def connect_or_start(script: str) -> _socket.socket | None:
    """Connect to this script's worker, and be the one that starts it if there is none.

    Raises
    ------
    BlockingIOError
        If another caller takes too long to start it.
    """
    import fcntl
    import time

    folder = f"{private_folder()}/{worker_key(script)}"
    address = f"{folder}/socket"
    if connection := connect(address):
        return connection
    make_folder(folder)
    lock = os.open(folder, os.O_RDONLY)
    end = time.monotonic() + patience()
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)
        if connection := connect(address):
            return connection
        start_worker(address, script)
        return connect(address)
    finally:
        os.close(lock)


def run_warm(arguments: list[str], umask: int) -> int | None:
    """Let a worker run a script.

    Returns
    -------
    int or None
        The wait status of the worker's child; None if there was no worker to the end.

    Raises
    ------
    TimeoutError
        If the worker gives no sign of life.
    """
    import _socket
    import marshal

    script = os.path.realpath(arguments[0])
    if os.path.dirname(script) != SCRIPTS or None in (sys.stdin, sys.stdout, sys.stderr):
        return None
    connection = connect_or_start(script)
    if connection is None:
        return None
    # a worker that is stopped must not hold on to this job's streams
    if not connection.recv(1):
        return None
    streams = b"".join(stream.to_bytes(4, sys.byteorder) for stream in (0, 1, 2))
    connection.sendmsg([b"\0"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
    request = [os.fsencode(a) for a in arguments], os.getcwd(), dict(os.environb), umask
    connection.sendall(marshal.dumps(request))
    answer = b""
    while len(answer) < 3:  # signs of life, then a mark and two bytes
        if not (heard := connection.recv(64)):
            return None
        answer = (answer + heard).lstrip(b".")
    return int.from_bytes(answer[1:], "big")


def speak_for_the_silent(status: int) -> None:
    """Say in an empty log how a job failed that said nothing, such as one that was killed."""
    info = os.fstat(2)
    if status and stat.S_ISREG(info.st_mode) and not info.st_size:
        if os.WIFSIGNALED(status):
            how = f"was killed by signal {os.WTERMSIG(status)}, perhaps for lack of memory"
        else:
            how = f"ended with exit code {os.WEXITSTATUS(status)}, perhaps by os._exit"
        os.write(2, f"error: the job {how}; it said nothing\n".encode())


def main() -> None:
    """Run the script of the command line, warm if possible, and end as it ends."""
    if sys.argv[1:] in ([], ["-h"], ["--help"]):
        print(__doc__)
        sys.exit(len(sys.argv) < 2)
    umask = os.umask(0o077)
    try:
        import _signal  # type: ignore[import-not-found]

        # An interrupt ends this process at once; the worker sees that and kills the child.
        if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
            _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
        status = run_warm(sys.argv[1:], umask)
    except Exception:  # whatever is wrong with the worker, the work can be done without it
        status = None
    if status is None:
        os.umask(umask)
        os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
    speak_for_the_silent(status)
    if os.WIFSIGNALED(status):
        os.kill(os.getpid(), os.WTERMSIG(status))
        os._exit(128 + os.WTERMSIG(status))
    else:
        os._exit(os.WEXITSTATUS(status))


if __name__ == "__main__":
    main()
