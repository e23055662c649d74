"""Datasets that are known from elsewhere, as the tests of strategies use them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from rmsweep.data.dataset import Dataset

FOLDER = Path(__file__).parent / "data"
"""What `make_data.R` there wrote."""
EXAMPLE = Path(__file__).parents[1] / "examples" / "sleepstudy.csv"


@cache
def known(name: str) -> Dataset:
    """One of lme4's ``sleepstudy``, nlme's ``Ovary`` and ``IGF``, and R's ``ChickWeight``.

    18 groups of 10 rows, 11 groups of 25 to 31, 10 groups of 4 to 39, and 50 groups of 2 to 12.
    """
    frame = pd.read_csv(EXAMPLE if name == "sleepstudy" else FOLDER / f"{name.lower()}.csv")
    if name == "Ovary":
        cycle = 2 * np.pi * frame["Time"]
        frame = frame.assign(s=np.sin(cycle), c=np.cos(cycle))
    response, slopes, group = {
        "sleepstudy": ("Reaction", ["Days"], "Subject"),
        "Ovary": ("follicles", ["s", "c"], "Mare"),
        "IGF": ("conc", ["age"], "Lot"),
        "ChickWeight": ("weight", ["Time"], "Chick"),
    }[name]
    return Dataset(
        y=frame[response].to_numpy(dtype=float),
        X=np.column_stack([np.ones(len(frame)), frame[slopes]]),
        factors={group: frame[group].factorize(sort=True)[0]},
        terms=("Intercept", *slopes),
        response=response,
    )
