"""What the command lines of the scripts share."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from rmsweep.config import axis_keys, condition_of, schema
from rmsweep.design import MAIN, Condition, Study
from rmsweep.errors import UserError

Main = Callable[[Sequence[str] | None], int]


def one_line_errors(main: Main) -> Main:
    """Turn the errors that a user can mend into one line and exit code 2."""

    def wrapped(argv: Sequence[str] | None = None) -> int:
        try:
            return main(argv)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            words = " ".join((error.strerror or f"{type(error).__name__}: {error}").split())
            print(f"error: {where}{words}", file=sys.stderr)
        return 2

    return wrapped


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser that shows the script's docstring."""
    return argparse.ArgumentParser(description=doc, allow_abbrev=False)


def add_config(arguments: argparse.ArgumentParser) -> None:
    """Add the option that names a study; a run of the workflow gives its own to all its jobs."""
    study = os.environ.get("RMSWEEP_STUDY")
    text = "the study's configuration file"
    arguments.add_argument("--config", default=study, required=study is None, help=text)


def add_condition(arguments: argparse.ArgumentParser, required: bool = True) -> None:
    """Add the options that name a condition: one for every key that describes the data."""
    for key in axis_keys():
        arguments.add_argument(
            f"--{key.replace('_', '-')}",
            required=required and key in MAIN,
            metavar="VALUE",
            help=schema()["properties"][key]["description"].replace("%", "%%"),
        )


def replication(text: str) -> int:
    """The number of a replication, for `argparse`."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 up")
    return int(text)


def condition(options: argparse.Namespace, study: Study) -> Condition:
    """The condition that `add_condition`'s options name; the study has the keys they leave out.

    Raises
    ------
    ConfigError
        If a value is not allowed, or none is given where the study has several.
    """
    given = {key: getattr(options, key) for key in axis_keys()}
    return condition_of(study, {key: text for key, text in given.items() if text is not None})
