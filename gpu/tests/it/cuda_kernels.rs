//! The PTX that is shipped is what the kernels compile to, and no card must spill registers for it.

use std::path::Path;
use std::process::Command;

use crate::fake_cuda::skip;

#[test]
fn the_shipped_ptx_is_what_the_kernels_compile_to() {
    let test = "the_shipped_ptx_is_what_the_kernels_compile_to";
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/kernels.py");
    let Ok(output) = Command::new("python3").arg(script).arg("check").output() else {
        return skip(test, "there is no python3");
    };
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.code() {
        Some(0) => {}
        Some(3) => return skip(test, err.trim()),
        _ => panic!("{out}{err}"),
    }
    // The emulated grids prove nothing about a kernel whose operations are fused on the card.
    for name in ["sweep.compute_75.ptx", "sweep.compute_90.ptx"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels/ptx").join(name);
        let ptx = std::fs::read_to_string(path).unwrap();
        assert!(ptx.contains("mul.rn.f32") && !ptx.contains("fma.") && !ptx.contains(".ftz"), "{name}");
        assert!(ptx.contains(".version 8.0\n"), "{name} shuts out drivers before its version");
    }
    assert_eq!(out.lines().filter(|line| line.contains("registers")).count(), 6, "{out}");
}
