"""One dual moving average with stop and target in NautilusTrader, bar by bar.

    nautilus_sma.py BARS.npz FAST SLOW

Says on stdout how many seconds the run itself took, imports and files left out, and how many positions it opened.
"""
import sys
import time
from decimal import Decimal

import numpy as np
import pandas as pd
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, StrategyConfig
from nautilus_trader.indicators import SimpleMovingAverage
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Venue
from nautilus_trader.model.objects import Money
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy

# Four pips each way.
DISTANCE = 0.0004


class DualMeanConfig(StrategyConfig, frozen=True):
    instrument: InstrumentId
    bars: BarType
    fast: int
    slow: int


class DualMean(Strategy):
    def __init__(self, config):
        super().__init__(config)
        self.fast, self.slow = SimpleMovingAverage(config.fast), SimpleMovingAverage(config.slow)
        self.above = None
        self.opened = 0

    def on_start(self):
        self.instrument = self.cache.instrument(self.config.instrument)
        for indicator in (self.fast, self.slow):
            self.register_indicator_for_bars(self.config.bars, indicator)
        self.subscribe_bars(self.config.bars)

    def on_bar(self, bar):
        if not self.indicators_initialized() or self.fast.value == self.slow.value:
            return
        above, before = self.fast.value > self.slow.value, self.above
        self.above = above
        if before is None or above == before or not self.portfolio.is_flat(self.config.instrument):
            return
        price, sign = float(bar.close), 1 if above else -1
        orders = self.order_factory.bracket(
            instrument_id=self.config.instrument,
            order_side=OrderSide.BUY if above else OrderSide.SELL,
            quantity=self.instrument.make_qty(Decimal(10_000)),
            sl_trigger_price=self.instrument.make_price(price - sign * DISTANCE),
            tp_price=self.instrument.make_price(price + sign * DISTANCE),
        )
        self.opened += 1
        self.submit_order_list(orders)


def main():
    bars = np.load(sys.argv[1])
    frame = pd.DataFrame({name: bars[name] for name in ("open", "high", "low", "close", "volume")})
    frame["volume"] = frame["volume"].astype("float64")
    frame.index = pd.to_datetime(bars["time"], unit="s", utc=True)
    engine = BacktestEngine(config=BacktestEngineConfig(logging=LoggingConfig(log_level="ERROR")))
    venue = Venue("SIM")
    engine.add_venue(
        venue=venue,
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        base_currency=USD,
        starting_balances=[Money(1_000_000, USD)],
    )
    instrument = TestInstrumentProvider.default_fx_ccy("EUR/USD", venue=venue)
    engine.add_instrument(instrument)
    bar_type = BarType.from_str(f"{instrument.id}-1-MINUTE-MID-EXTERNAL")
    engine.add_data(BarDataWrangler(bar_type, instrument).process(frame))
    config = DualMeanConfig(instrument=instrument.id, bars=bar_type, fast=int(sys.argv[2]), slow=int(sys.argv[3]))
    strategy = DualMean(config)
    engine.add_strategy(strategy)
    start = time.perf_counter()
    engine.run()
    print(time.perf_counter() - start, strategy.opened)
    engine.dispose()


main()
