//! The candle store: `PAIR/TIMEFRAME/YYYY-MM.parquet` below one folder.
//!
//! Owns the layout, the lock, publishing by rename, and strict reading: whatever [`Store::load`] gives back
//! is in order, sound and of one kind. Must not judge where candles come from: that is the import's.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sep_contract::candle::{CandleFault, store_path};
use sep_contract::candles::{CandleFileError, decode, decode_newest, describe, encode};
use sep_contract::{Candle, CandleSet, Month, Pair, Provenance, Timeframe};

pub mod merge;

/// A folder of candles.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// Held while months are read, merged and published. Dropping it lets the next one in.
#[derive(Debug)]
pub struct StoreLock {
    _file: File,
}

/// Why the store cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "{}: {}. Remove the file and import that month again.",
        path.display(),
        source.to_string().trim_end_matches('.')
    )]
    File { path: PathBuf, source: CandleFileError },
    #[error("cannot write {}: {source}", path.display())]
    Encode { path: PathBuf, source: CandleFileError },
    #[error("{}: holds {found}, but lies in the place of {expected}", path.display())]
    WrongPlace { path: PathBuf, found: String, expected: String },
    #[error("{}: row {row}: {fault}. See 'sep-gpu candles check'.", path.display())]
    Unsound { path: PathBuf, row: usize, fault: SeriesFault },
    #[error("{}: {what}, unlike the months before it: made-up candles never mix with real ones", path.display())]
    Mixed { path: PathBuf, what: &'static str },
    #[error("another sep-gpu is writing to {}: wait for it to end", path.display())]
    Busy { path: PathBuf },
}

/// What is wrong with a candle in the row of its neighbours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SeriesFault {
    #[error(transparent)]
    Candle(#[from] CandleFault),
    #[error("the bar of {time} is there twice")]
    Duplicate { time: Timestamp },
    #[error("the bar of {time} stands after that of {before}")]
    OutOfOrder { time: Timestamp, before: Timestamp },
    #[error("the bar of {time} does not belong to {month}")]
    OtherMonth { time: Timestamp, month: Month },
}

/// Every fault of a month's candles with its row, counted from 1. Crossed quotes that were taken over
/// knowingly (see [`Provenance::crossed_kept`]) are none.
pub fn faults(set: &CandleSet, month: Month) -> Vec<(usize, SeriesFault)> {
    let mut faults = Vec::new();
    let mut before: Option<Timestamp> = None;
    for (row, candle) in (1..).zip(&set.candles) {
        let time = candle.time;
        for fault in candle.faults(set.timeframe) {
            if !(set.provenance.crossed_kept && matches!(fault, CandleFault::Crossed { .. })) {
                faults.push((row, SeriesFault::Candle(fault)));
            }
        }
        match before {
            Some(before) if time == before => faults.push((row, SeriesFault::Duplicate { time })),
            Some(before) if time < before => faults.push((row, SeriesFault::OutOfOrder { time, before })),
            _ => {}
        }
        if Month::of(time) != month {
            faults.push((row, SeriesFault::OtherMonth { time, month }));
        }
        before = Some(time);
    }
    faults
}

fn io_error<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> StoreError + use<'a> {
    move |source| StoreError::Io { action, path: path.to_owned(), source }
}

/// Whether a file holds what its place says.
fn in_place(path: &Path, set: &CandleSet, pair: Pair, timeframe: Timeframe) -> Result<(), StoreError> {
    if (set.pair, set.timeframe) == (pair, timeframe) {
        return Ok(());
    }
    Err(StoreError::WrongPlace {
        path: path.to_owned(),
        found: format!("{} {}", set.pair, set.timeframe),
        expected: format!("{pair} {timeframe}"),
    })
}

impl Store {
    /// The store below a folder, which need not exist yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file of a month.
    pub fn path(&self, pair: Pair, timeframe: Timeframe, month: Month) -> PathBuf {
        self.root.join(store_path(pair, timeframe, month))
    }

    /// The pairs and timeframes there are, sorted. A store that does not exist yet is empty.
    pub fn series(&self) -> Result<Vec<(Pair, Timeframe)>, StoreError> {
        let mut series = Vec::new();
        for (pair, timeframe) in self.folders()? {
            if !self.months(pair, timeframe)?.is_empty() {
                series.push((pair, timeframe));
            }
        }
        Ok(series)
    }

    /// The folders that are named like series, sorted.
    fn folders(&self) -> Result<Vec<(Pair, Timeframe)>, StoreError> {
        let mut folders = Vec::new();
        for pair in names(&self.root)?.iter().filter_map(|name| name.parse::<Pair>().ok()) {
            let folder = self.root.join(pair.as_str());
            let timeframes = names(&folder)?;
            folders
                .extend(timeframes.iter().filter_map(|name| Some((pair, name.parse::<Timeframe>().ok()?))));
        }
        folders.sort_unstable();
        Ok(folders)
    }

    /// The months of a series, oldest first.
    pub fn months(&self, pair: Pair, timeframe: Timeframe) -> Result<Vec<Month>, StoreError> {
        let folder = self.root.join(pair.as_str()).join(timeframe.as_str());
        let mut months: Vec<Month> = names(&folder)?
            .iter()
            .filter_map(|name| name.strip_suffix(".parquet")?.parse::<Month>().ok())
            .collect();
        months.sort_unstable();
        Ok(months)
    }

    /// A month as it stands in its file: whole and in its place, but its candles not looked at.
    pub fn read_month(
        &self,
        pair: Pair,
        timeframe: Timeframe,
        month: Month,
    ) -> Result<CandleSet, StoreError> {
        let path = self.path(pair, timeframe, month);
        let bytes = fs::read(&path).map_err(io_error("read", &path))?;
        let set = decode(&bytes).map_err(|source| StoreError::File { path: path.clone(), source })?;
        in_place(&path, &set, pair, timeframe)?;
        Ok(set)
    }

    /// The newest candles of a month, checked: at least those of so many groups of its file's rows; and whether
    /// they are all of the month's.
    pub fn newest(
        &self,
        pair: Pair,
        timeframe: Timeframe,
        month: Month,
        groups: usize,
    ) -> Result<(CandleSet, bool), StoreError> {
        let path = self.path(pair, timeframe, month);
        let bytes = fs::read(&path).map_err(io_error("read", &path))?;
        let (set, whole) = decode_newest(&bytes, groups)
            .map_err(|source| StoreError::File { path: path.clone(), source })?;
        in_place(&path, &set, pair, timeframe)?;
        match faults(&set, month).into_iter().next() {
            Some((row, fault)) => Err(StoreError::Unsound { path, row, fault }),
            None => Ok((set, whole)),
        }
    }

    /// What a month's file says of itself, and how many candles are in it; they are neither read nor checked.
    pub fn describe_month(
        &self,
        pair: Pair,
        timeframe: Timeframe,
        month: Month,
    ) -> Result<(CandleSet, usize), StoreError> {
        let path = self.path(pair, timeframe, month);
        let bytes = fs::read(&path).map_err(io_error("read", &path))?;
        describe(&bytes).map_err(|source| StoreError::File { path, source })
    }

    /// The candles that opened from `from` up to, but without, `to`, checked: in order, each sound, all of
    /// one kind.
    pub fn load(
        &self,
        pair: Pair,
        timeframe: Timeframe,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<CandleSet, StoreError> {
        let mut all: Option<CandleSet> = None;
        for month in self.months(pair, timeframe)? {
            if month.next().start() <= from || month.start() >= to {
                continue;
            }
            let mut set = self.read_month(pair, timeframe, month)?;
            if let Some((row, fault)) = faults(&set, month).into_iter().next() {
                return Err(StoreError::Unsound { path: self.path(pair, timeframe, month), row, fault });
            }
            set.candles.retain(|candle| from <= candle.time && candle.time < to);
            match &mut all {
                None => all = Some(set),
                Some(all) => {
                    if all.provenance.synthetic != set.provenance.synthetic {
                        let what = kind(set.provenance.synthetic);
                        return Err(StoreError::Mixed { path: self.path(pair, timeframe, month), what });
                    }
                    join(&mut all.provenance, &set.provenance);
                    all.candles.append(&mut set.candles);
                }
            }
        }
        Ok(all.unwrap_or_else(|| CandleSet {
            pair,
            timeframe,
            provenance: Provenance::default(),
            candles: Vec::new(),
        }))
    }

    /// The newest candle before, and the oldest from, a moment on. Months that cannot be read are passed over.
    pub fn around(
        &self,
        pair: Pair,
        timeframe: Timeframe,
        time: Timestamp,
    ) -> Result<(Option<Candle>, Option<Candle>), StoreError> {
        let months = self.months(pair, timeframe)?;
        let (mut before, mut after) = (None, None);
        for month in months.iter().copied().filter(|month| month.start() <= time).rev() {
            let Ok(set) = self.read_month(pair, timeframe, month) else { continue };
            before = set.candles.into_iter().rfind(|candle| candle.time < time);
            if before.is_some() {
                break;
            }
        }
        for month in months.into_iter().filter(|month| month.next().start() > time) {
            let Ok(set) = self.read_month(pair, timeframe, month) else { continue };
            after = set.candles.into_iter().find(|candle| candle.time >= time);
            if after.is_some() {
                break;
            }
        }
        Ok((before, after))
    }

    /// Takes the store's lock, or says that somebody else holds it. Makes the folder if need be, and clears
    /// away what an interrupted writer left.
    pub fn lock(&self) -> Result<StoreLock, StoreError> {
        make_folder(&self.root)?;
        let path = self.root.join(".lock");
        let file = File::create(&path).map_err(io_error("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(StoreError::Busy { path: self.root.clone() }),
            Err(fs::TryLockError::Error(source)) => {
                return Err(StoreError::Io { action: "lock", path, source });
            }
        }
        for (pair, timeframe) in self.folders()? {
            let folder = self.root.join(pair.as_str()).join(timeframe.as_str());
            for name in names(&folder)?.iter().filter(|name| name.ends_with(".parquet.part")) {
                let left = folder.join(name);
                fs::remove_file(&left).map_err(io_error("remove", &left))?;
            }
        }
        Ok(StoreLock { _file: file })
    }

    /// Publishes months: all are written and synced beside their places first, then renamed into them, so
    /// that a full disk or a crash leaves every month as it was before or as it is now, never half.
    pub fn publish(&self, _lock: &StoreLock, months: &[(Month, CandleSet)]) -> Result<(), StoreError> {
        let mut written = Vec::with_capacity(months.len());
        for (month, set) in months {
            let path = self.path(set.pair, set.timeframe, *month);
            let part = path.with_extension("parquet.part");
            let result = write_part(&part, set);
            written.push((part, path));
            if let Err(error) = result {
                for (part, _) in &written {
                    // Best effort: the next writer clears away what stays.
                    let _ = fs::remove_file(part);
                }
                return Err(error);
            }
        }
        for (part, path) in &written {
            fs::rename(part, path).map_err(io_error("publish", path))?;
        }
        let mut folders: Vec<&Path> = written.iter().filter_map(|(_, path)| path.parent()).collect();
        folders.dedup();
        for folder in folders {
            sync_folder(folder)?;
        }
        Ok(())
    }
}

fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error("sync", folder))
}

/// Makes a folder and those above it. Each is synced into the one that it lies in: without that, a crash could take
/// a published month away with the folders that lead to it.
fn make_folder(folder: &Path) -> Result<(), StoreError> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = match folder.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    };
    make_folder(above)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
        made => made.map_err(io_error("make", folder))?,
    }
    sync_folder(above)
}

fn write_part(part: &Path, set: &CandleSet) -> Result<(), StoreError> {
    let bytes = encode(set).map_err(|source| StoreError::Encode { path: part.to_owned(), source })?;
    if let Some(folder) = part.parent() {
        make_folder(folder)?;
    }
    let mut file = File::create(part).map_err(io_error("write", part))?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(io_error("write", part))
}

/// `real candles` or `made-up candles`.
pub(crate) const fn kind(synthetic: bool) -> &'static str {
    if synthetic { "made-up candles" } else { "real candles" }
}

/// What is known of two months together.
pub(crate) fn join(all: &mut Provenance, other: &Provenance) {
    all.sources.extend(other.sources.iter().cloned());
    all.assumed_spread |= other.assumed_spread;
    all.crossed_kept |= other.crossed_kept;
}

/// Names in a folder; none where the folder does not exist.
fn names(folder: &Path) -> Result<Vec<String>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error("list", folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io_error("list", folder))?;
        names.extend(entry.file_name().into_string());
    }
    Ok(names)
}
