"""Options of the pieces that a scenario is made of."""

from __future__ import annotations


class OptionError(ValueError):
    """An option that a piece can't have: one line with its name, its value, what is allowed."""


def require(good: bool, name: str, value: object, allowed: str) -> None:
    """Refuse the value of an option.

    Raises
    ------
    OptionError
        If it is not good.
    """
    if not good:
        raise OptionError(f"{allowed} for {name}, not {value!r}")
