# Fixed effects of the groups: the within estimator of plm, with Stata's CR1 or clubSandwich's CR2.
# Called by fixed_effects.py.

fit <- function(data, formula, group, kind) {
  data <- plm::pdata.frame(data, index = group)
  model <- plm::plm(formula, data, model = "within", effect = "individual")
  terms <- names(coef(model))
  if (kind == "CR1") {
    variance <- plm::vcovHC(model, method = "arellano", type = "sss", cluster = "group")
    se <- sqrt(diag(variance))
    df <- rep(plm::pdim(data)$nT$n - 1, length(terms))
  } else {
    variance <- clubSandwich::vcovCR(model, cluster = "individual", type = kind)
    table <- clubSandwich::coef_test(model, variance, test = "Satterthwaite")
    se <- table$SE
    df <- table$df_Satt
  }
  data.frame(term = terms, estimate = unname(coef(model)), se = unname(se), df = df)
}
