"""The figures of a study that its page shows, with their titles and captions."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from rmsweep.report.page import Picture


class Text(NamedTuple):
    """The title of a figure, and what to see in it."""

    title: str
    caption: str


TEXTS = {
    "ratios": Text("Errors and standard errors over those of a reference analysis", ""),
    "bias": Text("Bias", "A good analysis is at zero."),
    "standard_errors": Text(
        "Reported over actual standard errors",
        "Below 1 an analysis reports standard errors that are too small.",
    ),
    "coverage": Text(
        "Coverage of 95% intervals", "The intervals of a good analysis contain the truth in 95%."
    ),
    "size": Text("Type I error", "A good test rejects the truth in 5% of datasets."),
    "nested_loop": Text("All conditions in one line", ""),
    "zip": Text("Intervals of single datasets", "Those that miss the truth are drawn in colour."),
    "convergence": Text("How many fits converged, and why the others did not", ""),
    "coef_abs_err": Text(
        "Coefficient recovery: sums of absolute errors", "Smaller is better. As in the post."
    ),
    "se_sum": Text(
        "Sums of standard errors",
        "Smaller is better only where the intervals also cover. As in the post.",
    ),
    "t_sum": Text(
        "Sums of absolute t statistics",
        "Larger is not better: it is earned only if the intervals also cover. As in the post.",
    ),
    "agreement": Text("Agreement of decisions between analyses", ""),
    "cost": Text("Time against error", ""),
    "coefficients": Text("Coefficients of the groups", "What the between-group SD means."),
    "grid": Text("The design", ""),
}
"""In the order of the page."""


def pictures(files: Iterable[Path], folder: Path, beside: Path) -> list[Picture]:
    """The figures in the order of the page, slice by slice.

    Parameters
    ----------
    files : iterable of Path
        PNGs; an SVG is beside each.
    folder : Path
        Of the figures; those of a slice of the study are in a folder of the slice's name.
    beside : Path
        The page's folder.
    """
    found = []
    order = list(TEXTS)
    for file in files:
        name, part = file.stem, Path(os.path.relpath(file.parent, folder)).as_posix()
        text = TEXTS.get(name, Text(name.replace("_", " ").capitalize(), ""))
        title = text.title
        if part != ".":
            title += f" ({part.replace('=', ' = ').replace(',', ', ')})"
        path = Path(os.path.relpath(file.with_suffix(""), beside)).as_posix()
        rank = order.index(name) if name in order else len(order)
        found.append((rank, part, Picture(title, text.caption, path, file)))
    return [picture for *_, picture in sorted(found, key=lambda it: it[:2])]
