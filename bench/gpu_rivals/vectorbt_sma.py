"""The dual moving average's grid in vectorbt: every pair of windows, total return and trades of each.

    vectorbt_sma.py CLOSES.npy FEE LENGTHS RESULTS.csv

Says on stdout how many seconds the grid itself took: imports, files and the compilation of a first, small
grid are left out.
"""
import sys
import time

import numpy as np
import pandas as pd
import vectorbt as vbt


def run(close, fee, windows):
    fast, slow = vbt.MA.run_combs(close, window=windows, r=2, short_names=["fast", "slow"])
    entries, exits = fast.ma_crossed_above(slow), fast.ma_crossed_below(slow)
    portfolio = vbt.Portfolio.from_signals(close, entries, exits, fees=float(fee), freq="1min")
    return portfolio.total_return(), portfolio.trades.count()


def main():
    closes, fee, lengths, results = sys.argv[1:]
    index = pd.date_range("2024-01-01", periods=len(np.load(closes)), freq="min")
    close = pd.Series(np.load(closes).astype(np.float64), index=index)
    windows = [int(length) for length in lengths.split(",")]
    run(close[:1_000], fee, windows[:3])
    start = time.perf_counter()
    total, trades = run(close, fee, windows)
    print(time.perf_counter() - start)
    frame = pd.DataFrame({"net": total.to_numpy(), "entries": trades.to_numpy()})
    frame["fast"] = total.index.get_level_values("fast_window")
    frame["slow"] = total.index.get_level_values("slow_window")
    frame.to_csv(results, index=False)


main()
