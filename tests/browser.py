"""A page in a browser without a network."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

DEADLINE = 60.0
"""Seconds after which a test gives up; a page takes one or two."""
AXE = Path(__file__).parent / "axe" / "axe.min.js"
ARGUMENTS = (
    *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1280,1000", "--disable-gpu"),
)
# a file from disk has the origin null, which the addresses of its blobs begin with
STRANGE = re.compile(r"(?<!blob:)\b(NaN|undefined|null|Infinity|\[object)\b")
TYPED = """const found = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const it = texts.currentNode;
        if (it.parentElement.closest("script, noscript, style, code, pre, textarea")) continue;
        if (/\\w'|"/.test(it.textContent)) found.push(it.textContent.trim());
    }
    return found"""
"""Texts with the apostrophes or quotation marks of a typewriter."""
FOCUSABLE = """return [...document.querySelectorAll(
    "a[href], button, select, input, summary, textarea, [tabindex='0']")]
    .filter((it) => !it.disabled && it.tabIndex >= 0 && it.checkVisibility())
    .map((it, place) => (it.dataset.stop = String(place)))"""
APPEARANCES = {
    "light": {},
    "dark": {"features": [{"name": "prefers-color-scheme", "value": "dark"}]},
    "phone": {},
}


class Page:
    """The page in a browser of its own."""

    def __init__(self, path: Path, downloads: Path) -> None:
        options = Options()
        options.binary_location = "/usr/bin/chromium"
        for argument in ARGUMENTS:
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.address, self.downloads = path.as_uri(), downloads
        self.cdp("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))

    def cdp(self, command: str, **parameters: Any) -> Any:
        """Give the browser a command of its own protocol."""
        return self.driver.execute_cdp_cmd(command, parameters)

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page."""
        return self.driver.execute_script(script, *arguments)

    def until(self, condition: Callable[[], Any]) -> Any:
        """Wait for a condition; fail if it does not come true."""
        end = time.monotonic() + DEADLINE
        while not (found := condition()):
            assert time.monotonic() < end, self.console()
            time.sleep(0.02)
        return found

    def drawn(self) -> None:
        """Wait until all is drawn."""
        self.until(lambda: self.run("return document.documentElement.dataset.page") == "drawn")

    def open(self, hash_: str = "", path: Path | None = None) -> None:
        """Open the page anew."""
        self.driver.get("about:blank")
        self.driver.get((path.as_uri() if path else self.address) + hash_)
        self.drawn()

    def set(self, name: str, value: str) -> None:
        """Choose an option, as a user does."""
        script = """
            const select = document.getElementById(arguments[0]);
            const options = [...select.options].filter((it) => !it.disabled);
            if (!options.some((it) => it.value === arguments[1])) throw Error("no such option");
            select.value = arguments[1];
            select.dispatchEvent(new Event("change", {bubbles: true}));
        """
        self.run(script, name, value)
        self.drawn()

    def options(self, name: str) -> list[str]:
        """The options that can be chosen."""
        script = """return [...document.getElementById(arguments[0]).options]
            .filter((it) => !it.disabled).map((it) => it.value)"""
        found: list[str] = self.run(script, name)
        return found

    def marks(self, chart: str = "explorer") -> list[str]:
        """What the points of a chart say of themselves."""
        script = """return [...document.querySelectorAll(`#${arguments[0]} path[aria-label]`)]
            .map((it) => it.getAttribute("aria-label")).filter((it) => it)"""
        found: list[str] = self.run(script, chart)
        return found

    def click(self, name: str) -> None:
        """Click on something."""
        self.driver.find_element(By.ID, name).click()

    def download(self, button: str, name: str) -> Path:
        """Click on a button; give the file that it downloads."""
        path = self.downloads / f"paged-{name}"
        path.unlink(missing_ok=True)
        self.click(button)
        self.until(path.exists)
        return path

    def console(self) -> list[str]:
        """What the browser complained of since it was asked last."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def controls_by_tab(self) -> int:
        """Tab reaches every control, in order; give their number."""
        stops = self.run(FOCUSABLE)
        self.driver.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
        reached = []
        for _ in stops:
            reached.append(self.run("return document.activeElement.dataset.stop"))
            self.driver.switch_to.active_element.send_keys(Keys.TAB)
        assert reached == stops
        return len(stops)

    @contextmanager
    def appearing(self, appearance: str) -> Iterator[None]:
        """Let pages appear as on a light or dark screen, or on a phone."""
        self.cdp("Emulation.setEmulatedMedia", **APPEARANCES[appearance])
        if appearance == "phone":
            size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
            self.cdp("Emulation.setDeviceMetricsOverride", **size)
        try:
            yield
        finally:
            self.cdp("Emulation.setEmulatedMedia", features=[])
            self.cdp("Emulation.clearDeviceMetricsOverride")

    def can_be_used_by_all(self) -> None:
        """Nothing keeps anybody out, is wider than the screen, or has small letters."""
        self.run("for (const it of document.querySelectorAll('details')) it.open = true")
        self.run(AXE.read_text())
        script = """const done = arguments[arguments.length - 1];
            axe.run(document, {resultTypes: ["violations"]}).then((found) => done(
                found.violations.filter((it) => ["serious", "critical"].includes(it.impact))
                    .map((it) => [it.id, it.help, it.nodes.map((node) => node.html)])))"""
        assert self.driver.execute_async_script(script) == []
        wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert self.run(wide) <= 0
        smallest = """return Math.min(12, ...[...document.querySelectorAll(".chart text")]
            .map((it) => parseFloat(getComputedStyle(it).fontSize)))"""
        assert self.run(smallest) >= 12
