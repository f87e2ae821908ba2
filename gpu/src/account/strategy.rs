//! What an account is played with: one pair's rules, and the bars that they are played on.
//!
//! Owns making both ready: which bars are loaded, and from where on they are played. Must not choose rules.

use std::ops::Range;

use jiff::{SignedDuration, Timestamp};
use sep_contract::{Pair, Timeframe};

use super::{Leg, conversions};
use crate::backtest::Run;
use crate::bars::Bars;
use crate::costs::Terms;
use crate::history::confirmed::prepare;
use crate::history::{History, HistoryError};
use crate::lane::Lane;
use crate::qfh::{Constants, Features};
use crate::store::{Store, StoreError};
use crate::variant::{Space, Variant};

/// Rules for one pair.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    pub variant: Variant,
    pub constants: Constants,
    /// Where they come from, in words.
    pub from: String,
    /// The candles that they were chosen by, where that is known: open of the first, close of the last.
    pub chosen_by: Option<(Timestamp, Timestamp)>,
}

/// Rules with their bars.
#[derive(Debug, Clone)]
pub struct Strategy {
    pub rules: Rules,
    pub terms: Terms,
    pub history: History,
    /// The bars that are played; those before only make the first features.
    pub segment: Range<usize>,
    features: Features,
    lane: Lane,
}

impl Strategy {
    /// Loads the bars that opened from `from` up to, but without, `to`, and enough before them for the
    /// features of the first.
    pub fn load(
        store: &Store,
        rules: Rules,
        terms: Terms,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Self, HistoryError> {
        let timeframe = rules.variant.timeframe;
        let lookback = Features::lookback(rules.variant.window, &rules.constants);
        let mut history =
            History::load(store, terms.pair, &[timeframe], (before(from, timeframe, lookback), to))?;
        prepare(&mut history, &Space::from(&rules.variant), &rules.constants)?;
        let empty =
            || HistoryError::Empty { pair: terms.pair, store: store.root().display().to_string(), from, to };
        let bars = history.bars(timeframe).ok_or_else(empty)?;
        let segment = bars.first_from(from)..bars.len();
        if segment.is_empty() {
            return Err(empty());
        }
        let features = Features::new(bars, rules.variant.window, rules.variant.symmetric, &rules.constants);
        let lane = rules.variant.lane();
        Ok(Self { rules, terms, history, segment, features, lane })
    }

    /// The bars, in the rules' own timeframe.
    pub fn bars(&self) -> &Bars {
        self.history.bars(self.rules.variant.timeframe).unwrap_or_else(|| self.history.base())
    }

    /// A run of an account.
    pub fn leg(&self) -> Leg<'_> {
        Leg {
            run: Run {
                bars: self.bars(),
                features: &self.features,
                lane: &self.lane,
                costs: &self.terms.costs,
            },
            segment: self.segment.clone(),
            margin: self.terms.margin,
        }
    }

    /// When its first bar opens and its last one closes.
    pub fn span(&self) -> (Timestamp, Timestamp) {
        let bars = self.bars();
        let moment = |second| Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH);
        (moment(bars.time[self.segment.start]), moment(bars.close_time(self.segment.end - 1)))
    }

    /// Whether it is played on candles that its rules were chosen by.
    pub fn knows_its_bars(&self) -> bool {
        let (first, last) = self.span();
        self.rules.chosen_by.is_some_and(|(from, to)| first < to && from < last)
    }
}

/// A full hour before which so many bars have closed in any week, holidays among them.
fn before(from: Timestamp, timeframe: Timeframe, bars: usize) -> Timestamp {
    let bars = i64::try_from(bars).unwrap_or(i64::MAX);
    // The market is open on five of seven days; a week more leaves room for holidays.
    let seconds = bars.saturating_mul(timeframe.seconds()).saturating_mul(2).saturating_add(7 * 86_400);
    let early = from.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MIN);
    Timestamp::from_second(early.as_second().div_euclid(3_600) * 3_600).unwrap_or(Timestamp::MIN)
}

/// The series beside those of the strategies that an account in a currency needs for conversion, from the
/// store, where it has them.
pub fn rates(
    store: &Store,
    strategies: &[Strategy],
    currency: &str,
    (from, to): (Timestamp, Timestamp),
) -> Result<Vec<Bars>, StoreError> {
    // Sorted, so that the first of a pair is its shortest timeframe.
    let mut stored = store.series()?;
    stored.dedup_by_key(|(pair, _)| *pair);
    let played: Vec<Pair> = strategies.iter().map(|strategy| strategy.terms.pair).collect();
    let at_hand: Vec<Pair> = played.iter().copied().chain(stored.iter().map(|(pair, _)| *pair)).collect();
    let mut wanted: Vec<Pair> =
        played.iter().flat_map(|pair| conversions(pair.quote(), currency, &at_hand)).collect();
    wanted.sort_unstable();
    wanted.dedup();
    wanted.retain(|pair| !played.contains(pair));
    let mut rates = Vec::new();
    for (pair, timeframe) in stored.into_iter().filter(|(pair, _)| wanted.contains(pair)) {
        rates.push(Bars::new(&store.load(pair, timeframe, before(from, timeframe, 0), to)?));
    }
    Ok(rates)
}
