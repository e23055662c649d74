"""The figures of a study: their names, how their panels are laid out, and their files.

The workflow reads this as well as what draws, so it imports nothing that draws.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rmsweep.design import LONGEST_NAME, MAIN, Condition, Study, Value, digest
from rmsweep.errors import UsageError
from rmsweep.sweep.tables import METRICS

NAMES = (
    *METRICS,
    *("ratios", "bias", "standard_errors", "coverage", "zip", "size"),
    *("power", "size_adjusted_power"),
    *("agreement", "cost", "convergence", "nested_loop", "claims"),
    *("coefficients", "grid"),
)
"""All figures."""
WHOLE = ("nested_loop",)
"""Those of a whole study; the others are drawn for each of its slices."""
OF_EFFECTS = ("power", "size_adjusted_power")
EFFECTS = "beta"
"""The axis that these are drawn against."""
POST = (*METRICS, "convergence", "coefficients", "grid")
"""Those that the post has, too."""
KINDS = ("png", "svg")
"""What the workflow makes of each figure."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which axis of a study goes where: down the rows of panels, across their columns, along x."""

    rows: str
    columns: str
    x: str

    @classmethod
    def of(cls, study: Study, rows: str = "", columns: str = "", x: str = "") -> Layout:
        """The layout of a study's figures.

        The main axes have the places; one with a single level leaves its place to a further axis.
        An axis with several levels is along x if there is any.

        Parameters
        ----------
        study : Study
        rows, columns, x : str
            Axes that are wanted there. One that had another place swaps the two.

        Raises
        ------
        UsageError
            If the study has no such axis.
        """
        names = [axis.name for axis in study.axes]
        waiting = [name for name in names if name not in MAIN]
        places = dict(zip(("rows", "columns", "x"), MAIN, strict=True))
        for place in ("x", "columns", "rows"):
            if waiting and len(study.levels(places[place])) == 1:
                places[place] = waiting.pop(0)
        for place in ("columns", "rows"):
            # panels of one level each would be nothing but rows of panels
            if len(study.levels(places["x"])) == 1 < len(study.levels(places[place])):
                places["x"], places[place] = places[place], places["x"]
        for place, wanted in {"rows": rows, "columns": columns, "x": x}.items():
            if wanted and wanted not in names:
                raise UsageError(f"--{place}: {wanted!r}; allowed: {', '.join(names)}")
            for other, axis in places.items():
                if wanted and axis == wanted:
                    places[other] = places[place]
            places[place] = wanted or places[place]
        return cls(**places)

    @property
    def axes(self) -> tuple[str, str, str]:
        """All three."""
        return self.rows, self.columns, self.x


def layout(study: Study, name: str) -> Layout:
    """How the panels of a figure are laid out, unless somebody wants another way.

    Power is drawn against the effects, if there are several, or against the number of groups, if
    the study asks for that.
    """
    if name == "power" and study.power:
        return Layout.of(study, x=MAIN[0])
    varied = name in OF_EFFECTS and any(axis.name == EFFECTS for axis in study.axes)
    return Layout.of(study, x=EFFECTS if varied else "")


def slices(study: Study, name: str) -> dict[str, list[Condition]]:
    """The slices of a study that a figure is drawn for, by name.

    Those of effects are drawn where there is one: elsewhere rejections are false positives, which
    have a figure of their own.
    """
    if name in WHOLE:
        return {"": list(study.conditions)}
    found = study.slices(layout(study, name).axes)
    if name not in OF_EFFECTS:
        return found
    return {part: own for part, own in found.items() if any_effect(own)}


def any_effect(conditions: Iterable[Condition]) -> bool:
    """Whether a true slope is not zero, or an intercept that is the only coefficient."""
    return any(has_effect(condition["beta"]) for condition in conditions)


def has_effect(beta: Value) -> bool:
    """Whether true coefficients, as a condition has them, are an effect."""
    if isinstance(beta, tuple):
        return any(beta[1:] or beta)
    return bool(beta)


def paths(folder: Path, name: str, parts: Iterable[str]) -> list[Path]:
    """The files of a figure; those of a slice are in a folder of its own (`folder_of`)."""
    return [folder / folder_of(part) / f"{name}.{kind}" for part in parts for kind in KINDS]


def folder_of(part: str) -> str:
    """The folder of a slice: its name, or a digest of that where no file could have such a name."""
    return part if len(part) <= LONGEST_NAME else digest(part)
