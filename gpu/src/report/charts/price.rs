//! The price with the trades on it: the whole of the tested history, and a close-up of the newest trades.

use std::fmt::Write as _;
use std::ops::Range;

use sep_contract::Side;

use crate::bars::Bars;
use crate::output::counted;
use crate::report::replay::Played;
use crate::report::svg::{Drawing, Scale, Width, px};
use crate::report::words::{exit, grouped, minute, pips, price};

/// A candle of some bars, in half ticks of the mid price.
struct Candle {
    open: i32,
    high: i32,
    low: i32,
    close: i32,
}

/// Bars joined so that they fit.
struct Thinned {
    bars: Range<usize>,
    /// Bars in each candle but the last.
    each: usize,
    candles: Vec<Candle>,
}

impl Thinned {
    fn new(all: &Bars, bars: Range<usize>, most: usize) -> Self {
        let each = bars.len().div_ceil(most.max(1)).max(1);
        let candle = |from: usize| {
            let part = from..(from + each).min(bars.end);
            let mid2 = |bid: &[i32], ask: &[i32], bar: usize| bid[bar] + ask[bar];
            let (bid, ask) = (&all.bid, &all.ask);
            Candle {
                open: mid2(&bid.open, &ask.open, part.start),
                high: part.clone().map(|bar| mid2(&bid.high, &ask.high, bar)).max().unwrap_or(0),
                low: part.clone().map(|bar| mid2(&bid.low, &ask.low, bar)).min().unwrap_or(0),
                close: mid2(&bid.close, &ask.close, part.end - 1),
            }
        };
        let candles = bars.clone().step_by(each).map(candle).collect();
        Self { bars, each, candles }
    }

    /// Where a bar stands, in candles.
    fn place(&self, bar: usize) -> f64 {
        (bar.clamp(self.bars.start, self.bars.end) - self.bars.start) as f64 / self.each as f64
    }

    fn range(&self) -> (i32, i32) {
        let low = self.candles.iter().map(|candle| candle.low).min().unwrap_or(0);
        (low, self.candles.iter().map(|candle| candle.high).max().unwrap_or(low))
    }
}

/// A chart's frame: how wide it is, and where its scales begin and end.
struct Frame {
    width: Width,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Frame {
    fn new(width: Width, height: f64) -> Self {
        let right = width.pixels() - width.pick(12.0, 6.0);
        Self { width, left: width.pick(70.0, 60.0), right, top: 8.0, bottom: 8.0 + height }
    }
}

/// How many candles fit a chart.
fn fitting(width: Width) -> usize {
    width.pick(230, 70)
}

/// The whole of some bars, and below them what the trades that ended there came to.
pub fn overview(bars: &Bars, range: Range<usize>, trades: &[&Played], width: Width) -> String {
    let frame = Frame::new(width, width.pick(230.0, 180.0));
    let thinned = Thinned::new(bars, range, fitting(width));
    let (lane_top, lane_bottom) = (frame.bottom + 28.0, frame.bottom + 28.0 + 70.0);
    let mut drawing = Drawing::new(width.pixels(), lane_bottom + 22.0);
    let x = candles(&mut drawing, bars, &thinned, &frame, &[]);

    let mut sums = vec![(0_i64, 0_usize, 0_usize); thinned.candles.len()];
    for played in trades {
        let bar = played.trade.exit_bar;
        if thinned.bars.contains(&bar) {
            let (net, count, won) = &mut sums[(bar - thinned.bars.start) / thinned.each];
            *net += i64::from(played.trade.net);
            *count += 1;
            *won += usize::from(played.trade.net > 0);
        }
    }
    let most = sums.iter().map(|sum| sum.0.abs()).max().unwrap_or(0).max(1) as f64;
    let y = Scale { values: (-most, most), pixels: (lane_bottom, lane_top) };
    drawing.text(
        "title start",
        (frame.left, lane_top - 8.0),
        "What the trades that ended there came to, pips",
    );
    for amount in [most, -most] {
        let label = pips(if amount > 0.0 { most_of(&sums) } else { -most_of(&sums) });
        drawing.text("axis end", (frame.left - 6.0, y.at(amount) + 4.0), &label);
    }
    drawing.line("zero", (frame.left, y.at(0.0)), (frame.right, y.at(0.0)));
    for (at, (net, count, won)) in sums.iter().enumerate() {
        let (from, to) = (x.at(at as f64), x.at(at as f64 + 1.0));
        let first = thinned.bars.start + at * thinned.each;
        let last = (first + thinned.each).min(thinned.bars.end) - 1;
        if *count > 0 {
            let class = if *net > 0 { "won bar" } else { "lost bar" };
            drawing.rect(class, (from + 0.4, y.at(0.0)), (to - 0.4, y.at(*net as f64)), None);
        }
        let candle = &thinned.candles[at];
        let digits = bars.pair.digits();
        let tip = format!(
            "{} to {} UTC\nmid {} to {}\n{} ended, {won} won, {} pips",
            minute(bars.time[first]),
            minute(bars.close_time(last)),
            price(candle.low, digits),
            price(candle.high, digits),
            counted(*count, "trade"),
            pips(*net),
        );
        drawing.rect("hit", (from, frame.top), (to, lane_bottom), Some(&tip));
    }
    times(&mut drawing, bars, &thinned, &x, lane_bottom + 16.0, &frame);
    drawing.finish(&format!(
        "Candles of the mid price of {} on the tested slices, and the result of {} trades below them",
        bars.pair,
        grouped(trades.len() as u64)
    ))
}

fn most_of(sums: &[(i64, usize, usize)]) -> i64 {
    sums.iter().map(|sum| sum.0.abs()).max().unwrap_or(0)
}

/// Trades in a close-up, at most.
const CLOSE: usize = 24;

/// How many trades a wide close-up shows.
pub fn close_up_trades(trades: &[&Played]) -> usize {
    trades.len().min(CLOSE)
}

/// The newest trades, each with its entry and exit.
pub fn close_up(bars: &Bars, trades: &[&Played], width: Width) -> String {
    let shown = &trades[trades.len().saturating_sub(width.pick(CLOSE, CLOSE / 3))..];
    let first = shown.iter().map(|played| played.trade.signal_bar).min().unwrap_or(0);
    let last = shown.iter().map(|played| played.trade.exit_bar).max().unwrap_or(first);
    let air = (last - first) / 40 + 2;
    let range = first.saturating_sub(air)..(last + 1 + air).min(bars.len());
    let frame = Frame::new(width, width.pick(330.0, 240.0));
    let thinned = Thinned::new(bars, range, fitting(width));
    let mut drawing = Drawing::new(width.pixels(), frame.bottom + 24.0);
    let fills: Vec<i32> = shown.iter().flat_map(|p| [2 * p.trade.entry, 2 * p.trade.exit]).collect();
    let x = candles(&mut drawing, bars, &thinned, &frame, &fills);
    let y = scale(&thinned, &frame, &fills);
    for played in shown {
        let trade = &played.trade;
        let (from, to) =
            (x.at(thinned.place(trade.entry_bar) + 0.5), x.at(thinned.place(trade.exit_bar) + 0.5));
        let (entry, left) = (y.at(f64::from(2 * trade.entry)), y.at(f64::from(2 * trade.exit)));
        let state = if trade.net > 0 { "won" } else { "lost" };
        drawing.line(&format!("held {state}"), (from, entry), (to, left));
        // A BUY points up, a SELL down.
        let tip_y = if trade.side == Side::Buy { -9.0 } else { 9.0 };
        let (a, b) = (px(entry), px(entry - tip_y));
        let mark = format!("M{} {a}L{} {b}L{} {b}Z", px(from), px(from - 5.5), px(from + 5.5));
        drawing.path(&format!("mark {state}"), &mark, None);
        drawing.path(&format!("exit {state}"), &exit_mark(trade.net > 0, to, left), None);
        let corner = (from.min(to) - 7.0, entry.min(left) - 12.0);
        let across = (from.max(to) + 7.0, entry.max(left) + 12.0);
        drawing.rect("hit", corner, across, Some(&tip(bars, played)));
    }
    times(&mut drawing, bars, &thinned, &x, frame.bottom + 17.0, &frame);
    let text = format!("Candles of the mid price of {} with the newest {} trades", bars.pair, shown.len());
    drawing.finish(&text)
}

/// Where a trade ended: a disc where it won, a cross where it lost, for eyes that do not tell the colours.
fn exit_mark(won: bool, x: f64, y: f64) -> String {
    let (left, right) = (px(x - 4.0), px(x + 4.0));
    if won {
        let y = px(y);
        return format!("M{left} {y}A4 4 0 1 0 {right} {y}A4 4 0 1 0 {left} {y}Z");
    }
    let (top, bottom) = (px(y - 4.0), px(y + 4.0));
    format!("M{left} {top}L{right} {bottom}M{left} {bottom}L{right} {top}")
}

fn tip(bars: &Bars, played: &Played) -> String {
    let trade = &played.trade;
    let price = |ticks: i32| price(2 * ticks, bars.pair.digits());
    format!(
        "{} {} pips\nin  {} at {}\nout {} at {}, {}\nstop {}, target {}\nfees {} pips, slice {}",
        trade.side.as_str().to_uppercase(),
        pips(i64::from(trade.net)),
        minute(bars.time[trade.entry_bar]),
        price(trade.entry),
        minute(bars.time[trade.exit_bar]),
        price(trade.exit),
        exit(trade.exit_by),
        price(trade.stop),
        price(trade.target),
        pips(-i64::from(trade.fees)),
        played.slice + 1,
    )
}

fn scale(thinned: &Thinned, frame: &Frame, also: &[i32]) -> Scale {
    let (low, high) = thinned.range();
    let low = also.iter().copied().fold(low, i32::min);
    let high = also.iter().copied().fold(high, i32::max);
    let air = f64::from(high - low).max(2.0) * 0.04;
    Scale { values: (f64::from(low) - air, f64::from(high) + air), pixels: (frame.bottom, frame.top) }
}

/// Draws the candles; the scale of their places.
fn candles(drawing: &mut Drawing, bars: &Bars, thinned: &Thinned, frame: &Frame, also: &[i32]) -> Scale {
    let y = scale(thinned, frame, also);
    let x = Scale { values: (0.0, thinned.candles.len() as f64), pixels: (frame.left, frame.right) };
    // The labels are prices: half ticks over twice the power of ten of the last digit.
    let unit = f64::from(2 * 10_i32.pow(bars.pair.digits()));
    let prices = Scale { values: (y.values.0 / unit, y.values.1 / unit), ..y };
    drawing.levels(&prices, (frame.left, frame.right), frame.width.pick(9.0, 5.0), |value, digits| {
        format!("{value:.*}", digits.max(2))
    });
    let (mut wicks, mut up, mut down) = (String::new(), String::new(), String::new());
    let half = ((x.at(1.0) - x.at(0.0)) * 0.35).clamp(0.4, 5.0);
    for (at, candle) in thinned.candles.iter().enumerate() {
        let middle = x.at(at as f64 + 0.5);
        let level = |half_ticks: i32| y.at(f64::from(half_ticks));
        let _ = write!(wicks, "M{} {}V{}", px(middle), px(level(candle.high)), px(level(candle.low)));
        let (open, close) = (level(candle.open), level(candle.close));
        let (top, bottom) = (open.min(close), open.max(close).max(open.min(close) + 0.8));
        let body = if candle.close >= candle.open { &mut up } else { &mut down };
        let _ = write!(
            body,
            "M{} {}H{}V{}H{}Z",
            px(middle - half),
            px(top),
            px(middle + half),
            px(bottom),
            px(middle - half)
        );
    }
    drawing.path("wick", &wicks, None);
    drawing.path("up", &up, None);
    drawing.path("down", &down, None);
    x
}

/// Moments under the chart, as many as fit.
fn times(drawing: &mut Drawing, bars: &Bars, thinned: &Thinned, x: &Scale, y: f64, frame: &Frame) {
    for at in x.labelled(thinned.candles.len(), frame.width.pick(8, 2), 118.0) {
        let text = minute(bars.time[thinned.bars.start + at * thinned.each]);
        drawing.text("axis start", (x.at(at as f64), y), &text);
    }
}
