#!/bin/sh
# Makes .venv: Python 3.10, the pinned packages, and NeuroSSM itself (editable).
set -eu
cd "$(dirname "$0")/.."
uv venv --quiet --clear --python "$(cat .python-version)" .venv
uv pip install --quiet --python .venv/bin/python -r requirements/main.txt
uv pip install --quiet --python .venv/bin/python --no-deps -e .
touch .venv/.neurossm-ready
