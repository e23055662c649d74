"""The page's methods section, from a study's settings and tables: ADEMP (Morris et al. 2019)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc

from rmsweep.axes import significant
from rmsweep.config import axis_defaults
from rmsweep.data.template import template_of
from rmsweep.design import MAIN, Study, plain
from rmsweep.report import words
from rmsweep.sweep import tables

METHODS = "Methods of analysis: the strategies"
MODEL = "y_gi = b_g0 + Σ_k x_gik b_gk + e_gi"
SYMBOLS = {
    "N": "N is the number of rows",
    "G": "G that of groups",
    "I": "I that of items",
    "S": "S that of sites",
    "K": "K that of coefficients",
    "p": "p that of slopes",
    "X": "X the matrix of the predictors",
}
"""Of the conventions of standard errors and degrees of freedom."""
CONVENTIONS = ("se_type", "df_type", "ci_type", "test_type", "engine")


class Section(NamedTuple):
    """A heading and its paragraphs."""

    title: str
    paragraphs: Sequence[str]


class Formula(NamedTuple):
    """A measure, how it is computed, and its Monte Carlo standard error."""

    measure: str
    value: str
    mcse: str


FORMULAS = (
    Formula("Bias", "mean(e)", "sd(e) / √n"),
    Formula("Relative bias (fixed β ≠ 0)", "mean(e / β)", "sd(e / β) / √n"),
    Formula("Empirical SE", "sd(e)", "jackknife"),
    Formula("Model SE", "√mean(SE²)", "jackknife"),
    Formula("Error of the model SE", "100 (model SE / empirical SE − 1)", "jackknife"),
    Formula("Mean squared error", "mean(e²)", "sd(e²) / √n"),
    Formula("Root mean square error", "√mean(e²)", "jackknife"),
    Formula("Rates: coverage, type I error, rejection, power", "r = k / n", "√(r (1 − r) / n)"),
    Formula("Interval width", "mean(high − low)", "sd(high − low) / √n"),
    Formula("Medians and quantiles", "order statistics", "binomial interval of ranks"),
    Formula("Differences of rates, same datasets", "mean(I₁ − I₂)", "sd(I₁ − I₂) / √n"),
    Formula("Ratio of RMSEs, gain of precision", "from the datasets of both", "jackknife"),
)
"""e: estimate − truth; n: datasets used; k: how many of them; I: 1 or 0 for each dataset."""


def conventions(study: Study, fits: Path) -> dict[str, dict[str, str]]:
    """The conventions that each strategy's fits follow; empty where none gave estimates.

    Of one that differs between fits, what they have in common.
    """
    columns = ["strategy", *CONVENTIONS]
    table = tables.read(
        fits, "fits", columns=columns, read_dictionary=columns, use_threads=False
    ).filter(~pc.field("se_type").is_null())
    # each row group has dictionaries of its own
    table = table.unify_dictionaries()
    found = table.group_by(columns, use_threads=False).aggregate([]).to_pylist()
    of_fits: dict[str, list[dict[str, str | None]]] = {one.name: [] for one in study.strategies}
    for row in found:
        of_fits[row["strategy"]].append(row)
    return {
        strategy: {name: common({row[name] or "" for row in rows}) for name in CONVENTIONS}
        if rows
        else {}
        for strategy, rows in of_fits.items()
    }


def common(texts: set[str]) -> str:
    """A convention, or how all of several ones begin, up to a comma."""
    if len(texts) == 1:
        return texts.pop()
    parts = zip(*(text.split(", ") for text in texts), strict=False)
    start = ", ".join(own[0] for own in takewhile(lambda own: len({*own}) == 1, parts))
    return f"{start}, further for each fit" if start else words.listed(sorted(texts))


def sections(study: Study, fits: Path, made_with: Mapping[str, str]) -> list[Section]:
    """The methods, in plain sentences."""
    return [
        aims(study),
        data(study),
        estimands(study),
        analyses(study, conventions(study, fits)),
        measures(study),
        software(study, made_with),
    ]


def aims(study: Study) -> Section:
    """What the study is for."""
    names = words.listed([one.name for one in study.strategies])
    text = "how far each strategy for repeated measures data can be trusted"
    if len(study.strategies) > 1:
        text = f"which strategy for repeated measures data can be trusted, and where, among {names}"
    sentence = study.source["aims"] or f"The study asks {text}."
    swept = [axis for axis in study.axes if len(levels(study, axis.name)) > 1]
    if swept:
        nouns = [words.of_axis(axis.name).noun for axis in swept]
        sentence += f" The study varies {words.listed(nouns)}."
    return Section("Aims", [sentence])


def levels(study: Study, axis: str) -> list[str]:
    """The levels of an axis, as texts."""
    return [plain(level) for level in study.levels(axis)]


def data(study: Study) -> Section:
    """How datasets come to be."""
    grid = [
        f"{words.of_axis(axis.name).noun} ({', '.join(levels(study, axis.name))})"
        for axis in study.axes
    ]
    crossed = int(np.prod([len(levels(study, axis.name)) for axis in study.axes]))
    n = len(study.conditions)
    design = "all combinations of" if n == crossed else f"{n:,} of the {crossed:,} combinations of"
    if n == 1:
        design = "one condition with"
    swept = {axis.name for axis in study.axes}
    fixed = [
        f"{words.of_axis(key).noun} ({key} = {own_value(study, key)})"
        for key, default in axis_defaults().items()
        if key not in swept
        and study.conditions[0].values[key] != default
        and len({one.levels[key] for one in study.conditions}) == 1
    ]
    model = (
        f"For observation i of group g, {MODEL}, where the "
        "coefficients b_gk of a group vary around β_k with the between-group SD. Unless a "
        "setting below says otherwise, coefficients, predictors and noise are normal and "
        "independent, and groups have the same number of observations."
    )
    if all(one["beta"] == "random" for one in study.conditions):
        model += " Each β_k is drawn anew from U(0, 1) for every dataset."
    if any(one["n_items"] for one in study.conditions):
        model += (
            " Where groups meet items, row i is also of an item h, and Σ_k x_gik v_hk is added: "
            "the v_hk of an item are normal with mean 0 and the between-item SD, 1 by default."
        )
    if any(one["n_sites"] for one in study.conditions):
        model += (
            " Where groups are nested in sites, group g is also of a site s, and Σ_k x_gik t_sk "
            "is added: the t_sk of a site are normal with mean 0 and the between-site SD, 1 by "
            "default."
        )
    text = f"The design has {design} {words.listed(grid)}."
    if fixed:
        text += f" Other settings that are not at their defaults: {words.listed(fixed)}."
    files = {str(one.levels["predictors"]) for one in study.conditions if template_of(one)}
    if files:
        items = any(one["n_items"] for one in study.conditions)
        with_items = ", and items are those of the data, too" if items else ""
        text += (
            f" Predictors are those of data, {words.listed(sorted(files))}: each "
            f"group has the rows of one of its groups{with_items}."
        )
    least, most = min(study.sizes.values()), max(study.sizes.values())
    number = words.counted(most, "dataset")
    if study.precision:
        number = (
            f"as many datasets as bring the Monte Carlo standard error of "
            f"{words.of_measure(study.precision.measure).title.lower()} down to "
            f"{study.precision.mcse:g}, but at most {most:,},"
        )
    elif least < most:
        number = f"{least:,} to {number}"
    replications = (
        f"Each condition has {number}, whose seeds derive from the study’s seed {study.seed}."
    )
    further = [words.of_axis(axis.name).noun for axis in study.axes if axis.name not in MAIN]
    if len({tuple(one[key] for key in MAIN) for one in study.conditions}) < len(study.conditions):
        replications += (
            f" Conditions that differ only in {words.listed(further, 'or')} share the random "
            "numbers of their datasets, so that they are not independent; all others have seeds of "
            "their own."
        )
    elif len(study.conditions) > 1:
        replications += " Conditions have seeds of their own."
    replications += " All strategies see the same datasets."
    return Section("Data-generating mechanisms", [model, text, *named_levels(study), replications])


def own_value(study: Study, key: str) -> str:
    """The only value of a key, as a sentence has it."""
    if isinstance(value := study.source.get(key), list):
        return ", ".join(value_of(it) for it in value)
    return plain(study.conditions[0].levels[key])


def named_levels(study: Study) -> list[str]:
    """What the names of levels stand for, a paragraph for each axis that has such names."""
    found = []
    if scenarios := study.source["scenarios"]:
        said = [
            f"“{name}”: {'; '.join(setting(*it) for it in own.items()) or 'none'}"
            for name, own in scenarios.items()
        ]
        found.append(f"The scenarios change these settings. {'. '.join(said)}.")
    for key, levels in study.source["grid"].items():
        if isinstance(levels, Mapping):
            said = [f"“{name}”, {value_of(value)}" for name, value in levels.items()]
            found.append(f"The levels of {words.of_axis(key).noun} are {'; '.join(said)}.")
    return found


def setting(key: str, value: Any) -> str:
    """A key and its value in words."""
    return f"{words.of_axis(key).noun.removeprefix('the ')} {value_of(value)}"


def value_of(value: Any) -> str:
    """A value as a sentence has it: of a list its members, of a piece its options, too."""
    if isinstance(value, Mapping):
        options = [f"{key} = {value_of(it)}" for key, it in value.items() if key != "from"]
        name = str(value.get("from", ""))
        return f"{name} ({', '.join(options)})" if options else name
    if isinstance(value, list):
        return f"({', '.join(value_of(it) for it in value)})"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return significant(value, 4)


def estimands(study: Study) -> Section:
    """What is estimated."""
    populations = [
        f"of {what}"
        for what, key in (("groups", "n_groups"), ("items", "n_items"), ("sites", "n_sites"))
        if any(one[key] for one in study.conditions)
    ]
    return Section(
        "Estimands",
        [
            "The estimands are the mean coefficients β_k of the population "
            f"{words.listed(populations)}: the intercept and the slope of each predictor. An error "
            "e is an estimate minus the true value of its own dataset."
        ],
    )


def analyses(study: Study, known: Mapping[str, Mapping[str, str]]) -> Section:
    """What is done to each dataset."""
    lines = []
    for one in study.strategies:
        own = known[one.name]
        text = f"{one.name}: {one.label}"
        if own:
            text += (
                f". Standard errors: {words.in_symbols(own['se_type'])}; "
                f"degrees of freedom: {words.in_symbols(own['df_type'])}"
            )
            text += f"; intervals: {'normal' if own['ci_type'] == 'z' else 't'} quantiles"
            if own["test_type"] not in ("", "t"):
                text += f"; tests: {own['test_type']}"
            engine = "the native engine" if own["engine"] == "native" else own["engine"]
            text += f"; fitted by {engine}"
        lines.append(f"{text}.")
    used = " ".join(f"{own.get('se_type', '')} {own.get('df_type', '')}" for own in known.values())
    symbols = [text for name, text in SYMBOLS.items() if re.search(rf"\b{name}\b", used)]
    if symbols:
        lines.append(f"In these, {words.listed(symbols)}.")
    return Section(METHODS, lines)


def measures(study: Study) -> Section:
    """What is measured, and how precisely."""
    n_sims = min(study.sizes.values()) if not study.precision else study.precision.first
    half = 1.96 * np.sqrt(words.NOMINAL * (1 - words.NOMINAL) / n_sims)
    precision = (
        f"With {words.counted(n_sims, 'replication')}, a coverage near 95% is known to "
        f"within ±{100 * half:.2g} percentage points (1.96 Monte Carlo standard errors)."
    )
    verdict = {
        "strict": "A fit counts as converged if the fitting program gave no warning and it is not "
        "singular",
        "published": "A fit counts as converged if the fitting program gave no warning, even if it "
        "is singular, as in lme4 before version 1.1-19",
    }[study.strategies[0].verdict]
    failed = (
        "No dataset is drawn anew because a fit failed: that fit stays in the tables, as a row "
        "without estimates. Measures use either all fits with estimates or the converged ones. "
        f"{verdict}."
    )
    text = (
        "The measures and their Monte Carlo standard errors follow Morris, White & Crowther "
        "(2019, table 6), except where the table below says jackknife. Intervals of rates are "
        "Wilson’s. Where the estimates of a strategy have tails too heavy for a mean or a "
        "variance, the tables give none, whatever the sample looks like."
    )
    return Section("Performance measures", [text, precision, failed])


def software(study: Study, made_with: Mapping[str, str]) -> Section:
    """What made the tables."""
    versions = json.loads(made_with["versions"])
    ran_with = words.programs({name: words.listed(it) for name, it in versions.items()})
    text = f"The study ran with {ran_with}." if versions else "The versions are not recorded."
    return Section(
        "Software and reproducibility",
        [
            f"{text} The seed is {study.seed}, the digest of the code {made_with['code']}.",
            "The same settings, code and versions give the same tables, byte for byte; only "
            "processor times differ.",
        ],
    )


def as_text(parts: Sequence[Section], markdown: bool = False) -> str:
    """The methods as plain text or Markdown, formulas included."""
    lines = []
    for part in parts:
        lines += [f"### {part.title}" if markdown else part.title.upper(), ""]
        bullets = markdown and part.title == METHODS
        lines += [f"- {it}" if bullets else f"{it}\n" for it in part.paragraphs]
        lines += [""] if bullets else []
        if part.title == "Performance measures":
            lines += [*formula_lines(markdown), ""]
    return "\n".join(lines).strip() + "\n"


def formula_lines(markdown: bool) -> list[str]:
    """The table of formulas."""
    if not markdown:
        return [f"{one.measure}: {one.value}; MCSE: {one.mcse}" for one in FORMULAS]
    rows = [f"| {one.measure} | {one.value} | {one.mcse} |" for one in FORMULAS]
    return ["| measure | estimate | MCSE |", "|---|---|---|", *rows]


class Reference(NamedTuple):
    """A work to cite, as text and as BibTeX."""

    text: str
    bibtex: str


MORRIS = Reference(
    "Morris, T. P., White, I. R., & Crowther, M. J. (2019). Using simulation studies to evaluate "
    "statistical methods. Statistics in Medicine, 38, 2074–2102.",
    """@article{morris2019,
  author = {Morris, Tim P. and White, Ian R. and Crowther, Michael J.},
  title = {Using simulation studies to evaluate statistical methods},
  journal = {Statistics in Medicine},
  volume = {38},
  pages = {2074--2102},
  year = {2019},
  doi = {10.1002/sim.8086}
}""",
)
POST_TITLE = "Comparing common analysis strategies for repeated measures data"
POST_URL = "https://eshinjolly.com/2019/02/18/rep_measures/"
POST = Reference(
    f"Jolly, E. (2019). {POST_TITLE} [blog post]. {POST_URL}",
    f"""@misc{{jolly2019,
  author = {{Jolly, Eshin}},
  title = {{{POST_TITLE}}},
  year = {{2019}},
  note = {{Blog post}},
  url = {{{POST_URL}}}
}}""",
)
LME4 = Reference(
    "Bates, D., Mächler, M., Bolker, B., & Walker, S. (2015). Fitting linear mixed-effects models "
    "using lme4. Journal of Statistical Software, 67(1), 1–48.",
    """@article{bates2015,
  author = {Bates, Douglas and M{\\"a}chler, Martin and Bolker, Ben and Walker, Steve},
  title = {Fitting linear mixed-effects models using {lme4}},
  journal = {Journal of Statistical Software},
  volume = {67},
  number = {1},
  pages = {1--48},
  year = {2015},
  doi = {10.18637/jss.v067.i01}
}""",
)
LMERTEST = Reference(
    "Kuznetsova, A., Brockhoff, P. B., & Christensen, R. H. B. (2017). lmerTest package: Tests in "
    "linear mixed effects models. Journal of Statistical Software, 82(13), 1–26.",
    """@article{kuznetsova2017,
  author = {Kuznetsova, Alexandra and Brockhoff, Per B. and Christensen, Rune H. B.},
  title = {{lmerTest} package: Tests in linear mixed effects models},
  journal = {Journal of Statistical Software},
  volume = {82},
  number = {13},
  pages = {1--26},
  year = {2017},
  doi = {10.18637/jss.v082.i13}
}""",
)
STATSMODELS = Reference(
    "Seabold, S., & Perktold, J. (2010). statsmodels: Econometric and statistical modeling with "
    "Python. Proceedings of the 9th Python in Science Conference.",
    """@inproceedings{seabold2010,
  author = {Seabold, Skipper and Perktold, Josef},
  title = {statsmodels: Econometric and statistical modeling with {P}ython},
  booktitle = {Proceedings of the 9th Python in Science Conference},
  year = {2010}
}""",
)


def references(study: Study, made_with: Mapping[str, str]) -> list[Reference]:
    """What a paper that uses the study should cite."""
    digest = made_with["code"].split()[0]
    program = Reference(
        f"Repeated measures, swept [computer program], code digest {digest}.",
        f"""@software{{rmsweep,
  author = {{{{The authors}}}},
  title = {{Repeated measures, swept}},
  version = {{code digest {digest}}}
}}""",
    )
    found = [program, POST, MORRIS]
    engines = {one.engine for one in study.strategies}
    if "lme4" in engines or study.audit:
        found += [LME4, LMERTEST]
    if "statsmodels" in engines or study.audit:
        found.append(STATSMODELS)
    return found


def availability(study: Study) -> str:
    """The sentence on data availability."""
    return (
        f"The data of the study “{study.name}” are its tables fits, coefs, timings and "
        "performance, as Parquet and CSV files. Each Parquet file holds the settings that make it "
        "again."
    )
