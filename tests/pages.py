"""Pages for tests: of a small study, and of odd ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import assess_claims
import find_sample_sizes
import measure_performance
import render_report
from measured import made
from rmsweep.config import load_study
from rmsweep.design import Study
from rmsweep.sweep import tables

CONFIG = {
    "n_groups": [8, 16],
    "n_obs": [5, 12],
    "sigma": [0.1, 1],
    "n_sims": 60,
    "engine": "native",
}


SAID = "Farthest from the line: nobody."
DRAWING = """<svg xmlns="http://www.w3.org/2000/svg" width="600pt" height="400pt"
viewBox="0 0 600 400">
<metadata>who made it</metadata><!-- a circle --><rect width="600" height="400" fill="#ffffff"/>
<circle cx="300" cy="200.123456" r="100"/><g id="head-0"><text y="50">A circle</text></g></svg>"""
HEAD = 0.25
"""The share of the figure that its title has."""


class Odd(NamedTuple):
    """Settings of an odd study, and whether all its fits failed."""

    settings: dict[str, Any]
    failed: bool = False


ONE = {"n_groups": [8], "n_obs": [6], "sigma": [1]}
"""A single condition."""
ODD = {
    "one_condition": Odd(ONE),
    "one_replication": Odd({"n_sims": 1}),
    "one_of_each": Odd(ONE | {"n_sims": 1, "strategies": ["lmer"]}),
    "one_strategy": Odd({"strategies": ["lm2"], "n_sims": 3}),
    "all_failed": Odd({"n_sims": 2}, failed=True),
    "several_axes": Odd(
        {
            "n_sims": 2,
            "n_groups": [8],
            "n_obs": [6],
            "grid": {"noise_sd": [1, 2], "n_predictors": [1, 2], "beta": {"none": 0, "half": 0.5}},
        }
    ),
    "not_crossed": Odd({"exclude": [{"n_groups": 8, "n_obs": 5}], "n_sims": 2}),
    "many_strategies": Odd(
        {
            "n_sims": 2,
            "n_obs": [6],
            "sigma": [1],
            "strategies": [
                entry
                for origin in ("lm", "lm2", "lmer", "lmer_mis")
                for entry in (
                    origin,
                    *({"name": f"{origin}_variant_{k}", "from": origin} for k in range(5)),
                )
            ],
        }
    ),
}


def a_study(**changes: object) -> Study:
    """A native study of two levels of everything."""
    return load_study(CONFIG | changes, name="paged")


def write_page(study: Study, folder: Path, failed: bool = False) -> Path:
    """Make a study's tables, a figure and the page; give the page's path."""
    folder.mkdir(exist_ok=True)
    made(study, folder)
    fits, coefs = folder / "fits.parquet", folder / "coefs.parquet"
    measured = folder / "performance.parquet"
    if failed:
        fail(fits, coefs)
        arguments = [fits, coefs, "--output", measured]
        assert measure_performance.main(list(map(str, arguments))) == 0
    claims = [folder / "claims.parquet", "--by-condition", folder / "claims_by_condition.parquet"]
    assert assess_claims.main(list(map(str, [measured, "--output", *claims]))) == 0
    if study.power:
        table = ["--output", str(folder / "sample_sizes.parquet")]
        assert find_sample_sizes.main([str(measured), *table]) == 0
    figures = folder / "figures"
    figures.mkdir(exist_ok=True)
    picture = Image.radial_gradient("L").resize((1200, 800))
    picture.save(figures / "se_sum.png")
    said = PngInfo()
    said.add_itxt("Description", SAID)
    said.add_itxt("Head", str(HEAD))
    picture.save(figures / "coverage.png", pnginfo=said)
    (figures / "coverage.svg").write_text(DRAWING)
    assert render_report.main([str(fits)]) == 0
    return folder / "report.html"


def fail(fits: Path, coefs: Path) -> None:
    """Let all fits of a study have failed."""
    for path in (fits, coefs):
        table = pq.read_table(path)
        metadata = tables.metadata(path)
        for name in table.column_names:
            kind = table.schema.field(name)
            if pa.types.is_floating(kind.type) and name not in ("truth", "sigma", "noise_sd"):
                nothing = pa.nulls(len(table), kind.type)
                table = table.set_column(table.column_names.index(name), kind, nothing)
        told = {"status": "failed", "fit_success": False, "messages": "fit: it failed"}
        for name, value in told.items():
            if name in table.column_names:
                kind = table.schema.field(name)
                column = pa.array(np.full(len(table), value).tolist(), kind.type)
                table = table.set_column(table.column_names.index(name), kind, column)
        for name in ("se_type", "singular"):
            if name in table.column_names:
                kind = table.schema.field(name)
                nothing = pa.nulls(len(table), kind.type)
                table = table.set_column(table.column_names.index(name), kind, nothing)
        pq.write_table(table.replace_schema_metadata(metadata), path)
