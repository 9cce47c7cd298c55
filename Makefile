# Everything a person does with this repository. `make` alone says what there is.

VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=

export PHOTOS

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup servers test check lint types imports format demo photos bench fire mutants wheel clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

setup:  ## find a Python >= 3.11, make .venv and install everything into it; instant when nothing changed
	@scripts/setup.sh dev $(VENV)

servers:
	@scripts/servers.sh

test: setup servers  ## run all tests (ARGS="-k lease -x" is passed on to pytest)
	@scripts/test.sh $(BIN)/python $(ARGS)

check: lint types imports test  ## format, lint, types, import contracts, then all tests

lint: setup  ## check the format and the lint rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: setup  ## check the types, as the authors see them and as a user sees them
	@$(BIN)/mypy src $(if $(wildcard src/jobsworth/app.py),tests/typing/downstream.py)

imports: setup  ## check that imports only go down through the house
	@$(BIN)/lint-imports --no-logo

format: setup  ## write the format, and fix what can be fixed safely
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

demo:  ## real pictures through a real queue, and their page (PHOTOS=~/Pictures for your own, ARGS=--no-browser)
	@scripts/setup.sh demo $(VENV)
	@$(BIN)/python examples/photos/demo.py $(ARGS)

photos:  ## serve the photo example's page, with a worker, on http://127.0.0.1:8000/ (PORT=8080)
	@scripts/setup.sh demo $(VENV)
	@cd examples/photos && $(abspath $(BIN))/python web.py

bench:  ## measure beside the peers in one run, in an environment of its own
	@scripts/setup.sh bench .venv-bench
	@.venv-bench/bin/python bench/run.py $(ARGS)

fire: setup servers  ## the fire tests, longer: real processes killed, stopped and starved
	@JOBSWORTH_FIRE=long $(BIN)/python -m pytest -m fire --timeout=1800 $(ARGS)

mutants: setup servers  ## break one promise at a time and see that the tests notice (ARGS="redis" for some)
	@$(BIN)/python scripts/mutants.py $(ARGS)

wheel: setup  ## build the wheel into dist/
	@$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	@ls dist/*.whl

clean:  ## remove builds and caches (environments and job databases stay)
	@rm -rf build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find src tests bench examples -type d -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
