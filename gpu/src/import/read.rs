//! Files into rows: finds out the format, checks that the file is of the pair it is said to be.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::Offset;
use sep_contract::{Ohlc, Pair, Timeframe};

use crate::import::error::{ImportError, Problems};
use crate::import::time::TimeFormat;
use crate::import::{ColumnMap, Files, PriceSide, Request, columns, file_name, histdata, json};
use crate::store::merge::Place;

/// The formats that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// HistData's generic ASCII: `20120201 000000;o;h;l;c;v`, bid, EST without daylight saving time.
    HistData,
    /// FXCM's CSV with a header row; times in UTC.
    Fxcm,
    /// OANDA's candles as JSON.
    Oanda,
    /// Any CSV with a header row, or with columns named by number.
    Csv,
}

impl Format {
    /// The name on the command line and the source noted with the candles.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HistData => "histdata",
            Self::Fxcm => "fxcm",
            Self::Oanda => "oanda",
            Self::Csv => "csv",
        }
    }
}

/// The price or prices of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prices {
    One(Ohlc),
    Two { bid: Ohlc, ask: Ohlc },
}

/// One row of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub line: u64,
    pub time: Timestamp,
    pub prices: Prices,
    /// 0 where the source has none.
    pub volume: u32,
}

/// Which prices are wanted from a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    Both,
    One(PriceSide),
}

/// What a reader needs to know.
pub(super) struct Task<'a> {
    /// The name that messages speak of.
    pub file: &'a str,
    pub text: &'a str,
    pub format: Format,
    pub pair: Pair,
    pub timeframe: Timeframe,
    pub want: Want,
    pub columns: &'a ColumnMap,
    pub time_format: Option<&'a TimeFormat>,
    pub offset: Option<Offset>,
}

/// The rows of one file.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    pub file: String,
    pub rows: Vec<Row>,
    /// Rows left out because their bar was not complete.
    pub incomplete: usize,
    pub source: &'static str,
}

/// The rows of all files; where bid and ask lie apart, those of the bid come first.
#[derive(Debug)]
pub(super) struct Sheets {
    pub sheets: Vec<Sheet>,
    /// How many of them hold the bid or the only prices there are.
    pub first: usize,
}

impl Sheets {
    /// `FILE:LINE`.
    pub(super) fn place(&self, place: Place) -> String {
        let file = self.sheets.get(place.file).map_or("?", |sheet| sheet.file.as_str());
        format!("{file}:{}", place.line)
    }

    /// The name of the format, as the source of the candles.
    pub(super) fn source(&self) -> &'static str {
        self.sheets.first().map_or("csv", |sheet| sheet.source)
    }
}

/// Reads all files of a request.
pub(super) fn read(request: &Request) -> Result<Sheets, ImportError> {
    let mut problems = Problems::default();
    let mut sheets = Vec::new();
    let mut read_all = |files: &[PathBuf], want| -> Result<(), ImportError> {
        for path in files {
            sheets.push(read_file(path, want, request, &mut problems)?);
        }
        Ok(())
    };
    let first = match &request.files {
        Files::Both(files) => {
            read_all(files, Want::Both)?;
            files.len()
        }
        Files::Single { side, files, .. } => {
            read_all(files, Want::One(*side))?;
            files.len()
        }
        Files::Split { bid, ask } => {
            read_all(bid, Want::One(PriceSide::Bid))?;
            read_all(ask, Want::One(PriceSide::Ask))?;
            bid.len()
        }
    };
    problems.into_result()?;
    Ok(Sheets { sheets, first })
}

fn read_file(
    path: &Path,
    want: Want,
    request: &Request,
    problems: &mut Problems,
) -> Result<Sheet, ImportError> {
    let bytes = std::fs::read(path).map_err(|source| ImportError::Io { path: path.to_owned(), source })?;
    let text = text_of(path, &bytes)?;
    let file = path.display().to_string();
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let named = file_name::pairs_in(&name);
    if let Some(found) = named.first().filter(|_| !named.contains(&request.pair)) {
        return Err(ImportError::OtherPairByName { file, found: *found, expected: request.pair });
    }
    let format = request.format.unwrap_or_else(|| guess(text, &request.columns));
    let task = Task {
        file: &file,
        text,
        format,
        pair: request.pair,
        timeframe: request.timeframe,
        want,
        columns: &request.columns,
        time_format: request.time_format.as_ref(),
        offset: request.utc_offset.and_then(|seconds| Offset::from_seconds(seconds).ok()),
    };
    let mut sheet = match format {
        Format::HistData => histdata::read(&task, problems)?,
        Format::Oanda => json::read(&task, problems)?,
        Format::Fxcm | Format::Csv => columns::read(&task, problems)?,
    };
    (sheet.file, sheet.source) = (file, format.as_str());
    Ok(sheet)
}

fn text_of<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str, ImportError> {
    let not_text = |what: String| ImportError::NotText { path: path.to_owned(), what };
    if bytes.starts_with(b"PK\x03\x04") {
        return Err(not_text("a ZIP archive, which must be unpacked first".into()));
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(not_text("compressed with gzip, which must be unpacked first".into()));
    }
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let text = std::str::from_utf8(bytes)
        .map_err(|error| not_text(format!("not UTF-8 from byte {} on", error.valid_up_to() + 1)))?;
    if text.trim().is_empty() {
        return Err(ImportError::Empty { path: path.to_owned() });
    }
    Ok(text)
}

/// The format that the contents look like.
fn guess(text: &str, columns: &ColumnMap) -> Format {
    let first = text.trim_start().lines().next().unwrap_or("");
    let time = first.split(';').next().unwrap_or("");
    if first.starts_with(['{', '[']) {
        Format::Oanda
    } else if columns.is_empty() && TimeFormat::HistData.read(time, Offset::UTC).is_some() {
        Format::HistData
    } else if first.contains("BidOpen") {
        Format::Fxcm
    } else {
        Format::Csv
    }
}

/// A volume: a whole number, maybe written with a fraction of zeros.
pub(super) fn volume(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.bytes().any(|digit| digit != b'0') || !whole.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    whole.parse().ok()
}
