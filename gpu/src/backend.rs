//! Where a search is computed: one batch of work, several backends, the same results.
//!
//! Owns the batch and the choice of a backend. Must not know how variants are chosen or judged.

pub mod cpu;
pub mod cuda;

use std::cell::RefCell;
use std::ops::Range;

use clap::ValueEnum;

use crate::backtest::{Costs, Stats};
use crate::bars::Bars;
use crate::lane::Lane;
use crate::qfh::Features;
use cuda::probe::Device;
use cuda::{Cuda, CudaError};

/// Variants that share their features, to be run over segments of one series.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    pub bars: &'a Bars,
    pub features: &'a Features,
    pub costs: &'a Costs,
    pub lanes: &'a [Lane],
    pub segments: &'a [Range<usize>],
}

/// Which backend is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Wanted {
    /// The card where there is one that works, else the CPU
    Auto,
    Cpu,
    Cuda,
}

/// A backend at work.
#[derive(Debug)]
pub struct Backend {
    card: RefCell<Option<Cuda>>,
    device: Option<Device>,
    /// Whether the CPU takes over when the card fails.
    falls_back: bool,
    /// Why the card is not, or no longer, used.
    why_not: RefCell<Option<CudaError>>,
}

impl Backend {
    /// The CPU.
    pub fn cpu() -> Self {
        Self { card: RefCell::new(None), device: None, falls_back: false, why_not: RefCell::new(None) }
    }

    /// What is asked for, or why it is not to be had. `auto` always is.
    pub fn choose(wanted: Wanted) -> Result<Self, CudaError> {
        if wanted == Wanted::Cpu {
            return Ok(Self::cpu());
        }
        match cuda::detect().and_then(|device| Ok((device, Cuda::open()?))) {
            Ok((device, card)) => Ok(Self {
                card: RefCell::new(Some(card)),
                device: Some(device),
                falls_back: wanted == Wanted::Auto,
                why_not: RefCell::new(None),
            }),
            Err(why) if wanted == Wanted::Auto => {
                Ok(Self { why_not: RefCell::new(Some(why)), ..Self::cpu() })
            }
            Err(why) => Err(why),
        }
    }

    /// The backend in a line.
    pub fn line(&self) -> String {
        match (&self.device, self.card.borrow().is_some()) {
            (Some(device), true) => device.line(),
            _ => format!("CPU, {} threads", rayon::current_num_threads()),
        }
    }

    /// How many lanes it is worth giving a batch: enough to fill a card, and few enough on a CPU for progress to
    /// be seen and for little to be lost by an interruption.
    pub fn lanes_at_once(&self) -> usize {
        if self.card.borrow().is_some() { 65_536 } else { 2_048 }
    }

    /// Why the card is not, or no longer, used, where that is not what was asked for.
    pub fn why_not_cuda(&self) -> Option<CudaError> {
        self.why_not.borrow().clone()
    }

    /// Runs batches; for each of them the stats of each lane, all its segments in order. A card that fails
    /// is given up where the CPU may take over.
    pub fn evaluate(&self, batches: &[Batch]) -> Result<Vec<Vec<Stats>>, CudaError> {
        let outcome = self.card.borrow().as_ref().map(|card| card.evaluate(batches));
        match outcome {
            Some(Ok(stats)) => return Ok(stats),
            Some(Err(why)) if self.falls_back => {
                self.card.replace(None);
                self.why_not.replace(Some(why));
            }
            Some(Err(why)) => return Err(why),
            None => {}
        }
        Ok(batches.iter().map(cpu::evaluate).collect())
    }
}
