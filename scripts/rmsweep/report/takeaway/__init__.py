"""The study's answer in a few sentences, made by rules from its table of measures.

Each part of it has a file of its own: a function of what is measured gives its sentences.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from rmsweep.design import Study
from rmsweep.report.takeaway.choice import of_choice
from rmsweep.report.takeaway.estimates import of_estimates
from rmsweep.report.takeaway.fits import of_fits
from rmsweep.report.takeaway.limits import of_limits
from rmsweep.report.takeaway.measured import Measured
from rmsweep.report.takeaway.power import of_power, of_sample_sizes
from rmsweep.report.takeaway.trust import of_tests


class Point(NamedTuple):
    """One part of the answer: what it is about, and sentences with strategies in backquotes."""

    lead: str
    text: str


def takeaway(study: Study, folder: Path) -> list[Point]:
    """What a study answers, and what it can't.

    Parameters
    ----------
    study : Study
    folder : Path
        Of its table ``performance``.

    Raises
    ------
    UsageError
        If that can't be read.
    """
    measured = Measured.read(study, folder / "performance.parquet")
    found = {
        "Tests": of_tests(measured),
        "Estimates": of_estimates(measured),
        "Power": [*(of_sample_sizes(measured) if study.power else ()), *of_power(measured)],
        "Fits": of_fits(measured),
        "Which to use": of_choice(measured),
        "Limits": of_limits(measured),
    }
    texts = {lead: " ".join(sentences) for lead, sentences in found.items()}
    return [Point(lead, text) for lead, text in texts.items() if text]
