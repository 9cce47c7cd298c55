#!/bin/sh
# scripts/test.sh PYTHON [ARGUMENTS]: all tests in two passes; ARGUMENTS are pytest's.
#
# First what bears others beside it, in several processes (-n0: in one); then what has to be alone on the machine. Each
# pass has its closing line. Fails if either fails, or if neither found a test; the second is left out where the first
# was told to stop at a failure, or was interrupted.

set -u
cd "$(dirname "$0")/.."
python=$1
shift
none=5          # pytest: no tests were collected

# The tests start some thousand processes: none should have to compile what another has compiled.
unset PYTHONDONTWRITEBYTECODE
"$python" -m compileall -q src tests examples bench

"$python" -m pytest --pass=beside -n auto "$@"
first=$?
case $first in 0 | 1 | $none) ;; *) exit $first ;; esac
"$python" -m pytest --pass=alone "$@"
second=$?
case $first-$second in
    0-$none) exit 0 ;;
    0-* | $none-*) exit $second ;;
    *) exit $first ;;
esac
