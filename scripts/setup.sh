#!/bin/sh
# scripts/setup.sh WHAT VENV: makes the virtual environment VENV and installs WHAT (dev, demo or bench) into it.
#
# Runs again for nothing: what is installed is noted in VENV, and when neither the list of packages nor the place
# changed, the second run ends at once. PYTHON=... chooses the interpreter.

set -eu
cd "$(dirname "$0")/.."

what=${1:?dev, demo or bench}
venv=${2:?the directory of the environment}

say() { printf '%s\n' "$*" >&2; }

ours='pyproject.toml scripts/install_apart.sh tests/apart/*'
case $what in
    dev)   sources=$ours;                                   set -- --editable . --group dev ;;
    demo)  sources=$ours;                                   set -- --editable '.[photos]' ;;
    bench) sources='pyproject.toml bench/requirements.txt bench/install_apart.sh scripts/install_apart.sh bench/apart/*'
           set -- --editable ".[dashboard]" --requirement bench/requirements.txt ;;
    *)     say "setup: \"$what\" is not one of dev, demo, bench"; exit 2 ;;
esac

# shellcheck disable=SC2086  # a list of names without blanks, and a pattern
wanted=$(pwd; cat $sources scripts/setup.sh | cksum)
note="$venv/.jobsworth-$what"

fresh() { [ -x "$venv/bin/python" ] && [ -f "$1" ] && [ "$(cat "$1")" = "$wanted" ]; }

# What the tests need holds all that the demo needs.
if fresh "$note" || { [ "$what" = demo ] && fresh "$venv/.jobsworth-dev"; }; then exit 0; fi

recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        if recent "$PYTHON"; then printf '%s\n' "$PYTHON"; return; fi
        say "setup: PYTHON=$PYTHON is not a Python 3.11 or newer."
        return 1
    fi
    for folder in '' /opt/homebrew/bin/ /usr/local/bin/ /usr/bin/; do
        for name in python3 python3.13 python3.12 python3.11 python3.14; do
            if recent "$folder$name"; then printf '%s\n' "$folder$name"; return; fi
        done
    done
    say "setup: Jobsworth needs Python 3.11 or newer, and none was found."
    say "  Debian 12 or newer, Ubuntu 24.04 or newer:  sudo apt-get install python3 python3-venv"
    say "  macOS:                                      brew install python"
    say "  elsewhere already?                          make setup PYTHON=/path/to/python3"
    return 1
}

usable() { [ -f "$venv/pyvenv.cfg" ] && recent "$venv/bin/python" && "$venv/bin/python" -c 'import pip' 2>/dev/null; }

# Scripts in an environment name its place; one that was moved or copied here is made anew.
in_place() { [ "$(cat "$venv"/.jobsworth-* 2>/dev/null | grep '^/' | sort -u)" = "$(pwd)" ]; }
unmarked() { ! ls "$venv"/.jobsworth-* >/dev/null 2>&1; }

if ! usable || { ! in_place && ! unmarked; }; then
    if [ -e "$venv" ] && [ ! -f "$venv/pyvenv.cfg" ]; then
        say "setup: $venv exists and is not a virtual environment; move it away or choose VENV=another."
        exit 1
    fi
    python=$(find_python)
    say "setup: making $venv with $("$python" -V) ($python)"
    scripts/make_venv.sh "$python" "$venv"
fi

say "setup: installing what \"$what\" needs into $venv (a minute or so the first time)"
pip() { "$venv/bin/python" -m pip --quiet --disable-pip-version-check --no-input "$@" </dev/null; }
pip install --upgrade 'pip>=25.1'       # the first that reads dependency groups
pip install "$@"
case $what in
    dev)   scripts/install_apart.sh "$venv" tests/apart/*.txt ||
               say "setup: a second version of a framework could not be installed; its tests will say so" ;;
    bench) bench/install_apart.sh "$venv" ;;
esac
printf '%s\n' "$wanted" >"$note"
