# A regression for each group, then a random-effects meta-analysis of each coefficient (metafor).
# Called by meta_analysis.py.

fit <- function(data, formula, group) {
  models <- lapply(split(data, data[[group]]), function(rows) lm(formula, rows))
  coefficients <- do.call(rbind, lapply(models, coef))
  s2 <- sum(sapply(models, deviance)) / sum(sapply(models, df.residual))
  inverse <- do.call(rbind, lapply(models, function(model) diag(summary(model)$cov.unscaled)))
  summed <- lapply(seq_len(ncol(coefficients)), function(k) {
    # metafor's threshold is one of the variance, in its units
    control <- list(maxiter = 1000, threshold = 1e-10 * var(coefficients[, k]))
    metafor::rma(coefficients[, k], s2 * inverse[, k],
                 method = "REML", test = "knha", control = control)
  })
  data.frame(
    term = colnames(coefficients),
    estimate = sapply(summed, function(one) one$beta[1]),
    se = sapply(summed, function(one) one$se),
    df = nrow(coefficients) - 1
  )
}
