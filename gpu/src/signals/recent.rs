//! The newest candles of a speaker, as few months of them as will do.
//!
//! Owns how much of the store is read. Must not judge what the candles say.

use jiff::Timestamp;
use sep_contract::{CandleSet, Provenance};

use super::Speaker;
use crate::store::{Store, StoreError};

/// The candles of the speaker's base series: whole months, from that of the moment back as far as the speaker
/// looks from then. Earlier months are not read, and later ones neither.
pub fn recent(store: &Store, speaker: &Speaker, at: Timestamp) -> Result<CandleSet, StoreError> {
    let (pair, timeframe) = (speaker.pair, speaker.base);
    let mut newest = CandleSet { pair, timeframe, provenance: Provenance::default(), candles: Vec::new() };
    let months = store.months(pair, timeframe)?;
    let mut months = months.into_iter().rev().filter(|month| month.start() <= at);
    let Some(last) = months.next() else { return Ok(newest) };
    for first in std::iter::once(last).chain(months) {
        newest = store.load(pair, timeframe, first.start(), last.next().start())?;
        let opened = newest.candles.partition_point(|candle| candle.time < at);
        if speaker.tail(&newest.candles[..opened]).is_some() {
            break;
        }
    }
    Ok(newest)
}
