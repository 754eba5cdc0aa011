#!/bin/sh
# Resolves the pins anew (`make pins`): main.txt with Lava, modern.txt for newer Pythons.
set -eu

cd "$(dirname "$0")/.."
uv=uv
command -v uv >/dev/null 2>&1 || uv=.tools/uv/bin/uv

resolve() {
    python=$1
    extras=$2
    target=$3
    heading=$4
    "$uv" pip compile pyproject.toml --quiet --upgrade --python-version "$python" $extras \
        --no-header --no-annotate --no-emit-index-url --output-file "$target.new"
    # The CUDA packages have wheels for Linux only; torch asks for them there only.
    linux=" ; sys_platform == 'linux' and platform_machine == 'x86_64'"
    {
        echo "# $heading"
        sed -E "s/^((nvidia|cuda|triton).*)\$/\1$linux/" "$target.new"
    } >"$target"
    rm "$target.new"
}

resolve 3.10 "--extra lava --extra neurobench --extra nir --extra dev" requirements/main.txt \
    "Python 3.10 with Lava: what \`make setup\` installs. Written by \`make pins\`."
resolve 3.12 "--extra nir --extra dev" requirements/modern.txt \
    "Python 3.12 and 3.13, without Lava and NeuroBench. Written by \`make pins\`."
