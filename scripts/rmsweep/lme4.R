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

# lme4::lmer(as.formula(formula), data, REML = reml, control = control), for which it does what lmer
# does, step by step. For models of one grouping factor, what lFormula would make of the data is
# filled into a template: the same objects and checks, but no formula is read for each dataset.
lmer_by_steps <- function(formula, data, reml, control) {
  template <- template_of(formula, data, control)
  made <- if (!is.null(template)) filled(template, data, control$checkControl)
  if (is.null(made)) {
    return(lme4::lmer(as.formula(formula), data, REML = reml, control = control))
  }
  criterion <- with_pointers(
    lme4::mkLmerDevfun(made$fr, made$X, made$reTrms, REML = reml, control = control)
  )
  found <- lme4::optimizeLmer(
    criterion,
    optimizer = control$optimizer, restart_edge = control$restart_edge,
    boundary.tol = control$boundary.tol, control = control$optCtrl,
    calc.derivs = control$calc.derivs, use.last.params = control$use.last.params
  )
  own <- environment(criterion)
  said <- lme4:::checkConv(attr(found, "derivs"), found$par, control$checkConv, own$lower)
  lme4::mkMerMod(own, found, made$reTrms, made$fr, quote(lmer()), said)
}

# lme4's criterion asks its two objects for their pointers at each evaluation, which takes as long
# as that of a small dataset; they stay the same.
with_pointers <- function(criterion) {
  own <- environment(criterion)
  replaced <- function(part) {
    if (!is.call(part)) return(part)
    for (name in c("pp", "resp")) {
      if (identical(part, bquote(.(as.name(name))$ptr()))) return(own[[name]]$ptr())
    }
    as.call(lapply(part, replaced))
  }
  body(criterion) <- replaced(body(criterion))
  criterion
}

# Templates by formula; NA for a formula that was seen, FALSE for one that has no template.
templates <- new.env()

# NULL where there is none: `lFormula` itself has the word, then. It takes two more readings of the
# formula to make one: not for the first dataset, which may be the only one. Data that lFormula
# refuses make no template, but the next ones may; what it says of others, `filled` says again.
template_of <- function(formula, data, control) {
  key <- paste(c(formula, names(data)), collapse = "\r")
  known <- templates[[key]]
  if (is.null(known)) {
    templates[[key]] <- NA
  } else if (is.na(known[1])) {
    made <- try(
      suppressWarnings(suppressMessages(new_template(as.formula(formula), data, control))),
      silent = TRUE
    )
    if (!inherits(made, "try-error")) templates[[key]] <- made
  }
  if (is.list(templates[[key]])) templates[[key]]
}

# What lFormula's value owes to the formula alone. It is read off twice the data, in twice as many
# groups, and has to give the very parts that lFormula makes of the data themselves: this lme4 may
# not be the one that the code below was written for.
new_template <- function(formula, data, control) {
  parse <- function(data) lme4::lFormula(formula, data, control = control)
  twice <- rbind(data, data)
  again <- rep(c(FALSE, TRUE), each = nrow(data))
  is_factor <- vapply(data, is.factor, NA)
  twice[is_factor] <- lapply(
    twice[is_factor], function(codes) factor(as.integer(codes) + again * nlevels(codes[1]))
  )
  parsed <- parse(twice)
  terms <- parsed$reTrms
  if (length(terms$flist) > 1) return(FALSE)
  if (!is.null(attr(parsed$X, "col.dropped"))) return(NA)
  widths <- lengths(terms$cnms)
  n_thetas <- widths * (widths + 1) / 2
  frame <- attributes(parsed$fr)
  plain <- function(names) gsub("`", "", names, fixed = TRUE)
  template <- list(
    frame = frame[names(frame) != "row.names"],
    fixed = colnames(parsed$X), fixed_columns = plain(colnames(parsed$X)),
    assign = attr(parsed$X, "assign"),
    random_columns = plain(unlist(terms$cnms, use.names = FALSE)),
    # of each level's block of Lambda', one after the other
    thetas = lapply(split(terms$Lind, rep(seq_along(widths), n_thetas * terms$nl)), unique),
    terms = terms
  )
  own <- parse(data)
  own$reTrms$Ztlist <- NULL
  made <- try(filled(template, data, control$checkControl), silent = TRUE)
  if (is.list(made) && identical(made, own[names(made)])) template else FALSE
}

# What lFormula makes of the data: model frame, design matrix and random-effects terms, with its
# checks. NULL for values that are not finite. The order of the nonzero elements of Z' and Lambda'
# is that of the rows, and of the columns of the terms (Bates et al. 2015, section 2).
filled <- function(template, data, checks) {
  fr <- data[template$frame$names]
  if (!all(is.finite(unlist(fr)))) return(NULL)
  n <- nrow(fr)
  attributes(fr) <- c(template$frame, list(row.names = .set_row_names(n)))
  rows <- as.character(seq_len(n))
  columns <- function(names) {
    lapply(names, function(name) if (name == "(Intercept)") rep.int(1, n) else fr[[name]])
  }

  terms <- template$terms
  terms$Ztlist <- NULL
  group <- fr[[names(terms$flist)]]
  level <- as.integer(group) - 1L
  n_levels <- nlevels(group)
  widths <- lengths(terms$cnms, use.names = FALSE)
  sizes <- widths * n_levels
  first <- cumsum(c(0L, sizes))
  terms$flist[[1]] <- group
  terms$nl[] <- n_levels
  terms$Gp <- first
  # lme4 changes it in place
  terms$theta <- terms$theta + 0

  width <- rep(widths, widths)
  place <- rep(first[seq_along(widths)], widths) + sequence(widths) - 1L
  x <- matrix(unlist(columns(template$random_columns)), ncol = n, byrow = TRUE)
  there <- x != 0
  labels <- lapply(widths, function(width) rep(levels(group), each = width))
  terms$Zt@i <- (place + width * rep(level, each = length(width)))[there]
  terms$Zt@p <- c(0L, as.integer(cumsum(colSums(there))))
  terms$Zt@x <- x[there]
  terms$Zt@Dim <- c(sum(sizes), n)
  terms$Zt@Dimnames <- list(unlist(labels), rows)

  of_terms <- function(of) unlist(lapply(seq_along(widths), of))
  terms$Lind <- of_terms(function(t) rep(template$thetas[[t]], n_levels))
  terms$Lambdat@i <- of_terms(function(t) {
    above <- sequence(seq_len(widths[t])) - 1L
    before <- first[t] + widths[t] * (seq_len(n_levels) - 1L)
    above + rep(before, each = length(above))
  })
  terms$Lambdat@p <- cumsum(c(0L, of_terms(function(t) rep(seq_len(widths[t]), n_levels))))
  terms$Lambdat@x <- terms$theta[terms$Lind]
  terms$Lambdat@Dim <- rep(sum(sizes), 2)

  # as lFormula has them, in its order; of the parts of Zt only their sizes count
  lme4:::checkNlevels(terms$flist, n = n, checks)
  parts <- lapply(sizes, function(size) {
    new("dgCMatrix", Dim = c(size, n), p = integer(n + 1))
  })
  names(parts) <- names(template$terms$Ztlist)
  lme4:::checkZdims(parts, n = n, checks, allow.n = FALSE)
  lme4:::checkZrank(terms$Zt, n = n, checks, nonSmall = 1e6)

  X <- matrix(unlist(columns(template$fixed_columns)), n, dimnames = list(rows, template$fixed))
  attr(X, "assign") <- template$assign
  X <- lme4:::chkRank.drop.cols(X, kind = checks$check.rankX, tol = 1e-7)
  X <- lme4:::checkScaleX(X, kind = checks$check.scaleX)
  list(fr = fr, X = X, reTrms = terms)
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

# sqrt(diag(vcov(fit))): vcov takes pains with a matrix of correlations that nobody asked for, and
# has the word where the variances are no variances
standard_errors <- function(fit) {
  V <- sigma(fit)^2 * fit@pp$unsc()
  definite <- isSymmetric(V) && !inherits(try(chol(V), silent = TRUE), "try-error")
  sqrt(diag(if (definite) V else as.matrix(vcov(fit))))
}

# columns: named list of vectors; factors: names of those that are grouping factors;
# numerical: TRUE for lmerTest's degrees of freedom and lme4's checks, which rest on numerical
# derivatives, FALSE for the same fit without them; penalty: 0, or as for `penalised`
fit_lmer <- function(columns, factors, formula, reml, optimizer, numerical, penalty) {
  data <- as_frame(columns, factors)
  stage <- "fit"
  reporting(at = function() stage, {
    if (penalty > 0) {
      best <- penalised(formula, data, reml, penalty)
      fit <- at_theta(formula, data, reml, best$theta)
    } else {
      control <- lme4::lmerControl(optimizer = optimizer, calc.derivs = numerical)
      fit <- if (numerical) {
        lmerTest::lmer(as.formula(formula), data, REML = reml, control = control)
      } else {
        lmer_by_steps(formula, data, reml, control)
      }
      best <- list(
        value = unname(fit@devcomp$cmp[[if (reml) "REML" else "dev"]]),
        optimizer = fit@optinfo$optimizer,
        opt_code = as.integer(fit@optinfo$conv$opt)
      )
    }
    result <- list(
      estimate = lme4::fixef(fit),
      se = standard_errors(fit),
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
