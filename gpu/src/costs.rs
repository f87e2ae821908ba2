//! What trading costs, as its users write it: pips and percents, for every pair or for one.
//!
//! Owns the costs file, the built-in figures, and the exact conversion into the backtest's whole numbers.
//! Must not compute any trade. The spread is no part of it: that is in the bars.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use sep_contract::Pair;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::backtest::{CENTITICKS, Costs, PIP, PIP_DIGITS};

/// The file and the built-in figures in words, for `--help`.
pub const HELP: &str = "\
A costs file (YAML or JSON) says what trading costs besides the spread, which is in the candles:

  default:
    slippage: 0.2     # pips by which market and stop orders fill worse
    commission: 0.7   # pips a trade, in and out together: 7 USD per 100,000 EUR on EUR_USD
    swap_buy: 0.9     # pips that a night costs a BUY; negative where it earns
    swap_sell: 0.3    # the same for a SELL; Wednesday's night counts three times
    margin: 3.33      # percent of a position's value
  pairs:
    USD_JPY: { swap_buy: -1.1, swap_sell: 2.4 }

What a pair leaves out falls to the default, and what that leaves out to the built-in figures, which are meant \
to be worse than what most pay: slippage 0.2, commission 0, swap 1 pip a night on both sides, margin 3.33 % \
between USD, EUR, JPY, GBP, CAD and CHF, else 5 %.";

/// Two of these make a major pair (the currencies of ESMA's decision (EU) 2018/796, where 30:1 is allowed).
const MAJORS: [&str; 6] = ["USD", "EUR", "JPY", "GBP", "CAD", "CHF"];
/// The dearest figure that a file may hold, in pips: more is a mistake in the unit, and sums of nights would
/// leave 32 bits.
const MOST_PIPS: i64 = 50;

/// What trading one pair costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    pub pair: Pair,
    /// In the backtest's numbers.
    pub costs: Costs,
    /// Margin as percent of a position's value.
    pub margin: Decimal,
}

/// What trading costs, for all pairs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostBook {
    #[serde(default)]
    default: Entry,
    #[serde(default, deserialize_with = "each_pair_once")]
    pairs: BTreeMap<Pair, Entry>,
}

/// What a file says for one pair, or for all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Ticks.
    #[serde(default, deserialize_with = "slippage")]
    slippage: Option<i32>,
    /// Centi-ticks, as are the swaps.
    #[serde(default, deserialize_with = "commission")]
    commission: Option<i32>,
    #[serde(default, deserialize_with = "swap")]
    swap_buy: Option<i32>,
    #[serde(default, deserialize_with = "swap")]
    swap_sell: Option<i32>,
    /// Percent.
    #[serde(default, deserialize_with = "margin")]
    margin: Option<Decimal>,
}

/// Why a costs file is refused.
#[derive(Debug, thiserror::Error)]
pub enum CostsError {
    #[error("cannot read {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: {detail}. See 'sep-gpu backtest --help' for the form of a costs file.", path.display())]
    Form { path: PathBuf, detail: String },
}

impl CostBook {
    /// Reads a file: JSON where its name ends so, else YAML.
    pub fn read(path: &Path) -> Result<Self, CostsError> {
        let text =
            fs::read_to_string(path).map_err(|source| CostsError::Io { path: path.to_owned(), source })?;
        let json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        let book = if json {
            serde_json::from_str(&text).map_err(|error| error.to_string())
        } else {
            serde_yaml::from_str(&text).map_err(|error| error.to_string())
        };
        book.map_err(|detail| CostsError::Form { path: path.to_owned(), detail })
    }

    /// What a pair costs.
    pub fn terms(&self, pair: Pair) -> Terms {
        let own = self.pairs.get(&pair).copied().unwrap_or_default();
        let built_in = Entry::built_in(pair);
        let pick = |field: fn(&Entry) -> Option<i32>| {
            [&own, &self.default, &built_in].into_iter().find_map(field).unwrap_or_default()
        };
        let margin = own.margin.or(self.default.margin).or(built_in.margin).unwrap_or_default();
        let costs = Costs {
            slippage: pick(|entry| entry.slippage),
            commission: pick(|entry| entry.commission),
            swap_buy: pick(|entry| entry.swap_buy),
            swap_sell: pick(|entry| entry.swap_sell),
        };
        Terms { pair, costs, margin }
    }
}

impl Entry {
    fn built_in(pair: Pair) -> Self {
        let major = [pair.base(), pair.quote()].iter().all(|code| MAJORS.contains(code));
        let night = pair.ticks_per_pip() * CENTITICKS;
        Self {
            slippage: Some(2),
            commission: Some(0),
            swap_buy: Some(night),
            swap_sell: Some(night),
            margin: Some(if major { Decimal::new(333, 2) } else { Decimal::new(5, 0) }),
        }
    }
}

/// Ticks in one pip; the same for every pair.
const TICKS: i64 = (PIP / CENTITICKS) as i64;

/// Pips as a whole number of a smaller unit.
fn whole<E: Error>(pips: Decimal, units: i64, least: i64) -> Result<Option<i32>, E> {
    let range = Decimal::from(least)..=Decimal::from(MOST_PIPS);
    let number = Some(pips)
        .filter(|pips| range.contains(pips))
        .map(|pips| pips * Decimal::from(units))
        .filter(Decimal::is_integer)
        .and_then(|number| number.to_i32());
    let smallest = Decimal::ONE / Decimal::from(units);
    let expected = || format!("{pips} pips: expected {least} to {MOST_PIPS} pips in steps of {smallest}");
    number.map(Some).ok_or_else(|| E::custom(expected()))
}

fn slippage<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i32>, D::Error> {
    whole(<Decimal as Deserialize>::deserialize(from)?, TICKS, 0)
}

fn commission<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i32>, D::Error> {
    whole(<Decimal as Deserialize>::deserialize(from)?, i64::from(PIP), 0)
}

fn swap<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i32>, D::Error> {
    whole(<Decimal as Deserialize>::deserialize(from)?, i64::from(PIP), -MOST_PIPS)
}

fn margin<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Decimal>, D::Error> {
    let percent = <Decimal as Deserialize>::deserialize(from)?;
    if percent > Decimal::ZERO && percent <= Decimal::ONE_HUNDRED {
        return Ok(Some(percent));
    }
    Err(D::Error::custom(format!("margin {percent}: expected a percentage above 0, at most 100")))
}

/// A map that refuses a pair that stands there twice, where serde would take the last one.
fn each_pair_once<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<Pair, Entry>, D::Error> {
    struct Pairs;

    impl<'de> Visitor<'de> for Pairs {
        type Value = BTreeMap<Pair, Entry>;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("pairs with their costs")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = BTreeMap::new();
            while let Some((pair, entry)) = map.next_entry::<Pair, Entry>()? {
                if pairs.insert(pair, entry).is_some() {
                    return Err(A::Error::custom(format!("{pair} is there twice")));
                }
            }
            Ok(pairs)
        }
    }

    from.deserialize_map(Pairs)
}

/// Centi-ticks in pips, exactly.
pub fn pips(centiticks: i64) -> Decimal {
    Decimal::new(centiticks, PIP_DIGITS).normalize()
}

impl fmt::Display for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Costs { slippage, commission, swap_buy, swap_sell } = self.costs;
        write!(
            f,
            "slippage {} pips a fill, commission {} pips a trade, swap {} (BUY) and {} (SELL) pips a night, margin {} %",
            pips(i64::from(slippage) * i64::from(CENTITICKS)),
            pips(i64::from(commission)),
            pips(i64::from(swap_buy)),
            pips(i64::from(swap_sell)),
            self.margin.normalize()
        )
    }
}

/// In pips and percent, as text, so that no reader rounds them.
impl Serialize for Terms {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown {
            pair: Pair,
            slippage_pips: Decimal,
            commission_pips: Decimal,
            swap_buy_pips: Decimal,
            swap_sell_pips: Decimal,
            margin_percent: Decimal,
        }
        let Costs { slippage, commission, swap_buy, swap_sell } = self.costs;
        let shown = Shown {
            pair: self.pair,
            slippage_pips: pips(i64::from(slippage) * i64::from(CENTITICKS)),
            commission_pips: pips(i64::from(commission)),
            swap_buy_pips: pips(i64::from(swap_buy)),
            swap_sell_pips: pips(i64::from(swap_sell)),
            margin_percent: self.margin.normalize(),
        };
        shown.serialize(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(text: &str) -> Pair {
        text.parse().unwrap()
    }

    fn yaml(text: &str) -> Result<CostBook, String> {
        serde_yaml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn pips_become_ticks_exactly_and_what_is_left_out_falls_back() {
        let text = "
default:
  slippage: 0.3
  commission: 0.7
  margin: 3.5
pairs:
  USD_JPY: { swap_buy: -1.123, swap_sell: 2.4, slippage: 1 }
  AUD_NZD: { margin: '10' }
";
        let book = yaml(text).unwrap();
        let yen = book.terms(pair("USD_JPY"));
        let costs = Costs { slippage: 10, commission: 700, swap_buy: -1_123, swap_sell: 2_400 };
        assert_eq!((yen.costs, yen.margin.to_string().as_str()), (costs, "3.5"));
        let other = book.terms(pair("AUD_NZD"));
        let costs = Costs { slippage: 3, commission: 700, swap_buy: 1_000, swap_sell: 1_000 };
        assert_eq!((other.costs, other.margin.to_string().as_str()), (costs, "10"));
        assert_eq!(
            yen.to_string(),
            "slippage 1 pips a fill, commission 0.7 pips a trade, swap -1.123 (BUY) and 2.4 (SELL) pips a night, margin 3.5 %"
        );
        let json = r#"{"default": {"slippage": 0.3, "commission": 0.7, "margin": 3.5},
            "pairs": {"USD_JPY": {"swap_buy": -1.123, "swap_sell": 2.4, "slippage": 1}, "AUD_NZD": {"margin": 10}}}"#;
        assert_eq!(serde_json::from_str::<CostBook>(json).unwrap(), book);
    }

    #[test]
    fn without_a_file_both_sides_pay_for_the_night() {
        let costs = Costs { slippage: 2, commission: 0, swap_buy: 1_000, swap_sell: 1_000 };
        for (name, margin) in [("EUR_USD", "3.33"), ("CAD_JPY", "3.33"), ("AUD_USD", "5"), ("EUR_PLN", "5")] {
            let terms = CostBook::default().terms(pair(name));
            assert_eq!((terms.costs, terms.margin.to_string().as_str()), (costs, margin), "{name}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, expected) in [
            ("default:\n  slipage: 0.2\n", "unknown field `slipage`"),
            ("pairs: {}\ndefaults: {}\n", "unknown field `defaults`"),
            ("pairs:\n  EUR_UDS: { slippage: 1 }\n", "UDS is no ISO 4217 currency code"),
            ("pairs:\n  EUR_USD: { slippage: 1 }\n  EUR_USD: { slippage: 2 }\n", "EUR_USD is there twice"),
            ("default:\n  slippage: 0.25\n", "0.25 pips: expected 0 to 50 pips in steps of 0.1"),
            ("default:\n  slippage: -1\n", "-1 pips: expected 0 to 50 pips"),
            ("default:\n  commission: 0.0001\n", "0.0001 pips: expected 0 to 50 pips in steps of 0.001"),
            ("default:\n  swap_buy: 51\n", "51 pips: expected -50 to 50 pips in steps of 0.001"),
            ("default:\n  margin: 0\n", "margin 0: expected a percentage above 0"),
            ("default:\n  margin: much\n", "invalid value"),
        ] {
            let error = yaml(text).unwrap_err();
            assert!(error.contains(expected) && error.contains("line"), "{text}: {error}");
        }
    }

    #[test]
    fn the_example_of_the_help_is_a_costs_file() {
        let example: String =
            HELP.lines().filter(|line| line.starts_with("  ")).map(|line| format!("{line}\n")).collect();
        let book = yaml(&example).unwrap();
        assert_eq!(book.terms(pair("USD_JPY")).costs.swap_sell, 2_400);
    }
}
