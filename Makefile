# `make demo` shows it at work, `make test` runs every check, `make image` builds the container; the rest are parts.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUILD := $(if $(filter 1,$(SLUICE_PURE)),plain,accelerated)
STAMP := $(VENV)/.installed-$(BUILD)
# Two tests at a time more than there are processors, as some wait; e.g. `make test JOBS=0` for all in one process.
JOBS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 2)')
PYTEST := $(BIN)/pytest -n $(JOBS) --dist worksteal
CODE := proxy tests setup.py $(wildcard bench config/plugins)

# pip hands constraints to the isolated build of the accelerator only through the environment; the name depends on its version.
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Where Python may not keep bytecode, every process of the proxy compiles all of it: 0.5 s CPU more for each start.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := test
.PHONY: demo test style types layers unit e2e bench soak image clean

demo: $(STAMP)
	@$(BIN)/sluice demo

test: style types layers
	$(PYTEST)

style: $(STAMP)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)

types: $(STAMP)
	$(BIN)/mypy

layers: $(STAMP)
	$(BIN)/lint-imports

unit: $(STAMP)
	$(PYTEST) tests/unit tests/protocol tests/property

e2e: $(STAMP)
	$(PYTEST) tests/e2e tests/cases

bench: $(STAMP)
	$(BIN)/pip install --quiet --editable '.[test,bench]'
	@echo 'bench/README.md tells what each program measures and how to run it'

# Everything live in full, under the tests' own load: 200 reloads and flips, 50 endpoints, restarts, ends, rollouts. Shows its numbers.
soak: $(STAMP)
	SLUICE_SOAK=1 $(BIN)/pytest -rP tests/e2e/test_live_*.py tests/e2e/test_judged.py tests/e2e/test_rollouts.py tests/e2e/test_killed_controllers.py

# With whichever builder is there; IMAGE_FLAGS for its own options, e.g. --pull-never.
image:
	@builder=$$(docker info >/dev/null 2>&1 && echo docker || command -v buildah) || { echo 'neither a running docker nor buildah is here; install one of them, e.g. apt-get install buildah' >&2; exit 1; }; \
	case "$$builder" in docker) docker build $(IMAGE_FLAGS) -t sluicegate . ;; *) buildah build --format docker $(IMAGE_FLAGS) -t sluicegate . ;; esac

clean:
	rm -rf $(VENV) .demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	rm -f proxy/http1/_head.c proxy/http1/_head*.so
	find proxy tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The editable install builds the accelerator in place, where a compiler and Python's headers are.
$(STAMP): pyproject.toml setup.py constraints.txt $(wildcard proxy/http1/_head.pyx)
	@command -v $(PYTHON) >/dev/null || { echo '$(PYTHON) is not installed; Sluicegate needs Python 3.11 or newer, e.g. apt-get install python3 python3-venv' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo '$(PYTHON) is '"$$($(PYTHON) -V 2>&1)"'; Sluicegate needs 3.11 or newer, e.g. make PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo 'the venv module of $(PYTHON) is missing; on Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	$(BIN)/python -m compileall -q proxy
	@touch $@
