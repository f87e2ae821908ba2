//! The grid against its definition, and the definition against hand-worked bars.

use proptest::prelude::*;

use super::*;
use crate::synth::{Spec, generate};

fn made_up(bars: usize) -> Series {
    Series::ticks(&made_up_bars(bars))
}

fn made_up_bars(bars: usize) -> Bars {
    Bars::new(&generate(&Spec::new("EUR_USD".parse().unwrap(), bars, 11)).unwrap())
}

fn both(series: &Series, crossings: &[Crossing]) {
    let one_by_one: Vec<Outcome> =
        crossings.iter().map(|crossing| outcome(series, *crossing).unwrap()).collect();
    assert_eq!(grid(series, crossings).unwrap(), one_by_one);
}

#[test]
fn a_crossing_by_hand() {
    // Means of 1 and 2 bars: the last close against the one before.
    let mut bars = made_up_bars(10);
    bars.bid.close = vec![100, 101, 100, 100, 104, 107, 103, 103, 109, 110];
    bars.ask.close = bars.bid.close.iter().map(|price| price + 2).collect();
    let series = Series::ticks(&bars);
    // Above at bar 1, but never below before; below at 2, equal at 3, bought at 4, sold at 6, equal at 7,
    // bought at 8 and held to the end: (103 - 104) + (110 - 109) ticks, three half spreads of 1 tick.
    let expected = Outcome { gross: 0, cost: 6, entries: 2, exits: 1 };
    assert_eq!(outcome(&series, Crossing { fast: 1, slow: 2 }).unwrap(), expected);
    both(&series, &[Crossing { fast: 1, slow: 2 }]);
}

#[test]
fn the_grid_equals_its_definition_on_made_up_candles() {
    let series = made_up(20_011);
    both(&series, &Crossing::of_lengths(&[1, 2, 3, 7, 10, 20, 31, 64, 65, 200, 1_000]));
    // Products that 32 bits do not hold.
    both(&series, &Crossing::of_lengths(&[2_000, 3_000, 6_000, 20_011, 20_012, 65_536]));
    let some = grid(&series, &[Crossing { fast: 10, slow: 30 }]).unwrap()[0];
    assert!(some.entries > 300 && some.exits.abs_diff(some.entries) <= 1 && some.cost > 0, "{some:?}");
}

#[test]
fn returns_multiply() {
    let series = Series::of_closes(vec![120, 100, 110, 121, 90, 99, 80], 0.01);
    let found = outcome(&series, Crossing { fast: 1, slow: 2 }).unwrap();
    // Bought at 110, sold at 90, bought at 99, sold at 80.
    let (gross, net) = found.total_return();
    let expected = 90.0 / 110.0 * 80.0 / 99.0;
    assert!((gross - (expected - 1.0)).abs() < 1e-9);
    assert!((net - (expected * (0.99_f64 / 1.01).powi(2) - 1.0)).abs() < 1e-9);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let series = made_up(100);
    for (fast, slow) in [(0, 5), (5, 5), (6, 5), (5, Crossing::LONGEST + 1)] {
        let crossing = Crossing { fast, slow };
        assert_eq!(grid(&series, &[crossing]), Err(SmaError::Crossing { fast, slow }));
        assert!(outcome(&series, crossing).is_err());
    }
    let fee = |fee| Series::returns(&made_up_bars(10), fee).unwrap_err().to_string();
    assert_eq!(fee(1.0), "a fee of 1: expected a share from 0 to less than 1");
    assert!(fee(f64::NAN).contains("NaN") && fee(-0.1).contains("-0.1"));
    both(&made_up(0), &[Crossing { fast: 2, slow: 3 }]);
    assert_eq!(grid(&series, &[]), Ok(Vec::new()));
}

proptest! {
    #[test]
    fn the_grid_equals_its_definition(
        // Few different closes, so that means are often equal; and some that differ widely.
        closes in prop_oneof![
            prop::collection::vec(1..4_i32, 0..400),
            prop::collection::vec(1..1_000_000_000_i32, 0..400),
        ],
        fast in 1..80_u32,
        more in 1..200_u32,
    ) {
        let marks = closes.iter().map(|close| i64::from(*close)).collect();
        let costs = vec![3; closes.len()];
        let series = Series { closes, marks, costs };
        let crossing = Crossing { fast, slow: fast + more };
        prop_assert_eq!(grid(&series, &[crossing]).unwrap()[0], outcome(&series, crossing).unwrap());
    }
}
