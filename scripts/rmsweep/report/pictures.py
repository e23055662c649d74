"""The figures of a study that its page shows, with their titles and captions."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rmsweep.axes import of_slice
from rmsweep.design import Study
from rmsweep.figures import names

if TYPE_CHECKING:
    from rmsweep.report.page import Picture


class Text(NamedTuple):
    """The title of a figure, and what to see in it."""

    title: str
    caption: str


TEXTS = {
    "power": Text(
        "Power", "Only a strategy that keeps its type I error rate has earned its power."
    ),
    "coverage": Text(
        "Coverage of 95% intervals", "The intervals of a good strategy contain the truth in 95%."
    ),
    "standard_errors": Text(
        "Reported over actual standard errors",
        "Below 1 a strategy reports standard errors that are too small.",
    ),
    "convergence": Text(
        "Fits with and without a warning", "Warnings by their gravest cause, and missed optima."
    ),
    "size_adjusted_power": Text(
        "Power at an equal type I error rate",
        "What is left of power where all tests make 5% false positives.",
    ),
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
    "ratios": Text(
        "Accuracy compared with a reference strategy",
        "Both see the same datasets. Above 1 the strategy errs more than the reference.",
    ),
    "size": Text("Type I error", "A good test rejects the truth in 5% of datasets."),
    "zip": Text("Intervals of single datasets", "Those that miss the truth are in colour."),
    "nested_loop": Text(
        "All conditions in one line", "Steps below the curves show which condition is which."
    ),
    "cost": Text("Time against error", "Down and to the left is better."),
    "coefficients": Text("Coefficients of the groups", "What the between-group SD means."),
    "grid": Text("The design", "How many datasets and fits the study has."),
    "bias": Text("Bias", "A good strategy is at zero."),
    "agreement": Text(
        "Agreement of decisions", "How often two strategies decide the same at the 5% level."
    ),
    "claims": Text("The claims of the post at a glance", "One row for each claim and its numbers."),
}
"""In the order of the page, which has room for the first of them."""


def pictures(study: Study, files: Iterable[Path], folder: Path, beside: Path) -> list[Picture]:
    """The figures in the order of the page, slice by slice, without those with nothing to show.

    Parameters
    ----------
    study : Study
    files : iterable of Path
        PNGs; an SVG is beside each.
    folder : Path
        Of the figures; those of a slice of the study are in a folder of its own.
    beside : Path
        The page's folder.
    """
    # the workflow reads the titles, and has no need of what makes pages
    from PIL import Image

    from rmsweep.report.page import Picture

    found = []
    order = list(TEXTS)
    for file in files:
        name, part = file.stem, Path(os.path.relpath(file.parent, folder)).as_posix()
        text = TEXTS.get(name, Text(name.replace("_", " ").capitalize(), ""))
        known = {names.folder_of(one): one for one in names.slices(study, name)}
        place = [*known].index(part) if part in known else len(known)
        part = known.get(part, part)
        words = "" if part == "." else of_slice(part) if "=" in part else part
        path = Path(os.path.relpath(file.with_suffix(""), beside)).as_posix()
        rank = order.index(name) if name in order else len(order)
        with Image.open(file) as opened:
            said = opened.info.get("Description", text.caption)
            if "Empty" in opened.info:
                continue
        found.append((rank, place, part, Picture(*text, said, words, path, file)))
    return [picture for *_, picture in sorted(found, key=lambda it: it[:3])]
