"""The page as one file: data, libraries, texts and pictures, compressed."""

from __future__ import annotations

import base64
import gzip
import io
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache, partial
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import altair as alt
import jinja2
import vl_convert
from markupsafe import Markup, escape
from PIL import Image

from rmsweep.design import Study
from rmsweep.figures.style import HEAD
from rmsweep.report import data, findings, methods, specs
from rmsweep.report.looks import GROUND
from rmsweep.report.takeaway import Point, takeaway
from rmsweep.report.words import typographic

FOLDER = Path(__file__).parent
TEMPLATE, STYLE, SCRIPT = "page.html.j2", "page.css", "page.js"
SHARED, OF_TABLES = "base.js", "tables.js"
TABLES, LICENCES = "vendor/dataTables.min.js", "vendor/dataTables.LICENCE.txt"
VEGA_LICENCES = "vendor/vega.LICENCES.txt"

QUESTION = "Which strategy should you trust when the same people are measured many times?"
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
LEAST_PICTURE = 10_000
"""Bytes below which no figure is tried."""
ON_PAPER = 8
"""Comparisons of a claim up to which they are printed: those of many parts would fill sheets."""
SCALE = 0.5
"""Pixels of the page per pixel of a figure's file: letters of all figures have the same size."""
PIXELS, SHADES = 840, 64
"""Width and number of colours of a figure that is no drawing in the page."""
MARKUP = 1200
"""Bytes around the image of a figure."""
SVG = "{http://www.w3.org/2000/svg}"
ElementTree.register_namespace("", SVG.strip("{}"))
ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
DECIMALS = re.compile(r"\d+\.\d{3,}")
CODE = re.compile("`([^`]*)`")


class Picture(NamedTuple):
    """A figure of the study.

    Attributes
    ----------
    title, short, caption : str
        What it is, what to see in it in general, and what it says of itself.
    part : str
        The slice of the study that it shows, in words; empty if it shows all.
    path : str
        Of its files, without the suffix, from the page's folder.
    file : Path
        The PNG.
    """

    title: str
    short: str
    caption: str
    part: str
    path: str
    file: Path

    @property
    def whole_title(self) -> str:
        """The title, and the slice."""
        return f"{self.title} ({self.part})" if self.part else self.title


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
    answer = takeaway(study, folder)
    shown = data.page_data(study, folder, named(study, answer))
    known = data.facts(study, table, fits)
    shown |= {
        "specs": specs.specs(),
        "program": known["programs"],
        "config": f"config/{study.name}.yaml",
    }
    sections = methods.sections(study, fits, table)
    strategies = shown["strategies"]
    found = findings.findings(study, folder, shown)
    untestable = findings.VERDICTS["not testable"]
    contents = [
        ("findings", "What the study says"),
        *([("needed-groups", "Groups needed")] if shown["needed"] else []),
        ("explore", "Explore"),
        ("one", "One condition"),
        *([("figures", "Figures")] if pictures else []),
        ("numbers", "Numbers"),
        ("fit-complaints", "Fits with warnings"),
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
        strategies=data.explained(study),
        few=len(strategies) <= data.FEW_STRATEGIES,
        post={"title": methods.POST_TITLE, "url": methods.POST_URL},
        takeaway=answer,
        findings=found,
        untestable=untestable,
        on_paper=ON_PAPER,
        tested=any(one.verdict != untestable for one in found),
        listed=findings.listed(found),
        headlines=findings.headlines(found),
        summary=findings.summary(found),
        names=[one["name"] for one in strategies],
        power=study.power if shown["needed"] else None,
        complaints=shown["complaints"],
        levels=methods.named_levels(study),
        methods=sections,
        methods_text=methods.as_text(sections),
        methods_markdown=methods.as_text(sections, markdown=True),
        formulas=methods.FORMULAS,
        references=methods.references(study, table),
        availability=methods.availability(study),
    )
    room = LARGEST - len(render(figures=[], further=by_title(pictures)).encode())
    shown_here = with_images(pictures, max(room, LEAST_PICTURES))
    left = [picture for picture in pictures if picture not in {one for one, _ in shown_here}]
    return render(figures=shown_here, further=by_title(left))


def named(study: Study, points: Sequence[Point]) -> list[str]:
    """The strategies that the study's answer names, in the order in which it does."""
    known = {one.name for one in study.strategies}
    said = [name for point in points for name in CODE.findall(point.text)]
    return list(dict.fromkeys(name for name in said if name in known))


def template(name: str) -> jinja2.Template:
    """One of the templates in this folder.

    Quotes and apostrophes of what it is filled with are those of print, except where the filter
    ``verbatim`` says that somebody may copy it, or a program read it.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=in_print,
    )
    environment.filters["math"] = with_math
    environment.filters["code"] = with_code
    environment.filters["verbatim"] = escape
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
        "base": Markup(text_of(SHARED) + text_of(OF_TABLES) * with_tables),
        "script": Markup(text_of(script)),
        "packed": {name: Markup(pack(text.encode())) for name, text in packed.items()},
        "contains": ", and ".join(contained),
        "licences": "\n".join(texts),
    }


def text_of(name: str) -> str:
    """The text of a file in this folder."""
    return (FOLDER / name).read_text(encoding="utf-8")


def pack(content: bytes) -> str:
    """Bytes, compressed, in letters that HTML leaves alone; the same ones each time.

    Five letters for four bytes (RFC 1924), but with two others for those that HTML gives a meaning.
    """
    compressed = gzip.compress(content, 9, mtime=0)
    return base64.b85encode(compressed).decode().translate(str.maketrans("<&", ",."))


@cache
def vega() -> str:
    """Vega's libraries as one script that leaves one name behind.

    Their own names are hundreds, and would collide with others.
    """
    version = ".".join(alt.VEGALITE_VERSION.removeprefix("v").split(".")[:2])
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)
    return f"(() => {{\n{bundle}\n}})();"


def with_images(pictures: Sequence[Picture], most: int) -> list[tuple[Picture, dict[str, Any]]]:
    """The figures that there is room for, with their images (`smallest`), in their order.

    One slice of each comes before a second one of any.

    Parameters
    ----------
    pictures : sequence of Picture
        The more important first, slice by slice.
    most : int
        Bytes of all images.
    """
    found = {}
    # of ordered levels those in the middle say most: at an end nothing may happen, or all
    slices = [
        [(abs(place - (len(own) - 1) // 2), picture) for place, picture in enumerate(own)]
        for _, own in by_title(pictures)
    ]
    in_turn = sorted(itertools.chain(*slices), key=itemgetter(0))
    for _, picture in in_turn:
        if most < LEAST_PICTURE:
            break
        image = smallest(picture.file)
        size = len(image["packed"]) + MARKUP
        if size <= most:
            most -= size
            found[picture] = image
    return [(picture, found[picture]) for picture in pictures if picture in found]


def by_title(pictures: Sequence[Picture]) -> list[tuple[str, list[Picture]]]:
    """Figures, slice by slice, under their titles."""
    return [(title, list(own)) for title, own in itertools.groupby(pictures, lambda one: one.title)]


def smallest(file: Path) -> dict[str, Any]:
    """A figure, without its title and caption, as what takes less room, and its size on the page.

    Returns
    -------
    dict
        ``packed``, the SVG beside it or a small picture, ``kind``, its media type, and ``width``
        and ``height`` in pixels.
    """
    with Image.open(file) as opened:
        head = float(opened.info.get("Head", 0))
        picture = opened.convert("RGB")
    picture = picture.crop((0, round(head * picture.height), *picture.size))
    width = picture.width * SCALE
    found = {"packed": pack(small(picture)), "kind": "image/webp"}
    drawing = file.with_suffix(".svg")
    if drawing.exists():
        packed = pack(bare(drawing.read_text(encoding="utf-8"), head).encode())
        if len(packed) < len(found["packed"]):
            found = {"packed": packed, "kind": "image/svg+xml"}
    if found["kind"] == "image/webp":
        width = min(width, PIXELS)
    height = width * picture.height / picture.width
    return found | {"width": round(width), "height": round(height)}


def bare(svg: str, head: float = 0.0) -> str:
    """An SVG without metadata and comments, and with no more digits than can be seen.

    Parameters
    ----------
    svg : str
        As `rmsweep.figures.style` writes them.
    head : float
        The share of its height, from the top, that is to be cut off, with what is drawn there.
    """
    root = ElementTree.fromstring(svg)
    for inner in list(root.iter()):
        for child in list(inner):
            if child.tag == f"{SVG}metadata" or child.get("id", "").startswith(HEAD):
                inner.remove(child)
    if head:
        left, top, width, height = map(float, root.attrib["viewBox"].split())
        below = f"{height * (1 - head):.6g}"
        root.set("viewBox", f"{left:g} {top + height * head:.6g} {width:.6g} {below}")
        root.set("height", f"{below}pt")
    return DECIMALS.sub(fewer_digits, ElementTree.tostring(root, encoding="unicode"))


def fewer_digits(found: re.Match[str]) -> str:
    """A number of an SVG to a hundredth of a point, or four digits."""
    value = float(found[0])
    return f"{value:.4g}" if value < 1 else f"{value:.2f}".rstrip("0").rstrip(".")


def small(picture: Image.Image) -> bytes:
    """A picture as lossless WebP of few colours."""
    if picture.width > PIXELS:
        height = round(picture.height * PIXELS / picture.width)
        picture = picture.resize((PIXELS, height), Image.Resampling.LANCZOS)
    # of the methods, the one that keeps rare colours: those of points and lines
    few = picture.quantize(SHADES, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    # it makes the ground a little darker
    shades, ground = few.getpalette() or [], 3 * int(few.getpixel((0, 0)))  # type: ignore[arg-type]
    shades[ground : ground + 3] = [*picture.getpixel((0, 0))]  # type: ignore[misc]
    few.putpalette(shades)
    buffer = io.BytesIO()
    # more effort takes fifty times as long, for images 1% smaller
    few.convert("RGB").save(buffer, "webp", lossless=True, quality=50, method=2)
    return buffer.getvalue()


def in_print(value: object) -> object:
    """What a template shows, texts as print has them."""
    plain = isinstance(value, str) and not isinstance(value, Markup)
    return typographic(str(value)) if plain else value


def with_code(text: str) -> Markup:
    """A text with what is in backquotes as code."""
    return Markup(CODE.sub(r"<code>\1</code>", str(escape(typographic(text)))))


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

    escaped = str(escape(typographic(text)))
    pattern = rf"{re.escape(methods.MODEL)}|{SUBSCRIPT.pattern}"
    return Markup(re.sub(pattern, formula, escaped))
