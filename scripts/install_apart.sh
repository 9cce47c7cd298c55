#!/bin/sh
# scripts/install_apart.sh VENV LIST...: installs what cannot share an environment with other versions of it, each list
# NAME.txt into a folder of its own, VENV/apart/NAME. Instant when nothing changed.

set -eu

venv=$(cd "${1:?the directory of the environment}" && pwd)
shift

for list in "$@"; do
    name=${list##*/}
    folder="$venv/apart/${name%.txt}"
    if [ -f "$folder/.list" ] && cmp -s "$list" "$folder/.list"; then continue; fi
    rm -rf "$folder"
    "$venv/bin/python" -m pip --quiet --disable-pip-version-check --no-input install --no-warn-conflicts \
        --target "$folder" --requirement "$list" </dev/null
    cp "$list" "$folder/.list"
done
