"""Mixed models whose random effects are reduced until the fit is not singular."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from rmsweep.data.dataset import Batch, Dataset
from rmsweep.strategies import Fit, FitError, Preset, mixed

ENGINE, R_PACKAGES = mixed.ENGINE, mixed.R_PACKAGES
MEANINGLESS_NATIVELY = mixed.MEANINGLESS_NATIVELY

# of the fit that was chosen
INFERENCE = mixed.Inference(interval="t")


@dataclass(frozen=True, slots=True)
class Options:
    """What the fits depend on, as for `mixed.Options`.

    Attributes
    ----------
    reml : bool
    optimizer : {"nloptwrap", "bobyqa", "Nelder_Mead"}
    derivatives : {"closed", "numerical"}
    """

    reml: bool = True
    optimizer: Literal["nloptwrap", "bobyqa", "Nelder_Mead"] = "nloptwrap"
    derivatives: Literal["closed", "numerical"] = "closed"


PRESETS = {
    "lmer_select": Preset(
        "Mixed model with random effects selected by singularity",
        assumes="as lmer, and random effects that are zero where they are estimated as zero",
        convention="REML; of the first model that fits, t with Satterthwaite's df; "
        "the sequence is full, no correlations, one slope less at a time, intercept only",
        reference="lme4, lmerTest (practice after Barr et al. 2013, Bates et al. 2015, Matuschek "
        "et al. 2017)",
        use="to see what selection costs: too many false positives where slopes are small but "
        "real. lme4's choice depends on its optimizer, the native engine's on its optimum.",
    ),
}

warm_up = mixed.warm_up


class Structure(NamedTuple):
    """Random effects that a model may have."""

    names: tuple[str, ...]
    covariance: Literal["full", "diagonal"]

    def __str__(self) -> str:
        inner = ["1" if name == "Intercept" else name for name in self.names]
        return f"({' + '.join(inner)} {'|' if self.covariance == 'full' else '||'} group)"

    def of(self, options: Options) -> mixed.Options:
        """The model with these random effects."""
        random = mixed.RandomTerm(self.names, self.covariance)
        return mixed.Options((random,), options.reml, options.optimizer, options.derivatives)

    def simpler(self, data: Dataset, theta: Sequence[float]) -> Structure | None:
        """The next one in the sequence; None after the last.

        Parameters
        ----------
        data : Dataset
        theta : sequence of float
            Of a fit with this one, which says what slope adds least to the response.
        """
        if self.covariance == "full":
            return Structure(self.names, "diagonal") if len(self.names) > 1 else None
        size = np.sqrt(np.square(data.X).mean(axis=0))
        adds = {
            name: relative * size[data.terms.index(name)]
            for name, relative in zip(self.names, theta, strict=True)
            if name != "Intercept"
        }
        if not adds:
            return None
        least = min(adds, key=lambda name: adds[name])
        names = tuple(name for name in self.names if name != least)
        return Structure(names, "full" if len(names) == 1 else "diagonal")


def first(data: Dataset, options: Options) -> Structure:
    """Where the sequence begins: the full model, if there are rows enough for it."""
    full = Structure(mixed.RandomTerm().names(data), "full")
    without = Structure(full.names, "diagonal") if len(full.names) > 1 else full
    return without if mixed.refuses(data, full.of(options)) else full


def refuses(data: Dataset, options: Options) -> str:
    """What even uncorrelated random effects have too few rows for."""
    return mixed.refuses(data, first(data, options).of(options))


def fit(data: Dataset, options: Options) -> Fit:
    """Fit simpler and simpler models by lme4, until one has nothing to complain of.

    Raises
    ------
    FitError, ValueError
        If the last one can't be fitted.
    """
    structure, n_steps = first(data, options), 0
    while True:
        found = mixed.fit(data, structure.of(options))
        simpler = structure.simpler(data, found.theta)
        if found.model.convergence.clean or simpler is None:
            return chosen(mixed.infer(data, found, INFERENCE), structure, n_steps)
        structure, n_steps = simpler, n_steps + 1


def fit_batch(batch: Batch, options: Options) -> list[Fit | FitError]:
    """Do the same by the native engine, at its optima."""
    found: list[Fit | FitError] = [FitError("")] * len(batch.datasets)
    waiting: dict[Structure, list[int]] = {}
    for place, data in enumerate(batch.datasets):
        waiting.setdefault(first(data, options), []).append(place)
    n_steps = 0
    while waiting:
        following: dict[Structure, list[int]] = {}
        for structure, places in waiting.items():
            part = batch.take(places)
            native = mixed.fit_batch(part, structure.of(options))
            fits = mixed.infer_batch(part, native, INFERENCE)
            for place, one, theta in zip(places, fits, native.fitted.theta, strict=True):
                # without an optimum nothing says which slope adds least
                simpler = structure.simpler(batch.datasets[place], np.nan_to_num(theta).tolist())
                good = isinstance(one, Fit) and one.convergence.clean
                if good or simpler is None:
                    found[place] = chosen(one, structure, n_steps) if isinstance(one, Fit) else one
                else:
                    following.setdefault(simpler, []).append(place)
        waiting, n_steps = following, n_steps + 1
    return found


def chosen(fitted: Fit, structure: Structure, n_steps: int) -> Fit:
    """The fit that is reported.

    It says of which structure it is. Its criterion is no one's to compare: another program may have
    chosen another structure.
    """
    return replace(
        fitted,
        criterion=np.nan,
        criterion_gap=np.nan,
        df_type=f"{fitted.df_type}, {structure} after {n_steps} steps",
    )
