"""What the post's three sums over the coefficients of a fit are called."""

from __future__ import annotations

from typing import NamedTuple


class Text(NamedTuple):
    """The title of a figure, and what it shows."""

    title: str
    label: str


TEXTS = {
    "coef_abs_err": Text("Coefficient recovery", "Sum of absolute errors of the coefficients"),
    "se_sum": Text("Standard errors", "Sum of standard errors of the coefficients"),
    "t_sum": Text("t statistics", "Sum of absolute t statistics of the coefficients"),
}
