//! What kind of account it is, and what no account can be.

use rust_decimal::Decimal;
use sep_contract::Pair;
use sep_contract::pair::is_currency;

/// What kind of account it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What it begins with.
    pub nav: Decimal,
    /// Its currency's code.
    pub currency: String,
    /// Percent of the net asset value that a position's stop may cost.
    pub risk_percent: Decimal,
    /// Digits after the point of units.
    pub units_precision: u32,
    pub minimum_units: Decimal,
    /// The largest position.
    pub maximum_units: Decimal,
    /// One value of the equity is kept for each span of so many seconds, its last.
    pub sample_seconds: i64,
}

/// Why an account cannot be played.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    #[error("the account's currency is '{found}': expected an ISO 4217 code such as USD")]
    Currency { found: String },
    #[error("the account begins with {found}: expected more than 0, at most {MOST_NAV}")]
    Nav { found: Decimal },
    #[error("the risk is {found} percent of the account: expected more than 0, at most 100")]
    Risk { found: Decimal },
    #[error("{pair} is booked in {currency}, but no candles lead from {from} to {currency}: import {wanted}")]
    NoWay { pair: Pair, from: String, currency: String, wanted: String },
    #[error("{pair}: the numbers are too large to be multiplied exactly")]
    Overflow { pair: Pair },
}

/// The largest beginning, so that no product leaves the decimals.
const MOST_NAV: i64 = 1_000_000_000_000;

impl Default for Settings {
    /// 10,000 USD, 1 percent at risk, whole units, positions up to a hundred million.
    fn default() -> Self {
        Self {
            nav: Decimal::new(10_000, 0),
            currency: "USD".to_owned(),
            risk_percent: Decimal::ONE,
            units_precision: 0,
            minimum_units: Decimal::ONE,
            maximum_units: Decimal::new(100_000_000, 0),
            sample_seconds: 3_600,
        }
    }
}

impl Settings {
    pub(super) fn check(&self) -> Result<(), AccountError> {
        if !is_currency(&self.currency) {
            return Err(AccountError::Currency { found: self.currency.clone() });
        }
        if self.nav <= Decimal::ZERO || self.nav > Decimal::from(MOST_NAV) {
            return Err(AccountError::Nav { found: self.nav });
        }
        if self.risk_percent <= Decimal::ZERO || self.risk_percent > Decimal::ONE_HUNDRED {
            return Err(AccountError::Risk { found: self.risk_percent });
        }
        Ok(())
    }
}
