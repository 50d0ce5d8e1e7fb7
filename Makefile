# Every command that a person or CI needs. `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
MLOPS_HOME ?= .mlops
export MLOPS_HOME
export DAGSTER_HOME ?= $(abspath $(MLOPS_HOME))/dagster
BIN := $(VENV)/bin
PEERS ?= .venv-peers
# With it, every process compiles the libraries anew: seconds each.
unexport PYTHONDONTWRITEBYTECODE
TEST ?=

.PHONY: help demo test dev check format bench-lifecycle bench-serve bench-batch bench-drift bench-alarms \
    test-fast test-e2e test-browser test-peers capabilities clean

help:
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

demo: $(VENV)/.demo ## a year of flights, in a few minutes
	@$(BIN)/python -m assets.flight_delay.demo

test: $(VENV)/.dev ## every test
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile $(TEST)

test-fast: $(VENV)/.dev ## the tests without whole processes and without PostgreSQL
	@$(BIN)/python -m pytest -q -m "not e2e and not postgres" $(TEST)

test-e2e: $(VENV)/.dev ## the tests that start the daemon, the webserver and killed runs
	@$(BIN)/python -m pytest -q -m e2e $(TEST)

test-browser: $(VENV)/.dev ## the endpoint's and monitoring's pages in a headless Chromium, if there is one
	@$(BIN)/python -m pytest -q -m browser $(TEST)

dev: $(VENV)/.demo ## the Dagster UI with its daemon and the MLflow UI, on the demo's end state
	@MLOPS_SENSORS=running MLOPS_CLOCK=replay:$(abspath $(MLOPS_HOME))/clock $(BIN)/mlops-dagster dev

test-peers: $(PEERS)/.made ## estimated performance beside NannyML's, in an environment of its own
	@PYTHONPATH=. $(PEERS)/bin/python -m pytest -q -o addopts= --import-mode=importlib --noconftest -W ignore tests/peers

check: $(VENV)/.dev ## lint, types, import contracts, dead code, dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(BIN)/deptry mlops_dagster

format: $(VENV)/.dev ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench-lifecycle: $(VENV)/.dev ## one lifecycle run against a plain script of the same steps
	@$(BIN)/python -m benchmarks.lifecycle

bench-serve: $(VENV)/.dev ## the endpoint against `mlflow models serve`, on the same model
	@$(BIN)/python -m benchmarks.serve

bench-batch: $(VENV)/.dev ## batch scoring against the model's own predict on numpy, and its memory
	@$(BIN)/python -m benchmarks.batch

bench-drift: $(VENV)/.dev ## drift of 30 columns beside Evidently and NannyML, on the same files
	@$(BIN)/python -m benchmarks.drift

bench-alarms: $(VENV)/.dev ## false alarms and power of this package's rule and its peers' (half an hour)
	@$(BIN)/python -m benchmarks.alarms
	@$(BIN)/python -m benchmarks.alarms_losses
	@$(BIN)/python -m benchmarks.alarms_slices

capabilities: $(VENV)/.dev ## write docs/capabilities.md from the tests named after its rows
	@$(BIN)/python -m docs.capabilities

clean: ## remove the environment and everything the demo made
	rm -rf $(VENV) $(MLOPS_HOME)

# uv when it is there and can resolve, plain venv and pip otherwise.
define install
	@echo "Installing into $(VENV) (a minute or two the first time) ..."
	@if command -v uv >/dev/null 2>&1 \
	    && uv venv -q --allow-existing --python $(PYTHON) $(VENV) \
	    && uv pip install -q --compile-bytecode --python $(BIN)/python -c constraints.txt -e '.[$(1)]'; then :; else \
	  $(PYTHON) -m venv $(VENV) \
	    && $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[$(1)]'; \
	fi
	@touch $@
endef

$(VENV)/.demo: pyproject.toml constraints.txt
	$(call install,demo)

$(VENV)/.dev: pyproject.toml constraints.txt
	$(call install,dev)
	@touch $(VENV)/.demo

# NannyML needs an older pandas, and statsmodels, which it does not declare.
$(PEERS)/.made:
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install -q --disable-pip-version-check 'nannyml==0.13.1' 'pandas<3' statsmodels pydantic pytest
	@touch $@
