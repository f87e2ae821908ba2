//! The one door to the terminal: data to stdout, talk to stderr, tables, colours.

use std::io::{self, IsTerminal, Write};

use rust_decimal::Decimal;

/// Where a command writes.
pub struct Terminal {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    colour: bool,
}

/// One line on stderr that is written over as work goes on; none where stderr is no terminal.
#[derive(Debug, Clone, Copy)]
pub struct ProgressLine {
    shown: bool,
}

impl ProgressLine {
    /// Shows a line in the place of the last one.
    pub fn show(self, line: impl FnOnce() -> String) {
        if self.shown {
            // Progress that cannot be shown is no reason to stop.
            let _ = write!(io::stderr(), "\r\x1b[K{}", line());
        }
    }

    /// Takes the line away.
    pub fn clear(self) {
        self.show(String::new);
    }
}

/// How a piece of text is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Strong,
    Faint,
    Good,
    Warning,
    Error,
}

impl Tone {
    const fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Strong => Some("1"),
            Self::Faint => Some("2"),
            Self::Good => Some("32"),
            Self::Warning => Some("33"),
            Self::Error => Some("31"),
        }
    }
}

impl Terminal {
    /// The process's own; coloured only where stdout is a terminal and NO_COLOR is not set.
    pub fn of_process() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = io::stdout().is_terminal() && !refused;
        Self { out: Box::new(io::stdout().lock()), err: Box::new(io::stderr()), colour }
    }

    /// Where progress is shown.
    pub fn progress(&self) -> ProgressLine {
        ProgressLine { shown: io::stderr().is_terminal() }
    }

    /// Text in a tone, with escape codes only where colours are wanted.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        match tone.code() {
            Some(code) if self.colour => format!("\x1b[{code}m{text}\x1b[0m"),
            _ => text.to_owned(),
        }
    }

    /// A line of data.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// A line of talk.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.err, "{text}")
    }

    /// Data as JSON, indented.
    pub fn json(&mut self, value: &impl serde::Serialize) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut self.out, value)?;
        writeln!(self.out)
    }

    /// Writes out what is buffered.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// A table with a header.
    pub fn table(&mut self, table: &Table) -> io::Result<()> {
        let widths = table.widths();
        let header = row_text(&table.header, &widths, &table.right);
        let header = self.paint(Tone::Faint, header.trim_end());
        self.line(&header)?;
        for (tone, row) in &table.rows {
            let text = row_text(row, &widths, &table.right);
            let text = self.paint(*tone, text.trim_end());
            self.line(&text)?;
        }
        Ok(())
    }
}

/// Rows of text in columns.
pub struct Table {
    header: Vec<String>,
    right: Vec<bool>,
    rows: Vec<(Tone, Vec<String>)>,
}

impl Table {
    /// A table with these columns; those that begin with `>` are set flush right.
    pub fn new(columns: &[&str]) -> Self {
        Self {
            header: columns.iter().map(|name| name.trim_start_matches('>').to_owned()).collect(),
            right: columns.iter().map(|name| name.starts_with('>')).collect(),
            rows: Vec::new(),
        }
    }

    /// One more row.
    pub fn row(&mut self, tone: Tone, cells: Vec<String>) {
        self.rows.push((tone, cells));
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.header.iter().map(|cell| cell.chars().count()).collect();
        for (_, row) in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }
}

fn row_text(cells: &[String], widths: &[usize], right: &[bool]) -> String {
    let padded = cells.iter().zip(widths).zip(right).map(|((cell, width), right)| {
        if *right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
    });
    padded.collect::<Vec<_>>().join("  ")
}

/// A number with a comma after every three digits.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// An exact number with a comma after every three digits before the point: `-1,234.50`.
pub fn grouped_decimal(number: Decimal) -> String {
    let text = number.abs().to_string();
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), None), |(w, rest)| (w, Some(rest)));
    let sign = if number.is_sign_negative() && !number.is_zero() { "-" } else { "" };
    // What has more digits than a machine word is shown as it is.
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), grouped);
    rest.map_or_else(|| format!("{sign}{whole}"), |rest| format!("{sign}{whole}.{rest}"))
}

/// `1 bar`, `2 bars`.
pub fn counted(number: usize, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_only_where_they_are_wanted() {
        let terminal = |colour| Terminal { out: Box::new(Vec::new()), err: Box::new(Vec::new()), colour };
        assert_eq!(terminal(true).paint(Tone::Error, "x"), "\x1b[31mx\x1b[0m");
        assert_eq!(terminal(false).paint(Tone::Error, "x"), "x");
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (30_117, "30,117"), (1_234_567, "1,234,567")]
        {
            assert_eq!(grouped(number), text);
        }
        for (number, text) in
            [("-1234.50", "-1,234.50"), ("0.00", "0.00"), ("-0.5", "-0.5"), ("1000", "1,000")]
        {
            assert_eq!(grouped_decimal(number.parse().unwrap()), text);
        }
        assert_eq!((counted(1, "bar"), counted(2_000, "bar")), ("1 bar".into(), "2,000 bars".into()));
    }
}
