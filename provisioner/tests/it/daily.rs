//! From candles to rows on the droplet: the signal engine and `sepctl daily`, as their users run them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use sep_contract::Digest;
use serde_json::{Value, json};

use crate::deployed::{command, copy, deployed, on, sql};
use crate::droplet::{Droplet, can_boot, said, unique_name};

const TRADING: &str = "sep_trading";
const REHEARSAL: &str = "sep_rehearsal";
const REASON: &str = "a rehearsal on made-up candles";

#[test]
fn from_candles_to_rows_on_the_droplet() {
    if !can_boot("from_candles_to_rows_on_the_droplet") {
        return;
    }
    let base = deployed();
    let (droplet, desk) = (copy(&base, "daily"), Desk::new());

    // A search whose every variant buys at every close, so that the newest bar has a signal.
    desk.engine(&["candles", "synth", "EUR_USD", "--days", "20", "--seed", "1"]);
    let mut space: Value =
        serde_json::from_slice(&desk.engine(&["train", "--show-space", "--quick"]).stdout).expect("a space");
    for (field, values) in [
        ("timeframes", json!(["M1"])),
        ("windows", json!([11])),
        ("buy_above", json!([0.001])),
        ("min_confidence", json!([0.0])),
        ("min_coherence", json!([0.0])),
        ("symmetric", json!([false])),
    ] {
        space[field] = values;
    }
    desk.file("space.json", space.to_string());
    desk.engine(&["train", "EUR_USD", "--space", "space.json", "--grid"]);

    // Trained, but not promoted: nothing to push, and nothing is.
    let (code, day) = desk.daily(&droplet, &[]);
    assert_eq!((code, &day["files"], &day["signals"]), (0, &json!([]), &json!([])), "{day}");
    let refused = desk.run(&["promote", "EUR_USD"]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    desk.engine(&["promote", "EUR_USD", "--override", REASON]);

    // Another pair is new: it is trained and refused, which does not stop the first one.
    desk.engine(&["candles", "synth", "USD_JPY", "--days", "20", "--seed", "2"]);
    let (code, day) = desk.daily(&droplet, &["--quick", "--rehearsal"]);
    assert_eq!((code, &day["failed"]), (0, &json!([])), "{day}");
    assert_eq!(
        (&day["trained"][0]["pair"], &day["trained"][0]["promoted"]),
        (&json!("USD_JPY"), &json!(false))
    );
    assert_eq!(day["trained"].as_array().map(Vec::len), Some(1), "{day}");
    assert_eq!(
        (&day["files"][0]["inserted"], &day["signals"][0]["side"]),
        (&json!(1), &json!("buy")),
        "{day}"
    );
    let rows =
        "select pair, timeframe, side, override_reason, expires_at - bar_close, encode(model_hash, 'hex')
                from trading_signals where strategy = 'daily'";
    let model = promoted(&desk.0);
    let expected = format!("EUR_USD|M1|buy|{REASON}|00:01:00|{model}");
    assert_eq!(sql(&droplet, REHEARSAL, rows), expected);

    // Made-up candles make no row where real ones trade: neither so nor with the file by hand.
    let (code, day) = desk.daily(&droplet, &["--quick"]);
    assert_eq!((code, &day["failed"][0]["step"], &day["files"]), (1, &json!("push"), &json!([])), "{day}");
    let written = fs::read_dir(desk.0.join("data/signals")).expect("signals were made");
    let mut written = written.filter_map(|entry| Some(entry.ok()?.path()));
    let file = written.find(|path| path.extension().is_some_and(|e| e == "parquet")).expect("a file");
    let by_hand = on(&droplet, &["sync", file.to_str().expect("UTF-8")]);
    assert_eq!(by_hand.status.code(), Some(1));
    assert!(said(&by_hand).contains("signals of made-up candles, which never mix"), "{}", said(&by_hand));
    assert_eq!(sql(&droplet, TRADING, "select count(*) from trading_signals where strategy = 'daily'"), "0");

    // Once more the same day: nothing is due, and what is there is not there twice.
    let (code, day) = desk.daily(&droplet, &["--quick", "--rehearsal"]);
    assert_eq!((code, &day["trained"]), (0, &json!([])), "{day}");
    assert_eq!(day["files"][0]["already_applied"], true, "{day}");
    assert_eq!(sql(&droplet, REHEARSAL, rows), expected);

    // The model that speaks is damaged: the other pair is not touched by that, and it is said.
    let file = desk.0.join(format!("data/models/EUR_USD/{model}.json"));
    fs::write(&file, "{").expect("the temporary folder is writable");
    let (code, day) = desk.daily(&droplet, &["--quick", "--rehearsal"]);
    assert_eq!((code, &day["failed"][0]["pair"]), (1, &json!("EUR_USD")), "{day}");
    assert_eq!((&day["files"], &day["trained"]), (&json!([]), &json!([])), "{day}");
}

/// A signal engine that answers from files and keeps a list of what it was asked.
struct Scripted(Desk);

impl Scripted {
    fn new() -> Self {
        let desk = Desk::new();
        let inventory =
            "hosts:\n  one:\n    ssh: { address: 203.0.113.10 }\n    volume: { device: /dev/disk/by-id/x }\n";
        desk.file("inventory.yaml", inventory);
        // No file, no answer: as when it fails as a whole.
        let engine =
            "#!/bin/sh\necho \"$@\" >>asked\nif [ -f \"$1-$2\" ]; then cat \"$1-$2\"; else cat \"$1\"; fi\n";
        desk.file("engine", engine);
        fs::set_permissions(desk.0.join("engine"), Permissions::from_mode(0o755)).expect("it is ours");
        Self(desk)
    }

    fn daily(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sepctl"));
        command.args(["--inventory", "inventory.yaml", "--json", "daily", "--sep-gpu", "engine"]).args(args);
        self.0.at(command)
    }

    /// The same, which must answer in JSON.
    fn day(&self, args: &[&str]) -> (i32, Value) {
        let output = self.daily(args);
        let answer = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
        (output.status.code().expect("it ended"), answer)
    }

    /// What it was asked since the last time.
    fn asked(&self) -> Vec<String> {
        let file = self.0.0.join("asked");
        let text = fs::read_to_string(&file).unwrap_or_default();
        let _ = fs::remove_file(file);
        text.lines().map(str::to_owned).collect()
    }
}

/// A pair's line of `sep-gpu status`: the candles end a month after those it was trained on, or with them.
fn status(pair: &str, due: bool, passed: bool, speaks: bool) -> Value {
    let (first, model) = ("2026-10-01T00:00:00Z", Digest::of(pair.as_bytes()));
    json!({
        "pair": pair, "candles": { "last": if due { "2026-11-01T00:00:00Z" } else { first } }, "problems": [],
        "trained": { "model": model, "data_last": first, "passed": passed, "synthetic": false },
        "promoted": if speaks { json!({ "model": model }) } else { Value::Null },
    })
}

/// What is done stays done, and is told, whatever fails after it.
#[test]
fn a_day_of_failures_tells_what_was_done() {
    let engine = Scripted::new();
    let output = engine.daily(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("engine status --json` failed"), "{}", said(&output));
    engine.0.file("status", "welcome");
    assert!(said(&engine.daily(&[])).contains("gave no answer that can be read"));
    engine.asked();

    // One is due and cannot be trained, one passed and was left unpromoted, one is well.
    let pairs = [
        status("AUD_USD", true, true, false),
        status("EUR_USD", false, true, false),
        status("USD_JPY", false, true, true),
    ];
    engine.0.file("status", json!({ "pairs": pairs }).to_string());
    engine.0.file("train-AUD_USD", "[]");
    let promotion = json!({
        "model": Digest::of(b"EUR_USD"), "promoted": true, "verdict": "an edge", "objections": [],
        "speaking": Digest::of(b"EUR_USD"),
    });
    engine.0.file("promote-EUR_USD", promotion.to_string());
    let (code, day) = engine.day(&["--quick", "--", "--costs", "mine.yaml"]);
    assert_eq!((code, &day["failed"][0]["step"]), (1, &json!("train")), "{day}");
    assert_eq!(
        (&day["trained"][0]["pair"], &day["trained"][0]["promoted"]),
        (&json!("EUR_USD"), &json!(true))
    );
    let error = day["error"].as_str().unwrap_or_default();
    assert!(error.contains("signals --json") && error.contains("failed"), "{day}");
    assert_eq!(
        engine.asked(),
        [
            "status --json",
            "train AUD_USD --json --quick --costs mine.yaml",
            "promote EUR_USD --json",
            "signals --json --account primary --strategy qfh EUR_USD USD_JPY",
        ]
    );

    // Trained and promoted by its name; what is made up is withheld, and nothing else is there to push.
    engine.0.file("status", json!({ "pairs": [status("AUD_USD", true, false, false)] }).to_string());
    let model = Digest::of(b"new");
    engine.0.file("train-AUD_USD", json!([{ "pair": "AUD_USD", "model": model, "seconds": 1 }]).to_string());
    let promotion = json!({
        "model": model, "promoted": true, "verdict": "an edge", "objections": [], "speaking": model,
    });
    engine.0.file("promote-AUD_USD", promotion.to_string());
    let spoken = json!({
        "pair": "AUD_USD", "timeframe": "M1", "bar_close": "2026-11-01T00:00:00Z", "signal": { "side": "sell" },
        "override_reason": null, "synthetic": true, "expired": false, "file": "made-up.parquet",
    });
    let signals = json!({ "pairs": [spoken], "failed": [], "files": ["made-up.parquet"] });
    engine.0.file("signals", signals.to_string());
    let (code, day) = engine.day(&[]);
    assert_eq!((code, &day["failed"][0]["step"]), (1, &json!("push")), "{day}");
    assert_eq!(
        (&day["signals"][0]["side"], &day["files"], &day["error"]),
        (&json!("sell"), &json!([]), &Value::Null)
    );
    assert!(engine.asked().contains(&format!("promote AUD_USD --model {model} --json")));
}

/// The name of the model that speaks for EUR_USD.
fn promoted(desk: &Path) -> String {
    let text = fs::read_to_string(desk.join("data/models/EUR_USD/promoted.json")).expect("it was promoted");
    let pointer: Value = serde_json::from_str(&text).expect("JSON");
    pointer["model"].as_str().expect("a hash").to_owned()
}

/// A folder with candles, models and signals, on the workstation.
struct Desk(PathBuf);

impl Desk {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(unique_name("desk"));
        fs::create_dir(&folder).expect("the temporary folder is writable");
        Self(folder)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.0.join(name), content).expect("the temporary folder is writable");
    }

    fn at(&self, mut command: Command) -> Output {
        for name in ["SEP_CANDLES", "SEP_MODELS", "SEP_SIGNALS"] {
            command.env_remove(name);
        }
        command.current_dir(&self.0).stdin(Stdio::null()).output().expect("both programs are built")
    }

    /// Runs the signal engine, which `sepctl` looks for beside itself.
    fn run(&self, args: &[&str]) -> Output {
        let program = Path::new(env!("CARGO_BIN_EXE_sepctl")).with_file_name("sep-gpu");
        assert!(program.exists(), "{} is not there: build the workspace first", program.display());
        let mut command = Command::new(program);
        command.args(args);
        self.at(command)
    }

    /// As [`Self::run`], which must succeed.
    fn engine(&self, args: &[&str]) -> Output {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        output
    }

    fn daily(&self, droplet: &Droplet, args: &[&str]) -> (i32, Value) {
        let command = command(droplet, &[&["--json", "daily", "--strategy", "daily"], args].concat());
        let output = self.at(command);
        let answer = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
        (output.status.code().expect("it ended"), answer)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
