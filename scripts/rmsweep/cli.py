"""What the scripts share: how they begin, their command lines, and how they end."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, NoReturn

# an older one is to say so, not to trip over the code
if sys.version_info < (3, 11):  # noqa: UP036
    _found = ".".join(map(str, sys.version_info[:2]))
    raise SystemExit(
        f"error: Python {_found} is not allowed; allowed: 3.11 to 3.14; see `make setup`"
    )

from rmsweep.errors import UsageError, UserError

if TYPE_CHECKING:
    from rmsweep.data.files import Table
    from rmsweep.design import Condition, Study

Main = Callable[[Sequence[str] | None], int]

LARGEST = 2**63 - 1
"""The largest number that a column of a table holds."""


def begin(name: str) -> None:
    """Begin a script, before it imports anything that is not Python's own.

    Parameters
    ----------
    name : str
        The script's ``__name__``.
    """
    # one thread, as jobs share the machine; read when numpy and R load their BLAS
    os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    if name == "__main__":
        if sys.stdout is None:
            print("error: standard output is closed", file=sys.stderr)
            raise SystemExit(2)
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a terminal that lacks some letters
        sys.excepthook = last_words
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, end)


def end(number: int, frame: FrameType | None) -> None:
    """End by a signal, as Python does of an exception: which R would lose, and libraries print."""
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def last_words(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """What a script says of an error that nothing catches: a traceback, as it is the code's own."""
    if not isinstance(error, ModuleNotFoundError):
        sys.__excepthook__(kind, error, trace)
        return
    print(
        f"error: {error}: activate the environment, by `source .venv/bin/activate` or "
        "`conda activate ./.conda`; `make setup` makes it",
        file=sys.stderr,
    )
    raise SystemExit(2)


def one_line_errors(main: Main) -> Main:
    """Turn the errors that a user can mend into one line and exit code 2."""

    @wraps(main)
    def wrapped(argv: Sequence[str] | None = None) -> int:
        try:
            try:
                return main(argv)
            finally:
                print(end="", flush=True)  # what is lost is to be said
        except BrokenPipeError:  # whoever reads has seen enough
            code = 128 + signal.SIGPIPE
        except (UserError, OSError, MemoryError) as error:
            print(f"error: {in_words(error)}", file=sys.stderr)
            code = 2
        try:
            print(end="", flush=True)
        except OSError:  # Python would try once more, and complain
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return code

    return wrapped


def in_words(error: Exception) -> str:
    """An error that a user can mend, in one line."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename or 'output'}: {error.strerror}"
    elif isinstance(error, MemoryError):
        text = f"not enough memory: {text}"
    return " ".join(text.split()).removesuffix(":")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        raise UsageError(message)


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser that shows the script's docstring."""
    return Parser(
        description=doc, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def add_config(arguments: argparse.ArgumentParser) -> None:
    """Add the option that names a study; a run of the workflow gives its own to all its jobs."""
    study = os.environ.get("RMSWEEP_STUDY")
    text = "the study's configuration file"
    arguments.add_argument("--config", default=study, required=study is None, help=text)


def add_condition(arguments: argparse.ArgumentParser, required: bool = True) -> None:
    """Add the options that name a condition: one for every key that describes the data."""
    from rmsweep.config import SCENARIO, names_of_conditions, schema
    from rmsweep.design import MAIN

    meanings = {key: rule["description"] for key, rule in schema()["properties"].items()}
    meanings[SCENARIO] = "One of the study's scenarios."
    for key in names_of_conditions():
        arguments.add_argument(
            f"--{key.replace('_', '-')}",
            required=required and key in MAIN,
            metavar="VALUE",
            help=meanings[key].replace("%", "%%"),
        )


def add_data(arguments: argparse.ArgumentParser) -> None:
    """Add what names a data file of the user's own, how it is read, and its model."""
    arguments.add_argument("data", type=Path, help="CSV or Parquet file, one row per observation")
    arguments.add_argument(
        "--formula",
        required=True,
        help="response and fixed effects as in R, perhaps with random effects as in lme4; it is "
        "code that R runs: give none that you don't trust",
    )
    arguments.add_argument(
        "--group",
        help="column of the groups (persons); not needed if the formula has one grouping factor",
    )
    arguments.add_argument("--sep", type=separator, help="separator; found by itself if , ; or tab")
    arguments.add_argument("--decimal", choices=(".", ","), help="decimal mark; default .")
    arguments.add_argument("--encoding", help="of the text; default UTF-8")
    arguments.add_argument(
        "--na", nargs="+", metavar="TEXT", help="missing values, beside empty cells; default NA"
    )


def table(options: argparse.Namespace) -> Table:
    """The data file that the options of `add_data` name.

    Raises
    ------
    UsageError
        If it can't be read.
    """
    from rmsweep.data.files import Dialect, Table

    dialect = Dialect(options.sep, options.decimal, options.encoding, options.na)
    return Table(options.data, dialect)


def separator(text: str) -> str:
    """A separator as the command line may spell it."""
    text = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(text) != 1 or text in '"\n\r' or not text.isascii():
        raise UsageError(f"--sep: {text!r} is not allowed; allowed: one character, or tab")
    return text


def whole(least: int) -> Callable[[str], int]:
    """A whole number from `least` up, for `argparse`."""

    def read(text: str) -> int:
        number = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else -1
        if not least <= number <= LARGEST:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not allowed; allowed: a whole number from {least} to 2^63 - 1"
            )
        return number

    return read


def output(text: str | Path) -> Path:
    """A file to write, for `argparse`: it is refused before the work is done, not after it.

    Raises
    ------
    UsageError
        If it can't be written.
    """
    path = Path(text)
    if path.exists() and not path.is_file():
        place = "a folder is in its place, remove it" if path.is_dir() else "no ordinary file"
        raise UsageError(f"{path}: can't be written: {place}")
    _check_folder(path.parent, path)
    return path


def output_of_measures(text: str) -> Path:
    """A table of measures to write, for `argparse`."""
    path = output(text)
    if path.suffix not in (".csv", ".parquet"):
        allowed = ".csv and .parquet files"
        raise argparse.ArgumentTypeError(f"{path} is not allowed; allowed: {allowed}")
    return path


def add_outputs_of_measures(
    arguments: argparse.ArgumentParser, option: str = "--output", what: str = "files to write"
) -> None:
    """Add the option for the files of a table of measures."""
    arguments.add_argument(
        option,
        type=output_of_measures,
        nargs="+",
        required=True,
        help=f"{what}: .csv, .parquet",
    )


def output_folder(text: str | Path) -> Path:
    """A folder to write into, for `argparse`; it need not be there.

    Raises
    ------
    UsageError
        If it can't be made or written.
    """
    path = Path(text)
    _check_folder(path, path)
    return path


def refuse_overwriting(inputs: Iterable[Path | None], outputs: Iterable[Path | None]) -> None:
    """Refuse outputs that are inputs, too.

    Raises
    ------
    UsageError
        If there is one.
    """
    read = {path.resolve() for path in inputs if path is not None}
    for path in outputs:
        if path is not None and path.resolve() in read:
            raise UsageError(f"{path}: can't be written; allowed: another file than is read")


def _check_folder(folder: Path, path: Path) -> None:
    """Refuse a path that is to be in a folder, or is one, that can't be made or written."""
    place = next(it for it in (folder, *folder.absolute().parents) if it.exists())
    if not place.is_dir():
        raise UsageError(f"{path}: can't be written: {place} is no folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UsageError(f"{path}: can't be written: no permission in {place}")


def condition(options: argparse.Namespace, study: Study) -> Condition:
    """The condition that `add_condition`'s options name; the study has the keys they leave out.

    Raises
    ------
    ConfigError
        If a value is not allowed, or none is given where the study has several.
    """
    from rmsweep.config import condition_of, names_of_conditions

    given = {key: getattr(options, key) for key in names_of_conditions()}
    return condition_of(study, {key: text for key, text in given.items() if text is not None})
