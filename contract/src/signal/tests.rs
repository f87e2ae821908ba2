//! Checks and hashes of single signals.

use super::*;
use crate::signals::samples::signal;

#[test]
fn a_sound_signal_passes() {
    assert_eq!(signal(1).validate(), Ok(()));
}

#[test]
fn every_fault_is_named_with_its_field() {
    let change = |change: fn(&mut Signal)| {
        let mut one = signal(1);
        change(&mut one);
        let fault = one.validate().unwrap_err();
        (fault.field(), fault.to_string())
    };
    let has = |(field, message): (&str, String), expected: &str, words: &str| {
        assert_eq!(field, expected, "{message}");
        assert!(message.contains(words), "{message}");
    };
    has(change(|s| s.account = "Primary".into()), "account", "'Primary'");
    has(change(|s| s.strategy = String::new()), "strategy", "1 to 64");
    has(change(|s| s.strategy = "a b".into()), "strategy", "'a b'");
    has(change(|s| s.bar_close += jiff::SignedDuration::from_secs(7)), "bar_close", "no M1 bar closes");
    has(change(|s| s.metrics.entropy = f64::NAN), "entropy", "NaN");
    has(change(|s| s.metrics.coherence = 1.01), "coherence", "1.01");
    has(change(|s| s.metrics.sell_score = f64::INFINITY), "sell_score", "inf");
    has(change(|s| s.metrics.flip_ratio = 0.9), "null_ratio", "add up to");
    has(change(|s| s.stop = Decimal::new(1_104_515, 6)), "stop", "6 digits");
    has(change(|s| s.target = Decimal::ZERO), "target", "not above zero");
    has(change(|s| s.side = Side::Sell), "stop", "sell needs its stop above");
    has(change(|s| s.target = s.stop), "stop", "below its target");
    has(change(|s| s.expires_at = s.bar_close), "expires_at", "not after");
    has(change(|s| s.expires_at += jiff::SignedDuration::from_nanos(1)), "expires_at", "microsecond");
    has(change(|s| s.override_reason = Some(" ".into())), "override_reason", "one line");
    has(change(|s| s.override_reason = Some("a\nb".into())), "override_reason", "one line");
}

#[test]
fn the_canonical_encoding_is_what_the_documentation_says() {
    let mut one = signal(1);
    one.override_reason = Some("é".into());
    let text = "sep-signal/1\naccount:7:primary\nstrategy:3:qfh\npair:7:EUR_USD\ntimeframe:2:M1\n\
        bar_close:16:1753303260000000\nside:3:buy\nconfidence:6:712345\nentropy:16:3fe0000000000000\n\
        coherence:16:3fd0000000000000\nstability:16:3fe8000000000000\nnull_ratio:16:3fd0000000000000\n\
        flip_ratio:16:3fe0000000000000\nrupture_ratio:16:3fd0000000000000\nbuy_score:16:3ff0000000000000\n\
        sell_score:16:0000000000000000\nstop:5:1.104\ntarget:6:1.1061\nexpires_at:16:1753303860000000\n";
    let text = format!("{text}model_hash:64:{}\noverride_reason:3:+é\n", one.model_hash);
    assert_eq!(one.content_hash(), Digest::of(text.as_bytes()));
}

#[test]
fn the_hash_feels_every_field_and_only_content() {
    let base = signal(1).content_hash();
    let changes: [fn(&mut Signal); 13] = [
        |s| s.account.push('2'),
        |s| s.strategy.push('2'),
        |s| s.pair = "GBP_USD".parse().unwrap(),
        |s| s.timeframe = Timeframe::M5,
        |s| s.bar_close += jiff::SignedDuration::from_secs(60),
        |s| s.side = Side::Sell,
        |s| s.confidence = Confidence(1),
        |s| s.metrics.sell_score = f64::from_bits(1),
        |s| s.stop += Decimal::new(1, 5),
        |s| s.target += Decimal::new(1, 5),
        |s| s.expires_at += jiff::SignedDuration::from_micros(1),
        |s| s.model_hash = Digest::of(b"other"),
        |s| s.override_reason = Some("x".into()),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut other = signal(1);
        change(&mut other);
        assert_ne!(other.content_hash(), base, "change {at}");
    }
    let mut same = signal(1);
    same.stop.rescale(9);
    same.metrics.sell_score = -0.0;
    assert_eq!(same.content_hash(), base);
}

#[test]
fn confidence_is_exact() {
    let parse = |text: &str| text.parse::<Confidence>();
    assert_eq!(parse("0.731234").unwrap().millionths(), 731_234);
    assert_eq!(parse("1").unwrap().to_string(), "1.000000");
    assert_eq!(parse("0.5000000000").unwrap().millionths(), 500_000);
    assert!(matches!(parse("0.7312345"), Err(ConfidenceError::TooFine { .. })));
    assert!(matches!(parse("1.000001"), Err(ConfidenceError::OutOfRange { .. })));
    assert!(matches!(parse("-0.1"), Err(ConfidenceError::OutOfRange { .. })));
    assert!(matches!(parse("NaN"), Err(ConfidenceError::NotANumber { .. })));
    assert!(matches!(parse("0.0000000000000000000000000001"), Err(ConfidenceError::TooFine { .. })));
}
