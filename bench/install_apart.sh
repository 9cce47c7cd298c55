#!/bin/sh
# bench/install_apart.sh VENV: installs what cannot share the versions in requirements.txt, each list of apart/ into a
# folder of its own, VENV/apart/NAME. BullMQ on Node goes into VENV/apart/node where npm is there, and Oban into an
# environment VENV/apart/newer where there is a Python 3.12: BENCH_NEWER_PYTHON, else one in PATH, else one of pyenv's.

set -eu
cd "$(dirname "$0")/apart"

venv=$(cd ../.. && cd "${1:?the directory of the environment}" && pwd)

say() { printf '%s\n' "$*" >&2; }
works() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1; }

lists=
for list in *.txt; do
    [ "$list" = oban.txt ] || lists="$lists $list"
done
# shellcheck disable=SC2086  # names without blanks
../../scripts/install_apart.sh "$venv" $lists

if command -v npm >/dev/null 2>&1; then
    folder="$venv/apart/node"
    mkdir -p "$folder"
    if ! cmp -s package.json "$folder/package.json" || [ ! -d "$folder/node_modules/bullmq" ]; then
        cp package.json "$folder"
        npm install --prefix "$folder" --silent --no-audit --no-fund </dev/null ||
            { rm -f "$folder/package.json"; say "bench: npm could not install BullMQ; it will be absent"; }
    fi
else
    say "bench: BullMQ on Node will not be measured: npm is not here"
fi

find_newer() {
    for python in "${BENCH_NEWER_PYTHON:-}" "$venv/bin/python" python3.12 python3.13 python3.14 python3 \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[2-9]*/bin/python3; do
        if [ -n "$python" ] && works "$python"; then printf '%s\n' "$python"; return; fi
    done
    return 1
}

folder="$venv/apart/newer"
if ! works "$folder/bin/python" || ! cmp -s oban.txt "$folder/.list"; then
    if python=$(find_newer); then
        rm -rf "$folder"
        if ../../scripts/make_venv.sh "$python" "$folder" &&
            "$folder/bin/python" -m pip --quiet --disable-pip-version-check --no-input install \
                --requirement oban.txt </dev/null; then
            cp oban.txt "$folder/.list"
        else
            rm -rf "$folder"
            say "bench: Oban could not be installed; it will be absent"
        fi
    else
        say "bench: Oban will not be measured: it needs Python 3.12 (BENCH_NEWER_PYTHON names one)"
    fi
fi
