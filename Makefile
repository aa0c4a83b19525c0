# make demo, make test, make check, make bench and so on: each sets up what it needs in .venv, pinned by constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_STORE ?=

.PHONY: help demo test test-long simulate mutants check format bench clean
help:
	@echo "make demo | test | test-long | simulate SEEDS=10000 | mutants | check | format | bench | clean"

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "asyncsteps needs $(PYTHON), 3.11 or newer: install it, or name one with PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "asyncsteps needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1): name another with PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "asyncsteps needs the venv module of $(PYTHON): install it (on Debian: the package python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# A group of pyproject.toml's dependency-groups, installed; touched anew when what it depends on changes.
$(VENV)/.%.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --build-constraint constraints.txt --group $* --editable .
	@touch $@

demo: $(VENV)/.test.installed
	@$(BIN)/python examples/demo.py $(if $(DEMO_STORE),--store '$(DEMO_STORE)')

# The pure core must be covered in all branches. It is measured apart: tracing the rest would cost more than running it.
CORE := asyncsteps/_errors.py,asyncsteps/_plan/*
CORE_TESTS := tests/test_errors.py tests/plan

test: $(VENV)/.test.installed
	$(BIN)/python -m pytest -q -n 2 --cov --cov-report= $(CORE_TESTS)
	@$(BIN)/python -m coverage report --include=$(CORE) --fail-under=100
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(CORE_TESTS:%=--ignore=%)

test-long: $(VENV)/.test.installed
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m long

# Histories at random, of which `make test` plays 2,000: SEEDS is how many, or FIRST..END; SEED is one, printed.
SEEDS ?= 10000
SIMULATION := PYTHONPATH=tests:tests/support $(BIN)/python -m simulation

simulate: $(VENV)/.test.installed
	$(SIMULATION) $(if $(SEED),--seed $(SEED),--seeds $(SEEDS)) $(if $(JOBS),--jobs $(JOBS))

mutants: $(VENV)/.test.installed
	$(SIMULATION) --mutants

check: $(VENV)/.dev.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/basedpyright

format: $(VENV)/.dev.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.bench.installed
	$(BIN)/python -m bench

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*
