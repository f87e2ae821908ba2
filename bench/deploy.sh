#!/usr/bin/env bash
# Measures deployments side by side with other tools, on sandbox droplets, and writes the tables of docs/benchmarks.md.
#
#   bash bench/deploy.sh                      everything: about half an hour
#   bash bench/deploy.sh --only noop,rest     some of it (noop, rivals, first, rest)
#   bash bench/deploy.sh --help               the numbers of rounds
#
# Needs root (as the sandbox does), Rust, python3 with venv, and PyPI for the rivals. CARGO names another cargo.
set -euo pipefail
cd "$(dirname "$0")/.."

${CARGO:-cargo} build --release --locked --package sepctl --package sep-executor --bins
${CARGO:-cargo} build --release --locked --package sepctl --example latency_relay

venv=target/bench-venv
if ! cmp -s bench/rivals/requirements.txt "$venv/requirements.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement bench/rivals/requirements.txt
    cp bench/rivals/requirements.txt "$venv/requirements.txt"
fi
PYTHONDONTWRITEBYTECODE=1 exec "$venv/bin/python" bench/deploy.py "$@"
