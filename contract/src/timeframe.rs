//! The lengths of candles.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How long one candle lasts. The order is that of length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Timeframe {
    M1,
    M5,
    M15,
    H1,
    H4,
    D1,
}

impl Timeframe {
    /// Every timeframe, shortest first.
    pub const ALL: [Timeframe; 6] = [Self::M1, Self::M5, Self::M15, Self::H1, Self::H4, Self::D1];

    /// The length in seconds.
    pub const fn seconds(self) -> i64 {
        match self {
            Self::M1 => 60,
            Self::M5 => 300,
            Self::M15 => 900,
            Self::H1 => 3_600,
            Self::H4 => 14_400,
            Self::D1 => 86_400,
        }
    }

    /// `M1` to `D1`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::M1 => "M1",
            Self::M5 => "M5",
            Self::M15 => "M15",
            Self::H1 => "H1",
            Self::H4 => "H4",
            Self::D1 => "D1",
        }
    }

    /// Seconds of the grid on which bars may open. H4 and D1 bars are counted from 17:00 New York, which
    /// moves with daylight saving time, so that all that can be asked of them is a full hour.
    pub const fn grid_seconds(self) -> i64 {
        match self {
            Self::H4 | Self::D1 => 3_600,
            other => other.seconds(),
        }
    }

    /// Whether a bar of this timeframe can open or close at `time`.
    pub fn is_on_grid(self, time: Timestamp) -> bool {
        time.subsec_nanosecond() == 0 && time.as_second().rem_euclid(self.grid_seconds()) == 0
    }

    /// When the bar that opened at `open` is over and may be used. `None` past the end of time.
    pub fn close_of(self, open: Timestamp) -> Option<Timestamp> {
        open.checked_add(SignedDuration::from_secs(self.seconds())).ok()
    }
}

/// Text that names no timeframe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{found}' is no timeframe: expected M1, M5, M15, H1, H4 or D1")]
pub struct TimeframeError {
    pub found: String,
}

impl FromStr for Timeframe {
    type Err = TimeframeError;

    fn from_str(text: &str) -> Result<Self, TimeframeError> {
        Self::ALL
            .into_iter()
            .find(|timeframe| timeframe.as_str() == text)
            .ok_or_else(|| TimeframeError { found: text.to_owned() })
    }
}

impl fmt::Display for Timeframe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_lengths_agree() {
        for timeframe in Timeframe::ALL {
            assert_eq!(timeframe.as_str().parse(), Ok(timeframe));
        }
        assert_eq!(Timeframe::ALL.map(Timeframe::seconds), [60, 300, 900, 3600, 14400, 86400]);
        assert!("m1".parse::<Timeframe>().is_err());
        assert!("M30".parse::<Timeframe>().is_err());
    }

    #[test]
    fn the_grid_is_the_length_below_four_hours_and_an_hour_above() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert!(Timeframe::M5.is_on_grid(at("2025-07-23T20:40:00Z")));
        assert!(!Timeframe::M5.is_on_grid(at("2025-07-23T20:41:00Z")));
        assert!(!Timeframe::M1.is_on_grid(at("2025-07-23T20:41:00.5Z")));
        assert!(Timeframe::D1.is_on_grid(at("2025-07-23T21:00:00Z")));
        assert!(!Timeframe::H4.is_on_grid(at("2025-07-23T21:30:00Z")));
        assert_eq!(Timeframe::H1.close_of(at("2025-07-23T20:00:00Z")), Some(at("2025-07-23T21:00:00Z")));
    }
}
