//! From candles to rows on the droplet: the signal engine and `sepctl daily`, as their users run them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::deployed::{command, copy, deployed, sql};
use crate::droplet::{Droplet, can_boot, said, unique_name};

const TRADING: &str = "sep_trading";
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
    fs::write(desk.0.join("space.json"), space.to_string()).expect("the temporary folder is writable");
    desk.engine(&["train", "EUR_USD", "--space", "space.json", "--grid"]);

    // Trained, but not promoted: nothing to push, and nothing is.
    let (code, day) = desk.daily(&droplet, &[]);
    assert_eq!((code, &day["files"], &day["signals"]), (0, &json!([]), &json!([])), "{day}");
    let refused = desk.run(&["promote", "EUR_USD"]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    desk.engine(&["promote", "EUR_USD", "--override", REASON]);

    // Another pair is new: it is trained and refused, which does not stop the first one.
    desk.engine(&["candles", "synth", "USD_JPY", "--days", "20", "--seed", "2"]);
    let (code, day) = desk.daily(&droplet, &["--quick"]);
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
    assert_eq!(sql(&droplet, TRADING, rows), expected);

    // Once more the same day: nothing is due, and what is there is not there twice.
    let (code, day) = desk.daily(&droplet, &["--quick"]);
    assert_eq!((code, &day["trained"]), (0, &json!([])), "{day}");
    assert_eq!(day["files"][0]["already_applied"], true, "{day}");
    assert_eq!(sql(&droplet, TRADING, rows), expected);

    // The model that speaks is damaged: the other pair is not touched by that, and it is said.
    let file = desk.0.join(format!("data/models/EUR_USD/{model}.json"));
    fs::write(&file, "{").expect("the temporary folder is writable");
    let (code, day) = desk.daily(&droplet, &["--quick"]);
    assert_eq!((code, &day["failed"][0]["pair"]), (1, &json!("EUR_USD")), "{day}");
    assert_eq!((&day["files"], &day["trained"]), (&json!([]), &json!([])), "{day}");
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
