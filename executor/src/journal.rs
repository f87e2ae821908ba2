//! The log: every entry goes to standard error at once, and to system_logs in batches.
//!
//! Owns the wait for the database: entries are kept while it is away, the oldest are dropped when there are
//! too many, and the gap is told. Must not hold secrets; nothing that is logged comes from a credential.

use std::collections::VecDeque;
use std::io::Write;

use jiff::Timestamp;

/// Entries kept while the database cannot take them: a quarter of a megabyte at most.
const KEPT: usize = 1_000;

/// How much an entry matters. The numbers are syslog's, which journald reads from the line's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Error,
    Warn,
    Info,
}

impl Level {
    /// As system_logs spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
        }
    }

    const fn syslog(self) -> u8 {
        match self {
            Level::Error => 3,
            Level::Warn => 4,
            Level::Info => 6,
        }
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub time: Timestamp,
    pub level: Level,
    /// The part of the program: `engine`, `intake`, `api`.
    pub component: &'static str,
    pub strategy: Option<String>,
    pub message: String,
}

impl Entry {
    /// An entry of now.
    pub fn new(level: Level, component: &'static str, message: impl Into<String>) -> Self {
        Self { time: Timestamp::now(), level, component, strategy: None, message: message.into() }
    }
}

/// Where entries go.
pub struct Journal<W> {
    talk: W,
    /// Whether lines begin with a level for journald.
    marked: bool,
    waiting: VecDeque<Entry>,
    dropped: usize,
}

impl<W: Write> Journal<W> {
    /// Writes to `talk`, with journald's level marks where `marked`.
    pub fn new(talk: W, marked: bool) -> Self {
        Self { talk, marked, waiting: VecDeque::new(), dropped: 0 }
    }

    /// Takes an entry.
    pub fn write(&mut self, entry: Entry) {
        let mark = if self.marked { format!("<{}>", entry.level.syslog()) } else { String::new() };
        // The journal being gone is no reason to stop working; system_logs still has the entry.
        let _ = writeln!(self.talk, "{mark}{}: {}", entry.component, entry.message);
        if self.waiting.len() == KEPT {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back(entry);
    }

    /// What system_logs has not got yet, oldest first.
    pub fn take(&mut self) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(self.waiting.len() + 1);
        if self.dropped > 0 {
            let message = format!("{} log entries were dropped while the database was away", self.dropped);
            entries.push(Entry::new(Level::Warn, "journal", message));
            self.dropped = 0;
        }
        entries.extend(self.waiting.drain(..));
        entries
    }

    /// Takes entries back that the database did not take.
    pub fn put_back(&mut self, entries: Vec<Entry>) {
        for entry in entries.into_iter().rev() {
            if self.waiting.len() == KEPT {
                self.dropped += 1;
            } else {
                self.waiting.push_front(entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_carry_their_level_for_journald_alone() {
        for (marked, expected) in [(true, "<4>api: slow\n"), (false, "api: slow\n")] {
            let mut journal = Journal::new(Vec::new(), marked);
            journal.write(Entry::new(Level::Warn, "api", "slow"));
            assert_eq!(String::from_utf8(journal.talk).unwrap(), expected);
        }
    }

    #[test]
    fn the_oldest_entries_give_way_and_the_gap_is_told() {
        let mut journal = Journal::new(Vec::new(), false);
        for number in 0..KEPT + 3 {
            journal.write(Entry::new(Level::Info, "engine", number.to_string()));
        }
        let entries = journal.take();
        assert_eq!(entries[0].message, "3 log entries were dropped while the database was away");
        assert_eq!((entries.len(), entries[1].message.as_str()), (KEPT + 1, "3"));

        journal.put_back(entries);
        let again = journal.take();
        assert_eq!(again.last().unwrap().message, (KEPT + 2).to_string());
        assert!(journal.take().is_empty());
    }
}
