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

# The value of an expression, a list, with what R says meanwhile as its part `messages`, warnings
# first; an error as a list with the parts `error` and `stage`, which `at` says.
reporting <- function(expr, at) {
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
  tryCatch(
    {
      result <- catching(expr)
      result$messages <- unique(c(warnings, messages))
      result
    },
    error = function(e) list(error = conditionMessage(e), stage = at(),
                             messages = unique(c(warnings, messages)))
  )
}

# A model at this theta; nothing is optimised.
at_theta <- function(formula, data, reml, theta) {
  control <- lme4::lmerControl(optimizer = NULL, calc.derivs = FALSE)
  lme4::lmer(as.formula(formula), data, REML = reml, start = theta, control = control)
}

# Where lme4's criterion - penalty * log|covariance relative to sigma^2| is least. Its logarithms
# of the diagonal of Lambda have no bounds.
penalised <- function(formula, data, reml, penalty) {
  criterion <- lme4::lmer(as.formula(formula), data, REML = reml, devFunOnly = TRUE)
  diagonal <- environment(criterion)$lower == 0
  theta_of <- function(x) ifelse(diagonal, exp(x), x)
  value <- function(x) criterion(theta_of(x)) - 2 * penalty * sum(x[diagonal])
  control <- list(eval.max = 5000, iter.max = 2000, rel.tol = 1e-15, x.tol = 1e-10)
  # a second search from where the first one stopped: its numerical derivatives stop it early
  first <- nlminb(numeric(length(diagonal)), value, control = control)
  found <- nlminb(first$par, value, control = control)
  # 0 is success for nlminb, too, and what it says of a step too small to tell is no failure
  list(theta = theta_of(found$par), value = found$objective, optimizer = "nlminb",
       opt_code = as.integer(found$iterations >= 2000))
}

# columns: named list of vectors; factors: names of those that are grouping factors;
# numerical: TRUE for lmerTest's degrees of freedom and lme4's checks, which rest on numerical
# derivatives, FALSE for the same fit without them; penalty: 0, or as for `penalised`
fit_lmer <- function(columns, factors, formula, reml, optimizer, numerical, penalty) {
  data <- as_frame(columns, factors)
  stage <- "fit"
  reporting(at = function() stage, {
    lmer <- if (numerical) lmerTest::lmer else lme4::lmer
    if (penalty > 0) {
      best <- penalised(formula, data, reml, penalty)
      fit <- at_theta(formula, data, reml, best$theta)
    } else {
      control <- lme4::lmerControl(optimizer = optimizer, calc.derivs = numerical)
      fit <- lmer(as.formula(formula), data, REML = reml, control = control)
      best <- list(
        value = unname(fit@devcomp$cmp[[if (reml) "REML" else "dev"]]),
        optimizer = fit@optinfo$optimizer,
        opt_code = as.integer(fit@optinfo$conv$opt)
      )
    }
    result <- list(
      estimate = lme4::fixef(fit),
      se = sqrt(diag(as.matrix(vcov(fit)))),
      theta = lme4::getME(fit, "theta"),
      term_factors = names(fit@flist)[attr(fit@flist, "assign")],
      term_sizes = unname(lengths(fit@cnms)),
      term_columns = unlist(fit@cnms, use.names = FALSE),
      sigma = sigma(fit),
      criterion = best$value,
      singular = lme4::isSingular(fit, tol = 1e-4),
      optimizer = best$optimizer,
      opt_code = best$opt_code,
      warnings = as.character(unlist(c(fit@optinfo$conv$lme4$messages, fit@optinfo$warnings)))
    )
    if (numerical) {
      stage <- "summary"
      result$df <- summary(fit)$coefficients[, "df"]
      result$checks <- recheck(fit)
    }
    result
  })
}

# Kenward and Roger's standard errors and degrees of freedom at theta, by pbkrtest
kenward_roger <- function(columns, factors, formula, reml, theta) {
  reporting(at = function() "pbkrtest", {
    fit <- at_theta(formula, as_frame(columns, factors), reml, theta)
    adjusted <- pbkrtest::vcovAdj(fit)
    one <- diag(nrow(adjusted))
    list(
      se = sqrt(diag(as.matrix(adjusted))),
      df = apply(one, 1, function(L) pbkrtest::Lb_ddf(L, vcov(fit), adjusted))
    )
  })
}

# CR2 standard errors, with their Satterthwaite degrees of freedom, at theta, by clubSandwich
cr2 <- function(columns, factors, formula, reml, theta) {
  reporting(at = function() "clubSandwich", {
    fit <- at_theta(formula, as_frame(columns, factors), reml, theta)
    robust <- clubSandwich::vcovCR(fit, type = "CR2")
    table <- clubSandwich::coef_test(fit, vcov = robust, test = "Satterthwaite")
    list(se = table$SE, df = table$df_Satt)
  })
}

# Deviances of two models for each of `n` responses, one after the other in `ys`, by maximum
# likelihood
deviances <- function(columns, factors, whole, null, optimizer, ys, n) {
  reporting(at = function() "refit", {
    data <- as_frame(columns, factors)
    control <- lme4::lmerControl(optimizer = optimizer, calc.derivs = FALSE)
    responses <- matrix(ys, ncol = n)
    of <- function(formula) {
      fit <- lme4::lmer(as.formula(formula), data, REML = FALSE, control = control)
      apply(responses, 2, function(y) lme4::refit(fit, y)@devcomp$cmp[["dev"]])
    }
    list(whole = of(whole), null = of(null))
  })
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
