//! Five-field cron expressions as Debian's and Ubuntu's cron read them: whether one is well formed, and
//! whether it ever fires.
//!
//! Not a scheduler: cron on the droplet does the firing. The general cron crates accept more (seconds, `L`,
//! `W`, `#`) than that cron does, and a line in /etc/cron.d that cron cannot read is skipped in silence.

/// Why a schedule is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    #[error("has {0} fields")]
    Fields(usize),
    #[error("is a nickname, which is not accepted here")]
    Nickname,
    #[error("has `{found}` for the {field}, expected {low} to {high}")]
    Value { field: &'static str, found: String, low: u8, high: u8 },
    #[error("has the range `{found}` for the {field}, which runs backwards")]
    Backwards { field: &'static str, found: String },
    #[error("has the step `{found}` for the {field}, expected `*/2` or `10-20/2`")]
    Step { field: &'static str, found: String },
    #[error("never fires: none of these months has such a day")]
    Never,
}

struct Field {
    name: &'static str,
    low: u8,
    high: u8,
    /// Names of the values from `low` on.
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const FIELDS: [Field; 5] = [
    Field { name: "minute", low: 0, high: 59, names: &[] },
    Field { name: "hour", low: 0, high: 23, names: &[] },
    Field { name: "day of the month", low: 1, high: 31, names: &[] },
    Field { name: "month", low: 1, high: 12, names: &MONTHS },
    // Sunday is 0 and 7.
    Field { name: "weekday", low: 0, high: 7, names: &WEEKDAYS },
];

/// The most days that a month ever has, from January on.
const DAYS: [u8; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// Checks that `schedule` is well formed and fires at some time.
pub fn check(schedule: &str) -> Result<(), CronError> {
    if schedule.trim_start().starts_with('@') {
        return Err(CronError::Nickname);
    }
    let words: Vec<&str> = schedule.split_whitespace().collect();
    let words: [&str; 5] = words.try_into().map_err(|words: Vec<_>| CronError::Fields(words.len()))?;
    let mut sets = [0u64; 5];
    for ((set, word), field) in sets.iter_mut().zip(words).zip(&FIELDS) {
        *set = field.parse(word)?;
    }
    let [_, _, days, months, _] = sets;
    // Where both days are restricted, cron fires on either, and weekdays come round every week.
    let either = !words[2].starts_with('*') && !words[4].starts_with('*');
    let exists = (1u8..=12)
        .zip(DAYS)
        .any(|(month, last)| months & (1 << month) != 0 && (1..=last).any(|day| days & (1 << day) != 0));
    if either || exists { Ok(()) } else { Err(CronError::Never) }
}

impl Field {
    /// The values that a comma-separated list names, as a set of bits.
    fn parse(&self, list: &str) -> Result<u64, CronError> {
        let mut set = 0;
        for item in list.split(',') {
            let (range, step) = match item.split_once('/') {
                Some((range, step)) => (range, Some(step)),
                None => (item, None),
            };
            let (low, high) = if range == "*" {
                (self.low, self.high)
            } else if let Some((low, high)) = range.split_once('-') {
                (self.value(low)?, self.value(high)?)
            } else if step.is_some() {
                // Cron reads `5/10` as 5 and drops the rest.
                return Err(CronError::Step { field: self.name, found: item.to_owned() });
            } else {
                let value = self.value(range)?;
                (value, value)
            };
            if low > high {
                return Err(CronError::Backwards { field: self.name, found: range.to_owned() });
            }
            let step = match step.map(|step| step.parse::<u8>().ok().filter(|&step| step > 0)) {
                None => 1,
                Some(Some(step)) => step,
                Some(None) => return Err(CronError::Step { field: self.name, found: item.to_owned() }),
            };
            for value in (low..=high).step_by(usize::from(step)) {
                set |= 1u64 << value;
            }
        }
        Ok(set)
    }

    fn value(&self, text: &str) -> Result<u8, CronError> {
        let named = (self.low..).zip(self.names).find(|(_, name)| name.eq_ignore_ascii_case(text));
        named
            .map(|(value, _)| value)
            .or_else(|| {
                // `parse` alone would take a sign.
                text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
            })
            .filter(|value| (self.low..=self.high).contains(value))
            .ok_or_else(|| CronError::Value {
                field: self.name,
                found: text.to_owned(),
                low: self.low,
                high: self.high,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_that_fire() {
        for schedule in [
            "0 2 * * *",
            "*/5 * * * *",
            "0 0 29 2 *",
            "15,45 1-5/2 * jan-mar mon,fri",
            "0 2 * * 7",
            "0 2 31 2 mon",
            "0 2 31 1,2 *",
            "  0\t2 * * SUN ",
        ] {
            assert_eq!(check(schedule), Ok(()), "{schedule}");
        }
    }

    #[test]
    fn schedules_that_are_refused() {
        let table = [
            ("0 2 31 2 *", "never fires: none of these months has such a day"),
            ("0 2 31 4,6,9,11 */2", "never fires: none of these months has such a day"),
            ("0 2 30-31 feb *", "never fires: none of these months has such a day"),
            ("0 2 * *", "has 4 fields"),
            ("0 0 2 * * *", "has 6 fields"),
            ("", "has 0 fields"),
            ("@daily", "is a nickname, which is not accepted here"),
            ("60 2 * * *", "has `60` for the minute, expected 0 to 59"),
            ("0 24 * * *", "has `24` for the hour, expected 0 to 23"),
            ("0 2 0 * *", "has `0` for the day of the month, expected 1 to 31"),
            ("0 2 * 13 *", "has `13` for the month, expected 1 to 12"),
            ("0 2 * * 8", "has `8` for the weekday, expected 0 to 7"),
            ("0 2 L * *", "has `L` for the day of the month, expected 1 to 31"),
            ("+1 2 * * *", "has `+1` for the minute, expected 0 to 59"),
            ("0 22-2 * * *", "has the range `22-2` for the hour, which runs backwards"),
            ("5/10 * * * *", "has the step `5/10` for the minute, expected `*/2` or `10-20/2`"),
            ("*/0 * * * *", "has the step `*/0` for the minute, expected `*/2` or `10-20/2`"),
            ("1,,2 * * * *", "has `` for the minute, expected 0 to 59"),
        ];
        for (schedule, message) in table {
            assert_eq!(check(schedule).unwrap_err().to_string(), message, "{schedule}");
        }
    }
}
