# Datasets that come with R, as the tests read them: `Rscript tests/data/make_data.R` (Debian 12,
# R 4.2.2, lme4 1.1-31, nlme 3.1-162) wrote the files beside this one.
folder <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)))
save <- function(data, name) {
  write.csv(as.data.frame(data), file.path(folder, name), row.names = FALSE)
}
save(nlme::Ovary, "ovary.csv")
save(datasets::ChickWeight, "chickweight.csv")
save(nlme::IGF, "igf.csv")
