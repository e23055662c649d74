# Datasets that come with R, as the tests read them: `Rscript tests/data/make_data.R` (Debian 12,
# R 4.2.2, lme4 1.1-31, nlme 3.1-162) wrote the files beside this one.
folder <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)))
save <- function(data, name) {
  write.csv(as.data.frame(data), file.path(folder, name), row.names = FALSE)
}
save(nlme::Ovary, "ovary.csv")
save(datasets::ChickWeight, "chickweight.csv")
save(nlme::IGF, "igf.csv")

# with crossed or nested factors, for tests/lmm/test_crossed_reference.py (afex 1.2.1)
save(lme4::Penicillin, "penicillin.csv")
save(lme4::Pastes, "pastes.csv")
squeeze <- function(data, name) {
  file <- gzfile(file.path(folder, name), compression = 9)
  write.csv(data, file, row.names = FALSE, quote = FALSE)
}
answers <- with(lme4::VerbAgg, data.frame(
  r = as.integer(r2 == "Y"), do = ifelse(mode == "do", .5, -.5),
  id = as.integer(id), item = as.integer(item)
))
squeeze(answers, "verbagg.csv.gz")
naming <- droplevels(subset(afex::fhch2010, correct & task == "naming"))
squeeze(with(naming, data.frame(
  log_rt, x1 = ifelse(frequency == "high", .5, -.5), x2 = ifelse(stimulus == "word", .5, -.5),
  id = as.integer(id), item = as.integer(item)
)), "fhch2010.csv.gz")
