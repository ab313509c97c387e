# jobspool: every task a person or CI runs. A machine needs make and Python 3.11 or newer.
#
#   make serve ARGS="--port 9000"        options of the command
#   make test ARGS="-k cancel -x"        options of pytest (-n 0: in one process)
#   make serve PYTHON=python3.13         another interpreter, when .venv is made

PYTHON ?= python3
ARGS ?=

# Paths are relative to this file, so a checkout whose path has spaces in it works too.
# `python -m pip` rather than `pip`: an installed script's first line names an absolute path.
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
LOCKED := $(PIP) install --require-hashes

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

.PHONY: help
help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

.PHONY: serve
serve: .venv/.project ## Install what is missing and run the service on http://127.0.0.1:8000.
	exec $(BIN)/jobspool serve $(ARGS)

# More than cores: the tests wait for processes, sockets and delays most of the time.
PROCESSES ?= 3

.PHONY: test
test: .venv/.dev ## Run the test suite.
	$(BIN)/python -m pytest -n $(PROCESSES) --dist worksteal $(ARGS)

.PHONY: check
check: .venv/.dev ## Check format, lint, types and the layers.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: ci
ci: check test ## What CI runs: check, then test.

.PHONY: bench
bench: .venv/.dev build/bench-peers/.made ## Measure all, beside other tools; a look: ARGS=--quick, choices: ARGS=--help.
	$(BIN)/python -m tests.benchmarks $(ARGS)

# Those that can't be installed are left out, and the report says so; the next run tries again.
build/bench-peers/.made: tests/benchmarks/requirements.txt
	$(PYTHON) -m venv build/bench-peers
	@install='build/bench-peers/bin/python -m pip --disable-pip-version-check --quiet install'; \
	if $$install -r $<; then touch $@; else \
	  grep -v '^#' $< | while read -r peer; do $$install "$$peer" || true; done; \
	fi

.PHONY: bench-scrape
bench-scrape: .venv/.dev build/peers/.made ## Measure scrapes beside other tools (needs nginx and Debian's docs).
	$(BIN)/python -m tests.benchmarks.scrape --python build/peers/bin/python $(ARGS)

build/peers/.made: tests/benchmarks/scrape/requirements.txt
	$(PYTHON) -m venv build/peers
	build/peers/bin/python -m pip --disable-pip-version-check --quiet install -r $<
	touch $@

.PHONY: soak
soak: .venv/.dev ## Work and be killed for long: ARGS="--minutes 20 --kills 500".
	$(BIN)/python -m tests.soak $(ARGS)

.PHONY: image-test
image-test: .venv/.made ## Build the image and prove that it works (Debian, root, buildah; no Docker).
	$(BIN)/python -m tests.image $(ARGS)

.PHONY: clean
clean: ## Remove what was built and installed here; data stays.
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the lock files -------------------------------------------------------------------------
# For every platform and Python that pyproject.toml allows. To upgrade all: make lock ARGS=-U

COMPILE := build/lock/bin/uv pip compile --quiet --universal --generate-hashes --no-header \
	--python-version 3.11 $(ARGS)

.PHONY: lock
lock: build/lock/bin/uv ## Pin anew what pyproject.toml asks for, with hashes.
	$(COMPILE) -o requirements.lock pyproject.toml
	$(COMPILE) --extra dev -c requirements.lock -o requirements-dev.lock pyproject.toml
	$(COMPILE) -c requirements-dev.lock -o deploy/requirements-build.lock deploy/requirements-build.in

build/lock/bin/uv:
	'$(PYTHON)' -m venv build/lock
	build/lock/bin/python -m pip --disable-pip-version-check --quiet install uv

# --- the environment ------------------------------------------------------------------------
# Each stamp is as new as the last time its step succeeded; a changed lock file runs it again.

.venv/.made:
	@command -v '$(PYTHON)' >/dev/null || { \
	  echo "jobspool needs Python 3.11 or newer, and there is no $(PYTHON) here." >&2; exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "jobspool needs Python 3.11 or newer; $(PYTHON) is $$('$(PYTHON)' -V 2>&1)." >&2; \
	  echo "Name a newer one: make $(MAKECMDGOALS) PYTHON=python3.13" >&2; exit 1; }
	@'$(PYTHON)' -c 'import ensurepip, venv' || { \
	  echo "$(PYTHON) can't make virtual environments (Debian, Ubuntu: apt-get install python3-venv)." >&2; \
	  exit 1; }
	'$(PYTHON)' -m venv .venv
	@touch $@

.venv/.runtime: requirements.lock deploy/requirements-build.lock | .venv/.made
	$(LOCKED) -r requirements.lock -r deploy/requirements-build.lock
	@touch $@

# The build backend is there, pinned, so nothing is downloaded outside the lock files.
.venv/.project: .venv/.runtime pyproject.toml
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev: requirements-dev.lock .venv/.project
	$(LOCKED) -r requirements-dev.lock
	@touch $@
