#!/usr/bin/env bash
# Install what is missing: `envs/setup.sh FOLDER [dev]` makes the environment in FOLDER, by conda
# or mamba where there is one, else from the distribution's packages (R and packages of it) and PyPI.
# With `dev`, what the tests need joins it.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1 dev=${2:-}

apt_install() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [[ ${#missing[@]} -eq 0 ]] && return
  command -v apt-get > /dev/null || {
    echo "error: this machine has neither conda nor apt-get; install by hand: ${missing[*]}" >&2
    exit 1
  }
  local sudo=()
  [[ $(id -u) -eq 0 ]] || sudo=(sudo)
  echo "installing ${missing[*]}"
  "${sudo[@]}" apt-get update -qq
  # RUNLEVEL=1: install services without starting them
  "${sudo[@]}" env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
}

conda=$(command -v mamba || command -v conda || true)
if [[ -n $conda ]]; then
  [[ -x $folder/bin/python ]] || "$conda" env create --yes --prefix "$folder" --file envs/environment.yaml
  requirements=()
else
  mapfile -t packages < envs/apt.txt
  apt_install "${packages[@]}"
  [[ -x $folder/bin/python ]] || python3 -m venv "$folder"
  requirements=(-r envs/requirements.txt)
fi
if [[ -n $dev ]]; then
  mapfile -t packages < envs/apt-dev.txt
  apt_install "${packages[@]}"
  requirements=(-r envs/requirements-dev.txt)
fi
[[ ${#requirements[@]} -eq 0 ]] || "$folder/bin/python" -m pip install -q "${requirements[@]}"
