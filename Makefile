# The one entry for people. `make lab` is all that a user needs; PYTHON=… chooses the interpreter.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 8888
ARGS ?=

.PHONY: help lab test check bench fuzz soak image image-lock docs oldest version release clean

help: ## Say what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# What the packages are made from; the Python code itself is used where it is (an editable install).
FRONT := $(wildcard labextension/src/*.ts* labextension/src/*/*.ts* labextension/style/* labextension/*.json labextension/.npmrc)
PACKAGE := pyproject.toml jupyter_sessmgr/_version.py $(wildcard etc/jupyter/*/*.json etc/images/*/*) $(FRONT)

$(BIN)/python:
	@scripts/venv.sh "$(VENV)" "$(PYTHON)"

$(VENV)/.lab: $(BIN)/python $(PACKAGE)
	@scripts/install.sh "$(VENV)" lab
	@touch $@

$(VENV)/.test: $(VENV)/.lab
	@scripts/install.sh "$(VENV)" lab,test,docs
	@touch $@

lab: $(VENV)/.lab ## Start JupyterLab with remote kernels (PORT=8888 ARGS="--no-browser")
	@scripts/lab.sh "$(VENV)" --port=$(PORT) $(ARGS)

image: $(VENV)/.lab ## Build the reference image, jupyter-sessmgr/python, where it is not up to date
	@$(BIN)/jupyter sessmgr image build

image-lock: $(VENV)/.lab ## Resolve what the reference image holds anew
	@$(BIN)/python scripts/lock_image.py

check: $(VENV)/.test ## Lint, types, layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	@PATH="$$(scripts/node.sh):$$PATH" npm --prefix labextension run --silent check

test: check ## Run every check and test, installing what they need (ARGS="-k name")
	@scripts/test-needs.sh
	@scripts/with-engine.sh scripts/test.sh "$(VENV)" $(ARGS)

$(VENV)/.bench: $(VENV)/.test
	@scripts/install.sh "$(VENV)" lab,test,docs,bench
	@touch $@

bench: $(VENV)/.bench ## Measure, against the bars of the project (ARGS="kernel_start")
	@scripts/with-engine.sh $(BIN)/python -m bench $(ARGS)

fuzz: $(VENV)/.test ## Send 10,000 generated requests to a server (ARGS="--seeds 4")
	$(BIN)/python -m tests.generated.run $(ARGS)

soak: $(VENV)/.test ## Kill a server 200 times, and have 2,000 sessions come and go (ARGS="--engine docker --rounds 20")
	@scripts/with-engine.sh $(BIN)/python -m tests.soak.run $(ARGS)

$(VENV)/.release: $(VENV)/.test
	@scripts/install.sh "$(VENV)" lab,test,docs,release
	@touch $@

docs: $(VENV)/.release ## Write the reference pages that are made from the code, and build the site into .cache/site
	$(BIN)/python scripts/document_settings.py
	$(BIN)/python scripts/document_rest.py
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --nitpicky --quiet --conf-dir docs -d .cache/doctrees . .cache/site
	@echo "The site is .cache/site/index.html"

oldest: $(VENV)/.release ## Run tests on the oldest versions that are allowed (ARGS="tests/unit -k name")
	@scripts/with-engine.sh scripts/oldest.sh "$(VENV)" $(ARGS)

version: $(BIN)/python ## Write the next version into every file that has it, and date its changelog (VERSION=0.2.0)
	@$(BIN)/python scripts/version.py "$(VERSION)"

release: $(VENV)/.release ## Make sdist, wheel and notes of the last commit in dist, checked; publishes nothing
	@PATH="$$(scripts/node.sh):$$PATH" $(BIN)/python scripts/release.py

clean: ## Remove what make has made (not the state folder, not the images)
	rm -rf $(VENV) .cache labextension/node_modules labextension/lib jupyter_sessmgr/labextension
