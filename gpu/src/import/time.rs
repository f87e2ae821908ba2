//! Times as the sources write them, into UTC.

use std::borrow::Cow;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::{Offset, TimeZone};

/// How a column writes its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeFormat {
    /// `2012-02-01T00:00:00Z`, `2012-02-01 00:00:00+00:00`, `2012-02-01 00:00`, and as MetaTrader has it,
    /// `2012.02.01 00:00`.
    Iso,
    /// `20120201 000000`.
    HistData,
    /// `02/01/2012 00:00:00.000`, month first.
    Fxcm,
    /// Seconds since 1970, maybe with a fraction of zeros.
    Unix,
    /// Milliseconds since 1970.
    UnixMillis,
    /// A pattern of strftime's, such as `%d.%m.%Y %H:%M`.
    Pattern(String),
}

impl TimeFormat {
    /// `iso`, `unix`, `unix-ms`, or anything with a `%`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "iso" => Ok(Self::Iso),
            "unix" => Ok(Self::Unix),
            "unix-ms" => Ok(Self::UnixMillis),
            pattern if pattern.contains('%') => Ok(Self::Pattern(pattern.to_owned())),
            _ => Err("expected iso, unix, unix-ms or a pattern such as '%d.%m.%Y %H:%M'".into()),
        }
    }

    /// An example, for messages.
    pub(super) fn example(&self) -> String {
        match self {
            Self::Iso => "2012-02-01 00:00:00, a zone may follow".into(),
            Self::HistData => "20120201 000000".into(),
            Self::Fxcm => "02/01/2012 00:00:00, month first".into(),
            Self::Unix => "seconds since 1970".into(),
            Self::UnixMillis => "milliseconds since 1970".into(),
            Self::Pattern(pattern) => pattern.clone(),
        }
    }

    /// The moment that the text names; a time without a zone is `offset` east of Greenwich.
    pub(super) fn read(&self, text: &str, offset: Offset) -> Option<Timestamp> {
        match self {
            Self::Iso => {
                let text = &dashed(text);
                Timestamp::from_str(text).ok().or_else(|| at(DateTime::from_str(text).ok()?, offset))
            }
            Self::HistData => at(histdata(text)?, offset),
            Self::Fxcm => at(fxcm(text)?, offset),
            Self::Unix => {
                let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
                if fraction.bytes().any(|digit| digit != b'0') {
                    return None;
                }
                Timestamp::from_second(whole.parse().ok()?).ok()
            }
            Self::UnixMillis => Timestamp::from_millisecond(text.parse().ok()?).ok(),
            Self::Pattern(pattern) => {
                let parts = strtime::parse(pattern, text).ok()?;
                parts.to_timestamp().ok().or_else(|| at(parts.to_datetime().ok()?, offset))
            }
        }
    }
}

/// A date that begins with its year says the same with points as with dashes.
fn dashed(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    if bytes.get(4) != Some(&b'.') || bytes.get(7) != Some(&b'.') {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replacen('.', "-", 2))
}

fn at(time: DateTime, offset: Offset) -> Option<Timestamp> {
    TimeZone::fixed(offset).to_timestamp(time).ok()
}

fn number<T: FromStr>(text: &str, from: usize, to: usize) -> Option<T> {
    let digits = text.get(from..to)?;
    digits.bytes().all(|c| c.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// `20120201 000000`
fn histdata(text: &str) -> Option<DateTime> {
    if text.len() != 15 || text.as_bytes()[8] != b' ' {
        return None;
    }
    let two = |from| number(text, from, from + 2);
    DateTime::new(number(text, 0, 4)?, two(4)?, two(6)?, two(9)?, two(11)?, two(13)?, 0).ok()
}

/// `02/01/2012 00:00:00.000`
fn fxcm(text: &str) -> Option<DateTime> {
    let (text, fraction) = text.split_once('.').unwrap_or((text, ""));
    let bytes = text.as_bytes();
    if bytes.len() != 19 || bytes[2] != b'/' || bytes[5] != b'/' || bytes[10] != b' ' {
        return None;
    }
    if bytes[13] != b':' || bytes[16] != b':' || fraction.bytes().any(|digit| digit != b'0') {
        return None;
    }
    let two = |from| number(text, from, from + 2);
    DateTime::new(number(text, 6, 10)?, two(0)?, two(3)?, two(11)?, two(14)?, two(17)?, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: &TimeFormat, text: &str, hours: i8) -> Option<String> {
        format.read(text, Offset::constant(hours)).map(|time| time.to_string())
    }

    #[test]
    fn times_of_every_kind() {
        use TimeFormat::{Fxcm, HistData, Iso, Pattern, Unix, UnixMillis};
        let noon = Some("2012-02-01T12:00:00Z".to_owned());
        for (format, text, hours) in [
            (Iso, "2012-02-01T12:00:00Z", 9),
            (Iso, "2012-02-01T12:00:00.000000000Z", 9),
            (Iso, "2012-02-01 12:00:00+00:00", 9),
            (Iso, "2012-02-01 12:00:00", 0),
            (Iso, "2012-02-01 14:00", 2),
            (Iso, "2012.02.01 14:00", 2),
            (Iso, "2012.02.01 12:00:00", 0),
            (HistData, "20120201 070000", -5),
            (Fxcm, "02/01/2012 12:00:00.000", 0),
            (Fxcm, "02/01/2012 12:00:00", 0),
            (Unix, "1328097600", 0),
            (Unix, "1328097600.000000000", 0),
            (UnixMillis, "1328097600000", 0),
            (Pattern("%d.%m.%Y %H:%M".into()), "01.02.2012 13:00", 1),
            (Pattern("%d.%m.%Y %H:%M %z".into()), "01.02.2012 13:00 +0100", 0),
        ] {
            assert_eq!(read(&format, text, hours), noon, "{format:?} {text}");
        }
    }

    #[test]
    fn other_text_is_no_time() {
        use TimeFormat::{Fxcm, HistData, Iso, Unix};
        for (format, text) in [
            (Iso, ""),
            (Iso, "2012-02-30 12:00"),
            (Iso, "yesterday"),
            (Iso, "01.02.2012 12:00"),
            (Iso, "2012.02-01 12:00"),
            (HistData, "20120201 0700"),
            (HistData, "20120201T070000"),
            (HistData, "20121301 070000"),
            (HistData, "2012+201 070000"),
            (Fxcm, "2012-02-01 12:00:00"),
            (Fxcm, "02/01/2012 12:00:00.5"),
            (Unix, "1328097600.5"),
            (Unix, "99999999999999999"),
            (HistData, "é0120201 07000"),
        ] {
            assert_eq!(read(&format, text, 0), None, "{format:?} {text}");
        }
    }
}
