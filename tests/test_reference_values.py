"""Strategies without random effects against what other programs say of three known datasets.

The values were made by R 4.2.2 with clubSandwich 0.5.8, plm 2.6-2, metafor 3.8-1 and geepack 1.3.9,
and by statsmodels 0.15.0. Ovary and ChickWeight are unbalanced: where all groups have the same
design, as in sleepstudy, most of these strategies are one.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student
from statsmodels.regression.linear_model import OLS

from known_data import known
from rmsweep import strategies
from rmsweep.config import load_study
from rmsweep.design import Strategy
from rmsweep.sweep.contract import fitted, outcome

# the values have nine figures or more
RTOL = 1e-8
NAN = np.nan
INF = np.inf
# iterations end within 1e-10 of the fixed point
ITERATED = 1e-7

SLEEPSTUDY, OVARY, CHICKS = "sleepstudy", "Ovary", "ChickWeight"
OF_OLS = {
    SLEEPSTUDY: [251.40510485, 10.46728596],
    OVARY: [12.215582171, -3.339611557, -0.8697357764],
    CHICKS: [27.467425150, 8.8030392677],
}
OF_LM2 = {
    SLEEPSTUDY: OF_OLS[SLEEPSTUDY],
    OVARY: [12.189687204, -3.2915238664, -0.89435605601],
    CHICKS: [29.399719695, 8.2502441097],
}
OF_FE = {
    SLEEPSTUDY: [NAN, 10.46728596],
    OVARY: [NAN, -3.3396116791, -0.86211956015],
    CHICKS: [NAN, 8.71519320003],
}
CR1 = {
    SLEEPSTUDY: [6.8436997858, 1.5501249185],
    OVARY: [1.0030180536, 0.69594854099, 0.40305781029],
    CHICKS: [2.0728453525, 0.53024050308],
}
LM2 = {
    SLEEPSTUDY: [6.8245565321, 1.5457888963],
    OVARY: [0.98972473055, 0.67849199076, 0.41154826042],
    CHICKS: [1.9555062246, 0.57541054091],
}
GROUPS = {SLEEPSTUDY: 18, OVARY: 11, CHICKS: 50}
G1 = {name: n - 1.0 for name, n in GROUPS.items()}
Z = dict.fromkeys(GROUPS, INF)

# strategy: estimates, standard errors, degrees of freedom, each by dataset
VALUES = {
    "ols": (
        OF_OLS,
        {
            SLEEPSTUDY: [6.6101540443, 1.2381952980],
            OVARY: [0.26614376544, 0.38179749176, 0.35830024439],
            CHICKS: [3.0364638375, 0.23970000873],
        },
        {SLEEPSTUDY: 178, OVARY: 305, CHICKS: 576},
    ),
    "lm": (
        OF_OLS,
        {
            SLEEPSTUDY: [6.8627896409, 1.5544488458],
            OVARY: [1.0046503053, 0.69708108615, 0.40371372254],
            CHICKS: [2.0746408014, 0.53069978468],
        },
        {SLEEPSTUDY: 16, OVARY: 8, CHICKS: 48},
    ),
    "lm_cr1": (OF_OLS, CR1, G1),
    "lm_z": (OF_OLS, CR1, Z),
    "lm_wild": (OF_OLS, CR1, G1),
    "lm_cr2": (
        OF_OLS,
        {
            SLEEPSTUDY: [6.8245565321, 1.5457888963],
            OVARY: [1.0004352034, 0.69457669146, 0.40149175737],
            CHICKS: [2.0728879295, 0.53017505745],
        },
        {
            SLEEPSTUDY: 17,
            OVARY: [9.954892771, 9.977605019, 9.938164415],
            CHICKS: [48.75218288, 47.93125309],
        },
    ),
    # clubSandwich's, to be multiplied by the jackknife's factor
    "lm_cr3": (
        OF_OLS,
        {
            name: np.sqrt((GROUPS[name] - 1) / GROUPS[name]) * np.array(values)
            for name, values in {
                SLEEPSTUDY: [7.0224107368, 1.5906036519],
                OVARY: [1.0500009312, 0.72943084859, 0.4208392323],
                CHICKS: [2.0957921757, 0.53595670398],
            }.items()
        },
        G1,
    ),
    "fe": (
        OF_FE,
        {
            SLEEPSTUDY: [NAN, 1.5457888963],
            OVARY: [NAN, 0.69481037436, 0.40122125918],
            CHICKS: [NAN, 0.52735110108],
        },
        {SLEEPSTUDY: [NAN, 17], OVARY: [NAN, 10, 10], CHICKS: [NAN, 49]},
    ),
    "fe_cr2": (
        OF_FE,
        {
            SLEEPSTUDY: [NAN, 1.5457888963],
            OVARY: [NAN, 0.69457662309, 0.40021828603],
            CHICKS: [NAN, 0.52763325847],
        },
        {
            SLEEPSTUDY: [NAN, 17],
            OVARY: [NAN, 9.977605019, 9.938161051],
            CHICKS: [NAN, 46.70129261],
        },
    ),
    "lm2": (OF_LM2, LM2, G1),
    "lm2_level2": (OF_LM2, LM2, G1),
    "lm2_signflip": (OF_LM2, LM2, G1),
    "lm2_hc3": (
        OF_LM2,
        {name: np.sqrt(n / (n - 1)) * np.array(LM2[name]) for name, n in GROUPS.items()},
        G1,
    ),
    "lm2_weighted": (
        {
            SLEEPSTUDY: OF_LM2[SLEEPSTUDY],
            OVARY: [12.190561848, -3.2981149629, -0.88210069087],
            CHICKS: [29.242535943, 8.4454463551],
        },
        {
            SLEEPSTUDY: LM2[SLEEPSTUDY],
            OVARY: [0.98990296447, 0.67952346152, 0.40937387709],
            CHICKS: [1.9576812143, 0.54537552355],
        },
        G1,
    ),
    "lm2_swamy": (
        {
            SLEEPSTUDY: [251.76972583, 10.292507919],
            OVARY: [12.161176847, -3.300050263, -0.9469262963],
        },
        {
            SLEEPSTUDY: [6.5328282033, 1.5037919606],
            OVARY: [0.98940645238, 0.67499319495, 0.4010103559],
        },
        Z,
    ),
    "gee_exch": (
        {
            SLEEPSTUDY: OF_OLS[SLEEPSTUDY],
            OVARY: [12.182338932, -3.3396116732, -0.86244265427],
            CHICKS: [27.845441883, 8.7259930169],
        },
        {
            SLEEPSTUDY: [6.6322768070, 1.5022367823],
            OVARY: [0.94472690828, 0.66139587066, 0.38198158769],
            CHICKS: [1.9827019294, 0.52179760298],
        },
        Z,
    ),
    "gee_exch_md": (
        {SLEEPSTUDY: OF_OLS[SLEEPSTUDY], OVARY: [12.182361032, -3.3396116731, -0.8624475725]},
        {
            SLEEPSTUDY: [7.0224107368, 1.5906036519],
            OVARY: [1.0393583605, 0.72943077691, 0.41946942994],
            CHICKS: [2.0260126352, 0.53303879009],
        },
        {SLEEPSTUDY: 16, OVARY: 8, CHICKS: 48},
    ),
}
CASES = [(name, data) for name, (_, errors, _) in VALUES.items() for data in errors]
GRID = {"n_groups": [10], "n_obs": [9], "sigma": [1], "n_sims": 1}


def named(name: str, engine: str = "lme4", **options: object) -> Strategy:
    """A strategy, or a variant of it, by the engine of its own or natively."""
    entry = {"name": "variant", "from": name, **options} if options else name
    return load_study(GRID | {"strategies": [entry], "engine": engine}, "s").strategies[0]


def in_r(name: str) -> list[pytest.MarkDecorator]:
    """What marks the tests of a strategy that starts R."""
    family, _ = strategies.presets()[name]
    return [pytest.mark.slow] if hasattr(strategies.load(family), "R_PACKAGES") else []


@pytest.mark.parametrize(
    ("name", "data", "engine"),
    [
        *((name, data, "native") for name, data in CASES),
        *(pytest.param(name, data, "lme4", marks=in_r(name)) for name, data in CASES),
    ],
)
def test_is_what_other_programs_say(name: str, data: str, engine: str) -> None:
    fit = fitted(named(name, engine), known(data))
    estimate, se, df = (values.get(data) for values in VALUES[name])
    rtol = ITERATED if name.startswith("gee") else RTOL
    if estimate is not None:
        np.testing.assert_allclose(fit.estimate, estimate, rtol=rtol)
    np.testing.assert_allclose(fit.se, se, rtol=rtol)
    np.testing.assert_allclose(fit.df, df if isinstance(df, list) else [df] * len(se), rtol=rtol)
    assert fit.convergence.clean
    assert bool(fit.unsaid) == np.isnan(se).any()


@pytest.mark.parametrize(("data", "counts"), [(SLEEPSTUDY, [2, 6]), (OVARY, [2, 4, 120])])
def test_counts_of_sign_flips(data: str, counts: list[int]) -> None:
    """Of all 2^G flips, by a program of five lines."""
    strategy = named("lm2_signflip", "native", enumerate_up_to=18)
    own = fitted(strategy, known(data)).own
    assert own is not None
    np.testing.assert_allclose(own.p_value * 2 ** GROUPS[data], counts, rtol=1e-12)


@pytest.mark.parametrize(
    ("ties", "data", "terms", "counts"),
    [
        ("count", SLEEPSTUDY, [1], [6]),
        ("strict", SLEEPSTUDY, [1], [4]),
        ("count", OVARY, [1, 2], [4, 116]),
        ("strict", OVARY, [1, 2], [2, 114]),
    ],
)
def test_counts_of_the_wild_bootstrap(
    ties: str, data: str, terms: list[int], counts: list[int]
) -> None:
    """Of all 2^G signs, by wildboottest 0.3.2, which counts strictly."""
    draws = 2 ** GROUPS[data]
    strategy = named("lm_wild", "native", weights="rademacher", draws=draws, ties=ties)
    own = fitted(strategy, known(data)).own
    assert own is not None
    np.testing.assert_allclose(own.p_value[terms] * draws, counts, rtol=1e-12)


@pytest.mark.parametrize("engine", ["native", "lme4"])
def test_between_is_ols_of_means(engine: str) -> None:
    data = known(CHICKS)
    means = np.array(
        [
            [column[data.groups == g].mean() for column in (data.y, *data.X.T)]
            for g in range(data.n_groups)
        ]
    )
    expected = OLS(means[:, 0], means[:, 1:]).fit()
    fit = fitted(named("between", engine), data)
    np.testing.assert_allclose(fit.estimate, expected.params, rtol=RTOL)
    np.testing.assert_allclose(fit.se, expected.bse, rtol=RTOL)
    np.testing.assert_allclose(fit.df, expected.df_resid, rtol=RTOL)


@pytest.mark.parametrize("engine", ["native", "lme4"])
def test_lm2_hc3_is_hc3_of_the_mean(engine: str) -> None:
    data = known(OVARY)
    by_group = np.array(
        [
            OLS(data.y[data.groups == g], data.X[data.groups == g]).fit().params
            for g in range(data.n_groups)
        ]
    )
    fit = fitted(named("lm2_hc3", engine), data)
    for k, b in enumerate(by_group.T):
        expected = OLS(b, np.ones(len(b))).fit(cov_type="HC3")
        np.testing.assert_allclose(fit.se[k], expected.bse[0], rtol=RTOL)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("lm2_swamy", CHICKS, "group 18 has 2 rows for 2 coefficients and a variance"),
        ("between", SLEEPSTUDY, "the groups' means of the predictors are collinear"),
        ("between", OVARY, "the groups' means of the predictors are collinear"),
    ],
)
@pytest.mark.parametrize("engine", ["native", "lme4"])
def test_what_can_not_be_fitted(name: str, data: str, reason: str, engine: str) -> None:
    """A variance of two rows and two coefficients, and means that differ by rounding or less."""
    tried = outcome(named(name, engine), known(data))
    assert tried.fit is None
    assert tried.error.startswith(reason)


def test_normal_tests_are_by_the_normal_distribution() -> None:
    data = known(OVARY)
    for name in ("lm_z", "lm2_swamy", "gee_exch"):
        fit = fitted(named(name, "native"), data)
        assert fit.ci_type == "z"
        np.testing.assert_array_equal(fit.df, INF)
    assert student.ppf(0.975, INF) == pytest.approx(1.959963985)
