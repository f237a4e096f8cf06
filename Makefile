# crewsync: every target makes the virtual environment first if it is missing or stale.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH_VENV := .venv-bench
BENCH_READY := $(BENCH_VENV)/.ready

.PHONY: help run run-kafka demo test test-kafka test-console test-alerts chaos bench lint check-deploy audit format
.PHONY: lock clean

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "crewsync needs Python 3.11 or newer: set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Setting up $(VENV) (once, about half a minute) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

run: $(READY) ## Start everything on the embedded broker and the sandbox, until Ctrl-C
	@$(BIN)/crewsync run

run-kafka: $(READY) ## The same on a local Apache Kafka, which is started first and keeps its data in var/kafka
	@CREWSYNC_LOG_DIR=var/kafka/sync-logs CREWSYNC_SANDBOX_STATE=var/kafka/sandbox.db \
		deploy/kafka/kafka.sh run --keep var/kafka/broker -- $(BIN)/crewsync run

demo: $(READY) ## Do the main job once on the demo data, print both logs and exit
	@$(BIN)/crewsync demo

test: $(READY) ## Run the tests that need neither Java nor a network
	@$(BIN)/python -m pytest -m "not kafka and not console and not prometheus" -n 2 $(ARGS)

test-kafka: $(READY) ## Run the broker contract and the end-to-end test on a local Apache Kafka and schema registry
	@deploy/registry/registry.sh run -- deploy/kafka/kafka.sh run -- $(BIN)/python -m pytest -m kafka $(ARGS)

test-console: $(READY) ## Run the console's tests in Chromium, and those of its API against its OpenAPI document
	@command -v chromium > /dev/null || { echo "Chromium is missing: install Debian's package chromium" >&2; exit 69; }
	@$(BIN)/python -m pytest -m console -n 2 $(ARGS)

test-alerts: $(READY) ## Run the rules on a real Prometheus, provoke each alert, and ask each query of the dashboard
	@for program in prometheus promtool; do command -v $$program >/dev/null || { echo "make test-alerts needs \
	$$program: install it, for example with: apt-get install prometheus" >&2; exit 69; }; done
	@$(BIN)/python -m pytest -m prometheus -n 0 $(ARGS)

chaos: $(READY) ## Kill, stop and join processes, bounce brokers, let upstreams fail; ARGS=--long for half an hour
	@$(BIN)/python -m tests.chaos $(ARGS)

# A virtual environment of its own: what the peers need clashes with what this project is pinned to.
$(BENCH_READY): requirements-bench.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "crewsync needs Python 3.11 or newer: set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Setting up $(BENCH_VENV) (once, about half a minute) ..."
	@$(PYTHON) -m venv --clear $(BENCH_VENV)
	@$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	@touch $(BENCH_READY)

bench: $(BENCH_READY) ## Measure crewsync and its peers on a local Apache Kafka (ARGS="--quick" for two minutes)
	@deploy/kafka/kafka.sh run -- $(BENCH_VENV)/bin/python -m tests.benchmarks $(ARGS)

lint: $(READY) ## Check style, types and the lock
	@echo "ruff ..." && $(BIN)/ruff check . && $(BIN)/ruff format --check .
	@echo "mypy ..." && $(BIN)/mypy

check-deploy: ## Validate what is in deploy/, and carry out the image's steps without Docker
	@PYTHON=$(PYTHON) deploy/check.sh

audit: ## Look for known weaknesses in what is locked (asks a service; exit code 69 if none can be asked)
	@PYTHON=$(PYTHON) deploy/audit.sh

format: $(READY) ## Format the code
	@$(BIN)/ruff check --fix-only --quiet . && $(BIN)/ruff format .

lock: $(READY) ## Renew all four locks (hashes only, no registry addresses)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-tools
	@$(BIN)/pip-compile --quiet --generate-hashes --no-header --strip-extras --allow-unsafe --extra dev --extra tracing \
		--no-emit-options --no-emit-trusted-host -o requirements.lock pyproject.toml
	@$(BIN)/pip-compile --quiet --generate-hashes --no-header --strip-extras --allow-unsafe --extra bench \
		--no-emit-options --no-emit-trusted-host -o requirements-bench.lock pyproject.toml
	@# What runs in the image, and what builds it, at the versions that are tested with.
	@$(BIN)/pip-compile --quiet --generate-hashes --no-header --strip-extras --allow-unsafe -c requirements.lock \
		--no-emit-options --no-emit-trusted-host -o requirements-run.lock pyproject.toml
	@echo hatchling | $(BIN)/pip-compile --quiet --generate-hashes --no-header --strip-extras --allow-unsafe \
		-c requirements.lock --no-emit-options --no-emit-trusted-host --no-annotate -o deploy/image/build.lock -

clean: ## Remove what was built and everything that runs left behind (logs included)
	@rm -rf $(VENV) $(BENCH_VENV) .cache var dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
