# `make demo` and `make test` set up `.venv` once and then run.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name))))
VENV := .venv
BIN := $(VENV)/bin

# Flags of the demo: make demo ARGS="--seed 1".
ARGS :=

.PHONY: help demo docs test test-fast lint setup clean

help:
	@echo "make demo       set up, then grokking on demand at the paper's size (one to five minutes on 2 cores)"
	@echo "make test       set up, then all tests"
	@echo "make test-fast  set up, then the tests that take seconds"
	@echo "make lint       set up, then formatting, lint and types"
	@echo "make docs       set up, then the documentation: build/docs/index.html"

setup: $(VENV)/.installed

# The stamp is written last, so an interrupted set-up starts over. A whole environment is
# kept, with the extras in it, if only the dependencies change. A new pip finds the
# versions in half the time; pip compiles on one core, `compileall` on all of them, and
# what it cannot compile is never imported.
$(VENV)/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer was not found: install it, or run 'make PYTHON=/path/to/python3 ...'" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11: install Python 3.11 or newer, or run 'make PYTHON=/path/to/python3 ...'" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments: on Debian and Ubuntu, run 'apt-get install python3-venv'" >&2; exit 1; }
	@echo "Setting up $(VENV) (once, less than a minute: 300 MB)"
	@{ test -e $@ && $(BIN)/python -c ''; } 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	@$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt -e '.[experiments,dev]'
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
	@touch $@

# Sphinx and its theme are installed on demand: most people never build the pages.
$(VENV)/.installed-docs: $(VENV)/.installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

# -n: a reference to what does not exist is a warning; -W: a warning is an error;
# -E -a: nothing is kept from a build before, whose warnings would not be repeated.
docs: $(VENV)/.installed-docs
	@$(BIN)/python -m sphinx -E -a -n -W --keep-going -q -d build/doctrees docs build/docs
	@echo "build/docs/index.html"

demo: setup
	@$(BIN)/python -m experiments.grokking.demo $(ARGS)

# One process for each core; a file stays in one, so that its fixtures are made once.
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile

test: setup
	@$(PYTEST)

test-fast: setup
	@$(PYTEST) -m "not slow and not thorough"

lint: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
