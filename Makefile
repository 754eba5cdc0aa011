# An environment is up to date when its stamp is newer than the pins and the project's description.
STAMP := .venv/.neurossm-ready
PYTHON := .venv/bin/python
MODERN_STAMP := .venv-modern/.neurossm-ready
MODERN_PYTHON := .venv-modern/bin/python
DOCS_STAMP := .venv-docs/.neurossm-ready

.PHONY: setup demo test test-modern fuzz conformance mutation cortex-m rv32 lint format docs pins clean

setup: $(STAMP)
	@echo "Ready: .venv/bin/neurossm"

$(STAMP): requirements/main.txt pyproject.toml .python-version scripts/setup.sh
	@sh scripts/setup.sh

$(MODERN_STAMP): requirements/modern.txt pyproject.toml scripts/setup.sh
	@sh scripts/setup.sh modern

demo: $(STAMP)
	@$(PYTHON) examples/smnist/demo.py

# Lava's many processes and small arrays: threads within each cost more than they bring. The files
# of tests are spread over the cores, of which more than four would want much memory, in the order
# of tests/conftest.py: those with slow tests first.
test: $(STAMP)
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} NUMBA_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(PYTHON) -m pytest \
		--numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# The newest Python and packages, without Lava, whose tests are named as not run. The slow tests are
# left out: they repeat at full size what the quick ones do, and integers do not depend on versions.
# Here alone is a Triton whose interpreter runs the fused GPU kernels, so these tests must run.
test-modern: $(MODERN_STAMP)
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} NUMBA_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(MODERN_PYTHON) -m pytest -m "not slow" \
		--must-run triton --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# Damaged and hostile files for every reader; ARGS='--reader npz --seed 3': see tests/fuzz --help.
fuzz: $(STAMP)
	@PYTHONPATH=src OMP_NUM_THREADS=1 $(PYTHON) tests/fuzz $(or $(ARGS),--cases 100000 --processes 2)

# More than 10^9 integers of the shipped models, and every branch; see docs/conformance.md.
conformance: $(STAMP)
	@NEUROSSM_CONFORMANCE=full OMP_NUM_THREADS=1 $(PYTHON) -m pytest -q \
		tests/conformance/test_branches.py tests/conformance/test_shipped.py \
		tests/conformance/test_random_structures.py tests/c

# Every altered engine, then the fast one compiled for real: up to half a minute for each.
mutation: $(STAMP)
	@NEUROSSM_CONFORMANCE=full OMP_NUM_THREADS=1 $(PYTHON) -m pytest -q \
		tests/conformance/test_equations.py tests/conformance/test_emulation.py \
		tests/conformance/test_mutation.py
	@PYTHONPATH=tests $(PYTHON) tests/conformance/mutation.py --compiled

# Golden programs and the small models as C on a bare processor in QEMU, to the bit; see docs/c.md.
cortex-m rv32: $(STAMP)
	@$(PYTHON) firmware/run.py $@

lint: $(STAMP)
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@PYTHONPATH=src .venv/bin/lint-imports --no-cache --no-logo

format: $(STAMP)
	@$(PYTHON) -m ruff check --fix .
	@$(PYTHON) -m ruff format .

# The site, strictly: broken links and anchors, and pages without a place, are errors. build/site.
docs: $(STAMP) $(DOCS_STAMP)
	@PYTHONPATH=src $(PYTHON) scripts/site/reference.py
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs --quiet build --strict --clean
	@echo "Open build/site/index.html"

$(DOCS_STAMP): requirements/docs.txt scripts/setup.sh
	@sh scripts/setup.sh docs

pins:
	@sh scripts/pins.sh

clean:
	rm -rf .venv .venv-modern .venv-docs .tools .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find src tests -name __pycache__ -prune -exec rm -rf {} +
