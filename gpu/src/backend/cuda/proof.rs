//! The device is given a small search before it is trusted with a large one.
//!
//! Owns that search: a walk of made-up prices, variants from all over the space. A device that computes
//! anything else than the definition, be it for a broken part or a compiler's mistake, is not used.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::error::CudaError;
use super::probe::Device;
use super::{Cuda, driver};
use crate::backend::Batch;
use crate::backtest::{Costs, Run};
use crate::bars::Bars;
use crate::lane::Lane;
use crate::qfh::{Constants, Features};
use crate::synth::{self, Spec};
use crate::variant::Space;

/// Bars of the walk, and variants: some ten milliseconds of a CPU's work, a hundred thousand decisions.
const BARS: usize = 2_000;
const VARIANTS: usize = 200;
/// Windows, and whether they are symmetric.
const MODELS: [(u32, bool); 2] = [(11, false), (24, true)];
const COSTS: Costs = Costs { slippage: 1, commission: 70, swap_buy: 55, swap_sell: -12 };

/// Asks the driver for its first device, and proves it.
pub fn look() -> Result<Device, CudaError> {
    if !driver::is_present() {
        return Err(CudaError::NoDriver);
    }
    if driver::count()? == 0 {
        return Err(CudaError::NoDevice("it counts none".to_owned()));
    }
    let cuda = Cuda::open()?;
    let device = cuda.driver.describe()?;
    prove(&cuda, &device)?;
    Ok(device)
}

fn prove(cuda: &Cuda, device: &Device) -> Result<(), CudaError> {
    let (bars, lanes) = search().ok_or_else(|| CudaError::Work("no walk can be made".to_owned()))?;
    let segments = [0..bars.len() / 3, bars.len() / 3..bars.len()];
    let models =
        MODELS.map(|(window, symmetric)| Features::new(&bars, window, symmetric, &Constants::default()));
    // Together, so that two streams read the same bars, as in a large search.
    let batches = models.each_ref().map(|features| Batch {
        bars: &bars,
        features,
        costs: &COSTS,
        lanes: &lanes,
        segments: &segments,
    });
    for (batch, found) in batches.iter().zip(cuda.evaluate(&batches)?) {
        let expected = lanes.iter().flat_map(|lane| {
            let run = Run { bars: &bars, features: batch.features, lane, costs: &COSTS };
            segments.clone().map(|segment| run.stats(segment))
        });
        for (found, expected) in found.iter().zip(expected) {
            if *found != expected {
                let what = format!("a net result of {} instead of {}", found.net, expected.net);
                return Err(CudaError::Wrong { device: device.name.clone(), what });
            }
        }
    }
    Ok(())
}

fn search() -> Option<(Bars, Vec<Lane>)> {
    let bars = Bars::new(&synth::generate(&Spec::new("EUR_USD".parse().ok()?, BARS, 1)).ok()?);
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let space = Space::full();
    let size = space.size().ok()?;
    let lanes = (0..VARIANTS).map(|_| space.at(random.next_u64() % size).lane()).collect();
    Some((bars, lanes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_trades_enough_to_prove_something() {
        let (bars, lanes) = search().unwrap();
        for (window, symmetric) in MODELS {
            let features = Features::new(&bars, window, symmetric, &Constants::default());
            let run = |lane| Run { bars: &bars, features: &features, lane, costs: &COSTS };
            let trades: u32 = lanes.iter().map(|lane| run(lane).stats(0..bars.len()).trades).sum();
            assert!(trades > 5_000, "window {window}: {trades} trades");
        }
    }
}
