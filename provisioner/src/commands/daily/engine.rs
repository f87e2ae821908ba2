//! The signal engine, `sep-gpu`: a program of its own, started as a child and heard through its JSON.
//!
//! Owns how it is found, run and waited for, and the parts of its answers that are read here; what is new in them is
//! left alone. Must not decide what it is asked.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use sep_contract::{Digest, Pair, Side, Timeframe};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::process::Command;

use crate::door::Failure;

/// What answers at once should be done by then, however many pairs and years there are. A training may take hours.
const PATIENCE: Duration = Duration::from_secs(600);

/// What `sep-gpu status` says.
#[derive(Deserialize)]
pub struct Status {
    pub pairs: Vec<PairStatus>,
}

#[derive(Deserialize)]
pub struct PairStatus {
    pub pair: Pair,
    pub candles: Option<Candles>,
    pub trained: Option<Trained>,
    pub promoted: Option<Promoted>,
    pub problems: Vec<String>,
}

#[derive(Deserialize)]
pub struct Candles {
    pub last: Timestamp,
}

#[derive(Deserialize)]
pub struct Trained {
    pub model: Digest,
    pub data_last: Timestamp,
    pub passed: bool,
    pub synthetic: bool,
}

#[derive(Deserialize)]
pub struct Promoted {
    pub model: Digest,
}

/// What `sep-gpu train` says of each pair that it trained.
#[derive(Deserialize)]
pub struct Training {
    pub pair: Pair,
    pub model: Digest,
}

/// What `sep-gpu promote` says.
#[derive(Deserialize)]
pub struct Promotion {
    pub model: Digest,
    pub promoted: bool,
    pub verdict: String,
    pub objections: Vec<String>,
    pub speaking: Option<Digest>,
}

/// What `sep-gpu signals` says.
#[derive(Deserialize)]
pub struct Signals {
    pub pairs: Vec<Spoken>,
    pub failed: Vec<FailedPair>,
    pub files: Vec<PathBuf>,
}

#[derive(Deserialize)]
pub struct Spoken {
    pub pair: Pair,
    pub timeframe: Timeframe,
    pub bar_close: Option<Timestamp>,
    pub signal: Option<Given>,
    pub override_reason: Option<String>,
    pub synthetic: bool,
    pub expired: bool,
    pub file: Option<PathBuf>,
}

#[derive(Deserialize)]
pub struct Given {
    pub side: Side,
}

#[derive(Deserialize)]
pub struct FailedPair {
    pub pair: Pair,
    pub error: String,
}

/// The signal engine, a program of its own.
pub struct Engine {
    program: PathBuf,
}

impl Engine {
    /// The program named, or the one beside ours, or the first on PATH.
    pub fn find(named: Option<&Path>) -> Result<Self, Failure> {
        if let Some(named) = named {
            if named.is_file() {
                // A bare name would be looked for on PATH.
                let program = std::path::absolute(named).unwrap_or_else(|_| named.to_owned());
                return Ok(Self { program });
            }
            return Err(Failure::usage(format!("--sep-gpu {}: there is no such file", named.display())));
        }
        let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join("sep-gpu")));
        let program = beside.filter(|program| program.is_file()).unwrap_or_else(|| PathBuf::from("sep-gpu"));
        Ok(Self { program })
    }

    /// Runs it to its end, which must come soon.
    pub async fn ask<T: DeserializeOwned>(&self, words: &[&str]) -> Result<T, Failure> {
        tokio::time::timeout(PATIENCE, self.ask_at_leisure(words)).await.unwrap_or_else(|_| {
            let (command, seconds) = (self.command(words), PATIENCE.as_secs());
            Err(Failure::new(format!("`{command}` did not end within {seconds} s, and was ended")))
        })
    }

    /// Runs it to its end. A command that refuses or fails in part still answers in JSON; one that fails as a whole
    /// has said why on standard error, which is ours.
    pub async fn ask_at_leisure<T: DeserializeOwned>(&self, words: &[&str]) -> Result<T, Failure> {
        let output = Command::new(&self.program)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| {
                Failure::new(format!("cannot start {}: {e}", self.program.display()))
                    .hint("name the signal engine with --sep-gpu, or put it beside sepctl")
            })?
            .wait_with_output()
            .await
            .map_err(|e| Failure::new(format!("cannot wait for {}: {e}", self.command(words))))?;
        let command = self.command(words);
        if output.stdout.is_empty() {
            return Err(Failure::new(format!("`{command}` failed ({})", output.status)));
        }
        serde_json::from_slice(&output.stdout).map_err(|e| {
            Failure::new(format!("`{command}` ({}) gave no answer that can be read: {e}", output.status))
                .hint("sepctl and sep-gpu must be of the same version")
        })
    }

    fn command(&self, words: &[&str]) -> String {
        format!("{} {}", self.program.display(), words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_sep_gpu_says_is_read_and_what_is_new_in_it_is_left_alone() {
        let digest = Digest::of(b"a model");
        let status: Status = serde_json::from_value(json!({
            "pairs": [{
                "pair": "EUR_USD", "candles": { "last": "2026-11-20T00:00:00Z", "bars": 7 }, "next": "train",
                "trained": {
                    "model": digest, "data_last": "2026-11-13T00:00:00Z", "passed": false, "synthetic": true,
                    "variants": 7
                },
                "promoted": { "model": digest, "synthetic": true }, "problems": ["a file is damaged"]
            }],
            "newest_signals": null, "problems": []
        }))
        .unwrap();
        assert!(status.pairs[0].promoted.is_some());
        assert_eq!(status.pairs[0].problems, ["a file is damaged"]);
    }
}
