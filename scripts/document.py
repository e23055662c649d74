"""Write the generated parts into Markdown files: keys of a study, strategies, scenarios."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)

from rmsweep import plan, strategies
from rmsweep.config import schema
from rmsweep.data.patterns import PATTERNS
from rmsweep.data.pieces import KINDS, Function, options_of
from rmsweep.design import MAIN
from rmsweep.documents import begin_of, update, with_part
from rmsweep.errors import UsageError

SECTION = re.compile(r"^(Truth|Misleads)\n((?:    .*\n?)+)", re.MULTILINE)
EXAMPLE = (30, 25)
"""Groups, and observations of each, in which strategies' costs are stated."""


def table_of_keys() -> str:
    """One row per key: name, default, what is allowed, meaning."""
    rules = schema()
    lines = ["| key | default | allowed | meaning |", "|---|---|---|---|"]
    for key, rule in rules["properties"].items():
        default = "required" if key in rules["required"] else ""
        if key in MAIN:
            default = "required, unless `grid` or `conditions` has it"
        if "default" in rule:
            default = f"`{json.dumps(rule['default'])}`"
        allowed, meaning = rule["allowed"], rule["description"]
        lines.append(f"| `{key}` | {default} | {allowed} | {meaning} |")
    return "\n".join(lines)


def table_of_strategies() -> str:
    """One row per preset: name, what it is and assumes, conventions, source, use, cost."""
    lines = [
        "| preset | what it is | it assumes | standard errors and tests | described by, as in "
        "| use it | native, ms | own engine, ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, (family, preset) in strategies.presets().items():
        texts = (preset.assumes, preset.convention, preset.reference, preset.use)
        texts = tuple(text.replace("|", "\\|") for text in texts)
        own = strategies.engines(family)
        costs = ("native" if "native" in own else "", own[0])
        seconds = (plan.fit_seconds(name, it, *EXAMPLE) if it else None for it in costs)
        shown = ("" if it is None else f"{1e3 * it:.{0 if it > 0.01 else 1}f}" for it in seconds)
        lines.append("| " + " | ".join([f"`{name}`", preset.label, *texts, *shown]) + " |")
    return "\n".join(lines)


def list_of_pieces() -> str:
    """A table for each kind of piece, and one for the predictors that are no random draws."""
    distributions = KINDS["noise_distribution"].known
    of_distributions = [key for key, kind in KINDS.items() if kind.function == "draw"]
    parts = [
        table_of_pieces(of_distributions, distributions),
        table_of_pieces(["predictor_distribution"], PATTERNS),
        table_of_pieces(["group_sizes"], KINDS["group_sizes"].known),
        table_of_pieces(["missing"], KINDS["missing"].known),
    ]
    return "\n\n".join(parts)


def table_of_pieces(keys: Sequence[str], pieces: Mapping[str, Function]) -> str:
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


PARTS = {"keys": table_of_keys, "strategies": table_of_strategies, "pieces": list_of_pieces}


def with_parts(text: str) -> str:
    """The text, with each part between its two marks made anew.

    Raises
    ------
    UsageError
        If there is none, or one has no end.
    """
    found = [name for name in PARTS if begin_of(name) in text]
    if not found:
        marks = ", ".join(map(begin_of, PARTS))
        raise UsageError(f"a file without any of the marks {marks} is not allowed")
    for name in found:
        text = with_part(text, name, PARTS[name]())
    return text


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; update the file."""
    parser = cli.parser(__doc__)
    parser.add_argument(
        "files", type=Path, nargs="+", help="Markdown files with the begin and end marks of a part"
    )
    options = parser.parse_args(argv)
    for file in options.files:
        update(file, with_parts)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
