//! The decision about one signal: a pure function of the signal, the settings and the database's clock.
//!
//! Owns every reason for a refusal. The first that applies is given, the most lasting ones first.

use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

use crate::engine::model::{Decision, Outcome, Settings, Side, Signal};

/// How far ahead of the database's clock a bar's close may lie: the workstation's clock is not the droplet's.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(2);

/// Why a signal is not traded.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    #[error("expired {late} s ago, at {expired_at}")]
    Expired { expired_at: Timestamp, late: i64 },
    #[error("its bar closes at {bar_close}, {ahead} s from now: nobody can know it yet")]
    BarNotClosed { bar_close: Timestamp, ahead: i64 },
    #[error("pair {pair} is not in trading_pairs")]
    PairUnknown { pair: String },
    #[error("pair {pair} is disabled")]
    PairDisabled { pair: String },
    #[error("{what} {price} has more than the {digits} digits of {pair}")]
    PriceTooFine { what: &'static str, price: Decimal, digits: u32, pair: String },
    #[error("a {side} needs its stop {needed} {limit}, found {stop}")]
    StopWrongSide { side: Side, needed: &'static str, limit: String, stop: Decimal },
    #[error("a {side} needs its target {needed} {limit}, found {target}")]
    TargetWrongSide { side: Side, needed: &'static str, limit: String, target: Decimal },
    #[error("confidence {found} is below the configured {minimum}")]
    ConfidenceTooLow { found: Decimal, minimum: Decimal },
    #[error("the account is halted")]
    Halted,
}

impl Refusal {
    /// The reason as signal_decisions.reason_code has it.
    pub const fn code(&self) -> &'static str {
        match self {
            Refusal::Expired { .. } => "expired",
            Refusal::BarNotClosed { .. } => "bar_not_closed",
            Refusal::PairUnknown { .. } => "pair_unknown",
            Refusal::PairDisabled { .. } => "pair_disabled",
            Refusal::PriceTooFine { .. } => "price_too_fine",
            Refusal::StopWrongSide { .. } => "stop_wrong_side",
            Refusal::TargetWrongSide { .. } => "target_wrong_side",
            Refusal::ConfidenceTooLow { .. } => "confidence_too_low",
            Refusal::Halted => "halted",
        }
    }
}

/// Decides. `now` is the database's clock.
pub fn judge(signal: &Signal, settings: &Settings, now: Timestamp) -> Decision {
    let (outcome, code, reason) = match refuse(signal, settings, now) {
        Some(refusal) => (Outcome::Refuse, refusal.code(), refusal.to_string()),
        None => (Outcome::WouldEnter, "would_enter", would_enter(signal)),
    };
    Decision { signal_id: signal.id, strategy: signal.strategy.clone(), outcome, code, reason }
}

fn would_enter(signal: &Signal) -> String {
    let Signal { side, pair, stop, target, confidence, .. } = signal;
    let market = match &signal.quote {
        Some(quote) => format!("bid {} and ask {} of {}", quote.bid, quote.ask, quote.time),
        None => "no recent candle to compare with".to_owned(),
    };
    format!("would {side} {pair}: stop {stop}, target {target}, confidence {confidence}; {market}")
}

fn refuse(signal: &Signal, settings: &Settings, now: Timestamp) -> Option<Refusal> {
    if signal.expires_at <= now {
        let late = now.duration_since(signal.expires_at).as_secs();
        return Some(Refusal::Expired { expired_at: signal.expires_at, late });
    }
    let ahead = signal.bar_close.duration_since(now);
    if ahead > CLOCK_TOLERANCE {
        return Some(Refusal::BarNotClosed { bar_close: signal.bar_close, ahead: ahead.as_secs() });
    }
    let Some(pair) = settings.pairs.get(&signal.pair) else {
        return Some(Refusal::PairUnknown { pair: signal.pair.clone() });
    };
    if !pair.enabled {
        return Some(Refusal::PairDisabled { pair: signal.pair.clone() });
    }
    for (what, price) in [("stop", signal.stop), ("target", signal.target)] {
        if price.normalize().scale() > pair.digits {
            let (digits, pair) = (pair.digits, signal.pair.clone());
            return Some(Refusal::PriceTooFine { what, price, digits, pair });
        }
    }
    if let Some(refusal) = wrong_side(signal) {
        return Some(refusal);
    }
    if signal.confidence < settings.min_confidence {
        let (found, minimum) = (signal.confidence, settings.min_confidence);
        return Some(Refusal::ConfidenceTooLow { found, minimum });
    }
    settings.halted.then_some(Refusal::Halted)
}

/// A trade is closed at the other side's price: the stop and the target of a buy are touched by the bid, those
/// of a sell by the ask. So both must lie outside of the spread, or the trade ends as it begins.
fn wrong_side(signal: &Signal) -> Option<Refusal> {
    let Signal { side, stop, target, .. } = signal;
    let (side, stop, target) = (*side, *stop, *target);
    let beyond = |price: Decimal, limit: Decimal, needed: &str| match needed {
        "below" => price < limit,
        _ => price > limit,
    };
    let (stop_needed, target_needed) = match side {
        Side::Buy => ("below", "above"),
        Side::Sell => ("above", "below"),
    };
    let (stop_limit, target_limit, stop_name, target_name) = match (&signal.quote, side) {
        (Some(quote), Side::Buy) => {
            (quote.bid, quote.ask, format!("the bid {}", quote.bid), format!("the ask {}", quote.ask))
        }
        (Some(quote), Side::Sell) => {
            (quote.ask, quote.bid, format!("the ask {}", quote.ask), format!("the bid {}", quote.bid))
        }
        (None, _) => (target, stop, format!("its target {target}"), format!("its stop {stop}")),
    };
    if !beyond(stop, stop_limit, stop_needed) {
        return Some(Refusal::StopWrongSide { side, needed: stop_needed, limit: stop_name, stop });
    }
    if !beyond(target, target_limit, target_needed) {
        return Some(Refusal::TargetWrongSide { side, needed: target_needed, limit: target_name, target });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::{PairSettings, Quote};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn dec(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn settings() -> Settings {
        let pair = |name: &str, enabled, digits| (name.to_owned(), PairSettings { enabled, digits });
        let pairs = [pair("EUR_USD", true, 5), pair("USD_JPY", true, 3), pair("GBP_USD", false, 5)];
        Settings { halted: false, min_confidence: dec("0.65"), pairs: pairs.into_iter().collect() }
    }

    fn signal() -> Signal {
        Signal {
            id: 7,
            strategy: "qfh".to_owned(),
            pair: "EUR_USD".to_owned(),
            timeframe: "M1".to_owned(),
            bar_close: at("2026-11-20T10:00:00Z"),
            side: Side::Buy,
            confidence: dec("0.700000"),
            stop: dec("1.09900"),
            target: dec("1.10200"),
            expires_at: at("2026-11-20T10:05:00Z"),
            quote: None,
        }
    }

    fn quote(bid: &str, ask: &str) -> Option<Quote> {
        Some(Quote { time: at("2026-11-20T10:00:00Z"), bid: dec(bid), ask: dec(ask) })
    }

    /// The code given to the usual signal after `change`, at ten o'clock and one second.
    fn code(change: impl FnOnce(&mut Signal, &mut Settings)) -> &'static str {
        let (mut signal, mut settings) = (signal(), settings());
        change(&mut signal, &mut settings);
        judge(&signal, &settings, at("2026-11-20T10:00:01Z")).code
    }

    type Change = fn(&mut Signal, &mut Settings);

    #[test]
    fn every_reason_is_given_where_it_applies() {
        let table: &[(&str, Change)] = &[
            ("would_enter", |_, _| {}),
            ("would_enter", |s, _| s.quote = quote("1.10000", "1.10010")),
            ("would_enter", |s, _| s.confidence = dec("0.65")),
            ("would_enter", |s, _| s.bar_close = at("2026-11-20T10:00:03Z")),
            ("would_enter", |s, _| s.expires_at = at("2026-11-20T10:00:01.000001Z")),
            ("would_enter", |s, _| s.stop = dec("1.0990000")),
            ("would_enter", |s, _| (s.side, s.stop, s.target) = (Side::Sell, dec("1.102"), dec("1.099"))),
            ("expired", |s, _| s.expires_at = at("2026-11-20T10:00:01Z")),
            ("expired", |s, c| (s.expires_at, c.halted) = (at("2026-11-20T09:00:00Z"), true)),
            ("bar_not_closed", |s, _| s.bar_close = at("2026-11-20T10:00:04Z")),
            ("pair_unknown", |s, _| s.pair = "EUR_XXX".to_owned()),
            ("pair_disabled", |s, _| s.pair = "GBP_USD".to_owned()),
            ("price_too_fine", |s, _| s.stop = dec("1.099001")),
            ("price_too_fine", |s, _| s.target = dec("1.102001")),
            ("price_too_fine", |s, _| (s.pair, s.stop) = ("USD_JPY".to_owned(), dec("1.0991"))),
            // Zeros at the end do not make a price finer.
            ("would_enter", |s, _| s.pair = "USD_JPY".to_owned()),
            ("stop_wrong_side", |s, _| s.stop = dec("1.10200")),
            ("stop_wrong_side", |s, _| s.side = Side::Sell),
            ("stop_wrong_side", |s, _| s.quote = quote("1.09900", "1.09910")),
            ("stop_wrong_side", |s, _| {
                (s.side, s.stop, s.target) = (Side::Sell, dec("1.102"), dec("1.099"));
                s.quote = quote("1.10190", "1.10200");
            }),
            ("target_wrong_side", |s, _| s.quote = quote("1.10190", "1.10200")),
            ("target_wrong_side", |s, _| {
                (s.side, s.stop, s.target) = (Side::Sell, dec("1.102"), dec("1.099"));
                s.quote = quote("1.09900", "1.09910");
            }),
            ("confidence_too_low", |s, _| s.confidence = dec("0.649999")),
            ("halted", |_, c| c.halted = true),
        ];
        for (row, (expected, change)) in table.iter().enumerate() {
            assert_eq!(code(change), *expected, "row {row}");
        }
    }

    #[test]
    fn the_reason_says_what_was_found_and_what_was_expected() {
        let reason = |change: Change| {
            let (mut signal, mut settings) = (signal(), settings());
            change(&mut signal, &mut settings);
            judge(&signal, &settings, at("2026-11-20T10:06:40Z")).reason
        };
        assert_eq!(reason(|_, _| {}), "expired 100 s ago, at 2026-11-20T10:05:00Z");
        let later: Change = |s, _| s.expires_at = at("2026-11-20T11:00:00Z");
        assert_eq!(
            reason(later),
            "would buy EUR_USD: stop 1.09900, target 1.10200, confidence 0.700000; no recent candle to compare with"
        );
        assert_eq!(
            reason(|s, _| {
                s.expires_at = at("2026-11-20T11:00:00Z");
                s.quote = quote("1.09900", "1.09912");
            }),
            "a buy needs its stop below the bid 1.09900, found 1.09900"
        );
    }
}
