"""Mixed models with a random intercept and autoregressive errors, by R's nlme."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rmsweep.data.dataset import Batch, Dataset
from rmsweep.strategies import Convergence, Fit, FitError, NoOptions, Preset, mixed

ENGINE = "nlme"
R_PACKAGES = ("nlme",)
SOURCE = Path(__file__).with_suffix(".R")
ORDERED = True
"""Rows of a group are taken to be in order of time."""

PRESETS = {
    "lmer_ar1": Preset(
        "Mixed model with a random intercept and AR(1) errors",
        assumes="slopes that don't differ between groups; errors that depend on those before them, "
        "by equal steps of time, in the order of the rows",
        convention="REML; t with nlme's inner-outer df",
        reference="nlme's lme with corAR1 (Pinheiro & Bates 2000)",
        use="where rows are a time series and predictors have trends",
    ),
}


def refuses(data: Dataset, options: NoOptions) -> str:
    """Degrees of freedom between and within groups can run out, as for a random intercept."""
    intercept_only = mixed.Options(mixed.INTERCEPT)
    inference = mixed.Inference(df="between_within")
    return mixed.refuses(data, intercept_only) or mixed.refuses_to_infer(data, inference)


def warm_up() -> None:
    """Start R with nlme."""
    from rmsweep import r

    for package in R_PACKAGES:
        r.load(package)
    r.functions(SOURCE)


def fit(data: Dataset, options: NoOptions) -> Fit:
    """Fit y = Xβ + b_g + e, e autoregressive of the first order within groups, by REML.

    Degrees of freedom are nlme's (Pinheiro & Bates 2000, section 2.4): terms that vary within
    groups have those within groups, others those between.

    Raises
    ------
    FitError
        With R's own words, if nlme can't fit the model.
    """
    from rmsweep import r

    if problem := Batch([data]).crossproducts(data.terms).problems[0]:
        raise FitError(problem)
    warm_up()
    function = r.functions(SOURCE)["fit_ar1"]
    formula, group = r.strings(data.formula), r.strings(data.group)
    answer = r.as_dict(function(r.frame(data), formula, group))
    messages = "; ".join(answer["messages"])
    if "error" in answer:
        raise FitError("; ".join(filter(None, [f"fit: {answer['error'][0]}", messages])))
    return Fit(
        estimate=np.array(answer["estimate"]),
        se=np.array(answer["se"]),
        df=np.array(answer["df"]),
        se_type="REML",
        df_type="inner-outer",
        ci_type="t",
        criterion=answer["criterion"][0],
        convergence=Convergence(optimizer="nlminb", opt_code=0, messages=messages),
    )
