# `make demo` shows it at work, `make test` runs every check, `make image` builds the container; the rest are parts.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUILD := $(if $(filter 1,$(SLUICE_PURE)),plain,accelerated)
STAMP := $(VENV)/.installed-$(BUILD)
# Two tests at a time more than there are processors, as some wait; e.g. `make test JOBS=0` for all in one process.
JOBS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 2)')
PYTEST := $(BIN)/pytest -n $(JOBS) --dist worksteal
# What only benchmarks need.
PEERS := .venv-bench/.installed-peers
LOCUST := .venv-bench/.installed-locust
# What is compiled: the C types of each module beside it, in a .pxd.
TYPED := $(wildcard proxy/*/*.pxd)
CODE := proxy tests setup.py $(wildcard bench config/plugins)

# pip hands constraints to the isolated build only through the environment; the name depends on its version.
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Where Python may not keep bytecode, every process of the proxy compiles all of it: 0.5 s CPU more for each start.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := test
.PHONY: demo test style types layers unit e2e bench bench-release soak asan image clean

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

# This proxy beside others, about an hour; BENCH for options, e.g. `make bench BENCH=--quick`.
bench: $(STAMP) $(PEERS)
	$(BIN)/python bench/peers.py $(BENCH)

# Releases under load, five minutes; BENCH for options, e.g. `make bench-release BENCH='--seconds 60'`.
bench-release: $(STAMP) $(LOCUST)
	$(BIN)/python bench/release.py $(BENCH)

# Apart from $(VENV): locust brings a plug-in for pytest that tests must not load. The constraints are those of the tests.
$(PEERS): bench/requirements.txt
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	PIP_CONSTRAINT= .venv-bench/bin/pip install --quiet -r bench/requirements.txt || echo 'without those of bench/requirements.txt'
	@touch $@

$(LOCUST): pyproject.toml
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	SLUICE_PURE=1 PIP_CONSTRAINT= .venv-bench/bin/pip install --quiet '.[release]'
	@touch $@

# Everything live in full, under the tests' own load: 200 reloads and flips, 50 endpoints, restarts, ends, rollouts. Shows its numbers.
soak: $(STAMP)
	SLUICE_SOAK=1 $(BIN)/pytest -rP tests/e2e/test_live_*.py tests/e2e/test_judged.py tests/e2e/test_rollouts.py tests/e2e/test_killed_controllers.py \
	  tests/e2e/test_plugins.py tests/e2e/test_plugin_abuse.py

# The compiled modules under AddressSanitizer: five minutes.
asan: $(STAMP)
	$(BIN)/python tests/asan.py

# With whichever builder is there; IMAGE_FLAGS for its own options, e.g. --pull-never.
image:
	@builder=$$(docker info >/dev/null 2>&1 && echo docker || command -v buildah) || { echo 'neither a running docker nor buildah is here; install one of them, e.g. apt-get install buildah' >&2; exit 1; }; \
	case "$$builder" in docker) docker build $(IMAGE_FLAGS) -t sluicegate . ;; *) buildah build --format docker $(IMAGE_FLAGS) -t sluicegate . ;; esac

clean:
	rm -rf $(VENV) .venv-bench .demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	rm -f proxy/*/*.so
	find proxy tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The editable install compiles the hot modules in place, where a compiler and Python's headers are.
$(STAMP): pyproject.toml setup.py constraints.txt $(TYPED) $(wildcard $(TYPED:.pxd=.py) $(TYPED:.pxd=.pyx))
	@command -v $(PYTHON) >/dev/null || { echo '$(PYTHON) is not installed; Sluicegate needs Python 3.11 or newer, e.g. apt-get install python3 python3-venv' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo '$(PYTHON) is '"$$($(PYTHON) -V 2>&1)"'; Sluicegate needs 3.11 or newer, e.g. make PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo 'the venv module of $(PYTHON) is missing; on Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	$(BIN)/python -m compileall -q proxy
	@touch $@
