# Fits the datasets of a binary file by lme4 and lmerTest and writes a line of CSV for each fit.
# Usage: Rscript make_reference.R data.bin fits.csv
#
# data.bin holds little-endian doubles. For each fit: n, number of the model (0 full, 1 diagonal,
# 2 intercept), REML (0/1), number of the optimizer (0 nloptwrap, 1 bobyqa), then the columns
# group, y, x1, x2, x3. Vectors are joined by blanks; theta has all its digits.
suppressPackageStartupMessages(library(lmerTest))
args <- commandArgs(trailingOnly = TRUE)
formulas <- list(
  y ~ x1 + x2 + x3 + (x1 + x2 + x3 | group),
  y ~ x1 + x2 + x3 + (x1 + x2 + x3 || group),
  y ~ x1 + x2 + x3 + (1 | group)
)
digits <- function(x, format = "%.14g") paste(sprintf(format, x), collapse = " ")
quoted <- function(x) paste0('"', gsub('"', "'", paste(x, collapse = "|")), '"')

data <- file(args[1], "rb")
out <- file(args[2], "w")
writeLines("theta,criterion,beta,se,df,sigma,singular,code,message,test_warning", out)
while (length(header <- readBin(data, "double", 4, endian = "little")) == 4) {
  columns <- matrix(readBin(data, "double", 5 * header[1], endian = "little"), ncol = 5)
  frame <- data.frame(group = factor(columns[, 1]), y = columns[, 2], x1 = columns[, 3],
                      x2 = columns[, 4], x3 = columns[, 5])
  warned <- character(0)
  fit <- suppressMessages(suppressWarnings(lme4::lmer(
    formulas[[header[2] + 1]], frame, REML = header[3] == 1,
    control = lme4::lmerControl(optimizer = c("nloptwrap", "bobyqa")[header[4] + 1])
  )))
  conv <- fit@optinfo$conv$lme4
  df <- if (header[4] == 0) tryCatch({
    test <- withCallingHandlers(
      as_lmerModLmerTest(fit),
      warning = function(w) { warned <<- c(warned, conditionMessage(w))
                              invokeRestart("muffleWarning") }
    )
    coef(summary(test))[, "df"]
  }, error = function(e) { warned <<- conditionMessage(e); rep(NaN, 4) })
  writeLines(paste(
    digits(lme4::getME(fit, "theta"), "%.17g"),
    digits(if (header[3] == 1) lme4::REMLcrit(fit) else deviance(fit)),
    digits(lme4::fixef(fit)), digits(sqrt(diag(as.matrix(vcov(fit))))), digits(df, "%.9g"),
    digits(sigma(fit)), as.integer(lme4::isSingular(fit)), paste(conv$code, collapse = " "),
    quoted(unlist(conv$messages)), quoted(warned), sep = ","
  ), out)
}
close(out)
