# What lmerTest finds in data like those of people who each met some of the items, by simulation in R
# itself: the model is fitted to the first 150 items of tests/data/fhch2010.csv.gz, lme4's simulate()
# makes data from this fit, and each is fitted in turn. The test suite compares a study that is made
# from the same data with the means and shares that this prints.
#
#   Rscript benchmarks/power_of_incomplete_data.R        # some 5 minutes

suppressPackageStartupMessages(library(lmerTest))
N_SIMS <- 500
data <- subset(read.csv("tests/data/fhch2010.csv.gz"), item <= 150)
formula <- log_rt ~ x1 * x2 + (1 + x2 | id) + (1 | item)
fitted <- lmer(formula, data)
truth <- fixef(fitted)

found <- vapply(simulate(fitted, N_SIMS, seed = 1), function(y) {
  data$log_rt <- y
  fit <- suppressMessages(suppressWarnings(lmer(formula, data)))
  table <- suppressMessages(suppressWarnings(coef(summary(fit))))
  t <- (table[, "Estimate"] - truth) / table[, "Std. Error"]
  cbind(table[, c("Estimate", "Std. Error")], 2 * pt(-abs(t), table[, "df"]) < .05,
    table[, "Pr(>|t|)"] < .05)
}, matrix(0, length(truth), 4))

cat(nrow(data), "rows,", length(unique(data$id)), "people,", length(unique(data$item)), "items\n")
columns <- c("estimate", "SE", "false positives", "power")
print(matrix(apply(found, 1:2, mean), length(truth), dimnames = list(names(truth), columns)), 7)
cat("SD of the estimates\n")
print(apply(found[, 1, ], 1, sd), 7)
