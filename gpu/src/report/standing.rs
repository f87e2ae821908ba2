//! Where a model stands: refused, passed, or let to trade, and by whose word.
//!
//! Owns the four cases and their words. Must not promote anything.

use serde::Serialize;

use crate::model::{Model, ModelError, Models, Promotion, Stored};

/// Where a model stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum Standing {
    /// It passed its gate and speaks for its pair.
    Promoted,
    /// It speaks for its pair because somebody decided so against its gate or its made-up candles.
    Overridden { reason: String },
    /// It passed its gate and waits for promotion.
    Passed,
    /// It failed its gate.
    Refused,
}

impl Standing {
    /// Where a model stands among those of its pair.
    pub fn of(stored: &Stored, models: &Models) -> Result<Self, ModelError> {
        let passed = stored.model.verdict.promoted;
        let promotion = match models.promoted(stored.model.pair)? {
            Some((model, promotion)) if model.hash == stored.hash => Some(promotion),
            _ => None,
        };
        Ok(match promotion {
            // A reason is recorded only where it was needed, whatever the criteria say.
            Some(Promotion { override_reason: Some(reason), .. }) => Self::Overridden { reason },
            Some(_) if passed => Self::Promoted,
            Some(_) => Self::Overridden { reason: "no reason is recorded".to_owned() },
            None if passed => Self::Passed,
            None => Self::Refused,
        })
    }

    /// It in two or three words.
    pub fn headline(&self, model: &Model) -> &'static str {
        match self {
            Self::Promoted => "Promoted",
            Self::Overridden { .. } => "Overridden",
            Self::Passed => "Passed, not yet promoted",
            Self::Refused if model.evidence.trades.net > 0 => "No edge proven",
            Self::Refused => "No edge",
        }
    }

    /// What follows from it, in a sentence.
    pub fn consequence(&self, model: &Model) -> String {
        let (failed, all) = (model.verdict.failed().count(), model.verdict.criteria.len());
        match self {
            Self::Promoted => format!("It passed all {all} criteria and speaks for {}.", model.pair),
            Self::Overridden { reason } => {
                // A reason is needed without a failed criterion where the candles are made up, or where the gate
                // has come to demand more since the training.
                let against = match (failed, model.data.synthetic) {
                    (0, true) => format!("It passed all {all} criteria, but on made-up candles."),
                    (0, false) => {
                        format!("It passed the {all} criteria of its training, not those of today.")
                    }
                    _ => format!("It failed {failed} of {all} criteria."),
                };
                let pair = model.pair;
                format!("{against} It trades {pair} all the same, because somebody decided so: “{reason}”")
            }
            Self::Passed => {
                format!("It passed all {all} criteria. It gives no signals until it is promoted.")
            }
            Self::Refused => {
                format!("It failed {failed} of {all} criteria, and gives no signals.")
            }
        }
    }

    /// Whether the verdict is good, bad, or to be looked at twice.
    pub const fn tone(&self) -> &'static str {
        match self {
            Self::Promoted | Self::Passed => "good",
            Self::Overridden { .. } => "warn",
            Self::Refused => "bad",
        }
    }
}
