//! Who may speak for a pair: the gate's refusals, and the one way around them.

use std::fs;

use sep_contract::{Digest, Pair};
use sep_gpu::model::Promotion;
use serde_json::{Value, json};

use crate::sandbox::{Answer, Sandbox};
use crate::trained::{kept, models, passing, real, trained};

fn promote(sandbox: &Sandbox, args: &[&str]) -> Answer {
    sandbox.sep_gpu(&[&["promote", "EUR_USD"], args].concat())
}

fn promotion(sandbox: &Sandbox) -> Option<Promotion> {
    let pair: Pair = "EUR_USD".parse().unwrap();
    models(sandbox).promoted(pair).unwrap().map(|(_, promotion)| promotion)
}

#[test]
fn a_model_that_failed_is_refused_in_the_words_of_what_it_failed() {
    let sandbox = Sandbox::new("promote-refused");
    let stored = kept(&sandbox, &real(trained()));
    let answer = promote(&sandbox, &[]);
    assert_eq!((answer.code, answer.out.as_str()), (1, ""));
    let failed: Vec<String> =
        stored.model.verdict.failed().map(|criterion| criterion.sentence.clone()).collect();
    assert!(!failed.is_empty());
    for sentence in &failed {
        assert!(answer.err.contains(sentence.as_str()), "{sentence} is not in {}", answer.err);
    }
    assert!(answer.err.contains("Nothing was changed: no model speaks for EUR_USD"), "{}", answer.err);
    assert_eq!(promotion(&sandbox), None);

    let answer = promote(&sandbox, &["--json"]);
    let found: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(answer.code, 1);
    assert_eq!((&found["promoted"], &found["objections"]), (&json!(false), &json!(failed)));
    assert_eq!((&found["speaking"], &found["override_reason"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_refusal_leaves_the_model_that_speaks() {
    let sandbox = Sandbox::new("promote-stays");
    let good = kept(&sandbox, &real(passing()));
    assert_eq!(promote(&sandbox, &[]).code, 0);
    let file = models(&sandbox).folder("EUR_USD".parse().unwrap()).join("promoted.json");
    let before = fs::read(&file).unwrap();
    kept(&sandbox, &real(trained()));
    let answer = promote(&sandbox, &[]);
    assert_eq!(answer.code, 1);
    assert!(answer.err.contains(&format!("model {} goes on speaking", good.hash)), "{}", answer.err);
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn an_override_is_recorded_and_said_aloud() {
    let sandbox = Sandbox::new("promote-override");
    let stored = kept(&sandbox, &trained());
    let answer = promote(&sandbox, &["--override", "to see the way of a signal"]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert!(answer.out.contains("PROMOTED BY OVERRIDE, although:"), "{}", answer.out);
    assert!(answer.out.contains("made-up candles"), "{}", answer.out);
    assert!(answer.out.contains("reason: to see the way of a signal\n"), "{}", answer.out);
    let override_reason = Some("to see the way of a signal".to_owned());
    assert_eq!(promotion(&sandbox), Some(Promotion { model: stored.hash, override_reason }));
}

#[test]
fn a_reason_is_one_line_that_says_something() {
    let sandbox = Sandbox::new("promote-reason");
    kept(&sandbox, &trained());
    for reason in ["", " ", "two\nlines", &"x".repeat(501)] {
        let answer = promote(&sandbox, &["--override", reason]);
        assert_eq!(answer.code, 2, "{reason:?}");
        assert!(answer.err.contains("one line of 1 to 500 bytes"), "{}", answer.err);
        assert_eq!(promotion(&sandbox), None);
    }
}

#[test]
fn a_model_that_passed_needs_no_reason_and_keeps_none() {
    let sandbox = Sandbox::new("promote-passed");
    let stored = kept(&sandbox, &real(passing()));
    let plain = Promotion { model: stored.hash, override_reason: None };
    let answer = promote(&sandbox, &[]);
    assert_eq!((answer.code, promotion(&sandbox)), (0, Some(plain.clone())), "{}", answer.err);
    assert!(answer.out.contains("an edge: walking forward"), "{}", answer.out);
    let answer = promote(&sandbox, &["--override", "just to be sure"]);
    assert_eq!((answer.code, promotion(&sandbox)), (0, Some(plain)));
    assert!(answer.out.contains("not needed and was not recorded"), "{}", answer.out);
}

#[test]
fn a_model_of_made_up_candles_needs_a_reason_even_where_it_passed() {
    let sandbox = Sandbox::new("promote-made-up");
    kept(&sandbox, &passing());
    let answer = promote(&sandbox, &[]);
    assert_eq!((answer.code, promotion(&sandbox)), (1, None));
    assert!(answer.err.contains("it was trained on made-up candles"), "{}", answer.err);
    assert_eq!(promote(&sandbox, &["--override", "a rehearsal"]).code, 0);
    assert_eq!(promotion(&sandbox).unwrap().override_reason.as_deref(), Some("a rehearsal"));
}

#[test]
fn a_changed_file_is_found_out() {
    let sandbox = Sandbox::new("promote-changed");
    let stored = kept(&sandbox, &real(trained()));
    let text = fs::read_to_string(&stored.path).unwrap();
    let forged = text.replacen("\"promoted\": false", "\"promoted\": true", 1);
    assert_ne!(text, forged);
    fs::write(&stored.path, &forged).unwrap();
    let path = stored.path.to_str().unwrap();
    for args in [&[][..], &["--model", path], &["--override", "why not"]] {
        let answer = promote(&sandbox, args);
        assert_eq!((answer.code, promotion(&sandbox)), (1, None), "{args:?}");
        assert!(answer.err.contains("it was changed after training"), "{args:?}: {}", answer.err);
    }
    // Under the name of its new content the file is whole, but the gate is asked again.
    let hash = Digest::of(forged.as_bytes());
    fs::write(stored.path.with_file_name(format!("{hash}.json")), &forged).unwrap();
    let answer = promote(&sandbox, &["--model", &hash.to_string()]);
    assert_eq!((answer.code, promotion(&sandbox)), (1, None));
    let failed = stored.model.verdict.failed().next().unwrap();
    assert!(answer.err.contains(&failed.sentence), "{}", answer.err);
}

#[test]
fn a_model_is_named_by_its_beginning_or_its_file() {
    let sandbox = Sandbox::new("promote-named");
    let first = kept(&sandbox, &real(passing()));
    kept(&sandbox, &trained());
    for name in [&first.hash.to_string()[..8], first.path.to_str().unwrap()] {
        assert_eq!(promote(&sandbox, &["--model", name]).code, 0, "{name}");
        assert_eq!(promotion(&sandbox).unwrap().model, first.hash);
    }
    let short = first.hash.to_string()[..4].to_owned();
    let answer = promote(&sandbox, &["--model", &short]);
    assert_eq!(answer.code, 2);
    let expected = format!("--model {short}: give at least 6 digits of the model's name");
    assert!(answer.err.contains(&expected), "{}", answer.err);
    let answer = promote(&sandbox, &["--model", "00000000"]);
    assert_eq!(answer.code, 1);
    assert!(answer.err.contains("has a name that begins with 00000000"), "{}", answer.err);
    // One of another pair is of no use wherever it lies.
    let other = sandbox.sep_gpu(&["promote", "GBP_USD", "--model", first.path.to_str().unwrap()]);
    assert_eq!(other.code, 1);
    assert!(other.err.contains("it is for EUR_USD, expected GBP_USD"), "{}", other.err);
    // A file from elsewhere must come to the models first: signals are made of what lies there.
    fs::copy(&first.path, sandbox.store().root().with_file_name("model.json")).unwrap();
    fs::remove_file(&first.path).unwrap();
    let answer = promote(&sandbox, &["--model", "data/model.json"]);
    assert_eq!(answer.code, 1);
    assert!(answer.err.contains("copy it to data/models/EUR_USD/"), "{}", answer.err);
}

#[test]
fn what_cannot_trade_cannot_be_overridden_and_what_is_not_there_is_named() {
    let sandbox = Sandbox::new("promote-empty");
    let answer = promote(&sandbox, &[]);
    assert_eq!(answer.code, 1);
    assert!(answer.err.contains("train one with 'sep-gpu train EUR_USD'"), "{}", answer.err);
    let mut model = trained();
    model.variant = None;
    kept(&sandbox, &model);
    let answer = promote(&sandbox, &["--override", "I insist"]);
    assert_eq!((answer.code, promotion(&sandbox)), (1, None));
    assert!(answer.err.contains("there is no variant to trade"), "{}", answer.err);
}
