# Everything runs in one virtual environment, installed with the locked versions of constraints.txt.
# Steps longer than a few lines are scripts in tools/; they also work without make (see README.md).

PYTHON ?= python3
VENV ?= .venv
PORT ?= 8000
JOBS ?= 1
export COMPANION_PRESET ?= quick

BIN := $(VENV)/bin
RUN := $(BIN)/python -m
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install book serve test test-all full full-verify bench bench-peers lint types pairs constraints clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

install: $(INSTALLED)  ## create .venv and install everything into it, at the locked versions

book: $(INSTALLED)  ## execute the chapters, build the book and print its address
	@$(RUN) tools.book

serve: $(INSTALLED)  ## show the built book on a local web server (PORT=8000)
	@$(RUN) tools.book --serve --port $(PORT)

test: $(INSTALLED)  ## check everything: lint, types, chapters, book, unit and browser tests
	@$(RUN) tools.check

test-all: $(INSTALLED)  ## the same, with the slow tests and those for a GPU
	@$(RUN) tools.check --all

bench: $(INSTALLED)  ## measure the speed of the package
	@$(RUN) benchmarks

bench-peers: $(INSTALLED)  ## compare the tangent kernel with another library, in build/peers
	@$(RUN) tools.peers

full: $(INSTALLED)  ## run every experiment at full size; stopped, it resumes (JOBS=1)
	@$(RUN) tools.full --jobs $(JOBS)

full-verify: $(INSTALLED)  ## recompute a sample of the shards of every full run and compare
	@$(RUN) tools.full --verify

lint: $(INSTALLED)  ## style of the code
	@$(RUN) tools.check --only lint

types: $(INSTALLED)  ## types of the package
	@$(RUN) tools.check --only types

pairs: $(INSTALLED)  ## write each chapter's .ipynb from its .md
	@$(RUN) tools.pairs --write

constraints: $(INSTALLED)  ## lock the installed versions in constraints.txt
	@$(RUN) tools.constraints

clean:  ## remove everything that was built, but not the environment
	rm -rf build _build dist .pytest_cache .mypy_cache .ruff_cache .benchmarks

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, as in: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "python -m venv failed (Debian, Ubuntu: apt-get install python3-venv)"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
