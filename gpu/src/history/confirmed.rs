//! Triple confirmation on a history: what M5 and M15 bars say, in the gates of M1 bars.
//!
//! Owns which timeframes confirm, and under which weights. Must not know who asks for it.

use sep_contract::Timeframe;

use super::{History, HistoryError};
use crate::bars::Bars;
use crate::qfh::{Constants, Features, confirm};
use crate::variant::{Space, Variant};

/// Makes a history ready for a space: where variants ask for confirmation, the M1 gates say what M5 and M15
/// confirm.
pub fn prepare(history: &mut History, space: &Space, constants: &Constants) -> Result<(), HistoryError> {
    if !space.confirm.contains(&true) {
        return Ok(());
    }
    let longer = History::of(history.base().clone(), &[Timeframe::M5, Timeframe::M15])?;
    let longer: Vec<&Bars> =
        [Timeframe::M5, Timeframe::M15].into_iter().filter_map(|timeframe| longer.bars(timeframe)).collect();
    if let Some(bars) = history.bars_mut(Timeframe::M1) {
        confirm_by(bars, &longer, constants);
    }
    Ok(())
}

/// Writes into the gates of M1 bars what M5 and M15 bars confirm under the published weights.
pub fn confirm_by(minutes: &mut Bars, longer: &[&Bars], constants: &Constants) {
    let published = Variant { min_confidence: 0.0, min_coherence: 0.0, ..Variant::published() };
    let features: Vec<(&Bars, Features)> = longer
        .iter()
        .map(|bars| (*bars, Features::new(bars, published.window, published.symmetric, constants)))
        .collect();
    let features: Vec<(&Bars, &Features)> =
        features.iter().map(|(bars, features)| (*bars, features)).collect();
    confirm(minutes, &features, &published.lane(), constants);
}
