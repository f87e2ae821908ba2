//! What `show` shows.

use serde_json::json;

use crate::sandbox::{Sandbox, minutes};

#[test]
fn coverage_and_the_newest_bars_across_months() {
    let sandbox = Sandbox::new("show");
    sandbox.put("2025-07", &minutes("2025-07-31T23:00:00Z", 60));
    let mut august = minutes("2025-08-01T00:00:00Z", 2);
    august.provenance.assumed_spread = true;
    sandbox.put("2025-08", &august);
    assert_eq!(
        sandbox.ok("show"),
        "PAIR     TIMEFRAME  MONTHS  BARS  FIRST                 LAST                  SOURCE  MARKS\n\
         EUR_USD  M1              2    62  2025-07-31T23:00:00Z  2025-08-01T00:01:00Z  made    spread assumed\n"
    );
    let out = sandbox.ok("show EUR_USD M1 -n 3");
    let bars: Vec<&str> = out.lines().skip(4).collect();
    assert_eq!(
        bars,
        [
            "2025-07-31T23:59:00Z   1.10010  1.10019  1.10002  1.10013   1.10022  1.10031  1.10014  1.10025      40",
            "2025-08-01T00:00:00Z   1.10000  1.10009  1.09992  1.10003   1.10012  1.10021  1.10004  1.10015      40",
            "2025-08-01T00:01:00Z   1.10007  1.10016  1.09999  1.10010   1.10019  1.10028  1.10011  1.10022      40",
        ]
    );
    assert!(!out.contains('\x1b'), "no colours where there is no terminal");
}

#[test]
fn json_for_machines() {
    let sandbox = Sandbox::new("show-json");
    sandbox.put("2025-07", &minutes("2025-07-31T23:00:00Z", 60));
    let found: serde_json::Value = serde_json::from_str(&sandbox.ok("show EUR_USD M1 -n 1 --json")).unwrap();
    assert_eq!(
        found,
        json!({
            "series": [{
                "pair": "EUR_USD", "timeframe": "M1", "months": 1, "candles": 60,
                "first": "2025-07-31T23:00:00Z", "last": "2025-07-31T23:59:00Z", "sources": ["made"],
                "synthetic": false, "assumed_spread": false, "crossed_kept": false
            }],
            "candles": [{
                "time": "2025-07-31T23:59:00Z", "volume": 40,
                "bid": {"open": "1.10010", "high": "1.10019", "low": "1.10002", "close": "1.10013"},
                "ask": {"open": "1.10022", "high": "1.10031", "low": "1.10014", "close": "1.10025"}
            }],
            "problems": []
        })
    );
    assert_eq!(sandbox.ok("show EUR_USD M1 --newest 3"), sandbox.ok("show EUR_USD M1 -n 3"));
    let answer = sandbox.run("show GBP_USD --json");
    let empty: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!((empty, answer.code), (json!({ "series": [], "problems": [] }), 1));
}

#[test]
fn where_there_is_nothing_the_exit_code_says_so() {
    let sandbox = Sandbox::new("show-empty");
    for words in ["show", "check"] {
        let answer = sandbox.run(words);
        assert_eq!((answer.code, answer.out.as_str()), (1, ""), "{words}");
        assert_eq!(
            answer.err,
            "error: no candles in data/candles: 'sep-gpu candles import' brings some in\n"
        );
    }
    sandbox.put("2025-07", &minutes("2025-07-31T23:00:00Z", 60));
    for words in ["show AUD_USD", "check AUD_USD"] {
        let answer = sandbox.run(words);
        assert_eq!((answer.code, answer.out.as_str()), (1, ""), "{words}");
        assert!(answer.err.contains("no candles of AUD_USD in data/candles:"), "{}", answer.err);
    }
    assert!(sandbox.run("import --help").out.contains("Examples:"));
}

#[test]
fn shells_are_told_every_verb() {
    let sandbox = Sandbox::new("completions");
    for shell in ["bash", "zsh", "fish"] {
        let answer = sandbox.sep_gpu(&["completions", shell]);
        assert_eq!(answer.code, 0, "{}", answer.err);
        for verb in ["candles", "train", "backtest", "report", "promote", "signals", "leaktest"] {
            assert!(answer.out.contains(verb), "{shell}: {verb}");
        }
    }
    assert_eq!(sandbox.sep_gpu(&["completions", "tcsh"]).code, 2);
}
