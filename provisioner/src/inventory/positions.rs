//! Where each value of the file stands: a map from its path to line and column.
//!
//! Built from the YAML parser's events, because the typed read keeps no positions for the checks that
//! come after it and silently lets the last of two equal keys win. Knows nothing of what keys mean.

use std::collections::HashMap;
use std::fmt;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

/// A place in the file; both count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A key that stands twice in one mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Duplicate {
    /// Path of the key, as in `hosts.sandbox.ssh`.
    pub path: String,
    pub first: Position,
    pub second: Position,
}

/// What stands at a path.
#[derive(Debug, Clone, Copy)]
struct Entry {
    position: Position,
    /// Nothing, `~` or `null`: the key is there, its value is not.
    null: bool,
}

/// The places of all values of one file.
#[derive(Debug, Default)]
pub(super) struct Positions {
    entries: HashMap<String, Entry>,
    /// In the order in which they were met.
    pub duplicates: Vec<Duplicate>,
}

impl Positions {
    /// Reads the places of `text`'s first document.
    pub fn read(text: &str) -> Result<Self, ScanError> {
        let mut walk = Walk::default();
        let mut parser = Parser::new_from_str(text);
        while let Some(next) = parser.next_event() {
            let (event, span) = next?;
            match event {
                Event::DocumentEnd => break,
                Event::MappingStart(..) => walk.open(Frame::mapping(walk.path()), position(span)),
                Event::SequenceStart(..) => walk.open(Frame::sequence(walk.path()), position(span)),
                Event::MappingEnd | Event::SequenceEnd => walk.close(),
                Event::Scalar(text, style, ..) => walk.scalar(&text, style, position(span)),
                Event::Alias(_) => walk.scalar("*", ScalarStyle::DoubleQuoted, position(span)),
                _ => {}
            }
        }
        Ok(walk.found)
    }

    /// Whether the file holds nothing but comments.
    pub fn is_empty(&self) -> bool {
        self.entries.values().all(|entry| entry.null)
    }

    /// Where the value at `path` stands, where it stands and is not null.
    pub fn of_value(&self, path: &str) -> Option<Position> {
        self.entries.get(path).filter(|entry| !entry.null).map(|entry| entry.position)
    }

    /// Where the value or the empty key at `path` stands, or the innermost mapping around it; with the
    /// path that was found.
    pub fn nearest<'p>(&self, path: &'p str) -> Option<(&'p str, Position)> {
        let mut path = path;
        loop {
            if let Some(entry) = self.entries.get(path) {
                return Some((path, entry.position));
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }
}

fn position(span: Span) -> Position {
    Position { line: span.start.line(), column: span.start.col() + 1 }
}

/// One open mapping or sequence.
struct Frame {
    path: String,
    kind: Kind,
}

enum Kind {
    /// `key` is set while its value is awaited.
    Mapping {
        key: Option<(String, Position)>,
        seen: HashMap<String, Position>,
    },
    Sequence {
        next: usize,
    },
}

impl Frame {
    fn mapping(path: String) -> Self {
        Self { path, kind: Kind::Mapping { key: None, seen: HashMap::new() } }
    }

    fn sequence(path: String) -> Self {
        Self { path, kind: Kind::Sequence { next: 0 } }
    }
}

#[derive(Default)]
struct Walk {
    open: Vec<Frame>,
    found: Positions,
}

impl Walk {
    /// Path of the node that comes next.
    fn path(&self) -> String {
        let Some(frame) = self.open.last() else { return String::new() };
        match &frame.kind {
            Kind::Mapping { key: Some((key, _)), .. } => join(&frame.path, key),
            // A mapping or sequence as a key: the typed read refuses it.
            Kind::Mapping { key: None, .. } => join(&frame.path, "?"),
            Kind::Sequence { next } => format!("{}[{next}]", frame.path),
        }
    }

    /// A mapping or sequence begins: it is shown at its key, where it has one.
    fn open(&mut self, frame: Frame, at: Position) {
        let at = self.key_position().unwrap_or(at);
        self.found.entries.insert(frame.path.clone(), Entry { position: at, null: false });
        self.open.push(frame);
    }

    fn close(&mut self) {
        self.open.pop();
        self.value_done();
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, at: Position) {
        if let Some(Frame { path, kind: Kind::Mapping { key: key @ None, seen } }) = self.open.last_mut() {
            if let Some(first) = seen.insert(text.to_owned(), at) {
                let duplicate = Duplicate { path: join(path, text), first, second: at };
                self.found.duplicates.push(duplicate);
            }
            *key = Some((text.to_owned(), at));
            return;
        }
        let null = style == ScalarStyle::Plain && matches!(text, "" | "~" | "null" | "Null" | "NULL");
        let position = if null { self.key_position().unwrap_or(at) } else { at };
        self.found.entries.insert(self.path(), Entry { position, null });
        self.value_done();
    }

    fn key_position(&self) -> Option<Position> {
        match &self.open.last()?.kind {
            Kind::Mapping { key: Some((_, at)), .. } => Some(*at),
            _ => None,
        }
    }

    fn value_done(&mut self) {
        match self.open.last_mut().map(|frame| &mut frame.kind) {
            Some(Kind::Mapping { key, .. }) => *key = None,
            Some(Kind::Sequence { next }) => *next += 1,
            None => {}
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
hosts:
  sandbox:
    ssh: { address: 10.0.0.1, port: 22 }
    firewall:
      open: [22, 80]
      ssh_from:
        - 10.0.0.0/8
    postgres:
      settings:
        timescaledb.telemetry_level: 'off'
    volume:
";

    fn at(path: &str) -> Option<(usize, usize)> {
        Positions::read(TEXT).unwrap().of_value(path).map(|p| (p.line, p.column))
    }

    #[test]
    fn values_are_found_by_path() {
        assert_eq!(at("hosts.sandbox.ssh.address"), Some((3, 21)));
        assert_eq!(at("hosts.sandbox.ssh.port"), Some((3, 37)));
        assert_eq!(at("hosts.sandbox.firewall.open[1]"), Some((5, 18)));
        assert_eq!(at("hosts.sandbox.firewall.ssh_from[0]"), Some((7, 11)));
        assert_eq!(at("hosts.sandbox.postgres.settings.timescaledb.telemetry_level"), Some((10, 38)));
        // Mappings and lists are shown at their key.
        assert_eq!(at("hosts.sandbox.firewall.open"), Some((5, 7)));
        assert_eq!(at("hosts.sandbox.postgres"), Some((8, 5)));
    }

    #[test]
    fn an_empty_value_counts_as_absent_but_has_a_place() {
        let positions = Positions::read(TEXT).unwrap();
        assert_eq!(positions.of_value("hosts.sandbox.volume"), None);
        let (path, position) = positions.nearest("hosts.sandbox.volume.device").unwrap();
        assert_eq!((path, position.line, position.column), ("hosts.sandbox.volume", 11, 5));
    }

    #[test]
    fn duplicates_are_found_at_every_depth_and_only_within_one_mapping() {
        let text = "a: {x: 1, y: 2, x: 3}\nb:\n  x: 1\na: 4\nlist:\n  - x: 1\n  - x: 2\n";
        let found = Positions::read(text).unwrap().duplicates;
        let shown: Vec<_> = found.iter().map(|d| format!("{} {} {}", d.path, d.first, d.second)).collect();
        assert_eq!(shown, ["a.x 1:5 1:17", "a 1:1 4:1"]);
    }

    #[test]
    fn anchors_and_aliases_keep_the_walk_in_step() {
        let text = "base: &b {x: 1}\ncopy: *b\nlast: 2\n";
        let positions = Positions::read(text).unwrap();
        assert_eq!(positions.of_value("copy").unwrap().line, 2);
        assert_eq!(positions.of_value("last").unwrap().line, 3);
        assert!(positions.duplicates.is_empty());
    }
}
