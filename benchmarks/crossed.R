# Fits of lmerTest, and of pbkrtest, to the datasets that crossed.py wrote; one line of JSON each.
suppressPackageStartupMessages({library(lme4); library(lmerTest); library(pbkrtest)})
arguments <- commandArgs(trailingOnly = TRUE)
rows <- read.csv(arguments[1])
formula <- as.formula(arguments[2])
n_adjusted <- as.integer(arguments[3])
rows$a <- factor(rows$a)
rows$b <- factor(rows$b)
cpu <- function(expr) {
  before <- proc.time()
  value <- force(expr)
  list(value = value, seconds = sum((proc.time() - before)[c("user.self", "sys.self")]))
}
numbers <- function(x) paste0("[", paste(sprintf("%.17g", x), collapse = ", "), "]")
words <- function(x) paste0("[", paste0("\"", x, "\"", collapse = ", "), "]")
for (number in unique(rows$dataset)) {
  data <- rows[rows$dataset == number, ]
  fitted <- cpu(suppressWarnings(suppressMessages({
    fit <- lmerTest::lmer(formula, data)
    list(fit = fit, table = summary(fit)$coefficients)
  })))
  fit <- fitted$value$fit
  table <- fitted$value$table
  line <- c(
    seconds = numbers(fitted$seconds),
    criterion = numbers(fit@devcomp$cmp[["REML"]]),
    estimate = numbers(table[, "Estimate"]),
    se = numbers(table[, "Std. Error"]),
    df = numbers(table[, "df"]),
    theta = numbers(getME(fit, "theta")),
    term_factors = words(names(fit@flist)[attr(fit@flist, "assign")]),
    term_sizes = numbers(lengths(fit@cnms)),
    term_columns = words(unlist(fit@cnms, use.names = FALSE))
  )
  if (number < n_adjusted) {
    adjusted <- cpu({
      vcov_adjusted <- vcovAdj(fit)
      one <- diag(nrow(vcov_adjusted))
      list(
        se = sqrt(diag(as.matrix(vcov_adjusted))),
        df = apply(one, 1, function(L) Lb_ddf(L, vcov(fit), vcov_adjusted))
      )
    })
    line <- c(line, kr_seconds = numbers(adjusted$seconds),
              kr_se = numbers(adjusted$value$se), kr_df = numbers(adjusted$value$df))
  }
  cat("{", paste(sprintf("\"%s\": %s", names(line), line), collapse = ", "), "}\n", sep = "")
}
