//! The CPU backend: bars side by side in vector registers, variants on all cores.
//!
//! For a tile of bars the signals of a variant are marked, many bars at once; variants that differ in their
//! exits alone share the marks. Then each variant hops: from a mark to its entry, from there to the next bar
//! that touches a level of the position, searched for many bars at once, too. What happens at an entry or an
//! exit is the scalar definition's ([`Run`]); tests compare the marks and the results with it.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use sep_contract::Side;

use super::Batch;
use crate::backtest::{Position, Run, State, Stats, signal};
use crate::bars::Prices;
use crate::lane::Lane;
use crate::qfh::Direction;

/// Bars that are looked at together.
const CHUNK: usize = 32;
/// Bars that all variants of a task pass before the next ones are read: they stay in the cache.
const TILE: usize = 4_096;
/// Variants that one task takes through a segment.
const LANES: usize = 64;

/// Runs a batch; the stats of each lane, all its segments in order.
pub fn evaluate(batch: &Batch) -> Vec<Stats> {
    let arch = Arch::new();
    let tasks: Vec<(&[Lane], &Range<usize>)> = batch
        .lanes
        .chunks(LANES)
        .flat_map(|lanes| batch.segments.iter().map(move |segment| (lanes, segment)))
        .collect();
    let columns: Vec<Vec<Stats>> = tasks
        .par_iter()
        .map(|(lanes, segment)| arch.dispatch(Task { batch, lanes, segment: (*segment).clone() }))
        .collect();
    let segments = batch.segments.len();
    let mut stats = vec![Stats::default(); batch.lanes.len() * segments];
    for (task, column) in columns.iter().enumerate() {
        let (chunk, segment) = (task / segments, task % segments);
        for (at, one) in column.iter().enumerate() {
            stats[(chunk * LANES + at) * segments + segment] = *one;
        }
    }
    stats
}

/// Some lanes over one segment.
struct Task<'a> {
    batch: &'a Batch<'a>,
    lanes: &'a [Lane],
    segment: Range<usize>,
}

impl WithSimd for Task<'_> {
    type Output = Vec<Stats>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> Vec<Stats> {
        let Batch { bars, features, costs, .. } = *self.batch;
        let mut players: Vec<Player> =
            self.lanes.iter().map(|lane| Player::new(Run { bars, features, lane, costs })).collect();
        let mut marks = [0; TILE];
        let mut start = self.segment.start;
        while start < self.segment.end {
            let tile = start..(start + TILE).min(self.segment.end);
            start = tile.end;
            let mut marked: Option<&Lane> = None;
            for player in &mut players {
                let run = player.run;
                if !marked.is_some_and(|lane| lane.signals_like(run.lane)) {
                    match &features.down {
                        None => mark::<false>(&run, &features.up, &tile, &mut marks),
                        Some(down) => mark::<true>(&run, down, &tile, &mut marks),
                    }
                    marked = Some(run.lane);
                }
                player.pass(&tile, &marks);
            }
        }
        players.into_iter().map(|player| player.finish(&self.segment)).collect()
    }
}

/// One variant on its way through a segment.
struct Player<'a> {
    run: Run<'a>,
    state: State,
    stats: Stats,
    peak: i64,
}

impl<'a> Player<'a> {
    fn new(run: Run<'a>) -> Self {
        Self { run, state: State::Flat, stats: Stats::default(), peak: 0 }
    }

    /// Takes the variant over a tile whose signals are marked.
    #[inline(always)]
    fn pass(&mut self, tile: &Range<usize>, marks: &[u8; TILE]) {
        let run = self.run;
        let marked = |bar: usize| side(marks[bar - tile.start]);
        let (mut signal, mut open) = match self.state {
            State::Flat => (None, None),
            State::Signalled(side) => (Some(side), None),
            State::Open(position) => (None, Some(position)),
        };
        let mut bar = tile.start;
        while bar < tile.end {
            let entered = open.is_none();
            if open.is_none() {
                match signal.take() {
                    Some(side) => open = run.enter(side, bar),
                    None => match next_mark(marks, bar - tile.start, tile.len()) {
                        Some(next) => bar = tile.start + next,
                        None => break,
                    },
                }
            }
            let Some(position) = &open else {
                signal = marked(bar);
                bar += 1;
                continue;
            };
            let Some(touched) = touches(&run, position, bar, tile.end) else { break };
            let opened = if entered && touched == bar { None } else { run.at_open(position, touched) };
            if let Some(trade) = opened.or_else(|| run.within(position, touched)) {
                self.stats.book(&trade, &mut self.peak);
                open = None;
                signal = marked(touched);
            }
            bar = touched + 1;
        }
        self.state = match (open, signal) {
            (Some(position), _) => State::Open(position),
            (None, Some(side)) => State::Signalled(side),
            (None, None) => State::Flat,
        };
    }

    /// Closes what is open at the end of the segment.
    fn finish(mut self, segment: &Range<usize>) -> Stats {
        if let (State::Open(position), Some(last)) = (self.state, segment.clone().last()) {
            self.stats.book(&self.run.finish(&position, last), &mut self.peak);
        }
        self.stats
    }
}

/// Marks of bars that signal.
const BUY: u8 = 1;
const SELL: u8 = 2;

fn side(mark: u8) -> Option<Side> {
    match mark {
        BUY => Some(Side::Buy),
        SELL => Some(Side::Sell),
        _ => None,
    }
}

/// The first mark from `from` on, before `to`.
#[inline(always)]
fn next_mark(marks: &[u8; TILE], from: usize, to: usize) -> Option<usize> {
    let (words, rest) = marks[from..to].as_chunks::<8>();
    for (word, bytes) in words.iter().enumerate() {
        let bytes = u64::from_le_bytes(*bytes);
        if bytes != 0 {
            return Some(from + word * 8 + bytes.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|mark| *mark != 0)?;
    Some(to - rest.len() + at)
}

/// Marks the bars of a tile that signal: what [`signal`] says, many bars at once.
#[inline(always)]
fn mark<const SYMMETRIC: bool>(run: &Run, down: &Direction, tile: &Range<usize>, marks: &mut [u8; TILE]) {
    let (chunks, _) = marks.as_chunks_mut::<CHUNK>();
    for (chunk, at) in chunks.iter_mut().zip(tile.clone().step_by(CHUNK)) {
        match mark_chunk::<SYMMETRIC>(run, down, at) {
            Some(marked) => *chunk = marked,
            None => {
                // Too near the end of the series for whole registers.
                for (mark, bar) in chunk.iter_mut().zip(at..tile.end) {
                    *mark = signal(run.bars, run.features, run.lane, bar).map_or(0, |side| match side {
                        Side::Buy => BUY,
                        Side::Sell => SELL,
                    });
                }
            }
        }
    }
}

#[inline(always)]
fn mark_chunk<const SYMMETRIC: bool>(run: &Run, down: &Direction, at: usize) -> Option<[u8; CHUNK]> {
    let (lane, up) = (run.lane, &run.features.up);
    let (stability, coherence) = (part(&up.stability, at)?, part(&up.coherence, at)?);
    let (entropy, gain, rupture) = (part(&up.entropy, at)?, part(&up.gain, at)?, part(&up.rupture, at)?);
    let (stability_down, coherence_down) = (part(&down.stability, at)?, part(&down.coherence, at)?);
    let (entropy_down, gain_down) = (part(&down.entropy, at)?, part(&down.gain, at)?);
    let rupture_down = part(&down.rupture, at)?;
    let strictness = part(&run.features.strictness, at)?;
    let gate = part(&run.bars.gate, at)?;
    let mut marks = [0; CHUNK];
    // A plain loop over arrays: it becomes vector code only where it is inlined into the caller, who alone
    // may use the widest registers.
    for k in 0..CHUNK {
        let (s, c, e) = (stability[k], coherence[k], entropy[k]);
        let buy = weigh(lane, [1.0 - s, c, 1.0 - e], gain[k]);
        // The published model sells on the rest of each feature, the symmetric one on its mirror.
        let sell = if SYMMETRIC {
            weigh(lane, [1.0 - stability_down[k], coherence_down[k], 1.0 - entropy_down[k]], gain_down[k])
        } else {
            weigh(lane, [s, 1.0 - c, e], gain[k])
        };
        let buys = buy > lane.buy_above * strictness[k];
        let sells = sell > lane.sell_above * strictness[k];
        let (buys, sells) = if SYMMETRIC {
            (buys & (!sells | (buy > sell)), sells & (!buys | (sell > buy)))
        } else {
            (buys, sells & !buys)
        };
        let (sell_coherence, sell_rupture) =
            if SYMMETRIC { (coherence_down[k], rupture_down[k]) } else { (c, rupture[k]) };
        let hour = gate[k] & lane.hours != 0;
        let passes = |score: f32, coherence: f32, rupture: f32, needs: u32| {
            (score >= lane.min_confidence)
                & (coherence >= lane.min_coherence)
                & (rupture < lane.collapse)
                & (gate[k] & needs == needs)
                & hour
        };
        let buys = buys & passes(buy, c, rupture[k], lane.buy_needs);
        let sells = sells & passes(sell, sell_coherence, sell_rupture, lane.sell_needs);
        marks[k] = (u8::from(buys) * BUY) | (u8::from(sells) * SELL);
    }
    Some(marks)
}

#[inline(always)]
fn weigh(lane: &Lane, [stability, coherence, entropy]: [f32; 3], gain: f32) -> f32 {
    ((lane.stability * stability + lane.coherence * coherence) + lane.entropy * entropy) * gain
}

/// A chunk of a column; `None` too near the end.
#[inline(always)]
fn part<T>(column: &[T], at: usize) -> Option<&[T; CHUNK]> {
    match column.get(at..) {
        Some(rest) => rest.first_chunk(),
        None => None,
    }
}

/// The first bar from `from` on, before `to`, that touches a position's levels or ends its time.
#[inline(always)]
fn touches(run: &Run, position: &Position, from: usize, to: usize) -> Option<usize> {
    let (prices, below, above): (&Prices, i32, i32) = match position.side {
        Side::Buy => (&run.bars.bid, position.stop, position.target),
        Side::Sell => (&run.bars.ask, position.target, position.stop),
    };
    let due = position.entry_bar.saturating_add_signed(run.lane.hold as isize);
    match first_touch(prices, below, above, from, to.min(due)) {
        None if due < to => Some(due),
        found => found,
    }
}

#[inline(always)]
fn first_touch(prices: &Prices, below: i32, above: i32, from: usize, to: usize) -> Option<usize> {
    let mut at = from;
    while at < to {
        let (Some(low), Some(high)) = (part(&prices.low, at), part(&prices.high, at)) else {
            return (at..to).find(|bar| (prices.low[*bar] <= below) | (prices.high[*bar] >= above));
        };
        let mut touched = [0_u8; CHUNK];
        for k in 0..CHUNK {
            touched[k] = u8::from((low[k] <= below) | (high[k] >= above));
        }
        for (word, bytes) in touched.as_chunks::<8>().0.iter().enumerate() {
            let bytes = u64::from_le_bytes(*bytes);
            if bytes != 0 {
                let found = at + word * 8 + bytes.trailing_zeros() as usize / 8;
                return (found < to).then_some(found);
            }
        }
        at += CHUNK;
    }
    None
}
