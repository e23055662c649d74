# One mixed model by lmerTest and lme4, as a plain list of vectors. Sourced by lme4.py.

# lme4's own check, made anew with no fit taken for singular: today's lme4 skips the gradient
# and Hessian checks for a singular fit, lme4 up to 1.1-18 made them.
recheck <- function(fit) {
  control <- lme4::lmerControl(check.conv.singular = lme4::.makeCC("ignore", tol = 0))
  lower <- lme4::getME(fit, "lower")
  found <- suppressWarnings(suppressMessages(
    lme4:::checkConv(fit@optinfo$derivs, lme4::getME(fit, "theta"), control$checkConv, lower)
  ))
  as.character(unlist(found$messages))
}

as_frame <- function(columns, factors) {
  data <- structure(columns, class = "data.frame", row.names = seq_along(columns[[1]]))
  data[factors] <- lapply(data[factors], factor)
  data
}

# columns: named list of vectors; factors: names of those that are grouping factors;
# numerical: TRUE for lmerTest's degrees of freedom and lme4's checks, which rest on numerical
# derivatives, FALSE for the same fit without them
fit_lmer <- function(columns, factors, formula, reml, optimizer, numerical) {
  data <- as_frame(columns, factors)
  warnings <- character()
  messages <- character()
  catching <- function(expr) {
    withCallingHandlers(
      expr,
      warning = function(w) {
        warnings <<- c(warnings, conditionMessage(w))
        invokeRestart("muffleWarning")
      },
      message = function(m) {
        messages <<- c(messages, sub("\n$", "", conditionMessage(m)))
        invokeRestart("muffleMessage")
      }
    )
  }
  stage <- "fit"
  tryCatch(
    catching({
      lmer <- if (numerical) lmerTest::lmer else lme4::lmer
      control <- lme4::lmerControl(optimizer = optimizer, calc.derivs = numerical)
      fit <- lmer(as.formula(formula), data, REML = reml, control = control)
      result <- list(
        estimate = lme4::fixef(fit),
        se = sqrt(diag(as.matrix(vcov(fit)))),
        theta = lme4::getME(fit, "theta"),
        sigma = sigma(fit),
        criterion = unname(fit@devcomp$cmp[[if (reml) "REML" else "dev"]]),
        singular = lme4::isSingular(fit, tol = 1e-4),
        optimizer = fit@optinfo$optimizer,
        opt_code = as.integer(fit@optinfo$conv$opt),
        warnings = as.character(unlist(c(fit@optinfo$conv$lme4$messages, fit@optinfo$warnings)))
      )
      if (numerical) {
        stage <- "summary"
        result$df <- summary(fit)$coefficients[, "df"]
        result$checks <- recheck(fit)
      }
      result$messages <- unique(c(warnings, messages))
      result
    }),
    error = function(e) list(error = conditionMessage(e), stage = stage,
                             messages = unique(c(warnings, messages)))
  )
}

# what R says of the same fit to a person at its prompt
show_lmer <- function(columns, factors, formula, reml, optimizer) {
  data <- as_frame(columns, factors)
  before <- options(warn = 1)
  sink(stdout(), type = "message")
  on.exit({
    sink(type = "message")
    options(before)
  })
  # with the formula itself in the call, which the summary quotes
  call <- bquote(lmerTest::lmer(
    .(as.formula(formula)), data, REML = reml, control = lme4::lmerControl(optimizer = optimizer)
  ))
  try(print(summary(eval(call))))
}
