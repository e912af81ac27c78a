# One-word commands; `make help` lists them. Needs Python 3.11 or newer, a C++20 compiler and make, nothing else:
# cmake and ninja come through pip where the system has none.
PYTHON ?= python3
VENV ?= .venv

BIN := $(VENV)/bin
FOLDERS := $(patsubst %/py.typed,%,$(wildcard */py.typed))
SOURCES := pyproject.toml constraints.txt CMakeLists.txt \
	$(shell find $(FOLDERS) csrc -type f ! -path '*/__pycache__/*' ! -name '*.so')
NATIVE_SOURCES = $(shell find csrc tests/native -type f -name '*.[ch]pp' -o -type f -name '*.inl' -o -type f -name '*.[ch]')
PIP := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt
# What runs from the source tree instead of the installed package sees it as the namespace `lutra`.
FROM_SOURCE := PYTHONPATH=$(CURDIR)/build/dev

MAKEFLAGS += --no-print-directory

.NOTPARALLEL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help quickstart test test-slow dev links contracts lint format native firmware check-firmware sanitize \
	bench-estimation bench-gpu bench-gpu-real bench-kernels bench-mcu bench-measuring bench-predictors bench-search bench-service \
	bench-sim-cpu bench-spine bench-tables scoreboard docs clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# What doctor finds is advice, whatever its exit code: the profile judges its own conditions.
quickstart: $(VENV)/.package ## set up, profile this CPU for MobileNetV2, predict it and compare with the clock
	$(BIN)/lutra doctor || true
	$(BIN)/lutra profile mobilenet_v2
	$(BIN)/lutra predict mobilenet_v2

test: $(VENV)/.dev $(VENV)/.package ## set up and run the fast tests
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-slow: $(VENV)/.dev $(VENV)/.package ## run the tests that take minutes
	$(BIN)/python -m pytest -m slow

# --- set-up: each stamp is newer than everything it was made from ---

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Lutra needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." \
	       "Name another: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# Installs the package too, so that `make test` on a fresh clone builds it once.
$(VENV)/.dev: $(VENV)/.created pyproject.toml constraints.txt
	$(PIP) '.[all,dev]'
	$(PIP) --no-deps 'executorch>=1.0'  # for XNNPACK's library alone; what it asks for besides is not used
	@touch $@ $(VENV)/.package

$(VENV)/.package: $(VENV)/.created $(SOURCES)
	$(PIP) '.[all]'
	@touch $@

$(VENV)/.cmake: $(VENV)/.created
	$(PIP) 'pybind11>=3.0'
	@cmake --version 2>/dev/null | awk 'NR == 1 { split($$3, v, "."); ok = v[1] > 3 || v[1] == 3 && v[2] >= 24 } END { exit !ok }' \
	  || $(PIP) 'cmake>=3.24'
	@touch $@

# --- development ---

dev: $(VENV)/.dev links native ## set up for work on the sources: link farm, native build in place
	@echo "Work from the sources with:  export PYTHONPATH=$(CURDIR)/build/dev  and  $(BIN)/python"

links: # build/dev/lutra/<folder> -> <folder>: the namespace without an install
	@mkdir -p build/dev/lutra
	@for folder in $(FOLDERS); do ln -sfn ../../../$$folder build/dev/lutra/$$folder; done

contracts: $(VENV)/.dev links ## check who imports whom
	$(FROM_SOURCE) $(BIN)/lint-imports --no-cache --no-logo

lint: $(VENV)/.dev contracts ## ruff, mypy, clang-format, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run -Werror $(NATIVE_SOURCES)
	$(BIN)/mypy build/dev/lutra benchmarks docs/generate.py tools

format: $(VENV)/.dev ## rewrite the sources in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(NATIVE_SOURCES)

native: $(VENV)/.cmake ## build the native part with warnings as errors, run its tests
	$(call cmake,release,-DPython_EXECUTABLE=$(abspath $(BIN))/python)

firmware: $(VENV)/.ziglang ## rebuild the int8 kernels of the simulated microcontrollers with the pinned compiler
	$(BIN)/python tools/firmware.py

check-firmware: $(VENV)/.ziglang ## check that the shipped int8 kernels are what the sources make
	$(BIN)/python tools/firmware.py --check

$(VENV)/.ziglang: $(VENV)/.created constraints.txt
	$(PIP) 'ziglang==0.17.*'
	@touch $@

sanitize: $(VENV)/.cmake ## run the native tests under the address and undefined-behaviour sanitizers
	$(call cmake,asan)

define cmake
	PATH="$(abspath $(BIN)):$$PATH" cmake --preset $(1) $(2)
	PATH="$(abspath $(BIN)):$$PATH" cmake --build --preset $(1) --parallel 2
	PATH="$(abspath $(BIN)):$$PATH" ctest --preset $(1)
endef

# --- figures and pages ---

bench-gpu: $(VENV)/.package ## score simulated GPUs by others' data into benchmarks/results/gpu.json, render docs/gpu-figures.md
	$(BIN)/python -m benchmarks.gpu

bench-gpu-real: $(VENV)/.package ## measure an NVIDIA GPU, where there is one, into benchmarks/results/gpu_real (ten minutes)
	$(BIN)/python -m benchmarks.gpu_real

bench-kernels: $(VENV)/.package ## measure our kernels beside oneDNN's into benchmarks/results/kernels.json
	$(BIN)/python -m benchmarks.kernels

bench-spine: $(VENV)/.package ## measure this area's figures into benchmarks/results/spine.json
	$(BIN)/python -m benchmarks.spine

bench-mcu: $(VENV)/.package ## measure simulated boards beside real ones into benchmarks/results/mcu.json
	$(BIN)/python -m benchmarks.mcu

bench-sim-cpu: $(VENV)/.package ## simulated CPUs beside measured networks into benchmarks/results/sim_cpu.json
	$(BIN)/python -m benchmarks.sim_cpu

bench-measuring: $(VENV)/.package ## measure how well sums agree with the clock, and render docs/accuracy.md (two hours)
	$(BIN)/python -m benchmarks.measuring

bench-estimation: $(VENV)/.package ## judge scores of accuracy, train a small network: benchmarks/results/accuracy.json (an hour)
	$(BIN)/python -m benchmarks.estimation

bench-predictors: $(VENV)/.package ## judge predictors by others' data into benchmarks/results/predictors.json, render docs/transfer.md
	$(BIN)/python -m benchmarks.predictors

bench-search: $(VENV)/.package ## search on real data into benchmarks/results/search.json, render docs/search-figures.md
	$(BIN)/python -m benchmarks.search

bench-service: $(VENV)/.dev ## measure the server, made-up requests and kills into benchmarks/results/service.json (half an hour)
	$(BIN)/python -m benchmarks.service

bench-tables: $(VENV)/.package ## measure how quick, complete and safe tables are into benchmarks/results/tables.json (half an hour)
	$(BIN)/python -m benchmarks.tables

scoreboard: $(VENV)/.package ## render benchmarks/results/*.json as docs/scoreboard.md
	$(BIN)/python -m benchmarks.scoreboard

docs: $(VENV)/.package scoreboard ## regenerate the pages made from code and results
	$(BIN)/python docs/generate.py

clean: ## remove the environment and everything built
	rm -rf $(VENV) build dist
	find $(FOLDERS) -name '*.so' -delete
