# The power of lmerTest's test for Days in data like sleepstudy, by simulation in R itself: data from
# lme4's simulate() with the numbers of config/power-of-yours.yaml, each fitted by lmer, as the
# package simr does. The test suite compares the study's power with the shares that this prints.
#
#   Rscript benchmarks/power_by_simulation.R        # some 15 minutes

suppressPackageStartupMessages(library(lmerTest))
N_SIMS <- 1000
sd <- c(24.7405, 5.92213)
correlation <- 0.0655513
sigma <- 25.5918
beta <- c(251.405, 5)

# lme4's theta: the Cholesky factor of the random effects' covariance over sigma, by column
L <- t(chol(matrix(c(1, correlation, correlation, 1), 2) * outer(sd, sd))) / sigma
parameters <- list(beta = beta, theta = L[lower.tri(L, diag = TRUE)], sigma = sigma)

for (n_groups in c(12, 18)) {
  design <- expand.grid(Days = 0:9, Subject = factor(seq_len(n_groups)))
  set.seed(n_groups)
  simulated <- simulate(
    ~ Days + (Days | Subject), nsim = N_SIMS, newdata = design, newparams = parameters,
    family = gaussian
  )
  found <- vapply(simulated, function(y) {
    fit <- suppressMessages(suppressWarnings(lmer(y ~ Days + (Days | Subject), cbind(design, y))))
    suppressMessages(suppressWarnings(coef(summary(fit))["Days", "Pr(>|t|)"])) < 0.05
  }, NA)
  cat(sprintf("%d groups of 10 rows: %d of %d found\n", n_groups, sum(found), N_SIMS))
}
