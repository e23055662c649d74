# Swamy's random coefficients: generalised least squares of the groups' own coefficients (plm).
# Called by swamy.py.

fit <- function(data, formula, group) {
  plm <- plm::plm # which pvcm calls by this name alone
  data <- plm::pdata.frame(data, index = group)
  model <- plm::pvcm(formula, data, model = "random", effect = "individual")
  data.frame(
    term = names(coef(model)),
    estimate = unname(coef(model)),
    se = unname(sqrt(diag(vcov(model)))),
    df = Inf
  )
}
