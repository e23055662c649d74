"""The workflow as a whole: a small study is run for real, in several ways."""

from __future__ import annotations

import base64
import json
import math
import os
import re
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from checkout import Checkout
from rmsweep import plan
from rmsweep.claims.post import CLAIMS
from rmsweep.config import read_study
from rmsweep.design import Study
from rmsweep.errors import UserError
from rmsweep.figures.names import NAMES
from rmsweep.sweep import tables
from rmsweep.sweep.content import DamagedError
from rmsweep.sweep.merge import MergeError, merge
from rmsweep.sweep.shard import OutdatedError, Shards

pytestmark = pytest.mark.slow

CELL = "n_groups=5/n_obs=5/sigma=1/n_predictors=1,sim=2.parquet"
OTHER = "n_groups=5/n_obs=5/sigma=1/n_predictors=1,sim=3.parquet"
# what could be planted in a column
CHANGES: dict[str, Any] = {
    "status": lambda values: ["good", *values[1:]],
    "messages": lambda values: ["a complaint"] * len(values),
    "grad_msg": lambda values: ["a complaint"] * len(values),
    "singular": lambda values: [True] * len(values),
    "opt_code": lambda values: [7] * len(values),
    "se_type": lambda values: [None] * len(values),
    "ci_type": lambda values: ["q"] * len(values),
    "cpu_seconds": lambda values: [math.inf] * len(values),
    "engine": lambda values: ["native", *values[1:]],
    "coef_abs_err": lambda values: [math.nan] * len(values),
    "se_sum": lambda values: [2 * value for value in values],
    "t_sum": lambda values: [None] * len(values),
    "coefs": lambda values: [value[:-1] for value in values],
    "seconds": lambda values: [-1.0] * len(values),
    "sim": lambda values: [0] * len(values),
    "condition": lambda values: ["n_groups=5"] * len(values),
}


def jobs(output: str) -> dict[str, int]:
    """Read how many jobs of each rule Snakemake plans."""
    stats = output.partition("Job stats:")[2].partition("\n\n")[0]
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", stats, re.MULTILINE)}


def test_everything_is_made(reference: Checkout) -> None:
    assert reference.table("fits").num_rows == 10 * 4
    assert reference.table("coefs").num_rows == 10 * 4 * 2
    assert reference.table("timings").num_rows == 10 * 4
    assert set(reference.table("performance")["fits"].to_pylist()) == {"all", "converged"}
    claims = pq.read_table(reference.results() / "claims.parquet")
    assert set(claims["id"].to_pylist()) == {claim.id for claim in CLAIMS}
    assert reference.table("claims_by_condition").num_rows
    assert len(list((reference.results() / "figures").glob("*.svg"))) == len(NAMES)
    assert (reference.results() / "report.html").read_text().startswith("<!doctype html>")


def test_the_end_of_a_run_says_where_the_results_are(finished: Checkout) -> None:
    (finished.results() / "report.html").unlink()
    output = finished.snakemake("--cores", "1", "--configfile", "config/tiny.yaml")
    lines = [line for line in output.splitlines() if "results/tiny" in line]
    assert lines[-3:] == [
        "tables:  results/tiny/ (claims, claims_by_condition, coefs, fits, performance, timings)",
        f"figures: results/tiny/figures/ ({len(NAMES)}, as PNG and SVG)",
        "page:    results/tiny/report.html",
    ]


READ_BY_R = """
for (file in commandArgs(TRUE)) {
  rows <- read.csv(file)
  kinds <- vapply(rows, function(column) class(column)[1], "")
  count <- function(column) if (is.logical(column)) sum(column, na.rm = TRUE) else 0L
  cat(paste(basename(file), nrow(rows), names(rows), kinds, vapply(rows, count, 0L)), sep = "\\n")
}"""


def test_base_r_reads_every_csv_file(reference: Checkout) -> None:
    files = sorted([*reference.results().glob("*.csv"), *reference.results().glob("*.csv.gz")])
    assert len(files) == 6
    command = ["Rscript", "--vanilla", "-e", READ_BY_R, *map(str, files)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    expected = []
    for file in files:
        table = pq.read_table(file.with_name(file.name.partition(".")[0] + ".parquet"))
        for field, column in zip(table.schema, table.columns, strict=True):
            true = 0
            # what is empty everywhere has no other type
            empty = set(column.to_pylist()) <= {None, ""}
            if empty or pa.types.is_boolean(field.type):
                kind, true = "logical", column.to_pylist().count(True)
            elif pa.types.is_string(field.type):
                kind = "character"
            else:
                whole = all(value % 1 == 0 for value in column.drop_null().to_pylist())
                kind = "integer" if whole else "numeric"
            expected.append(f"{file.name} {len(table)} {field.name} {kind} {true}")
    assert said.splitlines() == expected


def test_snakemakes_report_shows_page_figures_and_tables(
    reference: Checkout, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    reference.snakemake("--report", str(path), "--configfile", "config/tiny.yaml")
    text = path.read_text()
    pattern = r'<script id="(results|categories)">\s*var \1 = (.*);\n'
    parts = {name: json.loads(value) for name, value in re.findall(pattern, text)}
    found, categories = parts["results"], parts["categories"]
    assert set(categories) == {"Page", "Figures", "Tables"}
    names = [Path(file).stem for file in categories["Figures"]["Other"]]
    assert sorted(names) == sorted(NAMES)
    titles = {found[file]["labels"]["Figure"] for file in categories["Figures"]["Other"]}
    assert len(titles) == len(NAMES)
    for file, result in found.items():
        assert result["caption"].startswith("<p>"), file
        encoded = result["data_uri"].partition("base64,")[2]
        assert base64.b64decode(encoded) == (reference.root / file).read_bytes()
    page = found["results/tiny/report.html"]
    assert page["labels"] == {"Page": "report.html", "Opens from": "report.html and report.zip"}
    assert len(page["data_uri"]) < 2**21


@pytest.mark.parametrize(
    ("cores", "worker", "block"), [(1, True, 1), (2, False, 5), (1, True, "auto")]
)
def test_how_it_is_run_changes_no_byte(
    checkout: Checkout, reference: Checkout, cores: int, worker: bool, block: int | str
) -> None:
    study = checkout.write_study(persistent_worker=worker, sims_per_job=block)
    checkout.sweep(study, cores=cores)
    assert checkout.digests() == reference.digests()
    assert len(checkout.shards()) == (10 if block == 1 else 2)
    warmth = "warm" if worker else "cold"
    assert set(checkout.table("timings")["worker"].to_pylist()) == {warmth}


@pytest.mark.parametrize("name", ["-n", '"q" `touch pwned`; \\ | & * # ~ 100% {{d}} é\n'])
def test_a_folder_may_have_any_name(name: str, tmp_path: Path, workers: Path) -> None:
    checkout = Checkout.make(tmp_path / name, workers)
    checkout.sweep(checkout.write_study(engine="native", n_sims=1))
    assert checkout.table().num_rows == 2 * 4
    assert not list(tmp_path.rglob("pwned"))
    checkout.close()


def test_growth_runs_the_new_cells_only(finished: Checkout, reference: Checkout) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.shards()}
    study = finished.write_study(sigma=[1, 0.5, 0.25], n_sims=6)
    assert jobs(finished.sweep(study)) == {"fit_cell": 8, "merge_shards": 1, "total": 9}
    assert {path: path.stat().st_mtime_ns for path in before} == before
    for name in ("fits", "coefs"):
        grown = finished.table(name)
        assert grown.num_rows == reference.table(name).num_rows * 18 // 10
        old = pc.and_(pc.not_equal(grown["sigma"], 0.5), pc.less(grown["sim"], 5))
        assert grown.filter(old).equals(reference.table(name))
    assert "Nothing to be done" in finished.sweep(study)


def with_flipped_bit(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def write(table: pa.Table, path: Path, metadata: dict[str, str]) -> None:
    """Write a shard, and no second name for it."""
    pq.write_table(table.replace_schema_metadata(metadata), path)


class TestMerge:
    """What is wrong with shards is found and named, and no table is written."""

    @pytest.fixture
    def study(self, reference: Checkout) -> Study:
        return read_study(str(reference.root / "config" / "tiny.yaml"))

    @pytest.fixture
    def cells(self, reference: Checkout, tmp_path: Path) -> Path:
        return Path(shutil.copytree(reference.results() / "cells", tmp_path / "cells"))

    def refusal(self, study: Study, cells: Path) -> str:
        outputs = [cells.with_name(name) for name in ("fits.parquet", "fits.csv.gz")]
        with pytest.raises(MergeError) as caught:
            merge(study, cells, outputs)
        assert [path.name for path in cells.parent.iterdir()] == ["cells"]
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def test_csv_of_an_older_merge_is_removed(self, study: Study, cells: Path) -> None:
        both = [cells.with_name(name) for name in ("coefs.parquet", "coefs.csv.gz")]
        merge(study, cells, both)
        merge(study, cells, both[:1])
        assert {path.name for path in cells.parent.iterdir()} == {"cells", "coefs.parquet"}

    def test_missing(self, study: Study, cells: Path) -> None:
        for name in (CELL, OTHER):
            (cells / name).unlink()
        assert f"2 missing: {CELL}, {OTHER}. " in self.refusal(study, cells)

    @pytest.mark.parametrize("fault", ["empty", "truncated", "flipped", "no Parquet"])
    def test_damaged(self, study: Study, cells: Path, fault: str) -> None:
        content = (cells / CELL).read_bytes()
        column = pq.read_metadata(cells / CELL).row_group(0).column(0)
        first = column.dictionary_page_offset or column.data_page_offset  # a small shard has none
        last = first + column.total_compressed_size - 1
        (cells / CELL).write_bytes(
            {
                "empty": b"",
                "truncated": content[:-100],
                "flipped": with_flipped_bit(content, last),
                "no Parquet": b"0" * len(content),
            }[fault]
        )
        assert f"1 damaged: {CELL} (" in self.refusal(study, cells)
        assert not (cells / CELL).exists()
        assert (cells / CELL).with_suffix(".rejected").exists()

    def test_no_flipped_bit_changes_a_row(self, study: Study, cells: Path) -> None:
        (block,) = (block for block in plan.blocks(study) if block.path == CELL)
        content = (cells / CELL).read_bytes()
        shards = Shards(study, cells)
        whole = shards.read(block)
        refused = 0
        for place in range(0, len(content), 41):
            (cells / CELL).write_bytes(with_flipped_bit(content, place))
            try:
                assert shards.read(block).equals(whole), place
            except (DamagedError, OutdatedError):
                refused += 1
        assert refused > len(content) / 41 / 3

    @pytest.mark.parametrize("fault", ["foreign", "twice", "with another's", "too few"])
    def test_other_rows(self, study: Study, cells: Path, fault: str) -> None:
        own, other = (pq.read_table(cells / name) for name in (CELL, OTHER))
        parts = {
            "foreign": [other],
            "twice": [own, own],
            "with another's": [own, other],
            "too few": [own.slice(0, 3)],
        }[fault]
        metadata = tables.metadata(cells / CELL)
        write(pa.concat_tables(parts), cells / CELL, metadata)
        assert f"1 damaged: {CELL} (holds other rows than planned" in self.refusal(study, cells)
        assert (cells / CELL).with_suffix(".rejected").exists()

    @pytest.mark.parametrize(
        ("key", "changed", "what"),
        [
            ("data", {"seed": 4}, "data"),
            ("code", "other", "code"),
            ("schema_version", "0", "layout"),
            ("strategies", {"lmer": {"options": {}, "code": "other", "programs": []}}, "options"),
        ],
    )
    def test_other_origin(
        self, study: Study, cells: Path, key: str, changed: object, what: str
    ) -> None:
        own = pq.read_table(cells / CELL)
        metadata = tables.metadata(cells / CELL)
        if isinstance(changed, dict):
            changed = json.dumps(json.loads(metadata[key]) | changed)
        write(own, cells / CELL, metadata | {key: changed})
        refusal = self.refusal(study, cells)
        assert f"1 outdated: {CELL} (made with other {what}" in refusal
        # it is whole: the next run makes it anew all the same, and rejects nothing
        assert (cells / CELL).exists()

    @pytest.mark.parametrize(
        ("key", "text"),
        [
            ("versions", "[]"),
            ("versions", '{"R": 4}'),
            ("strategies", "null"),
            ("strategies", '{"lm": 1}'),
            ("strategies", '{"lm": {}}'),
            ("data", "[1]"),
            ("data", '{"condition": {}}'),
            ("data", "{"),
            ("strategies", '{"lm": {"options": {}, "code": "", "programs": [["R"]]}}'),
        ],
    )
    def test_odd_metadata(self, study: Study, cells: Path, key: str, text: str) -> None:
        metadata = tables.metadata(cells / CELL)
        write(pq.read_table(cells / CELL), cells / CELL, metadata | {key: text})
        assert f"1 outdated: {CELL} (" in self.refusal(study, cells)

    @pytest.mark.parametrize("column", [*CHANGES])
    def test_other_content(self, study: Study, cells: Path, column: str) -> None:
        own = pq.read_table(cells / CELL)
        place = own.schema.get_field_index(column)
        values = CHANGES[column](own[column].to_pylist())
        changed = own.set_column(
            place, own.schema.field(place), pa.array(values, own.schema.field(place).type)
        )
        write(changed, cells / CELL, tables.metadata(cells / CELL))
        assert f"1 damaged: {CELL} (holds " in self.refusal(study, cells)

    @pytest.mark.parametrize("key", tables.COEFFICIENT.names)
    @pytest.mark.parametrize("value", [None, math.nan, -7.5])
    def test_other_coefficient(
        self, study: Study, cells: Path, key: str, value: float | None
    ) -> None:
        own = pq.read_table(cells / CELL)
        place = own.schema.get_field_index("coefs")
        lists = own["coefs"].to_pylist()
        lists[1][1][key] = str(value) if key == "term" else value
        changed = own.set_column(place, "coefs", pa.array(lists, own.schema.field(place).type))
        write(changed, cells / CELL, tables.metadata(cells / CELL))
        assert f"1 damaged: {CELL} (holds " in self.refusal(study, cells)

    def test_a_failed_fit_without_a_reason(self, study: Study, cells: Path) -> None:
        own = pq.read_table(cells / CELL)
        nothing = {name: None for name in tables.COEFFICIENT.names if name not in ("term", "truth")}
        rows = own.to_pylist()
        for row in rows:
            row |= dict.fromkeys((*tables.METRICS, "se_type", "df_type", "ci_type", "singular"))
            row["test_type"] = None
            row |= {"status": "failed", "messages": "a reason", "opt_code": None}
            row |= dict.fromkeys(("grad_msg", "hess_msg", "df_msg"), "")
            row["coefs"] = [term | nothing for term in row["coefs"]]
        metadata = tables.metadata(cells / CELL)
        write(pa.Table.from_pylist(rows, schema=tables.SHARD), cells / CELL, metadata)
        (block,) = (block for block in plan.blocks(study) if block.path == CELL)
        assert len(Shards(study, cells).read(block)) == 4
        rows[2]["messages"] = ""
        write(pa.Table.from_pylist(rows, schema=tables.SHARD), cells / CELL, metadata)
        assert f"1 damaged: {CELL} (holds what no fit can say: see status" in self.refusal(
            study, cells
        )

    def test_a_wider_interval(self, study: Study, cells: Path) -> None:
        own = pq.read_table(cells / CELL)
        lists = own["coefs"].to_pylist()
        for name, side in (("ci_low", -1), ("ci_high", 1)):
            lists[0][0][name] += side
        place = own.schema.get_field_index("coefs")
        changed = own.set_column(place, "coefs", pa.array(lists, own.schema.field(place).type))
        write(changed, cells / CELL, tables.metadata(cells / CELL))
        assert f"1 damaged: {CELL} (holds " in self.refusal(study, cells)

    def test_files_of_others_are_left_alone(
        self, study: Study, cells: Path, tmp_path: Path
    ) -> None:
        left = [cells.with_name(name) for name in ("audit.md", "agreement.docx", "audit.parquet")]
        left += [cells / ".precious.tmp", cells / f".{OTHER[-5:]}.parquet.elsewhere.1.tmp"]
        for path in left:
            path.touch()
        merge(study, cells, [tmp_path / "other" / "fits.parquet"])
        assert all(path.exists() for path in left)
        old = left[-1].stat().st_mtime - 2 * tables.ABANDONED_SECONDS
        os.utime(left[-1], (old, old))
        merge(study, cells, [cells.with_name("fits.parquet")])
        assert [path.exists() for path in left] == [True, True, False, True, False]

    def test_what_looks_like_damage_once_is_read_again(
        self, study: Study, cells: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        faults = [OSError("Couldn't deserialize thrift: std::bad_alloc"), MemoryError("malloc")]
        whole = pq.ParquetFile

        def once(*arguments: Any, **options: Any) -> Any:
            if faults:
                raise faults.pop(0)
            return whole(*arguments, **options)

        monkeypatch.setattr(pq, "ParquetFile", once)
        assert "1 unreadable: " in self.refusal(study, cells)
        faults.append(OSError("Couldn't deserialize thrift: std::bad_alloc"))
        merge(study, cells, [cells.with_name("fits.parquet")])
        assert not list(cells.rglob("*.rejected"))

    @pytest.mark.parametrize("kind", ["pipe", "folder"])
    def test_no_file(self, study: Study, cells: Path, kind: str) -> None:
        (cells / CELL).unlink()
        os.mkfifo(cells / CELL) if kind == "pipe" else (cells / CELL).mkdir()
        assert f"1 damaged: {CELL} (no regular file)" in self.refusal(study, cells)

    def test_other_columns(self, study: Study, cells: Path) -> None:
        own = pq.read_table(cells / CELL)
        metadata = tables.metadata(cells / CELL)
        write(own.drop_columns(["se_sum"]), cells / CELL, metadata)
        assert f"1 damaged: {CELL} (its columns are not" in self.refusal(study, cells)


def no_descriptors() -> None:
    there = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (there, there))


def no_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize(),) * 2)


def be_nobody() -> None:
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


def no_processes() -> None:
    be_nobody()
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


class TestUnreadable:
    """A shard that this process can't read now may be a good one: merging touches none of them."""

    @pytest.fixture
    def cells(self, reference: Checkout) -> Iterator[Path]:
        # a folder that an ordinary user may enter
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            shutil.copytree(reference.results() / "cells", folder / "cells")
            for path in (folder, *folder.rglob("*")):
                path.chmod(0o777)
            yield folder / "cells"

    @pytest.mark.parametrize("fault", ["file", "folder", "descriptors", "processes", "memory"])
    def test_is_left_alone(self, reference: Checkout, cells: Path, fault: str) -> None:
        study = read_study(str(reference.root / "config" / "tiny.yaml"))
        # all that is imported on the way: others may not be allowed to read it
        merge(study, cells, [cells.with_name("fits.parquet")])
        before = {path: path.read_bytes() for path in cells.rglob("*.parquet")}
        limit: Callable[[], None] = be_nobody
        if fault in ("file", "folder"):
            (cells / CELL if fault == "file" else (cells / CELL).parent).chmod(0)
        else:
            limits = {"descriptors": no_descriptors, "memory": no_memory}
            limit = limits.get(fault, no_processes)

        def child(answer: Connection) -> None:
            limit()
            try:
                merge(study, cells, [cells.with_name("fits.parquet")])
            except (UserError, OSError, MemoryError) as error:
                answer.send_bytes(f"{type(error).__name__} {error}".encode()[:4000])
            else:
                answer.send_bytes(b"merged")

        here, there = Pipe(duplex=False)
        process = get_context("fork").Process(target=child, args=(there,))
        process.start()
        there.close()
        said = here.recv_bytes().decode()
        process.join()
        (cells / CELL).parent.chmod(0o777)
        (cells / CELL).chmod(0o777)
        assert {path: path.read_bytes() for path in cells.rglob("*.parquet")} == before
        assert not list(cells.rglob("*.rejected"))
        if fault in ("file", "folder"):
            assert said.startswith("MergeError")
            assert "unreadable: " in said
            assert "Permission denied" in said
        if fault == "descriptors":
            assert "Too many open files" in said


@pytest.mark.parametrize("how", [(), ("--quiet", "all"), ("--dry-run",), ("--unlock",)])
def test_bad_configuration_is_one_line_before_any_job(
    checkout: Checkout, how: tuple[str, ...]
) -> None:
    study = checkout.write_study(sigma=[1, -0.5])
    output = checkout.snakemake("--cores", "1", "--configfile", study, *how, check=False)
    lines = [line for line in output.splitlines() if not line.startswith("Using ")]
    message = (
        "config/tiny.yaml: sigma: [1, -0.5] is not allowed; "
        "allowed: a list of different finite numbers from 0 up"
    )
    assert lines == [f"error: {checkout.root}/{message}"]
    assert not checkout.results().exists()
    assert not list(checkout.root.glob(".snakemake/locks/*"))


def test_a_study_is_yaml_1_2_under_snakemake_too(checkout: Checkout) -> None:
    study = checkout.root / "config" / "tiny.yaml"
    text = "n_groups: [6]\nn_obs: [6]\nsigma: [1e-3]\nn_sims: 1\nengine: native\n"
    study.write_text(text)
    more = ["--config", "sigma=[1e-3,1]", "sims_per_job=2.0", "reml=false", "study=other"]
    checkout.snakemake("--cores", "1", "--configfile", str(study), *more)
    assert len(checkout.shards("other")) == 2
    study.write_text(text + "n_sims: 2\n")
    output = checkout.snakemake("--cores", "1", "--configfile", str(study), check=False)
    assert 'tiny.yaml, line 6, column 1: found duplicate key "n_sims"' in output


def test_an_r_package_that_cannot_be_loaded_stops_at_once(checkout: Checkout) -> None:
    # R takes the first package of that name, and this one is an empty shell
    shell = checkout.root / "library" / "lme4"
    shell.mkdir(parents=True)
    (shell / "DESCRIPTION").write_text("Package: lme4\nVersion: 99.0\n")
    checkout.env["R_LIBS"] = str(shell.parent)
    output = checkout.sweep(checkout.write_study(), check=False)
    assert output.count("error: R has the package lme4, but can't load it: ") == 1
    assert "Rule: fit_cell" not in output
    assert not checkout.shards()


def test_failed_fits_are_rows(checkout: Checkout) -> None:
    checkout.write_strategy("broken", "raise ValueError('not today')")
    study = checkout.write_study(strategies=["lm", "broken"], n_sims=2)
    checkout.sweep(study)
    fits = checkout.table().to_pylist()
    assert len(fits) == 8
    for row in fits:
        broken = row["strategy"] == "broken"
        assert row["status"] == ("failed" if broken else "ok")
        assert row["fit_success"] == (not broken)
        assert row["messages"] == ("not today" if broken else "")
        assert (row["se_sum"] is None) == broken
    # that which the check for programs started did the jobs
    assert sum("rmsweep/worker.py" in text for text in checkout.processes().values()) <= 1


def test_crash_is_news_and_costs_its_cell_only(checkout: Checkout) -> None:
    crash = "import os, signal; data.n_groups == 6 and os.kill(os.getpid(), signal.SIGSEGV)"
    checkout.write_strategy("crash", crash)
    study = checkout.write_study(strategies=["lm", "crash"], n_groups=[5, 6], n_sims=1)
    output = checkout.sweep(study, check=False)
    for sigma in ("0.25", "1"):
        assert (
            f"results/tiny/cells/n_groups=6/n_obs=5/sigma={sigma}/n_predictors=1,sim=0.parquet"
            in output
        )
    assert len(checkout.shards()) == 2
    assert not (checkout.results() / "fits.parquet").exists()
    assert "Rule: merge_shards" not in output

    checkout.write_strategy("crash", "")
    checkout.sweep(study)
    assert checkout.table().num_rows == 8
    assert "Nothing to be done" in checkout.sweep(study)


def test_incomplete_tables_say_so(finished: Checkout) -> None:
    (finished.results() / "cells" / CELL).unlink()
    study = finished.write_study(allow_incomplete=True)
    assert jobs(finished.sweep(study)) == {"merge_shards": 1, "total": 1}
    assert finished.table().num_rows == 9 * 4
    metadata = tables.metadata(finished.results() / "fits.parquet")
    assert metadata["incomplete"] == "9 of 10 datasets"
    assert json.loads(metadata["versions"])["lme4"]


def test_an_incomplete_merge_is_asked_for_and_says_so(finished: Checkout) -> None:
    (finished.results() / "cells" / CELL).unlink()
    study = finished.write_study(allow_incomplete=True)
    output = finished.snakemake("--cores", "2", "--configfile", study)
    assert "fit_cell" not in jobs(output)
    fits = finished.results() / "fits.parquet"
    assert tables.metadata(fits)["incomplete"] == "9 of 10 datasets"
    assert finished.table("fits").num_rows == 9 * 4
    figure = (finished.results() / "figures" / "convergence.svg").read_text()
    assert "INCOMPLETE" in figure

    finished.sweep(finished.write_study())
    assert "incomplete" not in tables.metadata(fits)
    assert finished.table("fits").num_rows == 10 * 4


def test_a_million_replications_are_planned_by_few_jobs_and_files() -> None:
    root = Path(__file__).parents[1]
    study = read_study(str(root / "config" / "precise.yaml"))
    large = replace(study, sizes=dict.fromkeys(study.sizes, 20_000))
    blocks = list(plan.blocks(large))
    assert sum(len(block.sims) for block in blocks) == 45 * 20_000
    assert len(blocks) <= 450
