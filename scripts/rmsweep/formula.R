# What a formula makes of a table, by R's own functions. Sourced by formula.py.
# Names are data here: only the formula itself, which its user typed, is ever parsed.

# splines are known by their names; all else is what R attaches when it starts
scope <- list2env(
  list(bs = splines::bs, ns = splines::ns), parent = as.environment("package:stats")
)

# row by row, whether a predicate holds anywhere in a variable, which may be a matrix
in_row <- function(variable, predicate) {
  found <- predicate(variable)
  if (is.null(dim(variable))) found else rowSums(found) > 0
}

refuse <- function(...) stop(paste0(...), call. = FALSE)

# with R's own conventions, whatever a strategy's file has set, and levels in the same order and of
# the same spelling on every machine
plainly <- function(expr) {
  before <- options(
    contrasts = c("contr.treatment", "contr.poly"), na.action = "na.omit", scipen = 15, OutDec = "."
  )
  collation <- Sys.getlocale("LC_COLLATE")
  Sys.setlocale("LC_COLLATE", "C")
  on.exit({
    Sys.setlocale("LC_COLLATE", collation)
    options(before)
  })
  tryCatch(
    suppressMessages(suppressWarnings(expr)),
    error = function(e) list(error = said(conditionMessage(e)))
  )
}

# a parser's message is its place and its words, and then the line with a mark under it
said <- function(message) {
  first <- strsplit(message, "\n", fixed = TRUE)[[1]]
  first <- trimws(first[nzchar(first)])
  if (grepl("^<text>:", first[1])) sub("^<text>:[0-9]+:[0-9]+: ", "", first[1]) else
    paste(first, collapse = " ")
}

# names in backticks where they need them
spelled <- function(expr) deparse1(expr, backtick = TRUE)

has_bars <- function(written) any(c("|", "||") %in% all.names(written))

parsed <- function(formula, names) {
  written <- str2lang(formula)
  if (!is.call(written) || !identical(written[[1]], as.name("~")) || length(written) != 3)
    refuse("no response; allowed: 'response ~ predictors'")
  loops <- setdiff(intersect(c("repeat", "while", "for"), all.names(written)), names)
  others <- setdiff(all.vars(written), c(names, CONSTANTS))
  is_function <- vapply(others, exists, NA, envir = scope, mode = "function")
  check_names(unique(c(loops, others[!is_function])), names)
  # R takes a column for the expression that it is called
  twice <- intersect(calls(written), all.vars(written))
  if (length(twice)) refuse(twice[1], " is an expression and a column; allowed: another name")
  as.formula(written, env = scope)
}

OPERATORS <- c("~", "+", "-", "*", "/", "^", ":", "%in%", "(", "|", "||")

# calls that are variables, or parts of them
calls <- function(expr) {
  if (!is.call(expr)) return(NULL)
  operator <- is.name(expr[[1]]) && as.character(expr[[1]]) %in% OPERATORS
  c(if (!operator) deparse1(expr), unlist(lapply(as.list(expr)[-1], calls)))
}

# texts are compared letter by letter
compared <- function(expr) {
  if (!is.call(expr)) return(NULL)
  parts <- as.list(expr)[-1]
  comparison <- is.name(expr[[1]]) && as.character(expr[[1]]) %in% c("<", ">", "<=", ">=", "==", "!=")
  c(if (comparison) vapply(Filter(is.name, parts), as.character, ""), unlist(lapply(parts, compared)))
}

CONSTANTS <- c("pi", "T", "F")

check_names <- function(wanted, names) {
  absent <- setdiff(wanted, names)
  if (length(absent))
    refuse("no column ", toString(absent), ", allowed: ", toString(names[nzchar(names)]))
}

random_terms <- function(written) if (has_bars(written)) lme4::findbars(written)

# response, fixed and random effects in one formula, as its model frame needs it
together <- function(written, bars) {
  fixed <- if (length(bars)) lme4::nobars(written) else written
  if (length(fixed) != 3) refuse("no fixed effects; allowed: 'response ~ 1 + (1 | group)'")
  inner <- lapply(bars, function(bar) bar[[2]])
  right <- Reduce(function(one, other) call("+", one, other), inner, fixed[[3]])
  list(fixed = fixed, whole = as.formula(call("~", fixed[[2]], right), env = scope))
}

# which columns a formula needs: by their values, and by their labels as levels of groups
variables <- function(formula, names) plainly({
  written <- parsed(formula, names)
  bars <- random_terms(written)
  groups <- unique(unlist(lapply(bars, function(bar) all.vars(bar[[3]]))))
  used <- as.list(attr(terms(together(written, bars)$whole), "variables"))[-1]
  plain <- setdiff(vapply(Filter(is.name, used), as.character, ""), CONSTANTS)
  # functions may be arguments of functions, but are no variables
  check_names(c(plain, groups), names)
  list(
    as_they_are = unique(c(plain, intersect(compared(written), names))),
    values = intersect(all.vars(written), names),
    groups = as.character(groups),
    factors = unique(vapply(bars, function(bar) spelled(bar[[3]]), ""))
  )
})

column <- function(kind, values, levels) switch(kind,
  number = values,
  logical = as.logical(values),
  date = structure(values, class = "Date"),
  text = levels[values],
  factor = structure(values, levels = levels, class = "factor"),
  ordered = structure(values, levels = levels, class = c("ordered", "factor"))
)

table_of <- function(kinds, values, levels) {
  columns <- Map(column, kinds, values, levels)
  structure(columns, names = names(kinds), class = "data.frame", row.names = seq_along(values[[1]]))
}

# kinds, values, levels: the columns by name, as `column` takes them; labels: those of groups, as
# factors; group: the name of one of these, or none
design <- function(formula, kinds, values, levels, labels, group) plainly({
  data <- table_of(kinds, values, levels)
  ids <- structure(labels, class = "data.frame", row.names = seq_len(nrow(data)))
  written <- parsed(formula, names(data))
  bars <- random_terms(written)
  formulas <- together(written, bars)
  fixed <- formulas$fixed

  lost <- NULL
  leave_out <- function(frame) {
    gone <- c(lapply(frame, in_row, is.na), lapply(ids, is.na))
    gone <- gone[!duplicated(names(gone))]
    lost <<- vapply(gone, sum, 0)
    frame[!Reduce(`|`, gone), , drop = FALSE]
  }
  frame <- model.frame(formulas$whole, data, na.action = leave_out, drop.unused.levels = TRUE)
  rows <- as.integer(attr(frame, "row.names"))
  if (!length(rows)) refuse("no row has a value in every variable of the formula")
  ids <- droplevels(ids[rows, , drop = FALSE])

  y <- model.response(frame)
  if (!is.numeric(y) || !is.null(dim(y))) refuse("the response is not one numeric column")
  for (name in names(frame)) if (is.numeric(frame[[name]])) {
    n <- sum(in_row(frame[[name]], is.infinite))
    if (n) refuse(name, " is not finite in ", n, " row", if (n > 1) "s")
  }
  matrix_of <- function(right) {
    terms <- terms(as.formula(call("~", right), env = scope), data = data)
    # the variables as they are in the frame, not evaluated again on fewer rows
    X <- model.matrix(terms, frame)
    if (anyDuplicated(colnames(X))) refuse("two coefficients are called ",
                                            colnames(X)[anyDuplicated(colnames(X))])
    X
  }
  X <- matrix_of(fixed[[3]])
  if (!ncol(X)) refuse("no coefficient to estimate")
  # as lme4 does, and lm
  decomposed <- qr(X, tol = 1e-7)
  kept <- sort(decomposed$pivot[seq_len(decomposed$rank)])
  aliased <- colnames(X)[setdiff(seq_len(ncol(X)), kept)]

  numbers <- function(matrix) structure(as.double(matrix), names = NULL)
  random <- lapply(bars, function(bar) {
    Z <- matrix_of(bar[[2]])
    if (!ncol(Z)) refuse("no random effects in (", deparse1(bar), ")")
    list(
      factor = spelled(bar[[3]]), columns = colnames(Z), Z = numbers(Z),
      codes = eval(bar[[3]], ids, scope)
    )
  })
  offset <- model.offset(frame)
  labelled <- function(it) is.character(it) || is.factor(it)
  used <- Filter(labelled, as.list(frame))
  list(
    y = as.double(y) - (if (is.null(offset)) 0 else offset),
    X = numbers(X[, kept, drop = FALSE]), terms = colnames(X)[kept], aliased = aliased,
    response = spelled(fixed[[2]]), fixed = deparse1(fixed),
    lost = as.integer(lost), lost_in = names(lost),
    levels = lapply(used, function(it) levels(factor(it))),
    random = lapply(random, function(term) {
      codes <- droplevels(as.factor(term$codes))
      term$codes <- as.integer(codes)
      term$levels <- levels(codes)
      term
    }),
    group = if (length(group)) as.integer(ids[[group]]),
    group_levels = if (length(group)) levels(ids[[group]])
  )
})
