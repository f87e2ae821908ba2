//! How fast a search goes, in a line.
//!
//! Owns the arithmetic of what is done and what is left, for one search at a time: the user's candles first, then
//! each random walk from its own beginning. Must not write anywhere.

use std::time::{Duration, Instant};

use sep_contract::Pair;

use crate::output::grouped;
use crate::train::Progress;

/// How fast a search goes.
pub(super) struct Pace {
    pair: Pair,
    /// What is searched now, where it is not the user's candles: "random walk 3 of 19".
    on: Option<String>,
    begin: Instant,
    /// Variants that a checkpoint had.
    had: Option<usize>,
    bar_variants: f64,
}

impl Pace {
    pub(super) fn new(pair: Pair) -> Self {
        Self { pair, on: None, begin: Instant::now(), had: None, bar_variants: 0.0 }
    }

    /// The same search begins anew, on something else.
    pub(super) fn begin(&mut self, on: String) {
        *self = Self { on: Some(on), ..Self::new(self.pair) };
    }

    pub(super) fn line(&mut self, progress: Progress) -> String {
        let Progress { variants_done, variants, bar_variants } = progress;
        let had = *self.had.get_or_insert(if bar_variants > 0.0 { 0 } else { variants_done });
        self.bar_variants += bar_variants;
        let elapsed = self.begin.elapsed().as_secs_f64().max(1e-3);
        let (new, left) = (variants_done.saturating_sub(had) as f64, (variants - variants_done) as f64);
        let left = if new > 0.0 { Duration::from_secs_f64(left * elapsed / new).as_secs() } else { 0 };
        format!(
            "{}: {}{} of {} variants, {:.2e} bar-variants/s, {left} s left",
            self.pair,
            self.on.as_ref().map_or_else(String::new, |on| format!("{on}: ")),
            grouped(variants_done),
            grouped(variants),
            self.bar_variants / elapsed,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After a search that went on from a checkpoint, each walk begins at nothing done, and says which it is.
    #[test]
    fn every_walk_has_a_pace_of_its_own() {
        let progress =
            |variants_done, bar_variants| Progress { variants_done, variants: 1_000, bar_variants };
        let mut pace = Pace::new("EUR_USD".parse().unwrap());
        assert!(pace.line(progress(900, 0.0)).starts_with("EUR_USD: 900 of 1,000 variants, 0.00e0 "));
        pace.line(progress(1_000, 5e6));
        let searched = pace.begin;
        pace.begin("random walk 1 of 19".to_owned());
        assert!(pace.begin > searched && pace.bar_variants == 0.0);
        let line = pace.line(progress(100, 1e6));
        assert!(line.starts_with("EUR_USD: random walk 1 of 19: 100 of 1,000 variants, "), "{line}");
        assert_eq!(pace.had, Some(0));
        pace.begin("random walk 2 of 19".to_owned());
        assert!(pace.line(progress(100, 1e6)).contains("walk 2 of 19: 100 of"));
    }
}
