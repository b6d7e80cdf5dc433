# Everything a person does with this repository. `make` lists it.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test campaigns golden notebook lint format bench docs notebooks clean

help:  ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/installed  ## Analyse a shipped checkpoint; writes demo-report/
	$(BIN)/interp match gpt2-d5 --out demo-report
	@echo "Open demo-report/report.html in a browser."

test: $(VENV)/installed-dev  ## Run the test suite, the docstrings and the notebooks
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --doctest-modules probes
	OMP_NUM_THREADS=1 PLOTLY_RENDERER=plotly_mimetype $(BIN)/python -m pytest --nbmake -n 2 examples

campaigns: $(VENV)/installed-dev  ## Attack it with damaged files and kills, and build its packages (hours)
	OMP_NUM_THREADS=1 $(BIN)/python tests/campaigns/mutations.py --count 20000
	OMP_NUM_THREADS=1 $(BIN)/python tests/campaigns/kills.py --count 100
	$(BIN)/python tests/campaigns/build_packages.py --install

golden: $(VENV)/installed-dev  ## Compare the numbers of whole commands with those on record
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m golden tests/golden

notebook: $(VENV)/installed-notebook  ## Open the notebooks in JupyterLab
	$(BIN)/jupyter lab examples

lint: $(VENV)/installed-dev  ## Check style, types and the arrows between the packages
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/installed-dev  ## Rewrite the source in the project's style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/installed-dev  ## Measure every speed claim beside a named peer (minutes)
	@for file in benchmarks/[a-z]*.py; do echo "== $$file"; $(BIN)/python $$file || exit; done

docs: $(VENV)/installed-docs  ## Build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Open site/index.html in a browser."

notebooks: $(VENV)/installed-dev $(VENV)/installed-docs  ## Run the notebooks and keep their outputs
	$(BIN)/python docs/execute_notebooks.py

clean:  ## Delete everything built, except the environment in .venv
	rm -rf build dist site demo-report .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -rf .import_linter_cache
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@for python in $(PYTHON) python3.11 python3.12 python3.13 python3.14 python3 python; do \
	  if $$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	  then echo "Creating $(VENV) with $$python …"; exec $$python -m venv $(VENV); fi; \
	done; \
	echo "No Python 3.11 or newer with venv was found. Install one (on Debian and Ubuntu:" >&2; \
	echo "python3 and python3-venv), or name one: make PYTHON=/path/to/python" >&2; exit 1

$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV); this takes a few minutes …"
	$(PIP) --editable .
	@touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV), with the development tools; this takes a few minutes …"
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/installed

$(VENV)/installed-notebook: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[notebook]'
	@touch $@ $(VENV)/installed

$(VENV)/installed-docs: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[docs]'
	@touch $@ $(VENV)/installed
