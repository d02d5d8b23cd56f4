# cryoalign: `make help` lists the targets.
PYTHON ?= python3
# Test processes; files go to them whole, so that what a file's tests share is made once.
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
export PYTHONWARNINGS ?= ignore::UserWarning:torch

.DEFAULT_GOAL := help
.PHONY: help install demo ablation reproduce torture tensorboard test test-fast fuzz check docs clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(READY)  ## make .venv and install cryoalign with everything it was tested with

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,docs,cryosparc,slurm,parallel,search]'
	touch $@

demo: $(READY)  ## train a GAN and fit the recommended generator on embedded data, judge both, show both
	$(BIN)/python experiments/demo.py

ablation: $(READY)  ## the demo with and without the RPSD term, in one table
	$(BIN)/python experiments/ablation.py

reproduce: $(READY)  ## run a study again and compare: make reproduce STUDY=0005
	$(BIN)/python experiments/study reproduce $(STUDY)

torture: $(READY)  ## kill commands and fill their disk, again and again; an hour
	$(BIN)/python experiments/torture/kills.py
	$(BIN)/python experiments/torture/full_disk.py
	$(BIN)/python experiments/torture/stopped_training.py 0
	$(BIN)/python experiments/torture/stopped_training.py 2

tensorboard: $(READY)  ## watch all runs
	$(BIN)/tensorboard --logdir outputs

test: $(READY)  ## run all tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-fast: $(READY)  ## run what needs no training and no RELION, in less than 2 minutes
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m 'not slow and not relion and not realdata'

fuzz: $(READY)  ## 10,000 mutated files through readers and commands, in an hour
	CRYOALIGN_FUZZ=10000 $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal tests/fuzz

check: $(READY)  ## ruff, mypy, import-linter, the rules of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/house_rules.py .ci cryoalign experiments tests

docs: $(READY)  ## build the documentation into site/: a warning or a request to another host is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/python .ci/no_requests.py site

clean:  ## remove what was built, keep outputs and data
	rm -rf $(VENV) dist build site
