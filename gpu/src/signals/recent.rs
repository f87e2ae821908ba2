//! The newest candles of a speaker, as few months of them as will do.
//!
//! Owns how much of the store is read. Must not judge what the candles say.

use jiff::Timestamp;
use sep_contract::{CandleSet, Provenance};

use super::Speaker;
use crate::store::{Store, StoreError};

/// The candles of the speaker's base series, as far back from a moment as the speaker looks: the newest rows of the
/// moment's month where they will do, else whole months. Later months are not read.
pub fn recent(store: &Store, speaker: &Speaker, at: Timestamp) -> Result<CandleSet, StoreError> {
    let (pair, timeframe) = (speaker.pair, speaker.base);
    let enough = |set: &CandleSet| {
        let opened = set.candles.partition_point(|candle| candle.time < at);
        speaker.tail(&set.candles[..opened]).is_some()
    };
    let months = store.months(pair, timeframe)?;
    let mut months = months.into_iter().rev().filter(|month| month.start() <= at);
    let Some(last) = months.next() else {
        return Ok(CandleSet { pair, timeframe, provenance: Provenance::default(), candles: Vec::new() });
    };
    let mut groups = 1;
    let mut newest = loop {
        let (newest, whole) = store.newest(pair, timeframe, last, groups)?;
        if enough(&newest) {
            return Ok(newest);
        }
        if whole {
            break newest;
        }
        groups *= 2;
    };
    for first in months {
        newest = store.load(pair, timeframe, first.start(), last.next().start())?;
        if enough(&newest) {
            break;
        }
    }
    Ok(newest)
}
