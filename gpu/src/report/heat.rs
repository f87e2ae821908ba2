//! The heat map: how the trials of a search hang together with two of its dimensions.
//!
//! Owns the map's cells as the page shows them. Must not play or judge anything.

use serde::Serialize;

use crate::report::words::{grouped, mean_pips, signed};
use crate::trials::{Block, Grid, Map};

/// The map with its names.
#[derive(Debug, Serialize)]
pub struct Heat {
    row_name: String,
    column_name: String,
    columns: Vec<String>,
    rows: Vec<Row>,
    /// The dimensions that were varied, all of them.
    dimensions: Vec<String>,
    /// The ratio that the luckiest of the trials would show without any edge.
    luck: String,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    cells: Vec<Shown>,
}

/// One cell, over all values of the other dimensions.
#[derive(Debug, Serialize)]
struct Shown {
    mean: Tinted,
    best: Tinted,
    tip: String,
}

/// A number and how strongly it is coloured, in percent.
#[derive(Debug, Serialize)]
struct Tinted {
    text: String,
    class: &'static str,
    strength: String,
}

/// The map of the two dimensions that are named, or of those that tell most. None where the search varied
/// fewer than two, or not these. `luck` is the ratio that the luckiest of all trials would show by chance: what
/// is best but below it stays pale.
pub fn heat(grid: &Grid, axes: Option<(&str, &str)>, luck: f64) -> Option<Heat> {
    let map = match axes {
        Some((one, other)) => grid.by_names(one, other)?,
        None => grid.telling()?,
    };
    let (down, across) = (&grid.dimensions[map.row], &grid.dimensions[map.column]);
    let strongest =
        |value: fn(&Block) -> f64| map.blocks.iter().map(|block| value(block).abs()).fold(0.0, f64::max);
    let (mean, best) = (strongest(|block| block.mean), strongest(|block| block.best).max(luck));
    let shown = |row: &str, column: &str, block: &Block| Shown {
        mean: tinted(block, block.mean, mean),
        best: tinted(block, block.best, best),
        tip: format!(
            "{} {row}, {} {column}\n{} variants, {} traded\nratio {} on average, {} at best\n{} trades, {} pips each",
            down.name,
            across.name,
            grouped(u64::from(block.variants)),
            grouped(u64::from(block.traded)),
            signed(block.mean, 2),
            signed(block.best, 2),
            grouped(block.trades),
            mean_pips(if block.trades == 0 { 0.0 } else { block.net as f64 / block.trades as f64 }),
        ),
    };
    let row = |(name, blocks): (&String, &[Block])| Row {
        name: name.clone(),
        cells: across.values.iter().zip(blocks).map(|(column, block)| shown(name, column, block)).collect(),
    };
    Some(Heat {
        row_name: down.name.clone(),
        column_name: across.name.clone(),
        columns: across.values.clone(),
        rows: down.values.iter().zip(rows(map, across.values.len())).map(row).collect(),
        luck: signed(luck, 2),
        dimensions: grid.dimensions.iter().map(|dimension| dimension.name.clone()).collect(),
    })
}

fn rows(map: &Map, columns: usize) -> std::slice::ChunksExact<'_, Block> {
    map.blocks.chunks_exact(columns.max(1))
}

fn tinted(block: &Block, value: f64, strongest: f64) -> Tinted {
    let strength = if strongest > 0.0 { value.abs() / strongest * 70.0 } else { 0.0 };
    let class = match (block.traded, value > 0.0) {
        (0, _) => "none",
        (_, true) => "good",
        (_, false) => "bad",
    };
    let text = if block.traded == 0 { "–".to_owned() } else { signed(value, 2) };
    Tinted { text, class, strength: format!("{strength:.0}") }
}
