#!/bin/bash
# testssl.sh against `renderkeep up --tls`: no finding above LOW. What it thinks of a certificate that a public authority
# would have signed does not apply to one of our own, and is left out below by name.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d /tmp/renderkeep-tls.XXXXXX)
[ "$(id -u)" != 0 ] || chown 65534:65534 "$work"
RENDERKEEP__SUPERVISOR__MINIO=${RENDERKEEP_MINIO:-} "$RENDERKEEP_BIN" up --tls --port 0 --data "$work/data" >"$work/log" 2>&1 &
server=$!
finish() {
    kill -TERM $server 2>/dev/null || true
    wait $server || true
    rm -rf "$work"
}
trap finish EXIT
for _ in $(seq 600); do
    [ ! -f "$work/data/run/ready.json" ] || break
    kill -0 $server || { cat "$work/log" >&2; exit 1; }
    sleep 0.2
done
address=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["url"].removeprefix("https://"))' "$work/data/run/ready.json")

cp "$work/data/tls/ca.pem" "$work/ca.pem"
testssl --quiet --color 0 --ip one --warnings off --add-ca "$work/ca.pem" --jsonfile "$work/report.json" "$address/sign-in" >"$work/out" 2>&1 || true
python3 - "$work/report.json" <<'CHECK'
import json, sys

MEANT = {
    "cert_notAfter": "our own certificates live for thirty days",
    "cert_expirationStatus": "the same",
    "cert_revocation": "and therefore have no list of revoked ones",
}
findings = json.load(open(sys.argv[1]))
ids = {finding["id"] for finding in findings}
wanted = {"TLS1", "TLS1_1", "TLS1_2", "TLS1_3", "ALPN", "cert_chain_of_trust", "HSTS_time", "heartbleed", "ROBOT"}
assert wanted <= ids, f"testssl did not look at {sorted(wanted - ids)}; it saw {sorted(ids)}"
def told(severities):
    return [f for f in findings if f["severity"] in severities and f["id"].split(" ")[0] not in MEANT]

# A warning is no finding: testssl could not look, for example because the machine's openssl cannot.
bad = told(("MEDIUM", "HIGH", "CRITICAL", "FATAL"))
for finding in bad + told(("WARN",)):
    print(f'{finding["severity"]}: {finding["id"]}: {finding["finding"]}')
print(f"{len(findings)} findings, {len(bad)} above LOW")
sys.exit(bool(bad))
CHECK
