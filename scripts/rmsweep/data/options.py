"""Options of the pieces that a scenario is made of."""

from __future__ import annotations


class NotAllowedError(ValueError):
    """A name or an option that a study can't have; its words say what is allowed."""


def require(good: bool, name: str, allowed: str) -> None:
    """Refuse the value of an option.

    Raises
    ------
    NotAllowedError
        If it is not good.
    """
    if not good:
        raise NotAllowedError(f"for {name} {allowed}")
