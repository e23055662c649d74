# One mixed model by lmerTest and lme4, as a plain list of vectors. Sourced by rbridge.py.

# lme4's own check, made anew with no fit taken for singular: today's lme4 skips the gradient
# and Hessian checks for a singular fit, lme4 up to 1.1-18 made them.
recheck <- function(fit) {
  control <- lme4::lmerControl(check.conv.singular = lme4::.makeCC("ignore", tol = 0))
  lower <- lme4::getME(fit, "lower")
  found <- suppressWarnings(suppressMessages(
    lme4:::checkConv(fit@optinfo$derivs, lme4::getME(fit, "theta"), control$checkConv, lower)
  ))
  said <- unlist(found$messages)
  is_gradient <- grepl("grad", said, fixed = TRUE) | grepl("Gradient", said, fixed = TRUE)
  list(grad_msg = said[is_gradient], hess_msg = said[!is_gradient])
}

# columns: named list of vectors; group: name of the one that says which rows belong together
fit_lmer <- function(columns, group, formula, reml, optimizer) {
  data <- structure(columns, class = "data.frame", row.names = seq_along(columns[[1]]))
  data[[group]] <- factor(data[[group]])
  warnings <- character()
  messages <- character()
  listen <- function(expr) {
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
    listen({
      control <- lme4::lmerControl(optimizer = optimizer)
      fit <- lmerTest::lmer(as.formula(formula), data, REML = reml, control = control)
      stage <- "summary"
      coefficients <- summary(fit)$coefficients
      checks <- recheck(fit)
      list(
        term = rownames(coefficients),
        estimate = coefficients[, "Estimate"],
        se = coefficients[, "Std. Error"],
        df = coefficients[, "df"],
        theta = lme4::getME(fit, "theta"),
        sigma = sigma(fit),
        criterion = unname(fit@devcomp$cmp[[if (reml) "REML" else "dev"]]),
        singular = lme4::isSingular(fit, tol = 1e-4),
        optimizer = fit@optinfo$optimizer,
        opt_code = as.integer(fit@optinfo$conv$opt),
        grad_msg = checks$grad_msg,
        hess_msg = checks$hess_msg,
        lme4_said = as.character(unlist(c(fit@optinfo$conv$lme4$messages, fit@optinfo$warnings))),
        heard = unique(c(warnings, messages))
      )
    }),
    error = function(e) list(error = conditionMessage(e), stage = stage,
                             heard = unique(c(warnings, messages)))
  )
}

versions <- function() {
  c(
    R = as.character(getRversion()),
    lme4 = as.character(packageVersion("lme4")),
    lmerTest = as.character(packageVersion("lmerTest")),
    R_BLAS = basename(extSoftVersion()[["BLAS"]])
  )
}
