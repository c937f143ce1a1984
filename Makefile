# Every target sets up what it needs in .venv; only Python 3.11 or newer and make are required.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ARGS   ?=
SOAK   ?= 600
# Tests wait more than they compute (child processes, sockets), so several workers a core keep the cores busy: three for the
# default tests, two where real servers run beside them.
CORES  := $(shell $(PYTHON) -c 'import os; print(os.cpu_count() or 1)')
JOBS   ?= $(shell expr 2 \* $(CORES))

.DEFAULT_GOAL := help
.PHONY: help demo test test-all soak soak-replicas bench bench-postgres lint types report format reference dist chart release sbom content screenshot rehearse lock check clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.runtime ## simulator and connector in one process: ECS on stdout (ARGS="--once" drains and ends)
	@$(BIN)/python -m connector demo $(ARGS)

# Without byte code every worker, and every connector that a test starts, compiles all modules again.
test test-all: export PYTHONDONTWRITEBYTECODE =
# Property tests: every example, where `make test` tries a quarter.
test-all: export HYPOTHESIS_PROFILE ?= full

test: $(VENV)/.dev ## the default tests: everything that is not slow
	$(BIN)/python -m pytest -n $(shell expr 3 \* $(CORES)) --dist worksteal -m "not slow" $(ARGS)

test-all: $(VENV)/.dev ## every test: crash, integration with real servers, docs, deploy (what CI runs)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup $(ARGS)

soak: $(VENV)/.dev ## kill daemons for SOAK seconds, then compare what arrived with what was issued
	$(BIN)/python -m tests.crash.soak $(SOAK)

bench: $(VENV)/.dev ## everything about speed and memory, beside the budgets (ARGS="--quick --json FILE")
	@$(BIN)/python -m tests.benchmarks $(ARGS)

soak-replicas: $(VENV)/.dev ## the same with three replicas on one PostgreSQL: killed, frozen, cut off; takeover times
	$(BIN)/python -m tests.crash.replicas $(SOAK)

bench-postgres: $(VENV)/.dev ## the journal on PostgreSQL beside SQLite, also at a round trip of a millisecond
	@$(BIN)/python -m tests.benchmarks.postgres $(ARGS)

rehearse: $(VENV)/.dev ## execute the Dockerfile's steps and run the result, without a container engine (root, Linux)
	$(BIN)/python -m tests.image.rehearsal

lint: $(VENV)/.dev ## ruff, formatting and the layer contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.dev ## mypy, strict
	$(BIN)/mypy

report: $(VENV)/.dev ## files, lines, functions and comments of connector/, for a reviewer
	@$(BIN)/python -m tools.code_report

check: lint types test-all ## everything that CI runs, less the image and the benchmark gate

format: $(VENV)/.dev ## rewrite to the house format
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

reference: $(VENV)/.dev ## write docs/reference and the tables of docs/configuration.md from the code
	$(BIN)/python -m tools.reference

dist: $(VENV)/.dev ## build wheel and sdist (the same bytes each time), bill of materials, checksums (PROJECT_URL=https://...)
	rm -rf dist
	PROJECT_URL="$(PROJECT_URL)" $(BIN)/python -m hatchling build -d dist
	$(BIN)/python -m tools.sbom dist/sbom.cdx.json
	cd dist && sha256sum * > SHA256SUMS

chart: ## package the Helm chart with an image as its default (IMAGE=HOST/OWNER/NAME DIGEST=sha256:...)
	rm -rf dist/chart
	helm package -d dist "$$($(PYTHON) -m tools.release chart dist/chart "$(IMAGE)" "$(DIGEST)")"
	rm -rf dist/chart

release: ## write VERSION=X.Y.Z into every file that names it and date the changelog (docs/releasing.md)
	@$(PYTHON) -m tools.release prepare "$(VERSION)"
	@echo "$(VERSION) is written. Read the diff, commit it, then tag v$(VERSION)."

sbom: $(VENV)/.dev ## print the bill of materials (CycloneDX) of what requirements/runtime.txt installs
	@$(BIN)/python -m tools.sbom $(ARGS)

content: $(VENV)/.dev ## write the queries in deploy/content from its Sigma rules, and the dashboards
	@$(BIN)/python -m tools.content
	@$(BIN)/python -m tools.dashboards

screenshot: $(VENV)/.dev ## take docs/images/status-page.png of a connector that ran for ten minutes
	$(BIN)/python -m tools.screenshot $(ARGS)

lock: $(VENV)/.dev ## renew requirements/*.txt from pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --extra kafka --extra postgres --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --upgrade -q -o requirements/runtime.txt
	$(BIN)/uv pip compile pyproject.toml --extra kafka --extra postgres --group dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --upgrade -q -o requirements/dev.txt
	$(BIN)/uv pip compile --group build --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --upgrade -q -o requirements/build.txt

clean: ## remove what the targets made
	rm -rf $(VENV) dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is required; set PYTHON=/path/to/python3.11" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements/runtime.txt | $(BIN)/python
	@echo "installing into $(VENV) ..." >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.txt >&2
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(BIN)/python
	@echo "installing into $(VENV) ..." >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . >&2
	@touch $@ $(VENV)/.runtime
