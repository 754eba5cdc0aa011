# The environment is up to date when its stamp is newer than the pins and the project's description.
STAMP := .venv/.neurossm-ready
PYTHON := .venv/bin/python

.PHONY: setup demo test conformance mutation lint format pins clean

setup: $(STAMP)
	@echo "Ready: .venv/bin/neurossm"

$(STAMP): requirements/main.txt pyproject.toml .python-version scripts/setup.sh
	@sh scripts/setup.sh

demo: $(STAMP)
	@$(PYTHON) examples/smnist/demo.py

# Lava's many processes and small arrays: threads within each cost more than they bring. The files
# of tests are spread over the cores, of which more than four would want much memory.
test: $(STAMP)
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(PYTHON) -m pytest \
		--numprocesses auto --maxprocesses 4 --dist loadfile

# More than 10^9 integers of the shipped models, and every branch; see docs/conformance.md.
conformance: $(STAMP)
	@NEUROSSM_CONFORMANCE=full OMP_NUM_THREADS=1 $(PYTHON) -m pytest -q \
		tests/conformance/test_branches.py tests/conformance/test_shipped.py

# Every altered engine, then the fast one compiled for real: up to half a minute for each.
mutation: $(STAMP)
	@NEUROSSM_CONFORMANCE=full OMP_NUM_THREADS=1 $(PYTHON) -m pytest -q \
		tests/conformance/test_emulation.py tests/conformance/test_mutation.py \
		tests/conformance/test_mutation_lava.py
	@PYTHONPATH=tests $(PYTHON) tests/conformance/mutation.py --compiled

lint: $(STAMP)
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@PYTHONPATH=src .venv/bin/lint-imports --no-cache --no-logo

format: $(STAMP)
	@$(PYTHON) -m ruff check --fix .
	@$(PYTHON) -m ruff format .

pins:
	@sh scripts/pins.sh

clean:
	rm -rf .venv .tools .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find src tests -name __pycache__ -prune -exec rm -rf {} +
