"""The page's charts: Vega-Lite specifications without data.

The page fills in the data sets that they name, sizes, titles and the kind of y axis. Colours are
CSS variables, so that the theme and the printer need no other drawing.
"""

from __future__ import annotations

from typing import Any

import altair as alt

Json = dict[str, Any]

FONT = "system-ui, 'Segoe UI', 'DejaVu Sans', Arial, sans-serif"
INK, FAINT, RULE, BAND = "var(--ink)", "var(--faint)", "var(--rule)", "var(--band)"
TEXT = 12

CONFIG: Json = {
    "background": "transparent",
    "font": FONT,
    "view": {"stroke": RULE},
    "axis": {
        "labelColor": INK,
        "titleColor": INK,
        "labelFontSize": TEXT,
        "titleFontSize": TEXT,
        "titleFontWeight": "normal",
        "domainColor": FAINT,
        "tickColor": FAINT,
        "gridColor": RULE,
        "aria": False,
    },
    "header": {
        "labelColor": INK,
        "labelFontSize": TEXT,
        "labelFontWeight": "bold",
        "title": None,
    },
    "title": {
        "color": INK,
        "subtitleColor": INK,
        "anchor": "start",
        "fontSize": 15,
        "subtitleFontSize": TEXT,
        "subtitlePadding": 6,
        "offset": 14,
    },
    "legend": {
        "labelColor": INK,
        "titleColor": INK,
        "labelFontSize": TEXT,
        "labelLimit": 400,
        "orient": "bottom",
        "columns": 2,
        "title": None,
        "aria": False,
    },
}


def data(name: str) -> alt.NamedData:
    """A data set that the page fills in."""
    return alt.NamedData(name=name)


def colour() -> alt.Color:
    """The colour of a strategy; the page gives domain and range."""
    return alt.Color("analysis:N", legend=None, scale=alt.Scale(domain=["a"], range=["#000000"]))


def shape() -> alt.Shape:
    """The shape of a strategy."""
    return alt.Shape("analysis:N", legend=None, scale=alt.Scale(domain=["a"], range=["circle"]))


def tooltip(*fields: tuple[str, str]) -> list[alt.Tooltip]:
    """What hovering says: fields with their titles."""
    return [alt.Tooltip(field=field, type="nominal", title=title) for field, title in fields]


def explorer(wrapped: bool) -> Json:
    """A measure: points with their Monte Carlo intervals in panels.

    Parameters
    ----------
    wrapped : bool
        Whether panels are one list, as on a phone, instead of rows and columns.
    """
    x = alt.X("x:O", sort=None, axis=alt.Axis(labelAngle=0, grid=False))
    offset = alt.XOffset("analysis:N", sort=None)
    points = data("points")
    band = (
        alt.Chart(data("band"))
        .mark_rect(color=BAND, aria=False, opacity=1)
        .encode(y="low:Q", y2="high:Q")
    )
    target = (
        alt.Chart(data("target"))
        .mark_rule(color=INK, strokeDash=[4, 3], aria=False)
        .encode(y="y:Q")
    )
    bars = (
        alt.Chart()
        .mark_rule(aria=False, strokeWidth=1.5)
        .encode(x=x, xOffset=offset, y="low:Q", y2="high:Q", color=colour())
    )
    ring = (
        alt.Chart()
        .transform_filter("datum.here")
        .mark_point(filled=False, size=190, color=INK, strokeWidth=1.2, aria=False)
        .encode(x=x, xOffset=offset, y="y:Q")
    )
    marks = (
        alt.Chart()
        .mark_point(filled=True, opacity=1, size=46, cursor="pointer")
        .encode(
            x=x,
            xOffset=offset,
            y=alt.Y("y:Q"),
            color=colour(),
            shape=shape(),
            description="said:N",
            tooltip=tooltip(
                ("analysis", "Strategy"),
                ("condition", "Condition"),
                ("value", "Value"),
                ("mcse", "MCSE"),
                ("ends", "95% interval"),
                ("counts", "Datasets"),
            ),
        )
    )
    notes = (
        alt.Chart()
        .transform_filter("isValid(datum.note)")
        .mark_text(color=INK, fontSize=TEXT, aria=False, lineBreak="|")
        .encode(text="note:N")
    )
    # what has data of its own is drawn once in each panel; all else is the panel's own
    layers = alt.layer(band, target, bars, ring, marks, notes)
    if wrapped:
        chart = layers.facet(
            facet=alt.Facet("panel:N", sort=None, header=alt.Header(labelAnchor="start")),
            columns=1,
            data=points,
        )
    else:
        chart = layers.facet(
            row=alt.Row("row:N", sort=None, header=alt.Header(labelOrient="right", labelAngle=90)),
            column=alt.Column("column:N", sort=None),
            data=points,
        )
    return finished(chart.properties(spacing=12))


def replications() -> Json:
    """Single replications over their box plots."""
    x = alt.X("analysis:N", sort=None, axis=alt.Axis(grid=False, title=None, labelAngle=0))
    boxes = data("boxes")
    target = (
        alt.Chart(data("target"))
        .mark_rule(color=INK, strokeDash=[4, 3], aria=False)
        .encode(y="y:Q")
    )
    points = (
        alt.Chart(data("points"))
        .mark_point(filled=True, opacity=0.55, size=18, aria=False)
        .encode(
            x=x,
            xOffset=alt.XOffset("jitter:Q", scale=alt.Scale(domain=[-1.6, 1.6])),
            y="y:Q",
            color=colour(),
            shape=shape(),
            tooltip=tooltip(("analysis", "Strategy"), ("sim", "Replication"), ("value", "Value")),
        )
    )
    whiskers = alt.Chart(boxes).mark_rule(color=INK, aria=False)
    box = alt.Chart(boxes).mark_bar(aria=False, filled=False, stroke=INK, strokeWidth=1.2)
    median = alt.Chart(boxes).mark_tick(color=INK, thickness=2, aria=False)
    chart = alt.layer(
        target,
        points,
        whiskers.encode(x=x, y="whislo:Q", y2="q1:Q"),
        whiskers.encode(x=x, y="q3:Q", y2="whishi:Q"),
        box.encode(x=x, y="q1:Q", y2="q3:Q"),
        median.encode(x=x, y="med:Q"),
    )
    return finished(chart)


def lines(chart: Any, **style: Any) -> Any:
    """Straight lines from one end to the other."""
    marked = chart.mark_rule(clip=True, aria=False, **style)
    return marked.encode(x="x:Q", x2="x2:Q", y="y:Q", y2="y2:Q")


def observations(chart: Any, **style: Any) -> Any:
    """Single rows of a dataset."""
    marked = chart.mark_circle(**{"size": 14, "opacity": 0.8, "aria": False} | style)
    return marked.encode(x="x:Q", y=alt.Y("y:Q"))


def dataset() -> Json:
    """One dataset: its points, each group's line, each strategy's line and the truth.

    One of the groups may be chosen.
    """
    chart = alt.layer(
        lines(alt.Chart(data("groups")), color=FAINT, opacity=0.7),
        observations(alt.Chart(data("points")), color=FAINT),
        lines(alt.Chart(data("analyses")), strokeWidth=2.5).encode(color=colour()),
        lines(alt.Chart(data("truth")), color=INK, strokeWidth=2, strokeDash=[6, 4]),
        observations(alt.Chart(data("chosen_points")), color=INK, size=40, opacity=1),
        lines(alt.Chart(data("chosen")), color=INK, strokeWidth=3),
    )
    return finished(chart)


def panels() -> Json:
    """The same with a panel for each group, whose points and line are in one data set."""
    layers = alt.layer(
        lines(alt.Chart(data("analyses")), strokeWidth=1.5).encode(color=colour()),
        lines(alt.Chart(data("truth")), color=INK, strokeWidth=1.5, strokeDash=[6, 4]),
        observations(alt.Chart(), color=INK).transform_filter("!isValid(datum.x2)"),
        lines(alt.Chart(), color=INK, strokeWidth=1.5).transform_filter("isValid(datum.x2)"),
    )
    header = alt.Header(labelAnchor="start", labelPadding=2)
    chart = layers.facet(
        facet=alt.Facet("group:N", sort=None, header=header), columns=1, data=data("points")
    )
    return finished(chart.properties(spacing=10))


def forest() -> Json:
    """The estimates of one dataset with their intervals."""
    y = alt.Y("analysis:N", sort=None, axis=alt.Axis(title=None, grid=False))
    estimates = data("estimates")
    truth = (
        alt.Chart(data("truth")).mark_rule(color=INK, strokeDash=[6, 4], aria=False).encode(x="x:Q")
    )
    zero = alt.Chart(data("zero")).mark_rule(color=FAINT, aria=False).encode(x="x:Q")
    intervals = (
        alt.Chart(estimates)
        .mark_rule(aria=False, strokeWidth=2)
        .encode(y=y, x="low:Q", x2="high:Q", color=colour())
    )
    points = (
        alt.Chart(estimates)
        .mark_point(filled=True, opacity=1, size=70)
        .encode(
            y=y,
            x=alt.X("x:Q"),
            color=colour(),
            shape=shape(),
            description="said:N",
            tooltip=tooltip(("analysis", "Strategy"), ("value", "Estimate"), ("ends", "Interval")),
        )
    )
    return finished(alt.layer(zero, truth, intervals, points))


def finished(chart: Any) -> Json:
    """A chart as JSON; Altair checks it against Vega-Lite's schema."""
    spec: Json = chart.to_dict()
    spec.pop("config", None)
    spec.pop("datasets", None)
    return spec | {"config": CONFIG}


def specs() -> dict[str, Json]:
    """All charts of a study's page, by name."""
    return {
        "grid": explorer(wrapped=False),
        "list": explorer(wrapped=True),
        "replications": replications(),
        "dataset": dataset(),
        "forest": forest(),
    }


def of_one_dataset() -> dict[str, Json]:
    """All charts of the page of one dataset, by name."""
    return {"dataset": dataset(), "panels": panels(), "forest": forest()}
