# Everything a person or a pipeline does here, by name. The longer steps are in scripts/.

HOST ?= 127.0.0.1
PORT ?= 8080
DATA_DIR ?= .rollcall
PYTEST_ARGS ?=

# Debian packages that some tests start private servers from.
TEST_PACKAGES ?= postgresql-15 rabbitmq-server ffmpeg

BIN := .venv/bin
SOURCES := actors load_tests protocol server storage
FAST := not slow and not faults and not timescale and not browser
LINTERS := lint-mypy lint-pyright lint-ruff lint-format lint-imports
# Two at a time, the output of each in one piece, and every failure shown.
PARALLEL := $(MAKE) --no-print-directory --jobs=2 --output-sync=target --keep-going
# Compiled modules are kept, as the type checkers keep theirs: without them every run compiles each test anew, twice.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup run test check lint format lock clean fast-tests $(LINTERS)

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## build .venv from requirements.lock (does nothing when it is up to date)
	@scripts/setup.sh

run: setup ## start a development server (PORT=8080 DATA_DIR=.rollcall)
	@exec $(BIN)/rollcall serve --dev --host $(HOST) --port $(PORT) --data-dir $(DATA_DIR)

test: setup ## run every test; installs what they need where that is allowed
	@BIN=$(BIN) scripts/test.sh "$(TEST_PACKAGES)" $(PYTEST_ARGS)

check: setup ## format, lint, types, layers and the fast tests
	@$(PARALLEL) $(LINTERS) fast-tests

lint: setup ## the same without tests
	@$(PARALLEL) $(LINTERS)

format: setup ## rewrite the sources in the house style
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

lock: setup ## compile requirements.lock anew from pyproject.toml
	@BIN=$(BIN) scripts/lock.sh

clean: ## remove what was built (not the data in .rollcall)
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info
	@find $(SOURCES) tests -name __pycache__ -type d -prune -exec rm -rf {} +

# No `setup` here: these run side by side under `check` and `lint`, which have done it.
lint-mypy:
	@$(BIN)/mypy

lint-pyright:
	@$(BIN)/basedpyright

lint-ruff:
	@$(BIN)/ruff check .

lint-format:
	@$(BIN)/ruff format --check .

lint-imports:
	@$(BIN)/lint-imports --no-logo

fast-tests:
	@$(BIN)/pytest -q -m "$(FAST)" -n 2 --dist loadfile $(PYTEST_ARGS)
