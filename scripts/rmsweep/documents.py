"""Parts of Markdown files that are generated, each between two marks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rmsweep import cli
from rmsweep.errors import UsageError
from rmsweep.sweep.tables import atomic


def begin_of(name: str) -> str:
    """The mark that a part begins with."""
    return f"<!-- {name}: begin -->"


def with_part(text: str, name: str, part: str) -> str:
    """The text with a part made anew.

    Raises
    ------
    UsageError
        If its marks are not there.
    """
    begin, end = begin_of(name), f"<!-- {name}: end -->"
    before, there, rest = text.partition(begin)
    _, also_there, after = rest.partition(end)
    if not (there and also_there):
        raise UsageError(f"a file without the marks {begin} and {end} is not allowed")
    return f"{before}{begin}\n{part}\n{end}{after}"


def update(file: Path, made_anew: Callable[[str], str]) -> None:
    """Change the text of a file.

    Raises
    ------
    UsageError
        If it is no text, or `made_anew` refuses it; the file is named.
    """
    try:
        text = made_anew(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, UsageError) as error:
        raise UsageError(f"{file}: {error}") from None
    with atomic(cli.output(file)) as temporary:
        temporary.write_text(text, encoding="utf-8")
