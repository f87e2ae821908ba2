//! What `status` says at every stage, and what it proposes.

use sep_contract::Timeframe;
use serde_json::{Value, json};

use crate::sandbox::{Sandbox, minutes};
use crate::trained::{buying, kept, models, passing, real, trained};

fn status(sandbox: &Sandbox) -> Value {
    let answer = sandbox.sep_gpu(&["status", "--json"]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    serde_json::from_str(&answer.out).unwrap()
}

#[test]
fn nothing_there_is_no_failure_and_says_how_to_begin() {
    let sandbox = Sandbox::new("status-empty");
    let answer = sandbox.sep_gpu(&["status"]);
    assert_eq!((answer.code, answer.out.as_str()), (0, ""));
    assert!(answer.err.contains("nothing yet: no candles in data/candles, no models in data/models"));
    assert!(answer.err.contains("sep-gpu candles import --help"), "{}", answer.err);
    assert_eq!(status(&sandbox), json!({ "pairs": [], "newest_signals": null, "problems": [] }));
}

#[test]
fn every_stage_leads_to_the_next() {
    let sandbox = Sandbox::new("status-stages");
    let next = || status(&sandbox)["pairs"][0]["next"].as_str().unwrap().to_owned();
    sandbox.put("2025-07", &minutes("2025-07-31T23:00:00Z", 60));
    let mut august = minutes("2025-08-01T00:00:00Z", 3);
    august.provenance.assumed_spread = true;
    sandbox.put("2025-08", &august);
    let found = status(&sandbox);
    assert_eq!(
        found["pairs"][0]["candles"],
        json!({
            "timeframe": "M1", "bars": 63, "first": "2025-07-31T23:00:00Z", "last": "2025-08-01T00:03:00Z",
            "sources": ["made"], "synthetic": false, "assumed_spread": true, "crossed_kept": false
        })
    );
    assert_eq!(next(), "train: 'sep-gpu train EUR_USD'");

    let last = "2025-08-01T00:00:00Z".parse().unwrap();
    let fresh = |mut model: sep_gpu::model::Model| {
        model.data.last = last;
        model
    };
    let failed = kept(&sandbox, &fresh(real(trained())));
    assert!(next().starts_with("nothing to trade: import more candles"), "{}", next());
    models(&sandbox).promote(&failed, Some("a try".to_owned())).unwrap();
    assert_eq!(next(), "make signals: 'sep-gpu signals EUR_USD'");
    let passed = kept(&sandbox, &fresh(buying(real(passing()))));
    assert_eq!(next(), "promote: 'sep-gpu promote EUR_USD'");
    models(&sandbox).promote(&passed, None).unwrap();
    assert_eq!(sandbox.sep_gpu(&["signals"]).code, 0);
    let found = status(&sandbox);
    assert_eq!(found["newest_signals"]["signals"], 1);
    assert_eq!(found["newest_signals"]["bar_close"], "2025-08-01T00:03:00Z");
    let pair = &found["pairs"][0];
    assert_eq!((&pair["trained"]["passed"], &pair["trained"]["data_last"]), (&json!(true), &json!(last)));
    assert_eq!(pair["promoted"]["model"], passed.hash.to_string());

    let mut old = real(passing());
    old.data.last = "2025-07-20T00:00:00Z".parse().unwrap();
    kept(&sandbox, &old);
    assert_eq!(next(), "train again, 12 days of candles are new: 'sep-gpu train EUR_USD'");
    let shown = sandbox.sep_gpu(&["status", "EUR_USD"]).out;
    assert!(shown.contains("M1, 63 bars from 2025-07-31T23:00:00Z to 2025-08-01T00:03:00Z"), "{shown}");
    assert!(shown.contains("newest signals: data/signals/20250801T000300Z-"), "{shown}");
}

#[test]
fn what_is_stored_alone_is_trained_by_its_name() {
    for (timeframe, expected) in [
        (Timeframe::M5, "train: 'sep-gpu train EUR_USD'"),
        (Timeframe::D1, "train: 'sep-gpu train EUR_USD --timeframes D1'"),
    ] {
        let sandbox = Sandbox::new("status-alone");
        let mut set = minutes("2025-07-31T00:00:00Z", 1);
        set.timeframe = timeframe;
        sandbox.put("2025-07", &set);
        assert_eq!(status(&sandbox)["pairs"][0]["next"], expected);
    }
}

#[test]
fn what_cannot_be_read_is_named_beside_the_rest() {
    let sandbox = Sandbox::new("status-damaged");
    sandbox.put("2025-07", &minutes("2025-07-31T23:00:00Z", 60));
    let stored = kept(&sandbox, &trained());
    std::fs::write(&stored.path, "{").unwrap();
    let answer = sandbox.sep_gpu(&["status"]);
    assert_eq!(answer.code, 1);
    assert!(answer.out.contains("M1, 60 bars"), "{}", answer.out);
    assert!(answer.err.contains(stored.path.file_name().unwrap().to_str().unwrap()), "{}", answer.err);
    std::fs::write(sandbox.store().root().join("EUR_USD/M1/2025-07.parquet"), "half").unwrap();
    let answer = sandbox.sep_gpu(&["status"]);
    assert_eq!(answer.code, 1);
    assert!(answer.out.contains("  candles   cannot be read\n"), "{}", answer.out);
    assert!(
        answer.out.contains("  next      mend the candles: 'sep-gpu candles check EUR_USD'"),
        "{}",
        answer.out
    );
}
