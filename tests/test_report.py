"""The page: what it says without a browser, and its parts that need none."""

from __future__ import annotations

import base64
import gzip
import html
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from docutils.core import publish_doctree
from PIL import Image

import document_gallery
import render_report
from pages import DRAWING, HEAD, ONE, SAID, a_study, write_page
from rmsweep import axes
from rmsweep.claims.claim import Region
from rmsweep.config import axis_defaults
from rmsweep.design import MAIN
from rmsweep.figures import colours
from rmsweep.figures.names import NAMES
from rmsweep.report import data, findings, looks, methods, page, pictures, specs, words
from rmsweep.report.pictures import TEXTS
from rmsweep.report.takeaway import Point
from rmsweep.sweep import provenance, tables


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small study, beside its tables."""
    return write_page(a_study(), tmp_path_factory.mktemp("page"))


def test_the_page_says_what_made_it_and_is_the_same_bytes_each_time(made: Path) -> None:
    table = tables.metadata(made.with_name("fits.parquet"))
    assert provenance.made_with(made) == provenance.page_identity(a_study(), table)
    again = made.with_name("again.html")
    assert render_report.main([str(made.with_name("fits.parquet")), "--output", str(again)]) == 0
    assert again.read_bytes() == made.read_bytes()


def test_what_is_not_python_is_part_of_its_code() -> None:
    found = provenance.sources(["render_report"])
    for name in (page.TEMPLATE, page.STYLE, page.SCRIPT, page.TABLES, page.LICENCES):
        assert f"rmsweep/report/{name}" in found


def test_the_page_loads_nothing_and_stays_small(made: Path) -> None:
    text = made.read_text()
    assert "default-src 'none'" in text
    tags = re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*>", text)
    assert tags
    for tag in tags:
        assert not re.search(r"(?:src|href)=[\"'](?!data:)", tag), tag
    assert len(made.read_bytes()) < page.LARGEST


def test_its_size_does_not_grow_with_the_replications(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "MOST_REPLICATIONS", 20)
    sizes = []
    for n_sims in (20, 80):
        path = write_page(a_study(**ONE, n_sims=n_sims), tmp_path / str(n_sims))
        study = data.page_data(a_study(**ONE, n_sims=n_sims), path.parent)
        raw = (one["raw"] for one in study["replications"].values())
        sizes.append(sum(map(len, [*study["columns"], *raw])))
        assert study["raw"] == 20
    assert sizes[1] < 1.15 * sizes[0]  # rates of more datasets have more digits


def test_forms_give_back_what_the_table_says(made: Path) -> None:
    study = a_study()
    shown = data.page_data(study, made.parent)
    measured = pd.read_parquet(made.with_name("performance.parquet"))
    forms = {one["name"]: one["form"] for one in shown["measures"]}
    assert set(forms) == set(measured["measure"])
    assert forms["coverage"] == forms["size"] == forms["convergence_rate"] == "rate"
    assert forms["bias"] == forms["difference_of_size"] == "normal"
    assert forms["error_median"] == "given"


def test_columns_are_rounded_and_kept_once() -> None:
    columns = data.Columns()
    assert columns.add(np.array([1 / 3, np.nan, np.inf, 2.0]), 3) == 0
    assert columns.add(np.array([0.3333, np.nan, np.inf, 2.0]), 3) == 0
    assert columns.lists == [[0.333, None, None, 2]]


def test_colours_can_be_seen_on_their_ground() -> None:
    study = a_study(strategies=["lm", "lm2", *variants("lmer", 12), "lmer", "lmer_mis"])
    found = looks.looks(study.strategies)
    for ground in ("light", "dark"):
        for one in found:
            assert looks.contrast(one[ground], looks.GROUND[ground]) >= 3
    assert len({(one["light"], one["shape"]) for one in found}) == len(found)
    texts = {"light": page.LIGHT, "dark": page.DARK}
    for own in texts.values():
        for name in ("ink", "soft", "link"):
            for ground in ("ground", "panel"):
                assert looks.contrast(own[name], own[ground]) >= 4.5


def variants(origin: str, number: int) -> list[object]:
    return [{"name": f"{origin}_v{k}", "from": origin} for k in range(number)]


def test_of_many_analyses_some_of_each_family_are_shown_at_first() -> None:
    study = a_study(strategies=["lm", *variants("lm", 9), "lmer", *variants("lmer", 9)])
    shown = [study.strategies[place].name for place in data.shown_at_first(study)]
    assert shown == colours.sensible(study.strategies)
    assert shown == ["lm", "lm_v0", "lm_v1", "lm_v2", "lmer", "lmer_v0", "lmer_v1", "lmer_v2"]
    assert data.shown_at_first(a_study()) == [0, 1, 2, 3]


def test_the_strategies_that_the_answer_names_are_shown_at_first() -> None:
    study = a_study(strategies=["lm", *variants("lm", 9), "lmer", *variants("lmer", 9)])
    points = [
        Point("Tests", "Trust `lmer_v8` and `lm_v7`; `sample_sizes` has more."),
        Point("Power", "`lmer_v8` finds most, `lmer_v3` least."),
    ]
    named = page.named(study, points)
    assert named == ["lmer_v8", "lm_v7", "lmer_v3"]
    shown = [study.strategies[place].name for place in data.shown_at_first(study, named)]
    assert len(shown) == colours.MOST
    assert {*named, "lmer", "lm"} <= {*shown}
    # of more than there is room for, each family has its share
    named = [one.name for one in study.strategies]
    shown = [study.strategies[place].name for place in data.shown_at_first(study, named)]
    assert shown == [
        "lm",
        *(f"lm_v{k}" for k in range(4)),
        "lmer",
        *(f"lmer_v{k}" for k in range(4)),
    ]


def test_an_axis_with_one_level_leaves_its_place_to_a_further_one() -> None:
    grid = {"noise_sd": [1, 2], "predictor_correlation": [0, 0.5]}
    found = data.places(a_study(n_groups=[8], grid=grid))
    assert found == {"x": "sigma", "columns": "n_obs", "rows": "predictor_correlation"}
    listed = [{"n_groups": 8, "n_obs": 5, "sigma": 1, "noise_sd": 3}]
    assert data.held(a_study(grid={"noise_sd": [1]}, conditions=listed))["noise_sd"] == "1"
    alone = data.places(a_study(n_groups=[8], n_obs=[6], sigma=[1]))
    assert alone == {"x": "sigma", "columns": None, "rows": None}


def test_every_axis_has_words() -> None:
    assert {*MAIN, *axis_defaults(), "scenario"} == axes.AXES.keys()
    assert axes.of_level("n_groups", 1) == "1 group"
    assert axes.of_level("n_obs", 1000) == axes.of_level("n_obs", np.int64(1000))
    assert axes.of_level("n_obs", 1000) == "1,000 observations"
    assert axes.of_level("sigma", 1 / 3) == "SD 0.3333"
    assert axes.of_level("scenario", "heavy-tails") == "heavy-tails"
    # of a key that is not known here
    assert axes.of_axis("n_items").title == "Number of items"
    assert axes.of_level("n_items", 12) == "12 items"
    assert axes.of_level("item_sd", 0.5) == "item SD 0.5"
    assert axes.of_slice("") == ""
    said = axes.of_slice("predictor_mean=-0.5,beta=d0.3,n_groups=1000")
    assert said == "predictor mean −0.5, coefficients “d0.3”, 1,000 groups"


def test_drawings_in_the_page_are_bare() -> None:
    bare = page.bare(DRAWING, HEAD)
    assert bare.startswith("<svg")
    for part in ("metadata", "who made it", "<!--", "A circle", "200.123456"):
        assert part in DRAWING
        assert part not in bare
    assert 'height="300pt" viewBox="0 100 600 300"' in bare
    assert 'cy="200.12"' in bare
    assert page.DECIMALS.sub(page.fewer_digits, "scale(0.015625) 1.000 #00ff00") == (
        "scale(0.01562) 1 #00ff00"
    )


def test_packed_bytes_come_back_and_have_no_meaning_in_html() -> None:
    for content in (b"", b"a", bytes(range(256)) * 5):
        packed = page.pack(content)
        assert not set("<&/") & set(packed)
        letters = packed.translate(str.maketrans(",.", "<&"))
        assert gzip.decompress(base64.b85decode(letters)) == content


def test_figures_without_room_are_links_that_are_counted(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3)).astype(np.uint8)
    figures = []
    for level in range(40):
        file = tmp_path / "figures" / f"noise_sd={level}" / "size.png"
        file.parent.mkdir(parents=True)
        Image.fromarray(noise).save(file)
        figures.append(str(file))
    arguments = [str(made.with_name("fits.parquet")), "--figures", *figures]
    output = tmp_path / "report.html"
    monkeypatch.setattr(page, "LARGEST", len(made.read_bytes()) + 250_000)
    assert render_report.main([*arguments, "--output", str(output)]) == 0
    text = output.read_text()
    assert page.LARGEST - 100_000 < len(text.encode()) < page.LARGEST
    assert text.count("data-packed=") in range(1, 10)
    for level in range(40):
        assert text.count(f'href="figures/noise_sd={level}/size.svg"') == 1


def test_each_figure_has_one_slice_in_the_page_before_any_has_two(tmp_path: Path) -> None:
    study = a_study(grid={"beta": {f"d{k}": k / 10 for k in (0, 9, 10, 5)}})
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3)).astype(np.uint8)
    files = []
    for name in ("coverage", "bias"):
        for level in ("d0", "d10", "d5", "d9"):
            files.append(tmp_path / "figures" / f"beta={level}" / f"{name}.png")
            files[-1].parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noise).save(files[-1])
    found = pictures.pictures(study, files, tmp_path / "figures", tmp_path)
    # in the order of the study, not of the alphabet
    levels = [f"coefficients “d{k}”" for k in (0, 9, 10, 5)]
    assert [(one.title, one.part) for one in found] == [
        (title, level) for title in ("Coverage of 95% intervals", "Bias") for level in levels
    ]
    size = len(page.smallest(files[0])["packed"]) + page.MARKUP
    shown = [(one.title, one.part) for one, _ in page.with_images(found, int(3.5 * size))]
    assert shown == [
        *(("Coverage of 95% intervals", level) for level in levels[:2]),
        ("Bias", levels[1]),
    ]


def test_conventions_that_differ_between_fits() -> None:
    assert methods.common({"CR2"}) == "CR2"
    texts = {"Satterthwaite, (1 + IV1 | g)", "Satterthwaite, (1 + IV2 | g)"}
    assert methods.common(texts) == "Satterthwaite, further for each fit"
    assert methods.common({"REML", "CR2"}) == "CR2 and REML"


def test_every_measure_of_the_table_has_words(made: Path) -> None:
    for name in pd.read_parquet(made.with_name("performance.parquet"))["measure"].unique():
        assert words.of_measure(name).group != words.OTHERS, name


def test_methods_follow_from_the_settings(made: Path) -> None:
    grid = {"noise_distribution": {"calm": "normal", "wild": {"from": "t", "df": 5}}}
    scenarios = {"plain": {}, "tight": {"predictor_sd": [1, 2, 0.5], "sigma_ratio": [4, 0, 0, 0]}}
    study = a_study(seed=7, noise_sd=3, beta=[1, 0, 0.5, 0], grid=grid, scenarios=scenarios)
    table = tables.metadata(made.with_name("fits.parquet"))
    parts = methods.sections(study, made.with_name("fits.parquet"), table)
    text = methods.as_text(parts)
    assert "the SD of the noise (noise_sd = 3)" in text
    assert "the true coefficients (beta = 1, 0, 0.5, 0)" in text
    # what a name stands for
    assert "the distribution of the noise are “calm”, normal; “wild”, t (df = 5)." in text
    assert (
        "“plain”: none. “tight”: SD of the predictors (1, 2, 0.5); ratio of each coefficient’s SD "
        "to the between-group SD (4, 0, 0, 0)."
    ) in text
    assert "degrees of freedom: G − K; intervals" in text
    assert "G that of groups" in text
    assert "seed 7" in text
    assert (
        "Conditions that differ only in the distribution of the noise or the scenario share the "
        "random numbers of their datasets"
    ) in text
    plain_ = methods.as_text(methods.sections(a_study(), made.with_name("fits.parquet"), table))
    assert "Conditions have seeds of their own. All strategies see the same datasets." in plain_
    assert "drawn anew from" not in text
    assert "60 datasets" in text
    assert "the number of groups (8, 16)" in text
    assert "| Bias | mean(e) | sd(e) / √n |" in methods.as_text(parts, markdown=True)
    assert all(one.bibtex.startswith("@") for one in methods.references(study, table))


def test_tables_of_many_row_groups_are_read_as_well(made: Path, tmp_path: Path) -> None:
    """Each row group has dictionaries of its own."""
    for file in made.parent.glob("*.parquet"):
        table = pq.read_table(file).replace_schema_metadata(tables.metadata(file))
        pq.write_table(table, tmp_path / file.name, row_group_size=7)
    args = [str(tmp_path / "fits.parquet"), "--output", str(tmp_path / "page.html")]
    assert render_report.main(args) == 0
    one, two = (
        methods.conventions(a_study(), path / "fits.parquet") for path in (made.parent, tmp_path)
    )
    assert one == two


def test_formulas_are_mathml() -> None:
    text = str(page.with_math(f"Where {methods.MODEL} & β_k of lmer_mis"))
    assert text.startswith("Where <math><msub><mi>y</mi><mrow><mi>g</mi><mi>i</mi></mrow></msub>")
    assert text.endswith("<mi>β</mi><mrow><mi>k</mi></mrow></msub></math> of lmer_mis")
    assert "_g" not in text


def test_charts_take_all_data_from_the_page() -> None:
    for name, spec in specs.specs().items():
        assert "datasets" not in spec
        assert "url" not in str(spec), name


def test_findings_are_those_of_the_claims_table(made: Path) -> None:
    claims = pd.read_parquet(made.with_name("claims.parquet"))
    found = findings.findings(a_study(), made.parent, data.page_data(a_study(), made.parent))
    assert [one.number for one in found] == claims["id"].drop_duplicates().tolist()
    first = claims.drop_duplicates("id")
    assert [findings.VERDICTS[it] for it in first["verdict"]] == [one.verdict for one in found]
    assert len(findings.headlines(found)) <= findings.MOST
    assert all(one.weight > 0 for one in findings.headlines(found))
    assert f"Of {len(found) - 1} claims of the post and 1 of ours, " in findings.summary(found)


def text_of(path: Path) -> str:
    """What a page says without its scripts, with its tags."""
    return re.sub(r"<(script|style)\b.*?</\1>", "", path.read_text(), flags=re.DOTALL)


def test_all_claims_are_seen_without_a_click(made: Path) -> None:
    text = text_of(made)
    claims = pd.read_parquet(made.with_name("claims.parquet")).drop_duplicates("id")
    rows = re.findall(r"<tr><td class=\"number\">(\d+)</td><td>(.*?)<details(.*?)</tr>", text, re.S)
    assert [int(number) for number, *_ in rows] == list(claims["id"])
    before = text[: text.index('<tr><td class="number">1</td>')]
    assert before.count("<details") == before.count("</details>")
    for (_, claim, rest), row in zip(rows, claims.itertuples(), strict=True):
        assert html.unescape(claim).strip() == words.typographic(row.claim)
        starts = findings.VERDICTS[row.verdict], "On average it ", "Does not hold wherever"
        assert any(f'<td class="verdict">{start}' in rest for start in starts)
        summary = re.search(r"<summary>(.*?)</summary>", rest)
        assert summary
        if row.verdict == "not testable":
            assert words.typographic(row.reason).lower() == html.unescape(summary[1]).lower()


def test_verdicts_say_how_many_numbers_agree(made: Path) -> None:
    claims = pd.read_parquet(made.with_name("claims.parquet"))
    found = {one.number: one for one in findings.findings(a_study(), made.parent)}
    sums = claims.groupby("id")[["n_for", "n_undecided", "n_numbers"]].sum()
    for number, (n_for, undecided, n) in zip(sums.index, sums.to_numpy(), strict=True):
        verdict = found[number].in_full
        if verdict.startswith("On average it "):
            assert 2 * undecided > n
            assert f". Single conditions: {n_for} of {n} agree" in verdict
            assert f"{undecided} can’t be told with 60 datasets" in verdict
        elif verdict.startswith("Does not hold wherever it can be told"):
            assert n_for == 0
        elif n > 1:
            assert f"({n_for} of {n} numbers agree" in verdict
            assert (f", {undecided} undecided)" in verdict) == (undecided > 0)
        if not n:
            assert verdict == "Not testable here"
            assert found[number].reason


def test_failures_are_told_from_singular_fits(made: Path) -> None:
    fits = pd.read_parquet(made.with_name("fits.parquet"))
    found = {one.number: one for one in findings.findings(a_study(), made.parent)}
    failed = fits[(fits["strategy"] == "lmer_mis") & ~fits["fit_success"]]
    (text,) = (one.text for one in found[18].comparisons if one.name.endswith("or singular"))
    assert f"Of {len(failed)} fits of lmer_mis that did not converge there, " in text
    assert "did so only for being singular (a variance is estimated as zero" in text
    assert [one.name for one in found[18].comparisons] == [
        "fits with a warning or singular",
        "fits with a warning",
    ]
    assert "fits with a warning: holds (0%, below" in found[18].in_short


def test_sentences_have_one_kind_of_apostrophe(made: Path) -> None:
    text = text_of(made)
    section = text[text.index('<section id="findings"') : text.index('<section id="explore"')]
    sentences = html.unescape(re.sub("<[^>]*>", " ", section))
    assert "’" in sentences
    assert "'" not in sentences


def test_rates_without_spread_have_an_interval() -> None:
    assert findings.error(0.0, 0.0, "rate", 500) == "below 0.76%"
    assert findings.error(1.0, 0.0, "rate", 500) == "above 99.24%"
    assert findings.error(0.2, 0.01, "rate", 500) == "MCSE 1%"
    assert findings.error(0.0, 0.0, "difference of rates", 500) == (
        "no dataset differs from another"
    )


def test_headlines_name_the_one_of_several_comparisons_that_they_show(made: Path) -> None:
    claims = pd.read_parquet(made.with_name("claims.parquet"))
    found = findings.findings(a_study(), made.parent)
    for one in found:
        rows = claims[claims["id"] == one.number]
        counts = rows["test_verdict"].value_counts()
        if len(rows) < 2:
            assert not one.tally
            assert one.first == one.comparisons[0].text
            continue
        if len(counts) == 1:
            whole = "both of its" if len(rows) == 2 else f"all of its {len(rows)}"
            assert one.tally == f"{whole} comparisons {findings.SAID[counts.index[0]][1]}"
        else:
            assert one.tally.startswith(f"of its {len(rows)} comparisons, ")
            for verdict, number in counts.items():
                assert f"{number} {findings.SAID[verdict][number > 1]}" in one.tally
        assert one.first.startswith(f"One that {findings.SAID[one.comparisons[0].verdict][0]}: ")
    (claim,) = (one for one in found if one.number == 14)
    assert claim.first.startswith("Type I error for slopes: lmer_mis")


def test_the_page_names_and_links_the_post_and_says_what_strategies_are(made: Path) -> None:
    text = text_of(made)
    top = html.unescape(text[: text.index('<section id="explore"')])
    assert f'<a href="{methods.POST_URL}">{methods.POST_TITLE}</a>' in top
    for strategy in a_study().strategies:
        assert f"<dt><code>{strategy.name}</code></dt><dd>{strategy.label}." in top
    assert '<details class="print" open><summary>What the strategies are' in top
    many = a_study(strategies=["lm", *variants("lm", 9), "lmer", *variants("lmer", 9)])
    explained = dict(data.explained(many))
    assert list(explained) == ["Least squares", "Mixed models"]
    lines = dict(dict(data.explained(a_study(strategies=["lmer", "lmer_lrt"])))["Mixed models"])
    assert lines["lmer_lrt"].endswith(" It assumes what lmer does, and many groups.")
    assert explained["Least squares"][0][1].endswith(
        "standard errors. It assumes independent groups, and many of them."
    )


def test_one_word_for_each_thing(made: Path) -> None:
    text = html.unescape(re.sub("<[^>]*>", " ", text_of(made)))
    text = text[: text.index("How to cite \n")] if "How to cite \n" in text else text
    for allowed in ("Methods of analysis", "analysis strateg"):
        text = text.replace(allowed, "")
    assert not re.search(r"\banalys[ei]s\b|complain|[Ss]ize (?:for|of exactly)", text)
    # what they mean comes first
    for word, meaning in (
        ("type I error", "share of datasets in which a test"),
        ("MCSE", "Monte Carlo standard error (MCSE)"),
    ):
        assert text.lower().index(meaning.lower()) < text.lower().index(word.lower()) + 200


def test_findings_say_which_fits_failed(made: Path) -> None:
    fits = pd.read_parquet(made.with_name("fits.parquet"))
    text = text_of(made)
    top = text[: text.index("What it says of the post’s claims")]
    assert f"{(~fits['fit_success']).sum():,} of {len(fits):,} fits were singular" in top


def test_parts_of_a_study_share_a_row_for_each_claim() -> None:
    comparison = findings.Comparison("median SE", "holds", "both numbers agree", "Text.")
    parts = [
        findings.Finding(1, "S", "A claim.", where, verdict, [comparison], "", 1.0)
        for where, verdict in (("SD 1", "Holds"), ("SD 2", "Undecided"), ("SD 3", "Holds"))
    ]
    (row,) = findings.listed(parts)
    assert row.verdict == "Holds: 2 of 3; Undecided: 1 of 3"
    assert row.tally == "all 3 parts of the study can test it"
    assert [lead for lead, *_ in row.details] == ["SD 1: Holds", "SD 2: Holds", "SD 3: Holds"]
    (row,) = findings.listed(parts[:2])
    assert row.tally == "both parts of the study can test it"
    untested = [
        replace(one, verdict=findings.VERDICTS["not testable"], reason="no such data")
        for one in parts
    ]
    (row,) = findings.listed(untested)
    assert row.verdict == "Not testable here"
    assert row.tally == "no such data"
    (row,) = findings.listed([*parts, *untested])
    assert row.verdict == "Holds: 2 of 6; Undecided: 1 of 6; Not testable here: 3 of 6"
    assert row.tally == "3 of 6 parts of the study can test it"


def test_means_decide_where_single_conditions_cannot() -> None:
    region = Region(1 / 1.1, 1.1)
    row = pd.Series({"unit": "ratio", "estimate": 1.01, "low": 0.99, "high": 1.04, "mcse": 0.01})
    numbers = pd.DataFrame({axis: [1.0, 2.0] for axis in MAIN}).assign(estimate=[1.0, 1.02])
    assert findings.of_mean(row, numbers, region) == "for"
    # a level that the mean hides
    assert findings.of_mean(row, numbers.assign(estimate=[0.9, 1.2]), region) == "undecided"
    assert findings.of_mean(row, numbers, Region(1.1)) == "against"
    assert findings.of_mean(row, numbers.assign(estimate=[0.9, 1.2]), Region(1.1)) == "undecided"
    assert findings.more_than_claimed(row.replace({0.99: 3.0}), Region(1.02, 1.25))
    assert not findings.more_than_claimed(row, Region(1.02, 1.25))
    # a rate that is too high is no difference
    rate = pd.Series({"unit": "rate", "low": 0.3})
    assert not findings.more_than_claimed(rate, Region(0.025, 0.075))
    one = findings.Comparison(
        "errors", "undecided", "", "Text.", (3, 0, 24), "for", "ratio 1.01, MCSE 0.014", 50
    )
    claim = findings.Finding(1, "S", "A claim.", "", "Undecided", [one], "", 1.0)
    assert claim.in_full == (
        "On average it holds (ratio 1.01, MCSE 0.014). Single conditions: 3 of 27 agree, none "
        "disagrees, 24 can’t be told with 50 datasets"
    )
    negative = replace(claim, verdict="Holds in part at most")
    against = one._replace(sides=(0, 8, 10), verdict="at most in part", average="undecided")
    negative = replace(negative, comparisons=[against])
    assert negative.in_full == "Does not hold wherever it can be told (8 of 18)"
    holds = one._replace(sides=(4, 0, 0), verdict="holds")
    untested = one._replace(sides=(0, 0, 0), verdict="not testable")
    part = replace(claim, verdict="Holds", comparisons=[holds, untested])
    assert part.in_full == "Holds as far as tested (4 of 4 numbers agree)"


def test_titles_of_the_studies_that_come_along_are_questions() -> None:
    folder = Path(__file__).parents[1] / "config"
    titles = [
        yaml.safe_load(path.read_text(encoding="utf-8"))["title"]
        for path in (*folder.glob("*.yaml"), *folder.glob("published/*.yaml"))
    ]
    assert len({*titles}) == len(titles) > 10
    for title in titles:
        assert title.endswith("?")
        assert len(title) < 80


def test_replications_that_would_decide() -> None:
    rows = pd.DataFrame(
        {
            "side": ["undecided", "undecided", "for"],
            "unit": "rate",
            "estimate": [0.06, 0.07, 0.2],
            "low": [0.04, 0.04, 0.19],
            "high": [0.08, 0.10, 0.21],
            "region_low": [0.05] * 3,
            "region_high": [np.nan] * 3,
            "n_used": 100,
        }
    )
    # half widths of 0.02 and 0.03 for distances of 0.01 and 0.02
    assert findings.replications_needed(rows) == round((400 + 225) / 2, -1)
    assert findings.replications_needed(rows[2:]) == 0
    # where a tenth of the datasets are behind a number, it takes ten times as many
    assert findings.replications_needed(rows, 1000) == 3100
    # as many as there are would not decide anything
    skewed = rows.assign(high=[0.065, 0.07, 0.21], low=[0.055, 0.065, 0.19])
    assert findings.replications_needed(skewed) == 0


def test_where_numbers_agree_is_said() -> None:
    rows = pd.DataFrame(
        {
            "n_groups": [10.0, 10.0, 30.0, 30.0],
            "n_obs": [np.nan] * 4,
            "sigma": [0.5, 4.0, 0.5, 4.0],
            "side": ["for", "against", "for", "against"],
        }
    )
    assert findings.placed(rows, "for") == "; those that agree have SD 0.5"
    assert findings.placed(rows[2:], "against") == "; those that disagree have SD 4"
    rows["side"] = ["for", "against", "against", "undecided"]
    assert findings.placed(rows, "for") == "; those that agree have 10 groups and SD 0.5"
    assert findings.placed(rows, "against") == ""


def test_snakemakes_report_has_a_caption_for_each_figure_and_table() -> None:
    folder = Path(__file__).parents[1] / "workflow" / "report"
    assert {path.stem for path in (folder / "figures").iterdir()} == set(NAMES) == set(TEXTS)
    known = {*provenance.MEASURES, "replications"}
    assert {path.stem for path in (folder / "tables").iterdir()} == known
    for path in folder.glob("*/*.rst"):
        read = publish_doctree(path.read_text(), settings_overrides={"halt_level": 2})
        assert read.astext(), path


def test_the_gallery_shows_figures_and_numbers_of_the_tables(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "gallery.md"
    (tmp_path / "figures").mkdir()
    file.write_text("before\n<!-- gallery: begin -->\nas it was\n<!-- gallery: end -->\nafter\n")
    fits = str(made.with_name("fits.parquet"))
    # the study has no nested-loop plot
    assert document_gallery.main([str(file), fits]) == 2
    assert "without nested_loop.png" in capsys.readouterr().err
    monkeypatch.setitem(document_gallery.SHOWN, "paged", ("coverage",))
    assert document_gallery.main([str(file), fits]) == 0
    text = file.read_text()
    assert text.startswith("before\n")
    assert "as it was" not in text
    assert "8 conditions, 60 datasets each, 4 strategies, 1,920 fits, by native engine" in text
    assert f"(figures/paged-coverage.png)\n\n*Coverage of 95% intervals.* {SAID}" in text
    with Image.open(tmp_path / "figures" / "paged-coverage.png") as picture:
        assert (picture.mode, picture.width) == ("P", document_gallery.PIXELS)
    table = pd.read_parquet(made.with_name("performance.parquet"))
    rows = table[(table["fits"] == "all") & (table["strategy"] == "lmer_mis")]
    size = rows[(rows["measure"] == "size") & (rows["term"] == "IV1")]["value"]
    found = f"{size.median():.1%} ({size.min():.1%} to {size.max():.1%})"
    (line,) = (line for line in text.splitlines() if line.startswith("| `lmer_mis`"))
    assert found in line


def test_other_tables_are_refused(made: Path, tmp_path: Path, capsys: object) -> None:
    for name in ("fits", "coefs", "performance"):
        table = pq.read_table(made.with_name(f"{name}.parquet"))
        metadata = tables.metadata(made.with_name(f"{name}.parquet"))
        if name == "performance":
            metadata["study"] = a_study(n_sims=3).identity()
        table = table.replace_schema_metadata(metadata)
        pq.write_table(table, tmp_path / f"{name}.parquet")
    assert render_report.main([str(tmp_path / "fits.parquet")]) == 2
    assert "performance.parquet: of another study" in capsys.readouterr().err  # type: ignore[attr-defined]
