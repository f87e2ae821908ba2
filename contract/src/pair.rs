//! Currency pairs and the precision of their prices.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// A currency pair such as `EUR_USD`: the base currency in terms of the quote currency.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pair([u8; 7]);

/// Codes of ISO 4217 in use, with the metals, and CNH, under which brokers trade the offshore yuan.
const CODES: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN \
    BWP BYN BZD CAD CDF CHF CLP CNH CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL \
    GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD \
    KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK \
    NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP \
    STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XAG XAU XCD \
    XOF XPD XPF XPT YER ZAR ZMW ZWG";

/// Whether `code` is a currency or metal that a pair can be made of.
pub fn is_currency(code: &str) -> bool {
    code.len() == 3 && CODES.split(' ').any(|known| known == code)
}

impl Pair {
    /// A pair of two three-letter codes.
    pub fn new(base: &str, quote: &str) -> Result<Self, PairError> {
        format!("{base}_{quote}").parse()
    }

    /// `EUR_USD`.
    pub fn as_str(&self) -> &str {
        // Made from checked ASCII letters only, so the other branch is never taken.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The currency that is bought or sold.
    pub fn base(&self) -> &str {
        &self.as_str()[..3]
    }

    /// The currency that prices are given in.
    pub fn quote(&self) -> &str {
        &self.as_str()[4..]
    }

    /// Digits after the point of a price: 3 where the quote currency is the yen, else 5.
    pub fn digits(&self) -> u32 {
        if self.quote() == "JPY" { 3 } else { 5 }
    }

    /// The power of ten of one pip: -2 where the quote currency is the yen, else -4.
    pub fn pip_location(&self) -> i32 {
        if self.quote() == "JPY" { -2 } else { -4 }
    }

    /// One pip as a price: 0.01 or 0.0001.
    pub fn pip(&self) -> Decimal {
        Decimal::new(1, self.pip_location().unsigned_abs())
    }

    /// Ticks (the last digit of a price) in one pip.
    pub const fn ticks_per_pip(&self) -> i32 {
        10
    }
}

/// Text that names no pair.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    #[error("'{found}' is no pair: expected two currency codes joined by '_', such as EUR_USD")]
    Form { found: String },
    #[error("'{found}' is no pair: {code} is no ISO 4217 currency code")]
    Currency { found: String, code: String },
    #[error("'{found}' is no pair: both currencies are the same")]
    Same { found: String },
}

impl FromStr for Pair {
    type Err = PairError;

    fn from_str(text: &str) -> Result<Self, PairError> {
        let form = || PairError::Form { found: text.to_owned() };
        let (base, quote) = text.split_once('_').ok_or_else(form)?;
        let is_code = |code: &str| code.len() == 3 && code.bytes().all(|c| c.is_ascii_uppercase());
        if !is_code(base) || !is_code(quote) {
            return Err(form());
        }
        if let Some(code) = [base, quote].into_iter().find(|code| !is_currency(code)) {
            return Err(PairError::Currency { found: text.to_owned(), code: code.to_owned() });
        }
        if base == quote {
            return Err(PairError::Same { found: text.to_owned() });
        }
        text.as_bytes().try_into().map(Self).map_err(|_| form())
    }
}

impl TryFrom<String> for Pair {
    type Error = PairError;

    fn try_from(text: String) -> Result<Self, PairError> {
        text.parse()
    }
}

impl From<Pair> for String {
    fn from(pair: Pair) -> Self {
        pair.to_string()
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_knows_its_parts_and_its_precision() {
        let pair: Pair = "EUR_USD".parse().unwrap();
        assert_eq!((pair.base(), pair.quote(), pair.digits(), pair.pip_location()), ("EUR", "USD", 5, -4));
        assert_eq!(pair.pip().to_string(), "0.0001");
        let yen = Pair::new("USD", "JPY").unwrap();
        assert_eq!((yen.digits(), yen.pip_location(), yen.pip().to_string()), (3, -2, "0.01".to_owned()));
        // The yen as base does not change the precision: the quote currency decides.
        assert_eq!(Pair::new("JPY", "USD").unwrap().digits(), 5);
    }

    #[test]
    fn other_text_is_refused_by_name() {
        let error = |text: &str| text.parse::<Pair>().unwrap_err();
        assert!(matches!(error("EURUSD"), PairError::Form { .. }));
        assert!(matches!(error("eur_usd"), PairError::Form { .. }));
        assert!(matches!(error("EUR_USD_"), PairError::Form { .. }));
        assert!(matches!(error("../_EUR"), PairError::Form { .. }));
        assert!(matches!(error("EUR_EUR"), PairError::Same { .. }));
        assert_eq!(error("EUR_UDS").to_string(), "'EUR_UDS' is no pair: UDS is no ISO 4217 currency code");
    }
}
