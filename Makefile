# With only Python and make on the machine: `make serve` serves the built-in model, `make test`
# runs every check. Both set up .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH ?= torch==2.13.0

.PHONY: serve test test-slow test-vllm lint setup setup-test modules constraints clean
serve: setup
	$(BIN)/openk2 serve

# A file's tests stay together, since they share what is dear to set up; threads would only get in
# each other's way.
test: setup-test lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n auto --maxprocesses 4 --dist loadfile

test-slow: setup-test
	$(BIN)/python -m pytest -m slow

# Against a real vLLM, in an environment of its own: some minutes and gigabytes to install.
VLLM_VENV ?= .venv-vllm
test-vllm: setup-test
	$(BIN)/python benchmarks/vllm_server.py $(VLLM_VENV) --install
	OPENK2_VLLM=$(abspath $(VLLM_VENV)) $(BIN)/python -m pytest tests/end_to_end/test_vllm.py

lint: setup-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/modules_page.py --check

modules: setup-test
	$(BIN)/python docs/modules_page.py

setup: $(VENV)/.installed
setup-test: $(VENV)/.installed-test

# torch first and pinned, everything else as constraints.txt pins it. TORCH is not quoted, so that
# it may hold options (README.md, torch).
$(VENV)/.installed: pyproject.toml setup.py constraints.txt $(wildcard src/openk2/kernels/native/*.cpp src/openk2/kernels/native/*.h)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "openk2 needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[train]"
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@

# Writes down what is installed. For newer versions: empty constraints.txt, make clean, and this.
constraints: setup-test
	sed -n '/^#/p' constraints.txt > constraints.txt.new
	$(BIN)/python -m pip freeze --exclude openk2 --exclude torch --exclude-editable >> constraints.txt.new
	mv constraints.txt.new constraints.txt

clean:
	rm -rf $(VENV) build dist src/*.egg-info
