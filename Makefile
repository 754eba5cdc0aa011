# The environment is up to date when its stamp is newer than the pins and the project's description.
STAMP := .venv/.neurossm-ready

.PHONY: setup test lint format clean

setup: $(STAMP)

$(STAMP): requirements/main.txt pyproject.toml .python-version scripts/setup.sh
	@sh scripts/setup.sh

test: $(STAMP)
	@.venv/bin/python -m pytest

lint: $(STAMP)
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

format: $(STAMP)
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

clean:
	rm -rf .venv .tools .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
