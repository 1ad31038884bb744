#!/bin/bash
# Writes src/platform/db/schema.rs from the migrations: a throw-away Postgres below /tmp, every migration, then what
# packaging/schema.sql prints. With --check it only compares, and also takes every migration back and applies it again.
set -euo pipefail
cd "$(dirname "$0")/.."
packaging/install.sh postgres

bin=/usr/lib/postgresql/15/bin
work=$(mktemp -d /tmp/renderkeep-schema.XXXXXX)
plain() { "$@"; }
# Postgres refuses to run as root.
if [ "$(id -u)" = 0 ]; then
    chown 65534:65534 "$work"
    plain() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
fi
finish() {
    (cd "$work" && plain $bin/pg_ctl -D db -m immediate stop >/dev/null 2>&1) || true
    rm -rf "$work"
}
trap finish EXIT

(
    cd "$work"
    plain $bin/initdb -D db -U app --auth=trust --no-sync --locale=C.UTF-8 --encoding=UTF8 >/dev/null
    plain $bin/pg_ctl -D db -w -l log -o "-c listen_addresses='' -c unix_socket_directories=$work -c fsync=off" start >/dev/null
)
sql() { $bin/psql -X -q -h "$work" -U app -d postgres -v ON_ERROR_STOP=1 "$@"; }
up() { for one in migrations/*/up.sql; do sql -1 -f "$one"; done; }
down() { for one in $(printf '%s\n' migrations/*/down.sql | sort -r); do sql -1 -f "$one"; done; }

up
sql -f packaging/schema.sql >"$work/schema.rs"
file=src/platform/db/schema.rs
if [ "${1:-}" != --check ]; then
    cp "$work/schema.rs" $file
    exit
fi

cmp -s "$work/schema.rs" $file || { echo "$file does not match the migrations: run make schema." >&2; exit 1; }
dump() { $bin/pg_dump -h "$work" -U app --schema-only --no-owner postgres | grep -v '^\\\(un\)\?restrict '; }
dump >"$work/once"
down
left=$(sql -At -c "select coalesce(string_agg(relname, ', '), '') from pg_class where relnamespace = 'public'::regnamespace")
[ -z "$left" ] || { echo "The migrations taken back leave this behind: $left" >&2; exit 1; }
up
dump >"$work/again"
diff "$work/once" "$work/again" >&2 || { echo "The migrations taken back and applied again give another schema." >&2; exit 1; }
