#!/bin/sh
# scripts/make_venv.sh PYTHON VENV: makes a virtual environment with pip in it, also where Python came without the means.
#
# Debian and Ubuntu split `venv` off into a package of its own. As root that package is installed; otherwise
# virtualenv is fetched into a temporary folder. Nothing else on the machine is changed.

set -u
python=${1:?the interpreter}
venv=${2:?the directory to make}
log=$(mktemp)
borrowed=$(mktemp -d)
trap 'rm -rf "$log" "$borrowed"' EXIT

say() { printf '%s\n' "$*" >&2; }

# Each way starts from nothing: a failed one leaves half an environment behind.
attempt() {
    rm -rf "$venv"
    "$@" </dev/null >>"$log" 2>&1 && "$venv/bin/python" -c 'import pip' >>"$log" 2>&1
}

with_venv() { attempt "$python" -m venv "$venv"; }

with_apt() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    say "setup: this Python has no venv; installing $version-venv with apt-get"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq </dev/null >>"$log" 2>&1
    apt-get install -y -qq --no-install-recommends "$version-venv" </dev/null >>"$log" 2>&1 || return 1
    with_venv
}

with_virtualenv() {
    attempt "$python" -m virtualenv "$venv" && return
    say "setup: this Python has no venv; fetching virtualenv"
    # --target leaves the system's own packages alone, and so is allowed where they are managed by the system.
    "$python" -m pip install --quiet --no-input --target "$borrowed" virtualenv </dev/null >>"$log" 2>&1 || return 1
    attempt env PYTHONPATH="$borrowed" "$python" -m virtualenv "$venv"
}

with_uv() { command -v uv >/dev/null && attempt uv venv --seed --python "$python" "$venv"; }

with_venv || with_apt || with_virtualenv || with_uv || {
    rm -rf "$venv"
    say "setup: could not make a virtual environment with $python. What was tried said:"
    sed 's/^/    /' "$log" >&2
    say "  Debian and Ubuntu:  sudo apt-get install python3-venv      then run make again"
    say "  another Python:     make setup PYTHON=/path/to/python3"
    exit 1
}
