# Strategies that users write in R: reading a file, and calling its function. Sourced by r_file.py.

# cat() and print() must not reach the job's output, nor anything that it leaves behind the next fit
quietly <- function(expr) {
  before <- options()
  on.exit(options(before))
  utils::capture.output(value <- expr)
  value
}

read_strategy <- function(path) {
  scope <- new.env(parent = globalenv())
  quietly(tryCatch(
    {
      suppressWarnings(suppressPackageStartupMessages(sys.source(path, scope)))
      if (!is.function(scope$fit)) stop("no function fit(data, formula, group)", call. = FALSE)
      list(fit = scope$fit)
    },
    error = function(e) list(error = first_line(e))
  ))
}

# of several lines the first, and those that it announces by a colon
first_line <- function(condition) {
  lines <- trimws(strsplit(conditionMessage(condition), "\n", fixed = TRUE)[[1]])
  paste(lines[seq_len(match(FALSE, endsWith(lines, ":"), nomatch = length(lines)))], collapse = " ")
}

call_strategy <- function(fit, columns, factors, formula, group, ...) {
  data <- structure(columns, class = "data.frame", row.names = seq_along(columns[[1]]))
  data[factors] <- lapply(data[factors], factor)
  messages <- character()
  record <- function(restart) function(condition) {
    messages <<- c(messages, sub("\n$", "", conditionMessage(condition)))
    invokeRestart(restart)
  }
  answer <- quietly(tryCatch(
    withCallingHandlers(
      checked(fit(data, stats::as.formula(formula, env = globalenv()), group, ...)),
      warning = record("muffleWarning"),
      message = record("muffleMessage")
    ),
    error = function(e) {
      call <- conditionCall(e)
      where <- if (is.null(call)) "" else paste0(" (in ", deparse(call)[1], ")")
      list(error = paste0(conditionMessage(e), where))
    }
  ))
  c(answer, list(messages = unique(messages)))
}

checked <- function(table) {
  parts <- c("estimate", "se", "df")
  if (!is.data.frame(table) || !all(c("term", parts) %in% names(table))) {
    stop("returned no data frame with term, estimate, se, df", call. = FALSE)
  }
  if (!all(vapply(table[parts], is.numeric, NA))) {
    stop("estimate, se and df are not all numeric", call. = FALSE)
  }
  convention <- function(name) list(as.character(c(table[[name]], "as its R file says")[1]))
  c(
    list(term = as.character(table$term)),
    lapply(as.list(table[parts]), as.double),
    structure(convention("se_type"), names = "se_type"),
    structure(convention("df_type"), names = "df_type")
  )
}
