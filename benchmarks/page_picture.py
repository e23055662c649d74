"""Take a picture of a part of a study's page, as Chromium shows it, for the README.

Needs Chromium and its driver, which `make setup-dev` installs::

    python benchmarks/page_picture.py results/config/report.html docs/figures/page.png
"""

from __future__ import annotations

import argparse
import base64
import io
import time
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

ARGUMENTS = (
    *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"),
    *("--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND"),
)
DEADLINE = 120.0
"""Seconds until the page has to be drawn."""
WHERE = """
const [from, to] = [...arguments].map((it) => document.querySelector(it).getBoundingClientRect());
return {x: 0, y: from.top + scrollY, width: innerWidth, height: to.bottom - from.top, scale: 1};
"""
SHADES = 64


def picture(page: Path, view: str, width: int, start: str, end: str) -> Image.Image:
    """A view of the page, from the top of one element to the bottom of another.

    Parameters
    ----------
    page : Path
    view : str
        The state of the explorer, as after ``#`` in the page's address.
    width : int
        Of the window, in pixels.
    start, end : str
        CSS selectors of the two elements.
    """
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for argument in (*ARGUMENTS, f"--window-size={width},1000"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        driver.get(f"{page.resolve().as_uri()}#{view}")
        deadline = time.monotonic() + DEADLINE
        while driver.execute_script("return document.documentElement.dataset.page") != "drawn":
            if time.monotonic() > deadline:
                raise SystemExit(f"{page} was not drawn in {DEADLINE:g} s")
            time.sleep(0.1)
        clip = driver.execute_script(WHERE, start, end)
        shot = {"format": "png", "captureBeyondViewport": True, "clip": clip}
        taken = driver.execute_cdp_cmd("Page.captureScreenshot", shot)
    finally:
        driver.quit()
    with Image.open(io.BytesIO(base64.b64decode(taken["data"]))) as opened:
        return opened.convert("RGB")


def main() -> None:
    """Read the command line; write the picture in few colours."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("page", type=Path, help="report.html of a study")
    parser.add_argument("output", type=Path, help="PNG to write")
    parser.add_argument("--view", default="", help="state, as after # in the page's address")
    parser.add_argument("--width", type=int, default=1100, help="of the window")
    parser.add_argument("--start", default="#explore form", help="CSS selector of the top")
    parser.add_argument("--end", default="#explore figcaption", help="CSS selector of the bottom")
    options = parser.parse_args()
    where = options.view, options.width, options.start, options.end
    few = picture(options.page, *where).quantize(
        SHADES, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
    )
    few.save(options.output, optimize=True)


if __name__ == "__main__":
    main()
