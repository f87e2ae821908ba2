//! Sizes and lengths of time as people write them, to bytes and days and back.
//!
//! Sizes here are those of disks and machines: `GB` is 10^9, `GiB` is 2^30. PostgreSQL's settings count
//! otherwise (`kB` is 1024); they are read in `tuning::memory`.

/// Why a size could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    #[error("it has no unit")]
    NoUnit,
    #[error("it does not begin with a number")]
    NoNumber,
    #[error("`{0}` is not a unit of size")]
    BadUnit(String),
    #[error("it is larger than any disk")]
    TooLarge,
}

const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// Reads `50GB`, `8 GiB`, `1.5TB`; the case of the letters does not matter. Returns bytes.
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim());
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.contains('.') || (number.contains('.') && fraction.is_empty()) {
        return Err(SizeError::NoNumber);
    }
    if unit.is_empty() {
        return Err(SizeError::NoUnit);
    }
    let factor = UNITS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))
        .map(|&(_, factor)| u128::from(factor))
        .ok_or_else(|| SizeError::BadUnit(unit.to_owned()))?;
    let scale = u32::try_from(fraction.len()).ok().and_then(|places| 10u128.checked_pow(places));
    let (Ok(digits), Some(scale)) = (format!("{whole}{fraction}").parse::<u128>(), scale) else {
        return Err(SizeError::TooLarge);
    };
    let bytes = digits.checked_mul(factor).ok_or(SizeError::TooLarge)? / scale;
    // Above 2^63 nothing that follows (JSON, SQL) could carry the value.
    u64::try_from(bytes).ok().filter(|&bytes| i64::try_from(bytes).is_ok()).ok_or(SizeError::TooLarge)
}

/// Writes bytes with the largest unit that divides them, so that [`parse_size`] reads the same back.
pub fn format_size(bytes: u64) -> String {
    let (unit, factor) = UNITS
        .iter()
        .copied()
        .filter(|&(_, factor)| bytes >= factor && bytes.is_multiple_of(factor))
        // Not the largest factor but the shortest number: 8 GiB, and not 8589934592 B.
        .min_by_key(|&(_, factor)| bytes / factor)
        .unwrap_or(("B", 1));
    format!("{}{unit}", bytes / factor)
}

/// Writes bytes for a sentence: one decimal of the decimal unit, `8.4 GB`.
pub fn about_size(bytes: u64) -> String {
    let (unit, factor) = UNITS
        .iter()
        .copied()
        .filter(|(unit, _)| !unit.contains('i'))
        .find(|&(_, factor)| bytes >= factor)
        .unwrap_or(("B", 1));
    let tenths = (u128::from(bytes) * 10 + u128::from(factor) / 2) / u128::from(factor);
    match tenths % 10 {
        0 => format!("{} {unit}", tenths / 10),
        tenth => format!("{}.{tenth} {unit}", tenths / 10),
    }
}

/// Why a length of time could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DaysError {
    #[error("it has no unit")]
    NoUnit,
    #[error("it does not begin with a whole number")]
    NoNumber,
    #[error("`{0}` is not d (days), w (weeks) or y (years of 365 days)")]
    BadUnit(String),
    #[error("it is longer than 100 years; `forever` keeps everything")]
    TooLong,
    #[error("it would keep nothing; `forever` keeps everything")]
    Zero,
}

const FOREVER: &str = "forever";

/// Reads `90d`, `12w`, `3y` (of 365 days) or `forever`. Returns days; 0 stands for ever.
pub fn parse_days(text: &str) -> Result<u32, DaysError> {
    let text = text.trim();
    if text.eq_ignore_ascii_case(FOREVER) {
        return Ok(0);
    }
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim());
    if number.is_empty() {
        return Err(DaysError::NoNumber);
    }
    let days = match unit {
        "d" | "day" | "days" => 1,
        "w" | "week" | "weeks" => 7,
        "y" | "year" | "years" => 365,
        "" => return Err(DaysError::NoUnit),
        _ => return Err(DaysError::BadUnit(unit.to_owned())),
    };
    match number.parse::<u32>().ok().and_then(|n| n.checked_mul(days)) {
        Some(0) => Err(DaysError::Zero),
        Some(days) if days <= 36_500 => Ok(days),
        _ => Err(DaysError::TooLong),
    }
}

/// Writes days so that [`parse_days`] reads the same back.
pub fn format_days(days: u32) -> String {
    if days == 0 { FOREVER.to_owned() } else { format!("{days}d") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let table = [
            ("64MB", 64_000_000),
            ("8GiB", 8_589_934_592),
            ("2 GB", 2_000_000_000),
            ("1.5TB", 1_500_000_000_000),
            ("0.5 KiB", 512),
            ("12b", 12),
            ("50gb", 50_000_000_000),
        ];
        for (text, bytes) in table {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn refused_sizes() {
        let table = [
            ("64", SizeError::NoUnit),
            ("", SizeError::NoNumber),
            ("GB", SizeError::NoNumber),
            ("-1GB", SizeError::NoNumber),
            ("1.GB", SizeError::NoNumber),
            ("1.2.3GB", SizeError::NoNumber),
            ("8G", SizeError::BadUnit("G".into())),
            ("8 GB of it", SizeError::BadUnit("GB of it".into())),
            ("99999999TB", SizeError::TooLarge),
            ("9999999999999999999999999999999999999999999B", SizeError::TooLarge),
            ("1.000000000000000000000000000000000000000000GB", SizeError::TooLarge),
        ];
        for (text, error) in table {
            assert_eq!(parse_size(text), Err(error), "{text}");
        }
    }

    #[test]
    fn sizes_are_written_as_they_are_read() {
        for text in ["50GB", "8GiB", "64MiB", "3GB", "1500MB", "1B", "1TiB", "0B", "1025B"] {
            assert_eq!(format_size(parse_size(text).unwrap()), text);
        }
        assert_eq!(about_size(8_589_934_592), "8.6 GB");
        assert_eq!(about_size(2_000_000_000), "2 GB");
        assert_eq!(about_size(999), "999 B");
    }

    #[test]
    fn days() {
        let table = [
            ("90d", Ok(90)),
            ("3y", Ok(1095)),
            ("2 weeks", Ok(14)),
            ("forever", Ok(0)),
            ("90", Err(DaysError::NoUnit)),
            ("0d", Err(DaysError::Zero)),
            ("-3d", Err(DaysError::NoNumber)),
            ("101y", Err(DaysError::TooLong)),
            ("3m", Err(DaysError::BadUnit("m".into()))),
        ];
        for (text, expected) in table {
            assert_eq!(parse_days(text), expected, "{text}");
        }
        for text in ["90d", "1095d", "forever"] {
            assert_eq!(format_days(parse_days(text).unwrap()), text);
        }
    }
}
