"""R as a program of its own, started as its user starts it, to ask for what it sees."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable

MARK = "-- rmsweep --"
# start-up files may print, and mask any function: only base's are seen, and only the lines between
# the marks count. They run before any package is attached, so that none need be.
FRAME = """base::eval(quote({{
  cat("\\n{mark}\\n")
  writeLines({expression})
  cat("{mark}\\n")
}}), base::baseenv())"""


START_UP_FILES = ("R_ENVIRON", "R_ENVIRON_USER", "R_PROFILE", "R_PROFILE_USER")
"""The variables that name the start-up files of a user and a site."""


def ask(expression: str, *arguments: str) -> Callable[[], list[str]]:
    """Have an R of its own evaluate an expression of base's functions.

    That R reads the start-up files, such as ``.Rprofile``, which may say where packages are; if it
    does not survive them, another one does without.

    Parameters
    ----------
    expression : str
        Gives a character vector.
    *arguments : str
        What ``commandArgs(TRUE)`` is to give.

    Returns
    -------
    callable
        Waits for the answer's lines; there are none without an R.
    """
    home = os.environ.get("R_HOME")
    program = shutil.which("Rscript", path=f"{home}/bin" if home else None)
    if program is None:
        return list
    command = [program, "-e", FRAME.format(mark=MARK, expression=expression), *arguments]

    def start(variables: dict[str, str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"R_DEFAULT_PACKAGES": "NULL"} | variables,
            text=True,
            errors="surrogateescape",
        )

    def answer(process: subprocess.Popen[str]) -> list[str]:
        parts = process.communicate()[0].split(f"{MARK}\n")
        return parts[1].splitlines() if len(parts) == 3 else []

    first = start({})
    return lambda: answer(first) or answer(start(dict.fromkeys(START_UP_FILES, os.devnull)))
