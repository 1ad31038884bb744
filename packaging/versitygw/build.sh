#!/bin/bash
# Builds the pinned versitygw into target/versitygw/versitygw, with its checksum in target/versitygw/versitygw.sha256.
#
# RENDERKEEP_VERSITYGW=/path/to/versitygw names an existing binary instead: then target/versitygw/versitygw is a link to
# it and nothing is built. Nothing is done either while target/versitygw/stamp says that it came from these very files.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(cd "$here/../.." && pwd)/target/versitygw
mkdir -p "$out"

say() { printf '%s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# A caller may have been told where the built one is: that is no other binary.
[ "${RENDERKEEP_VERSITYGW:-}" -ef "$out/versitygw" ] && RENDERKEEP_VERSITYGW=
if [ -n "${RENDERKEEP_VERSITYGW:-}" ]; then
    [ -x "$RENDERKEEP_VERSITYGW" ] || fail "RENDERKEEP_VERSITYGW names $RENDERKEEP_VERSITYGW, which is not an executable file."
    ln -sfn "$(realpath "$RENDERKEEP_VERSITYGW")" "$out/versitygw"
    rm -f "$out/stamp" "$out/versitygw.sha256"
    exit
fi

want=$(cat "$here/go.mod" "$here/go.sum" "$here/build.sh" "$here/checksums" | sha256sum | cut -d' ' -f1)
[ -x "$out/versitygw" ] && [ "$(cat "$out/stamp" 2>/dev/null)" = "$want" ] && exit

command -v go >/dev/null || fail "Go is missing: versitygw is built from source. Install Go (https://go.dev/doc/install), or name a binary with RENDERKEEP_VERSITYGW=/path/to/versitygw."
say "Building versitygw from its pinned source; this takes about a minute, once."

# The Go flags of the machine must not reach the build: the same toolchain then gives the same bytes anywhere.
export GOFLAGS='' GOEXPERIMENT='' GOAMD64=v1 GOARM64=v8.0 CGO_ENABLED=0
cd "$here"
pinned=$(go list -m -f '{{.Version}}' github.com/versity/versitygw)

rm -rf "$out/versitygw" "$out/stamp"
go build -trimpath -ldflags "-s -w -X main.Version=$pinned" -o "$out/versitygw.new" github.com/versity/versitygw/cmd/versitygw
sum=$(sha256sum "$out/versitygw.new" | cut -d' ' -f1)

toolchain="$(go env GOVERSION) $(go env GOOS)/$(go env GOARCH)"
recorded=$(awk -v t="$toolchain" '$1 " " $2 == t { print $3 }' checksums)
if [ -z "$recorded" ]; then
    say "No checksum is recorded for $toolchain in packaging/versitygw/checksums; this build has $sum."
elif [ "$recorded" != "$sum" ]; then
    fail "The versitygw just built has the checksum $sum, but packaging/versitygw/checksums records $recorded for $toolchain. It was left at target/versitygw/versitygw.new and is not used."
fi

echo "$sum  versitygw" >"$out/versitygw.sha256"
mv "$out/versitygw.new" "$out/versitygw"
echo "$want" >"$out/stamp"
say "Built target/versitygw/versitygw ($pinned)."
