# Two commands do everything on a machine with Python 3.11 and a package index: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup demo lint test mutants check-long check-browser digests

setup: $(VENV)/ready

$(VENV)/ready: pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(0 if sys.version_info >= (3, 11) else 'needs Python 3.11 or newer; set PYTHON=...')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	# for tests alone, without the second OpenCV that it asks for
	$(BIN)/python -m pip install --quiet --no-deps grad-cam ttach
	$(BIN)/python -c "from xai_detect.detectors.doctor import require_torchvision; require_torchvision()"
	touch $@

demo: setup
	$(BIN)/xai-detect demo

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

# tests of the tests: a sample of small mistakes, of which the nearest tests should notice most
MUTANTS ?= scores measures evaluation values
COUNT ?= 200
SEED ?= 0

mutants: setup
	$(BIN)/python tests/mutants.py $(MUTANTS) --count $(COUNT) --seed $(SEED) --least 0.85

check-long: setup
	$(BIN)/python -m pytest -m long
	$(MAKE) mutants

# needs Chromium: apt-get install chromium chromium-driver
check-browser: setup build/axe.min.js
	$(BIN)/python -m pytest -m browser

# checks of accessibility; without npm they are skipped
AXE := axe-core-4.14.1

build/axe.min.js:
	mkdir -p build
	-cd build && npm pack --silent $(subst core-,core@,$(AXE)) && tar xzf $(AXE).tgz --strip-components=1 package/axe.min.js

# golden digests of the simulator; only together with a new SIMULATOR
digests: setup
	$(BIN)/python tests/simulator_digests.py
