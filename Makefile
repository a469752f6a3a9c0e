# Every target works first and alone on a clean machine with Python >= 3.11, pip and make.
# The environment is .venv; it is made or changed only when pyproject.toml or constraints.txt change.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt
PINS := pyproject.toml constraints.txt
DEMO_READY := $(VENV)/.ready-demo
TEST_READY := $(VENV)/.ready-test

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs bench format clean

help:
	@echo "make demo    install what it needs, predict and measure resetting on handwritten digits"
	@echo "make test    lint, types, import contracts, all tests, doctests, every study in quick mode"
	@echo "make lint    only the first three of these"
	@echo "make docs    build the site into docs/_build/html, warnings are errors"
	@echo "make bench   run every benchmark and print its ratios"
	@echo "make format  let ruff fix and format the code"
	@echo "make clean   remove .venv and everything made from the sources"
	@echo "PYTHON=...   chooses the Python (>= 3.11) that .venv is made with; now: $(PYTHON)"

demo: $(DEMO_READY)
	$(VENV)/bin/resetsgd demo $(DEMO)

test: lint
	$(PY) -m pytest $(PYTEST)

lint: $(TEST_READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports --no-logo

docs: $(TEST_READY)
	$(PY) -m sphinx -W --keep-going -b html docs docs/_build/html

bench: $(TEST_READY)
	$(PY) -m benchmarks $(BENCH)

format: $(TEST_READY)
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

clean:
	rm -rf $(VENV) build dist docs/_build docs/api/generated docs/gallery/generated
	rm -rf docs/studies/generated
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Some systems ship Python without the module that puts pip into a new environment; the system's own
# pip can do that instead.
$(VENV)/.made:
	@found=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2]); \
	  sys.exit(sys.version_info < (3, 11))' 2>/dev/null) || { \
	  echo "resetsgd needs Python >= 3.11, but '$(PYTHON)' is $${found:-not there};" \
	       "name another one: make PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV) || { \
	  $(PYTHON) -m venv --clear --without-pip $(VENV) && \
	  $(PYTHON) -m pip --python $(PY) install --quiet pip; }
	@touch $@

$(DEMO_READY): $(PINS) | $(VENV)/.made
	@echo "installing into $(VENV) (the first time this takes some minutes) ..."
	$(PIP) -e ".[torch,data]"
	@touch $@

# What the tests need includes what the demo needs.
$(TEST_READY): $(PINS) | $(VENV)/.made
	@echo "installing into $(VENV) (the first time this takes some minutes) ..."
	$(PIP) -e ".[all]"
	@touch $(DEMO_READY) $@
