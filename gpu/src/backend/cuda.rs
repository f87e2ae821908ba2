//! Evaluates batches on an NVIDIA card: the same numbers as on the CPU, to the last digit.
//!
//! Owns the way there and back: the card's memory, pieces on their way, results in order. The kernel itself
//! is `gpu/kernels/sweep.cu`. Must not decide what a trade is.

mod driver;
mod error;
mod pieces;
pub mod probe;
mod proof;

use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

pub use error::CudaError;
pub use probe::{Device, detect};

use self::driver::{BarsThere, Driver, FeaturesThere, Launched};
use self::pieces::{Piece, cut};
use super::Batch;
use crate::backtest::Stats;

/// Pieces on the card at a time: while one computes, the next is copied and the last one read.
const IN_FLIGHT: usize = 4;
/// The share of the free memory that is used, in percent: the driver needs some for itself.
const USED_PERCENT: usize = 85;
/// No budget is halved below this, in bytes: a card with less left over computes nothing.
const LEAST_BUDGET: usize = 1 << 20;

/// A card, ready to evaluate.
#[derive(Debug)]
pub struct Cuda {
    driver: Driver,
}

/// A piece on its way.
struct Flight {
    batch: usize,
    piece: Piece,
    launched: Launched,
    // What it reads stays on the card as long as it flies.
    _reads: (Rc<BarsThere>, Rc<FeaturesThere>),
}

/// The pieces on their way, the oldest first.
///
/// However evaluating ends, nothing they use goes before they have landed. cudarc frees a buffer behind the launch that
/// was the last to read it; other streams may still be reading it then. And copies read the batches' own memory.
struct Flights<'a> {
    driver: &'a Driver,
    queue: VecDeque<Flight>,
}

impl Drop for Flights<'_> {
    fn drop(&mut self) {
        self.driver.settle();
    }
}

/// What was copied last, and from where: pieces that follow often need it again.
struct Kept<'a, S, T> {
    source: &'a S,
    range: Range<usize>,
    there: Rc<T>,
}

impl<'a, S, T> Kept<'a, S, T> {
    /// What is kept, if it is this range of this source; else it is dropped, and the copy made.
    fn or_put(
        kept: Option<Self>,
        source: &'a S,
        range: &Range<usize>,
        put: impl FnOnce() -> Result<T, CudaError>,
    ) -> Result<Self, CudaError> {
        match kept.filter(|kept| std::ptr::eq(kept.source, source) && kept.range == *range) {
            Some(kept) => Ok(kept),
            None => Ok(Self { source, range: range.clone(), there: Rc::new(put()?) }),
        }
    }
}

impl Cuda {
    /// Opens the first device. Call [`detect`] before: a driver that is broken may end this process.
    pub fn open() -> Result<Self, CudaError> {
        Ok(Self { driver: Driver::open(IN_FLIGHT)? })
    }

    /// Runs batches; for each of them the stats of each lane, all its segments in order.
    ///
    /// Batches given together overlap; consecutive ones with the same bars or features share the copy. Where the memory
    /// turns out smaller than the driver said (others may use the card), everything is cut into smaller
    /// pieces and begun again.
    pub fn evaluate(&self, batches: &[Batch]) -> Result<Vec<Vec<Stats>>, CudaError> {
        batches.iter().try_for_each(check)?;
        let mut budget = self.driver.free()? / 100 * USED_PERCENT / IN_FLIGHT;
        loop {
            // What no cut fits into the budget fits into no smaller one.
            let pieces = batches.iter().map(|batch| within(batch, budget)).collect::<Result<Vec<_>, _>>()?;
            match self.fly(batches, pieces) {
                Err(CudaError::OutOfMemory(_)) if budget / 2 >= LEAST_BUDGET => budget /= 2,
                result => return result,
            }
        }
    }

    /// Runs batches in the pieces that each was cut into.
    fn fly(&self, batches: &[Batch], pieces: Vec<Vec<Piece>>) -> Result<Vec<Vec<Stats>>, CudaError> {
        let mut results: Vec<Vec<Stats>> = batches
            .iter()
            .map(|batch| vec![Stats::default(); batch.lanes.len() * batch.segments.len()])
            .collect();
        let mut flights = Flights { driver: &self.driver, queue: VecDeque::new() };
        let mut turn = 0;
        let (mut kept_bars, mut kept_features) = (None, None);
        for (number, (batch, pieces)) in batches.iter().zip(pieces).enumerate() {
            for piece in pieces {
                if flights.queue.len() == IN_FLIGHT {
                    self.land(&mut flights, batches, &mut results)?;
                }
                let bars = Kept::or_put(kept_bars.take(), batch.bars, &piece.bars, || {
                    self.driver.put_bars(turn, batch.bars, &piece.bars)
                })?;
                let features = Kept::or_put(kept_features.take(), batch.features, &piece.bars, || {
                    self.driver.put_features(turn, batch.features, &piece.bars)
                })?;
                let launched = self.driver.launch(turn, batch, &piece, &bars.there, &features.there)?;
                let reads = (bars.there.clone(), features.there.clone());
                flights.queue.push_back(Flight { batch: number, piece, launched, _reads: reads });
                (kept_bars, kept_features) = (Some(bars), Some(features));
                turn += 1;
            }
        }
        while !flights.queue.is_empty() {
            self.land(&mut flights, batches, &mut results)?;
        }
        Ok(results)
    }

    /// Waits for the oldest flight and puts its stats where they belong.
    fn land(
        &self,
        flights: &mut Flights,
        batches: &[Batch],
        results: &mut [Vec<Stats>],
    ) -> Result<(), CudaError> {
        let Some(flight) = flights.queue.front() else { return Ok(()) };
        let stats = self.driver.collect(&flight.launched)?;
        let width = batches[flight.batch].segments.len();
        let Piece { segments, lanes, .. } = &flight.piece;
        for (lane, row) in lanes.clone().zip(stats.chunks(segments.len())) {
            let start = lane * width;
            results[flight.batch][start + segments.start..start + segments.end].copy_from_slice(row);
        }
        flights.queue.pop_front();
        Ok(())
    }
}

/// The pieces of a batch, each at most `budget` bytes.
fn within(batch: &Batch, budget: usize) -> Result<Vec<Piece>, CudaError> {
    let sizes = Driver::sizes(batch.features);
    cut(batch.lanes.len(), batch.segments, sizes, budget).map_err(|needed| {
        CudaError::OutOfMemory(format!("the smallest piece takes {needed} bytes of {budget}"))
    })
}

/// Refuses a batch whose parts do not fit each other: the kernel would read beyond its buffers.
fn check(batch: &Batch) -> Result<(), CudaError> {
    let count = batch.bars.len();
    let features = batch.features;
    let rows = std::iter::once(&features.up).chain(&features.down).flat_map(|direction| {
        [
            direction.stability.len(),
            direction.coherence.len(),
            direction.entropy.len(),
            direction.gain.len(),
            direction.rupture.len(),
        ]
    });
    if let Some(rows) = rows.chain([features.strictness.len()]).find(|rows| *rows != count) {
        return Err(CudaError::Work(format!("{rows} rows of features for {count} bars")));
    }
    match batch.segments.iter().find(|segment| segment.end > count) {
        Some(segment) => Err(CudaError::Work(format!("a segment ends at bar {} of {count}", segment.end))),
        None => Ok(()),
    }
}
