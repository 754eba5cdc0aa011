#!/bin/sh
# Makes an environment: Python, the pinned packages, and NeuroSSM itself (editable).
#
#     scripts/setup.sh           .venv: Python 3.10 with Lava
#     scripts/setup.sh modern    .venv-modern: the newest Python at hand and newest packages, no Lava
#     scripts/setup.sh docs      .venv-docs: what builds the site, without NeuroSSM
#
# Needs any Python 3 (3.6 or newer) with pip or venv, or uv. uv is installed from PyPI into .tools/
# where it is missing. Python is $PYTHON310 or $PYTHON_MODERN if that is set, else what uv or pyenv
# has, else what uv fetches.
set -eu

project="--editable ."
case ${1:-main} in
    main)
        environment=.venv
        pins=requirements/main.txt
        versions=$(cat "$(dirname "$0")/../.python-version")
        chosen=${PYTHON310:-}
        variable=PYTHON310
        ;;
    modern)
        environment=.venv-modern
        pins=requirements/modern.txt
        versions="3.13 3.12" # the newest first
        chosen=${PYTHON_MODERN:-}
        variable=PYTHON_MODERN
        ;;
    docs)
        environment=.venv-docs
        pins=requirements/docs.txt
        versions="3.13 3.12 3.11 3.10"
        chosen=${PYTHON_DOCS:-}
        variable=PYTHON_DOCS
        project=
        ;;
    *)
        echo "setup: unknown environment '$1'; known: main, modern, docs" >&2
        exit 2
        ;;
esac

cd "$(dirname "$0")/.."
root=$(pwd)
tools=$root/.tools
log=$tools/setup.log
case $chosen in
    /*) ;;
    */*) chosen=$root/$chosen ;; # commands run in another folder, see `outside`
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
    for python in ${chosen:+"$chosen"} python3 python /usr/bin/python3 \
        /usr/local/bin/python3 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9; do
        works "$python" -c 'import sys; sys.exit(sys.version_info < (3, 6))' &&
            unpack_uv_with "$python" && uv_works "$uv" && return
    done
    fail "cannot install uv: install it, or python3 with pip or venv (details: .tools/setup.log)"
}

# A Python of one of the wanted versions.
suits() {
    for version in $versions; do
        works "$1" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$version')" && return
    done
    return 1
}

# Prints the newest wanted Python that is installed; pyenv shows uv only the versions in use.
find_python() {
    for wanted in $versions; do
        for python in "$("$uv" python find --no-python-downloads --system "cpython@$wanted" \
            2>>"$log")" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$wanted".*/bin/python; do
            [ -n "$python" ] && suits "$python" && echo "$python" && return
        done
    done
    echo "cpython@${versions%% *}" # for uv to fetch
}

make_environment() {
    if [ -n "$chosen" ]; then
        suits "$chosen" || fail "$variable=$chosen is not a working Python $versions"
    fi
    # A folder that already holds the right Python is kept: only packages that changed are touched.
    if suits "$root/$environment/bin/python"; then
        return
    fi
    rm -rf "$environment"
    "$uv" venv --quiet --no-project --python "${chosen:-$(find_python)}" "$environment" \
        >>"$log" 2>&1 || fail "no Python $(echo "$versions" | sed 's/ / or /'): install it or set \
$variable=/path/to/python (details: .tools/setup.log)"
}

install_packages() {
    if [ ! -t 2 ]; then quiet=--quiet; else quiet=; fi
    echo "Installing packages into $environment/ ..." >&2
    # The pins are complete, so nothing else is looked up (--no-deps).
    "$uv" pip install $quiet --python "$environment/bin/python" --exact --no-deps \
        --requirements "$pins" $project ||
        fail "packages could not be installed: see the lines above (network? disk? 6 GB are needed)"
}

mkdir -p "$tools"
: >"$log"
rm -f "$environment/.neurossm-ready"
find_uv
make_environment
install_packages
touch "$environment/.neurossm-ready"
