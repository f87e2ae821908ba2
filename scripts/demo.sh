#!/usr/bin/env bash
# The main job, end to end, on a sandbox droplet: from a bare root file system to a served status and a verified backup.
set -euo pipefail
cd "$(dirname "$0")/.."
sepctl=target/release/sepctl gpu=target/release/sep-gpu page=target/demo-report.html
name=demo
export SEPCTL_INVENTORY=/var/lib/sepctl-sandbox/$name/inventory.yaml

began=$(date +%s.%N)
step() { printf '\n\033[1m== %s\033[0m\n' "$*"; started=$(date +%s.%N); }
took() { printf '   (%.1f s)\n' "$(echo "$(date +%s.%N) - $started" | bc -l 2>/dev/null || python3 -c "import time; print(time.time() - $started)")"; }
[ -t 1 ] || step() { printf '\n== %s\n' "$*"; started=$(date +%s.%N); }

# A signals file as the GPU side writes it: made now, for bars that have just closed.
signals() {
    local now close
    now=$(date -u +%s) close=$(( $(date -u +%s) / 60 * 60 ))
    iso() { date -u -d "@$1" +%Y-%m-%dT%H:%M:%SZ; }
    echo "account,strategy,pair,timeframe,bar_close,side,confidence,entropy,coherence,stability,null_ratio,flip_ratio,rupture_ratio,buy_score,sell_score,stop,target,expires_at,model_hash"
    local model metrics
    model=$(echo demo | sha256sum | cut -d' ' -f1)
    metrics="0.72,0.41,0.55,0.3,0.4,0.3,0.61,0.38"
    echo "primary,qfh,EUR_USD,M1,$(iso $close),buy,0.71,$metrics,1.08210,1.08640,$(iso $((now + 900))),$model"
    echo "primary,qfh,EUR_USD,M1,$(iso $((close - 60))),sell,0.66,$metrics,1.08640,1.08210,$(iso $((now + 840))),$model"
    echo "primary,qfh,USD_JPY,M1,$(iso $close),sell,0.68,$metrics,151.420,150.870,$(iso $((now + 900))),$model"
    echo "primary,qfh,GBP_USD,M1,$(iso $((close - 3600))),buy,0.64,$metrics,1.26310,1.26940,$(iso $((close - 1800))),$model"
}

cat <<'TEXT'
A bare Debian 13 server, as a cheap droplet is delivered, is about to become a trading host: volume, PostgreSQL with
TimescaleDB, firewall, web server, nightly backups, and the executor, observing. Everything is real; only the server is
a folder on this machine. Nothing is sent to any broker.
TEXT

step "1. Boot a bare droplet"
$sepctl sandbox down $name >/dev/null 2>&1 || true
$sepctl sandbox up $name
took

step "2. sepctl deploy: everything it takes, in one go"
$sepctl deploy --yes | grep -E '^[^ ]+: ' || exit 1
took

step "3. sep-gpu: does anything pay on 90 made-up days? What is found is judged, and mostly refused"
engine=$(mktemp -d) file=$(mktemp --suffix=.csv)
trap 'rm -rf "$file" "$engine"' EXIT
export SEP_CANDLES=$engine/candles SEP_MODELS=$engine/models
$gpu candles synth EUR_USD --days 90 --seed 4
$gpu train EUR_USD --quick | cut -c1-150
answer=$($gpu promote EUR_USD 2>&1) && code=0 || code=$?
if [ $code != 1 ] || ! grep -q '^refused:' <<<"$answer"; then
    echo "demo: a model without an edge was not refused, but: $answer" >&2
    exit 1
fi
echo "sep-gpu promote EUR_USD: refused, as it should be"
$gpu report EUR_USD --out "$page" | grep '^page'
took

step "4. sepctl sync: four signals, each exactly once; then the same file again"
signals >"$file"
$sepctl sync "$file"
$sepctl sync "$file"
took

step "5. The executor decides, and says why (mode observe: it sends nothing)"
until [ "$($sepctl psql -- -Atc 'select count(*) from signal_decisions')" = 4 ]; do sleep 0.2; done
$sepctl psql -- -c "select pair, side, decision, reason_code, decided_at - received_at as after
                    from v_recent_signals order by pair, bar_close"
took

step "6. What the world sees: http://$($sepctl inventory show --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["ssh"]["address"])')/api/status"
$sepctl ssh -- curl -fsS http://localhost/api/status | python3 -m json.tool
took

step "7. sepctl backup: dumped, hashed, read back, published; then verified again"
$sepctl backup now
$sepctl backup verify
took

step "8. sepctl status"
$sepctl status
took

step "9. sepctl deploy, once more: nothing is left to do"
$sepctl deploy --yes
took

total=$(python3 -c "import time; print(f'{time.time() - $began:.0f}')")
cat <<TEXT

All of it took $total s. The droplet is still up. Try:
  export SEPCTL_INVENTORY=$SEPCTL_INVENTORY
  $sepctl ssh                                                 look around
  $sepctl ssh -- systemctl stop nginx; $sepctl plan           see the drift, then deploy
  $sepctl psql -- -c 'select * from v_recent_signals'
  xdg-open $page                        the search of step 3, as a page
  $sepctl sandbox reboot $name; $sepctl status                everything comes back
  change a line of that inventory, and: $sepctl plan
  $sepctl sandbox down $name                                  no trace is left
TEXT
