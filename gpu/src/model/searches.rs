//! What was ever tried on a pair's candles: each search is a trial, whatever became of its model.
//!
//! Owns `searches.json` beside the models, which stays when model files go, and the rule of what counts as another
//! search: anything that could come out differently by chance. Repeated on the same candles, or on the same with
//! newer ones behind them, a search is still the same. Must not search, nor judge.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sep_contract::{Digest, Pair};
use serde::{Deserialize, Serialize};

use super::{Data, ModelError};
use crate::train::Request;
use crate::whole_file::publish;

/// The format that this program writes and reads.
const FORMAT: &str = "sep-searches/1";

/// A search, as far as it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tried {
    /// What is asked: all that decides the outcome, but for how far the candles reach.
    pub question: Digest,
    /// The candles: open of the first, close of the last, and whether they are made up.
    pub first: Timestamp,
    pub last: Timestamp,
    pub synthetic: bool,
    pub variants: u64,
}

/// The searches of a pair, oldest first.
#[derive(Debug)]
pub struct Searches {
    path: PathBuf,
    tried: Vec<Tried>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    format: String,
    searches: Vec<Tried>,
}

impl Tried {
    /// A search of so many variants.
    pub fn of(pair: Pair, request: &Request, data: &Data, variants: usize) -> Result<Self, ModelError> {
        let Data { timeframe, first, last, synthetic, .. } = data;
        let Request { space, search, constants, costs, slices, embargo } = request;
        let what = (pair, timeframe, first, synthetic, space, search, constants, costs, slices, embargo);
        let text = serde_json::to_vec(&what)
            .map_err(|source| ModelError::Json { path: PathBuf::from(pair.as_str()), source })?;
        Ok(Self {
            question: Digest::of(&text),
            first: *first,
            last: *last,
            synthetic: *synthetic,
            variants: variants as u64,
        })
    }

    /// What is drawn by chance in the search's examination follows from the question alone: asked again, it falls
    /// the same way, and asked otherwise, it counts.
    pub fn seed(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = *self.question.as_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// Whether something learned from these candles could have been learned from the others.
    fn overlaps(&self, other: &Self) -> bool {
        self.synthetic == other.synthetic && self.first < other.last && other.first < self.last
    }

    /// Whether the other is this one, on the same candles or on more of them.
    fn grew_to(&self, other: &Self) -> bool {
        self.question == other.question && self.last <= other.last
    }
}

impl Searches {
    /// The searches that are written down in a pair's folder; none where nothing is.
    pub fn read(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join("searches.json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path, tried: Vec::new() });
            }
            Err(source) => return Err(ModelError::Io { action: "read", path, source }),
        };
        let record: Result<Record, _> = serde_json::from_slice(&text);
        match record {
            Ok(record) if record.format == FORMAT => Ok(Self { path, tried: record.searches }),
            Ok(Record { format, .. }) => {
                let detail = format!("its format is '{format}', expected '{FORMAT}'");
                Err(ModelError::Searches { path, detail })
            }
            Err(error) => Err(ModelError::Searches { path, detail: error.to_string() }),
        }
    }

    /// Variants that other searches tried on candles of the same kind and time: they were trials, too.
    pub fn before(&self, this: &Tried) -> u64 {
        let others = self.tried.iter().filter(|other| other.overlaps(this) && !other.grew_to(this));
        others.fold(0, |sum, other| sum.saturating_add(other.variants))
    }

    /// Writes a search down, in the place of its own earlier runs.
    pub fn record(&mut self, this: Tried) -> Result<(), ModelError> {
        self.tried.retain(|other| !other.grew_to(&this));
        self.tried.push(this);
        let record = Record { format: FORMAT.to_owned(), searches: self.tried.clone() };
        let mut text = serde_json::to_vec_pretty(&record)
            .map_err(|source| ModelError::Json { path: self.path.clone(), source })?;
        text.push(b'\n');
        Ok(publish(&self.path, &text)?)
    }
}

#[cfg(test)]
mod tests {
    use sep_contract::Timeframe;

    use super::*;
    use crate::backtest::Costs;
    use crate::qfh::Constants;
    use crate::variant::{Search, Space};

    fn request() -> Request {
        Request {
            space: Space::quick(),
            search: Search::Grid,
            constants: Constants::default(),
            costs: Costs::default(),
            slices: 16,
            embargo: 0,
        }
    }

    fn data(first: &str, last: &str) -> Data {
        let time = |day: &str| format!("{day}T00:00:00Z").parse().unwrap();
        Data {
            hash: Digest::of(last.as_bytes()),
            timeframe: Timeframe::M1,
            bars: 7,
            first: time(first),
            last: time(last),
            sources: Vec::new(),
            synthetic: false,
            assumed_spread: false,
        }
    }

    fn tried(request: &Request, data: &Data, variants: usize) -> Tried {
        Tried::of("EUR_USD".parse().unwrap(), request, data, variants).unwrap()
    }

    fn year() -> Data {
        data("2024-01-01", "2025-01-01")
    }

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("sep-searches-{name}-{}", std::process::id()));
            Self(folder)
        }

        fn searches(&self) -> Searches {
            Searches::read(&self.0).unwrap()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    /// What is written down is read again, and is there without any model.
    #[test]
    fn other_searches_of_the_same_time_add_up() {
        let folder = Folder::new("sum");
        let first = tried(&request(), &year(), 768);
        assert_eq!(folder.searches().before(&first), 0);
        folder.searches().record(first.clone()).unwrap();
        assert_eq!(folder.searches().before(&first), 0, "the same search is no other");
        let second = tried(&Request { space: Space::full(), ..request() }, &year(), 20_000);
        assert_eq!(folder.searches().before(&second), 768);
        folder.searches().record(second.clone()).unwrap();
        let third =
            tried(&Request { search: Search::Random { variants: 500, seed: 2 }, ..request() }, &year(), 500);
        assert_eq!(folder.searches().before(&third), 20_768);
        assert_eq!(folder.searches().before(&first), 20_000);
    }

    /// Every other way to cut, to charge or to draw is another trial, and draws its own chance.
    #[test]
    fn what_could_come_out_otherwise_counts() {
        let folder = Folder::new("otherwise");
        let asked = tried(&request(), &year(), 768);
        folder.searches().record(asked.clone()).unwrap();
        let others = [
            tried(&Request { embargo: 1, ..request() }, &year(), 768),
            tried(&Request { costs: Costs { slippage: 1, ..Costs::default() }, ..request() }, &year(), 768),
            tried(&request(), &data("2024-02-01", "2025-01-01"), 768),
            tried(&request(), &Data { timeframe: Timeframe::M5, ..year() }, 768),
        ];
        for other in &others {
            assert_eq!(folder.searches().before(other), 768, "{other:?}");
            assert_ne!(other.seed(), asked.seed());
        }
        // Cut short at its end it is asked anew, too, though of the same chance.
        let shorter = tried(&request(), &data("2024-01-01", "2024-12-01"), 768);
        assert_eq!((folder.searches().before(&shorter), shorter.seed()), (768, asked.seed()));
    }

    /// The weekly training on a history that grows is one search, and one line.
    #[test]
    fn growth_is_no_other_search() {
        let folder = Folder::new("growth");
        let weeks = ["2025-01-01", "2025-01-08", "2025-01-15"]
            .map(|last| tried(&request(), &data("2024-01-01", last), 768));
        for week in &weeks {
            assert_eq!(folder.searches().before(week), 0);
            folder.searches().record(week.clone()).unwrap();
        }
        assert_eq!(folder.searches().tried, weeks[2..]);
        assert_eq!(weeks[0].seed(), weeks[2].seed());
        let other = tried(&Request { embargo: 5, ..request() }, &year(), 768);
        assert_eq!(folder.searches().before(&other), 768);
    }

    #[test]
    fn other_times_and_made_up_candles_tell_nothing() {
        let folder = Folder::new("apart");
        folder.searches().record(tried(&request(), &year(), 768)).unwrap();
        let later = tried(&request(), &data("2025-01-01", "2026-01-01"), 768);
        let made_up = tried(&request(), &Data { synthetic: true, ..year() }, 768);
        assert_eq!((folder.searches().before(&later), folder.searches().before(&made_up)), (0, 0));
    }

    #[test]
    fn a_damaged_record_says_what_to_do() {
        let folder = Folder::new("damaged");
        folder.searches().record(tried(&request(), &year(), 768)).unwrap();
        let path = folder.0.join("searches.json");
        for (text, found) in
            [("{", "EOF"), (r#"{"format": "sep-searches/9", "searches": []}"#, "'sep-searches/9'")]
        {
            fs::write(&path, text).unwrap();
            let error = Searches::read(&folder.0).unwrap_err().to_string();
            assert!(error.contains(found) && error.contains("bring it back from a backup"), "{error}");
        }
    }
}
