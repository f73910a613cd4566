# Every target works alone on a machine that has Python 3.11, make and pip: it creates .venv first.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup run test slow lint clean

setup: $(READY)

$(READY): pyproject.toml requirements.lock
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[test,peers]'
	@touch $(READY)

# Trains on the ethanol frames in examples/, tests on frames never used otherwise; results in runs/demo/
# One thread: batches of eight small molecules are too little work to share
run: setup
	OMP_NUM_THREADS=1 $(BIN)/invarion train examples/ethanol/config.yaml

test: setup
	$(BIN)/python -m pytest -n 2 -m "not slow"

slow: setup
	$(BIN)/python -m pytest -m slow

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/codespell

clean:
	rm -rf .venv runs build dist
