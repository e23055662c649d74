"""Linear mixed models, fitted to blocks of datasets at once.

`crossproducts` reduces the datasets of a block, `fit` finds the REML or ML optimum of each,
`inference_at` gives the same closed forms at any other θ, such as lme4's, and `lme4_checks` says
what lme4 would of either. `kenward_roger` adjusts standard errors and degrees of freedom to small
samples. `crossings`, `fit_crossed`, `crossed_inference_at` and `crossed_kenward_roger` do the same
for any number of random-effects terms. The mathematics is in `criterion` and `crossed`, the search
in `optimise`. Strategies without random effects are in `leastsquares`, `secondstage`, `gee` and
`wild`; `sandwich` has cluster-robust variances for all.

References
----------
Bates, D., Mächler, M., Bolker, B. & Walker, S. (2015). Fitting linear mixed-effects models using
lme4. Journal of Statistical Software 67(1).
Chung, Y., Rabe-Hesketh, S., Dorie, V., Gelman, A. & Liu, J. (2013). A nondegenerate penalized
likelihood estimator for variance parameters in multilevel models. Psychometrika 78, 685-709.
Giesbrecht, F. G. & Burns, J. C. (1985). Two-stage analysis based on a mixed model: large-sample
asymptotic theory and small-sample simulation results. Biometrics 41, 477-486.
Kuznetsova, A., Brockhoff, P. B. & Christensen, R. H. B. (2017). lmerTest package: tests in linear
mixed effects models. Journal of Statistical Software 82(13).
Longford, N. T. (1987). A fast scoring algorithm for maximum likelihood estimation in unbalanced
mixed models with nested random effects. Biometrika 74, 817-827.
Swamy, P. A. V. B. (1970). Efficient inference in a random coefficient regression model.
Econometrica 38, 311-323.
"""

from rmsweep.lmm.checks import Checks, lme4_check, lme4_checks, lmertest_warnings
from rmsweep.lmm.covariance import Covariance
from rmsweep.lmm.crossedfit import (
    EXACT_BY_TERMS,
    TOO_PRECISE,
    CrossedFit,
    crossed_inference_at,
    crossed_kenward_roger,
    fit_crossed,
)
from rmsweep.lmm.crossings import MOST_DENSE, Crossings, Term, crossings
from rmsweep.lmm.crossproducts import (
    EXACT,
    CrossProducts,
    centred,
    crossproducts,
    joined,
    reduced_at_once,
    uncentred,
    units,
)
from rmsweep.lmm.fit import EXACT_BY_GROUP, Estimates, LmmFit, blups, fit, inference_at
from rmsweep.lmm.gee import Divisor, GeeFit, gee_exchangeable
from rmsweep.lmm.kenward_roger import Adjusted, kenward_roger
from rmsweep.lmm.leastsquares import (
    LeastSquaresFit,
    between_ols,
    bias_reduced_ols,
    cluster_robust_ols,
    mean_of_groups,
    ols,
    two_stage,
    within_ols,
)
from rmsweep.lmm.sandwich import (
    Bases,
    Robust,
    bases,
    coefficient_contrasts,
    robust_inference,
    sandwich,
    working_covariance,
)
from rmsweep.lmm.secondstage import (
    regressed_two_stage,
    reml_tau2,
    swamy,
    weighted_two_stage,
)
from rmsweep.lmm.smallmatrix import keep_memory
from rmsweep.lmm.twoway import positive, two_way_ols
from rmsweep.lmm.wild import Resampled, sign_flips, wild_cluster_bootstrap

__all__ = [
    "EXACT",
    "EXACT_BY_GROUP",
    "EXACT_BY_TERMS",
    "MOST_DENSE",
    "TOO_PRECISE",
    "Adjusted",
    "Bases",
    "Checks",
    "Covariance",
    "CrossProducts",
    "CrossedFit",
    "Crossings",
    "Divisor",
    "Estimates",
    "GeeFit",
    "LeastSquaresFit",
    "LmmFit",
    "Resampled",
    "Robust",
    "Term",
    "bases",
    "between_ols",
    "bias_reduced_ols",
    "blups",
    "centred",
    "cluster_robust_ols",
    "coefficient_contrasts",
    "crossed_inference_at",
    "crossed_kenward_roger",
    "crossings",
    "crossproducts",
    "fit",
    "fit_crossed",
    "gee_exchangeable",
    "inference_at",
    "joined",
    "keep_memory",
    "kenward_roger",
    "lme4_check",
    "lme4_checks",
    "lmertest_warnings",
    "mean_of_groups",
    "ols",
    "positive",
    "reduced_at_once",
    "regressed_two_stage",
    "reml_tau2",
    "robust_inference",
    "sandwich",
    "sign_flips",
    "swamy",
    "two_stage",
    "two_way_ols",
    "uncentred",
    "units",
    "weighted_two_stage",
    "wild_cluster_bootstrap",
    "within_ols",
    "working_covariance",
]
