# Three commands: `make demo`, `make demo-all` and `make test`. Everything they need goes into .venv and .mlops here.
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3,$(shell $(p) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1 && echo $(p))))
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TEST_READY := $(VENV)/.test-ready
RESULTS := benchmarks/results
BENCHMARKS := $(filter-out benchmarks/common.py,$(wildcard benchmarks/*.py))

export DAGSTER_DISABLE_TELEMETRY := 1
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: demo demo-all ui serve test test-fast lint bench bench-peers clean

demo: $(READY)  ## the whole life of two models, in a few minutes
	$(BIN)/python -m demo

demo-all: $(READY)  ## the same for every model that ships
	$(BIN)/python -m demo --all

ui: $(READY)  ## Dagster, MLflow and the REST server, on what the demo left behind
	$(BIN)/python -m demo.ui

serve: $(READY)
	$(BIN)/mlops-assets serve

test: $(TEST_READY)  ## every test
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

test-fast: $(TEST_READY)
	$(BIN)/python -m pytest -m "not slow and not browser"

lint: $(TEST_READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy mlops_assets demo

bench: $(TEST_READY)  ## every benchmark, into benchmarks/results
	mkdir -p $(RESULTS)
	for file in $(BENCHMARKS); do \
		$(BIN)/python $$file --json $(RESULTS)/$$(basename $$file .py).json || exit 1; \
	done

bench-peers: $(TEST_READY)  ## what benchmarks/serving.py and benchmarks/drift.py compare with
	$(BIN)/python benchmarks/serving.py --make-peers
	$(BIN)/python benchmarks/drift.py --make-peers

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(READY): $(VENV)/bin/python pyproject.toml setup.cfg constraints.txt
	@echo "Installing into $(VENV): a minute or some; pip is quiet meanwhile."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[journey,dg]'
	touch $@

$(TEST_READY): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[journey,postgres,dg,test]'
	touch $@

clean:
	rm -rf $(VENV) .mlops .bench-peers $(RESULTS)
