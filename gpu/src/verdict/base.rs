//! The base rates: what blind trading would have made of the same bars, exits and costs.
//!
//! Owns the comparison with always buying, always selling, and a coin. The two first are played like any
//! variant, with the model's own exits and a side that is always taken; the coin follows from them. Must not
//! play anything itself.

use serde::{Deserialize, Serialize};

use crate::verdict::matrix::Cell;

/// Trades and how many of them won.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// Trades; of the coin, the mean of both sides' numbers.
    pub trades: f64,
    /// The share of trades that earned anything after costs.
    pub wins: f64,
    /// The mean trade after costs, in centi-ticks.
    pub mean: f64,
}

impl Rate {
    /// The rate of these trades, so many of which won; all zero without trades.
    pub fn of(cell: &Cell, wins: u32) -> Self {
        let trades = f64::from(cell.trades);
        let share = if cell.trades == 0 { 0.0 } else { f64::from(wins) / trades };
        Self { trades, wins: share, mean: cell.mean() }
    }
}

/// What blind trading makes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BaseRates {
    pub buy: Rate,
    pub sell: Rate,
    /// The side of each trade thrown with a fair coin: in expectation half of each.
    pub coin: Rate,
}

impl BaseRates {
    pub fn of(buy: Rate, sell: Rate) -> Self {
        let coin = Rate {
            trades: f64::midpoint(buy.trades, sell.trades),
            wins: f64::midpoint(buy.wins, sell.wins),
            mean: f64::midpoint(buy.mean, sell.mean),
        };
        Self { buy, sell, coin }
    }

    /// The best of them by mean trade, with its name.
    pub fn best(&self) -> (&'static str, Rate) {
        let named = [("always BUY", self.buy), ("always SELL", self.sell), ("a coin", self.coin)];
        let better = |best: (&'static str, Rate), next: (&'static str, Rate)| {
            if next.1.mean > best.1.mean { next } else { best }
        };
        named.into_iter().fold(named[0], better)
    }
}

#[cfg(test)]
mod tests {
    use super::{BaseRates, Rate};
    use crate::verdict::matrix::Cell;

    #[test]
    fn by_hand() {
        let buy = Rate::of(&Cell { trades: 10, net: -50, squares: 9000 }, 4);
        let sell = Rate::of(&Cell { trades: 20, net: 40, squares: 9000 }, 12);
        let rates = BaseRates::of(buy, sell);
        assert_eq!(rates.coin, Rate { trades: 15.0, wins: 0.5, mean: -1.5 });
        assert_eq!(rates.best(), ("always SELL", sell));
        assert_eq!(Rate::of(&Cell::default(), 0).wins, 0.0);
    }
}
