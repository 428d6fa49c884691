# Two commands do everything on a machine with Python 3.11 or later:
#   make run     sets up, and runs 1,000 missions into ./training_logs
#   make test    sets up, and passes the tests
# And: make torture puts every fault to it, for hours, and fills the table of docs/reliability.md.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MISSIONS ?= 1000

.PHONY: run test lint coverage bench torture clean

run: $(VENV)/.installed
	$(BIN)/python -m synexs_async --missions $(MISSIONS)

test: $(VENV)/.tested
	$(BIN)/python -m pytest -n auto --dist worksteal

lint: $(VENV)/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

coverage: $(VENV)/.tested
	$(BIN)/python -m pytest -n auto --dist worksteal --cov

torture: $(VENV)/.tested
	$(BIN)/python tests/faults/torture.py --write

bench: $(VENV)/.installed
	$(BIN)/python benchmarks/throughput.py

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable . --constraint constraints.txt
	touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[test,lint]' --constraint constraints.txt
	touch $@

clean:
	rm -rf $(VENV)
