r"""Make a study of data like your own, of the power for one of their effects.

python scripts/study_from_data.py data.csv --formula "rt ~ trial" --group person \
    --output config/mine.yaml
python scripts/study_from_data.py data.csv --formula "rt ~ kind + (kind | person) + (1 | word)" \
    --group person --output config/mine.yaml
snakemake --cores 4 --configfile config/mine.yaml
"""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
from rmsweep import cli

cli.begin(__name__)

import pyarrow.parquet as pq

from rmsweep import formula, like
from rmsweep.config import load_study
from rmsweep.data.pieces import STEM
from rmsweep.errors import UsageError
from rmsweep.settings import parse
from rmsweep.sweep import tables


@cli.one_line_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; write the study and its design."""
    parser = cli.parser(__doc__)
    cli.add_data(parser)
    parser.add_argument(
        "--effect",
        type=effect,
        default=("", None),
        metavar="TERM[=TRUTH]",
        help="coefficient whose power you ask for, and its true value if that is not to be its "
        "estimate; default, the formula's last one",
    )
    defaults = {
        "--n-groups": "numbers of groups; default, around the one that is expected to be enough",
        "--n-obs": "numbers of rows of each group; default, multiples of the data's",
    }
    for option, text in defaults.items():
        parser.add_argument(option, type=cli.whole(2), nargs="+", default=[], help=text)
    parser.add_argument(
        "--strategies",
        nargs="+",
        default=[],
        metavar="NAME",
        help="analyses; default, six, or eight with items",
    )
    parser.add_argument(
        "--power", type=share, default=like.TARGET, help="that is wanted; default 0.8"
    )
    parser.add_argument(
        "--output",
        type=cli.output,
        help="the study, a .yaml file; default, standard output, for a file in the folder config",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a study and a design that are there"
    )
    options = parser.parse_args(argv)

    name = options.output or Path("config", f"{options.data.stem}.yaml")
    if name.suffix not in (".yaml", ".yml") or not STEM.fullmatch(name.stem):
        raise UsageError(
            f"--output: {name} is not allowed; allowed: a .yaml file whose name is up to 40 "
            "letters, digits and . _ -, a letter first"
        )
    file = cli.output(name.with_suffix(".parquet"))
    cli.refuse_overwriting([options.data], [options.output, file])
    refuse_replacing(options.output, options.overwrite)
    found = like.estimates(formula.model(cli.table(options), options.formula, options.group))
    if found.from_file:
        refuse_replacing(file, options.overwrite)
    term, truth = options.effect
    wish = like.Wish(
        term, truth, options.n_groups, options.n_obs, options.strategies, options.power
    )
    written = sys.argv[1:] if argv is None else argv
    command = shlex.join(["python", "scripts/study_from_data.py", *written])
    text = like.study(found, options.data, file.name, command, wish)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder, file.name)
        if found.from_file:
            pq.write_table(like.design(found), draft, compression="zstd")
        load_study(parse(text), name.stem, draft.parent)
        if found.from_file:
            with tables.atomic(file) as temporary:
                shutil.copyfile(draft, temporary)
    if options.output:
        with tables.atomic(options.output) as temporary:
            temporary.write_text(text, encoding="utf-8")
        print(options.output, *([file] if found.from_file else []), sep="\n")
    else:
        print(text, end="")
        if found.from_file:
            print(f"{file}: the design; the study has to be in the same folder", file=sys.stderr)
    return 0


def refuse_replacing(path: Path | None, overwrite: bool) -> None:
    """Refuse to replace a file that is there: its user may have edited it."""
    if path and path.exists() and not overwrite:
        raise UsageError(f"{path}: is there already; allowed: --overwrite, or another --output")


def effect(text: str) -> tuple[str, float | None]:
    """A term, perhaps with its true value, for `argparse`."""
    name, sign, value = text.rpartition("=")
    if not sign:
        return text, None
    try:
        return name, float(value)
    except ValueError:
        raise UsageError(f"--effect: {value!r} is no number; allowed: TERM, or TERM=2.5") from None


def share(text: str) -> float:
    """A power, for `argparse`."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < 1:
        raise UsageError(f"--power: {text!r} is not allowed; allowed: a number between 0 and 1")
    return found


if __name__ == "__main__":
    raise SystemExit(main())
