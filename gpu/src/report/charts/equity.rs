//! The equity of the walk-forward days, and the drawdown under it.

use crate::output::counted;
use crate::report::replay::Day;
use crate::report::svg::{Drawing, Scale, Width};
use crate::report::words::{in_pips, mean_pips, pips, plain_pips, signed};
use crate::verdict::resample::Interval;

/// What is drawn beside the days. Amounts in centi-ticks.
#[derive(Debug)]
pub struct Beside {
    /// Where the mean day may lie.
    pub interval: Option<Interval>,
    /// What blind trading would have come to at the end, had it traded as often: BUY, SELL, coin.
    pub blind: [f64; 3],
}

/// Draws the days, oldest first.
pub fn equity(days: &[Day], beside: &Beside, width: Width) -> String {
    let (left, right) = (width.pick(64.0, 56.0), width.pixels() - width.pick(12.0, 6.0));
    let (top, middle) = (14.0, width.pick(270.0, 210.0));
    let (under, bottom) = (middle + 30.0, middle + 30.0 + width.pick(84.0, 64.0));
    let mut drawing = Drawing::new(width.pixels(), bottom + 24.0);

    let count = days.len() as f64;
    let mut sum = 0_i64;
    let sums: Vec<i64> = std::iter::once(0)
        .chain(days.iter().map(|day| {
            sum += day.net;
            sum
        }))
        .collect();
    let mut high = 0_i64;
    let depths: Vec<i64> = sums
        .iter()
        .map(|sum| {
            high = high.max(*sum);
            sum - high
        })
        .collect();

    let x = Scale { values: (0.0, count), pixels: (left, right) };
    let y = Scale { values: range(&sums, beside, count), pixels: (middle, top) };

    slices(&mut drawing, days, &x, (top, bottom), width);
    drawing.levels(&y, (left, right), width.pick(6.0, 4.0), signed);
    if let Some(Interval { low, high, .. }) = beside.interval {
        let corner = |mean: f64| (x.at(count), y.at(in_pips(mean * count)));
        drawing.points("band", [(x.at(0.0), y.at(0.0)), corner(low), corner(high)], true);
    }
    drawing.line("zero", (left, y.at(0.0)), (right, y.at(0.0)));
    for (class, total) in ["blind buy", "blind sell", "blind coin"].into_iter().zip(beside.blind) {
        let total = in_pips(total);
        // A line that leaves the chart ends at its edge.
        let (low, high) = y.values;
        let stays = if total < low {
            low / total
        } else if total > high {
            high / total
        } else {
            1.0
        };
        drawing.line(class, (x.at(0.0), y.at(0.0)), (x.at(count * stays), y.at(total * stays)));
    }
    let curve = || sums.iter().enumerate().map(|(at, sum)| (x.at(at as f64), y.at(in_pips(*sum as f64))));
    drawing.points("curve", curve(), false);

    let deepest = in_pips(depths.iter().min().copied().unwrap_or(0) as f64);
    let down = Scale { values: (deepest.min(-1.0), 0.0), pixels: (bottom, under) };
    drawing.levels(&down, (left, right), 3.0, signed);
    let fall =
        depths.iter().enumerate().map(|(at, depth)| (x.at(at as f64), down.at(in_pips(*depth as f64))));
    let base = [(x.at(count), under), (x.at(0.0), under)];
    drawing.points("fall", fall.chain(base), true);
    drawing.text("title start", (left, under - 8.0), "Drawdown below the highest point so far, pips");
    dates(&mut drawing, days, &x, bottom + 17.0, width);

    for (at, day) in days.iter().enumerate() {
        let tip = format!(
            "{}\n{} pips on this day, {}\n{} pips since the start\n{} pips below the highest point",
            day.date,
            pips(day.net),
            counted(day.trades, "trade"),
            pips(sums[at + 1]),
            plain_pips(-depths[at + 1]),
        );
        drawing.rect("hit", (x.at(at as f64), top), (x.at(at as f64 + 1.0), bottom), Some(&tip));
    }
    let last = sums.last().copied().unwrap_or(0);
    let mean = beside
        .interval
        .map_or_else(String::new, |interval| format!(", {} pips a day on average", mean_pips(interval.mean)));
    drawing.finish(&format!(
        "Running sum of {} walk-forward days in pips, ending at {}{mean}; drawdown below",
        days.len(),
        pips(last)
    ))
}

/// Room for the curve and the interval; blind trading may take half as much again, no more.
fn range(sums: &[i64], beside: &Beside, count: f64) -> (f64, f64) {
    let mut values: Vec<f64> = sums.iter().map(|sum| in_pips(*sum as f64)).collect();
    values.extend(beside.interval.iter().flat_map(|i| [i.low, i.high]).map(|mean| in_pips(mean * count)));
    let low = values.iter().copied().fold(0.0, f64::min);
    let high = values.iter().copied().fold(0.0, f64::max);
    let room = (high - low).max(1.0) / 2.0;
    let blind = |pick: fn(f64, f64) -> f64| beside.blind.iter().map(|total| in_pips(*total)).fold(0.0, pick);
    let low = low.min(blind(f64::min).max(low - room));
    let high = high.max(blind(f64::max).min(high + room));
    let air = (high - low).max(1.0) * 0.04;
    (low - air, high + air)
}

/// Where one slice ends and the next, with another choice of variant, begins.
fn slices(drawing: &mut Drawing, days: &[Day], x: &Scale, (top, bottom): (f64, f64), width: Width) {
    let starts = (0..days.len()).filter(|at| *at == 0 || days[*at].slice != days[at - 1].slice);
    let starts: Vec<usize> = starts.chain(std::iter::once(days.len())).collect();
    for pair in starts.windows(2) {
        let (from, to) = (x.at(pair[0] as f64), x.at(pair[1] as f64));
        if pair[0] > 0 {
            drawing.line("slice", (from, top), (from, bottom));
        }
        if width == Width::Wide {
            let label = format!("slice {}", days[pair[0]].slice + 1);
            drawing.text("faint middle", (f64::midpoint(from, to), top - 3.0), &label);
        }
    }
}

/// Dates under the chart, as many as fit.
fn dates(drawing: &mut Drawing, days: &[Day], x: &Scale, y: f64, width: Width) {
    for at in x.labelled(days.len(), width.pick(9, 3), 80.0) {
        drawing.text("axis start", (x.at(at as f64), y), &days[at].date.to_string());
    }
}
