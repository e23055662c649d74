# A random intercept and AR(1) errors by nlme. Sourced by autoregressive.py.

# columns: named list of vectors, rows of a group in order of time; group: name of the one with the
# group's codes
fit_ar1 <- function(columns, formula, group) {
  data <- structure(columns, class = "data.frame", row.names = seq_along(columns[[1]]))
  data[[group]] <- factor(data[[group]])
  messages <- character()
  keep <- function(condition, restart) {
    messages <<- c(messages, sub("\n$", "", conditionMessage(condition)))
    invokeRestart(restart)
  }
  tryCatch(
    withCallingHandlers({
      by_group <- as.formula(sprintf("~ 1 | `%s`", group))
      fit <- nlme::lme(as.formula(formula), data, by_group,
                       correlation = nlme::corAR1(form = by_group), method = "REML")
      table <- summary(fit)$tTable
      list(
        estimate = table[, "Value"],
        se = table[, "Std.Error"],
        df = as.numeric(table[, "DF"]),
        criterion = -2 * as.numeric(logLik(fit)),
        messages = unique(messages)
      )
    }, warning = function(w) keep(w, "muffleWarning"), message = function(m) keep(m, "muffleMessage")),
    error = function(e) list(error = conditionMessage(e), messages = unique(messages))
  )
}
