# make demo, make test, make check, make bench: each sets up what it needs in .venv, pinned by constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_STORE ?=

.PHONY: help demo test test-long check format bench clean
help:
	@echo "make demo | test | test-long | check | format | bench | clean"

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

test: $(VENV)/.test.installed
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not long" --cov --cov-report=
	@$(BIN)/python -m coverage report --include='asyncsteps/_names.py,asyncsteps/_model.py,asyncsteps/_plan.py,asyncsteps/_errors.py' --fail-under=100

test-long: $(VENV)/.test.installed
	$(BIN)/python -m pytest -m long

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
