//! From features to a side: the two scores, the thresholds, the filters.
//!
//! Single floats, multiplied and added in this order and never fused: every backend computes exactly this.

use sep_contract::Side;

use super::Features;
use crate::lane::Lane;

/// What a bar's close says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    pub side: Side,
    /// The score of the side taken.
    pub confidence: f32,
}

/// The scores of buying and of selling at the close of a bar.
pub fn scores(lane: &Lane, features: &Features, bar: usize) -> (f32, f32) {
    let up = &features.up;
    let (s, c, e, g) = (up.stability[bar], up.coherence[bar], up.entropy[bar], up.gain[bar]);
    let buy = weigh(lane, 1.0 - s, c, 1.0 - e, g);
    let sell = match &features.down {
        None => weigh(lane, s, 1.0 - c, e, g),
        Some(down) => weigh(
            lane,
            1.0 - down.stability[bar],
            down.coherence[bar],
            1.0 - down.entropy[bar],
            down.gain[bar],
        ),
    };
    (buy, sell)
}

fn weigh(lane: &Lane, stability: f32, coherence: f32, entropy: f32, gain: f32) -> f32 {
    ((lane.stability * stability + lane.coherence * coherence) + lane.entropy * entropy) * gain
}

/// The side that the close of a bar speaks for, if any. In the published model BUY is asked first and wins
/// even where the other score is larger; in the symmetric one the larger score wins, and two equal ones say
/// nothing. A filter that refuses the side taken leaves no signal.
pub fn decide(lane: &Lane, features: &Features, bar: usize) -> Option<Decision> {
    let (buy, sell) = scores(lane, features, bar);
    let strictness = features.strictness[bar];
    let (buys, sells) = (buy > lane.buy_above * strictness, sell > lane.sell_above * strictness);
    let buys_first = features.down.is_none();
    let (side, confidence, of) = if buys && (buys_first || !sells || buy > sell) {
        (Side::Buy, buy, &features.up)
    } else if sells && (buys_first || !buys || sell > buy) {
        (Side::Sell, sell, features.down.as_ref().unwrap_or(&features.up))
    } else {
        return None;
    };
    let passes = confidence >= lane.min_confidence
        && of.coherence[bar] >= lane.min_coherence
        && of.rupture[bar] < lane.collapse;
    passes.then_some(Decision { side, confidence })
}
