//! Prices as integers: ticks of the last digit of the pair's own precision.
//!
//! Owns the exact conversion between decimal text, `Decimal` and ticks. Must not round: a price that does
//! not fit is refused.

use std::fmt;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::pair::Pair;

/// A positive price in units of the pair's last digit (0.00001, or 0.001 for yen pairs).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticks(i32);

/// Why a price has no ticks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    #[error("'{found}' is no price: expected a decimal number such as 1.10451")]
    NotANumber { found: String },
    #[error("price {found} has {digits} digits after the point, {pair} has {expected}")]
    TooManyDigits { found: Decimal, digits: u32, pair: Pair, expected: u32 },
    #[error("price {found} is not above zero")]
    NotPositive { found: Decimal },
    #[error("price {found} is too large for {pair}: the largest is {largest}")]
    TooLarge { found: Decimal, pair: Pair, largest: Decimal },
}

impl Ticks {
    /// The largest price, in ticks: what Parquet's four-byte decimal holds; sums of two fit an `i32`.
    pub const MAX: i32 = 999_999_999;

    /// Ticks as such, unchecked: for values read from files whose checks come later (see
    /// [`crate::candle::Candle::faults`]).
    pub const fn new(ticks: i32) -> Self {
        Self(ticks)
    }

    /// The number of ticks.
    pub const fn get(self) -> i32 {
        self.0
    }

    /// The exact ticks of a price. Zeros at the end do not count as digits.
    pub fn from_decimal(price: Decimal, pair: Pair) -> Result<Self, PriceError> {
        let digits = pair.digits();
        if price <= Decimal::ZERO {
            return Err(PriceError::NotPositive { found: price });
        }
        let exact = price.normalize();
        if exact.scale() > digits {
            return Err(PriceError::TooManyDigits {
                found: exact,
                digits: exact.scale(),
                pair,
                expected: digits,
            });
        }
        exact
            .checked_mul(Decimal::from(10_i64.pow(digits)))
            .and_then(|ticks| ticks.to_i32())
            .filter(|ticks| *ticks <= Self::MAX)
            .map(Self)
            .ok_or_else(|| PriceError::TooLarge {
                found: price,
                pair,
                largest: Self(Self::MAX).to_decimal(pair),
            })
    }

    /// The exact ticks of a price written in decimal digits. `NaN`, exponents and the like are refused.
    pub fn parse(text: &str, pair: Pair) -> Result<Self, PriceError> {
        Self::from_decimal(parse_decimal(text)?, pair)
    }

    /// The price with all the digits of the pair: 110450 ticks of EUR_USD are 1.10450.
    pub fn to_decimal(self, pair: Pair) -> Decimal {
        Decimal::new(i64::from(self.0), pair.digits())
    }
}

/// A plain decimal number, exactly: an optional sign, digits, at most one point.
pub fn parse_decimal(text: &str) -> Result<Decimal, PriceError> {
    let plain = text.bytes().all(|c| c.is_ascii_digit() || matches!(c, b'.' | b'-' | b'+'));
    if !plain {
        return Err(PriceError::NotANumber { found: text.to_owned() });
    }
    Decimal::from_str_exact(text).map_err(|_| PriceError::NotANumber { found: text.to_owned() })
}

impl fmt::Display for Ticks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(text: &str) -> Pair {
        text.parse().unwrap()
    }

    #[test]
    fn prices_become_ticks_of_the_pairs_own_digits_and_back() {
        for (text, name, ticks, shown) in [
            ("1.10451", "EUR_USD", 110_451, "1.10451"),
            ("1.1", "EUR_USD", 110_000, "1.10000"),
            ("1.104510", "EUR_USD", 110_451, "1.10451"),
            ("0.00001", "EUR_USD", 1, "0.00001"),
            ("155.123", "USD_JPY", 155_123, "155.123"),
            ("155", "USD_JPY", 155_000, "155.000"),
            ("9999.99999", "EUR_USD", 999_999_999, "9999.99999"),
        ] {
            let found = Ticks::parse(text, pair(name)).unwrap();
            assert_eq!(found.get(), ticks, "{text} {name}");
            assert_eq!(found.to_decimal(pair(name)).to_string(), shown);
            assert_eq!(Ticks::from_decimal(found.to_decimal(pair(name)), pair(name)), Ok(found));
        }
    }

    #[test]
    fn prices_that_do_not_fit_are_refused_and_never_rounded() {
        let error = |text: &str, name: &str| Ticks::parse(text, pair(name)).unwrap_err();
        assert!(matches!(error("1.104515", "EUR_USD"), PriceError::TooManyDigits { digits: 6, .. }));
        assert!(matches!(error("155.1234", "USD_JPY"), PriceError::TooManyDigits { .. }));
        assert!(matches!(error("0", "EUR_USD"), PriceError::NotPositive { .. }));
        assert!(matches!(error("-1.1", "EUR_USD"), PriceError::NotPositive { .. }));
        assert!(matches!(error("10000", "EUR_USD"), PriceError::TooLarge { .. }));
        assert!(matches!(error("79228162514264337593543950335", "EUR_USD"), PriceError::TooLarge { .. }));
        for text in
            ["NaN", "inf", "", "1,1", "1.1.1", "1e5", "1_000", " 1", "0x1", "1.00000000000000000000000000001"]
        {
            assert!(matches!(error(text, "EUR_USD"), PriceError::NotANumber { .. }), "{text}");
        }
    }
}
