# The commands that a person types here. Everything is installed into $(VENV) and $(BENCH_VENV), nothing anywhere else.
PYTHON ?= python3
VENV ?= .venv
BENCH_VENV ?= .venv-bench
CORES ?= all
CONFIG ?=
TARGETS ?= all

IN_VENV := PYTHONPATH=workflow/lib "$(VENV)/bin/python"

comma := ,
space := $(comma:,= )

define set_up
@command -v "$(PYTHON)" >/dev/null || \
	{ echo "error: there is no command '$(PYTHON)'; name a Python 3.11 or newer: make PYTHON=..." >&2; exit 1; }
@"$(PYTHON)" envs/install.py
endef

.DEFAULT_GOAL := help
.PHONY: help demo report plan verify test soak bench lint lock reference clean

help:
	@echo "make demo    set up $(VENV), run the workflow on the data that come with it, print the result table"
	@echo "make report  finish the study, and put its report into report.zip: unpack it anywhere and open report/report.html;"
	@echo "             make report CONFIG=config/paper.yaml TARGETS=\"all selection\" has the pages of other targets too"
	@echo "make plan    set up $(VENV), say what a study will cost before it runs, and what a started one took:"
	@echo "             make plan CONFIG=config/paper.yaml TARGETS=\"all ablations\""
	@echo "make verify  compare every file in results/ with its checksum; what is damaged is named and removed, to be made again"
	@echo "make test    set up $(VENV) with the tools of the tests, then lint and run every test"
	@echo "make soak    set up the same; kill a small study 20 times at random moments, and compare what is there in the end"
	@echo "make bench   set up $(VENV), and $(BENCH_VENV) with anomalib; measure the generator against a plain loop and"
	@echo "             the detectors against anomalib, about an hour on a core; writes benchmarks/*.csv"
	@echo "make lint    the first part of make test"
	@echo "make lock    resolve envs/*.in again: envs/*.lock, and the conda environments made from them"
	@echo "make reference  make the tables of config/README.md from the schema of the config, docs/licences.md from the lock"
	@echo "make clean   remove $(VENV), $(BENCH_VENV) and what tools left behind; results/ stays"
	@echo
	@echo "Settings: PYTHON=$(PYTHON) (3.11 or newer)  VENV=$(VENV)  BENCH_VENV=$(BENCH_VENV)  CORES=$(CORES)"

demo:
	$(set_up) "$(VENV)" requirements
	@$(IN_VENV) -m snakemake --cores $(CORES)
	@echo "Next: your own photographs (README.md), or \`make report\` to hand this result on"

report:
	$(set_up) "$(VENV)" requirements
	@$(IN_VENV) -m snakemake report $(TARGETS) --cores $(CORES) $(if $(CONFIG),--configfile $(CONFIG))
	@$(IN_VENV) -m snakemake report $(TARGETS) --cores 1 --report report.zip $(if $(CONFIG),--configfile $(CONFIG))
	@echo "report.zip: unpack it anywhere and open report/report.html in a browser; it needs no network"

plan:
	$(set_up) "$(VENV)" requirements
	@$(IN_VENV) -m snakemake plan --cores 1 --quiet all $(if $(CONFIG),--configfile $(CONFIG)) \
		--config 'plan={targets: [$(subst $(space),$(comma),$(strip $(TARGETS)))]}'

verify:
	$(set_up) "$(VENV)" requirements
	@$(IN_VENV) -m snakemake verify --cores $(CORES) --quiet all $(if $(CONFIG),--configfile $(CONFIG))

test: lint
	OMP_NUM_THREADS=1 $(IN_VENV) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

soak:
	$(set_up) "$(VENV)" requirements-test
	OMP_NUM_THREADS=1 $(IN_VENV) -m tests.workflow.soak --kills 20 --workers 5

bench:
	$(set_up) "$(VENV)" requirements
	$(set_up) "$(BENCH_VENV)" bench
	$(IN_VENV) benchmarks/generation.py
	$(IN_VENV) benchmarks/detectors.py --peer "$(BENCH_VENV)/bin/python"
	$(IN_VENV) benchmarks/efficientad_parity.py --peer "$(BENCH_VENV)/bin/python" --seeds 3 --steps 12 --test 12
	$(IN_VENV) benchmarks/latency.py
	$(IN_VENV) benchmarks/inspector.py --peer "$(BENCH_VENV)/bin/python"
	$(IN_VENV) benchmarks/runs_together.py
	$(IN_VENV) benchmarks/choose_unlabelled.py
	$(IN_VENV) benchmarks/kernels.py
	$(IN_VENV) benchmarks/plot_detectors.py

lint:
	$(set_up) "$(VENV)" requirements-test
	$(IN_VENV) -m snakefmt --check Snakefile workflow
	$(IN_VENV) -m ruff check .
	$(IN_VENV) -m ruff format --check .
	$(IN_VENV) -m mypy
	$(IN_VENV) -m snakemake --lint

lock:
	$(set_up) "$(VENV)" requirements-test
	"$(VENV)/bin/python" envs/generate.py --resolve

reference:
	$(set_up) "$(VENV)" requirements
	$(IN_VENV) config/generate.py
	$(IN_VENV) envs/licences.py

clean:
	rm -rf "$(VENV)" "$(BENCH_VENV)" .pytest_cache .mypy_cache .ruff_cache .hypothesis
