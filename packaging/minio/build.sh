#!/bin/bash
# Builds the pinned MinIO server into target/minio/minio, with its checksum in target/minio/minio.sha256.
#
# RENDERKEEP_MINIO=/path/to/minio names an existing binary instead: then target/minio/minio is a link to it and nothing is
# built. Nothing is done either while target/minio/stamp says that the binary came from these very files.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(cd "$here/../.." && pwd)/target/minio
mkdir -p "$out"

say() { printf '%s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# A caller may have been told where the built one is: that is no other binary.
[ "${RENDERKEEP_MINIO:-}" -ef "$out/minio" ] && RENDERKEEP_MINIO=
if [ -n "${RENDERKEEP_MINIO:-}" ]; then
    [ -x "$RENDERKEEP_MINIO" ] || fail "RENDERKEEP_MINIO names $RENDERKEEP_MINIO, which is not an executable file."
    ln -sfn "$(realpath "$RENDERKEEP_MINIO")" "$out/minio"
    rm -f "$out/stamp" "$out/minio.sha256"
    exit
fi

want=$(cat "$here/go.mod" "$here/go.sum" "$here/build.sh" "$here/checksums" | sha256sum | cut -d' ' -f1)
[ -x "$out/minio" ] && [ "$(cat "$out/stamp" 2>/dev/null)" = "$want" ] && exit

command -v go >/dev/null || fail "Go is missing: MinIO is built from source. Install Go (https://go.dev/doc/install), or name a MinIO binary with RENDERKEEP_MINIO=/path/to/minio."
say "Building MinIO from its pinned source; this takes about three minutes, once."

# The Go flags of the machine must not reach the build: the same toolchain then gives the same bytes anywhere.
export GOFLAGS='' GOEXPERIMENT='' GOAMD64=v1 GOARM64=v8.0 CGO_ENABLED=0
cd "$here"

# v0.0.0-20260212201848-7aac2a2c5b7c carries the commit's time and the first twelve characters of its id.
pinned=$(go list -m -f '{{.Version}}' github.com/minio/minio)
commit=${pinned##*-}
at=$(sed -E 's/^.*-([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})-.*$/\1-\2-\3T\4:\5:\6Z/' <<<"$pinned")
cmd=github.com/minio/minio/cmd
stamps="-X $cmd.Version=$at -X $cmd.ReleaseTag=DEVELOPMENT.${at//:/-} -X $cmd.CommitID=$commit -X $cmd.ShortCommitID=$commit -X $cmd.CopyrightYear=${at%%-*}"

rm -rf "$out/minio" "$out/stamp"
go build -trimpath -ldflags "-s -w $stamps" -o "$out/minio.new" github.com/minio/minio
sum=$(sha256sum "$out/minio.new" | cut -d' ' -f1)

toolchain="$(go env GOVERSION) $(go env GOOS)/$(go env GOARCH)"
recorded=$(awk -v t="$toolchain" '$1 " " $2 == t { print $3 }' checksums)
if [ -z "$recorded" ]; then
    say "No checksum is recorded for $toolchain in packaging/minio/checksums; this build has $sum."
elif [ "$recorded" != "$sum" ]; then
    fail "The MinIO just built has the checksum $sum, but packaging/minio/checksums records $recorded for $toolchain. It was left at target/minio/minio.new and is not used."
fi

echo "$sum  minio" >"$out/minio.sha256"
mv "$out/minio.new" "$out/minio"
echo "$want" >"$out/stamp"
say "Built target/minio/minio ($at, $commit)."
