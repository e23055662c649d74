"""Crossed and nested data that come with R, against lme4, lmerTest and pbkrtest.

The expected values are those of R 4.2.2 with lme4 1.1-31, lmerTest 3.1-3 and pbkrtest 0.5.2 at
this very θ, to all digits; degrees of freedom of lmerTest, whose derivatives are numerical, to
2e-7. The data are `tests/data/make_data.R`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rmsweep.lmm import (
    Covariance,
    Term,
    crossed_inference_at,
    crossed_kenward_roger,
    crossings,
    fit_crossed,
)

FOLDER = Path(__file__).parents[1] / "data"
AT_THETA = 2e-7
# a search ends within a decrement of 1e-11 of the optimum
CRITERION, THETA, DF = 2e-9, 1e-5, 3e-5


@dataclass(frozen=True)
class Reference:
    """A model and its fit; terms as (factor, slopes, covariance), θ term by term."""

    data: str
    response: str
    slopes: tuple[str, ...]
    terms: tuple[tuple[str, tuple[str, ...], Covariance], ...]
    reml: bool
    criterion: float
    theta: tuple[float, ...]
    sigma: float
    estimate: tuple[float, ...]
    se: tuple[float, ...]
    df: tuple[float, ...]
    kr: tuple[tuple[float, ...], tuple[float, ...]] | None = None


PENICILLIN = "penicillin.csv", "diameter", (), (("plate", (), "full"), ("sample", (), "full"))
PASTES = "pastes.csv", "strength", (), (("sample", (), "full"), ("batch", (), "full"))
ITEMS_100 = "fhch2010.csv.gz of 100", "log_rt", ("x2",)
CORRELATED = (("id", ("x2",), "full"), ("item", (), "full"))
REFERENCES = {
    "Penicillin": Reference(
        *PENICILLIN,
        True,
        330.8605889911,
        (1.539677573, 3.512415224),
        0.5499231391,
        (22.97222222,),
        (0.8085733910,),
        (5.48709228,),
        ((0.8085733910,), (5.48709228,)),
    ),
    "Penicillin, ML": Reference(
        *PENICILLIN,
        False,
        332.1883486685,
        (1.537593535, 3.219753800),
        0.5499321964,
        (22.97222222,),
        (0.7445957949,),
        (6.68906649,),
    ),
    "Pastes": Reference(
        *PASTES,
        True,
        246.9907458535,
        (3.526901811, 1.563460273),
        0.8234075540,
        (60.05333333,),
        (0.6768700661,),
        (9.0,),
        ((0.6768700661,), (9.0,)),
    ),
    "Pastes, ML": Reference(
        *PASTES,
        False,
        247.9944658624,
        (3.526901811, 1.329912031),
        0.8234075540,
        (60.05333333,),
        (0.6421353267,),
        (10.0,),
    ),
    "100 items": Reference(
        *ITEMS_100,
        CORRELATED,
        True,
        97.9381552266,
        (0.6024104418, -0.3492869410, 0.2856646656, 0.4861896420),
        0.2300079870,
        (-0.2215548643, -0.2821318075),
        (0.0338008376, 0.0356198308),
        (23.75049595, 44.28473524),
        ((0.0338026789, 0.0356268113), (23.78888526, 43.83678493)),
    ),
    "100 items, ML": Reference(
        *ITEMS_100,
        CORRELATED,
        False,
        87.8926026137,
        (0.5878895976, -0.3408440693, 0.2785382081, 0.4828484974),
        0.2300402389,
        (-0.2215444317, -0.2821206898),
        (0.0330961519, 0.0351590032),
        (25.13273278, 46.35802028),
    ),
    "100 items, no correlation": Reference(
        *ITEMS_100,
        (("id", ("x2",), "diagonal"), ("item", (), "full")),
        True,
        107.5870150680,
        (0.6003244663, 0.4475077986, 0.4854792626),
        0.2300733543,
        (-0.2218209525, -0.2822582162),
        (0.0337083696, 0.0354914887),
        (23.76733628, 44.44259662),
        ((0.0337094361, 0.0354956683), (23.80623253, 43.98633938)),
    ),
    "naming": Reference(
        "fhch2010.csv.gz",
        "log_rt",
        ("x1", "x2"),
        (("id", ("x1", "x2"), "full"), ("item", (), "full")),
        True,
        151.3042564305,
        (
            *(0.5629198881, 0.0120584335, -0.2182503552, 0.1392679921, -0.0705309907),
            *(0.2081452129, 0.4586753471),
        ),
        0.2286937487,
        (-0.1965658497, 0.0738365398, -0.3117724892),
        (0.0292613734, 0.0127042131, 0.0190044363),
        (19.83836416, 60.23811242, 29.78285120),
        (
            (0.0292614043, 0.0127046023, 0.0190046495),
            (19.83895899, 60.65894829, 29.75834226),
        ),
    ),
    "VerbAgg": Reference(
        "verbagg.csv.gz",
        "r",
        ("do",),
        (("id", ("do",), "full"), ("item", (), "full")),
        True,
        8608.0335562696,
        (0.5554510970, -0.0070029022, 0.3971247361, 0.4593934255),
        0.3999034933,
        (0.4761339662, -0.1120780591),
        (0.0397931795, 0.0760872253),
        (27.04733317, 22.61825925),
        ((0.0397931795, 0.0760872253), (27.04733317, 22.61825925)),
    ),
}


@lru_cache
def table(name: str) -> pd.DataFrame:
    file, _, only = name.partition(" of ")
    data = pd.read_csv(FOLDER / file)
    return data[data["item"] <= int(only)] if only else data


def prepared(reference: Reference):
    data = table(reference.data)

    def columns(slopes):
        return np.column_stack([np.ones(len(data)), *(data[it] for it in slopes)])[None]

    terms = [
        Term(pd.factorize(data[factor], sort=True)[0], columns(slopes), covariance)
        for factor, slopes, covariance in reference.terms
    ]
    y = data[reference.response].to_numpy(dtype=float)[None]
    return crossings(y, columns(reference.slopes), terms)


@pytest.mark.parametrize("name", REFERENCES)
def test_values_at_theta_are_those_of_r(name):
    expected = REFERENCES[name]
    data = prepared(expected)
    at = crossed_inference_at(data, np.array([expected.theta]), reml=expected.reml)
    assert at.criterion[0] == pytest.approx(expected.criterion, abs=1e-9)
    for key in ("sigma", "estimate", "se", "df"):
        assert getattr(at, key)[0] == pytest.approx(getattr(expected, key), rel=AT_THETA)
    if expected.kr is not None:
        kr = crossed_kenward_roger(data, at)
        assert kr.se[0] == pytest.approx(expected.kr[0], rel=AT_THETA)
        assert kr.df[0] == pytest.approx(expected.kr[1], rel=AT_THETA)


@pytest.mark.parametrize("name", REFERENCES)
def test_the_optimum_is_the_reference_or_lower(name):
    expected = REFERENCES[name]
    found = fit_crossed(prepared(expected), reml=expected.reml)
    assert found.converged[0]
    assert found.criterion[0] == pytest.approx(expected.criterion, abs=CRITERION)
    assert found.theta[0] == pytest.approx(expected.theta, abs=THETA)
    assert found.df[0] == pytest.approx(expected.df, rel=DF)


def test_the_saved_comparison_with_r():
    """What `benchmarks/crossed.py --save` found for twelve designs."""
    found = pd.read_csv(Path(__file__).parent / "reference" / "crossed.csv")
    assert len(found) == 12
    assert (found["datasets"] >= 20).all()
    assert (found["datasets"] >= 50).sum() >= 10
    assert (found["native_above"] == 0).all()
    assert (found["se_at_theta"] < 1e-10).all()
    # lmerTest's derivatives are numerical
    assert (found["df_at_theta"] < 1e-4).all()
    adjusted = found[found["adjusted"] > 0]
    assert len(adjusted) == 8
    assert (adjusted[["kr_se_at_theta", "kr_df_at_theta"]] < 1e-9).all(axis=None)
