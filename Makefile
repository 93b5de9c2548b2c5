# The front desk. `make demo` and `make test` need only python3 (with pip and venv) and a C compiler.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
WORKERS ?= 2
PYTEST ?=
BENCH  ?=

.DEFAULT_GOAL := help
.PHONY: help demo test check build gallery clean

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## +/|/' | awk -F'|' '{printf "  make %-9s %s\n", $$1, $$2}'

demo: $(VENV)/.demo  ## install, compile a new optimizer, race it against torch's AdamW (3 minutes)
	OMP_WAIT_POLICY=passive $(BIN)/stepc demo

test: $(VENV)/.dev  ## the whole test suite (up to 20 minutes on 2 cores); PYTEST="-k name" for a part
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) $(PYTEST)

check: $(VENV)/.dev  ## format, lint, types, and that generated/ is what specs/ says
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/stepc compile --all --check

build: $(VENV)/.dev  ## write generated/ again from specs/
	$(BIN)/stepc compile --all

gallery: $(VENV)/.dev  ## write docs/gallery/ again from specs/ (plots take some minutes)
	$(BIN)/stepc gallery -o docs/gallery

bench: $(VENV)/.demo  ## every prebuilt optimizer beside torch's, on GPT-2's list; BENCH="Lion --against all"
	$(BIN)/stepc bench $(BENCH)

bench-gpu:  ## all speed tests that need a GPU, in 8 minutes; installs nothing, needs torch and triton
	$(PYTHON) benchmarks/bare.py stepc.benchmarks.gpu

clean:  ## remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[triton,demo]'
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[triton,demo,dev]'
	@touch $@ $(VENV)/.demo
