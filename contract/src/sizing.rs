//! Percent-risk sizing: how many units lose a given share of the account when the stop is hit.
//!
//! units = floor(NAV * risk% / 100 / (|entry - stop| * F)), floored to the instrument's
//! `tradeUnitsPrecision`. F is what one unit of the quote currency is worth in the account's currency
//! (OANDA: `homeConversions`, the factor for a loss). Written with pips it is the same thing: stop distance
//! in pips times the pip value pip * F of one unit. Decimals only. Must not know of margin or exposure.

use rust_decimal::{Decimal, RoundingStrategy};

use crate::pair::Pair;

/// What the size follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizing {
    /// Net asset value in the account's currency.
    pub nav: Decimal,
    /// Percent of it that the stop may cost: 1 is one percent.
    pub risk_percent: Decimal,
    /// Expected price of the entry.
    pub entry: Decimal,
    /// Price of the stop.
    pub stop: Decimal,
    /// Account currency for one unit of the quote currency.
    pub quote_to_account: Decimal,
    /// Digits after the point of units (`tradeUnitsPrecision`, mostly 0).
    pub units_precision: u32,
    /// The smallest tradable size (`minimumTradeSize`).
    pub minimum_units: Decimal,
    /// The largest position (`maximumPositionSize`); zero: no cap.
    pub maximum_units: Decimal,
}

/// Why no size follows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizingError {
    #[error("{field} is {found}: expected a number above zero")]
    NotPositive { field: &'static str, found: Decimal },
    #[error("the risk is {found} percent of the account: expected at most 100")]
    RiskTooHigh { found: Decimal },
    #[error("entry and stop are both {price}: there is no distance to size by")]
    NoDistance { price: Decimal },
    #[error("the risk allows {allowed} units, the instrument trades no less than {minimum}")]
    BelowMinimum { allowed: Decimal, minimum: Decimal },
    #[error("the numbers are too large to be multiplied exactly")]
    Overflow,
}

impl Sizing {
    /// The units to trade, always positive; their loss at the stop never exceeds the risk.
    pub fn units(&self) -> Result<Decimal, SizingError> {
        for (field, found) in [
            ("nav", self.nav),
            ("risk_percent", self.risk_percent),
            ("entry", self.entry),
            ("stop", self.stop),
            ("quote_to_account", self.quote_to_account),
        ] {
            if found <= Decimal::ZERO {
                return Err(SizingError::NotPositive { field, found });
            }
        }
        if self.risk_percent > Decimal::ONE_HUNDRED {
            return Err(SizingError::RiskTooHigh { found: self.risk_percent });
        }
        let distance = (self.entry - self.stop).abs();
        if distance.is_zero() {
            return Err(SizingError::NoDistance { price: self.stop });
        }
        let risk = self
            .nav
            .checked_mul(self.risk_percent)
            .and_then(|risk| risk.checked_div(Decimal::ONE_HUNDRED))
            .ok_or(SizingError::Overflow)?;
        let loss_per_unit = distance.checked_mul(self.quote_to_account).ok_or(SizingError::Overflow)?;
        let exact = risk.checked_div(loss_per_unit).ok_or(SizingError::Overflow)?;
        let mut units = exact.round_dp_with_strategy(self.units_precision, RoundingStrategy::ToZero);
        // The division itself rounds at its 28th digit and may have rounded up to a whole unit.
        if units.checked_mul(loss_per_unit).ok_or(SizingError::Overflow)? > risk {
            units -= Decimal::new(1, self.units_precision);
        }
        if self.maximum_units > Decimal::ZERO {
            units = units.min(
                self.maximum_units.round_dp_with_strategy(self.units_precision, RoundingStrategy::ToZero),
            );
        }
        if units < self.minimum_units || units <= Decimal::ZERO {
            return Err(SizingError::BelowMinimum { allowed: units, minimum: self.minimum_units });
        }
        Ok(units.normalize())
    }
}

/// What one pip of `units` is worth in the account's currency: units * pip * F. `None` on overflow.
pub fn pip_value(pair: Pair, units: Decimal, quote_to_account: Decimal) -> Option<Decimal> {
    units.checked_mul(pair.pip())?.checked_mul(quote_to_account)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dec(text: &str) -> Decimal {
        Decimal::from_str_exact(text).unwrap()
    }

    fn sizing(nav: &str, risk: &str, entry: &str, stop: &str, factor: &str) -> Sizing {
        Sizing {
            nav: dec(nav),
            risk_percent: dec(risk),
            entry: dec(entry),
            stop: dec(stop),
            quote_to_account: dec(factor),
            units_precision: 0,
            minimum_units: Decimal::ONE,
            maximum_units: Decimal::ZERO,
        }
    }

    #[test]
    fn units_by_hand() {
        for (nav, risk, entry, stop, factor, units) in [
            // 1 % of 10,000 USD is 100; 20 pips of one EUR_USD unit are 0.002 USD.
            ("10000", "1", "1.10500", "1.10300", "1", "50000"),
            // The same to the other side.
            ("10000", "1", "1.10500", "1.10700", "1", "50000"),
            // USD_JPY, USD account, 155 yen a dollar: 100 / (0.50 / 155) = 31,000, the factor being cut off.
            ("10000", "1", "155.000", "154.500", "0.0064516129032258064516129032", "31000"),
            // EUR_GBP, USD account, 1.27 dollars a pound: 50 / (0.0015 * 1.27) = 26,246.7.
            ("10000", "0.5", "0.85000", "0.84850", "1.27", "26246"),
            // 12.5 pips: 33.33 / 0.00125 = 26,664.
            ("3333", "1", "1.10500", "1.10375", "1", "26664"),
            // A third of a unit too little: 0.999.. of 1 / 3 stays below.
            ("100", "1", "1.50000", "1.20000", "1", "3"),
        ] {
            let found = sizing(nav, risk, entry, stop, factor).units();
            assert_eq!(found, Ok(dec(units)), "{nav} {risk} {entry} {stop} {factor}");
        }
    }

    #[test]
    fn the_loss_at_the_stop_never_exceeds_the_risk() {
        for nav in ["1000", "9999.99", "123456.78", "7"] {
            for risk in ["0.1", "0.33", "1", "2.5"] {
                for stop in ["1.10499", "1.10397", "1.09133", "1.10501"] {
                    for factor in
                        ["1", "0.0064516129032258064516129032", "1.27", "0.3333333333333333333333333333"]
                    {
                        let sizing = sizing(nav, risk, "1.10500", stop, factor);
                        let loss = |units: Decimal| units * (sizing.entry - sizing.stop).abs() * dec(factor);
                        let budget = dec(nav) * dec(risk) / Decimal::ONE_HUNDRED;
                        match sizing.units() {
                            Ok(units) => {
                                assert!(loss(units) <= budget, "{sizing:?} {units}");
                                assert!(loss(units + Decimal::ONE) > budget, "{sizing:?} {units}");
                            }
                            Err(error) => assert!(matches!(error, SizingError::BelowMinimum { .. })),
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn precision_minimum_and_maximum() {
        let base = sizing("1000", "1", "1.10500", "1.10200", "1");
        assert_eq!(base.units(), Ok(dec("3333")));
        assert_eq!(Sizing { units_precision: 2, ..base }.units(), Ok(dec("3333.33")));
        assert_eq!(Sizing { maximum_units: dec("2500.9"), ..base }.units(), Ok(dec("2500")));
        assert_eq!(
            Sizing { minimum_units: dec("5000"), ..base }.units(),
            Err(SizingError::BelowMinimum { allowed: dec("3333"), minimum: dec("5000") })
        );
        assert!(matches!(Sizing { nav: dec("0.1"), ..base }.units(), Err(SizingError::BelowMinimum { .. })));
    }

    #[test]
    fn a_quotient_that_was_rounded_up_to_a_unit_is_taken_back() {
        // 3 / 3.0000000000000000000000000001 is below 1, but not by what 28 digits can tell.
        let sizing = sizing("300", "1", "2", "1", "3.0000000000000000000000000001");
        let none = SizingError::BelowMinimum { allowed: Decimal::ZERO, minimum: Decimal::ONE };
        assert_eq!(sizing.units(), Err(none));
    }

    #[test]
    fn impossible_numbers_are_refused() {
        let base = sizing("1000", "1", "1.10500", "1.10200", "1");
        let not_positive = |sizing: Sizing, name: &str| {
            assert!(matches!(sizing.units(), Err(SizingError::NotPositive { field, .. }) if field == name));
        };
        not_positive(Sizing { nav: Decimal::ZERO, ..base }, "nav");
        not_positive(Sizing { risk_percent: dec("-1"), ..base }, "risk_percent");
        not_positive(Sizing { stop: Decimal::ZERO, ..base }, "stop");
        not_positive(Sizing { quote_to_account: Decimal::ZERO, ..base }, "quote_to_account");
        assert!(matches!(Sizing { stop: base.entry, ..base }.units(), Err(SizingError::NoDistance { .. })));
        assert!(matches!(
            Sizing { risk_percent: dec("101"), ..base }.units(),
            Err(SizingError::RiskTooHigh { .. })
        ));
        let huge = Sizing { nav: Decimal::MAX, risk_percent: dec("100"), ..base };
        assert_eq!(huge.units(), Err(SizingError::Overflow));
    }

    #[test]
    fn pip_values() {
        let pair = |text: &str| text.parse::<Pair>().unwrap();
        assert_eq!(pip_value(pair("EUR_USD"), dec("100000"), Decimal::ONE), Some(dec("10.0000")));
        assert_eq!(pip_value(pair("USD_JPY"), dec("100000"), dec("0.0064")), Some(dec("6.400000")));
        assert_eq!(pip_value(pair("EUR_USD"), Decimal::MAX, Decimal::MAX), None);
    }
}
