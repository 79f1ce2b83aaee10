# Every target sets up what it needs. `make demo` and `make test` are all that CI calls.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Stages and tests start Python many times: without kept bytecode torch alone takes 4 s more each.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test pytest docs browser lint bench lock clean

$(BIN)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

demo: $(BIN)/.ready
	$(BIN)/dvc repro
	@$(BIN)/augment show reports/score.json
	@echo "real beside synthetic: reports/samples.png   training: reports/progress/training.gif"
	@echo "the whole story:       reports/index.html (open it in a browser)"
	@echo "the augmented set:     data/augmented (load it with augment.load)"

# Lint beside the tests: these wait for other processes now and then.
test: $(BIN)/.ready browser
	@$(MAKE) --no-print-directory --jobs 2 lint pytest

# A worker a core, each with one thread: the tests' networks are too small for two.
pytest: $(BIN)/.ready
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest --numprocesses auto --dist worksteal

# The report is opened in Debian's chromium. It is installed only where that asks nobody for a
# password; elsewhere those tests are skipped, and pytest says so.
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo -n)
browser:
	@command -v chromium >/dev/null || { command -v apt-get && $(SUDO) apt-get update && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium; \
	} >/dev/null 2>&1 || echo "chromium cannot be installed here: its tests are skipped"

lint: $(BIN)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(BIN)/.ready
	$(BIN)/python -m mkdocs build --strict --quiet
	@echo "the documentation: site/index.html (open it in a browser)"

bench: $(BIN)/.ready
	$(BIN)/python -m benchmarks.speed

lock:
	uv pip compile pyproject.toml --universal --extra dev --python-version 3.11 --quiet \
	  --no-header --no-annotate -o requirements.lock

clean:
	rm -rf data models reports synthetic site .augment
