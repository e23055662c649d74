"""What several of the mixed-model tests share."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from lmm_cases import CASES, Case, dataset
from make_reference import REFERENCE

from rmsweep.lmm import (
    Checks,
    CrossProducts,
    Estimates,
    LmmFit,
    crossproducts,
    fit,
    inference_at,
    lme4_checks,
)


def stacked(case: Case, indices: Iterable[int]):
    """Datasets of a case as one block: y, X and groups, rows sorted by group."""
    sets = []
    for index in indices:
        y, X, groups = dataset(case, index)
        order = np.argsort(groups, kind="stable")
        sets.append((y[order], X[order], groups[order]))
    return np.array([s[0] for s in sets]), np.array([s[1] for s in sets]), sets[0][2]


def case_products(case: Case, indices: Iterable[int]) -> CrossProducts:
    """Cross-products of the case's model."""
    y, X, groups = stacked(case, indices)
    products = crossproducts(y, X, None, groups)
    return products.with_leading_random_effects(1) if case.model == "intercept" else products


def covariance(case: Case):
    return "diagonal" if case.model == "diagonal" else "full"


def numbers(text: str):
    return np.array([float(word) for word in text.split()])


@dataclass(frozen=True)
class Audit:
    """lme4's fits of one case by one optimizer, and the engine's on the same datasets."""

    case: Case
    optimizer: str
    rows: list[dict[str, str]]
    at_lme4: Estimates
    checks: list[Checks]
    native: LmmFit

    def column(self, name: str):
        return np.array([numbers(row[name]) for row in self.rows])

    @property
    def clean(self):
        """Fits of which lme4 has nothing to say."""
        return np.array([row["code"] == "" and row["singular"] == "0" for row in self.rows])


def audit(rows: list[dict[str, str]]) -> list[Audit]:
    """Audits of rows of the reference file, or of a live run of R."""
    blocks: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in rows:
        blocks.setdefault((row["case"], row["optimizer"]), []).append(row)
    audits = []
    for (name, optimizer), block in blocks.items():
        case = CASES[name]
        products = case_products(case, [int(row["index"]) for row in block])
        theta = np.array([numbers(row["theta"]) for row in block])
        model = {"reml": case.reml, "covariance": covariance(case)}
        at_lme4 = inference_at(products, theta, **model)
        audits.append(
            Audit(case, optimizer, block, at_lme4, lme4_checks(at_lme4), fit(products, **model))
        )
    return audits


def reference_rows() -> list[dict[str, str]]:
    with gzip.open(REFERENCE, "rt", newline="") as file:
        return list(csv.DictReader(file))


@lru_cache
def reference_audits() -> list[Audit]:
    return audit(reference_rows())
