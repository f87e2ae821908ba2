#!/usr/bin/env bash
# Deploys a sandbox droplet and measures the queries of the trading day on it, by bench/queries.sh; then takes it down.
set -euo pipefail
cd "$(dirname "$0")/.."
sepctl=target/release/sepctl
name=bq$$
trap '$sepctl sandbox down $name >/dev/null 2>&1' EXIT
$sepctl sandbox up "$name" >/dev/null
export SEPCTL_INVENTORY=/var/lib/sepctl-sandbox/$name/inventory.yaml
$sepctl deploy --yes >/dev/null
# The measurement is made as every role in turn; on a real host root may not be the executor.
$sepctl ssh -- 'echo "sep root sep_executor" >> /etc/postgresql/17/sep/pg_ident.conf && systemctl reload postgresql@17-sep'
$sepctl ssh -- 'cat > /root/queries.sh' <bench/queries.sh
$sepctl ssh -- 'cat > /root/query_latency && chmod +x /root/query_latency' <target/release/examples/query_latency
$sepctl ssh -- QUERY_LATENCY=/root/query_latency bash /root/queries.sh "'host=/var/run/postgresql dbname=sep_rehearsal'" "${1:-15}"
