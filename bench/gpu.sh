#!/usr/bin/env bash
# Measures the signal engine beside other backtesters, on the same made-up candles, and writes its tables of
# docs/benchmarks.md.
#
#   bash bench/gpu.sh                  everything: about ten minutes
#   bash bench/gpu.sh --only sma       some of it (sma, events, engine, card)
#   bash bench/gpu.sh --help           the number of rounds
#
# Needs Rust, python3 with venv, PyPI for the others, and 8 GB of free memory for one of them; the figures of a card need one, and are
# said to be unmeasured where there is none. CARGO names another cargo.
set -euo pipefail
cd "$(dirname "$0")/.."

${CARGO:-cargo} build --release --locked --package sep-gpu --bins
${CARGO:-cargo} build --release --locked --package sep-gpu --example sma_grid --example qfh_run --example cuda_throughput

# Two environments: vectorbt and NautilusTrader want different versions of pandas.
for name in requirements nautilus; do
    venv=target/bench-gpu/$name
    if ! cmp -s "bench/gpu_rivals/$name.txt" "$venv/installed.txt"; then
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "bench/gpu_rivals/$name.txt"
        cp "bench/gpu_rivals/$name.txt" "$venv/installed.txt"
    fi
done
PYTHONDONTWRITEBYTECODE=1 exec target/bench-gpu/requirements/bin/python bench/gpu.py "$@"
