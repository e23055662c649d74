"""Which fits failed or came with warnings."""

from __future__ import annotations

from collections.abc import Iterator

from rmsweep.report.takeaway.measured import FITTED, Measured
from rmsweep.report.takeaway.sentences import FEW, coded
from rmsweep.report.words import SINGULAR, counted, listed


def of_fits(measured: Measured) -> Iterator[str]:
    """Which fits failed or came with warnings, and what became of them."""
    frame = measured.frame
    keys = [*measured.keys, "strategy"]
    rows = frame[frame["measure"] == "failed_rate"]
    real = frame.loc[frame["measure"] == "nonsingular_failure_rate", [*keys, "value"]]
    rows = rows.merge(real, on=keys, how="left", suffixes=("", "_of_real"))
    rows = rows.assign(
        n_failed=rows["value"].fillna(0.0) * rows["n_used"],
        n_real=rows["value_of_real"].fillna(0.0) * rows["n_run"],
    )
    columns = ["n_run", "n_converged", "n_failed", "n_real"]
    sums = rows.groupby("strategy", sort=False)[columns].sum()
    total, converged, failed, n_real = (round(sums[name].sum()) for name in columns)
    if converged == total:
        return
    if failed == total:
        yield f"All {counted(total, 'fit')} failed, so there are no estimates to judge."
        return
    shares = (1 - sums["n_converged"] / sums["n_run"]).sort_values(ascending=False, kind="stable")
    said = [f"{100 * share:.2g}% with `{name}`" for name, share in shares.items() if share > 0]
    others = f" and less with {counted(len(said) - FEW, 'other')}" if len(said) > FEW else ""
    some = f"{', '.join(said[:FEW])}{others}" if others else listed(said)
    not_converged = total - converged
    singular, another = not_converged - n_real, n_real - failed
    kinds = {
        "came with a warning": another,
        "were singular": singular,
        "failed": failed,
    }
    causes = {
        f"were singular without another warning ({SINGULAR}), and their estimates can be used": (
            singular
        ),
        "came with a warning": another,
        "failed: they gave no estimates and are left out of all numbers": failed,
    }
    what = listed([text for text, number in kinds.items() if number], "or")
    yield (
        f"{not_converged:,} of {counted(total, 'fit')} {what}, and don’t count as converged: "
        f"{some}."
    )
    parts = [f"{number:,} {text}" for text, number in causes.items() if number]
    if len(parts) > 1:
        yield f"Of these, {'; '.join(parts)}."
    elif singular:
        yield f"A singular fit is one where {SINGULAR}; its estimates can be used."
    if failed < not_converged:
        yield "All fits with estimates are in all numbers that don’t say otherwise."
    alike_: dict[str, list[str]] = {}
    for name, own in measured.gaps.items():
        case = own.loc[own["value"].idxmax()]
        at = measured.condition({key: case[key] for key in measured.keys})
        where = measured.share(len(own), len(measured.study.conditions))
        text = f"less than {FITTED:.0%} of datasets{where}, down to {1 - case['value']:.0%}{at}"
        alike_.setdefault(text, []).append(name)
    for text, names in alike_.items():
        gives, it = ("gives", "it") if len(names) == 1 else ("give", "them")
        yield (
            f"{coded(names)} {gives} estimates for {text}. Since those datasets are a selection, "
            f"nothing above is said of {it} there."
        )
