"""Write the table of configuration keys, generated from the schema, into a Markdown file."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)

from rmsweep.config import schema
from rmsweep.design import MAIN
from rmsweep.errors import UsageError
from rmsweep.sweep.tables import atomic

BEGIN, END = "<!-- keys: begin -->", "<!-- keys: end -->"


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


def with_table(text: str) -> str:
    """The text, with the table between its two marks made anew."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise UsageError(f"a file without the marks {BEGIN} and {END} is not allowed")
    return f"{before}{BEGIN}\n{table_of_keys()}\n{END}{after}"


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; update the file."""
    parser = cli.parser(__doc__)
    parser.add_argument("file", type=Path, help="Markdown file with the begin and end marks")
    options = parser.parse_args(argv)
    try:
        text = with_table(options.file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, UsageError) as error:
        raise UsageError(f"{options.file}: {error}") from None
    with atomic(cli.output(options.file)) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
