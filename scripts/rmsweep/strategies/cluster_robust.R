# OLS with CR2 or CR3 standard errors and Satterthwaite's degrees of freedom (clubSandwich). Called
# by cluster_robust.py.

fit <- function(data, formula, group, kind) {
  model <- lm(formula, data)
  variance <- clubSandwich::vcovCR(model, data[[group]], type = kind)
  table <- clubSandwich::coef_test(model, variance, test = "Satterthwaite")
  data.frame(
    term = rownames(table),
    estimate = unname(coef(model)[rownames(table)]),
    se = table$SE,
    df = table$df_Satt
  )
}
