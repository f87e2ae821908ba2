//! What the paths of cross-validation came to, from the worst to the best.

use crate::output::counted;
use crate::report::svg::{Drawing, Scale, Width};
use crate::report::words::{in_pips, pips, signed};
use crate::verdict::matrix::Cell;

/// Draws a bar a path.
pub fn paths(paths: &[Cell], width: Width) -> String {
    let mut sorted = paths.to_vec();
    sorted.sort_by_key(|path| path.net);
    let (left, right) = (width.pick(64.0, 56.0), width.pixels() - 6.0);
    let (top, bottom) = (10.0, 150.0);
    let mut drawing = Drawing::new(width.pixels(), bottom + 10.0);
    let net = |cell: &Cell| in_pips(cell.net as f64);
    let low = sorted.iter().map(net).fold(0.0, f64::min);
    let high = sorted.iter().map(net).fold(0.0, f64::max);
    let y = Scale { values: (low, high.max(low + 0.1)), pixels: (bottom, top) };
    let x = Scale { values: (0.0, sorted.len() as f64), pixels: (left, right) };
    drawing.levels(&y, (left, right), 6.0, signed);
    for (at, path) in sorted.iter().enumerate() {
        let (from, to) = (x.at(at as f64) + 2.0, x.at(at as f64 + 1.0) - 2.0);
        let class = if path.net > 0 { "won bar" } else { "lost bar" };
        drawing.rect(class, (from, y.at(0.0)), (to, y.at(net(path))), None);
        let tip = format!("{} pips\n{}", pips(path.net), counted(path.trades as usize, "trade"));
        drawing.rect("hit", (from, top), (to, bottom), Some(&tip));
    }
    drawing.line("zero", (left, y.at(0.0)), (right, y.at(0.0)));
    drawing.finish(&format!("What {} paths of cross-validation came to, in pips, sorted", sorted.len()))
}
