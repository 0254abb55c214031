# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later

SHELL := /bin/bash -euo pipefail
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# Ansible reads stdin and asks about locales; so do apt-get and git, in their ways.
export LC_ALL := C.UTF-8
export DEBIAN_FRONTEND := noninteractive
export GIT_TERMINAL_PROMPT := 0
export PYTHONPATH := $(CURDIR)/.venv/collections
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/.venv/collections
export ANSIBLE_HOME := $(CURDIR)/.venv/.cache/ansible
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# More arguments for pytest, ansible-test, molecule or ansible-playbook: make unit ARGS='-k descriptor -x'
ARGS ?=
SECONDS ?= 50

.PHONY: help env demo test lint format unit integration sanity molecule simulator window fuzz bench bench-repository docs build lock clean distclean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: ## Make .venv/ and install the system packages of bindep.txt (all other targets do it first)
	@python3 tests/tools/environment.py </dev/null

demo: env ## One disk's whole life, on this machine, in a minute or two
	@ansible-playbook playbooks/demo.yml $(ARGS) </dev/null

test: env ## All tests: lint, unit, integration, sanity, molecule; ends with the totals
	@python tests/tools/suite.py "lint unit integration" "molecule sanity" </dev/null

lint: env ## Style, types, YAML, documentation, changelog, licences
	@tests/tools/lint.sh </dev/null

format: env ## Put the Python code into the project's form
	@ruff check --fix --quiet . || true
	@ruff format .

unit: env ## Tests of the engine, without Ansible or other programs
	@tests/tools/pytest.sh unit $(ARGS) </dev/null

integration: env ## Tests of the modules, against real tools, mounts and file systems
	@tests/tools/bundled.sh tests/tools/pytest.sh integration $(ARGS) </dev/null

sanity: env ## ansible-test sanity on every Python from 3.10 on, without an ignore file
	@python tests/tools/sanity.py $(ARGS) </dev/null

molecule: env ## The scenarios of extensions/molecule, on this machine
	@tests/tools/bundled.sh molecule test --all --report $(ARGS) </dev/null

simulator: env ## A vCenter to try things on: prints one JSON line, runs until Ctrl-C
	@python tests/simulator $(ARGS) </dev/null

window: env ## Two nights of backups of 60 simulated machines (make integration: of nine)
	@VDISK_WINDOW_MACHINES=60 tests/tools/bundled.sh python -m pytest tests/integration/window -p no:xdist $(ARGS) </dev/null

fuzz: env ## Hostile disks for five minutes (SECONDS=60: so long for each of six targets)
	@tests/tools/fuzz.sh $(SECONDS) $(ARGS) </dev/null

bench: env ## How fast is it here?
	@tests/tools/bench.sh $(ARGS) </dev/null

bench-repository: env ## Backups beside restic and borg, and what they cost as the repository grows
	@tests/tools/bench.sh repository growth </dev/null

docs: env ## Render the documentation of all plugins to build/docs/
	@tests/tools/docs.sh </dev/null

build: env ## The collection as one file, to dist/
	@tests/tools/build.sh </dev/null

lock: env ## Take the newest versions that requirements-dev.in allows into requirements-dev.txt
	@tests/tools/lock.sh </dev/null

clean: ## Remove what make wrote, but not the environment
	@rm -rf build dist .ansible .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache collections tests/output \
	  .venv/.cache .venv/sanity/ansible_collections
	@find . -path ./.venv -prune -o -path ./.tools -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## Remove the environment too
	@rm -rf .venv .tools
