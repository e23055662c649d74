"""Seeds, blocks and names."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from rmsweep import cost
from rmsweep.config import load_study, read_settings, read_study
from rmsweep.design import Block, Condition, parse_sims, plain, seed_sequence

CONFIG = Path(__file__).parents[1] / "config"
GRID = {"n_groups": [10, 30], "n_obs": [5], "sigma": [1, 0.25], "n_sims": 12}
SETTINGS = load_study(GRID, "s").settings


def state(seed: int, condition: Condition, sim: int) -> tuple[int, ...]:
    return tuple(seed_sequence(seed, condition, sim).generate_state(4))


def test_every_field_of_a_cell_changes_its_seed() -> None:
    fields = product((0, 1, 2**64), (10, 11), (5, 6), (0.25, 0.250001), (0, 1))
    seeds = {state(s, Condition(g, o, sigma), sim) for s, g, o, sigma, sim in fields}
    assert len(seeds) == 3 * 2 * 2 * 2 * 2


def test_the_seed_of_a_cell_is_what_it_was() -> None:
    # a change would make another dataset of every cell of every finished study
    assert seed_sequence(0, Condition(10, 5, 0.25), 7).generate_state(2).tolist() == [
        130767223,
        1120063044,
    ]


def test_negative_zero_is_zero() -> None:
    assert state(0, Condition(10, 5, -0.0), 0) == state(0, Condition(10, 5, 0.0), 0)


def test_blocks_cover_every_cell_once_in_order() -> None:
    for size in (1, 5, 12, 100):
        study = load_study(GRID | {"sims_per_job": size}, "s")
        cells = [(block.condition, sim) for block in study.blocks() for sim in block.sims]
        assert cells == [(c, sim) for c in study.conditions() for sim in range(12)]


def test_paths_are_unique_and_plain() -> None:
    study = load_study(GRID | {"sims_per_job": 5}, "s")
    paths = [block.path for block in study.blocks()]
    assert len(set(paths)) == len(paths)
    assert paths[:3] == [
        "n_groups=10/n_obs=5/sigma=0.25/sim=0-4.parquet",
        "n_groups=10/n_obs=5/sigma=0.25/sim=5-9.parquet",
        "n_groups=10/n_obs=5/sigma=0.25/sim=10-11.parquet",
    ]


@pytest.mark.parametrize("sims", [range(7, 8), range(0, 50), range(10, 12)])
def test_labels_are_read_back(sims: range) -> None:
    assert parse_sims(Block(Condition(10, 5, 1.0), sims).label) == sims


@pytest.mark.parametrize("text", ["", "x", "5-3", "-1"])
def test_wrong_labels_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"invalid|no replications"):
        parse_sims(text)


@pytest.mark.parametrize("number", [0.1, 0.25, 1.0, 4.0, 1e-7, 123456789.125, 1 / 3])
def test_plain_numbers_are_read_back(number: float) -> None:
    assert float(plain(number)) == number


def test_more_replications_leave_finished_blocks_as_they_are() -> None:
    few = load_study(GRID | {"sims_per_job": "auto", "n_sims": 3000}, "s")
    many = load_study(GRID | {"sims_per_job": "auto", "n_sims": 30000}, "s")
    whole = [b for b in few.blocks() if len(b.sims) == few.block_size(b.condition)]
    assert whole
    assert set(whole) <= set(many.blocks())


def test_blocks_last_about_as_long_as_asked() -> None:
    for n_groups, n_obs in product((10, 100), (5, 100)):
        size = cost.block_size(SETTINGS, n_groups, n_obs, minutes=10)
        minutes = size * cost.seconds(SETTINGS, n_groups, n_obs) / 60
        assert 10 / 2.5 < minutes <= 10


def test_a_job_gets_more_time_at_each_attempt() -> None:
    limits = [cost.limit_minutes(SETTINGS, 100, 100, 50, attempt) for attempt in (1, 2, 3)]
    assert limits == sorted(set(limits))


@pytest.mark.parametrize("path", sorted(CONFIG.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_studies_are_read_and_survive_the_command_line(path: Path) -> None:
    study = read_study(str(path))
    assert study.settings.study == path.stem
    assert read_study(study.to_json()) == study
    assert read_settings(study.settings.to_json()) == study.settings
    assert json.loads(study.to_json())["seed"] == study.settings.seed


def test_the_default_study_is_the_posts() -> None:
    study = read_study(str(CONFIG / "config.yaml"))
    assert (study.n_groups, study.n_obs) == ((10, 30, 100), (5, 25, 100))
    assert study.sigma == (0.1, 0.25, 1, 2, 4)
    assert (study.n_sims, study.settings.seed, study.settings.n_predictors) == (50, 0, 3)
    assert study.settings.strategies == ("lm", "lm2", "lmer", "lmer_mis")
    assert len(list(study.blocks())) == 2250


def test_draws_of_neighbouring_cells_are_unrelated() -> None:
    draws = np.array(
        [
            np.random.default_rng(seed_sequence(0, Condition(10, 5, 1.0), sim)).standard_normal(500)
            for sim in range(40)
        ]
    )
    correlation = np.corrcoef(draws)[np.triu_indices(40, k=1)]
    assert np.abs(correlation).max() < 5 / np.sqrt(500)
