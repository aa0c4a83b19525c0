# Each target sets up what it needs in .venv, pinned by constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_STORE ?=

.DEFAULT_GOAL := help
.PHONY: help demo test test-long test-browser screenshots test-newest fuzz fuzz-guided simulate mutants check format docs bench dist clean

help:  ## List the targets (the default).
	@sed -En 's/^([a-z-]+):[^#]*## (.*)/make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-17s %s\n", $$1, $$2 }'

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

demo: $(VENV)/.test.installed  ## Play, resume, force and plan a census of the standard library (DEMO_STORE=path or s3:// URL).
	@$(BIN)/python examples/demo.py $(if $(DEMO_STORE),--store '$(DEMO_STORE)')

# The pure core must be covered in all branches. It is measured apart: tracing the rest would cost more than running it.
# Without our plugin, which pytest imports before it measures.
CORE := asyncsteps/_errors.py,asyncsteps/_plan/*
CORE_TESTS := tests/test_errors.py tests/plan

test: $(VENV)/.test.installed  ## Run the tests, against real servers and processes.
	$(BIN)/python -m pytest -q -n 2 -p no:asyncsteps --cov --cov-report= $(CORE_TESTS)
	@$(BIN)/python -m coverage report --include=$(CORE) --fail-under=100
	$(BIN)/python -m pytest -n 3 --dist loadgroup $(CORE_TESTS:%=--ignore=%)

test-long: $(VENV)/.test.installed  ## Run the tests that take minutes.
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m long
	$(BIN)/python -m pytest -n 2 tests/fuzz --hypothesis-profile long

# The pages, in the system's Chromium; on Debian, as root, it is installed where it is missing.
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)

test-browser: $(VENV)/.browser.installed  ## Run the tests of pages, in headless Chromium.
	@test -n "$(CHROMIUM)" || { apt-get update -qq && apt-get install -y -qq chromium; } >/dev/null 2>&1 || \
		{ echo "make test-browser needs Chromium: install it (on Debian: the package chromium), or name one with CHROMIUM=..." >&2; exit 1; }
	CHROMIUM="$(CHROMIUM)" $(BIN)/python -m pytest -n 2 --dist loadgroup -m browser tests/browser

screenshots: $(VENV)/.browser.installed  ## Make the pictures of the README anew.
	CHROMIUM="$(CHROMIUM)" $(BIN)/python tests/browser/make_screenshots.py docs/images

# Hostile input. `make test` plays the same examples each time, `make test-long` twenty times as many.
ROUNDS ?= 1000000

fuzz: $(VENV)/.test.installed  ## Play hostile input at random, until a fault is found: ROUNDS=1, or without end.
	for round in $$(seq $(ROUNDS)); do $(BIN)/python -m pytest -q -n 2 tests/fuzz --hypothesis-profile fuzz --timeout 0 || exit 1; done

TARGET ?= pages

fuzz-guided: $(VENV)/.fuzz.installed  ## Fuzz a parser guided by coverage: TARGET=pages, records, urls, markers, lists.
	PYTHONPATH=tests:tests/support $(BIN)/python tests/fuzz/atheris_targets.py $(TARGET) -max_len=4096

# aioboto3 pins an aiobotocore of a year ago; beside it, the newest releases are held to the same tests.
NEWEST := $(VENV)/newest

$(NEWEST)/.installed: pyproject.toml constraints.txt constraints-newest.txt | $(BIN)/python
	$(BIN)/python -m venv $(NEWEST)
	$(NEWEST)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt pip
	$(NEWEST)/bin/python -m pip install --quiet --constraint constraints.txt --build-constraint constraints.txt --group test --editable .
	$(NEWEST)/bin/python -m pip install --quiet --no-deps --requirement constraints-newest.txt
	@touch $@

test-newest: $(NEWEST)/.installed  ## Run the tests of S3 and of the SWF client with the newest aiobotocore.
	$(NEWEST)/bin/python -m pytest -n 2 --dist loadgroup tests/store tests/swf/test_swf_client*.py

# Histories at random, of which `make test` plays 2,000: SEEDS is how many, or FIRST..END; SEED is one, printed.
SEEDS ?= 10000
SIMULATION := PYTHONPATH=tests:tests/support $(BIN)/python -m simulation

simulate: $(VENV)/.test.installed  ## Play histories at random: SEEDS=10000, or SEED=1.
	$(SIMULATION) $(if $(SEED),--seed $(SEED),--seeds $(SEEDS)) $(if $(JOBS),--jobs $(JOBS))

mutants: $(VENV)/.test.installed  ## Print which history catches each mutant.
	$(SIMULATION) --mutants

check: $(VENV)/.dev.installed  ## Check format, lint and types.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/basedpyright
	$(BIN)/python -m pytest -q -n 2 -m long tests/typing

format: $(VENV)/.dev.installed  ## Format, and fix what lint can fix.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.docs.installed  ## Build the documentation as a site into site/; a broken link or docstring is an error.
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -c docs -d $(VENV)/doctrees . site
	@echo "site/docs/index.html"

bench: $(VENV)/.bench.installed  ## Measure the quick set of benchmarks, within five minutes on two cores.
	$(BIN)/python -m bench

dist: $(VENV)/.release.installed  ## Build the sdist and the wheel into dist/.
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m build

clean:  ## Remove the environment and the caches of the tools.
	rm -rf $(VENV) site .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*
