//! The trials of a search: what every variant came to, beyond the one that was chosen.
//!
//! Owns two views of the matrix: the grid, small for any search, which is kept beside the model and shows how
//! results hang together with any two dimensions of the space; and the whole table, a row a variant. Must not
//! judge, nor play anything.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::backtest::PIP_DIGITS;
use crate::lane::Distance;
use crate::model::{ModelError, Stored};
use crate::table_file::{Column, Values};
use crate::train::Training;
use crate::variant::{DIMENSIONS, Space, Variant};
use crate::verdict::matrix::{Cell, Matrix};
use crate::whole_file::publish;

/// The format that this program writes and reads.
const FORMAT: &str = "sep-grid/1";

/// A dimension of the search space, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dimension {
    pub name: String,
    pub values: Vec<String>,
}

/// All variants that share two values, taken together.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// Variants tried, and those of them that traded at all.
    pub variants: u32,
    pub traded: u32,
    /// Mean and highest ratio (see [`Cell::ratio`]) of those that traded; 0 where none did.
    pub mean: f64,
    pub best: f64,
    /// Their trades, and what these earned after costs, in centi-ticks.
    pub trades: u64,
    pub net: i64,
}

/// The blocks of two dimensions, all of a row's first value first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Map {
    /// Places in [`Grid::dimensions`].
    pub row: usize,
    pub column: usize,
    pub blocks: Vec<Block>,
}

/// What a search came to, by every two dimensions that it varied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    format: String,
    pub variants: usize,
    pub dimensions: Vec<Dimension>,
    pub maps: Vec<Map>,
}

impl Grid {
    /// The grid of a search and its outcomes on all slices together.
    pub fn of(training: &Training, matrix: &Matrix) -> Self {
        let space = &training.request.space;
        let all = dimensions(space);
        let varied: Vec<usize> = (0..all.len()).filter(|at| all[*at].values.len() > 1).collect();
        let length = |at: usize| all[varied[at]].values.len();
        let mut maps: Vec<Map> = (0..varied.len())
            .flat_map(|row| (row + 1..varied.len()).map(move |column| (row, column)))
            .map(|(row, column)| Map {
                row,
                column,
                blocks: vec![Block::default(); length(row) * length(column)],
            })
            .collect();
        for (place, cells) in matrix.rows().enumerate() {
            let places = space.places(&training.variant(place));
            let cell = total(cells);
            for map in &mut maps {
                let (row, column) = (places[varied[map.row]], places[varied[map.column]]);
                map.blocks[row * length(map.column) + column].add(&cell);
            }
        }
        for block in maps.iter_mut().flat_map(|map| &mut map.blocks).filter(|block| block.traded > 0) {
            block.mean /= f64::from(block.traded);
        }
        let dimensions = varied.iter().map(|at| all[*at].clone()).collect();
        Self { format: FORMAT.to_owned(), variants: matrix.variants(), dimensions, maps }
    }

    /// The two dimensions worth looking at: where the mean results differ much, over many values.
    pub fn telling(&self) -> Option<&Map> {
        let range = |map: &Map| {
            let means = || map.blocks.iter().filter(|block| block.traded > 0).map(|block| block.mean);
            let range = means().fold(f64::MIN, f64::max) - means().fold(f64::MAX, f64::min);
            range * libm::sqrt(map.blocks.len() as f64)
        };
        // Of equals the first.
        self.maps.iter().rev().max_by(|a, b| range(a).total_cmp(&range(b)))
    }

    /// The map of two dimensions by name, in either order.
    pub fn by_names(&self, one: &str, other: &str) -> Option<&Map> {
        let name = |at: usize| self.dimensions[at].name.as_str();
        self.maps.iter().find(|map| {
            let named = (name(map.row), name(map.column));
            named == (one, other) || named == (other, one)
        })
    }

    /// Keeps the grid beside its model.
    pub fn keep(&self, stored: &Stored) -> Result<PathBuf, ModelError> {
        let path = beside(&stored.path);
        let mut text =
            serde_json::to_vec(self).map_err(|source| ModelError::Json { path: path.clone(), source })?;
        text.push(b'\n');
        publish(&path, &text)?;
        Ok(path)
    }

    /// The grid beside a model; none where there is none, or one of another search.
    pub fn read(stored: &Stored) -> Result<Option<Self>, ModelError> {
        let path = beside(&stored.path);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ModelError::Io { action: "read", path, source }),
        };
        let grid: Self = serde_json::from_slice(&text).map_err(|source| ModelError::Json { path, source })?;
        Ok(Some(grid).filter(|grid| grid.is_of(stored)))
    }

    fn is_of(&self, stored: &Stored) -> bool {
        let length = |at: usize| self.dimensions.get(at).map_or(0, |dimension| dimension.values.len());
        self.format == FORMAT
            && self.variants == stored.model.searched.variants
            && self
                .maps
                .iter()
                .all(|map| !map.blocks.is_empty() && map.blocks.len() == length(map.row) * length(map.column))
    }
}

impl Block {
    /// Counts a variant in; until all are in, `mean` is the sum of the ratios.
    fn add(&mut self, cell: &Cell) {
        self.variants += 1;
        if cell.trades == 0 {
            return;
        }
        let ratio = cell.ratio();
        self.best = if self.traded == 0 { ratio } else { self.best.max(ratio) };
        self.traded += 1;
        self.mean += ratio;
        self.trades += u64::from(cell.trades);
        self.net += cell.net;
    }
}

/// `HASH.grid.json` beside `HASH.json`.
fn beside(model: &Path) -> PathBuf {
    model.with_extension("grid.json")
}

fn total(cells: &[Cell]) -> Cell {
    cells.iter().fold(Cell::default(), |mut total, cell| {
        total += *cell;
        total
    })
}

/// The dimensions of a space with all their values.
pub fn dimensions(space: &Space) -> [Dimension; DIMENSIONS] {
    fn of<T>(name: &str, values: &[T], label: impl Fn(&T) -> String) -> Dimension {
        Dimension { name: name.to_owned(), values: values.iter().map(label).collect() }
    }
    let yes_no = |value: &bool| if *value { "yes" } else { "no" }.to_owned();
    [
        of("timeframe", &space.timeframes, ToString::to_string),
        of("window", &space.windows, ToString::to_string),
        of("symmetric", &space.symmetric, yes_no),
        of("weights", &space.weights, |w| format!("{}/{}/{}", w.stability, w.coherence, w.entropy)),
        of("buy above", &space.buy_above, ToString::to_string),
        of("sell above", &space.sell_above, ToString::to_string),
        of("confidence", &space.min_confidence, ToString::to_string),
        of("coherence", &space.min_coherence, ToString::to_string),
        of("collapse", &space.collapse, |share| share.map_or("off".to_owned(), |share| share.to_string())),
        of("confirmed", &space.confirm, yes_no),
        of("hours", &space.hours, ToString::to_string),
        of("stop", &space.stops, ToString::to_string),
        of("target", &space.targets, ToString::to_string),
        of("hold", &space.holds, ToString::to_string),
    ]
}

/// A variant's values by name, in words: those that the space varies, or all of them.
pub fn values(space: &Space, variant: &Variant, varied_only: bool) -> Vec<(String, String)> {
    let places = space.places(variant);
    dimensions(space)
        .into_iter()
        .zip(places)
        .filter(|(dimension, _)| !varied_only || dimension.values.len() > 1)
        .map(|(mut dimension, at)| (dimension.name, dimension.values.swap_remove(at)))
        .collect()
}

/// Names of the columns of each slice: trades, net, ratio.
macro_rules! slice_columns {
    ($($slice:literal),*) => {
        [$([concat!("trades_", $slice), concat!("net_pips_", $slice), concat!("ratio_", $slice)]),*]
    };
}

/// As many as a search may have.
const SLICES: [[&str; 3]; 16] = slice_columns!(
    "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "14", "15", "16"
);

/// A row a variant: its place in the search, its parameters, what it came to on all slices and on each.
pub fn table(training: &Training, matrix: &Matrix) -> Vec<Column> {
    let variants: Vec<Variant> = (0..matrix.variants()).map(|place| training.variant(place)).collect();
    let column = |name, values| Column { name, values };
    let float = |name, value: fn(&Variant) -> f32| {
        column(name, Values::Float(variants.iter().map(|variant| f64::from(value(variant))).collect()))
    };
    let int =
        |name, value: fn(&Variant) -> i64| column(name, Values::Int(variants.iter().map(value).collect()));
    let flag =
        |name, value: fn(&Variant) -> bool| column(name, Values::Flag(variants.iter().map(value).collect()));
    let text = |name, value: fn(&Variant) -> String| {
        column(name, Values::Text(variants.iter().map(value).collect()))
    };
    let mut columns = vec![
        column("variant", Values::Int((0_i64..).take(variants.len()).collect())),
        text("timeframe", |variant| variant.timeframe.to_string()),
        int("window", |variant| i64::from(variant.window)),
        flag("symmetric", |variant| variant.symmetric),
        float("weight_stability", |variant| variant.weights.stability),
        float("weight_coherence", |variant| variant.weights.coherence),
        float("weight_entropy", |variant| variant.weights.entropy),
        float("buy_above", |variant| variant.buy_above),
        float("sell_above", |variant| variant.sell_above),
        float("min_confidence", |variant| variant.min_confidence),
        float("min_coherence", |variant| variant.min_coherence),
        // Where the filter is off, no share of ruptures is too much.
        float("collapse", |variant| variant.collapse.unwrap_or(f32::INFINITY)),
        flag("confirmed", |variant| variant.confirm),
        text("hours", |variant| variant.hours.to_string()),
        int("stop_ticks", |variant| i64::from(variant.stop.ticks)),
        float("stop_ranges", |variant| ranges(variant.stop)),
        int("target_ticks", |variant| i64::from(variant.target.ticks)),
        float("target_ranges", |variant| ranges(variant.target)),
        int("hold_bars", |variant| i64::from(variant.hold)),
    ];
    let mut add = |[trades, net, ratio]: [&'static str; 3], cell: &dyn Fn(&[Cell]) -> Cell| {
        let cells: Vec<Cell> = matrix.rows().map(cell).collect();
        let units = cells.iter().map(|cell| cell.net).collect();
        columns.push(column(trades, Values::Int(cells.iter().map(|cell| cell.trades.into()).collect())));
        columns.push(column(net, Values::Decimal { digits: PIP_DIGITS, units }));
        columns.push(column(ratio, Values::Float(cells.iter().map(Cell::ratio).collect())));
    };
    add(["trades", "net_pips", "ratio"], &total);
    for (slice, names) in SLICES.into_iter().enumerate().take(matrix.slices()) {
        add(names, &|cells| cells[slice]);
    }
    columns
}

/// A distance's multiple of the mean range.
fn ranges(distance: Distance) -> f32 {
    // At most 8192, which a single float holds exactly.
    #[expect(clippy::cast_possible_truncation, reason = "exact")]
    let ranges = (f64::from(distance.ranges) / 256.0) as f32;
    ranges
}
