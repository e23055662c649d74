# GEE with an exchangeable working correlation and empirical standard errors (geepack). Called by
# gee.py.

fit <- function(data, formula, group) {
  data <- data[order(data[[group]]), ]
  data$.cluster <- data[[group]]
  # to the end, and not to within a ten-thousandth
  control <- geepack::geese.control(epsilon = 1e-10, maxit = 200)
  model <- geepack::geeglm(formula, id = .cluster, data = data, corstr = "exchangeable",
                           control = control)
  if (model$geese$error != 0) warning("geese: error ", model$geese$error)
  data.frame(
    term = names(coef(model)),
    estimate = unname(coef(model)),
    se = unname(sqrt(diag(vcov(model)))),
    df = Inf
  )
}
