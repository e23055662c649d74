"""What the page shows, from a study's tables: constant in the number of replications.

Numbers are columns, not records, rounded to a few digits; equal columns are there once. What
follows from other numbers, such as the interval of a rate, the page computes itself.
"""

from __future__ import annotations

import base64
import datetime
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from rmsweep.data.dataset import Array
from rmsweep.data.scenario import simulate
from rmsweep.design import MAIN, Condition, Study, plain
from rmsweep.errors import UsageError
from rmsweep.figures import colours
from rmsweep.figures.facets import usual_reference
from rmsweep.measures import sample_size
from rmsweep.measures.causes import CAUSES, COLUMNS, causes
from rmsweep.measures.distributions import box_statistics
from rmsweep.measures.rates import Z95, wilson_interval
from rmsweep.measures.table import names_of_axes, portions, runs_of
from rmsweep.report import words
from rmsweep.report.looks import looks
from rmsweep.strategies import presets
from rmsweep.sweep import tables

VALUE_DIGITS, ERROR_DIGITS, DATA_DIGITS = 5, 4, 3
STEPS = 254
"""Into which the range of a box's single replications is divided: finer than can be drawn."""

MOST_REPLICATIONS = 200
MOST_RAW = 60_000
"""Single errors, and as many standard errors, of all conditions together."""
MOST_PERSONS, MOST_OF_ONE = 15, 20
MOST_DATA = 30_000
"""Numbers of simulated data, of all conditions together."""
LARGEST_DATASET = 2_000_000
"""Rows up to which a dataset is simulated again to be shown."""
MOST_COMPLAINTS = 1000
MOST_PAIRS = 60
FEW_STRATEGIES = 6
FEWEST_IN_A_BOX = 5

Json = dict[str, Any]


@dataclass
class Columns:
    """Lists of numbers, each of which is kept once."""

    lists: list[list[float | int | None]] = field(default_factory=list)
    places: dict[bytes, int] = field(default_factory=dict)

    def add(self, values: Array, digits: int = 15) -> int:
        """Keep a column of numbers, rounded to significant digits; give its place."""
        rounded = [rounded_number(value, digits) for value in np.asarray(values, float).tolist()]
        key = json.dumps(rounded).encode()
        if key not in self.places:
            self.places[key] = len(self.lists)
            self.lists.append(rounded)
        return self.places[key]


def rounded_number(value: float, digits: int) -> float | int | None:
    """A number to some significant digits; None if it is not finite."""
    if not np.isfinite(value):
        return None
    short = float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def page_data(study: Study, folder: Path, named: Sequence[str] = ()) -> Json:
    """All that the page shows of a study.

    Parameters
    ----------
    study : Study
    folder : Path
        Where its tables are: ``fits``, ``coefs``, ``performance`` and, if they are there,
        ``claims`` and ``sample_sizes``.
    named : sequence of str
        The strategies that the page's texts name, the more important first.

    Returns
    -------
    dict
        That JSON can hold.

    Raises
    ------
    UsageError
        If a table can't be read, or is of another study.
    """
    columns = Columns()
    measured = Measured.read(study, folder / "performance.parquet")
    measures = {
        name: measured.measure(name, frame, columns) for name, frame in measured.by_measure()
    }
    ordered = [*(name for name in words.MEASURES if name in measures)]
    ordered += [name for name in measures if name not in words.MEASURES]
    found: Json = {
        "study": study.name,
        "axes": axes(study),
        "places": places(study),
        "held": held(study),
        "conditions": condition_levels(study),
        "strategies": analyses(study),
        "families": families(study),
        "shown": shown_at_first(study, named),
        "terms": measured.terms,
        "pairs": measured.pairs,
        "counts": measured.counts(columns),
        "measures": [measures[name] for name in ordered],
        "reasons": measured.reasons,
        "said": [words.of_reason(reason) for reason in measured.reasons],
        "fewest": FEWEST_IN_A_BOX,
    }
    found["needed"] = needed(study, folder / "sample_sizes.parquet")
    found |= runs(study, folder / "fits.parquet", folder / "coefs.parquet", columns)
    return found | {"columns": columns.lists}


def needed(study: Study, path: Path) -> Json | None:
    """The numbers of groups that a study with a power asks for: names of columns, and rows.

    Raises
    ------
    UsageError
        If the table is of another study.
    """
    if not study.power or not path.exists():
        return None
    names = sample_size.schema(study).names
    if tables.made_with(path, "sample_sizes", names)["study"] != study.identity():
        raise UsageError(f"{path}: of another study than the fits beside it")
    table = tables.read(path, "sample_sizes", columns=names, use_threads=False)
    others = {axis.name for axis in study.axes} - {sample_size.GROUPS}

    def shown(name: str, value: Any) -> Any:
        if name in others:
            return plain(value)
        return rounded_number(value, VALUE_DIGITS) if isinstance(value, float) else value

    rows = [[shown(name, value) for name, value in row.items()] for row in table.to_pylist()]
    return {"columns": names, "rows": rows}


def axes(study: Study) -> list[Json]:
    """The axes, with the names of their levels in the study's order."""
    found = []
    for axis in study.axes:
        known = study.levels(axis.name)
        found.append(
            {
                "name": axis.name,
                "label": words.of_axis(axis.name).label,
                "title": words.of_axis(axis.name).title,
                "kind": axis.kind,
                "levels": [plain(level) for level in known],
                "headers": [words.of_level(axis.name, level) for level in known],
                "spoken": [words.in_sentence(axis.name, level) for level in known],
            }
        )
    return found


def places(study: Study) -> Json:
    """Which axis is along x, across the columns and down the rows of panels at first."""
    several = [axis["name"] for axis in axes(study) if len(axis["levels"]) > 1]
    wanted = dict(zip(("rows", "columns", "x"), MAIN, strict=True))
    waiting = [name for name in several if name not in MAIN]
    found: Json = {place: name for place, name in wanted.items() if name in several}
    for place in ("x", "columns", "rows"):
        if place not in found:
            found[place] = waiting.pop(0) if waiting else None
    if found["x"] is None:  # something has to be there
        others = [place for place in ("columns", "rows") if found[place]]
        found["x"] = found[others[0]] if others else wanted["x"]
        found |= dict.fromkeys(others[:1])
    return found


def held(study: Study) -> dict[str, str]:
    """The levels that axes without a place have at first: those of the most conditions."""
    at_places = set(places(study).values())
    outside = [axis.name for axis in study.axes if axis.name not in at_places]
    kinds = Counter(tuple(one.levels[name] for name in outside) for one in study.conditions)
    ((most, _),) = kinds.most_common(1)
    first = {axis.name: study.levels(axis.name)[0] for axis in study.axes}
    chosen = first | dict(zip(outside, most, strict=True))
    return {name: plain(level) for name, level in chosen.items()}


def condition_levels(study: Study) -> list[list[int]]:
    """Each condition as the places of its levels, axis by axis."""
    known = [{level: place for place, level in enumerate(axis["levels"])} for axis in axes(study)]
    return [
        [at[plain(one.levels[axis.name])] for axis, at in zip(study.axes, known, strict=True)]
        for one in study.conditions
    ]


def analyses(study: Study) -> list[Json]:
    """The strategies, with what they are called and how they look."""
    return [
        {"name": one.name, "label": words.typographic(one.label), "engine": one.engine, **look}
        for one, look in zip(study.strategies, looks(study.strategies), strict=True)
    ]


FAMILIES = {
    "lm": "Least squares",
    "lm2": "Two-stage regression",
    "lmer": "Mixed models",
    "lmer_mis": "Mixed models with random intercepts",
    "gee": "Generalised estimating equations",
    "between": "Regressions of group means",
    "repeated_anova": "Repeated measures ANOVA",
    "by_subjects_and_items": "Analyses by subjects and by items",
}


def families(study: Study) -> list[Json]:
    """The families of strategies, with the places of their members."""
    place = {one.name: number for number, one in enumerate(study.strategies)}
    return [
        {
            "label": FAMILIES.get(name, name.replace("_", " ").capitalize()),
            "members": [place[one.name] for one in members],
        }
        for name, members in colours.families(study.strategies).items()
    ]


def explained(study: Study) -> list[tuple[str, list[tuple[str, str]]]]:
    """A line on each strategy, by family: what it is, and what it takes the data to be."""
    found = []
    for family in families(study):
        lines = []
        for place in family["members"]:
            one = study.strategies[place]
            text = f"{one.label}."
            # of a variant it may not be true
            if one.name in presets() and (assumes := presets()[one.name][1].assumes):
                assumed = re.sub(r"^as (\w+)", r"what \1 does", assumes)
                text += f" It assumes {assumed}."
            lines.append((one.name, text))
        found.append((family["label"], lines))
    return found


def shown_at_first(study: Study, named: Sequence[str] = ()) -> list[int]:
    """The places of the strategies that are shown at first, the reference among them."""
    chosen = colours.sensible(study.strategies, [usual_reference(study), *named])
    return [place for place, one in enumerate(study.strategies) if one.name in chosen]


def turned(name: str) -> str:
    """How a comparison changes when it is made the other way round."""
    if name.startswith("difference_of_"):
        return "difference"
    known = {"precision_gain": "gain", "decision_agreement": "same", "estimate_distance": "same"}
    return known.get(name.removesuffix("_of_slopes"), "ratio")


@dataclass
class Measured:
    """The table of performance measures, with its keys as places.

    Attributes
    ----------
    study : Study
    frame : pandas.DataFrame
        Its rows: ``condition``, ``strategy`` and ``term`` are places, the last one -1 for measures
        of whole fits.
    terms : list of str
    pairs : list of [strategy, reference]
        The places of the strategies that are compared.
    reasons : list of str
        Why values are not defined.
    """

    study: Study
    frame: pd.DataFrame
    terms: list[str]
    pairs: list[list[int]]
    reasons: list[str]

    @classmethod
    def read(cls, study: Study, path: Path) -> Measured:
        """Read ``performance.parquet``.

        Raises
        ------
        UsageError
            If it can't be read, or is of another study.
        """
        made_with = tables.made_with(path, "performance", ["measure"])
        if made_with["study"] != study.identity():
            raise UsageError(f"{path}: of another study than the fits beside it")
        frame = tables.read(path, "performance", use_threads=False).to_pandas()
        known = [tuple(tables.levels(study.axes, one).values()) for one in study.conditions]
        of_conditions = pd.MultiIndex.from_tuples(known)
        keys = pd.MultiIndex.from_frame(frame[names_of_axes(study)])
        names = [one.name for one in study.strategies]
        said = list(dict.fromkeys(frame["term"].dropna()))
        reasons = list(dict.fromkeys(frame["reason"].dropna()))
        frame = frame.assign(
            condition=of_conditions.get_indexer(keys),
            strategy=pd.Index(names).get_indexer(frame["strategy"]),
            reference=pd.Index(names).get_indexer(frame["reference"]),
            term=pd.Index(said, dtype=object).get_indexer(frame["term"]),
            reason=pd.Index(reasons, dtype=object).get_indexer(frame["reason"]) + 1,
        )
        compared = frame[frame["reference"] >= 0][["strategy", "reference"]].drop_duplicates()
        pairs = compared.to_numpy().tolist()
        if len(pairs) > MOST_PAIRS:
            first = names.index("lmer") if "lmer" in names else 0
            pairs.sort(key=lambda pair: (pair[1] != first, pair[1]))
            pairs = pairs[:MOST_PAIRS]
        return cls(study, frame, said, pairs, reasons)

    def by_measure(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """The rows of each measure."""
        yield from self.frame.groupby("measure", sort=False)

    def counts(self, columns: Columns) -> Json:
        """Replications planned and run, by condition, and converged ones, by strategy, too."""
        n_conditions, n_strategies = len(self.study.conditions), len(self.study.strategies)
        run = np.full(n_conditions, np.nan)
        run[self.frame["condition"]] = self.frame["n_run"]
        planned = np.array([float(self.study.size(one)) for one in self.study.conditions])
        converged = np.full((n_conditions, n_strategies), np.nan)
        converged[self.frame["condition"], self.frame["strategy"]] = self.frame["n_converged"]
        counts = {"planned": columns.add(planned), "run": columns.add(run)}
        return counts | {"converged": columns.add(converged.ravel())}

    def measure(self, name: str, frame: pd.DataFrame, columns: Columns) -> Json:
        """A measure: its words, and places of its columns.

        A column is ordered by condition, then strategy or pair, then coefficient. ``form`` says
        what the page computes: of a ``rate`` its standard error and Wilson's interval, of a
        ``score`` the interval of as many flags as have its standard error, of a ``normal`` value
        its interval; of ``given`` ones nothing. Where there is a reason, there are none of these.
        """
        said = words.of_measure(name)
        found: Json = {"name": name, **said._asdict(), "title": said.title}
        paired = bool((frame["reference"] >= 0).any())
        if paired:
            known = pd.MultiIndex.from_tuples([tuple(pair) for pair in self.pairs])
            keys = pd.MultiIndex.from_frame(frame[["strategy", "reference"]])
            frame = frame.assign(strategy=known.get_indexer(keys))
            frame = frame[frame["strategy"] >= 0]
        of_terms = bool((frame["term"] >= 0).any())
        frame = frame[(frame["term"] >= 0) == of_terms]
        n_strategies = len(self.pairs) if paired else len(self.study.strategies)
        n_terms = len(self.terms) if of_terms else 1
        place = frame["condition"] * n_strategies + frame["strategy"]
        place = place * n_terms + frame["term"].clip(lower=0)
        size = len(self.study.conditions) * n_strategies * n_terms
        found["terms"] = sorted(set(frame["term"])) if of_terms else []
        form, of = form_of(frame)
        found |= {"paired": turned(name) if paired else "", "form": form, "of": of, "fits": {}}
        used: dict[str, Array] = {}
        for use, rows in frame.groupby("fits", sort=False):
            at = place[rows.index].to_numpy()

            def spread(column: str, at: Any = at, rows: pd.DataFrame = rows) -> Array:
                values = np.full(size, np.nan)
                values[at] = rows[column].astype(float)
                return values

            used[str(use)] = spread("n_used")
            # where all fits converged, the two are the same
            again = used["all"] == used["converged"] if use == "converged" else np.zeros(size, bool)
            needed = {"rate": [], "score": ["mcse"], "normal": ["mcse"]}
            own = needed.get(form, ["mcse", "low", "high"])
            found["fits"][use] = {
                column: columns.add(np.where(again, np.nan, spread(column)), digits)
                for column, digits in (("value", VALUE_DIGITS), *((it, ERROR_DIGITS) for it in own))
            }
            found["fits"][use]["n"] = columns.add(used[str(use)])
            if rows["reason"].any():
                found["fits"][use]["reason"] = columns.add(spread("reason"))
        return found


def form_of(frame: pd.DataFrame) -> tuple[str, str]:
    """What of a measure's standard errors and intervals follows from other columns.

    Returns
    -------
    form : {"rate", "score", "normal", "given"}
    of : {"used", "run"}
        The fits that a rate is a share of.
    """
    rows = frame[frame["mcse"].notna()]
    value, mcse = rows["value"].to_numpy(), rows["mcse"].to_numpy()
    ends = rows[["low", "high"]].to_numpy()

    def alike(expected: Array, given: Array) -> bool:
        return bool(np.allclose(expected, given, rtol=1e-3, atol=1e-9, equal_nan=True))

    if len(rows) and ((value >= 0) & (value <= 1)).all():
        for of in ("used", "run"):
            n = rows[f"n_{of}"].to_numpy(float)
            if not n.all():
                continue
            variance = value * (1 - value)
            if alike(np.sqrt(variance / n), mcse) and alike(wilson(value, n), ends):
                return "rate", of
            certain = (mcse == 0) | (variance == 0)
            flags = np.where(certain, n, variance / np.where(certain, 1.0, mcse) ** 2)
            if alike(wilson(value, flags), ends):
                return "score", of
    normal = value[:, None] + Z95 * np.outer(mcse, [-1, 1])
    return ("normal" if alike(normal, ends) else "given"), "used"


def wilson(share: Array, n: Array) -> Array:
    """Wilson's intervals (n, 2) of shares."""
    return np.stack(wilson_interval(share * n, n), axis=1)


@dataclass
class Replications:
    """Errors and standard errors: boxes of all replications, and the first of them one by one."""

    boxes: list[pd.DataFrame] = field(default_factory=list)
    raw: list[Array] = field(default_factory=list)

    def add(self, values: Array, n_raw: int) -> None:
        """Add a condition's values, (n_run, n_strategies, n_terms)."""
        n_boxes = values.shape[1] * values.shape[2]
        flat = values.reshape(len(values), n_boxes)
        frame = pd.DataFrame({"box": np.tile(np.arange(n_boxes), len(flat)), "value": flat.ravel()})
        self.boxes.append(box_statistics(frame, ["box"]).reindex(range(n_boxes)))
        first = np.full((n_boxes, n_raw), np.nan)
        first[:, : len(flat)] = flat[:n_raw].T
        self.raw.append(first)

    def columns(self, columns: Columns) -> Json:
        """The places of their columns, and single ones as bytes: steps from ``low`` to ``high``."""
        boxes = pd.concat(self.boxes)
        found = {
            name: columns.add(boxes[name].to_numpy(float), ERROR_DIGITS)
            for name in ("n", "q1", "med", "q3", "whislo", "whishi")
        }
        raw = np.concatenate(self.raw)
        low, high = (limit.reduce(raw, axis=1, initial=np.nan) for limit in (np.fmin, np.fmax))
        with np.errstate(invalid="ignore", divide="ignore"):
            steps = (raw - low[:, None]) / (high - low)[:, None] * STEPS
        # where all are the same, there is no range; what is missing is one step beyond it
        steps = np.where(np.isnan(raw), STEPS + 1, np.where(np.isnan(steps), 0, np.rint(steps)))
        found |= {"low": columns.add(low, VALUE_DIGITS), "high": columns.add(high, VALUE_DIGITS)}
        return found | {"raw": base64.b64encode(steps.astype(np.uint8).tobytes()).decode()}


def runs(study: Study, fits: Path, coefs: Path, columns: Columns) -> Json:
    """What single replications say: errors, one dataset of each condition, and warnings."""
    names = names_of_axes(study)
    n_strategies = len(study.strategies)
    longest = max(int(one["n_predictors"]) for one in study.conditions) + 1
    n_raw = MOST_RAW // (len(study.conditions) * n_strategies * longest)
    n_raw = int(np.clip(n_raw, FEWEST_IN_A_BOX, min(MOST_REPLICATIONS, study.n_sims)))
    known = {
        tuple(tables.levels(study.axes, one).values()): place
        for place, one in enumerate(study.conditions)
    }
    errors, ses, complaints = Replications(), Replications(), Complaints(study)
    datasets: list[Json | None] = [None] * len(study.conditions)
    with tables.naming(fits, "fits"), tables.naming(coefs, "coefs"):
        keys = pq.read_table(fits, columns=names, use_threads=False)
        found = [(known[key], length) for key, length in runs_of(keys)]
        there = dict(found)
        of_fits = portions(fits, [length for _, length in found])
        lengths = [
            length * (int(study.conditions[place]["n_predictors"]) + 1) for place, length in found
        ]
        of_coefs = portions(coefs, lengths)
        for place, one in enumerate(study.conditions):
            n_terms = int(one["n_predictors"]) + 1
            blank = np.full((there.get(place, 0) // n_strategies, n_strategies, longest), np.nan)
            values = {name: blank.copy() for name in NEEDED}
            if place in there:
                fit_rows, coef_rows = next(of_fits), next(of_coefs)
                for name in NEEDED:
                    column = coef_rows[name].cast(pa.float64()).to_numpy()
                    values[name][..., :n_terms] = column.reshape(-1, n_strategies, n_terms)
                complaints.add(place, fit_rows)
                sim = fit_rows["sim"][0].as_py()
                datasets[place] = one_dataset(study, one, sim, values)
            errors.add(values["estimate"] - values["truth"], n_raw)
            ses.add(values["se"], n_raw)
    return {
        "raw": n_raw,
        "steps": STEPS,
        "longest": longest,
        "replications": {"error": errors.columns(columns), "se": ses.columns(columns)},
        "datasets": datasets,
        "complaints": complaints.found(),
    }


NEEDED = ("truth", "estimate", "se", "ci_low", "ci_high")
"""Columns of ``coefs``."""


def one_dataset(study: Study, one: Condition, sim: int, values: Mapping[str, Array]) -> Json:
    """A dataset of a condition, thinned, and what each strategy says of it."""
    terms = int(one["n_predictors"]) + 1
    found: Json = {
        "sim": sim,
        "truth": short(values["truth"][0, 0, :terms]),
        **{
            name: [short(row) for row in values[name][0, :, :terms]]
            for name in ("estimate", "ci_low", "ci_high")
        },
    }
    if one.n_groups * one.n_obs > LARGEST_DATASET:
        return found
    simulated = simulate(study.seed, one, sim)
    data = simulated.data
    most = max(MOST_OF_ONE, MOST_DATA // (len(study.conditions) * terms))
    persons = min(data.n_groups, MOST_PERSONS, max(1, most // 4))
    rows = [
        np.flatnonzero(data.groups == person)[: max(1, min(MOST_OF_ONE, most // persons))]
        for person in range(persons)
    ]
    chosen = np.concatenate(rows)
    return found | {
        "terms": list(data.terms),
        "groups": data.n_groups,
        "sizes": [int((data.groups == person).sum()) for person in range(persons)],
        "of": data.groups[chosen].tolist(),
        "y": short(data.y[chosen], DATA_DIGITS),
        "x": [short(data.X[chosen, k], DATA_DIGITS) for k in range(1, len(data.terms))],
        "own": [short(row, DATA_DIGITS) for row in simulated.coefficients[:persons]],
    }


def short(values: Iterable[float], digits: int = VALUE_DIGITS) -> list[float | int | None]:
    """Numbers, rounded."""
    return [rounded_number(float(value), digits) for value in values]


@dataclass
class Complaints:
    """How many fits have a warning or failed and why, and some of them one by one."""

    study: Study
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    rows: dict[tuple[str, str], list[Json]] = field(default_factory=dict)

    def add(self, condition: int, fits: pa.Table) -> None:
        """Add the rows of a condition."""
        columns = fits.select(["sim", "strategy", *COLUMNS])
        table = columns.append_column("cause", causes(columns))
        for (strategy, cause), number in (
            table.group_by(["strategy", "cause"])
            .aggregate([("sim", "count")])
            .to_pandas()
            .set_index(["strategy", "cause"])["sim_count"]
            .items()
        ):
            key = strategy, cause
            self.counts[key] = self.counts.get(key, 0) + int(number)
        said = table.filter(pa.compute.not_equal(table["cause"], "none"))
        for row in said.to_pylist():
            key = row["strategy"], row["cause"]
            own = self.rows.setdefault(key, [])
            if len(own) < MOST_COMPLAINTS:
                parts = ("grad_msg", "hess_msg", "df_msg", "messages")
                message = "; ".join(row[part] for part in parts if row[part])
                own.append({"condition": condition, "sim": row["sim"], "message": message})

    def found(self) -> Json:
        """Counts by strategy and cause, and rows, the gravest causes first."""
        names = [one.name for one in self.study.strategies]
        gravest_first = [cause for cause in reversed(CAUSES) if cause != "none"]
        kinds = [
            (strategy, cause)
            for cause, strategy in itertools.product(gravest_first, names)
            if (strategy, cause) in self.rows
        ]
        here = list(dict.fromkeys(cause for _, cause in kinds))
        sizes = np.array([len(self.rows[kind]) for kind in kinds])
        # as many of each as leave room for all kinds
        most = next(
            k
            for k in range(MOST_COMPLAINTS, -1, -1)
            if np.minimum(sizes, k).sum() <= MOST_COMPLAINTS
        )
        messages: dict[str, int] = {}
        rows: list[list[int]] = []
        for strategy, cause in kinds:
            for row in self.rows[strategy, cause][:most]:
                message = messages.setdefault(row["message"], len(messages))
                rows.append(
                    [
                        names.index(strategy),
                        here.index(cause),
                        *(row["condition"], row["sim"], message),
                    ]
                )
        shown = ("none", *here)
        counts = [[self.counts.get((one, cause), 0) for cause in shown] for one in names]
        return {
            "texts": [CAUSES[cause] for cause in shown],
            "counts": counts,
            "total": sum(sum(row[1:]) for row in counts),
            "summary": self.summary(dict(zip(shown, np.sum(counts, axis=0).tolist(), strict=True))),
            "rows": rows,
            "messages": list(messages),
        }

    def summary(self, number: Mapping[str, int]) -> str:
        """What became of the fits, failures apart from what is a warning only.

        Parameters
        ----------
        number : mapping of str to int
            Fits by their gravest cause.
        """
        total, failed = sum(number.values()), number.get("failed", 0)
        singular = number.get("singular", 0)
        others = total - number["none"] - failed - singular
        lines = [
            f"Of {words.counted(total, 'fit')}, "
            + (f"{failed:,} gave no estimates: these failed." if failed else "none failed.")
        ]
        if singular:
            verdicts = {one.verdict for one in self.study.strategies}
            lines.append(
                f"{words.counted(singular, 'fit')} {'is' if singular == 1 else 'are'} singular: "
                f"{words.SINGULAR}. That is no failure: the estimates can be used."
            )
            if len(verdicts) == 1:
                lines.append(COUNTED[verdicts.pop()])
        if others:
            lines.append(f"{words.counted(others, 'fit')} gave estimates with another warning.")
        return " ".join(lines)


COUNTED = {
    "strict": "By the study’s rule such a fit does not count as converged, as any with a warning.",
    "published": "By the study’s rule such a fit counts as converged.",
}
"""What a verdict makes of singular fits."""


def facts(study: Study, made_with: Mapping[str, str], fits: Path) -> Json:
    """The line of facts under the page's title."""
    versions = {name: words.listed(it) for name, it in json.loads(made_with["versions"]).items()}
    n_fits = pq.read_metadata(fits).num_rows
    engines = list(dict.fromkeys(one.engine for one in study.strategies))
    programs = [
        f"{name} {versions[key]}"
        for key, name in (("R", "R"), ("lme4", "lme4"), ("statsmodels", "statsmodels"))
        if key in versions
    ]
    programs.append(f"numpy {versions.get('numpy', '')}".strip())
    if "native" in engines:
        programs.insert(0, "native engine")
    sizes = sorted(set(study.sizes.values()))
    replications = words.counted(sizes[-1], "dataset")
    if study.precision:
        replications = f"up to {replications}"
    elif len(sizes) > 1:
        replications = f"{sizes[0]:,} to {replications}"
    written = datetime.datetime.fromtimestamp(fits.stat().st_mtime, tz=datetime.UTC)
    return {
        "conditions": words.counted(len(study.conditions), "condition"),
        "replications": replications,
        "fits": words.counted(n_fits, "fit"),
        "strategies": words.counted(len(study.strategies), "strategy"),
        "programs": ", ".join(programs),
        "date": f"{written:%-d %B %Y}",
        "incomplete": made_with.get("incomplete", ""),
        "versions": versions,
    }
