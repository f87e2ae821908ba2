"""What an NVIDIA card does with the signal engine: its rate, and the whole work that it is meant for; used by
bench/gpu.py.

Where there is no card, the figures say that they are unmeasured; nothing stands in their place.
"""
import os
import re
import shutil
import subprocess
import sys
import time

THROUGHPUT = "target/release/examples/cuda_throughput"
PROGRAM = "target/release/sep-gpu"
# The pairs, days and variants of the goal.
PAIRS = ("EUR_USD", "GBP_USD", "USD_JPY", "USD_CHF", "AUD_USD", "USD_CAD", "NZD_USD", "EUR_GBP", "EUR_JPY", "GBP_JPY",
         "EUR_CHF", "AUD_JPY", "CHF_JPY", "EUR_AUD", "EUR_CAD", "GBP_AUD", "GBP_CAD", "GBP_CHF")
DAYS, VARIANTS = 1096, 1_000_000
RATE_GOAL, SECONDS_GOAL, GOAL_CARD = 1e11, 300, "H200"


def measure(folder):
    """The card's figures, or why there are none. A card that is there and fails ends the measurement."""
    done = subprocess.run([THROUGHPUT], stdout=subprocess.PIPE, text=True)
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        sys.exit(f"{THROUGHPUT}: status {done.returncode}; what it says is above")
    if lines[0].startswith("unmeasured: "):
        return {"unmeasured": lines[0]}
    rate = re.match(r"(\S+) bar-variants/s, (.*)", lines[-1])
    if rate is None:
        sys.exit(f"{THROUGHPUT}: found {lines[-1]!r}, expected a rate in bar-variants/s")
    return {"device": lines[0], "rate": float(rate[1]), "share": rate[2], "seconds": train_all(folder)}


def train_all(folder):
    """Seconds for all pairs: searched, walked forward, judged, each model written; candles are there before."""
    candles, models = f"{folder}/pairs", f"{folder}/pair-models"
    for seed, pair in enumerate(PAIRS, start=1):
        if not os.path.isdir(f"{candles}/{pair}"):
            subprocess.run([PROGRAM, "candles", "synth", pair, "--days", str(DAYS), "--seed", str(seed), "--store", candles],
                           check=True, stdout=sys.stderr)
    # What an earlier run has left would be gone on with, not computed.
    shutil.rmtree(models, ignore_errors=True)
    start = time.monotonic()
    subprocess.run([PROGRAM, "train", *PAIRS, "--variants", str(VARIANTS), "--backend", "cuda", "--store", candles,
                    "--models", models], check=True, stdout=sys.stderr)
    return time.monotonic() - start


def rows(found):
    """The table's rows: what was measured, the goal, and whether it is met where the card is the goal's own."""
    # Why, without what to do about it.
    rate = seconds = re.split(r"(?<=\)): |; ", found["unmeasured"])[0] if "unmeasured" in found else None
    met = {"rate": "", "seconds": ""}
    if rate is None:
        rate = f"{found['rate']:.1e}".replace("e+", "e") + f" bar-variants/s, {found['share']}"
        seconds = f"{found['seconds']:,.0f} s"
        if GOAL_CARD in found["device"]:
            met = {"rate": "met" if found["rate"] >= RATE_GOAL else "missed",
                   "seconds": "met" if found["seconds"] <= SECONDS_GOAL else "missed"}
    return [
        f"| full QFH variants | {rate} | 1.0e11 bar-variants/s on one {GOAL_CARD} | {met['rate']} |",
        f"| {len(PAIRS)} pairs, 3 years of M1, {VARIANTS:,} variants each, with the verdict | {seconds} | "
        f"5 min on one {GOAL_CARD} | {met['seconds']} |",
    ]
