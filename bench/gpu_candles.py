"""Turns a series of the candle store into the NumPy arrays that other backtesters read; used by bench/gpu.py.

    gpu_candles.py STORE/PAIR/TIMEFRAME FOLDER BARS
"""
import glob
import sys

import numpy as np
import pyarrow.parquet as parquet


def main():
    series, folder, bars = sys.argv[1:]
    columns = {name: [] for name in ("open", "high", "low", "close", "volume", "time")}
    for path in sorted(glob.glob(f"{series}/*.parquet")):
        table = parquet.read_table(path)
        for name in ("open", "high", "low", "close"):
            bid, ask = (table[f"{side}_{name}"].cast("float64").to_numpy() for side in ("bid", "ask"))
            columns[name].append((bid + ask) / 2)
        columns["volume"].append(table["volume"].to_numpy())
        columns["time"].append(table["time"].cast("int64").to_numpy() // 1_000_000)
    columns = {name: np.concatenate(parts) for name, parts in columns.items()}
    if len(columns["close"]) != int(bars):
        sys.exit(f"{series} holds {len(columns['close'])} bars, expected {bars}: remove it and start again")
    np.savez(f"{folder}/bars.npz", **columns)
    # Half ticks: whole numbers, so that means that are equal are equal in floating point, too.
    np.save(f"{folder}/closes.npy", np.rint(columns["close"] * 200_000))


main()
