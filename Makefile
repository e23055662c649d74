# make run [STUDY=config/quick.yaml] [CORES=4]   set up what is missing, run a study
# make resume [STUDY=...] [PROFILE=...]          go on after Snakemake was killed
# make check                                     set up what is missing, run the quick checks
# make test                                      set up what is missing, run all checks

STUDY ?= config/config.yaml
CORES ?= all
# workflow/profiles/slurm, on a cluster
PROFILE ?=
# as they were given, and to the shell by its environment, where nothing in them has a meaning
override STUDY := $(value STUDY)
override PROFILE := $(value PROFILE)
override CORES := $(value CORES)
export STUDY PROFILE CORES
WHERE := $(if $(PROFILE),--profile "$$PROFILE",--cores "$$CORES")

ENV := $(if $(shell command -v mamba || command -v conda),.conda,.venv)
export PATH := $(CURDIR)/$(ENV)/bin:$(PATH)
# progress bars where somebody can see them
LOGGER := $(shell test -t 2 && echo --logger rich)

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run resume lint check test format docs lock clean

help:
	@sed -n '1,4s/^# //p' Makefile

setup: $(ENV)/.made
setup-dev: $(ENV)/.made-dev

$(ENV)/.made: envs/setup.sh envs/apt.txt envs/requirements.txt envs/environment.yaml
	envs/setup.sh $(ENV)
	touch $@

$(ENV)/.made-dev: $(ENV)/.made envs/apt-dev.txt envs/requirements-dev.txt
	envs/setup.sh $(ENV) dev
	touch $@

# Snakemake itself would read the file first, and answer a mistake in it with a traceback
run: setup
	python scripts/check_study.py -- "$$STUDY"
	python -m snakemake $(WHERE) --configfile "$$STUDY" $(LOGGER)

resume: setup
	python scripts/check_study.py -- "$$STUDY"
	python scripts/resume.py $(WHERE) --configfile "$$STUDY" $(LOGGER)

lint: setup-dev
	python -m ruff check .
	python -m ruff format --check .
	python -m snakefmt --check Snakefile workflow
	python -m mypy
	python -m snakemake --lint

# without the tests that start Snakemake, R or SLURM
check: lint
	python -m pytest -m "not slow"

# two files of tests at a time: most tests wait for one process that they start; in the order of
# tests/conftest.py, which has the longest ones first
test: lint
	python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

format: setup-dev
	python -m ruff check --fix .
	python -m ruff format .
	python -m snakefmt Snakefile workflow

# today's versions, for those who want the same later
lock: setup
	python envs/lock.py

# the claims, of studies that have been run
CLAIMS := $(wildcard results/config/claims.parquet results/precise/claims.parquet)
# a page to take a picture of, and studies whose findings are shown
PAGE := $(wildcard results/config/report.html)
GALLERY := $(wildcard $(patsubst %,results/%/fits.parquet,config precise published-figures \
	type-one-error power simpson anova messy))
docs: setup-dev
	python scripts/document.py config/README.md docs/strategies.md docs/scenarios.md
	test $(words $(CLAIMS)) -lt 2 || python scripts/document_claims.py docs/claims.md $(CLAIMS)
	test $(words $(GALLERY)) -lt 8 || python scripts/document_gallery.py docs/gallery.md $(GALLERY)
	test -z "$(PAGE)" || python benchmarks/page_picture.py $(PAGE) docs/figures/page.png

clean:
	rm -rf results logs .snakemake
