"""The study's design: axes, conditions, blocks of replications, and the seed of each dataset."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Value = float | int | str | tuple[Any, ...]
"""Of a data-generating key: a number, a name or a `Piece`, one of them per predictor or
coefficient, or a matrix of rows."""
Level = float | int | str
"""What tables, paths and command lines call a value: itself, or its name."""
Verdict = Literal["strict", "published"]

ALL_PAIRS = 8
"""The most strategies that are compared two by two without being asked for."""

MAIN = ("n_groups", "n_obs", "sigma")
"""The axes that every condition is known by, whatever their values."""


def plain(level: Level) -> str:
    """Shortest text that gives a level back: ``0.25``, and ``1`` for 1.0."""
    return level if isinstance(level, str) else repr(float(level)).removesuffix(".0")


class Piece(NamedTuple):
    """A piece of a scenario with options of its own; one without is its name alone.

    Attributes
    ----------
    name : str
        A function of `rmsweep.data`, or the path of a file of the user's own.
    options : tuple of (str, value)
        Those that are not at their defaults.
    """

    name: str
    options: tuple[tuple[str, float | int | str], ...] = ()


@dataclass(frozen=True, slots=True)
class Axis:
    """A data-generating key of which a study has several values.

    Attributes
    ----------
    name : str
    kind : {"integer", "number", "text"}
        The type of its column in the tables.
    """

    name: str
    kind: Literal["integer", "number", "text"]


LONGEST_NAME = 225
"""Characters of a shard's name for its condition: 255, less replications and ending."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One combination of data-generating values.

    Two conditions are the same if their main axes are, and the same other keys are away from their
    defaults at the same level. So a key that a study never heard of, or leaves at its default,
    leaves no trace, and studies that grow by an axis keep their cells.

    Attributes
    ----------
    key : str
        Its identity, ``n_groups=10/n_obs=5/sigma=0.25`` and, where other keys are not at their
        defaults, ``/noise_sd=2,predictor_correlation=0.5``, or a digest of that where no file could
        have such a name.
    values : mapping of str to Value
        All data-generating keys.
    levels : mapping of str to Level
        What the tables say of each key.
    others : tuple of str
        The keys beyond the main axes that are not at their defaults.
    """

    key: str
    values: Mapping[str, Value] = field(compare=False)
    levels: Mapping[str, Level] = field(compare=False)
    others: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def of(
        cls,
        values: Mapping[str, Value],
        defaults: Mapping[str, Value],
        names: Mapping[str, str] | None = None,
    ) -> Condition:
        """The condition of these values.

        Parameters
        ----------
        values : mapping of str to Value
            Every data-generating key.
        defaults : mapping of str to Value
            Of all keys but the main ones.
        names : mapping of str to str, optional
            Names of values; lists that have none are spelled out.
        """
        levels = {key: (names or {}).get(key) or spelled(value) for key, value in values.items()}
        main = "/".join(f"{key}={plain(levels[key])}" for key in MAIN)
        others = tuple(key for key in defaults if values[key] != defaults[key])
        further = ",".join(f"{key}={plain(levels[key])}" for key in others)
        if len(further) > LONGEST_NAME:
            further = digest(further)
        return cls(f"{main}/{further}".removesuffix("/"), values, levels, others)

    def __str__(self) -> str:
        return self.key

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    @property
    def n_groups(self) -> int:
        """Number of groups, N."""
        return int(self[MAIN[0]])

    @property
    def n_obs(self) -> int:
        """Observations per group, O."""
        return int(self[MAIN[1]])

    @property
    def sigma(self) -> float:
        """Between-group standard deviation of the coefficients."""
        return float(self[MAIN[2]])

    @property
    def further(self) -> str:
        """The part of the key beyond the main axes; empty where there is none."""
        return self.key.split("/", len(MAIN))[len(MAIN)] if self.key.count("/") == 3 else ""

    @property
    def identity(self) -> dict[str, Value]:
        """The values behind the key, which its names alone do not show."""
        return {key: self.values[key] for key in (*MAIN, *self.others)}


def spelled(value: Value | list[Any]) -> Level:
    """The level of a value without a name: a number is its own, a list is written out.

    So is a piece with options, and one from a file has the file's name. What would be too long for
    a file's name, or has other characters than paths should have, is called by its digest.
    """
    if not isinstance(value, tuple | list | str):
        return value
    text = written_out(value)
    if len(text) <= 40 and PLAIN_TEXT.fullmatch(text):
        return text
    return digest(text)


def digest(text: str) -> str:
    """A short name for a long text."""
    words = np.random.SeedSequence(list(text.encode())).generate_state(2)
    return "x" + "".join(f"{word:08x}" for word in words)


PLAIN_TEXT = re.compile(r"[A-Za-z0-9.+_-]+")


def written_out(value: Any) -> str:
    """The text of a value, whatever its length."""
    if isinstance(value, Piece):
        options = (f"{name}_{plain(option)}" for name, option in value.options)
        return "_".join([written_out(value.name), *options])
    if isinstance(value, str):
        return Path(value).stem if value.endswith((".py", ".parquet")) else value
    if isinstance(value, tuple | list):
        rows = isinstance(value[0], tuple | list) and not isinstance(value[0], Piece)
        return ("__" if rows else "_").join(map(written_out, value))
    return plain(value)


@dataclass(frozen=True, slots=True)
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
        """The shard's path below the study's ``cells`` folder.

        The folders are the main axes, Hive style, so that their depth is the same in any study;
        all else is in the file's name.
        """
        glue = "," if self.condition.further else "/"
        return f"{self.condition}{glue}sim={self.label}.parquet"

    @property
    def label(self) -> str:
        """``7`` for one replication, ``0-49`` for several."""
        first, last = self.sims[0], self.sims[-1]
        return str(first) if first == last else f"{first}-{last}"


SIMS = re.compile(r"([0-9]{1,19})(?:-([0-9]{1,19}))?")


def parse_sims(text: str) -> range:
    """Read ``7`` or ``0-49``.

    Raises
    ------
    ValueError
        If the text is neither.
    """
    found = SIMS.fullmatch(text)
    if not found:
        raise ValueError(f"no replications in {text!r}")
    first, last = found.groups()
    sims = range(int(first), int(last or first) + 1)
    if not sims:
        raise ValueError(f"no replications in {text!r}")
    return sims


@dataclass(frozen=True, slots=True)
class Strategy:
    """An analysis strategy, as a study names it.

    Attributes
    ----------
    name : str
        What tables and figures call it.
    label : str
        A line that says what it is.
    family : str
        A module of `rmsweep.strategies`, or the path of a file of the user's own.
    origin : str
        The preset or the file that it is a variant of, or is.
    engine : str
        The program that computes it.
    verdict : {"strict", "published"}
        What counts as a converged fit.
    options : object
        The family's ``Options``: all that the fit depends on.
    inference : object or None
        The family's ``Inference``: all that is made of a fit.
    """

    name: str
    label: str
    family: str
    origin: str
    engine: str
    verdict: Verdict
    options: Any
    inference: Any = None

    @property
    def fit_key(self) -> tuple[str, str, Any]:
        """What strategies have in common that share their fits."""
        return self.family, self.engine, self.options

    def identity(self) -> dict[str, Any]:
        """What its rows depend on, besides the code."""
        inference = asdict(self.inference) if self.inference else None
        return {"engine": self.engine, "options": asdict(self.options), "inference": inference}


@dataclass(frozen=True, slots=True)
class Precision:
    """How precise a study's replications have to make a measure, instead of a fixed number of them.

    Attributes
    ----------
    measure : str
        A performance measure of one coefficient.
    mcse : float
        Its largest Monte Carlo standard error, in the measure's own unit.
    strategies : tuple of str
        The strategies that have to reach it, in every condition.
    first, cap : int
        The least and the most replications of a condition.
    """

    measure: str
    mcse: float
    strategies: tuple[str, ...]
    first: int
    cap: int

    def looks(self) -> list[int]:
        """The numbers of replications at which a condition may end.

        They grow by half, and are whole multiples of half the first one: whoever looks often finds
        a small standard error by chance. They don't depend on how jobs are cut.
        """
        step = -(-self.first // 2)
        found = [self.first]
        while found[-1] < self.cap:
            found.append(min(-(-3 * found[-1] // (2 * step)) * step, self.cap))
        return found

    def after(self, n_sims: int) -> int:
        """The next of these numbers."""
        return next(number for number in self.looks() if number > n_sims)


LAYOUT = ("sims_per_job", "job_minutes", "allow_incomplete", "persistent_worker", "csv")
"""The keys that no row of any table depends on."""
MOST_CSV_ROWS = 1_000_000
"""Of a table that is written as CSV without being asked for: more than a spreadsheet can open."""


class Power(NamedTuple):
    """The question of how many groups it takes to find an effect.

    Attributes
    ----------
    effect : str
        A coefficient.
    target : float
        The power that is wanted.
    """

    effect: str
    target: float = 0.8


@dataclass(frozen=True, slots=True)
class Study:
    """A study: its conditions, what is done to each dataset, and how the work is cut into jobs.

    The keys' meanings, defaults and bounds live in ``workflow/schemas/study.schema.yaml``.

    Attributes
    ----------
    name : str
        Its results are in ``results/{name}``.
    seed : int
        Root of all random numbers.
    conditions : tuple of Condition
        In the order of the tables.
    axes : tuple of Axis
        The keys that tables have a column for: the main ones, and those with several levels.
    sizes : mapping of str to int
        Replications of each condition, by its key. With a `precision`, the most there may be.
    precision : Precision or None
        What decides how many there are.
    power : Power or None
        What it is to say of numbers of groups, if it is asked.
    strategies : tuple of Strategy
    audit : float
        Share of the natively fitted datasets that the reference programs fit, too.
    sims_per_job, job_minutes, allow_incomplete, persistent_worker
        How the work is done; no row depends on them.
    csv : {"auto"} or bool
        Whether the merged tables are written as CSV, too.
    source : mapping
        The checked configuration itself.
    """

    name: str
    seed: int
    conditions: tuple[Condition, ...]
    axes: tuple[Axis, ...]
    sizes: Mapping[str, int]
    precision: Precision | None
    power: Power | None
    strategies: tuple[Strategy, ...]
    audit: float
    sims_per_job: int | Literal["auto"]
    job_minutes: float
    allow_incomplete: bool
    persistent_worker: bool
    csv: Literal["auto"] | bool
    source: Mapping[str, Any]

    @property
    def title(self) -> str:
        """What the study is called before readers."""
        return str(self.source["title"]) or f"Study “{self.name}”"

    @property
    def references(self) -> tuple[str, ...]:
        """The strategies that all others are compared with.

        If the study names none, that is every one of up to `ALL_PAIRS`, else the first.
        """
        names = tuple(strategy.name for strategy in self.strategies)
        few = names if len(names) <= ALL_PAIRS else names[:1]
        return tuple(self.source["references"]) or few

    @property
    def n_datasets(self) -> int:
        """Datasets in all."""
        return sum(self.sizes.values())

    @property
    def n_sims(self) -> int:
        """Replications of the condition that has the most."""
        return max(self.sizes.values())

    def size(self, condition: Condition) -> int:
        """Replications of a condition; of one that is not in the study, as many as of any."""
        return self.sizes.get(condition.key, self.n_sims)

    def levels(self, axis: str) -> list[Level]:
        """The levels of an axis: numbers in their order, texts in the study's."""
        found = dict.fromkeys(condition.levels[axis] for condition in self.conditions)
        texts = any(isinstance(level, str) for level in found)
        # a list that happens to be one number is a number among texts
        return list(found) if texts else sorted(found)

    @property
    def further_axes(self) -> tuple[Axis, ...]:
        """The axes beyond the main ones."""
        return tuple(axis for axis in self.axes if axis.name not in MAIN)

    def slices(self, inside: Collection[str] = MAIN) -> dict[str, list[Condition]]:
        """The conditions by the levels of the axes that a picture has no place for.

        Parameters
        ----------
        inside : collection of str
            The axes that it has a place for.

        Returns
        -------
        dict
            By name, such as ``noise_sd=1``. Where there are no further axes with several levels,
            there is one slice, with an empty name.
        """
        outside = [
            axis.name
            for axis in self.axes
            if axis.name not in inside and len(self.levels(axis.name)) > 1
        ]
        found: dict[str, list[Condition]] = {}
        for condition in self.conditions:
            name = ",".join(f"{key}={plain(condition.levels[key])}" for key in outside)
            found.setdefault(name, []).append(condition)
        return found

    def identity(self) -> str:
        """Its settings as one line, without those that no row of the tables depends on."""
        keys = {key: value for key, value in self.source.items() if key not in LAYOUT}
        return json.dumps(keys, separators=(",", ":"))

    def has_csv(self, table: str) -> bool:
        """Whether a merged table, such as ``coefs``, is written as CSV, too."""
        if self.csv != "auto":
            return self.csv
        n_rows = sum(
            self.size(condition) * (condition["n_predictors"] + 1 if table == "coefs" else 1)
            for condition in self.conditions
        )
        return n_rows * len(self.strategies) <= MOST_CSV_ROWS

    def is_audited(self, condition: Condition, sim: int) -> bool:
        """Whether the dataset is in the random sample that the reference programs fit, too.

        A larger ``audit`` adds datasets to the sample and takes none out.
        """
        if not self.audit:
            return False
        seed = seed_sequence(self.seed, condition, sim, purpose=1)
        return bool(np.random.default_rng(seed).random() < self.audit)


def seed_words(seed: int, condition: Condition, sim: int) -> NDArray[np.uint32]:
    """Seed of one cell, from the study's seed, the main axes and the replication alone.

    Its position in the grid plays no part, so a study that grows keeps its datasets; nor do the
    strategies, so that all of them see the same data; nor do the other axes, so that conditions
    that differ in one of them are compared on the same random numbers. Every field takes a fixed
    number of 32-bit words: different cells can't run into the same key.

    Parameters
    ----------
    seed : int
        The study's seed, below 2**128.
    condition : Condition
        The cell's condition.
    sim : int
        The cell's replication.

    Returns
    -------
    array of uint32
        Of which numpy makes the same seeds as of a list of these numbers, in a tenth of the time.
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
    return np.frombuffer(key, dtype="<u4").astype(np.uint32, copy=False)


def seed_sequence(
    seed: int, condition: Condition, sim: int, purpose: int = 0
) -> np.random.SeedSequence:
    """`seed_words` as numpy takes them: 0 for the data, other purposes for other draws."""
    words = seed_words(seed, condition, sim)
    return np.random.SeedSequence(words, spawn_key=(purpose,) if purpose else ())
