//! The calls into NVIDIA's driver, through cudarc, which loads it at run time.
//!
//! Owns every unsafe block of this crate, and what the kernel is given: the order of columns and arguments.
//! Must not be called before [`super::probe::detect`] found a device: a driver that lacks a function makes
//! cudarc panic.
#![expect(unsafe_code, reason = "the driver is C; each block says why it is sound")]

use std::ops::Range;
use std::sync::Arc;

use cudarc::driver::sys::{self, CUdevice_attribute as Attribute};
use cudarc::driver::{
    CudaContext, CudaFunction, CudaSlice, CudaStream, DeviceRepr, DriverError, LaunchConfig, PushKernelArg,
};
use cudarc::nvrtc::Ptx;

use super::error::CudaError;
use super::pieces::{BLOCK, Piece, Sizes};
use super::probe::Device;
use crate::backend::Batch;
use crate::backtest::{Costs, Stats};
use crate::bars::Bars;
use crate::lane::Lane;
use crate::qfh::Features;

/// The kernel for cards before Hopper, down to compute capability 7.5.
const PTX_75: &str = include_str!("../../../kernels/ptx/sweep.compute_75.ptx");
/// The kernel for Hopper and newer.
const PTX_90: &str = include_str!("../../../kernels/ptx/sweep.compute_90.ptx");
const KERNEL: &str = "sweep";
/// The oldest compute capability that the shipped PTX runs on.
const OLDEST: (i32, i32) = (7, 5);
/// Columns of a series besides the gates, and of features in one direction.
const BAR_COLUMNS: usize = 10;
const DIRECTION_COLUMNS: usize = 5;

// What sweep.cu says of the same structures.
const _: () = assert!(size_of::<Lane>() == 64 && size_of::<Stats>() == 40);

// SAFETY: both are `repr(C)` and made of four- and eight-byte numbers alone, laid out as sweep.cu declares
// them; tests compare results that a wrong layout would ruin.
unsafe impl DeviceRepr for Lane {}
// SAFETY: as above.
unsafe impl DeviceRepr for Stats {}

/// Whether a library by the driver's name can be loaded; says nothing about what it does.
pub fn is_present() -> bool {
    // SAFETY: loading a library runs its constructors; those of NVIDIA's driver may run in any process.
    unsafe { sys::is_culib_present() }
}

/// How many devices the driver counts.
pub fn count() -> Result<i32, CudaError> {
    CudaContext::device_count().map_err(|error| CudaError::of(error, "starting"))
}

fn facts(context: &Arc<CudaContext>) -> Result<Device, DriverError> {
    let number = |attribute| context.attribute(attribute).map(i32::unsigned_abs);
    let (free, memory) = context.mem_get_info()?;
    let (major, minor) = context.compute_capability()?;
    let mut version = 0;
    // SAFETY: the driver writes one int behind the pointer, which is valid for the length of the call.
    unsafe { sys::cuDriverGetVersion(&raw mut version).result()? };
    let small = |value: i32| u8::try_from(value).unwrap_or(0);
    Ok(Device {
        name: context.name()?,
        memory: memory as u64,
        free: free as u64,
        capability: (small(major), small(minor)),
        processors: number(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        clock_khz: number(Attribute::CU_DEVICE_ATTRIBUTE_CLOCK_RATE)?,
        driver: version.unsigned_abs(),
    })
}

/// The kernel on the device: the PTX is compiled by the driver, which remembers the result.
fn load(context: &Arc<CudaContext>) -> Result<CudaFunction, CudaError> {
    let doing = |error| CudaError::of(error, "loading the kernel");
    let capability = context.compute_capability().map_err(doing)?;
    if capability < OLDEST {
        let device = context.name().map_err(doing)?;
        return Err(CudaError::OldDevice { device, found: format!("{}.{}", capability.0, capability.1) });
    }
    let ptx = if capability < (9, 0) { PTX_75 } else { PTX_90 };
    let module = context.load_module(Ptx::from_src(ptx)).map_err(doing)?;
    module.load_function(KERNEL).map_err(doing)
}

/// A device that is open, with the kernel and some streams to overlap copies and launches.
#[derive(Debug)]
pub struct Driver {
    context: Arc<CudaContext>,
    kernel: CudaFunction,
    streams: Vec<Arc<CudaStream>>,
}

/// The bars of a piece on the device.
pub struct BarsThere {
    columns: CudaSlice<i32>,
    gates: CudaSlice<u32>,
}

/// The features of a piece on the device.
pub struct FeaturesThere {
    columns: CudaSlice<f32>,
    symmetric: bool,
}

/// A piece that was launched, and will have its stats, all segments of each lane in order.
pub struct Launched {
    stats: CudaSlice<Stats>,
    stream: Arc<CudaStream>,
    // The device reads them when it comes to it.
    _segments: Vec<i32>,
}

impl Driver {
    /// Opens the first device.
    pub fn open(streams: usize) -> Result<Self, CudaError> {
        let doing = |error| CudaError::of(error, "opening the device");
        let context = CudaContext::new(0).map_err(doing)?;
        let kernel = load(&context)?;
        let streams = (0..streams).map(|_| context.new_stream()).collect::<Result<_, _>>().map_err(doing)?;
        Ok(Self { context, kernel, streams })
    }

    /// What the device and its driver are.
    pub fn describe(&self) -> Result<Device, CudaError> {
        facts(&self.context).map_err(|error| CudaError::of(error, "describing the device"))
    }

    /// Bytes of memory that are free.
    pub fn free(&self) -> Result<usize, CudaError> {
        let (free, _) = self.context.mem_get_info().map_err(|e| CudaError::of(e, "asking for its memory"))?;
        Ok(free)
    }

    /// What a batch takes on the device.
    pub fn sizes(features: &Features) -> Sizes {
        let columns = BAR_COLUMNS + 1 + 1 + DIRECTION_COLUMNS * if features.down.is_some() { 2 } else { 1 };
        Sizes {
            bar: columns * size_of::<i32>(),
            lane: size_of::<Lane>(),
            segment: 2 * size_of::<i32>(),
            stats: size_of::<Stats>(),
        }
    }

    fn stream(&self, turn: usize) -> &Arc<CudaStream> {
        &self.streams[turn % self.streams.len()]
    }

    /// Copies a range of bars to the device, in the order of `BarColumn` in sweep.cu.
    pub fn put_bars(&self, turn: usize, bars: &Bars, range: &Range<usize>) -> Result<BarsThere, CudaError> {
        let (bid, ask) = (&bars.bid, &bars.ask);
        let columns: [&[i32]; BAR_COLUMNS] = [
            &bid.open,
            &bid.high,
            &bid.low,
            &bid.close,
            &ask.open,
            &ask.high,
            &ask.low,
            &ask.close,
            &bars.volatility,
            &bars.nights,
        ];
        let stream = self.stream(turn);
        let put = || -> Result<BarsThere, DriverError> {
            Ok(BarsThere {
                columns: put_columns(stream, &columns, range)?,
                gates: stream.clone_htod(&bars.gate[range.clone()])?,
            })
        };
        put().map_err(|error| CudaError::of(error, "copying bars"))
    }

    /// Copies a range of features to the device, in the order of `FeatureColumn` in sweep.cu.
    pub fn put_features(
        &self,
        turn: usize,
        features: &Features,
        range: &Range<usize>,
    ) -> Result<FeaturesThere, CudaError> {
        let mut columns: Vec<&[f32]> = vec![&features.strictness];
        for direction in std::iter::once(&features.up).chain(&features.down) {
            let of: [&[f32]; DIRECTION_COLUMNS] = [
                &direction.stability,
                &direction.coherence,
                &direction.entropy,
                &direction.gain,
                &direction.rupture,
            ];
            columns.extend(of);
        }
        let columns = put_columns(self.stream(turn), &columns, range)
            .map_err(|error| CudaError::of(error, "copying features"))?;
        Ok(FeaturesThere { columns, symmetric: features.down.is_some() })
    }

    /// Starts a piece; comes back before it is done.
    pub fn launch(
        &self,
        turn: usize,
        batch: &Batch,
        piece: &Piece,
        bars: &BarsThere,
        features: &FeaturesThere,
    ) -> Result<Launched, CudaError> {
        let segments = batch.segments[piece.segments.clone()]
            .iter()
            .flat_map(|segment| [small(segment.start, piece), small(segment.end, piece)])
            .collect::<Result<Vec<i32>, CudaError>>()?;
        let lanes = &batch.lanes[piece.lanes.clone()];
        let stream = self.stream(turn);
        let (width, height) = (lanes.len().div_ceil(BLOCK), piece.segments.len());
        let (Ok(count), Ok(lane_count), Ok(width), Ok(height), Ok(block)) = (
            i32::try_from(piece.bars.len()),
            i32::try_from(lanes.len()),
            u32::try_from(width),
            u32::try_from(height),
            u32::try_from(BLOCK),
        ) else {
            return Err(CudaError::Work(format!(
                "{} bars and {} lanes are too many",
                piece.bars.len(),
                lanes.len()
            )));
        };
        let grid =
            LaunchConfig { grid_dim: (width, height, 1), block_dim: (block, 1, 1), shared_mem_bytes: 0 };
        let Costs { slippage, commission, swap_buy, swap_sell } = *batch.costs;
        let symmetric = i32::from(features.symmetric);
        let start = || -> Result<CudaSlice<Stats>, DriverError> {
            let lanes = stream.clone_htod(lanes)?;
            let segments = stream.clone_htod(&segments)?;
            // SAFETY: the launch below writes every one of them before any is read.
            let mut stats = unsafe { stream.alloc::<Stats>(lanes.len() * piece.segments.len())? };
            let mut launch = stream.launch_builder(&self.kernel);
            launch.arg(&bars.columns).arg(&bars.gates).arg(&features.columns).arg(&count).arg(&symmetric);
            launch.arg(&lanes).arg(&lane_count).arg(&segments);
            launch.arg(&slippage).arg(&commission).arg(&swap_buy).arg(&swap_sell).arg(&mut stats);
            // SAFETY: these are the kernel's parameters in their order and sizes. It reads `count` bars in
            // as many columns as were copied, only rows within the segments, which lie in 0..count (`small`
            // checked them), and `lane_count` lanes; it writes one Stats for each lane and segment, as many
            // as were allocated. cudarc keeps the buffers until the stream has passed the launch.
            unsafe { launch.launch(grid)? };
            Ok(stats)
        };
        match start() {
            Ok(stats) => Ok(Launched { stats, stream: stream.clone(), _segments: segments }),
            Err(error) => {
                // Their copy may be on its way. What this wait fails of is what failed before it.
                let _ = stream.synchronize();
                Err(CudaError::of(error, "starting the kernel"))
            }
        }
    }

    /// Waits for all that the device was given.
    pub fn settle(&self) {
        // A device that fails here has failed before, and said so where its results were asked for; it runs
        // nothing any more.
        let _ = self.context.synchronize();
    }

    /// Waits for a piece; its stats.
    pub fn collect(&self, launched: &Launched) -> Result<Vec<Stats>, CudaError> {
        let collect = || -> Result<Vec<Stats>, DriverError> {
            // The copy only begins here: cudarc waits for none to or from plain memory.
            let stats = launched.stream.clone_dtoh(&launched.stats)?;
            launched.stream.synchronize()?;
            // What failed where cudarc can return no error is kept for us.
            self.context.check_err()?;
            Ok(stats)
        };
        collect().map_err(|error| CudaError::of(error, "computing"))
    }
}

/// A bar's index within a piece.
fn small(bar: usize, piece: &Piece) -> Result<i32, CudaError> {
    let within = bar.clamp(piece.bars.start, piece.bars.end) - piece.bars.start;
    i32::try_from(within).map_err(|_| CudaError::Work(format!("bar {bar} is beyond what it can count to")))
}

fn put_columns<T: DeviceRepr>(
    stream: &Arc<CudaStream>,
    columns: &[&[T]],
    range: &Range<usize>,
) -> Result<CudaSlice<T>, DriverError> {
    let count = range.len();
    // SAFETY: the copies below fill all of it, and where one of them fails nobody gets it.
    let mut there = unsafe { stream.alloc::<T>(count * columns.len())? };
    for (at, column) in columns.iter().enumerate() {
        stream.memcpy_htod(&column[range.clone()], &mut there.slice_mut(at * count..(at + 1) * count))?;
    }
    Ok(there)
}
