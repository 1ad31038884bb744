#!/bin/bash
# Installs what the two commands need and this machine lacks. Each part is a function that returns at once when there is
# nothing to do, so a second run makes no call to a package registry.
#
#   packaging/install.sh PART...     parts: compiler postgres minio versitygw chromium node browser-tests clients network testssl
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
have() { type -P "$1" >/dev/null; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif have sudo; then sudo "$@"
    else fail "Debian packages are missing and this account is neither root nor allowed to use sudo. As root run: apt-get install --no-install-recommends ${wanted[*]}"
    fi
}

debian() {
    wanted=("$@")
    have apt-get || fail "This needs the Debian packages ${wanted[*]}; install what corresponds to them on this system and try again."
    say "Installing Debian packages: ${wanted[*]}"
    as_root apt-get update -q
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${wanted[@]}"
}

# Digest of the files that decide what a part looks like: a part is fresh while its stamp holds the same digest.
digest() { cat "$@" | sha256sum | cut -d' ' -f1; }
fresh() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

compiler() {
    have cargo || fail "Rust is missing: install it with rustup (https://rustup.rs) and try again."
    have cc || debian gcc libc6-dev
}

# The server binaries only. Debian's package would also start a cluster of its own on port 5432; a drop-in that lives as
# long as the installation keeps it from that and touches no cluster that is there.
postgres() {
    [ -x /usr/lib/postgresql/15/bin/postgres ] && return
    local no_cluster=/etc/postgresql-common/createcluster.d/renderkeep.conf
    wanted=(postgresql-15)
    as_root mkdir -p "${no_cluster%/*}"
    echo 'create_main_cluster = false' | as_root tee "$no_cluster" >/dev/null
    trap "as_root rm -f $no_cluster" EXIT
    debian postgresql-15
    as_root rm -f "$no_cluster"
    trap - EXIT
    [ -x /usr/lib/postgresql/15/bin/postgres ] || fail "postgresql-15 is installed but /usr/lib/postgresql/15/bin/postgres is not there."
}

minio() { packaging/minio/build.sh; }

versitygw() { packaging/versitygw/build.sh; }

chromium() {
    [ -x /usr/bin/chromium ] && [ -d /usr/share/fonts/truetype/dejavu ] && return
    debian chromium chromium-sandbox fonts-dejavu-core
}

node() {
    have node && have npm || debian nodejs npm
    command node -e 'const [a, b] = process.versions.node.split("."); process.exit(+a > 18 || (+a === 18 && +b >= 19) ? 0 : 1)' ||
        fail "The browser tests need Node 18.19 or newer and this machine has $(command node --version); install a newer one and try again."
}

browser-tests() {
    local dir=tests/browser stamp=tests/browser/node_modules/.stamp want
    want=$(digest $dir/package.json $dir/package-lock.json)
    fresh $stamp "$want" && return
    say "Installing the browser tests' packages"
    (cd $dir && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund --loglevel=error)
    echo "$want" >$stamp
}

# What watches a server from outside: namespaces, redirection, capture, and an authority that lasts as long as a test.
network() {
    local missing=() pair
    for pair in ip:iproute2 nft:nftables tcpdump:tcpdump openssl:openssl; do
        PATH=$PATH:/usr/sbin:/sbin have "${pair%%:*}" || missing+=("${pair#*:}")
    done
    [ ${#missing[@]} = 0 ] || debian "${missing[@]}"
}

# Its own Python environment below target/, so that nothing is installed into the system's.
clients() {
    local venv=target/venv requirements=tests/clients/requirements.txt want
    want=$(digest $requirements)
    fresh $venv/.stamp "$want" && return
    have python3 && python3 -c 'import ensurepip, venv' 2>/dev/null || debian python3 python3-venv
    say "Installing the client tests' packages"
    rm -rf $venv
    python3 -m venv $venv
    $venv/bin/pip install --quiet --disable-pip-version-check -r $requirements
    echo "$want" >$venv/.stamp
}

testssl() {
    have testssl && have python3 && return
    debian testssl.sh python3
}

[ $# -gt 0 ] || fail "Say what to install: compiler postgres minio versitygw chromium node browser-tests clients network testssl"
for part in "$@"; do
    case $part in
        compiler | postgres | minio | versitygw | chromium | node | browser-tests | clients | network | testssl) "$part" ;;
        *) fail "There is no part called $part." ;;
    esac
done
