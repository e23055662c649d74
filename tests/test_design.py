"""Seeds, datasets, blocks and names."""

from __future__ import annotations

import hashlib
import json
import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from rmsweep import plan
from rmsweep.config import condition, load_study, one_line, read_study
from rmsweep.data.scenario import simulate
from rmsweep.design import Axis, Block, Condition, parse_sims, plain, seed_sequence

CONFIG = Path(__file__).parents[1] / "config"
GRID = {"n_groups": [10, 30], "n_obs": [5], "sigma": [1, 0.25], "n_sims": 12}
STUDY = load_study(GRID, "s")


def of(n_groups: int, n_obs: int, sigma: float, **others: object) -> Condition:
    return condition(n_groups=n_groups, n_obs=n_obs, sigma=sigma, **others)


def state(seed: int, one: Condition, sim: int) -> tuple[int, ...]:
    return tuple(seed_sequence(seed, one, sim).generate_state(4))


def test_every_field_of_a_cell_changes_its_seed() -> None:
    fields = product((0, 1, 2**64), (10, 11), (5, 6), (0.25, 0.250001), (0, 1))
    seeds = {state(s, of(g, o, sigma), sim) for s, g, o, sigma, sim in fields}
    assert len(seeds) == 3 * 2 * 2 * 2 * 2


def test_the_seed_of_a_cell_is_what_it_was() -> None:
    # a change would make another dataset of every cell of every finished study
    assert seed_sequence(0, of(10, 5, 0.25), 7).generate_state(2).tolist() == [
        130767223,
        1120063044,
    ]


# sha256 of the bytes of X and of y, from the first version on
DATASETS = [
    (
        of(10, 5, 0.25),
        7,
        "04f2b274bda7a2bcdd99c84dee8d199f4b3e0589937fbffa9ebc6877e8ffa5fe",
        "2772a0aab96f0ead74215b340f0f2ddb94b2cee2f35c83181e7f64b6a26b5447",
    ),
    (
        of(30, 25, 1.0),
        3,
        "034052476e571f65fbc75b7e7676003fd7b1652612709e5e3a9e640f3cb283a9",
        "e3fe6c4005e2cfafc938e1820faddf5118217a85abf5231d071614cf3c3c3a1a",
    ),
    (
        of(10, 5, 0.25, noise_sd=2, predictor_correlation=0.5),
        7,
        "cb1476500cbeb8e00c8a3ccd2e0acd3a03fc10a59748a192e028a3681a90863f",
        "ca92a09a99c124bda24a5dfc240c7c42a469caacda8ed9ed63becb019a534de5",
    ),
    (
        of(30, 25, 1.0, noise_sd=2, predictor_correlation=0.5),
        3,
        "1e316642799f937e94bd108c761290074421dcc10d66657302ca75649fa6cc8c",
        "b409909ad81b2c69c47f61d59235338ce4b51c7f1363071a37537d2dc2c9a5a8",
    ),
]


@pytest.mark.parametrize(("one", "sim", "x", "y"), DATASETS, ids=lambda value: str(value)[:40])
def test_datasets_are_what_they_were_to_the_bit(one: Condition, sim: int, x: str, y: str) -> None:
    data = simulate(0, one, sim).data
    assert [hashlib.sha256(part.tobytes()).hexdigest() for part in (data.X, data.y)] == [x, y]


def test_paths_are_what_they_were() -> None:
    # a change would have every finished study made anew
    assert (
        Block(of(10, 5, 0.25), range(7, 8)).path == "n_groups=10/n_obs=5/sigma=0.25/sim=7.parquet"
    )
    others = of(10, 5, 0.25, noise_sd=2, predictor_correlation=0.5)
    assert Block(others, range(50)).path == (
        "n_groups=10/n_obs=5/sigma=0.25/predictor_correlation=0.5,noise_sd=2,sim=0-49.parquet"
    )


def test_negative_zero_is_zero() -> None:
    assert state(0, of(10, 5, -0.0), 0) == state(0, of(10, 5, 0.0), 0)


def test_blocks_cover_every_cell_once_in_order() -> None:
    for size in (1, 5, 12, 100):
        study = load_study(GRID | {"sims_per_job": size}, "s")
        cells = [(block.condition, sim) for block in plan.blocks(study) for sim in block.sims]
        assert cells == [(c, sim) for c in study.conditions for sim in range(12)]


def test_paths_are_unique_and_plain() -> None:
    study = load_study(GRID | {"sims_per_job": 5}, "s")
    paths = [block.path for block in plan.blocks(study)]
    assert len(set(paths)) == len(paths)
    assert paths[:3] == [
        "n_groups=10/n_obs=5/sigma=0.25/sim=0-4.parquet",
        "n_groups=10/n_obs=5/sigma=0.25/sim=5-9.parquet",
        "n_groups=10/n_obs=5/sigma=0.25/sim=10-11.parquet",
    ]


@pytest.mark.parametrize("sims", [range(7, 8), range(0, 50), range(10, 12)])
def test_labels_are_read_back(sims: range) -> None:
    assert parse_sims(Block(of(10, 5, 1.0), sims).label) == sims


@pytest.mark.parametrize("text", ["", "x", "5-3", "-1"])
def test_wrong_labels_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"invalid|no replications"):
        parse_sims(text)


def test_a_condition_of_many_keys_has_a_name_that_files_can_have() -> None:
    keys: dict[str, object] = {
        "n_predictors": 3,
        "beta": [0, 0.0123456789, 0.0123456789, 0],
        "sigma_ratio": [0.0123456789, 1, 0.0123456789, 0],
        "noise_sd": 0.123456789012345,
        "noise_mean": 0.123,
        "noise_heterogeneity": 0.123,
        "effect_distribution": "lognormal",
        "noise_distribution": "chi_squared",
    }
    few, many = of(10, 5, 1.0, **keys), of(10, 5, 1.0, predictor_autocorrelation=1 / 3, **keys)
    assert "noise_mean=0.123" in few.key
    assert re.fullmatch(r"n_groups=10/n_obs=5/sigma=1/x[0-9a-f]{16}", many.key)
    assert {*many.identity} - {*few.identity} == {"predictor_autocorrelation"}
    assert many.key != of(10, 5, 1.0, predictor_autocorrelation=1 / 7, **keys).key
    for one in (few, many):
        assert len(Path(Block(one, range(10_000, 20_000)).path).name) <= 255


@pytest.mark.parametrize("number", [0.1, 0.25, 1.0, 4.0, 1e-7, 123456789.125, 1 / 3])
def test_plain_numbers_are_read_back(number: float) -> None:
    assert float(plain(number)) == number


def test_more_replications_leave_finished_blocks_as_they_are() -> None:
    few = load_study(GRID | {"sims_per_job": "auto", "n_sims": 3000}, "s")
    many = load_study(GRID | {"sims_per_job": "auto", "n_sims": 30000}, "s")
    whole = [b for b in plan.blocks(few) if len(b.sims) == plan.block_size(few, b.condition)]
    assert whole
    assert set(whole) <= set(plan.blocks(many))


def test_blocks_last_about_as_long_as_asked() -> None:
    study = load_study(GRID | {"sims_per_job": "auto", "job_minutes": 10}, "s")
    for n_groups, n_obs in product((10, 100), (5, 100)):
        one = of(n_groups, n_obs, 1.0)
        minutes = plan.block_size(study, one) * plan.seconds(study, one) / 60
        assert 10 / 2.5 < minutes <= 10


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"n_sims": 10}, ["fits", "coefs"]),
        ({"n_sims": 20_000}, ["fits"]),
        ({"n_sims": 400_000}, []),
        ({"n_sims": 400_000, "csv": True}, ["fits", "coefs"]),
        ({"n_sims": 10, "csv": False}, []),
    ],
)
def test_long_tables_are_csv_only_if_asked_for(
    keys: dict[str, object], expected: list[str]
) -> None:
    one = {"n_groups": [40, 50], "n_obs": [40], "sigma": [1], "strategies": ["lm", "lmer"]}
    study = load_study(one | {"n_predictors": 29} | keys, "s")
    assert [name for name in ("fits", "coefs") if study.has_csv(name)] == expected


def test_a_job_gets_more_time_and_memory_at_each_attempt() -> None:
    block = Block(of(100, 100, 1.0), range(50))
    for asked in (plan.limit_minutes, plan.memory_mb):
        amounts = [asked(STUDY, block, attempt) for attempt in (1, 2, 3)]
        assert amounts == sorted(set(amounts))


@pytest.mark.parametrize("path", sorted(CONFIG.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_studies_are_read_and_survive_the_command_line(path: Path) -> None:
    study = read_study(str(path))
    assert study.name == path.stem
    assert read_study(one_line(study)) == study
    assert read_study(study.identity()).identity() == study.identity()
    assert "reml" not in json.loads(one_line(study))  # a default


def test_the_default_study_is_the_posts() -> None:
    study = read_study(str(CONFIG / "config.yaml"))
    levels = product((10, 30, 100), (5, 25, 100), (0.1, 0.25, 1, 2, 4))
    assert study.conditions == tuple(of(*one) for one in levels)
    kinds = ("integer", "integer", "number")
    names = ("n_groups", "n_obs", "sigma")
    assert study.axes == tuple(map(Axis, names, kinds))
    assert (study.n_sims, study.seed) == (50, 0)
    assert {one["n_predictors"] for one in study.conditions} == {3}
    assert [strategy.name for strategy in study.strategies] == ["lm", "lm2", "lmer", "lmer_mis"]
    assert len(list(plan.blocks(study))) == study.n_datasets == 2250


def test_draws_of_neighbouring_cells_are_unrelated() -> None:
    draws = np.array(
        [
            np.random.default_rng(seed_sequence(0, of(10, 5, 1.0), sim)).standard_normal(500)
            for sim in range(40)
        ]
    )
    correlation = np.corrcoef(draws)[np.triu_indices(40, k=1)]
    assert np.abs(correlation).max() < 5 / np.sqrt(500)
