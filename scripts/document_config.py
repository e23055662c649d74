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
from rmsweep.documents import update


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


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; update the file."""
    parser = cli.parser(__doc__)
    parser.add_argument("file", type=Path, help="Markdown file with the begin and end marks")
    options = parser.parse_args(argv)
    update(options.file, "keys", table_of_keys())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
