//! Models for tests: one that was trained on made-up candles, and what a test makes of it.

use std::path::PathBuf;
use std::sync::OnceLock;

use sep_gpu::lane::Distance;
use sep_gpu::model::{Model, Models, Stored};
use sep_gpu::variant::{Hours, Variant};
use sep_gpu::verdict::resample::Permuted;
use sep_gpu::verdict::{Demands, judge};

use crate::sandbox::Sandbox;

/// A model of EUR_USD as a quick training on a month of made-up candles leaves it: with an edge, but on too few
/// days.
pub fn trained() -> Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL
        .get_or_init(|| {
            let sandbox = Sandbox::new("trained");
            sandbox.ok("synth EUR_USD --days 30 --seed 1 --edge 0.6");
            let answer = sandbox.sep_gpu(&["train", "EUR_USD", "--quick", "--backend", "cpu"]);
            assert_eq!(answer.code, 0, "{}", answer.err);
            let stored = models(&sandbox).trained("EUR_USD".parse().unwrap()).unwrap().unwrap();
            assert!(!stored.model.verdict.promoted);
            stored.model
        })
        .clone()
}

/// The same with evidence that passes the gate.
pub fn passing() -> Model {
    let mut model = trained();
    let days = model.evidence.days.clone();
    model.evidence.days.extend(days);
    model.evidence.null = Some(Permuted::of(4.0, 39, 0));
    model.verdict = judge(&model.evidence, &Demands::default());
    assert!(model.verdict.promoted, "{}", model.verdict.words);
    model
}

/// The same as if it had been trained on real candles.
pub fn real(mut model: Model) -> Model {
    model.data.synthetic = false;
    model
}

/// The same with a variant that buys at every close of M1.
pub fn buying(mut model: Model) -> Model {
    model.variant = Some(buyer());
    model
}

/// Buys at every close.
pub fn buyer() -> Variant {
    Variant {
        buy_above: f32::MIN_POSITIVE,
        sell_above: 10.0,
        min_confidence: 0.0,
        min_coherence: 0.0,
        hours: Hours::ALL,
        stop: Distance { ticks: 40, ranges: 256 },
        target: Distance { ticks: 60, ranges: 512 },
        ..Variant::published()
    }
}

/// Where a sandbox keeps its models.
pub fn models(sandbox: &Sandbox) -> Models {
    Models::at(data(sandbox).join("models"))
}

/// Where a sandbox keeps its files of signals.
pub fn outbox(sandbox: &Sandbox) -> PathBuf {
    data(sandbox).join("signals")
}

fn data(sandbox: &Sandbox) -> PathBuf {
    sandbox.store().root().parent().unwrap().to_owned()
}

/// Keeps a model in a sandbox, as the one trained last.
pub fn kept(sandbox: &Sandbox, model: &Model) -> Stored {
    let models = models(sandbox);
    let stored = models.keep(model).unwrap();
    models.remember(&stored).unwrap();
    stored
}
