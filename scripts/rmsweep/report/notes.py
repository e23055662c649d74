"""What differs between the strategies for one dataset, and why, in sentences made from the numbers.

Each rule looks at the fits and says what it sees, or nothing. None knows any dataset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri, stdtrit

from rmsweep.design import Strategy
from rmsweep.measures.performance import ALPHA, MISSED
from rmsweep.report.fitted import Fitted, RandomEffects, number, p_value
from rmsweep.report.words import counted, listed
from rmsweep.strategies import least_squares, mixed, two_stage

CLOSE = 0.1
"""Estimates that differ by less of a standard error, and ratios nearer to one, are alike."""
WIDER = 0.03
"""The least by which an interval has to be wider to be worth a word."""
SEVERAL_TIMES = 3.0
"""The least ratio of degrees of freedom that is worth a word."""
FEW_GROUPS = 50
"""Cameron & Miller (2015), J. Human Resources 50:317: few are less than 20 to less than 50."""
MOST_DECISIONS = 5
"""Coefficients whose decisions are spelled out."""
PERFECT = 0.999
"""Correlations from here on are those of a singular fit."""
NO_SD = 1e-4
"""lme4's bound for singular fits: a standard deviation relative to that of the residuals."""


class Note(NamedTuple):
    """What differs, and why.

    Attributes
    ----------
    rule : str
        The function that says so.
    what, why : str
        Sentences.
    """

    rule: str
    what: str
    why: str


Said = Iterator[tuple[str, str]]


def notes(case: Fitted) -> list[Note]:
    """What all rules say of the fits of a dataset."""
    return [Note(rule.__name__, *said) for rule in RULES for said in rule(case)]


# ---- fits that are not there, or not as they should be -------------------------------------------


def failed(case: Fitted) -> Said:
    """There are no estimates."""
    for name, row in zip(case.names, case.rows, strict=True):
        if row["status"] == "failed":
            yield (
                f"{name} gave no estimates.",
                f"Its message: {sentence(row['messages'] or 'none')}",
            )


def unsaid(case: Fitted) -> Said:
    """A strategy says nothing of some terms."""
    for place in case.fitted:
        absent = np.flatnonzero(np.isnan(case.numbers["estimate"][place])).tolist()
        if not absent:
            continue
        what = f"{case.names[place]} has no estimate of {those(case, absent)}."
        if set(absent).isdisjoint(case.within):
            every = "This predictor is" if len(absent) == 1 else "These predictors are"
            yield what, f"{every} constant within groups, and it only looks within them."
        else:
            yield what, sentence(case.rows[place]["unsaid"] or "")


def singular(case: Fitted) -> Said:
    """A mixed model is singular: some random effect, or combination of them, doesn't vary."""
    for place in case.fitted:
        if not case.rows[place]["singular"]:
            continue
        found = case.random_effects(place)
        parts = list(degenerate(case, found)) if found else []
        seen = parts or ["By its estimates some combination of random effects does not vary."]
        few = ""
        if terms := case.random_terms(place):
            q = len(terms)
            full = case.strategies[place].options.random[0].covariance == "full"
            size = counted(q * (q + 1) // 2 if full else q, "variance")
            size += " and correlations" if full and q > 1 else ""
            few = f" {counted(len(case.groups), 'group')} are few to estimate {size} from."
        yield f"{case.names[place]}’s fit is singular.", " ".join(seen) + few


def degenerate(case: Fitted, found: RandomEffects) -> Iterator[str]:
    """What does not vary, or goes together perfectly."""
    least = NO_SD * found.sigma
    if none := [case.shown(term) for term, sd in found.sd.items() if sd <= least]:
        yield f"By its estimates groups do not differ in {listed(none)}."
    together = [
        f"{case.shown(one)} and {case.shown(other)} ({number(value, 3)})"
        for (one, other), value in found.correlations.items()
        if abs(value) >= PERFECT and min(found.sd[one], found.sd[other]) > least
    ]
    if together:
        yield f"Random effects have a correlation of ±1: {listed(together)}."


def complaints(case: Fitted) -> Said:
    """A fit ended with a warning other than singularity."""
    for place in case.fitted:
        row = case.rows[place]
        keys = ("grad_msg", "hess_msg", "df_msg", "messages")
        texts = [row[key] for key in keys if row[key]]
        if row["opt_code"]:
            texts.append(f"the optimizer’s return code is {row['opt_code']}")
        if not texts:
            continue
        gap = np.nan if row["criterion_gap"] is None else row["criterion_gap"]
        why = ""
        if gap > MISSED:
            why = (
                f"Its criterion is {number(gap)} above the optimum that the native engine finds: "
                "don’t use its numbers; another optimizer may get there."
            )
        elif np.isfinite(gap):
            why = (
                "Its criterion is at the optimum that the native engine finds, so the estimates "
                "are right in spite of it."
            )
        yield f"{case.names[place]} came with a warning: {sentence('; '.join(texts))}", why


# ---- estimates -----------------------------------------------------------------------------------


def estimates(case: Fitted) -> Said:
    """How far the estimates are apart, in standard errors."""
    if len(case.fitted) < 2:
        return
    there = case.numbers["estimate"][case.fitted]
    errors = case.numbers["se"][case.fitted]
    several, measured = (~np.isnan(there)).sum(axis=0) > 1, ~np.isnan(errors).all(axis=0)
    shared = np.flatnonzero(several & measured)
    if not len(shared):
        return
    there, errors = there[:, shared], errors[:, shared]
    apart = (np.nanmax(there, axis=0) - np.nanmin(there, axis=0)) / np.nanmax(errors, axis=0)
    most = int(np.nanargmax(apart))
    if apart[most] < CLOSE:
        why = "The strategies differ in standard errors and tests only."
        if case.same_design:
            why = (
                "All groups have the same predictors, and then weighing rows in one way or the "
                f"other changes nothing. {why}"
            )
        nearly = f"The estimates differ by {number(apart[most], 1)} standard errors at most."
        yield (
            ("All strategies have the same estimates." if apart[most] < 1e-3 else nearly),
            why,
        )
        return
    names = [case.names[place] for place in case.fitted]
    low, high = int(np.nanargmin(there[:, most])), int(np.nanargmax(there[:, most]))
    yield (
        f"The estimates of {case.terms[shared[most]]} are {number(apart[most], 2)} standard "
        f"errors apart, from {number(there[low, most])} ({names[low]}) to "
        f"{number(there[high, most])} ({names[high]}).",
        weights(case),
    )


def weights(case: Fitted) -> str:
    """How the families of strategies weigh the rows."""
    sizes = case.sizes
    least, most = int(sizes.min()), int(sizes.max())
    ways = {
        least_squares: "Least squares weighs all rows alike.",
        two_stage: "A two-stage regression weighs all groups alike, however precise each one is.",
        mixed: "A mixed model gives more weight to groups that tell more.",
    }
    families = {case.strategies[place].family for place in case.fitted}
    said = [text for module, text in ways.items() if module.__name__.split(".")[-1] in families]
    if least < most:
        said.append(f"Groups have {least:,} to {most:,} rows.")
    elif not case.same_design:
        said.append("Groups have the same number of rows, but not the same predictors.")
    return " ".join(said)


# ---- standard errors -----------------------------------------------------------------------------


def by_model(strategy: Strategy) -> bool:
    """Whether standard errors are those of a mixed model, and no robust or adjusted ones."""
    inference = strategy.inference
    return isinstance(inference, mixed.Inference) and inference.small_sample is None


def clustered(strategy: Strategy) -> bool:
    """Whether it is least squares with cluster-robust standard errors without more ado."""
    inference = strategy.inference
    return isinstance(inference, least_squares.Inference) and inference.errors != "independent"


def full_model(case: Fitted) -> int | None:
    """Place of the first mixed model whose random effects are all that can be."""
    needed = {case.data.terms[place] for place in case.within} - {*case.data.cross_level}
    for place in case.fitted:
        terms = case.random_terms(place)
        if terms and needed <= set(terms) and by_model(case.strategies[place]):
            return place
    return None


def ratios(case: Fitted, place: int, reference: int, places: Sequence[int]) -> dict[int, float]:
    """Standard errors of some terms over those of another strategy, where both have them."""
    se = case.numbers["se"]
    found = {term: float(se[place, term] / se[reference, term]) for term in places}
    return {term: value for term, value in found.items() if np.isfinite(value)}


def compared(case: Fitted, place: int, reference: int, found: dict[int, float]) -> str:
    """Such ratios as a sentence."""
    name, other = case.names[place], case.names[reference]
    if len(found) == 1:
        ((term, value),) = found.items()
        se = case.numbers["se"][:, term]
        return (
            f"{name}’s standard error of {case.terms[term]} is {number(value, 2)} times {other}’s "
            f"({number(se[place])} against {number(se[reference])})."
        )
    said = [f"{number(value, 2)} ({case.terms[term]})" for term, value in found.items()]
    return f"{name}’s standard errors are {listed(said)} times {other}’s."


def slopes_left_out(case: Fitted) -> Said:
    """A mixed model leaves out that slopes differ between groups."""
    full = full_model(case)
    if full is None:
        return
    effects = case.random_effects(full)
    for place in case.fitted:
        terms = case.random_terms(place)
        if place == full or terms is None or not by_model(case.strategies[place]):
            continue
        known = case.data.terms
        only_full = {*(case.random_terms(full) or ())} - {*terms, "Intercept"}
        left = [it for it in case.within if known[it] in only_full]
        # an interaction with a predictor of the groups is one of the slopes that differ
        out = [*left, *(it for it in case.within if left and known[it] in case.data.cross_level)]
        found = ratios(case, place, full, out)
        if not found:
            continue
        name, other = case.names[place], case.names[full]
        spread = ""
        if effects:
            sds = [f"{number(effects.sd[known[it]])} ({case.terms[it]})" for it in left]
            if len(out) == 1:
                sds = [number(effects.sd[known[it]]) for it in left]
            spread = f": in {other} their SD is {listed(sds)}"
        left_out = f"{name} leaves out that slopes differ between groups{spread}."
        smaller = {term: value for term, value in found.items() if value < 1 - CLOSE}
        if smaller:
            yield (
                compared(case, place, full, smaller),
                f"{left_out} It takes each row for further evidence on the slope. If slopes do "
                "differ, its intervals are too short and its tests reject too often.",
            )
        shared = ratios(case, place, full, [it for it in case.within if it not in out])
        larger = {term: value for term, value in (shared | found).items() if value > 1 + CLOSE}
        if larger:
            yield (
                compared(case, place, full, larger),
                f"{name} takes for noise, or for differences between intercepts, what the slopes "
                f"that it leaves out explain in {other}.",
            )
        if not smaller and not larger:
            yield (
                f"{name}’s standard errors are nearly those of {other}.",
                f"{left_out} Here that hardly matters.",
            )


def items_left_out(case: Fitted) -> Said:
    """An analysis of groups leaves out that the levels of another factor differ, too."""
    for factor in [*case.data.factors][1:]:
        whole = next((it for it in case.fitted if factor in other_factors(case, it)), None)
        if whole is None:
            continue
        for place in case.fitted:
            strategy = case.strategies[place]
            of_groups = case.random_terms(place) is not None and by_model(strategy)
            if not (of_groups or clustered(strategy)):
                continue
            found = ratios(case, place, whole, range(len(case.terms)))
            smaller = {term: value for term, value in found.items() if value < 1 - CLOSE}
            if smaller:
                yield (
                    compared(case, place, whole, smaller),
                    f"{case.names[place]} knows of {case.group} alone, not that rows also share a "
                    f"level of {factor}. If these differ, its intervals are too short and its "
                    "tests reject too often.",
                )


def other_factors(case: Fitted, place: int) -> set[str]:
    """The factors other than the groups that random effects of a mixed model are of."""
    options = case.strategies[place].options
    random = options.random if isinstance(options, mixed.Options) else ()
    own = by_model(case.strategies[place])
    return {term.factor for term in random if term.factor is not None} if own else set()


def rows_taken_for_independent(case: Fitted) -> Said:
    """Least squares takes all rows for independent."""
    robust = next((it for it in case.fitted if clustered(case.strategies[it])), None)
    for place in case.fitted:
        inference = case.strategies[place].inference
        alone = isinstance(inference, least_squares.Inference) and not clustered(
            case.strategies[place]
        )
        if not alone or robust is None:
            continue
        found = ratios(case, place, robust, range(len(case.terms)))
        far = {term: value for term, value in found.items() if abs(value - 1) > CLOSE}
        if far:
            yield (
                compared(case, place, robust, far),
                f"The estimates are the same. But {case.names[place]} takes all "
                f"{len(case.data.y):,} rows for independent, and {case.names[robust]} lets rows of "
                "a group be alike.",
            )


def efficiency(case: Fitted) -> Said:
    """Strategies that know of groups have other standard errors than the full mixed model."""
    full = full_model(case)
    if full is None:
        return
    sizes = case.sizes
    rows = (
        f"{int(sizes.min()):,}" if sizes.min() == sizes.max() else f"{sizes.min()} to {sizes.max()}"
    )
    for place in case.fitted:
        strategy = case.strategies[place]
        by_group = strategy.family == "two_stage"
        if not (by_group or clustered(strategy)):
            continue
        found = ratios(case, place, full, case.within)
        larger = {term: value for term, value in found.items() if value > 1 + CLOSE}
        smaller = {term: value for term, value in found.items() if value < 1 - CLOSE}
        if larger:
            why = (
                f"{strategy.name} fits each group alone, {rows} rows for "
                f"{counted(len(case.within), 'coefficient')}, and gives all groups the same weight."
                if by_group
                else f"{strategy.name} weighs all rows alike. {case.names[full]} knows which rows "
                "belong together, and so can be more precise."
            )
            yield compared(case, place, full, larger), why
        if smaller:
            yield (
                compared(case, place, full, smaller),
                f"{strategy.name} judges precision by how much "
                f"{counted(len(case.groups), 'group')} differ, not by a model. The fewer groups "
                "there are, the more such standard errors scatter.",
            )


def few_groups(case: Fitted) -> Said:
    """Cluster-robust standard errors rest on few groups."""
    G = len(case.groups)
    robust = [place for place in case.fitted if clustered(case.strategies[place])]
    if not robust or G >= FEW_GROUPS:
        return
    names = [case.names[place] for place in robust]
    makes_up = [
        f"{case.names[place]} allows for that by {number(case.numbers['df'][place, 0])} degrees of "
        "freedom."
        if np.isfinite(case.numbers["df"][place, 0])
        else f"{case.names[place]} does not allow for that."
        for place in robust
    ]
    yield (
        f"The standard errors of {listed(names)} rest on {G} groups, not on "
        f"{len(case.data.y):,} rows.",
        "Cluster-robust standard errors tend to be too small with few groups (Cameron & Miller "
        f"2015). {' '.join(makes_up)}",
    )


# ---- tests and intervals -------------------------------------------------------------------------


def degrees_of_freedom(case: Fitted) -> Said:
    """Tests of one coefficient have very different degrees of freedom."""
    df = np.where(np.isfinite(case.numbers["df"]), case.numbers["df"], np.nan)
    slopes = [place for place in case.within if case.data.terms[place] != "Intercept"]
    known = [place for place in slopes if (~np.isnan(df[:, place])).sum() > 1]
    if not known:
        return
    spread = [float(np.nanmax(df[:, place]) / np.nanmin(df[:, place])) for place in known]
    term = known[int(np.argmax(spread))]
    own, G = df[:, term], len(case.groups)
    if max(spread) < SEVERAL_TIMES or np.nanmax(own) <= G:
        return
    by_df: dict[str, list[str]] = {}
    for place in np.argsort(own, kind="stable"):
        if np.isfinite(own[place]):
            by_df.setdefault(number(own[place]), []).append(case.names[place])
    said = [f"{value} ({', '.join(names)})" for value, names in by_df.items()]
    beyond = np.flatnonzero((own > G) & (own >= SEVERAL_TIMES * np.nanmin(own))).tolist()
    by_estimates = [it for it in beyond if case.data.terms[term] in (case.random_terms(it) or ())]
    by_assumption = [it for it in beyond if it not in by_estimates]
    reasons = []
    if by_assumption:
        names, one = [case.names[it] for it in by_assumption], len(by_assumption) == 1
        reasons.append(
            f"{listed(names)} {'counts' if one else 'count'} more than the {counted(G, 'group')}: "
            f"{'its' if one else 'their'} model says that rows of a group tell as much of "
            f"{case.terms[term]} as rows of different ones."
        )
    if by_estimates:
        names = [case.names[it] for it in by_estimates]
        reasons.append(
            f"By the estimates of {listed(names)}, slopes of "
            f"{case.terms[term]} hardly differ between groups, and then rows count."
        )
    yield (
        f"Tests of {case.terms[term]} have {listed(said)} degrees of freedom.",
        " ".join(reasons),
    )


def normal_intervals(case: Fitted) -> Said:
    """Intervals take t for z, tests don't."""
    said, names = [], []
    for place in case.fitted:
        row = case.rows[place]
        df = case.numbers["df"][place]
        if row["ci_type"] != "z" or not np.isfinite(df).any():
            continue
        term = int(np.nanargmin(df))
        wider = float(stdtrit(df[term], 1 - ALPHA / 2) / ndtri(1 - ALPHA / 2) - 1)
        if wider >= WIDER:
            names.append(case.names[place])
            said.append(
                f"{names[-1]}’s by up to {100 * wider:.0f}% ({case.terms[term]}, "
                f"{number(df[term])} degrees of freedom)"
            )
    if said:
        yield (
            f"The intervals of {listed(names)} are narrower than the tests beside them say.",
            "They are ±1.96 standard errors, as lme4’s Wald intervals are. By Student’s t they "
            f"would be wider, {listed(said)}.",
        )


def decisions(case: Fitted) -> Said:
    """Whether all tests say the same at the 5% level."""
    p = case.numbers["p_value"]
    agreed, said = [], {}
    for term in range(len(case.terms)):
        known = [place for place in case.fitted if np.isfinite(p[place, term])]
        if case.data.terms[term] == "Intercept" or len(known) < 2:
            continue
        by: dict[bool, list[str]] = {True: [], False: []}
        for place in known:
            own = f"{case.names[place]} ({p_value(float(p[place, term]))})"
            by[bool(p[place, term] < ALPHA)].append(own)
        if by[True] and by[False]:
            said[case.terms[term]] = f"rejected by {listed(by[True])}, not by {listed(by[False])}"
        elif by[True]:
            agreed.append(case.terms[term])
    if said:
        first = [f"{term}: {text}." for term, text in list(said.items())[:MOST_DECISIONS]]
        yield (
            f"The strategies decide differently at the 5% level for {listed(list(said))}.",
            f"{' '.join(first)} A strategy that rejects is not better for it: look at what its "
            "standard error rests on.",
        )
    elif len(case.fitted) > 1 and set(case.data.terms) != {"Intercept"}:
        yield (
            "All strategies decide the same at the 5% level.",
            f"They reject zero for {listed(agreed)}." if agreed else "They reject zero nowhere.",
        )


def truth(case: Fitted) -> Said:
    """Which intervals contain the true coefficients, where these are known."""
    low, high = case.numbers["ci_low"], case.numbers["ci_high"]
    known = ~np.isnan(case.truth)
    if not known.any():
        return
    right: list[str] = []
    missed: list[str] = []
    for place in case.fitted:
        outside = known & ((case.truth < low[place]) | (case.truth > high[place]))
        places = np.flatnonzero(outside).tolist()
        if places:
            missed.append(f"those of {case.names[place]} miss {those(case, places)}")
        elif np.isfinite(low[place]).any():
            right.append(case.names[place])
    said = [f"the intervals of {listed(right)} contain all true values"] if right else []
    if said or missed:
        yield (
            f"In this dataset {'; '.join([*said, *missed])}.",
            "One dataset says little: the 95% intervals of a good strategy miss each value in 5% "
            "of datasets. A study shows how often they do.",
        )


RULES: tuple[Callable[[Fitted], Said], ...] = (
    *(failed, unsaid, singular, complaints, estimates),
    *(slopes_left_out, items_left_out, rows_taken_for_independent, efficiency, few_groups),
    *(degrees_of_freedom, normal_intervals, decisions, truth),
)
"""In the order of the page."""


def those(case: Fitted, places: Sequence[int]) -> str:
    """The names of terms at some places."""
    return listed([case.terms[place] for place in places])


def sentence(text: str) -> str:
    """A text that begins and ends as a sentence does."""
    text = text.strip()
    return text and text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")
