"""Names of a user's own, and words that can stand for them in any program."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

RESERVED = ("if", "else", "repeat", "while", "function", "for", "next", "break", "in")
"""Words that R's parser takes for its own wherever they stand."""
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*")
TAKEN = {*RESERVED, "TRUE", "FALSE", "NULL", "Inf", "NaN", "NA", "T", "F", "pi", "Intercept"}


class Names:
    """Names that are plain words, each once.

    Parameters
    ----------
    taken : iterable of str
        Names that there are, as R spells them.

    Attributes
    ----------
    spelled : dict of str to str
        What words stand for that had to be made.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self.spelled: dict[str, str] = {}
        self._taken = set(taken)
        self._given: set[str] = set()

    def column(self, name: str) -> str:
        """A word for a column of a design."""
        return "Intercept" if name == "(Intercept)" else self.plain(name)

    def plain(self, name: str) -> str:
        """A word for a name: itself if it is one that is free."""
        word = name
        if not is_plain(name) or name in self._given:
            unused = (f"V{number}" for number in itertools.count(1))
            word = next(it for it in unused if it not in self._taken)
            self.spelled[word] = name
        self._taken.add(word)
        self._given.add(word)
        return word


def is_plain(name: str) -> bool:
    """Whether a name is a word that means nothing else to any program."""
    return bool(PLAIN.fullmatch(name)) and name not in TAKEN
