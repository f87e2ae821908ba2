//! How many bar-variants a second the first CUDA device plays, copies included, and how many that is for each
//! multiprocessor and cycle of its highest clock. Says `unmeasured` where there is no device; nothing is estimated in its place. A
//! device that is there and fails is an error.

use std::process::ExitCode;
use std::time::Instant;

use sep_contract::Timeframe;
use sep_gpu::backend::cuda::{Cuda, detect, probe};
use sep_gpu::backend::{Batch, cpu};
use sep_gpu::backtest::Costs;
use sep_gpu::bars::Bars;
use sep_gpu::lane::Lane;
use sep_gpu::output::{Terminal, grouped};
use sep_gpu::qfh::{Constants, Features};
use sep_gpu::synth::{self, Spec};
use sep_gpu::variant::Space;

/// Bars of the walk, segments it is cut into, and rounds of which the median counts.
const BARS: usize = 200_000;
const SEGMENTS: usize = 16;
const ROUNDS: usize = 5;
/// Every so-manieth variant is also played on the CPU.
const COMPARED: usize = 997;
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let mut terminal = Terminal::of_process();
    let done = match std::env::args().nth(1).as_deref() {
        Some(probe::VERB) => terminal.line(&probe::answer()).map_err(Failure::from),
        _ => measure(&mut terminal),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where stderr is gone there is nobody left to tell.
            let _ = terminal.say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn measure(terminal: &mut Terminal) -> Result<(), Failure> {
    let device = match detect() {
        Ok(device) => device,
        Err(error) if error.is_absence() => return Ok(terminal.line(&format!("unmeasured: {error}"))?),
        Err(error) => return Err(error.into()),
    };
    terminal.line(&device.line())?;
    let bars = Bars::new(&synth::generate(&Spec::new("EUR_USD".parse()?, BARS, 1))?);
    let segments: Vec<_> =
        (0..SEGMENTS).map(|at| at * bars.len() / SEGMENTS..(at + 1) * bars.len() / SEGMENTS).collect();
    let costs = Costs { slippage: 1, commission: 70, swap_buy: 5, swap_sell: 5 };
    let models = [8, 11, 16, 24].into_iter().flat_map(|window| [(window, false), (window, true)]);
    let grids = models
        .map(|(window, symmetric)| {
            let features = Features::new(&bars, window, symmetric, &Constants::default());
            Ok((features, lanes(window, symmetric)?))
        })
        .collect::<Result<Vec<(Features, Vec<Lane>)>, Failure>>()?;
    let batches: Vec<Batch> = grids
        .iter()
        .map(|(features, lanes)| Batch { bars: &bars, features, costs: &costs, lanes, segments: &segments })
        .collect();

    let cuda = Cuda::open()?;
    for (batch, found) in batches.iter().zip(cuda.evaluate(&batches)?) {
        let sample: Vec<Lane> = batch.lanes.iter().copied().step_by(COMPARED).collect();
        let expected = cpu::evaluate(&Batch { lanes: &sample, ..*batch });
        let rows = found.chunks(SEGMENTS).step_by(COMPARED).flatten();
        if !rows.eq(expected.iter()) {
            return Err("the device computes other results than the CPU".into());
        }
    }
    let mut seconds = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            cuda.evaluate(&batches).map(|_| began.elapsed().as_secs_f64())
        })
        .collect::<Result<Vec<f64>, _>>()?;
    seconds.sort_by(f64::total_cmp);
    let variants: usize = batches.iter().map(|batch| batch.lanes.len()).sum();
    let rate = variants as f64 * bars.len() as f64 / seconds[ROUNDS / 2];
    let (variants, bars) = (grouped(variants), grouped(bars.len()));
    terminal
        .line(&format!("{variants} variants x {bars} bars, median of {ROUNDS} rounds, copies included"))?;
    terminal.line(&format!(
        "{rate:.3e} bar-variants/s, {:.2} for each multiprocessor and cycle",
        rate / (f64::from(device.processors) * f64::from(device.clock_khz) * 1e3)
    ))?;
    Ok(())
}

/// All variants of the full space that share a model.
fn lanes(window: u32, symmetric: bool) -> Result<Vec<Lane>, Failure> {
    let (timeframes, windows, symmetric) = (vec![Timeframe::M1], vec![window], vec![symmetric]);
    let space = Space { timeframes, windows, symmetric, ..Space::full() };
    Ok((0..space.size()?).map(|number| space.at(number).lane()).collect())
}
