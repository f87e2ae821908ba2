//! Signals: what the models that speak for their pairs say of the newest closed bar, in the contract's words.
//!
//! Owns the way from a promoted model and the newest candles to a signal. What it says of a bar is what the
//! backtest would have traded there: sides, stops and targets come from [`crate::backtest`] alone. Must not
//! read or write files (that is [`recent`]'s and [`outbox`]'s), nor write to the terminal.

pub mod follow;
pub mod outbox;
pub mod recent;
pub mod speaker;

use jiff::{SignedDuration, Timestamp};
use rayon::prelude::*;
use sep_contract::signal::{SignalFault, check_name};
use sep_contract::{Candle, CandleSet, Confidence, Pair, QfhMetrics, Side, Signal, Ticks, Timeframe};

use crate::aggregate::{AggregateError, aggregate};
use crate::backtest::{decision, levels};
use crate::bars::Bars;
use crate::history::confirmed::confirm_by;
use crate::qfh::{Decision, Features, Window, scores};
use crate::variant::Variant;

use speaker::CONFIRMING;
pub use speaker::Speaker;

/// Whom signals are for, and in which name they are given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Account of the executor.
    pub account: String,
    pub strategy: String,
}

impl Address {
    /// Whether both may stand in a signal.
    pub fn check(&self) -> Result<(), SignalFault> {
        check_name("account", &self.account)?;
        check_name("strategy", &self.strategy)
    }
}

/// What a speaker says of the newest closed bar.
#[derive(Debug, Clone, PartialEq)]
pub enum Word {
    /// No bar has closed yet.
    Nothing,
    /// The bar that closed then gives no signal.
    Silence {
        bar_close: Timestamp,
    },
    Signal(Box<Signal>),
}

impl Word {
    /// When the bar closed that it speaks of.
    pub fn bar_close(&self) -> Option<Timestamp> {
        match self {
            Self::Nothing => None,
            Self::Silence { bar_close } => Some(*bar_close),
            Self::Signal(signal) => Some(signal.bar_close),
        }
    }
}

/// Why a speaker cannot speak.
#[derive(Debug, thiserror::Error)]
pub enum SpeechError {
    #[error(transparent)]
    Aggregate(#[from] AggregateError),
    #[error(
        "{pair}: the model was trained on {trained} candles, the store holds {found} ones, and the two never mix"
    )]
    Mixed { pair: Pair, trained: &'static str, found: &'static str },
    #[error("{pair}: the bar that closed at {bar_close} gives a signal that cannot be sent: {}: {fault}", fault.field())]
    Unsound { pair: Pair, bar_close: Timestamp, fault: SignalFault },
}

/// What every speaker says of its candles (see [`recent::recent`]) as they were known at a moment, in the order
/// given; one that cannot speak silences no other.
pub fn speak(
    speakers: &[(Speaker, CandleSet)],
    at: Timestamp,
    address: &Address,
) -> Vec<Result<Word, SpeechError>> {
    speakers.par_iter().map(|(speaker, candles)| speaker.say(candles, at, address)).collect()
}

impl Speaker {
    /// What the newest bar says that had closed at a moment, as far as the candles reach. They are those of the
    /// base series, oldest first; only the newest few are looked at (see [`Speaker::tail`]).
    pub fn say(&self, candles: &CandleSet, at: Timestamp, address: &Address) -> Result<Word, SpeechError> {
        if candles.provenance.synthetic != self.synthetic && !candles.candles.is_empty() {
            let name = |synthetic| if synthetic { "made-up" } else { "real" };
            let (trained, found) = (name(self.synthetic), name(candles.provenance.synthetic));
            return Err(SpeechError::Mixed { pair: self.pair, trained, found });
        }
        let length = SignedDuration::from_secs(candles.timeframe.seconds());
        let known = candles.candles.partition_point(|candle| candle.time + length <= at);
        let bars = self.bars(&candles.candles[..known])?;
        let Some(bar) = bars.len().checked_sub(1) else { return Ok(Word::Nothing) };
        let moment = |second: i64| Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
        let bar_close = moment(bars.close_time(bar));
        let variant = &self.variant;
        let features = Features::new(&bars, variant.window, variant.symmetric, &self.constants);
        let Some(Decision { side, confidence }) = decision(&bars, &features, &self.lane, bar) else {
            return Ok(Word::Silence { bar_close });
        };
        let (stop, target) = levels(&bars, &self.lane, side, bar);
        let price = |ticks| Ticks::new(ticks).to_decimal(self.pair);
        let signal = Signal {
            account: address.account.clone(),
            strategy: address.strategy.clone(),
            pair: self.pair,
            timeframe: variant.timeframe,
            bar_close,
            side,
            confidence: rounded(confidence),
            metrics: self.metrics(&bars, &features, side),
            stop: price(stop),
            target: price(target),
            // The backtest enters at the open of the next bar, and only if that opens when this one closes.
            expires_at: moment(bars.close_time(bar) + variant.timeframe.seconds()),
            model_hash: self.model,
            override_reason: self.override_reason.clone(),
        };
        signal.validate().map_err(|fault| SpeechError::Unsound { pair: self.pair, bar_close, fault })?;
        Ok(Word::Signal(Box::new(signal)))
    }

    /// The bars of the speaker's own timeframe that its newest bar depends on, gates and all.
    fn bars(&self, candles: &[Candle]) -> Result<Bars, AggregateError> {
        let mut bars = self.bars_of(candles, self.variant.timeframe, self.variant.window)?;
        if self.variant.confirm {
            let longer = CONFIRMING
                .map(|timeframe| self.bars_of(candles, timeframe, Variant::published().window))
                .into_iter()
                .collect::<Result<Vec<Bars>, AggregateError>>()?;
            confirm_by(&mut bars, &longer.iter().collect::<Vec<&Bars>>(), &self.constants);
        }
        Ok(bars)
    }

    fn bars_of(&self, candles: &[Candle], timeframe: Timeframe, window: u32) -> Result<Bars, AggregateError> {
        let tail = self.newest(candles, timeframe, window).unwrap_or(candles);
        if timeframe == self.base {
            return Ok(Bars::of(self.pair, timeframe, self.synthetic, tail));
        }
        let end = tail.last().and_then(|last| self.base.close_of(last.time)).unwrap_or(Timestamp::MIN);
        let longer = aggregate(tail, timeframe, end)?;
        Ok(Bars::of(self.pair, timeframe, self.synthetic, &longer))
    }

    /// The window behind a signal, in the direction of the side taken: in the symmetric variant a SELL counts
    /// falling runs.
    fn metrics(&self, bars: &Bars, features: &Features, side: Side) -> QfhMetrics {
        let bar = bars.len() - 1;
        let falling = features.down.as_ref().filter(|_| side == Side::Sell);
        let length = self.variant.window.min(u32::try_from(bar).unwrap_or(u32::MAX));
        let bits = (bar - length as usize..bar).fold(0, |bits, before| {
            let (was, is) = (bars.mid2_close(before), bars.mid2_close(before + 1));
            let moved = if falling.is_some() { is < was } else { is > was };
            bits << 1 | u64::from(moved)
        });
        let window = Window { bits, length }.statistics(&self.constants);
        let transitions = window.transitions;
        let stability = falling.unwrap_or(&features.up).stability[bar];
        let (buy, sell) = scores(&self.lane, features, bar);
        QfhMetrics {
            entropy: window.entropy.clamp(0.0, 1.0),
            coherence: window.coherence,
            stability: f64::from(stability).clamp(0.0, 1.0),
            null_ratio: transitions.share(transitions.nulls),
            flip_ratio: transitions.share(transitions.flips),
            rupture_ratio: transitions.share(transitions.ruptures),
            buy_score: f64::from(buy).max(0.0),
            sell_score: f64::from(sell).max(0.0),
        }
    }
}

/// A score as the contract's confidence: at most 1, to the nearest millionth.
fn rounded(score: f32) -> Confidence {
    let millionths = libm::round(f64::from(score.clamp(0.0, 1.0)) * f64::from(Confidence::ONE));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number from 0 to a million, and `as` takes what is no number for 0"
    )]
    let millionths = millionths as u32;
    Confidence::from_millionths(millionths).expect("the score was brought to at most 1")
}
