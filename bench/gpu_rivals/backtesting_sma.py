"""One dual moving average with stop and target in backtesting.py, bar by bar.

    backtesting_sma.py BARS.npz FAST SLOW

Says on stdout how many seconds the run itself took, imports and files left out, and how many trades it made.
"""
import sys
import time
import warnings

import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy
from backtesting.lib import crossover

FAST, SLOW = int(sys.argv[2]), int(sys.argv[3])
# Four pips each way, as shares of the price.
STOP = TARGET = 0.0004


def mean(values, length):
    return pd.Series(values).rolling(length).mean()


class DualMean(Strategy):
    def init(self):
        self.fast = self.I(mean, self.data.Close, FAST)
        self.slow = self.I(mean, self.data.Close, SLOW)

    def next(self):
        price = self.data.Close[-1]
        if self.position:
            return
        if crossover(self.fast, self.slow):
            self.buy(sl=price * (1 - STOP), tp=price * (1 + TARGET))
        elif crossover(self.slow, self.fast):
            self.sell(sl=price * (1 + STOP), tp=price * (1 - TARGET))


def main():
    warnings.simplefilter("ignore")
    bars = np.load(sys.argv[1])
    frame = pd.DataFrame({name.capitalize(): bars[name] for name in ("open", "high", "low", "close", "volume")})
    frame.index = pd.to_datetime(bars["time"], unit="s")
    # The spread of 0.8 pips, as a share of the price.
    test = Backtest(frame, DualMean, cash=1_000_000, spread=0.00008 / 1.1, finalize_trades=True)
    start = time.perf_counter()
    stats = test.run()
    print(time.perf_counter() - start, int(stats["# Trades"]))


main()
