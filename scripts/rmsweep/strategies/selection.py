"""Mixed models whose random effects are reduced until the fit is not singular."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from rmsweep.data.cells import FACTOR
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
    factors : tuple of str
        Those that have random effects beside the groups.
    reml : bool
    optimizer : {"nloptwrap", "bobyqa", "Nelder_Mead"}
    derivatives : {"closed", "numerical"}
    """

    factors: tuple[str, ...] = ()
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
    "lmer_items_select": Preset(
        "Mixed model with random effects of groups and items selected by singularity",
        {"factors": (FACTOR,)},
        assumes="as lmer_items, and random effects that are zero where they are estimated as zero",
        convention="REML; of the first model that fits, t with Satterthwaite's df; the sequence is "
        "full, no correlations, one slope less at a time, of groups or of items, intercepts only",
        reference="lme4, lmerTest (practice after Barr et al. 2013, Bates et al. 2015, Matuschek "
        "et al. 2017)",
        use="as lmer_select, with items",
        needs_items=True,
    ),
}

warm_up = mixed.warm_up


class Structure(NamedTuple):
    """Random effects that a model may have, their columns spelled out."""

    random: tuple[mixed.RandomTerm, ...]

    def __str__(self) -> str:
        return " + ".join(map(in_words, self.random))

    def of(self, options: Options) -> mixed.Options:
        """The model with these random effects."""
        return mixed.Options(self.random, options.reml, options.optimizer, options.derivatives)

    def uncorrelated(self) -> Structure:
        """The same without correlations."""
        return Structure(tuple(spelled_out(term.factor, term.columns) for term in self.random))

    def simpler(self, data: Dataset, theta: Sequence[float]) -> Structure | None:
        """The next one in the sequence; None after the last.

        Parameters
        ----------
        data : Dataset
        theta : sequence of float
            Of a fit with this one, term after term, which says what slope adds least to the
            response.
        """
        if self.uncorrelated() != self:
            return self.uncorrelated()
        size = np.sqrt(np.square(data.X).mean(axis=0))
        places = ((term, name) for term in self.random for name in term.columns)
        adds = {
            (term, name): relative * size[data.terms.index(name)]
            for (term, name), relative in zip(places, theta, strict=True)
            if name != "Intercept" and len(term.columns) > 1
        }
        if not adds:
            return None
        least, dropped = min(adds, key=lambda slope: adds[slope])
        kept = tuple(name for name in least.columns if name != dropped)
        return Structure(
            tuple(spelled_out(term.factor, kept) if term == least else term for term in self.random)
        )


def spelled_out(factor: str | None, columns: Sequence[str]) -> mixed.RandomTerm:
    """A term without correlations; one column has none, and is called full."""
    covariance: Literal["full", "diagonal"] = "full" if len(columns) == 1 else "diagonal"
    return mixed.RandomTerm(tuple(columns), covariance, factor)


def in_words(term: mixed.RandomTerm) -> str:
    """A term as it is reported."""
    inner = ["1" if name == "Intercept" else name for name in term.columns]
    bar = "|" if term.covariance == "full" else "||"
    return f"({' + '.join(inner)} {bar} {term.factor or 'group'})"


def first(data: Dataset, options: Options) -> Structure:
    """Where the sequence begins: the full model, if there are rows enough for it."""
    terms = (mixed.RandomTerm(factor=factor) for factor in (None, *options.factors))
    full = Structure(tuple(replace(term, columns=term.names(data)) for term in terms))
    return full.uncorrelated() if mixed.refuses(data, full.of(options)) else full


def refuses(data: Dataset, options: Options) -> str:
    """What even uncorrelated random effects have too few rows for."""
    return mixed.refuses(data, first(data, options).of(options))


def refuses_natively(data: Dataset, options: Options) -> str:
    """What the native engine can't fit."""
    return mixed.refuses_natively(data, first(data, options).of(options))


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
        simpler = structure.simpler(data, found.theta_of_terms)
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
