"""The page as one file: data, libraries, texts and pictures, compressed."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
import jinja2
import vl_convert
from markupsafe import Markup, escape
from PIL import Image

from rmsweep.design import Study
from rmsweep.report import data, findings, methods, specs, words
from rmsweep.report.looks import GROUND

FOLDER = Path(__file__).parent
TEMPLATE, STYLE, SCRIPT, SHARED = "page.html.j2", "page.css", "page.js", "base.js"
TABLES, LICENCES = "vendor/dataTables.min.js", "vendor/dataTables.LICENCE.txt"
VEGA_LICENCES = "vendor/vega.LICENCES.txt"

QUESTION = "Which analysis should you trust when the same people are measured many times?"
LIGHT = {
    **{"ground": GROUND["light"], "panel": "#f5f7f9", "ink": "#1f2328", "soft": "#57606a"},
    **{"faint": "#8b949e", "rule": "#d8dee4", "edge": "#6e7781", "band": "#e4e8ec"},
    **{"link": "#0550ae", "alarm": "#b00000"},
}
DARK = {
    **{"ground": GROUND["dark"], "panel": "#1c2128", "ink": "#e6edf3", "soft": "#a9b4c0"},
    **{"faint": "#7d8590", "rule": "#343b44", "edge": "#7d8590", "band": "#2a313a"},
    **{"link": "#6cb6ff", "alarm": "#b00000"},
}
LARGEST = 1_490_000
"""Bytes of a page: Chromium opens no data: URL above 2 MiB, and Snakemake's report uses those."""
LEAST_PICTURES = 150_000
"""Bytes, encoded, that a page has for figures, however large the study is."""
SCALE = 0.5
"""Pixels of the page per pixel of a figure's file: letters of all figures have the same size."""
PIXELS, SHADES = 840, 64
"""Width and number of colours of a figure that is no drawing in the page."""
MARKUP = 1200
"""Bytes around the image of a figure."""


class Picture(NamedTuple):
    """A figure of the study.

    Attributes
    ----------
    title, short, caption : str
        What it is, what to see in it in general, and what it says of itself.
    path : str
        Of its files, without the suffix, from the page's folder.
    file : Path
        The PNG.
    """

    title: str
    short: str
    caption: str
    path: str
    file: Path


def html(
    study: Study,
    folder: Path,
    table: Mapping[str, str],
    made_with: Mapping[str, str],
    pictures: Sequence[Picture] = (),
) -> str:
    """The page of a study.

    Parameters
    ----------
    study : Study
    folder : Path
        Of its tables.
    table : mapping of str to str
        What its tables say of themselves.
    made_with : mapping of str to str
        What the page says of itself.
    pictures : sequence of Picture
        Figures to show.

    Raises
    ------
    UsageError
        If a table can't be read.
    """
    fits = folder / "fits.parquet"
    shown = data.page_data(study, folder)
    known = data.facts(study, table, fits)
    shown |= {
        "specs": specs.specs(),
        "program": known["programs"],
        "config": f"config/{study.name}.yaml",
    }
    sections = methods.sections(study, fits, table)
    strategies = shown["strategies"]
    found = findings.findings(study, folder, shown)
    contents = [
        *([("findings", "What the study says")] if found else []),
        ("explore", "Explore"),
        ("one", "One condition"),
        *([("figures", "Figures")] if pictures else []),
        ("numbers", "Numbers"),
        ("fit-complaints", "Fits that complained"),
        ("methods", "Methods"),
        ("cite", "How to cite"),
        ("licences", "Licences"),
    ]
    render = partial(
        template(TEMPLATE).render,
        **common(SCRIPT, strategies, shown, with_tables=True),
        start={"id": "explore", "text": "Skip to the explorer"},
        question=study.source["title"] or QUESTION,
        description=study.source["description"],
        study=study.name,
        made_with=json.dumps(dict(made_with)),
        facts=known,
        contents=contents,
        findings=found,
        listed=findings.listed(found),
        counted=words.counted,
        headlines=findings.headlines(found),
        summary=findings.summary(found),
        names=[one["name"] for one in strategies],
        complaints=shown["complaints"],
        methods=sections,
        methods_text=methods.as_text(sections),
        methods_markdown=methods.as_text(sections, markdown=True),
        formulas=methods.FORMULAS,
        references=methods.references(study, table),
        availability=methods.availability(study),
    )
    room = LARGEST - len(render(figures=[]).encode())
    return render(figures=with_images(pictures, max(room, LEAST_PICTURES)))


def template(name: str) -> jinja2.Template:
    """One of the templates in this folder."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["math"] = with_math
    return environment.get_template(name)


def common(
    script: str,
    strategies: Sequence[Mapping[str, str]],
    shown: Mapping[str, Any],
    with_tables: bool = False,
    with_charts: bool = True,
) -> dict[str, Any]:
    """What every page has: colours, styles, scripts, libraries and their licences.

    Parameters
    ----------
    script : str
        The page's own one.
    strategies : sequence of mapping
        The looks of the analyses (`looks`).
    shown : mapping
        The page's data, as JSON can hold them.
    with_tables : bool
        Whether it has tables to sort.
    with_charts : bool
        Whether it has charts.
    """
    packed = {"data": json.dumps(shown, ensure_ascii=False, separators=(",", ":"))}
    contained, texts = [], []
    if with_charts:
        packed["vega"] = vega()
        contained.append("Vega, Vega-Lite and vega-embed with the libraries that they need")
        texts.append(text_of(VEGA_LICENCES))
    if with_tables:
        packed["tables"] = text_of(TABLES)
        contained.append("DataTables")
        texts.insert(0, f"DataTables\n{text_of(LICENCES)}")
    return {
        "light": LIGHT | {f"s{k}": one["light"] for k, one in enumerate(strategies)},
        "dark": DARK | {f"s{k}": one["dark"] for k, one in enumerate(strategies)},
        # of the page's own files, none ends a style or a script
        "css": Markup(text_of(STYLE)),
        "base": Markup(text_of(SHARED)),
        "script": Markup(text_of(script)),
        "packed": {name: Markup(pack(text)) for name, text in packed.items()},
        "contains": ", and ".join(contained),
        "licences": "\n".join(texts),
    }


def text_of(name: str) -> str:
    """The text of a file in this folder."""
    return (FOLDER / name).read_text(encoding="utf-8")


def pack(text: str) -> str:
    """A text, compressed, in letters that HTML leaves alone; the same bytes each time."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


@cache
def vega() -> str:
    """Vega's libraries as one script that leaves one name behind.

    Their own names are hundreds, and would collide with others.
    """
    version = ".".join(alt.VEGALITE_VERSION.removeprefix("v").split(".")[:2])
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)
    return f"(() => {{\n{bundle}\n}})();"


def with_images(pictures: Sequence[Picture], most: int) -> list[dict[str, Any]]:
    """What the template needs of the figures; as many have an image as there is room for.

    Parameters
    ----------
    pictures : sequence of Picture
        The more important first.
    most : int
        Bytes of all images.
    """
    found = []
    for picture in pictures:
        image = smallest(picture.file)
        size = len(image["image"] or image["packed"]) + MARKUP
        if size > most:
            image |= {"image": "", "packed": ""}
        else:
            most -= size
        found.append(image | picture._asdict())
    return found


def smallest(file: Path) -> dict[str, Any]:
    """A figure as what takes less room, and its size on the page.

    Returns
    -------
    dict
        ``packed``, the SVG beside it, or ``image``, a small picture; the other one is empty.
        ``width`` and ``height`` are in pixels.
    """
    with Image.open(file) as opened:
        picture = opened.convert("RGB")
    found: dict[str, Any] = {"image": small(picture), "packed": ""}
    width = min(picture.width * SCALE, PIXELS)
    drawing = file.with_suffix(".svg")
    if drawing.exists():
        packed = pack(bare(drawing.read_text(encoding="utf-8")))
        if len(packed) < len(found["image"]):
            found = {"image": "", "packed": packed}
            width = picture.width * SCALE
    return found | {"width": round(width), "height": round(width * picture.height / picture.width)}


def bare(svg: str) -> str:
    """An SVG without its metadata and comments."""
    return re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)


def small(picture: Image.Image) -> str:
    """A picture as lossless WebP of few colours, encoded."""
    if picture.width > PIXELS:
        height = round(picture.height * PIXELS / picture.width)
        picture = picture.resize((PIXELS, height), Image.Resampling.LANCZOS)
    # of the methods, the one that keeps rare colours: those of points and lines
    few = picture.quantize(SHADES, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    # more effort takes fifty times as long, for images 1% smaller
    few.convert("RGB").save(buffer, "webp", lossless=True, quality=50, method=2)
    return base64.b64encode(buffer.getvalue()).decode()


SUBSCRIPT = re.compile(r"\b([betvxyβ])_([ghiks0]+)\b|Σ_([gik])")


def with_math(text: str) -> Markup:
    """A text with its formulas as MathML."""

    def symbols(found: re.Match[str]) -> str:
        if found[3]:
            return f"<munder><mo>∑</mo><mi>{found[3]}</mi></munder>"
        below = "".join(f"<mn>{it}</mn>" if it == "0" else f"<mi>{it}</mi>" for it in found[2])
        return f"<msub><mi>{found[1]}</mi><mrow>{below}</mrow></msub>"

    def formula(found: re.Match[str]) -> str:
        inside = SUBSCRIPT.sub(symbols, found[0])
        spelled = re.sub(" ([=+]) ", r"<mo>\1</mo>", inside)
        return f"<math>{spelled}</math>"

    escaped = str(escape(text))
    pattern = rf"{re.escape(methods.MODEL)}|{SUBSCRIPT.pattern}"
    return Markup(re.sub(pattern, formula, escaped))
