//! CSV with named columns: FXCM's, and whatever people have of their own.
//!
//! Columns are found by their usual names (`time`, `open`, `BidOpen`, `ask_close`, `<TICKVOL>`, ...), or by
//! `--columns ROLE=NAME`, or without a header row by `--columns ROLE=#NUMBER`. Other columns are ignored. A date and
//! a time of day in columns of their own are one time together.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::tz::Offset;
use sep_contract::Ohlc;

use crate::import::error::{ImportError, Problems, RowFault};
use crate::import::read::{Format, Prices, Row, Sheet, Task, Want, volume};
use crate::import::time::TimeFormat;
use crate::import::{PriceSide, price};

/// What a column can be.
const ROLES: [&str; 16] = [
    "time",
    "date",
    "open",
    "high",
    "low",
    "close",
    "bid_open",
    "bid_high",
    "bid_low",
    "bid_close",
    "ask_open",
    "ask_high",
    "ask_low",
    "ask_close",
    "volume",
    "pair",
];
const PLAIN: [&str; 4] = ["open", "high", "low", "close"];
const BID: [&str; 4] = ["bid_open", "bid_high", "bid_low", "bid_close"];
const ASK: [&str; 4] = ["ask_open", "ask_high", "ask_low", "ask_close"];

/// Other usual names, without case, spaces, `_`, `-`, `<` and `>`.
const ALIASES: [(&str, &str); 16] = [
    ("timestamp", "time"),
    ("datetime", "time"),
    ("gmttime", "time"),
    ("o", "open"),
    ("h", "high"),
    ("l", "low"),
    ("c", "close"),
    ("v", "volume"),
    ("vol", "volume"),
    ("tickvolume", "volume"),
    ("tickvol", "volume"),
    ("tickqty", "volume"),
    ("symbol", "pair"),
    ("instrument", "pair"),
    ("ticker", "pair"),
    ("currencypair", "pair"),
];

/// `ROLE=NAME` or `ROLE=#NUMBER` for some roles, and `volume=-`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnMap {
    by_role: BTreeMap<&'static str, String>,
    /// The volume is left out, whatever column there is.
    no_volume: bool,
}

/// Why text maps no columns.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ColumnMapError {
    #[error("'{found}' maps no column: expected ROLE=NAME or ROLE=#NUMBER")]
    Form { found: String },
    #[error("'{found}' is no role: expected one of {}", ROLES.join(", "))]
    Role { found: String },
    #[error("{role} is mapped twice")]
    Repeated { role: &'static str },
    #[error("columns are named both by name and by number: a file has a header row or it has none")]
    Mixed,
}

impl ColumnMap {
    /// From `ROLE=NAME` texts.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, ColumnMapError> {
        let mut by_role = BTreeMap::new();
        let mut no_volume = false;
        for text in texts {
            let form = || ColumnMapError::Form { found: text.to_owned() };
            let (role, name) = text.split_once('=').ok_or_else(form)?;
            if name.is_empty() {
                return Err(form());
            }
            if text == "volume=-" {
                no_volume = true;
                continue;
            }
            let role = ROLES
                .into_iter()
                .find(|known| *known == role)
                .ok_or_else(|| ColumnMapError::Role { found: role.to_owned() })?;
            if by_role.insert(role, name.to_owned()).is_some() {
                return Err(ColumnMapError::Repeated { role });
            }
        }
        if no_volume && by_role.contains_key("volume") {
            return Err(ColumnMapError::Repeated { role: "volume" });
        }
        let map = Self { by_role, no_volume };
        let numbered = map.by_role.values().filter(|name| number_of(name).is_some()).count();
        if numbered > 0 && numbered < map.by_role.len() {
            return Err(ColumnMapError::Mixed);
        }
        Ok(map)
    }

    /// Whether nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.by_role.is_empty() && !self.no_volume
    }

    fn has_header(&self) -> bool {
        self.by_role.values().all(|name| number_of(name).is_none())
    }
}

/// `#3` is the third column, index 2.
fn number_of(name: &str) -> Option<usize> {
    name.strip_prefix('#')?.parse::<usize>().ok()?.checked_sub(1)
}

/// The role of a header by its usual name.
fn usual_role(header: &str) -> Option<&'static str> {
    let plain: String = header
        .chars()
        .filter(|c| !matches!(c, ' ' | '_' | '-' | '<' | '>'))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let (side, rest) = match (plain.strip_prefix("bid"), plain.strip_prefix("ask")) {
        (Some(rest), _) => ("bid_", rest),
        (_, Some(rest)) => ("ask_", rest),
        _ => ("", plain.as_str()),
    };
    let rest = ALIASES.iter().find(|(alias, _)| *alias == rest).map_or(rest, |(_, role)| role);
    let role = format!("{side}{rest}");
    ROLES.into_iter().find(|known| *known == role)
}

/// Which column each role is in.
struct Layout {
    /// `time`: the whole, or where there is a `date`, the time of day.
    by_role: BTreeMap<&'static str, usize>,
    prices: Chosen,
}

enum Chosen {
    One([&'static str; 4]),
    Two,
}

pub(super) fn read(task: &Task<'_>, problems: &mut Problems) -> Result<Sheet, ImportError> {
    let has_header = task.columns.has_header();
    let first = task.text.trim_start().lines().next().unwrap_or("");
    let delimiter = [b';', b'\t', b',']
        .into_iter()
        .max_by_key(|delimiter| (first.bytes().filter(|c| c == delimiter).count(), *delimiter == b','));
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .delimiter(delimiter.unwrap_or(b','))
        .from_reader(task.text.as_bytes());
    let mut layout: Option<(Layout, usize)> = None;
    let mut record = csv::StringRecord::new();
    let mut rows = Vec::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {}
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                problems.add(task.file, line, RowFault::Unreadable { detail: error.to_string() });
                break;
            }
        }
        let line = record.position().map_or(0, csv::Position::line);
        let (layout, width) = match &layout {
            Some((layout, width)) => (layout, *width),
            None => {
                let made = lay_out(task, &record)?;
                let (layout, width) = layout.insert((made, record.len()));
                if has_header {
                    continue;
                }
                (&*layout, *width)
            }
        };
        if record.len() != width {
            let (found, expected) = (record.len(), format!("{width}, as in the first row"));
            problems.add(task.file, line, RowFault::Width { found, expected });
            continue;
        }
        check_pair(task, layout, &record, line)?;
        match row(task, layout, &record, line) {
            Ok(row) => rows.push(row),
            Err(fault) => problems.add(task.file, line, fault),
        }
    }
    Ok(Sheet { rows, ..Sheet::default() })
}

fn lay_out(task: &Task<'_>, first: &csv::StringRecord) -> Result<Layout, ImportError> {
    let found = || first.iter().collect::<Vec<_>>().join(", ");
    let mut by_role = BTreeMap::new();
    if task.columns.has_header() {
        for (at, header) in first.iter().enumerate() {
            if let Some(role) = usual_role(header) {
                by_role.entry(role).or_insert(at);
            }
        }
    }
    for (role, name) in &task.columns.by_role {
        let at = match number_of(name) {
            Some(at) => Some(at).filter(|at| *at < first.len()),
            None => first.iter().position(|header| header == name),
        };
        let Some(at) = at else {
            let (file, name) = (task.file.to_owned(), name.clone());
            return Err(ImportError::UnknownColumn { file, name, found: found() });
        };
        by_role.insert(*role, at);
    }
    if task.columns.no_volume {
        by_role.remove("volume");
    }
    join_times(task.columns, first, &mut by_role);
    let has = |roles: &[&'static str; 4]| roles.iter().all(|role| by_role.contains_key(role));
    let (prices, needed): (Chosen, Vec<&'static str>) = match task.want {
        Want::Both => (Chosen::Two, [BID, ASK].concat()),
        Want::One(PriceSide::Bid) if has(&BID) => (Chosen::One(BID), BID.to_vec()),
        Want::One(PriceSide::Ask) if has(&ASK) => (Chosen::One(ASK), ASK.to_vec()),
        Want::One(_) => (Chosen::One(PLAIN), PLAIN.to_vec()),
    };
    if task.want == Want::Both
        && has(&PLAIN)
        && !BID.iter().chain(&ASK).any(|role| by_role.contains_key(role))
    {
        return Err(ImportError::OnePrice { file: task.file.to_owned(), found: "one price for each bar" });
    }
    if let Some(role) = std::iter::once("time").chain(needed).find(|role| !by_role.contains_key(role)) {
        return Err(ImportError::NoColumn { file: task.file.to_owned(), role, found: found() });
    }
    Ok(Layout { by_role, prices })
}

/// Makes out whether a date is all there is of the time, one half of it, or beside the point.
fn join_times(map: &ColumnMap, header: &csv::StringRecord, by_role: &mut BTreeMap<&'static str, usize>) {
    let named = |role| map.by_role.contains_key(role);
    let Some(date) = by_role.get("date").copied().filter(|_| !named("date")) else { return };
    match by_role.get("time") {
        None => {
            by_role.insert("time", date);
            by_role.remove("date");
        }
        // Only a column of the very name can be a time of day: a timestamp is whole.
        Some(time) => {
            let of_day = header
                .get(*time)
                .is_some_and(|name| name.trim_matches(['<', '>']).eq_ignore_ascii_case("time"));
            if named("time") || !of_day {
                by_role.remove("date");
            }
        }
    }
}

fn check_pair(
    task: &Task<'_>,
    layout: &Layout,
    record: &csv::StringRecord,
    line: u64,
) -> Result<(), ImportError> {
    let Some(found) = layout.by_role.get("pair").and_then(|at| record.get(*at)) else {
        return Ok(());
    };
    let letters: String = found.chars().filter(char::is_ascii_alphabetic).collect();
    if letters.to_ascii_uppercase() == format!("{}{}", task.pair.base(), task.pair.quote()) {
        return Ok(());
    }
    let (file, found) = (task.file.to_owned(), found.to_owned());
    Err(ImportError::OtherPair { file, line, found, expected: task.pair })
}

fn row(task: &Task<'_>, layout: &Layout, record: &csv::StringRecord, line: u64) -> Result<Row, RowFault> {
    let value = |column: &'static str| {
        let value = layout.by_role.get(column).and_then(|at| record.get(*at));
        value.filter(|value| !value.is_empty()).ok_or(RowFault::Missing { column })
    };
    let ticks = |column: &'static str| {
        price::parse(value(column)?, task.pair).map_err(|source| RowFault::Price { column, source })
    };
    let prices = |[open, high, low, close]: [&'static str; 4]| {
        Ok(Ohlc { open: ticks(open)?, high: ticks(high)?, low: ticks(low)?, close: ticks(close)? })
    };
    let time = value("time")?;
    let text: Cow<'_, str> = match layout.by_role.contains_key("date") {
        true => Cow::Owned(format!("{} {time}", value("date")?)),
        false => Cow::Borrowed(time),
    };
    let usual =
        if task.format == Format::Fxcm && text.contains('/') { TimeFormat::Fxcm } else { TimeFormat::Iso };
    let format = task.time_format.unwrap_or(&usual);
    let time = format
        .read(&text, task.offset.unwrap_or(Offset::UTC))
        .ok_or_else(|| RowFault::Time { found: text.clone().into_owned(), expected: format.example() })?;
    let volume = match layout.by_role.contains_key("volume") {
        true => {
            let found = value("volume")?;
            volume(found).ok_or_else(|| RowFault::VolumeColumn { found: found.to_owned() })?
        }
        false => 0,
    };
    let prices = match layout.prices {
        Chosen::One(roles) => Prices::One(prices(roles)?),
        Chosen::Two => Prices::Two { bid: prices(BID)?, ask: prices(ASK)? },
    };
    Ok(Row { line, time, prices, volume })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_are_known() {
        for (header, role) in [
            ("timestamp", Some("time")),
            ("DateTime", Some("time")),
            ("Gmt time", Some("time")),
            ("Open", Some("open")),
            ("BidOpen", Some("bid_open")),
            ("ask_close", Some("ask_close")),
            ("bid_o", Some("bid_open")),
            ("Tick Volume", Some("volume")),
            ("<DATE>", Some("date")),
            ("<TICKVOL>", Some("volume")),
            ("spread", None),
            ("bidtime", None),
        ] {
            assert_eq!(usual_role(header), role, "{header}");
        }
    }

    #[test]
    fn maps_are_checked() {
        let error = |texts: &[&str]| ColumnMap::parse(texts.iter().copied()).unwrap_err();
        assert!(matches!(error(&["time"]), ColumnMapError::Form { .. }));
        assert!(matches!(error(&["time="]), ColumnMapError::Form { .. }));
        assert!(matches!(error(&["when=Date"]), ColumnMapError::Role { .. }));
        assert!(matches!(error(&["time=a", "time=b"]), ColumnMapError::Repeated { .. }));
        assert_eq!(error(&["time=#1", "open=Open"]), ColumnMapError::Mixed);
        assert_eq!(error(&["volume=-", "volume=V"]), ColumnMapError::Repeated { role: "volume" });
        assert!(!ColumnMap::parse(["time=#1", "volume=-"]).unwrap().has_header());
        assert!(!ColumnMap::parse(["time=#1", "open=#2"]).unwrap().has_header());
        assert!(ColumnMap::parse(["time=Date"]).unwrap().has_header());
    }
}
