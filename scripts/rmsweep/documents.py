"""Parts of Markdown files that are generated."""

from __future__ import annotations

from pathlib import Path

from rmsweep import cli
from rmsweep.errors import UsageError
from rmsweep.sweep.tables import atomic


def with_part(text: str, name: str, part: str) -> str:
    """The text with a part made anew, between its two marks.

    Raises
    ------
    UsageError
        If the marks are not there.
    """
    begin_mark, end_mark = (f"<!-- {name}: {word} -->" for word in ("begin", "end"))
    before, begin, rest = text.partition(begin_mark)
    _, end, after = rest.partition(end_mark)
    if not (begin and end):
        raise UsageError(f"a file without the marks {begin_mark} and {end_mark} is not allowed")
    return f"{before}{begin_mark}\n{part}\n{end_mark}{after}"


def update(file: Path, name: str, part: str) -> None:
    """Make a part of a file anew.

    Raises
    ------
    UsageError
        If it is no text file with the marks of that part.
    """
    try:
        text = with_part(file.read_text(encoding="utf-8"), name, part)
    except (UnicodeDecodeError, UsageError) as error:
        raise UsageError(f"{file}: {error}") from None
    with atomic(cli.output(file)) as temporary:
        temporary.write_text(text, encoding="utf-8")
