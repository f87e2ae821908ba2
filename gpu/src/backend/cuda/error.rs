//! Everything that can go wrong between this program and an NVIDIA card, each as one line that says what to do.
//!
//! Owns the meaning of the driver's result codes. Must not call the driver: it may be the one that fails.

use cudarc::driver::DriverError;
use cudarc::driver::sys::CUresult;
use serde::{Deserialize, Serialize};

/// The oldest driver branch that takes the PTX which is shipped (ISA 8.0, of CUDA 12.0).
pub const OLDEST_DRIVER: &str = "525";

/// Why nothing can be evaluated, or why an evaluation ended, on a CUDA device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CudaError {
    #[error(
        "no CUDA driver on this machine (libcuda.so was not found): install NVIDIA's driver, or use --backend cpu"
    )]
    NoDriver,
    #[error("the CUDA driver cannot be used: {0}; install NVIDIA's driver again, or use --backend cpu")]
    Broken(String),
    #[error(
        "the CUDA driver ended the process that asked it ({0}); install NVIDIA's driver again, or use --backend cpu"
    )]
    Crashed(String),
    #[error("the CUDA driver did not answer within {0} s; see whether nvidia-smi does, or use --backend cpu")]
    Silent(u64),
    #[error("the CUDA driver found no device ({0}); see what nvidia-smi shows, or use --backend cpu")]
    NoDevice(String),
    #[error(
        "the CUDA driver is too old ({0}): version {OLDEST_DRIVER} or newer is needed; update it, or use --backend cpu"
    )]
    TooOld(String),
    #[error("{device} has compute capability {found}, 7.5 or newer is needed; use --backend cpu")]
    OldDevice { device: String, found: String },
    #[error(
        "out of memory on the CUDA device ({0}); end what else uses it (nvidia-smi lists it), or use --backend cpu"
    )]
    OutOfMemory(String),
    #[error(
        "the CUDA device failed while {doing} ({code}); see dmesg for NVRM messages, or use --backend cpu"
    )]
    Failed { doing: String, code: String },
    #[error("{device} computes other results than the CPU ({what}); do not trust it, use --backend cpu")]
    Wrong { device: String, what: String },
    #[error("cannot ask for the CUDA driver: running {program} failed: {reason}")]
    Probe { program: String, reason: String },
    #[error("this work cannot be given to a CUDA device: {0}")]
    Work(String),
}

impl CudaError {
    /// Whether there is no card to use at all, as opposed to one that fails or computes nonsense.
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::NoDriver | Self::NoDevice(_) | Self::TooOld(_) | Self::OldDevice { .. })
    }

    /// What a result code of the driver means, met while doing something ("loading the kernel").
    pub fn of(error: DriverError, doing: &str) -> Self {
        let DriverError(result) = error;
        let code = format!("{result:?}, {}", result as u32);
        match result {
            CUresult::CUDA_ERROR_NO_DEVICE
            | CUresult::CUDA_ERROR_INVALID_DEVICE
            | CUresult::CUDA_ERROR_DEVICE_UNAVAILABLE => Self::NoDevice(code),
            CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION
            | CUresult::CUDA_ERROR_INVALID_PTX
            | CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU => Self::TooOld(code),
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => Self::OutOfMemory(code),
            CUresult::CUDA_ERROR_STUB_LIBRARY => {
                Self::Broken(format!("libcuda.so is the stub of a toolkit, not a driver ({code})"))
            }
            CUresult::CUDA_ERROR_SYSTEM_DRIVER_MISMATCH => Self::Broken(format!(
                "it does not fit the loaded kernel module; restart the machine ({code})"
            )),
            CUresult::CUDA_ERROR_JIT_COMPILER_NOT_FOUND => {
                Self::Broken(format!("libnvidia-ptxjitcompiler.so is missing ({code})"))
            }
            _ => Self::Failed { doing: doing.to_owned(), code },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_is_one_line() {
        let errors = [
            CudaError::of(DriverError(CUresult::CUDA_ERROR_STUB_LIBRARY), "starting"),
            CudaError::of(DriverError(CUresult::CUDA_ERROR_ILLEGAL_ADDRESS), "evaluating"),
            CudaError::Silent(30),
            CudaError::OldDevice { device: "Tesla P100".into(), found: "6.0".into() },
        ];
        for error in errors {
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }

    #[test]
    fn refused_ptx_means_an_old_driver() {
        let error = CudaError::of(DriverError(CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION), "loading");
        assert_eq!(
            error.to_string(),
            "the CUDA driver is too old (CUDA_ERROR_UNSUPPORTED_PTX_VERSION, 222): version 525 or newer is \
             needed; update it, or use --backend cpu"
        );
    }
}
