//! Speakers: models that may speak for their pair, and what speaks against a model.
//!
//! Owns the rule that nothing is said on the word of a model that failed its gate or was trained on made-up
//! candles, unless somebody has said why; and how far back a model looks. Must not read files.

use sep_contract::{Candle, Digest, Pair, Timeframe};

use crate::lane::Lane;
use crate::model::{Model, Promotion, Stored};
use crate::qfh::{Constants, Features};
use crate::variant::Variant;
use crate::verdict::{Demands, judge};

/// The timeframes that confirm a signal of M1, where a variant asks for that.
pub(super) const CONFIRMING: [Timeframe; 2] = [Timeframe::M5, Timeframe::M15];

/// A promoted model, ready to speak.
#[derive(Debug, Clone, PartialEq)]
pub struct Speaker {
    pub pair: Pair,
    /// SHA-256 of the model's file.
    pub model: Digest,
    pub variant: Variant,
    /// Timeframe of the candles that it is made for; longer bars are made from them.
    pub base: Timeframe,
    /// Trained on made-up candles: it speaks of such alone.
    pub synthetic: bool,
    pub override_reason: Option<String>,
    pub(super) constants: Constants,
    pub(super) lane: Lane,
}

/// Why a model does not speak.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSpeaker {
    #[error("{pair}: model {model} has no variant to trade: no variant of its search traded often enough")]
    Empty { pair: Pair, model: Digest },
    #[error(
        "{pair}: model {model} was promoted although {objection}, and no reason is recorded: \
        promote a model again with 'sep-gpu promote {pair}'"
    )]
    Unfounded { pair: Pair, model: Digest, objection: String },
}

/// What speaks against a model's speaking for its pair, one sentence each; nothing where it passed. The gate is
/// asked again here: what the file says of its own verdict is not enough.
pub fn objections(model: &Model) -> Vec<String> {
    let again = judge(&model.evidence, &Demands::default());
    let verdict = if model.verdict.promoted { &again } else { &model.verdict };
    let mut objections: Vec<String> = verdict.failed().map(|failed| failed.sentence.clone()).collect();
    if objections.is_empty() && !verdict.promoted {
        objections.push(verdict.words.clone());
    }
    if model.data.synthetic {
        objections.push("it was trained on made-up candles, which tell nothing of any market".to_owned());
    }
    objections
}

impl Speaker {
    /// The speaker that a promotion names.
    pub fn of(stored: &Stored, promotion: &Promotion) -> Result<Self, NoSpeaker> {
        let (model, hash) = (&stored.model, stored.hash);
        let pair = model.pair;
        let Some(variant) = model.variant else { return Err(NoSpeaker::Empty { pair, model: hash }) };
        if promotion.override_reason.is_none()
            && let Some(objection) = objections(model).into_iter().next()
        {
            return Err(NoSpeaker::Unfounded { pair, model: hash, objection });
        }
        Ok(Self {
            pair,
            model: hash,
            variant,
            base: model.data.timeframe,
            synthetic: model.data.synthetic,
            override_reason: promotion.override_reason.clone(),
            constants: model.constants.clone(),
            lane: variant.lane(),
        })
    }

    /// The newest candles of the base series that decide what is said of the newest bar; None where that may be
    /// more than are given.
    pub fn tail<'a>(&self, candles: &'a [Candle]) -> Option<&'a [Candle]> {
        let mut longest = self.newest(candles, self.variant.timeframe, self.variant.window)?;
        if self.variant.confirm {
            for timeframe in CONFIRMING {
                let tail = self.newest(candles, timeframe, Variant::published().window)?;
                longest = if tail.len() > longest.len() { tail } else { longest };
            }
        }
        Some(longest)
    }

    /// The candles of the newest bars of a timeframe that the features of the newest one depend on.
    pub(super) fn newest<'a>(
        &self,
        candles: &'a [Candle],
        timeframe: Timeframe,
        window: u32,
    ) -> Option<&'a [Candle]> {
        // One bar more at each end: the newest may not be over, and the oldest must be whole.
        let bars = Features::lookback(window, &self.constants) + 2;
        start_of(candles, timeframe, bars).and_then(|start| candles.get(start..))
    }
}

/// Where the candles of the newest so many bars of a timeframe begin; None where there are not more than those.
fn start_of(candles: &[Candle], timeframe: Timeframe, bars: usize) -> Option<usize> {
    let mut seen = 0;
    let mut current = None;
    for (at, candle) in candles.iter().enumerate().rev() {
        let bar = candle.time.as_second().div_euclid(timeframe.seconds());
        if current != Some(bar) {
            if seen == bars {
                return Some(at + 1);
            }
            seen += 1;
            current = Some(bar);
        }
    }
    None
}
