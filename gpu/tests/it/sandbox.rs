//! A folder of its own for each test, and the binary run in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sep_contract::{Candle, CandleSet, Month, Ohlc, Pair, Provenance, Ticks, Timeframe, candles};
use sep_gpu::store::Store;

/// A test's folder.
pub struct Sandbox {
    root: PathBuf,
}

/// What the binary answered.
pub struct Answer {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Sandbox {
    /// An empty folder by the test's name.
    pub fn new(name: &str) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        if root.exists() {
            fs::remove_dir_all(&root).unwrap();
        }
        fs::create_dir_all(&root).unwrap();
        Self { root }
    }

    /// A file in the folder.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        fs::write(self.root.join(name), content).unwrap();
        self
    }

    /// A place in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Where the store is.
    pub fn store(&self) -> Store {
        Store::at(self.root.join("data/candles"))
    }

    /// Runs `sep-gpu candles WORDS`.
    pub fn run(&self, words: &str) -> Answer {
        self.run_args(&words.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs `sep-gpu candles ARGS`.
    pub fn run_args(&self, args: &[&str]) -> Answer {
        self.sep_gpu(&[&["candles"], args].concat())
    }

    /// Runs `sep-gpu ARGS`.
    pub fn sep_gpu(&self, args: &[&str]) -> Answer {
        self.sep_gpu_with(args, &[])
    }

    /// The same in an environment with these variables.
    pub fn sep_gpu_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Answer {
        let output = Command::new(env!("CARGO_BIN_EXE_sep-gpu"))
            .args(args)
            .env_remove("SEP_CANDLES")
            .env_remove("SEP_MODELS")
            .env_remove("SEP_SIGNALS")
            .envs(variables.iter().copied())
            .current_dir(&self.root)
            .output()
            .unwrap();
        Answer {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a command that must succeed; its standard output.
    pub fn ok(&self, words: &str) -> String {
        let answer = self.run(words);
        assert_eq!(answer.code, 0, "{words}: {}", answer.err);
        answer.out
    }

    /// Every file of the store with its bytes.
    pub fn stored(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        fn walk(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, files);
                } else if !path.ends_with(".lock") {
                    files.insert(path.clone(), fs::read(path).unwrap());
                }
            }
        }
        let mut files = BTreeMap::new();
        walk(self.store().root(), &mut files);
        files
    }

    /// Writes a month as it is, sound or not.
    pub fn put(&self, month: &str, set: &CandleSet) {
        let month: Month = month.parse().unwrap();
        let path = self.store().path(set.pair, set.timeframe, month);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, candles::encode(set).unwrap()).unwrap();
    }

    /// The candles of a series, read strictly.
    pub fn load(&self, pair: &str, timeframe: Timeframe) -> CandleSet {
        let all = (jiff::Timestamp::MIN, jiff::Timestamp::MAX);
        self.store().load(pair.parse().unwrap(), timeframe, all.0, all.1).unwrap()
    }
}

/// EUR_USD M1 bars from a moment on, in a zigzag of a few ticks, with a spread of 12 ticks.
pub fn minutes(start: &str, count: i32) -> CandleSet {
    let start: jiff::Timestamp = start.parse().unwrap();
    let candles = (0..count).map(|at| bar(start.as_second() + i64::from(at) * 60, at)).collect();
    let provenance = Provenance { sources: ["made".to_owned()].into(), ..Provenance::default() };
    CandleSet { pair: pair(), timeframe: Timeframe::M1, provenance, candles }
}

fn pair() -> Pair {
    "EUR_USD".parse().unwrap()
}

fn bar(second: i64, at: i32) -> Candle {
    let open = 110_000 + at * 7 % 13;
    let side = |more: i32| {
        let tick = |price: i32| Ticks::new(open + more + price);
        Ohlc { open: tick(0), high: tick(9), low: tick(-8), close: tick(3) }
    };
    let time = jiff::Timestamp::from_second(second).unwrap();
    Candle { time, bid: side(0), ask: side(12), volume: 40 }
}
