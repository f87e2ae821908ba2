//! What is said about drivers that are missing, broken, too old, or silent.

use std::path::Path;
use std::time::Duration;

use sep_gpu::backend::cuda::{CudaError, probe};

use crate::fake_cuda::{asking, emulated, library, skip};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn every_broken_driver_gets_its_line() {
    let test = "every_broken_driver_gets_its_line";
    let Some(folder) = emulated() else { return skip(test, "there is no C++ compiler (c++)") };
    let lines = [
        ("init=100", "found no device (CUDA_ERROR_NO_DEVICE, 100); see what nvidia-smi shows"),
        ("count=0", "found no device (it counts none)"),
        ("init=34", "libcuda.so is the stub of a toolkit, not a driver (CUDA_ERROR_STUB_LIBRARY, 34)"),
        ("init=803", "does not fit the loaded kernel module; restart the machine"),
        ("init=999", "failed while starting (CUDA_ERROR_UNKNOWN, 999)"),
        ("abort", "ended the process that asked it (signal 6)"),
        ("ptx=222", "too old (CUDA_ERROR_UNSUPPORTED_PTX_VERSION, 222): version 525 or newer is needed"),
        ("ptx=221", "libnvidia-ptxjitcompiler.so is missing"),
        ("wrong=1", "Emulated computes other results than the CPU (a net result of "),
        ("dies=1", "failed while starting the kernel (CUDA_ERROR_ILLEGAL_ADDRESS, 700)"),
        ("capability=6", "Emulated has compute capability 6.0, 7.5 or newer is needed"),
    ];
    for (faults, expected) in lines {
        let line = probe::ask(&mut asking(folder, faults), PATIENCE).unwrap_err().to_string();
        assert!(line.contains(expected), "{faults}: {line}");
        assert!(line.contains("--backend cpu") && !line.contains('\n'), "{faults}: {line}");
    }
}

#[test]
fn a_driver_that_hangs_is_given_up() {
    let test = "a_driver_that_hangs_is_given_up";
    let Some(folder) = emulated() else { return skip(test, "there is no C++ compiler (c++)") };
    let answer = probe::ask(&mut asking(folder, "hang"), Duration::from_secs(1));
    assert_eq!(answer, Err(CudaError::Silent(1)));
}

#[test]
fn a_library_without_the_drivers_functions_is_named() {
    let test = "a_library_without_the_drivers_functions_is_named";
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nothing.cpp");
    std::fs::write(&source, "int nothing;\n").unwrap();
    let Some(folder) = library("empty-cuda", &source) else {
        return skip(test, "there is no C++ compiler (c++)");
    };
    let line = probe::ask(&mut asking(&folder, ""), PATIENCE).unwrap_err().to_string();
    assert!(line.starts_with("the CUDA driver cannot be used: Missing symbol cuInit: "), "{line}");
}

#[test]
fn the_device_is_described() {
    let Some(folder) = emulated() else {
        return skip("the_device_is_described", "there is no C++ compiler (c++)");
    };
    let device = probe::ask(&mut asking(folder, ""), PATIENCE).unwrap();
    assert_eq!(
        device.line(),
        "Emulated, 2048 MiB (1024 MiB free), compute capability 9.0, driver for CUDA 12.8"
    );
}

#[test]
fn a_program_that_answers_nothing_is_no_driver() {
    let mut command = std::process::Command::new("true");
    let line = probe::ask(&mut command, PATIENCE).unwrap_err().to_string();
    assert!(line.contains("ended the process that asked it (exit code 0, no answer)"), "{line}");
    let mut command = std::process::Command::new("/nonexistent/sep-gpu");
    let line = probe::ask(&mut command, PATIENCE).unwrap_err().to_string();
    assert!(line.contains("running /nonexistent/sep-gpu failed: No such file"), "{line}");
}
