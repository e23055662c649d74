"""Write the list of pieces of scenarios, generated from their docstrings, into a Markdown file."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)

from rmsweep.data.patterns import PATTERNS
from rmsweep.data.pieces import KINDS, Function, options_of
from rmsweep.documents import update

SECTION = re.compile(r"^(Truth|Misleads)\n((?:    .*\n?)+)", re.MULTILINE)


def list_of_pieces() -> str:
    """A table for each kind of piece, and one for the predictors that are no random draws."""
    distributions = KINDS["noise_distribution"].known
    of_distributions = [key for key, kind in KINDS.items() if kind.function == "draw"]
    parts = [
        table(of_distributions, distributions),
        table(["predictor_distribution"], PATTERNS),
        table(["group_sizes"], KINDS["group_sizes"].known),
        table(["missing"], KINDS["missing"].known),
    ]
    return "\n\n".join(parts)


def table(keys: Sequence[str], pieces: dict[str, Function]) -> str:
    """One row per piece: name, options, what it is, whom it misleads."""
    lines = [
        f"### {', '.join(f'`{key}`' for key in keys)}\n",
        "| piece | options | what it is | expected to mislead |",
        "|---|---|---|---|",
    ]
    for name, function in pieces.items():
        text = inspect.cleandoc(function.__doc__ or "")
        sections = {title: " ".join(body.split()) for title, body in SECTION.findall(text)}
        meaning = " ".join(SECTION.sub("", text).split())
        if "Truth" in sections:
            meaning += f" The truth: {sections['Truth']}"
        defaults = options_of(keys[0], name).items()
        options = ", ".join(f"`{option}: {default}`" for option, default in defaults)
        lines.append(f"| `{name}` | {options} | {meaning} | {sections['Misleads']} |")
    return "\n".join(lines)


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; update the file."""
    parser = cli.parser(__doc__)
    parser.add_argument("file", type=Path, help="Markdown file with the begin and end marks")
    options = parser.parse_args(argv)
    update(options.file, "pieces", list_of_pieces())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
