"""How strategies look: a family of colours for each kind of analysis, and a shape for each member.

No two strategies share both. Within a family shapes differ, between families colours do, so that
neither a colour-blind reader nor a black-and-white print loses one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import cycle
from typing import NamedTuple

import numpy as np
from matplotlib.colors import to_hex, to_rgb

from rmsweep.design import Strategy


class Look(NamedTuple):
    """A colour, a marker, and the dashes of a line, as matplotlib has them."""

    colour: str
    marker: str
    line: str | tuple[float, tuple[float, ...]] = "-"


class Family(NamedTuple):
    """The colours between which the members of a family are, the first member's first.

    All have a contrast of 3:1 or more on white.
    """

    first: str
    last: str
    marker: str


# The post's order: blue, orange, green, red. For normal sight and three kinds of colour blindness
# (Machado, Oliveira & Fernandes 2009) the first colours are 39 units of CIELAB apart, or more.
FAMILIES = {
    "lm": Family("#074076", "#4C93DB", "o"),
    "lm2": Family("#B69012", "#4F3B00", "s"),
    "lmer": Family("#12A773", "#063D2A", "^"),
    "lmer_mis": Family("#5F080F", "#E0606A", "D"),
}
OF_MODULES = {"least_squares": "lm", "two_stage": "lm2", "mixed": "lmer", "gee_bias_reduced": "gee"}
"""The families of strategies whose names don't say it."""
MOST, MOST_NAMED = 8, 10
"""How many strategies are shown where nobody has chosen any."""
SPARE = (
    Family("#6A3D9A", "#A97FD1", "P"),
    Family("#0B7285", "#22A3BB", "X"),
    Family("#B0368A", "#DD6FBB", "v"),
    Family("#3C3C3C", "#8A8A8A", "p"),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*", "d", "8")
LINES: tuple[str | tuple[float, tuple[float, ...]], ...] = (
    *("-", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (7, 2)), (0, (3, 1, 1, 1, 1, 1))),
)

POST = {"lm": "#0072B2", "lm2": "#E69F00", "lmer": "#009E73", "lmer_mis": "#A3151F"}
POST_SPARE = ("#8FD0F5", "#1A1A1A", "#A6761D", "#CC79A7")
"""The colours that the post's figures have, as far as readers can tell them apart."""


def family_of(strategy: Strategy) -> str:
    """The family whose colours a strategy has: by its name, as far as that says it."""
    named = [name for name in FAMILIES if f"{strategy.origin}_".startswith(f"{name}_")]
    return max(named, key=len, default=OF_MODULES.get(strategy.family, strategy.family))


def looks(strategies: Sequence[Strategy], post: bool = False) -> dict[str, Look]:
    """The look of each strategy by its name; the post's four have theirs in any company.

    Parameters
    ----------
    strategies : sequence of Strategy
        All of a study, so that a strategy looks the same whichever of them are shown.
    post : bool
        Whether to use the colours of the post.
    """
    if post:
        post_spare = cycle(POST_SPARE)
        return {
            strategy.name: Look(POST.get(strategy.name) or next(post_spare), "o")
            for strategy in strategies
        }
    spare = cycle(SPARE)
    found: dict[str, Look] = {}
    for name, own in families(strategies).items():
        family = FAMILIES.get(name) or next(spare)
        # the one that gave the family its name comes first
        own = sorted(own, key=lambda strategy: strategy.name != name)
        start = MARKERS.index(family.marker)
        # places that are taken leave the first member's colour to it
        first = int(name in FAMILIES and own[0].name != name)
        for place, strategy in enumerate(own, start=first):
            colour = blend(family.first, family.last, halving(place))
            marker = MARKERS[(start + place) % len(MARKERS)]
            found[strategy.name] = Look(colour, marker, LINES[place % len(LINES)])
    return {strategy.name: found[strategy.name] for strategy in strategies}


def halving(place: int) -> float:
    """0, 1, 1/2, 1/4, 3/4, 1/8 ...: wherever the sequence ends, its values are far apart."""
    if place < 2:
        return float(place)
    level = (place - 1).bit_length()
    return (2.0 * (place - 1) - 2.0**level + 1.0) / float(2**level)


def blend(first: str, last: str, share: float) -> str:
    """The colour at a share of the way from the first to the last."""
    ends = np.array([to_rgb(first), to_rgb(last)])
    mixed: str = to_hex(ends[0] + share * (ends[1] - ends[0]))
    return mixed


def families(strategies: Sequence[Strategy]) -> dict[str, list[Strategy]]:
    """The strategies by the family whose colours they have, in their order."""
    found: dict[str, list[Strategy]] = {}
    for strategy in strategies:
        found.setdefault(family_of(strategy), []).append(strategy)
    return found


def sensible(strategies: Sequence[Strategy], named: Sequence[str] = ()) -> list[str]:
    """At most `MOST` strategies, or `MOST_NAMED` if a text names as many, in their order.

    The named ones come first: of more than there is room for the first of each family, then those
    of all families in turn. Then come those that differ most. Of each family the one that gave it
    its name comes first, or else its first one; then family by family those with a fit of their
    own, before those that make something else of the same fit.

    Parameters
    ----------
    strategies : sequence of Strategy
    named : sequence of str
        Those that a text beside the picture is about, the more important first.
    """
    places = {one.name: place for place, one in enumerate(strategies)}
    ranks = []
    firsts, kin = set(), {}
    for name, own in families(strategies).items():
        fits: list[object] = []
        shared = 0
        for one in sorted(own, key=lambda one: one.name != name):
            again = one.fit_key in fits
            ranks.append((again, shared if again else len(fits), places[one.name], one.name))
            if not fits:
                firsts.add(one.name)
            kin[one.name] = name
            shared += again
            fits += [] if again else [one.fit_key]
    seen: Counter[str] = Counter()
    turns = []
    for name in dict.fromkeys(named):
        turns.append((0 if name in firsts else 1 + seen[kin[name]], name))
        seen[kin[name]] += 1
    by_turn = [name for _, name in sorted(turns, key=lambda turn: turn[0])]
    most = max(MOST, min(len(turns), MOST_NAMED))
    chosen = list(dict.fromkeys([*by_turn, *(name for *_, name in sorted(ranks))]))[:most]
    return [one.name for one in strategies if one.name in chosen]
