#!/bin/sh
# scripts/servers.sh: sees to it that the servers and the browser which the tests run privately are on the machine.
#
# Debian and Ubuntu: what is missing is installed with apt-get, as root or by a sudo that asks nothing. Elsewhere one
# line says what to install, and the tests that need it are skipped. The packages bring services of their own; those are
# neither started nor enabled, and what ran before is left alone. Instant when nothing is missing.

set -u
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

present() {
    for program in "$@"; do
        for folder in '' /usr/sbin/ /usr/local/bin/ /opt/homebrew/bin/ /usr/lib/postgresql/*/bin/ \
            /opt/homebrew/opt/postgresql*/bin/ /usr/local/opt/postgresql*/bin/ /*/homebrew/opt/pgbouncer/bin/; do
            command -v "$folder$program" >/dev/null && return
        done
    done
    return 1
}

missing() {
    [ -n "${JOBSWORTH_TEST_POSTGRES_URL:-}" ] || present postgres || printf ' postgresql'
    [ -n "${JOBSWORTH_TEST_REDIS_URL:-}" ] || present redis-server valkey-server || printf ' %s' "$1"
    present pgbouncer || printf ' pgbouncer'
}

browser() { present chromium chromium-browser google-chrome || printf ' chromium'; }

install() {
    log=$(mktemp)
    policy=/usr/sbin/policy-rc.d            # asked before any service is started; ours says no to these
    [ -e "$policy" ] && policy=
    trap 'rm -f "$log" ${policy:+"$policy"}' EXIT
    trap 'exit 1' HUP INT TERM
    if [ -n "$policy" ]; then
        printf '#!/bin/sh\ncase $1 in postgresql*|redis*|pgbouncer*) exit 101 ;; esac\n' >"$policy"
        chmod 755 "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive
    if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"; } </dev/null >"$log" 2>&1; then
        sed 's/^/    /' "$log" >&2
        return 1
    fi
    if [ -d /run/systemd/system ]; then
        for service in "$@"; do systemctl disable --now --quiet "$service"; done >>"$log" 2>&1
    fi
    return 0
}

if [ "${1:-}" = --install ]; then
    shift
    install "$@"
    exit
fi

if ! command -v apt-get >/dev/null; then
    packages=$(missing redis)$(browser)
    [ -z "$packages" ] || say "servers: missing for the tests:  brew install$packages"
    exit 0
fi

packages=$(missing redis-server)
browser=$(browser)
[ -n "$packages$browser" ] || exit 0
as_root=
[ "$(id -u)" = 0 ] || as_root='sudo -n'
if [ -n "$as_root" ] && ! sudo -n true 2>/dev/null; then
    say "servers: missing for the tests:  sudo apt-get install$packages$browser"
    exit 0
fi
say "servers: installing for the tests, without their services:$packages$browser"
# Apart from each other: not every system has a package of this browser.
for some in "$packages" "$browser"; do
    [ -n "$some" ] || continue
    # shellcheck disable=SC2086  # a list of names without blanks
    $as_root scripts/servers.sh --install $some || say "servers: could not install$some; what needs them is skipped"
done
