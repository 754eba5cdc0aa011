#!/bin/sh
# Makes .venv: Python 3.10, the pinned packages, and NeuroSSM itself (editable).
#
# Needs any Python 3 (3.6 or newer) with pip or venv, or uv. uv is installed from PyPI into .tools/
# where it is missing. Python 3.10 is $PYTHON310 if that is set, else what uv finds or fetches.
set -eu

cd "$(dirname "$0")/.."
root=$(pwd)
tools=$root/.tools
log=$tools/setup.log
python_version=$(cat .python-version)
case ${PYTHON310:-} in
    /*) ;;
    */*) PYTHON310=$root/$PYTHON310 ;; # commands run in another folder, see `outside`
esac
export PIP_USER=0 # a user's PIP_USER=1 forbids --target

fail() {
    echo "setup: $1" >&2
    exit 1
}

# A folder without .python-version: there, pyenv's `python3` obeys the user's choice of version and
# does not refuse to start because this project asks for another.
outside() {
    (cd / && "$@") >>"$log" 2>&1 </dev/null
}

# uv is one program in a wheel, so any pip can unpack it; asking for a newer Python than the one
# that runs pip keeps an old Python from choosing an old uv.
unpack_uv() {
    outside "$@" -m pip install --quiet --target "$tools/uv" --upgrade --no-deps \
        --only-binary=:all: --python-version 3.12 uv
}

# Debian's Python may have venv without pip, pip without venv, or a pip too old for uv's wheels.
unpack_uv_with() {
    unpack_uv "$1" ||
        { outside "$1" -m venv --clear "$tools/pip" &&
            { unpack_uv "$tools/pip/bin/python" ||
                { outside "$tools/pip/bin/python" -m pip install --quiet --upgrade pip &&
                    unpack_uv "$tools/pip/bin/python"; }; }; }
}

works() {
    command -v "$1" >/dev/null 2>&1 && outside "$@"
}

# An old uv lacks options that are used below.
uv_works() {
    works "$1" --version && "$1" pip install --help 2>/dev/null | grep -q -e --exact
}

find_uv() {
    for uv in uv "$tools/uv/bin/uv"; do
        uv_works "$uv" && return
    done
    echo "Installing uv into .tools/ ..." >&2
    for python in ${PYTHON310:+"$PYTHON310"} python3 python /usr/bin/python3 \
        /usr/local/bin/python3 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9; do
        works "$python" -c 'import sys; sys.exit(sys.version_info < (3, 6))' &&
            unpack_uv_with "$python" && uv_works "$uv" && return
    done
    fail "cannot install uv: install it, or python3 with pip or venv (details: .tools/setup.log)"
}

make_environment() {
    wanted=cpython@$python_version
    if [ -n "${PYTHON310:-}" ]; then
        works "$PYTHON310" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 10))' ||
            fail "PYTHON310=$PYTHON310 is not a working Python $python_version"
        wanted=$PYTHON310
    fi
    # A folder that already holds the right Python is kept: only packages that changed are touched.
    if works "$root/.venv/bin/python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 10))'; then
        return
    fi
    rm -rf .venv
    "$uv" venv --quiet --no-project --python "$wanted" .venv >>"$log" 2>&1 || fail \
        "no Python $python_version: install it or set PYTHON310=/path/to/python3.10 (details: .tools/setup.log)"
}

install_packages() {
    if [ ! -t 2 ]; then quiet=--quiet; else quiet=; fi
    echo "Installing packages into .venv/ ..." >&2
    # The pins are complete, so nothing else is looked up (--no-deps).
    "$uv" pip install $quiet --python .venv/bin/python --exact --no-deps \
        --requirements requirements/main.txt --editable . ||
        fail "packages could not be installed: see the lines above (network? disk? 6 GB are needed)"
}

mkdir -p "$tools"
: >"$log"
rm -f .venv/.neurossm-ready
find_uv
make_environment
install_packages
touch .venv/.neurossm-ready
