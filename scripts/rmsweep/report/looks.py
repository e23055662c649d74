"""How analyses look on the page: colours for light and dark grounds, and shapes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rmsweep.design import Strategy
from rmsweep.figures import colours

GROUND = {"light": "#ffffff", "dark": "#14171c"}
CONTRAST = 4.5
"""Of a colour that is lightened for the dark ground; 3 is what points and lines need."""

# Under four kinds of sight these are 43 units of CIELAB apart, or more, and 3.2:1 on the ground.
DARK = {"#074076": "#1266cc", "#b69012": "#e1b22b", "#12a773": "#12ffd1", "#5f080f": "#c14650"}
"""The dark ground's colours in the place of those that give the post's four theirs."""


def polygon(corners: int, turn: float = 0.0, inner: float = 1.0) -> str:
    """An SVG path as Vega's custom shapes are: in a square from -1 to 1.

    Parameters
    ----------
    corners : int
    turn : float
        Degrees by which the first corner is turned away from the top.
    inner : float
        Radius of every second corner, for stars.
    """
    angles = np.deg2rad(turn - 90.0 + 360.0 / corners * np.arange(corners))
    radii = np.where(np.arange(corners) % 2, inner, 1.0)
    points = zip(radii * np.cos(angles), radii * np.sin(angles), strict=True)
    return f"M{'L'.join(f'{x:.3f},{y:.3f}' for x, y in points)}Z"


SHAPES = {
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "D": "diamond",
    "v": "triangle-down",
    "P": "cross",
    "X": "M-1,-.5L-.5,-1L0,-.5L.5,-1L1,-.5L.5,0L1,.5L.5,1L0,.5L-.5,1L-1,.5L-.5,0Z",
    "<": "triangle-left",
    ">": "triangle-right",
    "p": polygon(5),
    "h": polygon(6),
    "*": polygon(10, inner=0.45),
    "d": "M0,-1L.55,0L0,1L-.55,0Z",
    "8": polygon(8, turn=22.5),
}
"""Vega's names and paths for matplotlib's markers."""


def looks(strategies: Sequence[Strategy]) -> list[dict[str, str]]:
    """Colours and shape of each strategy: ``light``, ``dark`` and ``shape``."""
    found = colours.looks(strategies)
    return [
        {
            "light": found[one.name].colour.lower(),
            "dark": on_dark(found[one.name].colour.lower()),
            "shape": SHAPES[found[one.name].marker],
        }
        for one in strategies
    ]


def on_dark(colour: str) -> str:
    """The colour that takes another one's place on the dark ground."""
    if colour in DARK:
        return DARK[colour]
    lighter = (colours.blend(colour, "#ffffff", share) for share in np.linspace(0, 0.9, 19))
    return next(one for one in lighter if contrast(one, GROUND["dark"]) >= CONTRAST)


def contrast(one: str, other: str) -> float:
    """Contrast of two colours (Web Content Accessibility Guidelines 2.2)."""
    light, dark = sorted(map(luminance, (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance of an sRGB colour such as ``#0072b2``."""
    channels = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
