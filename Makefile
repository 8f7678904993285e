# The commands that a person types here. Everything is installed into $(VENV); the rest of the machine stays as it is.
PYTHON ?= python3
VENV ?= .venv
CORES ?= all

IN_VENV := PYTHONPATH=workflow/lib "$(VENV)/bin/python"

define set_up
@command -v "$(PYTHON)" >/dev/null || \
	{ echo "error: there is no command '$(PYTHON)'; name a Python 3.11 or newer: make PYTHON=..." >&2; exit 1; }
@"$(PYTHON)" envs/install.py "$(VENV)"
endef

.DEFAULT_GOAL := help
.PHONY: help demo test bench lint lock clean

help:
	@echo "make demo    set up $(VENV), run the workflow on the data that come with it, print the result table"
	@echo "make test    set up $(VENV) with the tools of the tests, then lint and run every test"
	@echo "make bench   set up $(VENV), measure the generator against a plain loop; writes benchmarks/*.csv"
	@echo "make lint    the first part of make test"
	@echo "make lock    resolve envs/*.in again: envs/*.lock, and the conda environments made from them"
	@echo "make clean   remove $(VENV) and what tools left behind; results/ stays"
	@echo
	@echo "Settings: PYTHON=$(PYTHON) (3.11 or newer)  VENV=$(VENV)  CORES=$(CORES)"

demo:
	$(set_up) requirements
	@$(IN_VENV) -m snakemake --cores $(CORES) --quiet rules host
	@echo
	@$(IN_VENV) -m variad.summary results/tables/summary.csv
	@echo "Look at every prompt, generated image and anomaly map: results/gallery/index.html"

test: lint
	OMP_NUM_THREADS=1 $(IN_VENV) -m pytest -n 2

bench:
	$(set_up) requirements
	$(IN_VENV) benchmarks/generation.py

lint:
	$(set_up) requirements-test
	$(IN_VENV) -m snakefmt --check Snakefile workflow
	$(IN_VENV) -m ruff check .
	$(IN_VENV) -m ruff format --check .
	$(IN_VENV) -m mypy
	$(IN_VENV) -m snakemake --lint

lock:
	$(set_up) requirements-test
	"$(VENV)/bin/python" envs/generate.py --resolve

clean:
	rm -rf "$(VENV)" .pytest_cache .mypy_cache .ruff_cache .hypothesis
