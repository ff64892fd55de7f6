.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long test-slurm test-oldest lint bench accuracy fuzz profile clean

VENV := .venv
BIN := $(VENV)/bin
# The newest Python on the PATH that is 3.11 or newer; PYTHON=... overrides.
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3 python; do \
	"$$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v "$$p"; break; }; done)

help:
	@echo "make demo   set up, then rank a real table"
	@echo "make test   set up, then run the tests"
	@echo "make test-long   tests that take minutes: fifty kills"
	@echo "make test-slurm  tests against a real Slurm on this machine, which is installed if need be (root, Debian)"
	@echo "make test-oldest   the tests with the oldest releases that pyproject.toml allows"
	@echo "make lint   style and types"
	@echo "make setup  only set up, in $(VENV)"
	@echo "make bench  measure beside other packages, and write docs/benchmarks.md (QUICK=1, ONLY=part,part)"
	@echo "make accuracy  how right the numbers are, into docs/accuracy.md (QUICK=1, ONLY=part,part)"
	@echo "make profile FILE=table.parquet TARGET=y [METHOD=kde]  where a run spends its time"
	@echo "make fuzz   damaged and odd tables for a while; the seed is printed (SECONDS=60, SEED=...)"
	@echo "make clean  remove what these made"

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "error: no Python 3.11 or newer with venv was found on the PATH" >&2; \
		echo "hint: install one (Debian, Ubuntu: python3 and python3-venv), or run: make PYTHON=/path/to/python3" >&2; \
		exit 1; \
	fi
	@echo "setting up $(VENV) with $(PYTHON) (a minute or two, once)" >&2
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: setup
	@echo '$$ miscreen rank data/samples/pbmc.parquet --target cell_type --top 20' >&2
	@$(BIN)/miscreen rank data/samples/pbmc.parquet --target cell_type --top 20

test: setup
	@$(BIN)/python -m pytest

test-long: setup
	@$(BIN)/python -m pytest -m long -rs

test-slurm: setup
	@$(BIN)/python -m pytest -m slurm -rs

OLDEST := $(VENV)/oldest

$(OLDEST)/.ready: pyproject.toml | setup
	@echo "setting up $(OLDEST) (a minute or two, once)" >&2
	@$(BIN)/python -m venv --clear $(OLDEST)
	@$(BIN)/python -c "import re, tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
		wanted = project['dependencies'] + sum(project['optional-dependencies'].values(), []); \
		print(*('=='.join(found[0]) for each in wanted if (found := re.findall(r'^([\w-]+)>=([\w.]+)', each))), sep='\n')" \
		> $(OLDEST)/oldest.txt
	@$(OLDEST)/bin/python -m pip install -qq --disable-pip-version-check -e '.[dev]' -c $(OLDEST)/oldest.txt
	@touch $@

test-oldest: $(OLDEST)/.ready
	@$(OLDEST)/bin/python -m pytest

lint: setup
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

BENCH := benchmarks/out/venv

$(BENCH)/.ready: benchmarks/requirements.txt pyproject.toml | setup
	@echo "setting up $(BENCH) with the packages to compare with (some minutes, once)" >&2
	@test -x $(BENCH)/bin/python || $(BIN)/python -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install -qq --disable-pip-version-check -e . -r benchmarks/requirements.txt
	@touch $@

bench: $(BENCH)/.ready
	@$(BENCH)/bin/python benchmarks/run.py $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

accuracy: $(BENCH)/.ready
	@$(BENCH)/bin/python benchmarks/accuracy.py $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

profile: setup
	@$(BIN)/python benchmarks/profile_run.py $(FILE) --target $(TARGET) $(if $(METHOD),--method $(METHOD))

fuzz: setup
	@$(BIN)/python tests/fuzz.py --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED))
	@if $(BIN)/python -m pip install -qq --disable-pip-version-check --only-binary :all: atheris 2>/dev/null; then \
		$(BIN)/python tests/fuzz_guided.py --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED)); \
	else echo "Atheris does not install here, so readers are not fuzzed by coverage"; fi

clean:
	rm -rf $(VENV) benchmarks/out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
