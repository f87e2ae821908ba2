//! What is to be said about the candles of a store: errors, oddities, holes.
//!
//! Pure but for reading the months. An error means that the engine would refuse the month; a warning, that
//! somebody should look; holes of the open market are counted, since real M1 data has them.

use jiff::Timestamp;
use sep_contract::candle::CandleFault;
use sep_contract::{Candle, CandleSet, Month, Ohlc, Pair, Timeframe};
use serde::Serialize;

use crate::session::Sessions;
use crate::store::{SeriesFault, Store, StoreError, faults, kind};

/// From when on something is odd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// A bar whose range, or whose jump from the bar before, exceeds so many times the month's median range
    /// is a spike.
    pub spike: u32,
    /// A hole of so many minutes of open market is worth a warning; never less than three bars.
    pub gap_minutes: u32,
}

impl Default for Settings {
    /// The wildest minute of GBP/USD in February 2012 (M1, FXCM) moved 23 times the month's median range.
    fn default() -> Self {
        Self { spike: 30, gap_minutes: 60 }
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The file cannot be read, or holds something else than its place says.
    File,
    /// Made-up and real candles in one store.
    Mixed,
    Order,
    Duplicate,
    Month,
    Grid,
    Price,
    Ohlc,
    Crossed,
    Spike,
    Gap,
    /// Bars while the market is closed.
    Closed,
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub severity: Severity,
    pub kind: Kind,
    /// Below the store's folder.
    pub file: String,
    /// From 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    pub message: String,
}

/// What was found in one series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeriesReport {
    pub pair: Pair,
    pub timeframe: Timeframe,
    pub months: usize,
    pub candles: usize,
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
    pub synthetic: bool,
    /// Bars that the open market between the first and the last could have had, and that are not there.
    pub missing: i64,
    /// Runs of such bars.
    pub holes: usize,
    pub findings: Vec<Finding>,
}

impl SeriesReport {
    /// How many findings are of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// Checks the series given, or all of the store.
pub fn check(
    store: &Store,
    only: impl Fn(Pair, Timeframe) -> bool,
    settings: Settings,
) -> Result<Vec<SeriesReport>, StoreError> {
    let sessions = Sessions::new();
    let mut reports = Vec::new();
    let mut first_kind: Option<(bool, String)> = None;
    for (pair, timeframe) in store.series()? {
        let months = store.months(pair, timeframe)?;
        let mut checker = Checker::new(store, pair, timeframe, settings, &sessions);
        checker.report.months = months.len();
        for month in months {
            checker.month(month, &mut first_kind);
        }
        if only(pair, timeframe) {
            reports.push(checker.report);
        }
    }
    Ok(reports)
}

struct Checker<'a> {
    store: &'a Store,
    settings: Settings,
    sessions: &'a Sessions,
    report: SeriesReport,
    before: Option<Candle>,
}

impl<'a> Checker<'a> {
    fn new(
        store: &'a Store,
        pair: Pair,
        timeframe: Timeframe,
        settings: Settings,
        sessions: &'a Sessions,
    ) -> Self {
        let report = SeriesReport {
            pair,
            timeframe,
            months: 0,
            candles: 0,
            first: None,
            last: None,
            synthetic: false,
            missing: 0,
            holes: 0,
            findings: Vec::new(),
        };
        Self { store, settings, sessions, report, before: None }
    }

    fn month(&mut self, month: Month, first_kind: &mut Option<(bool, String)>) {
        let (pair, timeframe) = (self.report.pair, self.report.timeframe);
        let file = sep_contract::candle::store_path(pair, timeframe, month);
        let set = match self.store.read_month(pair, timeframe, month) {
            Ok(set) => set,
            Err(error) => {
                // The finding names the file itself.
                let path = format!("{}: ", self.store.path(pair, timeframe, month).display());
                let message = error.to_string();
                let message = message.strip_prefix(&path).unwrap_or(&message).to_owned();
                self.add(Severity::Error, Kind::File, &file, None, None, message);
                return;
            }
        };
        let synthetic = set.provenance.synthetic;
        let (other, first_file) = first_kind.get_or_insert_with(|| (synthetic, file.clone()));
        if *other != synthetic {
            let message = format!("{}, while {first_file} has {}", kind(synthetic), kind(*other));
            self.add(Severity::Error, Kind::Mixed, &file, None, None, message);
        }
        for (row, fault) in faults(&set, month) {
            let time = set.candles.get(row - 1).map(|candle| candle.time);
            self.add(Severity::Error, kind_of(&fault), &file, Some(row), time, fault.to_string());
        }
        self.neighbours(&set, &file);
        self.closed(&set, &file);
        self.report.synthetic |= synthetic;
        self.report.candles += set.candles.len();
        self.report.first = self.report.first.or(set.candles.first().map(|candle| candle.time));
        self.report.last = set.candles.last().map(|candle| candle.time).or(self.report.last);
    }

    /// Gaps and spikes: each bar against the one before, also that of the month before.
    fn neighbours(&mut self, set: &CandleSet, file: &str) {
        let seconds = self.report.timeframe.seconds();
        let median = median_range(&set.candles);
        let limit = median.saturating_mul(i64::from(self.settings.spike)).max(1);
        let long = i64::from(self.settings.gap_minutes) * 60;
        for (row, candle) in (1..).zip(&set.candles) {
            let mut move_ = range(candle);
            if let Some(before) = self.before {
                let end = before.time.as_second() + seconds;
                let open = match Timestamp::from_second(end) {
                    Ok(end) if end < candle.time => self.sessions.open_seconds(end, candle.time),
                    _ => 0,
                };
                let missing = open / seconds;
                if missing > 0 {
                    self.report.missing += missing;
                    self.report.holes += 1;
                }
                if missing >= 3 && open >= long {
                    let message = format!("{missing} bars of open market are missing before this one");
                    self.add(Severity::Warning, Kind::Gap, file, Some(row), Some(candle.time), message);
                }
                // While the market is closed the price may go anywhere.
                if end + open == candle.time.as_second() {
                    move_ = move_.max(jump(&before, candle));
                }
            }
            if set.candles.len() >= 20 && move_ > limit {
                let message = format!(
                    "moves {move_} ticks, {} times the median bar of {median}",
                    move_ / median.max(1)
                );
                self.add(Severity::Warning, Kind::Spike, file, Some(row), Some(candle.time), message);
            }
            self.before = Some(*candle);
        }
    }

    /// Bars while the market is closed; one finding a month.
    fn closed(&mut self, set: &CandleSet, file: &str) {
        let mut closed = (1..).zip(&set.candles).filter(|(_, candle)| !self.sessions.is_open(candle.time));
        if let Some((row, candle)) = closed.next() {
            let (count, time) = (1 + closed.count(), candle.time);
            let message = format!(
                "{count} of {} bars lie where the market is closed (weekend, 25 December, 1 January): \
                were the times read in the right zone?",
                set.candles.len()
            );
            self.add(Severity::Warning, Kind::Closed, file, Some(row), Some(time), message);
        }
    }

    fn add(
        &mut self,
        severity: Severity,
        kind: Kind,
        file: &str,
        row: Option<usize>,
        time: Option<Timestamp>,
        message: String,
    ) {
        let file = file.to_owned();
        self.report.findings.push(Finding { severity, kind, file, row, time, message });
    }
}

const fn kind_of(fault: &SeriesFault) -> Kind {
    match fault {
        SeriesFault::Duplicate { .. } => Kind::Duplicate,
        SeriesFault::OutOfOrder { .. } => Kind::Order,
        SeriesFault::OtherMonth { .. } => Kind::Month,
        SeriesFault::Candle(CandleFault::OffGrid { .. }) => Kind::Grid,
        SeriesFault::Candle(CandleFault::Price { .. }) => Kind::Price,
        SeriesFault::Candle(CandleFault::Crossed { .. }) => Kind::Crossed,
        SeriesFault::Candle(CandleFault::HighTooLow { .. } | CandleFault::LowTooHigh { .. }) => Kind::Ohlc,
    }
}

/// How far a bar reaches from its low to its high, on the side where that is more, in ticks.
fn range(candle: &Candle) -> i64 {
    let range = |side: &Ohlc| i64::from(side.high.get()) - i64::from(side.low.get());
    range(&candle.bid).max(range(&candle.ask))
}

/// How far a bar opens from the close before, on the side where that is more, in ticks.
fn jump(before: &Candle, after: &Candle) -> i64 {
    let jump = |before: &Ohlc, after: &Ohlc| i64::from(after.open.get()) - i64::from(before.close.get());
    jump(&before.bid, &after.bid).abs().max(jump(&before.ask, &after.ask).abs())
}

/// The median of the bars' ranges, in ticks; at least 1.
fn median_range(candles: &[Candle]) -> i64 {
    let mut ranges: Vec<i64> = candles.iter().map(range).collect();
    let middle = ranges.len() / 2;
    if ranges.is_empty() {
        return 1;
    }
    let (_, median, _) = ranges.select_nth_unstable(middle);
    (*median).max(1)
}
