//! How often windows collapse, through the binary.

use crate::sandbox::Sandbox;

#[test]
fn windows_of_every_length_are_counted() {
    let sandbox = Sandbox::new("windows");
    let windows = |words: &str| {
        sandbox.sep_gpu(&[&["windows"], words.split_whitespace().collect::<Vec<_>>().as_slice()].concat())
    };
    sandbox.ok("synth EUR_USD --bars 3000 --seed 5");
    let out = windows("EUR_USD --collapse 0.5").out;
    assert_eq!(out.lines().count(), 64);
    assert!(out.starts_with("BITS  WINDOWS   RISING  FALLING\n   2    2,998"), "{out}");
    let json = windows("EUR_USD M5 --json").out;
    let found: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&found["synthetic"], &found["windows"][62]["window"]), (&true.into(), &64.into()));
    assert_eq!(found["windows"][62]["windows"], 3_000 / 5 - 64);
    for (words, code, expected) in [
        ("EUR_USD --collapse 1.1", 2, "expected a share from 0 to 1"),
        ("GBP_USD", 1, "no GBP_USD candles"),
        ("EUR_USD D1", 1, "D1 bars are not made from M1"),
    ] {
        let answer = windows(words);
        assert_eq!(answer.code, code, "windows {words}: {}", answer.err);
        assert!(answer.err.contains(expected), "windows {words}: {}", answer.err);
    }
}
