"""The study's design: conditions, cells, blocks of cells, and the seed of each cell."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from rmsweep import cost

Derivatives = Literal["closed", "numerical"]
Verdict = Literal["strict", "published"]
Optimizer = Literal["nloptwrap", "bobyqa", "Nelder_Mead"]


def plain(number: float) -> str:
    """Shortest text that gives the number back: ``0.25``, and ``1`` for 1.0."""
    return repr(float(number)).removesuffix(".0")


@dataclass(frozen=True, slots=True, order=True)
class Condition:
    """One combination of the grid's values.

    Attributes
    ----------
    n_groups : int
        Number of groups, N.
    n_obs : int
        Observations per group, O.
    sigma : float
        Between-group standard deviation of the coefficients.
    """

    n_groups: int
    n_obs: int
    sigma: float

    def __str__(self) -> str:
        return f"n_groups={self.n_groups}/n_obs={self.n_obs}/sigma={plain(self.sigma)}"


@dataclass(frozen=True, slots=True, order=True)
class Block:
    """Consecutive replications of one condition, the work of one job.

    Attributes
    ----------
    condition : Condition
        The condition that all of them share.
    sims : range
        The replications' numbers.
    """

    condition: Condition
    sims: range

    @property
    def path(self) -> str:
        """The shard's path below the study's ``cells`` folder (Hive style)."""
        return f"{self.condition}/sim={self.label}.parquet"

    @property
    def label(self) -> str:
        """``7`` for one replication, ``0-49`` for several."""
        first, last = self.sims[0], self.sims[-1]
        return str(first) if first == last else f"{first}-{last}"


def parse_sims(text: str) -> range:
    """Read ``7`` or ``0-49``.

    Raises
    ------
    ValueError
        If the text is neither.
    """
    first, _, last = text.partition("-")
    sims = range(int(first), int(last or first) + 1)
    if not sims:
        raise ValueError(f"no replications in {text!r}")
    return sims


@dataclass(frozen=True, slots=True)
class Settings:
    """All that the rows of a cell depend on, besides the cell itself.

    The keys' meanings, defaults and bounds live in ``workflow/schemas/study.schema.yaml``.
    ``predictor_mean`` and ``predictor_sd`` have one value per predictor, ``sigma_ratio`` one
    per coefficient, ``predictor_correlation`` one row per predictor.
    """

    study: str
    seed: int
    n_predictors: int
    sigma_ratio: tuple[float, ...]
    predictor_mean: tuple[float, ...]
    predictor_sd: tuple[float, ...]
    predictor_correlation: tuple[tuple[float, ...], ...]
    noise_mean: float
    noise_sd: float
    strategies: tuple[str, ...]
    engine: Mapping[str, str]
    audit: float
    optimizer: Optimizer
    reml: bool
    derivatives: Derivatives
    verdict: Verdict

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the coefficients, the intercept first."""
        return ("Intercept", *(f"IV{k + 1}" for k in range(self.n_predictors)))

    def to_json(self) -> str:
        """One line that `rmsweep.config.read_settings` reads back."""
        return json.dumps(asdict(self), separators=(",", ":"))

    def is_audited(self, condition: Condition, sim: int) -> bool:
        """Whether the dataset is in the random sample that lme4 fits, too.

        A larger ``audit`` adds datasets to the sample and takes none out.
        """
        seed = seed_sequence(self.seed, condition, sim, purpose=1)
        return bool(np.random.default_rng(seed).random() < self.audit)


@dataclass(frozen=True, slots=True)
class Study:
    """A study: the grid, what each cell does, and how the work is cut into jobs."""

    settings: Settings
    n_groups: tuple[int, ...]
    n_obs: tuple[int, ...]
    sigma: tuple[float, ...]
    n_sims: int
    sims_per_job: int | Literal["auto"]
    job_minutes: float
    allow_incomplete: bool
    persistent_worker: bool

    def to_json(self) -> str:
        """One line that `rmsweep.config.read_study` reads back, all that results depend on."""
        keys = asdict(self)
        del keys["persistent_worker"]
        return json.dumps(keys.pop("settings") | keys, separators=(",", ":"))

    def identity(self) -> str:
        """The same without what only says how jobs are cut: all that the tables' rows depend on."""
        keys = json.loads(self.to_json())
        for key in ("sims_per_job", "job_minutes", "allow_incomplete"):
            del keys[key]
        return json.dumps(keys, separators=(",", ":"))

    def conditions(self) -> list[Condition]:
        """All conditions, in the order of the tables."""
        return [
            Condition(n_groups, n_obs, sigma)
            for n_groups in sorted(self.n_groups)
            for n_obs in sorted(self.n_obs)
            for sigma in sorted(self.sigma)
        ]

    def blocks(self) -> Iterator[Block]:
        """All jobs of the study, in the order of the tables."""
        for condition in self.conditions():
            size = self.block_size(condition)
            for first in range(0, self.n_sims, size):
                yield Block(condition, range(first, min(first + size, self.n_sims)))

    def block_size(self, condition: Condition) -> int:
        """Replications per job; the last job of a condition may have fewer.

        It does not depend on `n_sims`: more replications leave the finished blocks as they are.
        """
        if self.sims_per_job != "auto":
            return self.sims_per_job
        return cost.block_size(self.settings, condition.n_groups, condition.n_obs, self.job_minutes)


def seed_sequence(
    seed: int, condition: Condition, sim: int, purpose: int = 0
) -> np.random.SeedSequence:
    """Seed of one cell's dataset, from the cell's values alone.

    Its position in the grid plays no part, so a study that grows keeps its datasets; nor do
    the strategies, so that all of them see the same data. Every field takes a fixed number of
    32-bit words: different cells can't run into the same key.

    Parameters
    ----------
    seed : int
        The study's seed, below 2**128.
    condition : Condition
        The cell's condition.
    sim : int
        The cell's replication.
    purpose : int
        0 for the data; other draws of the same cell have other numbers.

    Returns
    -------
    numpy.random.SeedSequence
    """
    # + 0.0 makes a negative zero positive: the two are one condition
    key = struct.pack(
        "<16sIIdQ",
        seed.to_bytes(16, "little"),
        condition.n_groups,
        condition.n_obs,
        condition.sigma + 0.0,
        sim,
    )
    words = np.frombuffer(key, dtype="<u4").tolist()
    return np.random.SeedSequence(words, spawn_key=(purpose,) if purpose else ())
