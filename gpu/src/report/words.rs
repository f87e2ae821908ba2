//! The words and numbers of a report: pips, shares, moments, criteria.
//!
//! Owns how a quantity is written, on the page and on the terminal. Must not compute any.

use jiff::Timestamp;

use crate::backtest::{CENTITICKS, Costs, Exit, PIP};
use crate::output::counted;
use crate::verdict::gate::{Bound, Criterion, Name};
use crate::verdict::{Demands, Evidence};

/// An amount in pips with a sign and one digit after the point: `+1,234.5`.
pub fn pips(centiticks: i64) -> String {
    with_plus(plain_pips(centiticks))
}

/// The same without a plus, for depths and distances.
pub fn plain_pips(centiticks: i64) -> String {
    let tenth = u64::from(PIP.unsigned_abs()) / 10;
    let tenths = (centiticks.unsigned_abs() + tenth / 2) / tenth;
    let text = format!("{}.{}", grouped(tenths / 10), tenths % 10);
    if centiticks < 0 { with_minus(text) } else { text }
}

/// A mean amount in pips with a sign and two digits after the point.
pub fn mean_pips(centiticks: f64) -> String {
    signed(in_pips(centiticks), 2)
}

/// Centi-ticks as pips.
pub fn in_pips(centiticks: f64) -> f64 {
    centiticks / f64::from(PIP)
}

/// A number with a sign, commas and so many digits after the point; zero has no sign.
pub fn signed(number: f64, digits: usize) -> String {
    with_plus(plain(number, digits))
}

/// The same without a plus.
pub fn plain(number: f64, digits: usize) -> String {
    let text = format!("{:.digits$}", number.abs());
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let text = whole.parse().map_or_else(|_| text.clone(), |whole| format!("{}{fraction}", grouped(whole)));
    if number < 0.0 { with_minus(text) } else { text }
}

fn is_zero(text: &str) -> bool {
    !text.bytes().any(|digit| (b'1'..=b'9').contains(&digit))
}

fn with_minus(text: String) -> String {
    if is_zero(&text) { text } else { format!("−{text}") }
}

fn with_plus(text: String) -> String {
    if is_zero(&text) || text.starts_with('−') { text } else { format!("+{text}") }
}

/// A number with a comma after every three digits.
pub fn grouped(number: u64) -> String {
    crate::output::grouped(usize::try_from(number).unwrap_or(usize::MAX))
}

/// A share: `62.4 %`.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A moment to the minute, UTC.
pub fn minute(second: i64) -> String {
    Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH).strftime("%Y-%m-%d %H:%M").to_string()
}

/// The day of a moment, UTC.
pub fn day(second: i64) -> String {
    Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH).strftime("%Y-%m-%d").to_string()
}

/// A price in ticks as its decimal, with so many digits after the point.
pub fn price(half_ticks: i32, digits: u32) -> String {
    let units = 10_u64.pow(digits);
    let ticks = u64::from(half_ticks.unsigned_abs() / 2);
    let half = if half_ticks % 2 == 0 { "" } else { "5" };
    let width = usize::try_from(digits).unwrap_or(0);
    format!("{}{}.{:0width$}{half}", if half_ticks < 0 { "−" } else { "" }, ticks / units, ticks % units)
}

/// What a criterion is called.
pub const fn name(name: Name) -> &'static str {
    match name {
        Name::Sample => "Enough trades and days",
        Name::Profit => "Profit walking forward",
        Name::Folds => "Slices that earned",
        Name::Paths => "Cross-validation paths that earned",
        Name::BaseRates => "Better than blind trading",
        Name::Timing => "Better than the same trades at other times",
        Name::Overfit => "Probability of overfitting (PBO)",
        Name::Deflated => "Better than the luckiest trial (deflated Sharpe)",
        Name::Drawdown => "Drawdown against profit",
        Name::Turnover => "Mean trade after costs",
        Name::RandomWalk => "Better than the search on random walks",
    }
}

/// What a criterion found and what it demands, in its own unit.
pub fn found_and_demanded(criterion: &Criterion, evidence: &Evidence) -> (String, String) {
    let sample =
        |trades: u32, days: usize| format!("{}, {}", counted(trades as usize, "trade"), counted(days, "day"));
    if criterion.name == Name::Sample {
        // The measure is the scarcer of both, as a share of what is needed: nobody reads that.
        let Demands { trades, days, .. } = Demands::default();
        let found = sample(evidence.trades.trades, evidence.days.len());
        return (found, format!("at least {}", sample(trades, days)));
    }
    let unit = |value: f64| match criterion.name {
        Name::Timing | Name::RandomWalk => format!("p = {value:.3}"),
        Name::BaseRates | Name::Turnover => format!("{} pips", mean_pips(value)),
        _ => percent(value),
    };
    let missing = match criterion.name {
        Name::Drawdown => "no profit",
        Name::RandomWalk => "not asked",
        _ => "not measured",
    };
    let found = criterion.found.map_or_else(|| missing.to_owned(), unit);
    let found = if criterion.name == Name::Profit { format!("confidence {found}") } else { found };
    let demanded = match criterion.demanded {
        Bound::AtLeast(bound) => format!("at least {}", unit(bound)),
        Bound::AtMost(bound) => format!("at most {}", unit(bound)),
        Bound::Above(bound) => format!("more than {}", unit(bound)),
    };
    (found, demanded)
}

/// Why a trade ended.
pub const fn exit(exit: Exit) -> &'static str {
    match exit {
        Exit::Stop => "stop",
        Exit::Target => "target",
        Exit::Gap => "gap at the open",
        Exit::Time => "longest hold",
        Exit::End => "end of the slice",
    }
}

/// What trading was assumed to cost, a line each.
pub fn costs(costs: &Costs, assumed_spread: bool) -> Vec<String> {
    let amount = |centiticks: i32| {
        let thousandths = centiticks.unsigned_abs() % PIP.unsigned_abs();
        let text = format!("{}.{thousandths:03}", centiticks.unsigned_abs() / PIP.unsigned_abs());
        let text = text.trim_end_matches('0').trim_end_matches('.').to_owned();
        format!("{text} pip{}", if text == "1" { "" } else { "s" })
    };
    let night = |side: &str, cost: i32| match cost {
        0 => format!("Swap of a {side}: none"),
        1.. => format!("Swap of a {side}: costs {} a night, three times on Wednesdays", amount(cost)),
        _ => format!("Swap of a {side}: earns {} a night, three times on Wednesdays", amount(cost)),
    };
    let spread = if assumed_spread {
        "Spread: ASSUMED by whoever imported the candles; they came without bid and ask"
    } else {
        "Spread: bid and ask of every bar"
    };
    vec![
        spread.to_owned(),
        format!("Slippage of market and stop orders: {} worse", amount(costs.slippage * CENTITICKS)),
        format!("Commission of a trade, in and out: {}", amount(costs.commission)),
        night("BUY", costs.swap_buy),
        night("SELL", costs.swap_sell),
    ]
}

/// Text that begins like a sentence, and whose numbers have the minus that all others here have: a model's file keeps
/// to plain letters.
pub fn sentence(text: &str) -> String {
    let mut sentence = String::with_capacity(text.len() + 2);
    let mut letters = text.chars().peekable();
    let mut before = ' ';
    while let Some(letter) = letters.next() {
        let begins = matches!(before, ' ' | '(') && letters.peek().is_some_and(char::is_ascii_digit);
        match letter {
            _ if sentence.is_empty() => sentence.extend(letter.to_uppercase()),
            '-' if begins => sentence.push('−'),
            _ => sentence.push(letter),
        }
        before = letter;
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pips_are_rounded_once_and_nothing_is_minus_zero() {
        assert_eq!(
            [1_234_549, 1_234_550, -50, -49, 0, 1_000].map(pips),
            ["+1,234.5", "+1,234.6", "−0.1", "0.0", "0.0", "+1.0"]
        );
        assert_eq!([-4.0, 4.0, 5.1, -1234.0].map(mean_pips), ["0.00", "0.00", "+0.01", "−1.23"]);
        assert_eq!(signed(-12_345.67, 1), "−12,345.7");
        assert_eq!([23_000, -23_000, -49].map(plain_pips), ["23.0", "−23.0", "0.0"]);
        assert_eq!([1234.4, -1234.4, -0.4].map(|number| plain(number, 0)), ["1,234", "−1,234", "0"]);
    }

    #[test]
    fn sentences_begin_large_and_have_a_minus_where_a_number_has_one() {
        assert_eq!(
            sentence("the mean lost -0.25 pips (between -1 and 2) on 2024-01-02, walk-forward -"),
            "The mean lost −0.25 pips (between −1 and 2) on 2024-01-02, walk-forward -"
        );
        assert_eq!(sentence(""), "");
    }

    #[test]
    fn prices_keep_their_digits_and_the_half_tick() {
        assert_eq!(price(220_012, 5), "1.10006");
        assert_eq!(price(220_013, 5), "1.100065");
        assert_eq!(price(300_000, 3), "150.000");
    }

    #[test]
    fn costs_in_pips_to_the_last_digit() {
        let costs = costs(&Costs { slippage: 2, commission: 700, swap_buy: 905, swap_sell: -20 }, true);
        assert_eq!(
            costs[1..],
            [
                "Slippage of market and stop orders: 0.2 pips worse",
                "Commission of a trade, in and out: 0.7 pips",
                "Swap of a BUY: costs 0.905 pips a night, three times on Wednesdays",
                "Swap of a SELL: earns 0.02 pips a night, three times on Wednesdays",
            ]
        );
        assert!(costs[0].contains("ASSUMED"));
    }

    #[test]
    fn moments_are_utc() {
        assert_eq!(
            (minute(1_704_067_200), day(1_704_067_199)),
            ("2024-01-01 00:00".into(), "2023-12-31".into())
        );
    }
}
