//! Cuts a batch into pieces that fit a card's memory and its patience.
//!
//! Owns sizes and ranges alone. Must not call the driver.

use std::ops::Range;

/// Variants in one block of the kernel (`BLOCK` in sweep.cu).
pub const BLOCK: usize = 128;
/// Bars times variants of one launch. A card that also drives a screen ends kernels that run for several
/// seconds, and the four that are on their way at a time may share it: on the smallest ones they should be through
/// in less than two.
const MOST_WORK: usize = 4_000_000_000;
/// Segments of one launch: the second dimension of a grid ends there.
const MOST_SEGMENTS: usize = 65_535;

/// What a batch takes on the card, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub bar: usize,
    pub lane: usize,
    pub segment: usize,
    pub stats: usize,
}

/// A part of a batch: some of its segments, the bars that they lie in, and some of its lanes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub segments: Range<usize>,
    pub bars: Range<usize>,
    pub lanes: Range<usize>,
}

/// The pieces of a batch, each at most `budget` bytes; none for segments without bars. The error is what
/// the smallest possible piece takes, where that is more than the budget.
pub fn cut(
    lanes: usize,
    segments: &[Range<usize>],
    sizes: Sizes,
    budget: usize,
) -> Result<Vec<Piece>, usize> {
    let mut pieces = Vec::new();
    let mut start = 0;
    while start < segments.len() {
        let mut bars = segments[start].clone();
        let mut end = start + 1;
        // Half of the memory goes to bars, if one segment does not need more; the rest to lanes.
        while end < segments.len() && end - start < MOST_SEGMENTS {
            let wider = hull(&bars, &segments[end]);
            if wider.len() * sizes.bar > budget / 2 {
                break;
            }
            bars = wider;
            end += 1;
        }
        let each = sizes.lane + (end - start) * sizes.stats;
        let fixed = bars.len() * sizes.bar + (end - start) * sizes.segment;
        let smallest = fixed + each * BLOCK.min(lanes);
        if smallest > budget {
            return Err(smallest);
        }
        let fitting = ((budget - fixed) / each).min(MOST_WORK / bars.len().max(1)) / BLOCK * BLOCK;
        for first in (0..lanes).step_by(fitting.max(BLOCK)).filter(|_| !bars.is_empty()) {
            let lanes = first..(first + fitting.max(BLOCK)).min(lanes);
            pieces.push(Piece { segments: start..end, bars: bars.clone(), lanes });
        }
        start = end;
    }
    Ok(pieces)
}

fn hull(one: &Range<usize>, other: &Range<usize>) -> Range<usize> {
    match (one.is_empty(), other.is_empty()) {
        (_, true) => one.clone(),
        (true, _) => other.clone(),
        _ => one.start.min(other.start)..one.end.max(other.end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZES: Sizes = Sizes { bar: 68, lane: 64, segment: 8, stats: 40 };

    fn bytes(piece: &Piece) -> usize {
        let lane = SIZES.lane + piece.segments.len() * SIZES.stats;
        piece.bars.len() * SIZES.bar + piece.segments.len() * SIZES.segment + piece.lanes.len() * lane
    }

    #[test]
    fn what_fits_is_one_piece() {
        let pieces = cut(1_000, &[0..50, 60..100], SIZES, 1 << 30).unwrap();
        assert_eq!(pieces, [Piece { segments: 0..2, bars: 0..100, lanes: 0..1_000 }]);
    }

    #[test]
    fn a_small_card_gets_fewer_lanes_at_a_time() {
        // 100 bars and two segments leave room for (100,000 - 6,816) / 144 = 647 lanes: five blocks.
        let pieces = cut(1_500, &[0..50, 60..100], SIZES, 100_000).unwrap();
        let lanes: Vec<_> = pieces.iter().map(|piece| piece.lanes.clone()).collect();
        assert_eq!(lanes, [0..640, 640..1_280, 1_280..1_500]);
    }

    #[test]
    fn a_series_larger_than_the_card_is_cut_between_segments() {
        let segments = [0..1_000, 1_000..2_000, 2_000..3_000];
        let pieces = cut(128, &segments, SIZES, 150_000).unwrap();
        let bars: Vec<_> = pieces.iter().map(|piece| piece.bars.clone()).collect();
        assert_eq!(bars, segments);
        // A segment of 68,000 bytes with a block of lanes is the least that can be computed.
        assert_eq!(cut(128, &segments, SIZES, 80_000), Err(68_000 + 8 + 128 * 104));
    }

    #[test]
    fn no_launch_is_longer_than_a_screen_can_wait() {
        let pieces = cut(100_000, std::slice::from_ref(&(0..1_000_000)), SIZES, usize::MAX).unwrap();
        assert_eq!(pieces[0].lanes, 0..3_968);
    }

    #[test]
    fn segments_without_bars_are_no_work() {
        assert_eq!(cut(10, &[5..5, 9..9], SIZES, 1 << 20), Ok(vec![]));
        assert_eq!(cut(0, std::slice::from_ref(&(0..10)), SIZES, 1 << 20), Ok(vec![]));
    }

    proptest! {
        #[test]
        fn every_lane_meets_every_segment_once_within_the_budget(
            lanes in 0_usize..2_000,
            lengths in proptest::collection::vec((0_usize..40, 0_usize..3_000), 0..20),
            budget in 1_usize..2_000_000,
        ) {
            let mut at = 0;
            let segments: Vec<_> = lengths.iter().map(|(gap, length)| {
                let start = at + gap;
                at = start + length;
                start..at
            }).collect();
            match cut(lanes, &segments, SIZES, budget) {
                Err(smallest) => prop_assert!(smallest > budget),
                Ok(pieces) => {
                    let mut met = vec![0_u8; lanes * segments.len()];
                    for piece in &pieces {
                        prop_assert!(bytes(piece) <= budget, "{piece:?}");
                        for segment in piece.segments.clone() {
                            let inside = segments[segment].is_empty() || (piece.bars.start
                                <= segments[segment].start && segments[segment].end <= piece.bars.end);
                            prop_assert!(inside);
                            piece.lanes.clone().for_each(|lane| met[lane * segments.len() + segment] += 1);
                        }
                    }
                    for (at, times) in met.iter().enumerate() {
                        let empty = segments[at % segments.len()].is_empty();
                        prop_assert!(*times == 1 || (empty && *times == 0));
                    }
                }
            }
        }
    }
}
