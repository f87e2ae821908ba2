//! The variants that a search tries.
//!
//! Owns the space of variants, its numbering, and the ways of choosing from it: all of it, or a seeded
//! sample. A variant is a pure function of space and number, so a search can be repeated, continued and
//! cut into pieces. Must not know how variants are run or judged.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sep_contract::Timeframe;
use serde::{Deserialize, Serialize};

use crate::bars::{GATE_BUY_CONFIRMED, GATE_SELL_CONFIRMED};
use crate::lane::{Distance, Lane, MAX_HOLD, NO_COLLAPSE};
use crate::qfh::WINDOW_BITS;

/// Weights of the scores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    pub stability: f32,
    pub coherence: f32,
    pub entropy: f32,
}

/// Hours of the day, UTC, in which a bar may close and signal: `from` to, but without, `to`; written
/// `07-16`. `22-02` runs over midnight; `00-24` is the whole day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours {
    from: u32,
    to: u32,
}

/// Text that names no hours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{found}' names no hours: expected two hours of the day in UTC, such as 07-16")]
pub struct HoursError {
    found: String,
}

/// What the features of a variant depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeatureKey {
    pub timeframe: Timeframe,
    pub window: u32,
    pub symmetric: bool,
}

/// One variant of the strategy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    pub timeframe: Timeframe,
    /// Bits of the window.
    pub window: u32,
    /// Whether falling runs count like rising ones.
    pub symmetric: bool,
    pub weights: Weights,
    pub buy_above: f32,
    pub sell_above: f32,
    pub min_confidence: f32,
    pub min_coherence: f32,
    /// Rupture share from which no signal is given.
    pub collapse: Option<f32>,
    /// Whether M5 and M15 must take the same side (M1 only).
    pub confirm: bool,
    pub hours: Hours,
    pub stop: Distance,
    pub target: Distance,
    /// Longest holding time, in bars.
    pub hold: i32,
}

/// All variants made of these values. The first three decide which features are needed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Space {
    pub timeframes: Vec<Timeframe>,
    pub windows: Vec<u32>,
    pub symmetric: Vec<bool>,
    pub weights: Vec<Weights>,
    pub buy_above: Vec<f32>,
    pub sell_above: Vec<f32>,
    pub min_confidence: Vec<f32>,
    pub min_coherence: Vec<f32>,
    pub collapse: Vec<Option<f32>>,
    pub confirm: Vec<bool>,
    pub hours: Vec<Hours>,
    pub stops: Vec<Distance>,
    pub targets: Vec<Distance>,
    pub holds: Vec<i32>,
}

/// What is wrong with a space.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SpaceError {
    #[error("{field} is empty: expected at least one value")]
    Empty { field: &'static str },
    #[error("{field} holds {found}: expected {expected}")]
    Value { field: &'static str, found: String, expected: String },
    #[error("{field} holds {found} twice: give every value once")]
    Twice { field: &'static str, found: String },
    #[error("the space has more variants than can be numbered: give fewer values")]
    TooLarge,
    #[error(
        "{found} variants are more than {MOST_VARIANTS}, which is what a search holds in memory at most: draw fewer \
        (--variants), or give fewer values"
    )]
    TooMany { found: u64 },
}

/// The most variants of one search: their outcomes on 16 slices take 6 GiB of memory.
pub const MOST_VARIANTS: u64 = 1 << 24;

/// How variants are chosen from a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Search {
    /// All of them.
    Grid,
    /// So many different ones, drawn by a seed.
    Random { variants: u64, seed: u64 },
}

impl Hours {
    /// The whole day.
    pub const ALL: Self = Self { from: 0, to: 24 };

    /// One bit an hour.
    pub fn mask(self) -> u32 {
        let length = if self.from < self.to { self.to - self.from } else { self.to + 24 - self.from };
        (0..length).fold(0, |mask, hour| mask | 1 << ((self.from + hour) % 24))
    }
}

impl FromStr for Hours {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, HoursError> {
        let refuse = || HoursError { found: text.to_owned() };
        let hour = |part: &str| part.parse::<u32>().ok().filter(|_| part.len() == 2);
        let (from, to) = text.split_once('-').ok_or_else(refuse)?;
        let (from, to) = (hour(from).ok_or_else(refuse)?, hour(to).ok_or_else(refuse)?);
        if from < 24 && to <= 24 && from != to { Ok(Self { from, to }) } else { Err(refuse()) }
    }
}

impl TryFrom<String> for Hours {
    type Error = HoursError;

    fn try_from(text: String) -> Result<Self, HoursError> {
        text.parse()
    }
}

impl From<Hours> for String {
    fn from(hours: Hours) -> Self {
        hours.to_string()
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:02}-{:02}", self.from, self.to))
    }
}

impl Variant {
    /// What its features depend on.
    pub fn key(&self) -> FeatureKey {
        FeatureKey { timeframe: self.timeframe, window: self.window, symmetric: self.symmetric }
    }

    /// The numbers that backends compute with.
    pub fn lane(&self) -> Lane {
        let needs = |bit| if self.confirm { bit } else { 0 };
        Lane {
            stability: self.weights.stability,
            coherence: self.weights.coherence,
            entropy: self.weights.entropy,
            buy_above: self.buy_above,
            sell_above: self.sell_above,
            min_confidence: self.min_confidence,
            min_coherence: self.min_coherence,
            collapse: self.collapse.unwrap_or(NO_COLLAPSE),
            hours: self.hours.mask(),
            buy_needs: needs(GATE_BUY_CONFIRMED),
            sell_needs: needs(GATE_SELL_CONFIRMED),
            stop: self.stop,
            target: self.target,
            hold: self.hold,
        }
    }

    /// The published model, with high confidence asked for, on M1.
    pub fn published() -> Self {
        Self {
            timeframe: Timeframe::M1,
            window: 11,
            symmetric: false,
            weights: Weights { stability: 0.4, coherence: 0.1, entropy: 0.5 },
            buy_above: 0.50,
            sell_above: 0.52,
            min_confidence: 0.65,
            min_coherence: 0.30,
            collapse: None,
            confirm: false,
            hours: Hours::ALL,
            stop: Distance { ticks: 0, ranges: 4 * 256 },
            target: Distance { ticks: 0, ranges: 4 * 256 },
            hold: 60,
        }
    }
}

/// The dimensions of the space in the order of numbering, the features' first, so that neighbours share them: where
/// the values stand in a space, and where in a variant.
macro_rules! dimensions {
    ($($values:ident: $value:ident,)*) => {
        /// How many dimensions a space has.
        pub const DIMENSIONS: usize = [$(stringify!($values)),*].len();

        impl From<&Variant> for Space {
            /// The space of this variant alone.
            fn from(variant: &Variant) -> Self {
                Self { $($values: vec![variant.$value]),* }
            }
        }

        impl Space {
            fn counts(&self) -> [(&'static str, usize); DIMENSIONS] {
                [$((stringify!($values), self.$values.len())),*]
            }

            /// A value that stood there twice would be counted as two trials.
            fn check_once(&self) -> Result<(), SpaceError> {
                $(once(stringify!($values), &self.$values)?;)*
                Ok(())
            }

            /// The variant with the values in these places.
            fn pick(&self, places: [usize; DIMENSIONS]) -> Variant {
                let mut places = places.into_iter();
                Variant { $($value: self.$values[places.next().unwrap_or(0)]),* }
            }

            /// Where a variant's values stand in their dimensions.
            pub fn places(&self, variant: &Variant) -> [usize; DIMENSIONS] {
                [$(self.$values.iter().position(|value| *value == variant.$value).unwrap_or(0)),*]
            }
        }
    };
}

dimensions! {
    timeframes: timeframe,
    windows: window,
    symmetric: symmetric,
    weights: weights,
    buy_above: buy_above,
    sell_above: sell_above,
    min_confidence: min_confidence,
    min_coherence: min_coherence,
    collapse: collapse,
    confirm: confirm,
    hours: hours,
    stops: stop,
    targets: target,
    holds: hold,
}

fn once<T: PartialEq + fmt::Debug>(field: &'static str, values: &[T]) -> Result<(), SpaceError> {
    let twice = values.iter().enumerate().find(|(at, value)| values[..*at].contains(value));
    twice.map_or(Ok(()), |(_, value)| Err(SpaceError::Twice { field, found: format!("{value:?}") }))
}

impl Space {
    /// How many variants there are.
    pub fn size(&self) -> Result<u64, SpaceError> {
        self.counts().iter().try_fold(1_u64, |size, (field, count)| match u64::try_from(*count) {
            Ok(0) => Err(SpaceError::Empty { field }),
            Ok(count) => size.checked_mul(count).ok_or(SpaceError::TooLarge),
            Err(_) => Err(SpaceError::TooLarge),
        })
    }

    /// Checks every value.
    pub fn check(&self) -> Result<(), SpaceError> {
        self.size()?;
        let each = |field, values: &[f32], low: f32, high: f32| {
            let bad = values.iter().find(|value| !(low..=high).contains(*value));
            bad.map_or(Ok(()), |bad| {
                Err(SpaceError::Value { field, found: bad.to_string(), expected: format!("{low} to {high}") })
            })
        };
        let wrong = |field, found: String, expected: &str| {
            Err(SpaceError::Value { field, found, expected: expected.to_owned() })
        };
        for (field, values) in [("buy_above", &self.buy_above), ("sell_above", &self.sell_above)] {
            // A threshold of 0 would let bars through that have no features yet.
            each(field, values, f32::MIN_POSITIVE, 10.0)?;
        }
        each("min_confidence", &self.min_confidence, 0.0, 10.0)?;
        each("min_coherence", &self.min_coherence, 0.0, 1.0)?;
        each("collapse", &self.collapse.iter().copied().flatten().collect::<Vec<_>>(), 0.0, 1.0)?;
        for weights in &self.weights {
            each("weights", &[weights.stability, weights.coherence, weights.entropy], 0.0, 10.0)?;
        }
        if let Some(bad) = self.windows.iter().find(|window| !WINDOW_BITS.contains(*window)) {
            return wrong("windows", bad.to_string(), "2 to 64 bits");
        }
        for (field, distances) in [("stops", &self.stops), ("targets", &self.targets)] {
            if let Some(bad) = distances.iter().find(|distance| !distance.is_sound()) {
                let found = format!("{} ticks + {}/256 ranges", bad.ticks, bad.ranges);
                return wrong(field, found, "0 to 1000000 ticks, 0 to 8192/256 ranges, not both 0");
            }
        }
        if let Some(bad) = self.holds.iter().find(|hold| !(1..=MAX_HOLD).contains(*hold)) {
            return wrong("holds", bad.to_string(), "1 to 10000 bars");
        }
        let longer = self.timeframes.iter().find(|timeframe| **timeframe != Timeframe::M1);
        if let Some(longer) = longer.filter(|_| self.confirm.contains(&true)) {
            let expected = "confirmation by M5 and M15 of M1 alone";
            return wrong("confirm", format!("true beside {longer}"), expected);
        }
        self.check_once()
    }

    /// The variant of a number below [`Space::size`]; larger numbers start over.
    pub fn at(&self, number: u64) -> Variant {
        let mut rest = number;
        let mut digits = [0; DIMENSIONS];
        for (digit, (_, count)) in digits.iter_mut().zip(self.counts()).rev() {
            let count = count.max(1) as u64;
            *digit = usize::try_from(rest % count).unwrap_or(0);
            rest /= count;
        }
        self.pick(digits)
    }

    /// A few hundred variants: an answer within seconds.
    pub fn quick() -> Self {
        let published = Variant::published();
        Self {
            timeframes: vec![Timeframe::M1, Timeframe::M5],
            windows: vec![8, 11, 16],
            symmetric: vec![false, true],
            weights: vec![published.weights],
            buy_above: vec![0.50, 0.65],
            sell_above: vec![0.52, 0.65],
            min_confidence: vec![0.65],
            min_coherence: vec![0.0, 0.30],
            collapse: vec![None],
            confirm: vec![false],
            hours: vec![Hours::ALL],
            stops: ranges(&[3, 8]),
            targets: ranges(&[3, 8]),
            holds: vec![30, 120],
        }
    }

    /// Some three million variants, to draw from.
    pub fn full() -> Self {
        let weights = |stability, coherence, entropy| Weights { stability, coherence, entropy };
        Self {
            timeframes: vec![Timeframe::M1, Timeframe::M5, Timeframe::M15, Timeframe::H1],
            windows: vec![5, 8, 11, 16, 24, 32],
            symmetric: vec![false, true],
            weights: vec![
                weights(0.4, 0.1, 0.5),
                weights(0.6, 0.1, 0.3),
                weights(0.2, 0.2, 0.6),
                weights(0.3, 0.4, 0.3),
                weights(0.34, 0.33, 0.33),
            ],
            buy_above: vec![0.45, 0.50, 0.60, 0.70],
            sell_above: vec![0.45, 0.52, 0.60, 0.70],
            min_confidence: vec![0.0, 0.65],
            min_coherence: vec![0.0, 0.30],
            collapse: vec![None, Some(0.6)],
            confirm: vec![false],
            hours: ["00-24", "07-16", "12-21"].iter().filter_map(|hours| hours.parse().ok()).collect(),
            stops: ranges(&[2, 4, 8]),
            targets: ranges(&[2, 4, 8, 16]),
            holds: vec![15, 60, 240],
        }
    }
}

/// Distances of so many mean ranges.
fn ranges(multiples: &[i32]) -> Vec<Distance> {
    multiples.iter().map(|multiple| Distance { ticks: 0, ranges: multiple * 256 }).collect()
}

impl Search {
    /// How many variants it tries.
    pub fn count(self, space: &Space) -> Result<u64, SpaceError> {
        let size = space.size()?;
        let found = match self {
            Self::Grid => size,
            Self::Random { variants, .. } => variants.min(size),
        };
        if found > MOST_VARIANTS { Err(SpaceError::TooMany { found }) } else { Ok(found) }
    }

    /// The numbers of the variants to try, ascending, each once.
    pub fn numbers(self, space: &Space) -> Result<Vec<u64>, SpaceError> {
        let size = space.size()?;
        self.count(space)?;
        match self {
            Self::Random { variants, seed } if variants < size => {
                let mut random = ChaCha8Rng::seed_from_u64(seed);
                let mut numbers = BTreeSet::new();
                while (numbers.len() as u64) < variants {
                    // The bias of the remainder is below 2^-32 for any space that fits a machine's memory.
                    numbers.insert(random.next_u64() % size);
                }
                Ok(numbers.into_iter().collect())
            }
            _ => Ok((0..size).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_places_are_two_ways_to_say_the_same() {
        let space = Space::full();
        let size = space.size().unwrap();
        let mut seen = BTreeSet::new();
        for number in (0..size).step_by(4_999) {
            let variant = space.at(number);
            let places = space.places(&variant);
            assert_eq!(space.pick(places), variant);
            let count = |at: usize| space.counts()[at].1;
            let again = (0..DIMENSIONS).fold(0, |number, at| number * count(at) + places[at]);
            assert_eq!(again as u64, number);
            assert!(seen.insert(again));
        }
        assert_eq!(Space::from(&space.at(77)).at(0), space.at(77));
    }

    #[test]
    fn values_that_stand_there_twice_are_refused() {
        let space = Space { timeframes: vec![Timeframe::M1, Timeframe::M5, Timeframe::M1], ..Space::quick() };
        let error = space.check().unwrap_err();
        assert_eq!(error, SpaceError::Twice { field: "timeframes", found: "M1".to_owned() });
        let stops = ranges(&[3, 4, 3]);
        assert!(
            Space { stops, ..Space::quick() }.check().unwrap_err().to_string().starts_with("stops holds")
        );
        assert_eq!(Space::quick().check(), Ok(()));
        assert_eq!(Space::full().check(), Ok(()));
    }

    /// More than memory holds is an error before anything is allocated.
    #[test]
    fn a_search_has_an_end() {
        let holds: Vec<i32> = (1..=10_000).collect();
        let buy_above: Vec<f32> = (1..=1_000_u16).map(|at| f32::from(at) / 100.0).collect();
        let vast = Space { holds, buy_above, ..Space::full() };
        let found = vast.size().unwrap();
        assert!(found > 1_000_000_000_000);
        assert_eq!(Search::Grid.numbers(&vast), Err(SpaceError::TooMany { found }));
        let random = |variants| Search::Random { variants, seed: 1 };
        let error = random(1_000_000_000).numbers(&vast).unwrap_err();
        assert!(error.to_string().contains("1000000000 variants are more than 16777216"), "{error}");
        assert_eq!(random(10).numbers(&vast).unwrap().len(), 10);
        assert_eq!(random(1_000_000_000).count(&Space::quick()), Ok(Space::quick().size().unwrap()));
    }
}
