"""The persistent worker behind ``scripts/warm.py``.

A worker loads what one script needs, once, and forks a child for every caller, which runs the
script as ``__main__`` in the caller's place. A script that wants more loaded in advance than its
own import does has a function ``warm_up()``. If that returns True, jobs leave nothing behind that
the next one would notice, and a child whose job went well waits for another: most of what a job
costs beside its fits are the pages that a new process has to copy.

A worker ends when it has had nothing to do for `IDLE_SECONDS`. A killed caller takes its child
with it, and so does a killed worker; its callers then do the work themselves.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import io
import marshal
import os
import select
import signal
import socket
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import NoReturn

IDLE_SECONDS = 30.0
"""Longer than Snakemake's pauses between jobs; ``RMSWEEP_WORKER_IDLE`` overrides it."""

LIFE_SECONDS = 60.0
"""CPU time after which a child takes no further job: what a fork costs is little beside it, and
a process that lives for ever would hold ever more memory."""

SINGLE_THREADED = {
    **{f"{name}_NUM_THREADS": "1" for name in ("MKL", "OMP", "OPENBLAS")},
    "CLI_NO_THREAD": "1",  # R's cli, for its progress bars
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pyarrow
}
"""What keeps libraries from starting threads, none of which a forked child would have."""

warm = False
"""Whether this process is a worker's child."""

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_EXIT_FLUSH_FAILED = 120  # as Python's own
_LIBC = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class Script:
    """A script, ready to run.

    Attributes
    ----------
    path : str
        Absolute path of the source.
    code : CodeType
        The compiled source.
    variables : dict of bytes to bytes
        Environment variables that loading it has set.
    repeatable : bool
        Whether one process may do one job after the other.
    """

    path: str
    code: CodeType
    variables: dict[bytes, bytes]
    repeatable: bool

    @classmethod
    def load(cls, path: str) -> Script:
        """Compile a script and load all that it needs."""
        os.environ.update(SINGLE_THREADED)
        before = dict(os.environb)
        code = compile(Path(path).read_bytes(), path, "exec", dont_inherit=True)
        module = execute(code, path, "__warm_up__")
        repeatable = hasattr(module, "warm_up") and module.warm_up() is True
        variables = dict(os.environb.items() - before.items())
        return cls(path, code, variables, repeatable)

    def run(self) -> int:
        """Run the script as the main program and return its exit code."""
        result: object = None
        try:
            execute(self.code, self.path, "__main__")
        except SystemExit as stop:
            result = stop.code
        except BaseException as error:
            frames = error.__traceback__
            for _ in ("run", "execute"):
                frames = frames and frames.tb_next
            sys.excepthook(type(error), error.with_traceback(frames), frames)
            result = 1
        if not isinstance(result, int | None):
            print(result, file=sys.stderr)
            result = 1
        try:
            sys.stderr.flush()
            sys.stdout.flush()
        except (OSError, ValueError) as error:
            sys.excepthook(type(error), error, None)
            result = _EXIT_FLUSH_FAILED
        _LIBC.fflush(None)
        return (result or 0) & 0xFF


def execute(code: CodeType, path: str, name: str) -> ModuleType:
    """Execute a script as a fresh module of that name."""
    module = ModuleType(name)
    module.__file__ = path
    sys.modules[name] = module
    exec(code, module.__dict__)
    return module


class Worker:
    """The parent of all jobs of one script.

    Parameters
    ----------
    listener : socket.socket
        Where callers connect.
    script : Script
        What they want to run.
    """

    def __init__(self, listener: socket.socket, script: Script) -> None:
        self.script = script
        self.listener = listener
        self.listener.setblocking(False)
        self.jobs: dict[int, socket.socket] = {}
        self.children: set[int] = set()
        # to those that may do several jobs, at work or not
        self.lines: dict[int, socket.socket] = {}
        self.heard = time.monotonic()
        self.ended, wake_up = socket.socketpair()
        self.ended.setblocking(False)
        wake_up.setblocking(False)
        self.own = [self.listener, self.ended, wake_up]
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_up.fileno())
        # pidfd_open would be simpler; Conda's Python and many clusters' kernels lack it.
        self.events = select.epoll()
        self.events.register(self.listener, select.EPOLLIN)
        self.events.register(self.ended, select.EPOLLIN)

    def serve(self, idle: float, pulse: float) -> None:
        """Run jobs until there was neither a job nor a caller for `idle` seconds.

        Callers hear that this process is alive: at once, and every `pulse` seconds.
        """
        while True:
            ready = {fd for fd, _ in self.events.poll(pulse if self.jobs else idle)}
            if not ready and not self.jobs:
                return
            if time.monotonic() > self.heard + pulse:
                self.heard = time.monotonic()
                for caller in self.jobs.values():
                    with contextlib.suppress(OSError):
                        caller.send(b".", socket.MSG_DONTWAIT)
            # In this order, for a closed descriptor's number goes to the next connection.
            for pid, caller in self.jobs.items():
                if caller.fileno() in ready:
                    os.killpg(pid, signal.SIGKILL)
                    self.forget(pid)
            for pid, line in list(self.lines.items()):
                if line.fileno() in ready:
                    self.hear(pid, line)
            if self.ended.fileno() in ready:
                self.reap()
            if self.listener.fileno() in ready:
                # Without memory for a child, say: the connection ends, the caller helps itself.
                with contextlib.suppress(OSError):
                    self.start_job(self.listener.accept()[0])

    def hear(self, pid: int, line: socket.socket) -> None:
        """Hear that a child's job went well; or that it has ended, of which `reap` knows more."""
        heard = b""
        with contextlib.suppress(OSError):
            heard = line.recv(1)
        if heard:
            self.answer(pid, 0)
        else:
            self.forget(pid)

    def forget(self, pid: int) -> None:
        """Give no further job to a child."""
        if line := self.lines.pop(pid, None):
            self.events.unregister(line)
            line.close()

    def reap(self) -> None:
        """Tell the callers of ended jobs how these ended."""
        self.ended.recv(4096)
        for pid in list(self.children):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self.children.remove(pid)
                self.forget(pid)
                self.answer(pid, status)

    def answer(self, pid: int, status: int) -> None:
        """Tell a child's caller how the job ended, if it has one."""
        if caller := self.jobs.pop(pid, None):
            self.events.unregister(caller)
            with caller, contextlib.suppress(OSError):
                caller.sendall(b"=" + status.to_bytes(2, "big"))

    def start_job(self, caller: socket.socket) -> None:
        """Give a caller of the same user a child that waits, or a new one."""
        credentials = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        if struct.unpack("3i", credentials)[1] != os.getuid():
            caller.close()
            return
        caller.send(b".")
        pid = self.hand_over(caller) or self.fork(caller)
        self.jobs[pid] = caller
        # A hang-up is reported even if no event is asked for; once is enough.
        self.events.register(caller, select.EPOLLONESHOT)

    def hand_over(self, caller: socket.socket) -> int | None:
        """Give a caller to a child that waits; None if there is none."""
        for pid, line in self.lines.items():
            if pid not in self.jobs:
                with contextlib.suppress(OSError):  # it has just ended
                    socket.send_fds(line, [b"."], [caller.fileno()])
                    return pid
        return None

    def fork(self, caller: socket.socket) -> int:
        """Fork a child for a caller."""
        parent = os.getpid()
        line, childs_end = socket.socketpair() if self.script.repeatable else (None, None)
        pid = os.fork()
        if pid == 0:
            if line:
                line.close()
            self.be_child(caller, parent, childs_end)
        os.setpgid(pid, pid)
        self.children.add(pid)
        if line and childs_end:
            childs_end.close()
            self.lines[pid] = line
            self.events.register(line, select.EPOLLIN)
        return pid

    def be_child(self, caller: socket.socket, parent: int, line: socket.socket | None) -> NoReturn:
        """Run the script as the caller would, and as further callers would.

        The caller's connection stays open: the end of it, without a status, must not be seen
        before this process has ended as well.
        """
        global warm
        exit_code = 1
        try:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(exit_code)
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self.events.close()
            for unused in (*self.own, *self.jobs.values(), *self.lines.values()):
                unused.close()
            warm = True
            while True:
                exit_code = 1
                take_place_of(caller, self.script.variables)
                exit_code = self.script.run()
                if exit_code or not line or time.process_time() > LIFE_SECONDS:
                    break
                caller = next_caller(line, caller)
        except BaseException as error:
            sys.excepthook(type(error), error, error.__traceback__)
        finally:
            # Without Python's and R's exit handlers: R would delete its parent's folder.
            os._exit(exit_code)


def next_caller(line: socket.socket, caller: socket.socket) -> socket.socket:
    """Let a caller go whose job went well, and wait for another."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # they must see their end
        os.dup2(null, stream)
    os.close(null)
    line.send(b"=")
    caller.close()
    _, descriptors, _, _ = socket.recv_fds(line, 1, 1)
    if not descriptors:  # there is no worker any more
        os._exit(0)
    return socket.socket(fileno=descriptors[0])


def take_place_of(caller: socket.socket, variables: dict[bytes, bytes]) -> None:
    """Read a caller's request and take over what it sends.

    Parameters
    ----------
    caller : socket.socket
        The connection: three descriptors, then (arguments, folder, environment, umask).
    variables : dict of bytes to bytes
        What loading has set, and would have set in the caller.
    """
    _, streams, _, _ = socket.recv_fds(caller, 1, 3)
    for stream, descriptor in enumerate(streams):
        os.dup2(descriptor, stream)
        os.close(descriptor)
    with caller.makefile("rb") as request:
        arguments, folder, environment, umask = marshal.load(request)
    sys.argv = [os.fsdecode(argument) for argument in arguments]
    os.umask(umask)
    os.chdir(folder)
    os.environb.clear()
    os.environb.update(environment | variables)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=sys.stdout.isatty())


def main(path: str) -> None:
    """Serve a script on the listening socket that is this process's standard input."""
    for descriptor in Path("/proc/self/fd").iterdir():
        if int(descriptor.name) > 2:  # the first caller's, and somebody may wait for its end
            with contextlib.suppress(OSError):
                os.close(int(descriptor.name))
    listener = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    address = Path(listener.getsockname())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        worker = Worker(listener, Script.load(path))
        sys.stdout.flush()
        _LIBC.fflush(None)
        gc.collect()
        gc.freeze()
        with contextlib.suppress(SystemExit):
            idle = float(os.environ.get("RMSWEEP_WORKER_IDLE", IDLE_SECONDS))
            worker.serve(idle, float(os.environ["RMSWEEP_WORKER_PATIENCE"]) / 3)
        address.with_name("log").unlink(missing_ok=True)
    finally:
        # While it listens, the address is its own: nobody replaces the socket of a live worker.
        address.unlink(missing_ok=True)
        listener.close()
        with contextlib.suppress(OSError):
            address.parent.rmdir()


if __name__ == "__main__":
    # As a library module, so that a job finds `warm` in `rmsweep.worker`.
    sys.path[: not sys.flags.safe_path] = [str(Path(__file__).resolve().parents[1])]
    from rmsweep import worker

    worker.main(sys.argv[1])
