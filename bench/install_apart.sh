#!/bin/sh
# bench/install_apart.sh VENV: installs what cannot share the versions in requirements.txt, each list of apart/ into a
# folder of its own, VENV/apart/NAME, and BullMQ on Node into VENV/apart/node where npm is there.

set -eu
cd "$(dirname "$0")/apart"

venv=$(cd ../.. && cd "${1:?the directory of the environment}" && pwd)

for list in *.txt; do
    folder="$venv/apart/${list%.txt}"
    if [ -f "$folder/.list" ] && cmp -s "$list" "$folder/.list"; then continue; fi
    rm -rf "$folder"
    "$venv/bin/python" -m pip --quiet --disable-pip-version-check --no-input install --no-warn-conflicts \
        --target "$folder" --requirement "$list" </dev/null
    cp "$list" "$folder/.list"
done

if command -v npm >/dev/null 2>&1; then
    folder="$venv/apart/node"
    mkdir -p "$folder"
    if ! cmp -s package.json "$folder/package.json" || [ ! -d "$folder/node_modules/bullmq" ]; then
        cp package.json "$folder"
        npm install --prefix "$folder" --silent --no-audit --no-fund </dev/null ||
            { rm -f "$folder/package.json"; echo "bench: npm could not install BullMQ; it will be absent" >&2; }
    fi
else
    echo "bench: npm is not here, so BullMQ on Node will be absent" >&2
fi
