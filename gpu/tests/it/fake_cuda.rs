//! A CUDA driver without a GPU (gpu/tests/cuda/fake_driver.cpp): compiled here, found through LD_LIBRARY_PATH.
//! Its kernels are the shipped source, run on the CPU.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use sep_gpu::backend::cuda::probe;

/// Says that a test is skipped; where everything must run (CI is set), fails it.
pub fn skip(test: &str, why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{test} must not be skipped here: {why}");
    say(&format!("{test}: {why}"));
}

/// A word on stderr about what is skipped, past the test harness, which would keep it to itself.
pub fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {what}");
}

/// A library by the driver's name, made of this C++, in a folder of its own.
pub fn library(name: &str, source: &Path) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let fresh = folder.join(format!("fresh-{}.so", std::process::id()));
    let compiled = Command::new("c++")
        .args(["-std=c++17", "-O2", "-ffp-contract=off", "-fPIC", "-shared"])
        .arg("-o")
        .arg(&fresh)
        .arg(source)
        .output()
        .ok()?;
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    std::fs::rename(fresh, folder.join("libcuda.so")).unwrap();
    Some(folder)
}

/// The folder of the emulated driver, compiled once; None where there is no C++ compiler.
pub fn emulated() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cuda/fake_driver.cpp");
    FOLDER.get_or_init(|| library("fake-cuda", &source)).as_deref()
}

/// The command that asks for the device, with the driver in this folder and its faults.
pub fn asking(folder: &Path, faults: &str) -> Command {
    let mut command = probe::command(Path::new(env!("CARGO_BIN_EXE_sep-gpu")));
    command.env("LD_LIBRARY_PATH", folder).env("FAKE_CUDA", faults);
    command
}

/// Runs one of this binary's tests in a process of its own, which has the driver in this folder and its faults:
/// whether it passed, and what was said.
pub fn run(folder: &Path, test: &str, faults: &str) -> (bool, String) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--include-ignored", "--nocapture", "--test-threads=1"])
        .env("LD_LIBRARY_PATH", folder)
        .env("FAKE_CUDA", faults)
        // What the host has freed is full of rubbish, too.
        .env("GLIBC_TUNABLES", "glibc.malloc.perturb=165:glibc.malloc.tcache_count=0")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success() && out.contains("1 passed"), format!("{out}\n{err}"))
}

/// Runs one of this binary's ignored tests with the emulated driver, and gives what was said; its name on
/// stderr where there is no compiler.
pub fn inside(test: &str, ignored: &str, faults: &str) -> Option<String> {
    let Some(folder) = emulated() else {
        skip(test, "there is no C++ compiler (c++)");
        return None;
    };
    let (passed, said) = run(folder, ignored, faults);
    assert!(passed, "{faults}: {said}");
    Some(said)
}
