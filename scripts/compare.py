r"""Compare two studies: what differs beyond Monte Carlo error, and which fits differ most.

python scripts/compare.py results/a results/b
python scripts/compare.py results/a results/b --strategies lmer=lmer_bobyqa lm
python scripts/compare.py results/a --strategies lmer=lmer_bobyqa

Writes comparison.html, and its tables comparison and comparison_fits as Parquet and CSV.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)


from rmsweep.comparison.studies import Side, Studies
from rmsweep.comparison.table import compare
from rmsweep.report.comparison import html, sentences
from rmsweep.sweep import csv_files, tables
from rmsweep.sweep.provenance import code_digest


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; write the page and its tables, print the findings."""
    parser = cli.parser(__doc__)
    parser.add_argument("a", type=Path, help="folder of a study's results, as results/config")
    parser.add_argument(
        "b", type=Path, nargs="?", help="of another one's; default, the same, for its strategies"
    )
    parser.add_argument(
        "--strategies",
        nargs="+",
        default=(),
        metavar="NAME",
        help="to compare: NAME, or NAME_IN_A=NAME_IN_B; default, those that have the same name",
    )
    parser.add_argument(
        "--output",
        type=cli.output_folder,
        metavar="FOLDER",
        help="default, comparison_of_A_and_B beside the first study",
    )
    options = parser.parse_args(argv)

    a = options.a
    b = options.b or a
    name = f"comparison_of_{a.resolve().name}_and_{b.resolve().name}"
    folder = options.output or cli.output_folder(a.resolve().parent / name)
    outputs = [cli.output(folder / f"comparison{end}") for end in (".html", ".parquet", ".csv")]
    outputs += [cli.output(folder / f"comparison_fits{end}") for end in (".parquet", ".csv")]
    studies = Studies.of(Side.open(a), Side.open(b), options.strategies)
    compared = compare(studies)
    identity = {
        "a": json.dumps(dict(studies.a.made_with)),
        "b": json.dumps(dict(studies.b.made_with)),
        "strategies": json.dumps([f"{one.name}={two.name}" for one, two in studies.pairs]),
        "compared_by": code_digest("compare"),
    }
    # the page, which says what made it, comes last
    for stem, table in compared.tables().items():
        csv_files.write(table, [folder / f"{stem}{end}" for end in (".csv", ".parquet")], identity)
    page = html(compared, identity)
    with tables.atomic(outputs[0]) as temporary:
        temporary.write_text(page, encoding="utf-8")
    print(*sentences(compared), outputs[0], sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
