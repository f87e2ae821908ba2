//! When the currency market is open: from Sunday 17:00 to Friday 17:00 in New York.
//!
//! Owns New York's daylight saving rules of 1987 and later, and the two days on which the market rests
//! (25 December and 1 January). Does not know the short daily break around 17:00, which differs by broker:
//! bars missing there count as holes.

use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};

/// Knows the hours.
pub struct Sessions {
    /// The rules since 2007.
    now: TimeZone,
    /// The rules from 1987 to 2006.
    before: TimeZone,
}

impl Default for Sessions {
    fn default() -> Self {
        Self::new()
    }
}

impl Sessions {
    /// The hours of the market.
    pub fn new() -> Self {
        let zone = |rule: &str| {
            TimeZone::posix(rule).expect("the rule is a constant in the POSIX form, which a test reads")
        };
        Self { now: zone("EST5EDT,M3.2.0,M11.1.0"), before: zone("EST5EDT,M4.1.0,M10.5.0") }
    }

    fn zone(&self, time: Timestamp) -> &TimeZone {
        // 2007-01-01T00:00:00Z: both rules agree around it.
        if time.as_second() < 1_167_609_600 { &self.before } else { &self.now }
    }

    /// The trading day that a moment belongs to. It begins at 17:00 of the evening before in New York.
    pub fn day(&self, time: Timestamp) -> Date {
        let local = self.zone(time).to_datetime(time);
        local.checked_add(7.hours()).unwrap_or(local).date()
    }

    /// When a trading day begins.
    fn start(&self, day: Date) -> Timestamp {
        let evening: DateTime = day.saturating_sub(Span::new().days(1)).at(17, 0, 0, 0);
        let guess = TimeZone::UTC.to_timestamp(evening).unwrap_or(Timestamp::MIN);
        self.zone(guess).to_timestamp(evening).unwrap_or(guess)
    }

    /// When a trading day ends: its rollover.
    pub fn end(&self, day: Date) -> Timestamp {
        self.start(day.saturating_add(Span::new().days(1)))
    }

    /// Whether the market is open at that moment.
    pub fn is_open(&self, time: Timestamp) -> bool {
        trades(self.day(time))
    }

    /// Seconds of open market from `from` up to, but without, `to`.
    pub fn open_seconds(&self, from: Timestamp, to: Timestamp) -> i64 {
        let mut seconds = 0;
        let (mut day, last) = (self.day(from), self.day(to));
        while day <= last && from < to {
            let next = day.saturating_add(Span::new().days(1));
            if trades(day) {
                let (start, end) = (self.start(day).max(from), self.start(next).min(to));
                seconds += (end.as_second() - start.as_second()).max(0);
            }
            if next == day {
                break;
            }
            day = next;
        }
        seconds
    }
}

fn trades(day: Date) -> bool {
    let weekend = matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
    let holiday = matches!((day.month(), day.day()), (12, 25) | (1, 1));
    !weekend && !holiday
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_week_ends_and_begins_at_five_in_new_york_in_winter_and_summer() {
        let sessions = Sessions::new();
        for (text, open) in [
            ("2012-02-03T21:59:00Z", true),
            ("2012-02-03T22:00:00Z", false),
            ("2012-02-05T21:59:00Z", false),
            ("2012-02-05T22:00:00Z", true),
            ("2025-07-25T20:59:00Z", true),
            ("2025-07-25T21:00:00Z", false),
            ("2025-07-27T21:00:00Z", true),
            // Daylight saving time began on 11 March 2012 and, under the old rule, on 2 April 2006.
            ("2012-03-11T21:00:00Z", true),
            ("2006-03-26T21:00:00Z", false),
            ("2006-03-26T22:00:00Z", true),
            ("2006-04-02T21:00:00Z", true),
            ("2024-12-25T12:00:00Z", false),
            ("2024-12-25T22:00:00Z", true),
        ] {
            assert_eq!(sessions.is_open(at(text)), open, "{text}");
        }
    }

    #[test]
    fn open_seconds_leave_weekends_and_holidays_out() {
        let sessions = Sessions::new();
        let open = |from, to| sessions.open_seconds(at(from), at(to));
        assert_eq!(open("2012-02-03T22:00:00Z", "2012-02-05T22:00:00Z"), 0);
        assert_eq!(open("2012-02-03T21:58:00Z", "2012-02-05T22:01:00Z"), 180);
        assert_eq!(open("2012-02-01T00:00:00Z", "2012-02-01T00:05:00Z"), 300);
        assert_eq!(open("2012-02-06T00:00:00Z", "2012-02-13T00:00:00Z"), 5 * 86_400);
        assert_eq!(open("2024-12-24T22:00:00Z", "2024-12-25T22:00:00Z"), 0);
        // The weekend in which the clocks go forward is an hour shorter; the market's week is whole.
        assert_eq!(open("2025-03-07T22:00:00Z", "2025-03-14T21:00:00Z"), 5 * 86_400);
        assert_eq!(open("2012-02-01T00:05:00Z", "2012-02-01T00:00:00Z"), 0);
    }
}
