"""Data and formulas that people bring: the right value, or one line that says what is wrong."""

from __future__ import annotations

import gzip
import json
import os
import shlex
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fit_table
from rmsweep import formula
from rmsweep.data.files import Dialect, Table
from rmsweep.errors import UsageError

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
# 24 persons x 18 trials, simulated; dose is None, Low or High
TRIALS = pd.read_csv(ROOT / "tests" / "data" / "trials.csv", keep_default_na=False)
N = len(TRIALS)
# as written in the cases, which have six digits or more
RTOL = 2e-6

BY_PERSON = ("--group", "person")
PLAIN = {
    "lm": ([307.779486, 1.909810], [1.381850, 0.135530]),
    "lmer_mis": ([307.779486, 1.909810], [1.831189, 0.066809]),
}

Fit = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def fit(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Fit:
    """Fit what a command line says, in a folder of its own; give the results."""
    monkeypatch.chdir(tmp_path)

    def run(*command: str) -> list[dict[str, Any]]:
        code = fit_table.main([*command, "--json"])
        shown = capsys.readouterr()
        assert (code, shown.err) == (0, "")
        found: list[dict[str, Any]] = json.loads(shown.out, parse_constant=pytest.fail)
        return found

    return run


@pytest.fixture
def refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Refuse what a command line says; give the one line that says why."""
    monkeypatch.chdir(tmp_path)

    def run(*command: str) -> str:
        assert fit_table.main([*command, "--json"]) == 2
        shown = capsys.readouterr()
        (line,) = shown.err.splitlines()
        assert line.startswith("error: ")
        assert shown.out == ""
        return line

    return run


def save(frame: pd.DataFrame, name: str = "data.csv") -> None:
    """Write a table into the current folder."""
    if name.endswith(".parquet"):
        frame.to_parquet(name, index=False)
    else:
        frame.to_csv(name, index=False)


def text(frame: pd.DataFrame = TRIALS) -> str:
    """A table as CSV."""
    return str(frame.to_csv(index=False))


def estimates(results: list[dict[str, Any]], strategy: str) -> dict[str, float]:
    """Estimates of one strategy by term."""
    (result,) = (result for result in results if result["strategy"] == strategy)
    assert result["status"] != "failed", result["messages"]
    return {coef["term"]: coef["estimate"] for coef in result["coefs"]}


def check(
    results: list[dict[str, Any]], expected: dict[str, tuple[list[float], list[float] | None]]
) -> None:
    """Compare estimates and standard errors, in the order of the formula."""
    for strategy, (values, errors) in expected.items():
        (result,) = (result for result in results if result["strategy"] == strategy)
        assert result["status"] != "failed", result["messages"]
        found = [coef["estimate"] for coef in result["coefs"]]
        np.testing.assert_allclose(found, values, rtol=RTOL)
        if errors:
            ses = [coef["se"] for coef in result["coefs"]]
            np.testing.assert_allclose(ses, errors, rtol=1e-5)


class TestFormulas:
    """Formulas mean what they mean in R."""

    @pytest.mark.parametrize(
        ("formula", "expected"),
        [
            ("rt ~ trial", PLAIN),
            ("rt ~ trial + I(trial^2)", {"lmer_mis": ([308.323063, 1.705969, 0.01199068], None)}),
            ("rt ~ poly(trial, 2)", {"lmer_mis": ([324.012873, 205.940959, 5.972082], None)}),
            ("rt ~ 0 + trial", {"lmer_mis": ([1.912767], [0.066806])}),
            (
                "rt ~ trial + person",
                {"lmer_mis": ([312.406403, 1.909810, -0.370153], [3.542833, 0.066809, 0.244741])},
            ),
            ("rt ~ dose", {"lm": ([329.036569, -6.086146, -8.984944], None)}),
            (
                "rt ~ factor(dose, levels = c('None', 'Low', 'High'))",
                {"lm": ([320.051625, 2.898799, 8.984944], None)},
            ),
            ("rt ~ scale(trial)", {"lm": ([324.012873, 9.919827], None)}),
            ("rt ~ sqrt(trial)", {"lm": ([300.760458, 8.613370], None)}),
            ("rt ~ sin(trial)", {"lm": ([324.075135, -1.632779], None)}),
            ("rt ~ bs(trial, 3)", {"lm": ([308.413102, 9.245723, 20.730768, 32.286696], None)}),
            ("rt ~ ns(trial, 3)", {"lm": ([308.279835, 17.904255, 37.013365, 26.885512], None)}),
            ("rt ~ trial + offset(trial)", {"lm": ([307.779486, 0.909810], None)}),
            ("rt ~ trial + I(2 * trial)", PLAIN),
            ("rt ~ ave(trial, person, FUN = mean) + trial", PLAIN),
            ("rt ~ C(factor(dose), contr.sum)", {"lm": ([324.012873, 5.023697, -1.062449], None)}),
        ],
    )
    def test_gives_the_values_of_r(
        self, formula: str, expected: dict[str, tuple[list[float], list[float] | None]], fit: Fit
    ) -> None:
        save(TRIALS)
        command = ["data.csv", "--formula", formula, *BY_PERSON, "--strategies", *expected]
        check(fit(*command), expected)

    def test_levels_and_their_order_are_said(self, fit: Fit) -> None:
        save(TRIALS)
        results = fit("data.csv", "--formula", "rt ~ trial + dose", *BY_PERSON)
        assert [coef["term"] for coef in results[0]["coefs"]] == [
            "Intercept",
            "trial",
            "doseLow",
            "doseNone",
        ]
        expected = [312.803182, 1.909810, -6.086146, -8.984944]
        check(results, {"lm": (expected, None), "lmer_mis": (expected, None)})
        assert results[0]["data"]["levels"] == {"dose": ["High", "Low", "None"]}

    @pytest.mark.parametrize(
        ("formula", "message"),
        [
            ("rt ~ trial +", "unexpected end of input"),
            ("rt ~ trial; 1", "parsing result not of length one"),
            ("", "parsing result not of length one"),
            ("rt", "no response; allowed: 'response ~ predictors'"),
            ("~ trial", "no response"),
            ("rt ~ 0", "no coefficient to estimate"),
            ("rt ~ nosuch + x", "no column nosuch, x, allowed: person, trial, dose, rt"),
            ("rt ~ t", "no column t, allowed"),
            ("rt ~ .", "no column ., allowed"),
            ("rt ~ repeat + trial", "no column repeat, allowed"),
            ("rt ~ while (TRUE) trial", "no column while, allowed"),
            ("rt ~ foo(trial)", 'could not find function "foo"'),
            ("rt ~ log(trial)", "log(trial) is not finite in 24 rows"),
            ("rt ~ poly(trial, 30)", "'degree' must be less than number of unique points"),
            ("dose ~ trial", "the response is not one numeric column"),
            ("cbind(rt, trial) ~ dose", "the response is not one numeric column"),
            ("rt ~ log(trial - 100)", "no row has a value in every variable"),
            ("rt ~ trial + (0 | person)", "no random effects in (0 | person)"),
            ("rt ~ trial + (1 | nosuch)", "no column nosuch"),
            ("rt ~ trial + (1 | dose)", "'person' groups nothing in the formula; allowed: dose"),
        ],
    )
    def test_refuses_in_one_line(
        self, formula: str, message: str, refused: Callable[..., str]
    ) -> None:
        save(TRIALS)
        assert message in refused("data.csv", "--formula", formula, *BY_PERSON)

    def test_a_group_has_to_be_named(self, refused: Callable[..., str]) -> None:
        save(TRIALS)
        assert "--group, or (1 | group)" in refused("data.csv", "--formula", "rt ~ trial")
        several = "rt ~ trial + (1 | person) + (1 | dose)"
        assert "allowed: --group with person, dose" in refused("data.csv", "--formula", several)
        line = refused("data.csv", "--formula", "rt ~ trial", "--group", "nosuch")
        assert "no column 'nosuch', allowed: person, trial, dose, rt" in line

    def test_many_coefficients_leave_a_reason_in_each_row(self, fit: Fit) -> None:
        save(TRIALS)
        results = fit("data.csv", "--formula", "rt ~ as.factor(trial)", *BY_PERSON)
        assert [result["status"] for result in results] == ["ok", "ok", "failed", "ok"]
        assert "random effects (=432)" in results[2]["messages"]

    def test_expressions_without_a_value_are_counted(self, fit: Fit) -> None:
        save(TRIALS.assign(rt=TRIALS["rt"] - 300))
        command = ["data.csv", "--formula", "log(rt) ~ trial", *BY_PERSON]
        results = fit(*command, "--strategies", "lm", "lmer_mis")
        check(results, {"lm": ([2.102016, 0.100533], None)})
        check(results, {"lmer_mis": ([2.056587, 0.102976], [0.1039949, 0.00511826])})
        assert results[0]["data"]["rows_used"] == 419
        assert results[0]["data"]["missing"] == {"log(rt)": 13}

    def test_predictors_of_other_sizes_keep_their_digits(self, fit: Fit) -> None:
        rng = np.random.default_rng(3)
        gdp = (2e10 * (1 + rng.random(N))).round(0)
        save(TRIALS.assign(gdp=gdp, rate=(rng.random(N) * 1e-4).round(9)))
        command = ["data.csv", "--formula", "rt ~ gdp + rate", *BY_PERSON, "--strategies", "lm"]
        for engine in ("lme4", "native"):
            results = fit(*command, "--engine", engine)
            check(results, {"lm": ([325.993357, -7.845146e-11, 7778.70623], None)})

    def test_raw_years_and_their_squares(self, fit: Fit) -> None:
        save(TRIALS.assign(year=2000 + TRIALS["trial"]))
        command = ["data.csv", "--formula", "rt ~ year + I(year^2)", *BY_PERSON]
        values = [44859.115832, -46.256761, 0.011990683]
        for engine in ("lme4", "native"):
            results = fit(*command, "--strategies", "lm", "lm2", "--engine", engine)
            check(results, {"lm": (values, None), "lm2": (values, None)})

    def test_the_groups_own_column_as_a_predictor(self, fit: Fit) -> None:
        save(TRIALS.assign(year=2000 + 10 * TRIALS["trial"]))
        command = ["data.csv", "--formula", "rt ~ year", "--group", "year"]
        found = estimates(fit(*command, "--strategies", "lmer_mis"), "lmer_mis")
        assert found["year"] == pytest.approx(0.1909810, rel=RTOL)


SLEEPSTUDY = str(ROOT / "examples" / "sleepstudy.csv")
# by lme4 1.1-31 of R 4.2.2: estimates and standard errors; lme4 stops within 1e-6 of its criterion
RANDOM = {
    "(Days | Subject)": ([251.405105, 10.467286], [6.824597, 1.545790]),
    "(1 | Subject)": ([251.405105, 10.467286], [9.746716, 0.804221]),
    "(Days || Subject)": ([251.405105, 10.467286], [6.885381, 1.559569]),
    "(1 | Subject) + (0 + Days | Subject)": ([251.405105, 10.467286], [6.885381, 1.559569]),
    "(0 + Days | Subject)": ([251.405105, 10.467286], [4.019971, 1.869558]),
    "(0 + factor(Days > 4) | Subject)": ([250.990481, 10.042212], [7.179800, 1.069354]),
}


class TestRandomEffects:
    """Random effects in a formula, as in lme4."""

    @pytest.mark.parametrize("engine", ["lme4", "native"])
    @pytest.mark.parametrize("random", RANDOM)
    def test_are_fitted_as_typed(self, random: str, engine: str, fit: Fit) -> None:
        command = [SLEEPSTUDY, "--formula", f"Reaction ~ Days + {random}", "--engine", engine]
        results = fit(*command)
        (lmer,) = (result for result in results if result["strategy"] == "lmer")
        values, errors = RANDOM[random]
        assert [coef["estimate"] for coef in lmer["coefs"]] == pytest.approx(values, rel=1e-5)
        assert [coef["se"] for coef in lmer["coefs"]] == pytest.approx(errors, rel=1e-5)
        # the others take the fixed effects and the group
        assert [result["formula"] for result in results if result["strategy"] != "lmer"] == [
            "Reaction ~ Days",
            "Reaction ~ Days",
            "Reaction ~ Days + (1 | Subject)",
        ]
        assert estimates(results, "lm2")["Days"] == pytest.approx(10.467286, rel=RTOL)

    def test_several_factors(self, fit: Fit) -> None:
        save(TRIALS)
        command = ["data.csv", "--formula", "rt ~ trial + (1 | person/dose)", *BY_PERSON]
        (lmer,) = fit(*command, "--strategies", "lmer")
        assert lmer["formula"] == "rt ~ trial + (1 | dose:person) + (1 | person)"
        assert lmer["data"]["factors"] == {"person": 24, "dose:person": 72}
        check([lmer], {"lmer": ([307.763308, 1.911714], [1.808852, 0.0577636])})
        (native,) = fit(*command, "--strategies", "lmer", "--engine", "native")
        for key in ("estimate", "se", "df"):
            by_lme4, natively = ([coef[key] for coef in one["coefs"]] for one in (lmer, native))
            assert natively == pytest.approx(by_lme4, rel=1e-3)
        assert 0 <= lmer["criterion_gap"] < 1e-4

    def test_slopes_are_of_predictors_that_vary_within_groups(self, fit: Fit) -> None:
        even = TRIALS["person"] % 2 == 0
        save(TRIALS.assign(sex=np.where(even, "f", "m"), age=20 + TRIALS["person"] % 7))
        for engine in ("lme4", "native"):
            command = ["data.csv", "--formula", "rt ~ sex + poly(age, 2) + trial", *BY_PERSON]
            results = fit(*command, "--engine", engine)
            assert [result["status"] for result in results] == ["ok"] * 4
            assert results[2]["formula"].endswith(" + (trial | person)")
            terms = ["sexm", "poly(age, 2)1", "poly(age, 2)2"]
            assert results[0]["data"]["between_groups"] == terms
            assert [coef["term"] for coef in results[0]["coefs"]] == ["Intercept", *terms, "trial"]
            found = estimates(results, "lm2")
            assert [found[term] for term in terms] == [None] * 3
            assert found["trial"] == pytest.approx(1.909810, rel=RTOL)
            assert "sexm" in results[1]["unsaid"]


NAMES = [
    "in", "repeat", "if", "TRUE", "NULL", "T", "C", "I", "log", "Treatment", "Intercept",
    "(Intercept)", "a:b", "trial no", "Average.Rating", ".x", "_x", "1st", "V1", "été", "x`y",
    "`); system('touch harm'); (`", '"q"', "it's", "a\\b", "log(x)", "poly(x, 2)1", "$",
    "data", "offset", "weights",
]  # fmt: skip


class TestNames:
    """Names of columns are data: any name does, and none is ever run."""

    @pytest.mark.parametrize("name", NAMES)
    def test_any_name_is_a_predictor_or_a_group(self, name: str, fit: Fit) -> None:
        escaped = name.replace("\\", "\\\\").replace("`", "\\`")
        save(TRIALS.rename(columns={"trial": name}))
        command = ["--formula", f"rt ~ `{escaped}`", *BY_PERSON, "--strategies", "lm", "lmer_mis"]
        check(fit("data.csv", *command), PLAIN)
        save(TRIALS.rename(columns={"person": name}))
        grouped = ["--formula", "rt ~ trial", "--group", name, "--strategies", "lm", "lmer_mis"]
        check(fit("data.csv", *grouped), PLAIN)
        typed = ["--formula", f"rt ~ trial + (1 | `{escaped}`)", "--strategies", "lm", "lmer"]
        check(fit("data.csv", *typed), {"lm": PLAIN["lm"], "lmer": PLAIN["lmer_mis"]})
        assert [path.name for path in Path().iterdir()] == ["data.csv"]

    @pytest.mark.parametrize("name", ["in", "repeat", "if", "Average.Rating", "C", "été"])
    def test_rs_own_words_need_no_quotes(self, name: str, fit: Fit) -> None:
        save(TRIALS.rename(columns={"trial": name}))
        command = ["data.csv", "--formula", f"rt ~ {name}", *BY_PERSON]
        results = fit(*command, "--strategies", "lm")
        assert list(estimates(results, "lm")) == ["Intercept", name]

    def test_a_column_called_intercept_is_not_the_intercept(self, fit: Fit) -> None:
        save(TRIALS.rename(columns={"trial": "Intercept"}))
        command = ["data.csv", "--formula", "rt ~ Intercept", *BY_PERSON]
        found = estimates(fit(*command, "--strategies", "lmer_mis"), "lmer_mis")
        assert found == pytest.approx({"(Intercept)": 307.779486, "Intercept": 1.909810}, rel=RTOL)

    def test_a_column_called_like_a_product_is_another_term(self, fit: Fit) -> None:
        frame = TRIALS.assign(a=TRIALS["trial"] % 3, b=TRIALS["trial"] % 2)
        save(frame.assign(**{"a:b": np.arange(N) % 7}))
        command = ["data.csv", "--formula", "rt ~ a:b + `a:b`", *BY_PERSON]
        found = estimates(fit(*command, "--strategies", "lm"), "lm")
        expected = {"Intercept": 323.572999, "`a:b`": -0.1014697, "a:b": 1.486217}
        assert found == pytest.approx(expected, rel=RTOL)

    def test_a_column_called_like_an_expression_is_refused_beside_it(
        self, refused: Callable[..., str]
    ) -> None:
        save(TRIALS.assign(**{"log(trial + 1)": 1}))
        formula = "rt ~ log(trial + 1) + `log(trial + 1)`"
        line = refused("data.csv", "--formula", formula, *BY_PERSON)
        assert "log(trial + 1) is an expression and a column" in line

    def test_an_expression_with_a_name_that_needs_quotes(self, fit: Fit) -> None:
        save(TRIALS.rename(columns={"trial": "trial no"}))
        command = ["data.csv", "--formula", "rt ~ log(`trial no` + 1)", *BY_PERSON]
        check(
            fit(*command, "--strategies", "lmer_mis"), {"lmer_mis": ([300.245546, 11.754545], None)}
        )

    def test_accents_are_the_same_in_either_encoding(self, fit: Fit) -> None:
        save(TRIALS.rename(columns={"trial": unicodedata.normalize("NFD", "été")}))
        command = ["data.csv", "--formula", "rt ~ été", *BY_PERSON, "--strategies", "lm"]
        assert list(estimates(fit(*command), "lm")) == ["Intercept", "été"]

    def test_a_locale_without_letters_changes_nothing(self, tmp_path: Path) -> None:
        frame = TRIALS.rename(columns={"trial": "été"})
        frame["dose"] = frame["dose"].replace("Low", "tief,ä")
        frame.to_csv(tmp_path / "data.csv", index=False)
        command = [sys.executable, str(ROOT / "scripts" / "fit_table.py"), "data.csv", "--json"]
        command += ["--formula", "rt ~ été + dose", *BY_PERSON, "--strategies", "lmer_mis"]
        shown = [
            subprocess.run(
                command,
                cwd=tmp_path,
                env=os.environ | {"LC_ALL": it},
                check=True,
                capture_output=True,
            ).stdout
            for it in ("C", "C.UTF-8")
        ]
        assert shown[0] == shown[1]
        terms = [coef["term"] for coef in json.loads(shown[0])[0]["coefs"]]
        assert terms == ["Intercept", "été", "doseNone", "dosetief,ä"]


CSV = text()
WITH_LETTERS = text(TRIALS.assign(ort="Köln"))
READ: dict[str, Any] = {
    "byte-order mark": (CSV.encode("utf-8-sig"),),
    "UTF-16": (CSV.encode("utf-16"),),
    "Windows' lines": (CSV.replace("\n", "\r\n").encode(),),
    "old Macs' lines": (CSV.replace("\n", "\r").encode(),),
    "semicolons": (CSV.replace(",", ";").encode(),),
    "tabs": (CSV.replace(",", "\t").encode(),),
    "tabs, said": (CSV.replace(",", "\t").encode(), "--sep", "tab"),
    "bars": (CSV.replace(",", "|").encode(), "--sep", "|"),
    "Excel's first line": (b"sep=|\r\n" + CSV.replace(",", "|").encode(),),
    "decimal commas": (CSV.replace(",", ";").replace(".", ",").encode(), "--decimal", ","),
    "Latin-1": (WITH_LETTERS.encode("latin-1"), "--encoding", "latin-1"),
    "gzip": (gzip.compress(CSV.encode()),),
    "blanks": (CSV.replace(",", ", ").encode(),),
    "empty lines": (b"\n" + CSV.encode() + b"\n,,,\n\n",),
    "commas at the end of all lines": (CSV.replace("\n", ",\n").encode(),),
    "numbers of rows": (("," + CSV.replace("\n", "\n1,")[:-2]).encode(),),
    "quotes and lines in cells": (text(TRIALS.assign(note='say "hi",\nand go')).encode(),),
}
REFUSED = {
    "nothing": (b"", "no header"),
    "header alone": (b"person,trial,rt\n", "no row has a value"),
    "commas at the end of rows": (
        CSV.replace("\n", ",\n").replace(",\n", "\n", 1).encode(),
        "row 1 has 5 cells, the header 4",
    ),
    "short row": (CSV.encode() + b"25,1\n", "row 433 has 2 cells, the header 4"),
    "equal names": (CSV.replace("trial", "person", 1).encode(), "two columns are called person"),
    "bars": (CSV.replace(",", "|").encode(), "no column trial, allowed: person|trial|dose|rt"),
    "decimal commas": (
        CSV.replace(",", ";").replace(".", ",").encode(),
        "--decimal , if it is the decimal mark",
    ),
    "Latin-1": (WITH_LETTERS.encode("latin-1"), "byte 0xf6 in line 2 is not UTF-8; allowed: --enc"),
    "open quotes": (CSV.encode() + b'25,1,"Low,300\n', "a quotation mark is never closed"),
    "Excel": (b"PK\x03\x04" + bytes(9), "save the sheet as CSV"),
    "R": (gzip.compress(b"RDX3\nX\n"), "a file of R"),
    "broken gzip": (b"\x1f\x8b12", "data.csv: "),
    "broken Parquet": (b"PAR1" + bytes(20), "data.csv: "),
    "binary": (bytes(100), "not a text"),
}


class TestFiles:
    """What is in a file comes out of it, or a line says why not."""

    COMMAND = ("data.csv", "--formula", "rt ~ trial", *BY_PERSON, "--strategies", "lm", "lmer_mis")

    @pytest.mark.parametrize("name", READ)
    def test_text_files(self, name: str, fit: Fit) -> None:
        content, *options = READ[name]
        Path("data.csv").write_bytes(content)
        check(fit(*self.COMMAND, *options), PLAIN)

    @pytest.mark.parametrize("name", REFUSED)
    def test_what_cannot_be_read_is_said(self, name: str, refused: Callable[..., str]) -> None:
        content, message = REFUSED[name]
        Path("data.csv").write_bytes(content)
        assert message in refused(*self.COMMAND)

    def test_options_that_mean_nothing_are_refused(self, refused: Callable[..., str]) -> None:
        save(TRIALS)
        assert "unknown encoding: klingon" in refused(*self.COMMAND, "--encoding", "klingon")
        assert "--sep: 'xx' is not allowed" in refused(*self.COMMAND, "--sep", "xx")
        assert "--decimal" in refused(*self.COMMAND, "--decimal", ";")

    @pytest.mark.parametrize(
        ("cell", "options"),
        [(" ", []), ("NA", []), ("NaN", []), (".", ["--na", "."]), ("-99.0", ["--na", "-99"])],
    )
    def test_one_missing_value_makes_no_factor(
        self, cell: str, options: list[str], fit: Fit
    ) -> None:
        trial = TRIALS["trial"].astype(str)
        save(TRIALS.assign(trial=trial.where(trial.index != 7, cell)))
        results = fit(*self.COMMAND, *options)
        check(results, {"lmer_mis": ([307.7624, 1.910457], None)})
        assert results[0]["data"]["missing"] == {"trial": 1}

    @pytest.mark.parametrize("cell", [".", "n/a", "#N/A", "nan", "-", "1 234", "12%", "0x1F", "K1"])
    def test_numbers_that_are_none_are_named(self, cell: str, refused: Callable[..., str]) -> None:
        trial = TRIALS["trial"].astype(str)
        save(TRIALS.assign(trial=trial.where(trial.index != 7, cell)))
        assert f"trial: {cell!r} in row 8 is no number" in refused(*self.COMMAND)
        save(TRIALS.assign(rt=TRIALS["rt"].astype(str).where(trial.index != 7, cell)))
        assert f"rt: {cell!r} in row 8 is no number" in refused(*self.COMMAND)

    @pytest.mark.parametrize(
        ("column", "message", "instead"),
        [
            ([f"{it:02}" for it in TRIALS["trial"]], "allowed: as.numeric(...)", "as.numeric(x)"),
            (
                [date(2024, 1, 1 + it).isoformat() for it in TRIALS["trial"]],
                "'2024-01-01' in row 1 looks like a date; allowed: as.Date",
                "as.Date(x)",
            ),
            (
                [f"{it}/1/2024" for it in TRIALS["trial"]],
                "is no number",
                "as.numeric(sub('/.*', '', x))",
            ),
            (
                [f"{it} ms" for it in TRIALS["trial"]],
                "'0 ms' in row 1 is no number",
                "as.numeric(sub(' ms', '', x))",
            ),
            (
                [f"{it + 1}-Jan-2024" for it in TRIALS["trial"]],
                "'1-Jan-2024' in row 1 is no number",
                "as.numeric(sub('-.*', '', x))",
            ),
            ([f"{it},0" for it in TRIALS["trial"]], "has a comma", "as.numeric(sub(',', '.', x))"),
        ],
    )
    def test_texts_that_look_like_numbers_need_a_word(
        self,
        column: list[str],
        message: str,
        instead: str,
        fit: Fit,
        refused: Callable[..., str],
    ) -> None:
        save(TRIALS.assign(x=column))
        command = ["data.csv", *BY_PERSON, "--strategies", "lm", "--formula"]
        assert message in refused(*command, "rt ~ x")
        slope = list(estimates(fit(*command, f"rt ~ {instead}"), "lm").values())[1]
        assert slope == pytest.approx(1.909810, rel=RTOL)
        assert len(estimates(fit(*command, "rt ~ factor(x)"), "lm")) == 18

    def test_texts_are_not_compared_as_numbers(self, refused: Callable[..., str]) -> None:
        save(TRIALS.assign(trial=[f"{it:02}" for it in TRIALS["trial"]]))
        command = ["data.csv", "--formula", "rt ~ ifelse(trial > 5, 1, 0)", *BY_PERSON]
        assert "allowed: as.numeric(...)" in refused(*command)

    def test_a_text_of_too_many_levels_is_refused(
        self, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(formula, "LARGEST", 1000)
        save(TRIALS)
        line = refused("data.csv", "--formula", "rt ~ dose", *BY_PERSON)
        assert "dose: 3 levels in 432 rows; allowed: a product of at most 1,000" in line

    def test_ids_are_texts(self, fit: Fit) -> None:
        person = TRIALS["person"]
        zeros = person.where(person > 12, person.map("{:02}".format)).where(
            person <= 12, person - 12
        )
        save(TRIALS.assign(person=zeros.astype(str)))
        results = fit(*self.COMMAND)
        assert results[0]["data"]["n_groups"] == 21
        check(results, {"lmer_mis": ([307.89894, 1.909810], [1.963355, 0.067534])})

        digits = 1745000000000000000 + np.cumsum(np.random.default_rng(5).integers(40, 260, 24))
        long = pd.Series(digits[person - 1].astype(str))
        save(TRIALS.assign(person=long.where(long.index != 5, "")))
        results = fit(*self.COMMAND)
        assert results[0]["data"]["n_groups"] == 24
        assert results[0]["data"]["missing"] == {"person": 1}
        check(results, {"lmer_mis": ([307.7719, 1.910278], [1.831007, 0.066926])})
        save(TRIALS.assign(person=digits[person - 1]), "data.parquet")
        results = fit("data.parquet", *self.COMMAND[1:])
        assert results[0]["data"]["n_groups"] == 24
        assert results[0]["data"]["largest"]["group"] == str(digits[0])

    def test_a_late_id_splits_no_group(self, fit: Fit) -> None:
        rng = np.random.default_rng(7)
        n = 150_000
        person = np.array([str(it) for it in rng.integers(1, 31, n)], dtype=object)
        person[(np.arange(n) > 0.95 * n) & (rng.random(n) < 0.5)] = "K1"
        x = rng.integers(0, 10, n)
        effect = dict(zip([*map(str, range(1, 31)), "K1"], rng.normal(0, 10, 31), strict=True))
        y = 300 + np.array([effect[it] for it in person]) + 2 * x + rng.normal(0, 5, n)
        save(pd.DataFrame({"person": person, "x": x, "rt": y.round(4)}))
        command = ["data.csv", "--formula", "rt ~ x", *BY_PERSON, "--engine", "native"]
        results = fit(*command, "--strategies", "lmer_mis")
        check(results, {"lmer_mis": ([301.217, 1.993538], [1.64818, 0.00449355])})
        assert results[0]["data"]["n_groups"] == 31
        assert results[0]["data"]["smallest"] == {"group": "K1", "rows": 3739}

    @pytest.mark.parametrize(
        ("column", "formula", "slope"),
        [
            (pa.array(TRIALS["trial"] * 4000 + 10000, pa.int32()), "rt ~ I(x * x)", 5.228186e-09),
            (pa.array(TRIALS["trial"], pa.int8()), "rt ~ x", 1.909810),
            (pa.array(TRIALS["trial"] / 2).cast(pa.decimal128(6, 2)), "rt ~ x", 3.819620),
            (pa.array([date(2024, 1, 1 + it) for it in TRIALS["trial"]]), "rt ~ x", 1.909810),
            (pa.array([datetime(2024, 1, 1 + it) for it in TRIALS["trial"]]), "rt ~ x", 1.909810),
            (pa.array(TRIALS["trial"] > 8), "rt ~ x", 17.157079),
            (pa.array(TRIALS["trial"].astype(str)), "rt ~ as.numeric(x)", 1.909810),
        ],
    )
    def test_types_of_parquet(self, column: pa.Array, formula: str, slope: float, fit: Fit) -> None:
        table = pa.Table.from_pandas(TRIALS).append_column("x", column)
        pq.write_table(table, "data.parquet")
        command = ["data.parquet", "--formula", formula, *BY_PERSON, "--strategies", "lm"]
        found = list(estimates(fit(*command), "lm").values())
        assert found[1:] == pytest.approx([slope], rel=RTOL)

    def test_squares_of_small_integers_do_not_overflow(self, fit: Fit) -> None:
        ms = (TRIALS["trial"] * 4000 + 10000).astype("int32")
        save(TRIALS.assign(ms=ms), "data.parquet")
        command = ["data.parquet", "--formula", "rt ~ ms + I(ms**2)", *BY_PERSON]
        values = [304.133083, 4.115038e-04, 7.494177e-10]
        check(fit(*command, "--strategies", "lm"), {"lm": (values, None)})

    @pytest.mark.parametrize(
        "column",
        [
            pa.array([timedelta(days=it) for it in range(N)]),
            pa.array([time(it % 24) for it in range(N)]),
            pa.array([[it] for it in range(N)]),
        ],
    )
    def test_types_that_are_no_numbers_are_refused(
        self, column: pa.Array, refused: Callable[..., str]
    ) -> None:
        pq.write_table(pa.Table.from_pandas(TRIALS).append_column("x", column), "data.parquet")
        assert "x is of the type" in refused("data.parquet", "--formula", "rt ~ x", *BY_PERSON)

    def test_categories_keep_their_order_and_lose_unused_levels(self, fit: Fit) -> None:
        order = ["None", "Low", "High", "Extra"]
        frame = TRIALS.assign(dose=pd.Categorical(TRIALS["dose"], order))
        save(frame[frame["dose"] != "High"], "data.parquet")
        command = ["data.parquet", "--formula", "rt ~ dose", *BY_PERSON, "--strategies", "lm"]
        results = fit(*command)
        check(results, {"lm": ([320.05163, 2.898799], None)})
        assert results[0]["data"]["levels"] == {"dose": ["None", "Low"]}
        # categories of numbers, and ordered ones, which R contrasts by polynomials
        frame = TRIALS.assign(dose=pd.Categorical(TRIALS["trial"] % 3, [0, 1, 2]))
        save(frame, "data.parquet")
        assert list(estimates(fit(*command), "lm")) == ["Intercept", "dose1", "dose2"]
        save(
            TRIALS.assign(dose=pd.Categorical(TRIALS["dose"], order, ordered=True)), "data.parquet"
        )
        assert list(estimates(fit(*command), "lm")) == ["Intercept", "dose.L", "dose.Q"]

    def test_a_number_of_a_column_is_read_when_it_is_used(self, tmp_path: Path) -> None:
        path = tmp_path / "data.csv"
        path.write_text("a,b,c\n1,x,TRUE\n 2 ,NA,F\n,None,T\n")
        table = Table(path)
        np.testing.assert_equal(table.column("a").values, [1, 2, np.nan])
        assert table.column("b").texts == ("None", "x")
        assert table.column("b").codes.tolist() == [1, -1, 0]
        np.testing.assert_equal(table.column("c").values, [1, 0, 1])
        assert Table(path, Dialect(na=["None"])).column("b").texts == ("NA", "x")
        with pytest.raises(UsageError, match="a quotation mark"):
            path.write_text('a\n"1\n')
            Table(path)


class TestOutput:
    """What is printed: the tables, what was read, and nothing else."""

    def test_says_what_was_read(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        frame = TRIALS.assign(person="P" + TRIALS["person"].astype(str))
        frame["sex"] = np.where(TRIALS["person"] % 2, "m", "f")
        frame.loc[[0, 1], "rt"] = np.nan
        save(frame)
        formula = "rt ~ trial + dose + sex + I(2 * trial)"
        command = ["data.csv", "--formula", formula, *BY_PERSON]
        assert fit_table.main(command) == 0
        shown = capsys.readouterr().out.splitlines()
        assert shown[:7] == [
            "data.csv: rt ~ trial + dose + sex + I(2 * trial)",
            "430 of 432 rows; 2 left out, without a value of rt in 2",
            "24 groups by person, 16 (P1) to 18 (P10) rows",
            "Levels of dose: High, Low, None",
            "Levels of sex: f, m",
            "Constant within groups: sexm",
            "Note: left out, as others determine it: I(2 * trial)",
        ]
        assert "rt ~ trial + doseLow + doseNone + sexm + (1 | person)" in shown
        save(TRIALS.assign(person=range(N)))
        assert fit_table.main(["data.csv", "--formula", "rt ~ trial", *BY_PERSON]) == 0
        assert "Note: each group has one row" in capsys.readouterr().out

    def test_a_group_is_named_by_its_id(self, fit: Fit) -> None:
        frame = TRIALS[(TRIALS["person"] != 7) | (TRIALS["trial"] == 3)]
        save(frame.assign(person="P" + frame["person"].astype(str)))
        command = ["data.csv", "--formula", "rt ~ trial", *BY_PERSON, "--strategies", "lm2"]
        for engine in ("lme4", "native"):
            (result,) = fit(*command, "--engine", engine)
            assert result["messages"] == "group P7 has 1 rows for 2 coefficients"
        constant = TRIALS["trial"].where(TRIALS["person"] != 7, 3)
        save(TRIALS.assign(person="P" + TRIALS["person"].astype(str), trial=constant))
        (result,) = fit(*command)
        assert result["messages"].startswith("group P7: its predictors are collinear")

    def test_json_is_json(self, fit: Fit) -> None:
        save(TRIALS.assign(rt=5 + 2 * TRIALS["trial"]))
        (result,) = fit("data.csv", "--formula", "rt ~ trial", *BY_PERSON, "--strategies", "lm")
        assert result["status"] == "failed"
        assert fit_table.in_json({"a": [np.inf, {"b": float("nan")}, 1.5]}) == {
            "a": [None, {"b": None}, 1.5]
        }

    @pytest.mark.parametrize(
        ("truth", "message"),
        [
            ("term,truth\nIntercept,300\ntrial,unknown\n", "truth: 'unknown' is no number"),
            ("term,truth\nIntercept,300\ntrial,Inf\n", "truth: allowed: finite numbers"),
            ("term,truth\nIntercept,300\n", "no truth for trial"),
            ("term,truth\nIntercept,300\ntrial,1\ntrial,2\n", "a term is there twice"),
            ("term\nIntercept\n", "no column truth"),
        ],
    )
    def test_a_truth_that_is_none_is_refused(
        self, truth: str, message: str, refused: Callable[..., str]
    ) -> None:
        save(TRIALS)
        Path("truth.csv").write_text(truth)
        command = ["data.csv", "--formula", "rt ~ trial", *BY_PERSON, "--truth", "truth.csv"]
        assert message in refused(*command)

    def test_the_command_of_the_readme_runs(self, capsys: pytest.CaptureFixture[str]) -> None:
        commands = [
            line.strip()
            for line in (ROOT / "README.md").read_text().splitlines()
            if line.strip().startswith("python scripts/fit_table.py")
        ]
        assert commands
        for command in commands:
            _, _, data, *options = shlex.split(command)
            assert fit_table.main([str(ROOT / data), *options]) == 0
            assert "180 of 180 rows" in capsys.readouterr().out
