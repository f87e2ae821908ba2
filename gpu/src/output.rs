//! The one door to the terminal: data to stdout, talk to stderr, tables, colours.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use rust_decimal::Decimal;

/// Where a command writes.
pub struct Terminal {
    out: Stream,
    err: Stream,
}

/// One of the two ways out, and whether colours are wanted there.
struct Stream {
    to: Box<dyn Write>,
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
    /// The process's own; each stream is coloured only where it is a terminal and NO_COLOR is not set.
    pub fn of_process() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let (out, err) = (io::stdout().lock(), io::stderr());
        let (for_out, for_err) = (out.is_terminal() && !refused, err.is_terminal() && !refused);
        Self {
            out: Stream { to: Box::new(out), colour: for_out },
            err: Stream { to: Box::new(err), colour: for_err },
        }
    }

    /// Where progress is shown.
    pub fn progress(&self) -> ProgressLine {
        ProgressLine { shown: io::stderr().is_terminal() }
    }

    /// Text in a tone. Its escape codes are taken off again by a stream that wants no colours: which one the text
    /// goes to is known only there.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        match tone.code() {
            Some(code) if self.out.colour || self.err.colour => format!("\x1b[{code}m{text}{END}"),
            _ => text.to_owned(),
        }
    }

    /// A line of data.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        self.out.line(text)
    }

    /// A line of talk.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        self.err.line(text)
    }

    /// Data as JSON, indented.
    pub fn json(&mut self, value: &impl serde::Serialize) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut self.out.to, value)?;
        writeln!(self.out.to)
    }

    /// Writes out what is buffered.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.to.flush()
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

impl Stream {
    fn line(&mut self, text: &str) -> io::Result<()> {
        if self.colour {
            return writeln!(self.to, "{text}");
        }
        writeln!(self.to, "{}", unpainted(text))
    }
}

/// Ends what [`Terminal::paint`] begins.
const END: &str = "\x1b[0m";

/// Text without the escape codes of [`Terminal::paint`].
fn unpainted(text: &str) -> Cow<'_, str> {
    if !text.contains(END) {
        return Cow::Borrowed(text);
    }
    let codes = [Tone::Strong, Tone::Faint, Tone::Good, Tone::Warning, Tone::Error].map(Tone::code);
    let codes = codes.into_iter().flatten().map(|code| format!("\x1b[{code}m"));
    Cow::Owned(codes.fold(text.replace(END, ""), |text, code| text.replace(&code, "")))
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
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn colours_only_where_they_are_wanted() {
        for (out, err) in [(true, true), (true, false), (false, true), (false, false)] {
            let (to_out, to_err) = (Shared::default(), Shared::default());
            let stream = |to: &Shared, colour| Stream { to: Box::new(to.clone()), colour };
            let mut terminal = Terminal { out: stream(&to_out, out), err: stream(&to_err, err) };
            let text = terminal.paint(Tone::Error, "x") + " y " + &terminal.paint(Tone::Strong, "z");
            terminal.line(&text).unwrap();
            terminal.say(&text).unwrap();
            for (written, colour) in [(to_out, out), (to_err, err)] {
                let expected = if colour { "\x1b[31mx\x1b[0m y \x1b[1mz\x1b[0m\n" } else { "x y z\n" };
                assert_eq!(written.0.borrow().as_slice(), expected.as_bytes(), "{out} {err}");
            }
        }
    }

    /// What was written can be looked at beside the one who writes.
    #[derive(Clone, Default)]
    struct Shared(Rc<RefCell<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
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
