//! Where a model stands: refused, passed, or let to trade, and by whose word.
//!
//! Owns the four cases and their words. Must not promote anything.

use serde::Serialize;

use crate::model::{Model, ModelError, Models, Stored};

/// Where a model stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum Standing {
    /// It passed its gate and speaks for its pair.
    Promoted,
    /// It failed its gate and speaks for its pair all the same.
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
            Some(_) if passed => Self::Promoted,
            Some(promotion) => Self::Overridden {
                reason: promotion.override_reason.unwrap_or_else(|| "no reason is recorded".to_owned()),
            },
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
            Self::Overridden { reason } => format!(
                "It failed {failed} of {all} criteria. It trades {} all the same, because somebody decided so: \
                “{reason}”",
                model.pair
            ),
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
