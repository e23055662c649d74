#!/bin/sh
# Install what is missing: `envs/setup.sh FOLDER [dev]` makes the environment in FOLDER, by conda
# or mamba where there is one, else from the distribution's packages (R and packages of it) and PyPI.
# With `dev`, what the tests need joins it. It is for any POSIX shell: macOS has an old bash.
set -eu
cd "$(dirname "$0")/.."
folder=$1 dev=${2:-}
# those of apt.txt, by the names that R has for them
r_packages="lme4 lmerTest nlme pbkrtest clubSandwich plm metafor geepack"

step() {
  printf '%s\n' "== $*" >&2
}

give_up() {
  printf '%s\n' "error: $1" >&2
  shift
  [ $# -eq 0 ] || printf '%s\n' "$@" >&2
  exit 1
}

# The packages of R that an R doesn't find, or that there is no R.
missing_of_r() {
  if command -v Rscript > /dev/null; then
    # shellcheck disable=SC2086 # words of a list
    Rscript -e 'cat(setdiff(commandArgs(TRUE), rownames(installed.packages())))' $r_packages
  else
    echo R
  fi
}

# What of a list of Debian's packages is not installed.
missing_packages() {
  while read -r package; do
    dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || printf '%s ' "$package"
  done < "$1"
}

may_install() {
  command -v apt-get > /dev/null || return 1
  [ "$(id -u)" -eq 0 ] || { command -v sudo > /dev/null && { [ -t 0 ] || sudo -n true 2> /dev/null; }; }
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

apt_install() { # FILE
  missing=$(missing_packages "$1")
  [ -n "$missing" ] || return 0
  step "apt installs $missing"
  as_root apt-get update -qq
  # RUNLEVEL=1: install services without starting them
  # shellcheck disable=SC2086 # words of a list
  as_root env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends $missing
}

# R and packages of it, or what to do for them.
need_r() {
  if may_install; then
    apt_install envs/apt.txt
    return
  fi
  missing=$(missing_of_r)
  [ -n "$missing" ] || return 0
  if command -v dpkg-query > /dev/null; then
    ask="    apt-get install $(missing_packages envs/apt.txt)"
  elif [ "$missing" = R ]; then
    ask="    R 4.2 or later with its headers, a C compiler, and these packages of R: $r_packages"
  else
    ask="    these packages of R: $missing"
  fi
  give_up "missing: $missing. There is no conda, and no right to install packages of the system." \
    "Ask the administrator for" "$ask" \
    "or install conda in your home (https://conda-forge.org/download), which needs no rights." \
    "Then call \`make setup\` again."
}

# A Python that can run the project.
find_python() {
  for name in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
      echo "$name"
      return
    fi
  done
  found=$(python3 -V 2> /dev/null || echo "no python3")
  give_up "Python: $found is not enough; allowed: Python 3.11 to 3.14, on the PATH, or conda, which brings its own"
}

# what an earlier call that was interrupted has left is not to be trusted
making=$folder.making
if [ -e "$making" ]; then
  step "removing $folder, which was half made"
  rm -rf "$folder"
fi

conda=$(command -v mamba || command -v conda || true)
if [ -n "$conda" ]; then
  if [ -x "$folder/bin/python" ]; then
    step "conda brings $folder up to date (some minutes)"
    "$conda" env update --prefix "$folder" --file envs/environment.yaml --prune
  else
    step "conda makes $folder (some minutes)"
    : > "$making"
    "$conda" env create --yes --prefix "$folder" --file envs/environment.yaml
  fi
  requirements=
else
  need_r
  if [ ! -x "$folder/bin/python" ]; then
    python=$(find_python)
    step "$python makes $folder"
    : > "$making"
    "$python" -m venv "$folder" ||
      give_up "$python can't make an environment; ask the administrator for: apt-get install python3-venv"
  fi
  requirements=envs/requirements.txt
fi
if [ -n "$dev" ]; then
  if may_install; then
    apt_install envs/apt-dev.txt
  else
    step "not installed, and missed by some tests: $(tr '\n' ' ' < envs/apt-dev.txt)"
  fi
  requirements=envs/requirements-dev.txt
fi
if [ -n "$requirements" ]; then
  step "pip installs $requirements into $folder (a minute or two)"
  "$folder/bin/python" -m pip install --disable-pip-version-check -r "$requirements"
fi
rm -f "$making"
step "$folder is complete"
