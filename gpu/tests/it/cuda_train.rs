//! Training on a card: the CPU's model to the byte, and what happens when the card fails.

use std::path::Path;

use crate::fake_cuda::{emulated, library, skip};
use crate::sandbox::{Answer, Sandbox};

const NO_COMPILER: &str = "there is no C++ compiler (c++)";

/// Some weeks of bars to train on.
fn sandbox(name: &str) -> Sandbox {
    let sandbox = Sandbox::new(name);
    sandbox.ok("synth EUR_USD --bars 30000 --seed 3");
    sandbox
}

/// Trains with the driver in this folder; the models go to `models`.
fn train(sandbox: &Sandbox, models: &str, backend: &str, (folder, faults): (&Path, &str)) -> Answer {
    let words = ["train", "EUR_USD", "--quick", "--backend", backend, "--models", models];
    sandbox.sep_gpu_with(&words, &[("LD_LIBRARY_PATH", folder.to_str().unwrap()), ("FAKE_CUDA", faults)])
}

/// The name of the model, which is the hash of its content.
fn model(sandbox: &Sandbox, models: &str) -> String {
    std::fs::read_to_string(sandbox.path(models).join("EUR_USD/trained.json")).unwrap()
}

#[test]
fn a_card_trains_the_cpus_model() {
    let Some(folder) = emulated() else { return skip("a_card_trains_the_cpus_model", NO_COMPILER) };
    let sandbox = sandbox("cuda-train");
    for backend in ["cpu", "cuda", "auto"] {
        let answer = train(&sandbox, backend, backend, (folder, ""));
        assert_eq!(answer.code, 0, "{}", answer.err);
        assert_eq!(answer.err.contains("30,000 bars on Emulated"), backend != "cpu", "{}", answer.err);
        assert_eq!(model(&sandbox, backend), model(&sandbox, "cpu"));
    }
}

#[test]
fn when_the_card_dies_the_cpu_goes_on_only_where_it_may() {
    let test = "when_the_card_dies_the_cpu_goes_on_only_where_it_may";
    let Some(folder) = emulated() else { return skip(test, NO_COMPILER) };
    let sandbox = sandbox("cuda-train-dies");
    let failed = "the CUDA device failed while starting the kernel (CUDA_ERROR_ILLEGAL_ADDRESS, 700); \
                  see dmesg for NVRM messages, or use --backend cpu";
    // Two launches prove the card in a process of its own, so that the training dies at its own third one.
    let answer = train(&sandbox, "auto", "auto", (folder, "dies=3"));
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert!(answer.err.contains(&format!("note: {failed}; the CPU computes\n")), "{}", answer.err);
    assert_eq!(train(&sandbox, "cpu", "cpu", (folder, "")).code, 0);
    assert_eq!(model(&sandbox, "auto"), model(&sandbox, "cpu"));
    let answer = train(&sandbox, "cuda", "cuda", (folder, "dies=3"));
    assert_eq!((answer.code, answer.out.as_str()), (1, ""));
    assert!(answer.err.ends_with(&format!("error: {failed}\n")), "{}", answer.err);
}

#[test]
fn a_broken_driver_is_a_note_or_an_error() {
    let test = "a_broken_driver_is_a_note_or_an_error";
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nothing-at-all.cpp");
    std::fs::write(&source, "int nothing;\n").unwrap();
    let Some(folder) = library("broken-cuda", &source) else { return skip(test, NO_COMPILER) };
    let sandbox = sandbox("cuda-train-broken");
    let answer = train(&sandbox, "auto", "auto", (&folder, ""));
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert!(answer.err.starts_with("note: the CUDA driver cannot be used: Missing symbol"), "{}", answer.err);
    let answer = train(&sandbox, "cuda", "cuda", (&folder, ""));
    assert_eq!(answer.code, 1);
    assert!(
        answer.err.starts_with("error: the CUDA driver cannot be used: Missing symbol"),
        "{}",
        answer.err
    );
}
