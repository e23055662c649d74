"""What the command lines of the scripts share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from rmsweep.config import ConfigError
from rmsweep.design import Condition
from rmsweep.merge import MergeError
from rmsweep.rbridge import BrokenEnvironmentError
from rmsweep.tables import WriteError

Main = Callable[[Sequence[str] | None], int]


class UsageError(ValueError):
    """A command line, or a file that it names, which can't be used."""


USER_ERRORS = (ConfigError, BrokenEnvironmentError, MergeError, UsageError, WriteError)


def one_line_errors(main: Main) -> Main:
    """Turn the errors that a user can mend into one line and exit code 2."""

    def wrapped(argv: Sequence[str] | None = None) -> int:
        try:
            return main(argv)
        except USER_ERRORS as error:
            print(f"error: {error}", file=sys.stderr)
            return 2

    return wrapped


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser that shows the script's docstring."""
    return argparse.ArgumentParser(description=doc, allow_abbrev=False)


def add_condition(arguments: argparse.ArgumentParser, required: bool = True) -> None:
    """Add the options that name a condition."""
    for option, kind, meaning in (
        ("--n-groups", int, "number of groups, N"),
        ("--n-obs", int, "observations per group, O"),
        ("--sigma", float, "between-group SD"),
    ):
        arguments.add_argument(option, type=kind, required=required, help=meaning)


def condition(options: argparse.Namespace) -> Condition:
    """The condition that `add_condition`'s options name."""
    return Condition(options.n_groups, options.n_obs, options.sigma)
