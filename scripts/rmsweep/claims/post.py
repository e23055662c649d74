"""The claims of Eshin Jolly's post, one of ours, and the thresholds that decide them.

Its words leave open how much is "worse" or "alike". The thresholds below say what counts, once for
all claims; a region in a claim is made of nothing else.
"""

from __future__ import annotations

from typing import Literal

from rmsweep.claims.claim import Claim, Region, Test, Where

ALIKE = 1.1
"""Ratios up to this, and down to its inverse, are alike, and beyond it higher or lower: what can be
seen in the post's box plots. An error that is a tenth larger costs a fifth more groups."""
COMPARABLE = 1.25
"""The same for "largely comparable" and "a bit": the bounds of bioequivalence, 80% and 125%."""
SLIGHT = 1.02
"""From here on a ratio is "slightly" above 1: what 10,000 replications can tell from 1."""
LARGE = 1.5
"""From here on a ratio is large."""
FAR = 2.0
"""From here on a ratio is poor or dramatic."""
LIBERAL = Region(0.025, 0.075)
"""A test of 5% with such a size keeps its level: Bradley's (1978) liberal criterion, British J. of
Mathematical and Statistical Psychology 31:144. Above it there are false positives."""
LIBERAL_COVERAGE = Region(0.925, 0.975)
"""The same criterion, for the coverage of 95% intervals."""
AGREE = 0.9
"""Decisions (p < .05) that are the same in more datasets than this are largely the same."""
SIZE = 0.01
"""A noticeable difference of size: twice Bradley's strict criterion."""
POWER = 0.05
"""A noticeable difference of power: one dataset in twenty."""
FAILS = 0.05
"""A strategy whose fits fail more often than this fails, by the study's own verdict."""
NEVER = 0.01
"""Less often than this is never, for a study of some thousand replications."""
MOST = 0.5
"""More than this share are most."""
CLOSE = 0.1
"""Estimates that are closer than this, in standard errors, would be reported as the same."""

SAME = Region(1 / ALIKE, ALIKE)
ABOUT_SAME = Region(1 / COMPARABLE, COMPARABLE)
HIGHER, LOWER = Region(ALIKE), Region(high=1 / ALIKE)
SLIGHTLY_HIGHER = Region(SLIGHT, COMPARABLE)

FEW_OBS: Where = {"n_obs": ("low",)}
MEDIUM_OBS: Where = {"n_obs": ("medium",)}
MANY_OBS: Where = {"n_obs": ("high",)}
SMALL_OR_MEDIUM: Where = {"rows": ("low", "medium")}
LOW_SD: Where = {"sigma": ("low",)}
HIGH_SD: Where = {"sigma": ("high",)}
ELSEWHERE: Where = {"sigma": ("medium", "high"), "n_obs": ("medium", "high")}
"""But for the two situations in which, by the post, the full model fails."""
SD_FROM_MEDIUM: Where = {"sigma": ("medium", "high")}
WALK_THROUGH: Where = {"n_groups": 50.0, "n_obs": 50.0, "sigma": 0.25}

UNBALANCED = ("missing", "group_sizes")

UP: Literal[1] = 1
DOWN: Literal[-1] = -1

DECIDE = "How do we decide"
RECOVERY = "Coefficient recovery"
INFERENCE = "Making inferences"
BONUS = "When fully specified models fail"
LESSONS = "What have we learned"
STRATEGIES = "Analysis strategies"
SMALL = "Starting small"
NOTES = "Notes"
CAVEATS = "Caveats and cautions"
OURS = "Not in the post"
"""The section of a claim that the post does not make, but a reader of its output may."""

ALL = ("lm", "lm2", "lmer", "lmer_mis")
OTHERS = ("lm", "lm2", "lmer_mis")

# medians of the post's sums over the coefficients
ERROR = "coef_abs_err_ratio"
SE = "se_sum_ratio"
T = "t_sum_ratio"
CLAIMS = (
    Claim(
        1,
        RECOVERY,
        "With much data, and low or medium variability between groups, all strategies recover the "
        "coefficients about equally well.",
        (
            Test(
                ERROR,
                OTHERS,
                SAME,
                against=("lmer",),
                where=({"rows": ("high",), "sigma": ("low", "medium")},),
            ),
        ),
    ),
    Claim(
        2,
        RECOVERY,
        "When groups vary much, more groups help, rather than more observations in each.",
        (
            Test(
                "coef_abs_err_median",
                ALL,
                LOWER,
                where=(HIGH_SD,),
                over={"n_groups": UP, "n_obs": DOWN},
            ),
        ),
    ),
    Claim(
        3,
        RECOVERY,
        "With few groups that vary much, even the full mixed model recovers the coefficients "
        "poorly.",
        (
            Test(
                "coef_abs_err_median",
                ("lmer",),
                Region(FAR),
                where=(HIGH_SD,),
                over={"n_groups": DOWN},
            ),
            # errors fall with the root of the number of groups, whatever the strategy: the claim
            # is that the full model is no exception
            Test(
                ERROR,
                ("lmer",),
                Region(1 / ALIKE),
                against=OTHERS,
                where=({"n_groups": ("low",), "sigma": ("high",)},),
            ),
        ),
    ),
    Claim(
        4,
        RECOVERY,
        "With few observations per group, two-stage regression recovers the coefficients worst.",
        (Test(ERROR, ("lm2",), HIGHER, against=("lm", "lmer", "lmer_mis"), where=(FEW_OBS,)),),
    ),
    Claim(
        5,
        RECOVERY,
        "Few observations per group favour the full mixed model, most of all where groups vary "
        "much.",
        (
            Test(ERROR, ("lm", "lmer_mis"), HIGHER, against=("lmer",), where=(FEW_OBS,)),
            Test(
                ERROR,
                ("lm", "lmer_mis"),
                HIGHER,
                against=("lmer",),
                where=(FEW_OBS,),
                over={"sigma": UP},
            ),
        ),
    ),
    Claim(
        6,
        RECOVERY,
        "With few observations per group, cluster-robust regression and the simple mixed model "
        "recover the coefficients alike.",
        (Test(ERROR, ("lm",), SAME, against=("lmer_mis",), where=(FEW_OBS,)),),
    ),
    Claim(
        7,
        RECOVERY,
        "With a medium number of observations, cluster-robust regression recovers slightly worse "
        "than the others, everywhere.",
        (
            Test(
                ERROR,
                ("lm",),
                SLIGHTLY_HIGHER,
                against=("lm2", "lmer", "lmer_mis"),
                where=(MEDIUM_OBS,),
            ),
        ),
    ),
    Claim(
        8,
        RECOVERY,
        "With many observations per group, all strategies recover the coefficients alike.",
        (Test(ERROR, OTHERS, SAME, against=("lmer",), where=(MANY_OBS,)),),
    ),
    Claim(
        9,
        INFERENCE,
        "The more groups vary, the larger are standard errors and the smaller t statistics, "
        "whatever the size of the data.",
        (
            Test("se_sum_median", ALL, Region(1.0), step="sigma"),
            Test("t_sum_median", ALL, Region(high=1.0), step="sigma"),
        ),
    ),
    Claim(
        10,
        INFERENCE,
        "With few observations per group, two-stage regression has larger standard errors and "
        "smaller t statistics, so fewer false positives and more false negatives.",
        (
            Test(SE, ("lm2",), HIGHER, against=("lmer",), where=(FEW_OBS,)),
            Test(T, ("lm2",), LOWER, against=("lmer",), where=(FEW_OBS,)),
            Test(
                "difference_of_size_of_slopes",
                ("lm2",),
                Region(high=-SIZE),
                against=("lmer",),
                where=(FEW_OBS,),
            ),
            Test(
                "difference_of_directional_power_of_slopes",
                ("lm2",),
                Region(high=-POWER),
                against=("lmer",),
                where=(FEW_OBS,),
            ),
        ),
    ),
    Claim(
        11,
        INFERENCE,
        "With few observations per group, two-stage regression, unlike the others, doesn't "
        "necessarily gain from more groups.",
        (
            Test(
                "t_sum_median",
                ("lm2",),
                Region(high=ALIKE),
                where=(FEW_OBS,),
                over={"n_groups": UP},
            ),
            Test(
                T,
                ("lm2",),
                LOWER,
                against=("lm", "lmer", "lmer_mis"),
                where=(FEW_OBS,),
                over={"n_groups": UP},
            ),
        ),
    ),
    Claim(
        12,
        INFERENCE,
        "Where variability between groups is medium or high, the simple mixed model has higher t "
        "statistics and smaller standard errors than the others.",
        (
            Test(T, ("lmer_mis",), HIGHER, against=("lm", "lm2", "lmer"), where=(SD_FROM_MEDIUM,)),
            Test(SE, ("lmer_mis",), LOWER, against=("lm", "lm2", "lmer"), where=(SD_FROM_MEDIUM,)),
        ),
    ),
    Claim(
        13,
        INFERENCE,
        "Where variability between groups is medium or high, the t statistics of the simple mixed "
        "model gain most from more observations per group.",
        (
            Test(
                T,
                ("lmer_mis",),
                HIGHER,
                against=("lm", "lm2", "lmer"),
                where=(SD_FROM_MEDIUM,),
                over={"n_obs": UP},
            ),
        ),
    ),
    Claim(
        14,
        INFERENCE,
        "Where variability between groups is medium or high, the simple mixed model risks more "
        "false positives.",
        (
            # of slopes alone: the model has random intercepts, so that it is right for these
            Test("size_of_slopes", ("lmer_mis",), Region(LIBERAL.high), where=(SD_FROM_MEDIUM,)),
        ),
    ),
    Claim(
        15,
        INFERENCE,
        "Where groups vary much, the simple mixed model may be more sensitive to true "
        "relationships.",
        (
            Test(
                "difference_of_directional_power_of_slopes",
                ("lmer_mis",),
                Region(POWER),
                against=("lmer",),
                where=(HIGH_SD,),
            ),
            Test(
                "difference_of_size_adjusted_power_of_slopes",
                ("lmer_mis",),
                Region(POWER),
                against=("lmer",),
                where=(HIGH_SD,),
            ),
        ),
    ),
    Claim(
        16,
        INFERENCE,
        "Inferences from cluster-robust regression and from the full mixed model are largely "
        "comparable.",
        (
            Test(T, ("lm",), ABOUT_SAME, against=("lmer",)),
            Test("size_of_slopes", ("lm", "lmer"), LIBERAL),
            Test("decision_agreement_of_slopes", ("lm",), Region(AGREE), against=("lmer",)),
        ),
    ),
    Claim(
        17,
        BONUS,
        "The full mixed model fails where groups vary little, or where there are very few "
        "observations per group, and not elsewhere.",
        (
            Test("failure_rate", ("lmer",), Region(FAILS), where=(LOW_SD, FEW_OBS)),
            Test(
                "failure_rate",
                ("lmer",),
                Region(high=FAILS),
                where=(ELSEWHERE,),
            ),
            Test(
                "nonsingular_failure_rate",
                ("lmer",),
                Region(FAILS),
                where=(LOW_SD, FEW_OBS),
            ),
            Test("nonsingular_failure_rate", ("lmer",), Region(high=FAILS), where=(ELSEWHERE,)),
        ),
    ),
    Claim(
        18,
        BONUS,
        "The simple mixed model never fails.",
        (
            Test("failure_rate", ("lmer_mis",), Region(high=NEVER), always=True, pooled=True),
            Test(
                "nonsingular_failure_rate",
                ("lmer_mis",),
                Region(high=NEVER),
                always=True,
                pooled=True,
            ),
        ),
    ),
    Claim(
        19,
        BONUS,
        "Where groups vary little, simpler models recover the coefficients better than the full "
        "one.",
        (Test(ERROR, ("lmer_mis",), Region(high=1 / SLIGHT), against=("lmer",), where=(LOW_SD,)),),
    ),
    Claim(
        20,
        BONUS,
        "The full mixed model fails because the optimizer runs out of iterations.",
        (Test("optimizer_share_of_failures", ("lmer",), Region(MOST), engine="lme4", pooled=True),),
    ),
    Claim(
        21,
        LESSONS,
        "The simple mixed model is warranted where groups hardly vary.",
        (Test("size_of_slopes", ("lmer_mis",), Region(high=LIBERAL.high), where=(LOW_SD,)),),
    ),
    Claim(
        22,
        LESSONS,
        "Drop the correlations of the random effects rather than the random slopes.",
        (
            Test(
                "size_of_slopes",
                ("lmer_zcp",),
                Region(high=LIBERAL.high),
                study="type-one-error",
            ),
            Test(
                "difference_of_size_of_slopes",
                ("lmer_zcp",),
                Region(high=-SIZE),
                against=("lmer_mis",),
                where=(SD_FROM_MEDIUM,),
                study="anova",
            ),
            Test(
                "difference_of_convergence_rate",
                ("lmer_zcp",),
                Region(FAILS),
                against=("lmer",),
                where=(LOW_SD, FEW_OBS),
                study="type-one-error",
            ),
        ),
    ),
    Claim(
        23,
        LESSONS,
        "Cluster-robust regression serves well if inferences are the goal, although its estimates "
        "are a bit less accurate.",
        (
            Test("size_of_slopes", ("lm",), LIBERAL),
            Test(T, ("lm",), ABOUT_SAME, against=("lmer",)),
            Test(ERROR, ("lm",), Region(high=COMPARABLE), against=("lmer",)),
        ),
    ),
    Claim(
        24,
        LESSONS,
        "Two-stage or cluster-robust regression leads to largely the same inferences as a full "
        "mixed model that converges.",
        (
            Test(
                "decision_agreement_of_slopes",
                ("lm", "lm2"),
                Region(AGREE),
                against=("lmer",),
                fits="converged",
            ),
        ),
    ),
    Claim(
        25,
        LESSONS,
        "Where items vary, too, two-stage and cluster-robust regression may lead to other "
        "inferences.",
        (
            Test(
                "difference_of_size_of_slopes",
                # f1 is two-stage regression of single effects: a t test of the groups' slopes
                ("lm", "lm2", "f1"),
                Region(SIZE),
                against=("lmer_items",),
                some=True,
                study="items",
            ),
        ),
    ),
    Claim(
        26,
        STRATEGIES,
        "Two-stage regression is what a mixed model becomes when the variance between groups is "
        "infinite.",
        (
            Test(
                "estimate_distance",
                ("lm2",),
                Region(high=CLOSE),
                against=("lmer",),
                where=(HIGH_SD,),
            ),
            Test(
                "estimate_distance",
                ("lm2",),
                Region(high=0.0),
                against=("lmer",),
                over={"sigma": UP},
            ),
        ),
    ),
    Claim(
        27,
        NOTES,
        "Satterthwaite's degrees of freedom can change dramatically with the random effects.",
        (Test("df_ratio_of_slopes", ("lmer_mis",), Region(FAR), against=("lmer",)),),
    ),
    Claim(
        28,
        "Repeated what?",
        "To ignore that observations depend on each other makes estimates less accurate, gives "
        "false positives, and can even reverse an estimate (Simpson's paradox).",
        (
            Test(
                "size_of_slopes",
                ("ols",),
                Region(LIBERAL.high),
                where=(SD_FROM_MEDIUM,),
                study="type-one-error",
            ),
            Test(
                "relative_bias",
                ("ols",),
                Region(high=-1.0),
                term="slopes",
                some=True,
                study="simpson",
            ),
            Test(
                ERROR,
                ("ols",),
                Region(SLIGHT),
                against=("lmer",),
                where=(SD_FROM_MEDIUM,),
                study="type-one-error",
            ),
        ),
    ),
    Claim(
        29,
        STRATEGIES,
        "A maximal mixed model that fails to converge leaves one with unreliable estimates.",
        (
            Test(
                "coef_abs_err_mean",
                ("lmer",),
                HIGHER,
                fits="not_converged",
                against_fits="converged",
            ),
            Test("size_of_slopes", ("lmer",), Region(LIBERAL.high), fits="not_converged"),
            Test(
                "size_of_slopes",
                ("lmer",),
                Region(SIZE),
                fits="not_converged",
                against_fits="converged",
            ),
        ),
    ),
    Claim(
        30,
        NOTES,
        "Inferences are sound, too, if robust standard errors are put on top of a mixed model or "
        "of two-stage regression.",
        (
            Test("size_of_slopes", ("lmer_cr2",), LIBERAL, study="type-one-error"),
            Test("size_of_slopes", ("lmer_mis_cr2",), LIBERAL, study="type-one-error"),
            Test("size_of_slopes", ("lm2_hc3",), LIBERAL, study="type-one-error"),
        ),
    ),
    Claim(
        31,
        OURS,
        "The 95% intervals that the post's program prints for mixed models contain the true "
        "coefficient in 95% of datasets.",
        (
            Test("coverage_of_slopes", ("lmer",), LIBERAL_COVERAGE),
            Test("coverage", ("lmer",), LIBERAL_COVERAGE, term="Intercept"),
        ),
    ),
    Claim(
        32,
        SMALL,
        "In 50 groups of 50 that vary little, the simple mixed model is a bit less accurate than "
        "the full one, with far higher t statistics; cluster-robust regression is as accurate as "
        "the simple one and more cautious than the full one; two-stage regression is like the full "
        "one.",
        (
            Test(ERROR, ("lmer_mis",), SLIGHTLY_HIGHER, against=("lmer",), where=(WALK_THROUGH,)),
            Test(T, ("lmer_mis",), Region(LARGE), against=("lmer",), where=(WALK_THROUGH,)),
            Test(ERROR, ("lm",), SAME, against=("lmer_mis",), where=(WALK_THROUGH,)),
            Test(SE, ("lm",), SLIGHTLY_HIGHER, against=("lmer",), where=(WALK_THROUGH,)),
            Test(ERROR, ("lm2",), SAME, against=("lmer",), where=(WALK_THROUGH,)),
            Test(T, ("lm2",), SAME, against=("lmer",), where=(WALK_THROUGH,)),
        ),
    ),
    Claim(
        33,
        STRATEGIES,
        "With mixed models there is hardly a reason to ever run a repeated-measures ANOVA again.",
        (
            Test(
                "difference_of_size_of_slopes",
                ("lmer",),
                Region(high=SIZE),
                against=("rm_anova",),
                study="anova",
            ),
            Test(
                "difference_of_directional_power_of_slopes",
                ("lmer",),
                Region(low=-POWER),
                against=("rm_anova",),
                study="anova",
            ),
        ),
    ),
    Claim(
        34,
        STRATEGIES,
        "Mixed models deal better with missing observations, and with different numbers of them, "
        "than other strategies do.",
        (
            Test(
                ERROR,
                ("lm", "lm2"),
                Region(SLIGHT),
                against=("lmer",),
                needs=UNBALANCED,
                study="messy",
            ),
            Test("size_of_slopes", ("lmer",), LIBERAL, needs=UNBALANCED, study="messy"),
        ),
    ),
    Claim(
        35,
        STRATEGIES,
        "Inferences are sound, and fewer fits fail, if a criterion selects the structure of the "
        "mixed model.",
        (
            Test("size_of_slopes", ("lmer_select",), LIBERAL, study="type-one-error"),
            Test(
                "difference_of_convergence_rate",
                ("lmer_select",),
                Region(FAILS),
                against=("lmer",),
                where=(LOW_SD, FEW_OBS),
                study="type-one-error",
            ),
        ),
    ),
    Claim(
        36,
        RECOVERY,
        "With small to medium datasets and groups that vary much, all strategies recover the "
        "coefficients poorly.",
        (
            Test(
                "coef_abs_err_median",
                ALL,
                Region(FAR),
                where=(SMALL_OR_MEDIUM,),
                over={"sigma": UP},
            ),
        ),
    ),
    Claim(
        37,
        CAVEATS,
        "More data are almost always better.",
        (
            Test("coef_abs_err_median", ALL, Region(high=1.0), step="n_groups"),
            Test("coef_abs_err_median", ALL, Region(high=1.0), step="n_obs"),
        ),
    ),
    Claim(
        38,
        STRATEGIES,
        "Pooling lets mixed models clean up the noisy estimates of single groups, and fill in "
        "responses that are missing.",
        lacks="estimates of single groups or of missing responses",
    ),
    Claim(
        39,
        SMALL,
        "In 50 groups of 50 that vary little, the full mixed model recovers the coefficients well: "
        "no other strategy is clearly nearer to them.",
        (Test(ERROR, ("lmer",), Region(high=ALIKE), against=OTHERS, where=(WALK_THROUGH,)),),
    ),
    Claim(
        40,
        LESSONS,
        "Two-stage regression is for data with enough observations per group: there it recovers "
        "the coefficients as well as the full mixed model, and with few it does worse.",
        (
            Test(
                ERROR,
                ("lm2",),
                Region(high=ALIKE),
                against=("lmer",),
                where=({"n_obs": ("medium", "high")},),
            ),
            Test(ERROR, ("lm2",), HIGHER, against=("lmer",), where=(FEW_OBS,)),
        ),
    ),
    Claim(
        41,
        DECIDE,
        "No strategy is always better than the others: each one is somewhere less accurate than "
        "another.",
        tuple(
            Test(
                ERROR,
                (name,),
                Region(SLIGHT),
                against=tuple(other for other in ALL if other != name),
                some=True,
            )
            for name in ALL
        ),
    ),
    Claim(
        42,
        LESSONS,
        "Where there are several levels of clustering, two-stage and cluster-robust regression may "
        "lead to other inferences.",
        (
            Test(
                "difference_of_size_of_slopes",
                ("lm", "lm_cr1", "lm2"),
                Region(SIZE),
                against=("lmer_sites",),
                some=True,
                study="nested",
            ),
        ),
    ),
    Claim(
        43,
        RECOVERY,
        "Cluster-robust regression recovers the coefficients worse because it pools nothing.",
        lacks="the cause of a difference between strategies",
    ),
)
"""The claims, in the order of ``claims``. Their numbers stay, whatever is added."""
