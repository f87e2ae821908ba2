//! Rows into candles: bid and ask brought together, every bar checked on its own and against its neighbours.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use sep_contract::candle::CandleFault;
use sep_contract::{Candle, Ohlc, Ticks, Timeframe};

use crate::import::error::{ImportError, Problems, RowFault};
use crate::import::read::{Prices, Row, Sheet, Sheets};
use crate::import::{Files, PriceSide, Request};
use crate::store::Store;
use crate::store::merge::{Place, Sourced};

/// A move of more than one in so many parts from one bar to the next is not believed unasked: no major pair
/// has moved by a fifth within a minute (the franc of January 2015 did, and is what the switch is for).
const JUMP_PARTS: i64 = 5;
/// Bars further apart than this are not compared: over a weekend and holidays a move of a fifth is another pair, over
/// months it is a market.
const NEAR: SignedDuration = SignedDuration::from_hours(5 * 24);
/// The largest spread that can be assumed, in ticks.
const MAX_SPREAD: i32 = 10_000;

/// Sound candles, in order, each time once.
pub(super) struct Assembled {
    pub candles: Vec<Sourced>,
    pub incomplete: usize,
    pub unmatched: usize,
    pub crossed: usize,
}

pub(super) fn assemble(request: &Request, sheets: &Sheets) -> Result<Assembled, ImportError> {
    let (first, second) = sheets.sheets.split_at(sheets.first.min(sheets.sheets.len()));
    let timeline = |sheets: &[Sheet], offset| timeline(request, sheets, offset);
    let rows = timeline(first, 0)?;
    let mut unmatched = 0;
    let mut candles = match &request.files {
        Files::Split { .. } => {
            let asks = timeline(second, sheets.first)?;
            pair_up(request, sheets, &rows, &asks, &mut unmatched)?
        }
        Files::Single { side, spread, .. } => {
            let spread = spread_ticks(*spread)?;
            rows.iter()
                .map(|(place, row)| sourced(*place, row, with_spread(row.prices, *side, spread)))
                .collect()
        }
        Files::Both(_) => {
            rows.iter().map(|(place, row)| sourced(*place, row, both(row.prices))).collect::<Vec<_>>()
        }
    };
    if candles.is_empty() {
        let files: Vec<&str> = sheets.sheets.iter().map(|sheet| sheet.file.as_str()).collect();
        return Err(ImportError::NoCandles { files: files.join(", ") });
    }
    let crossed = check_each(request, sheets, &candles)?;
    if !request.allow_jumps {
        check_jumps(sheets, &candles)?;
    }
    candles.shrink_to_fit();
    let incomplete = sheets.sheets.iter().map(|sheet| sheet.incomplete).sum();
    Ok(Assembled { candles, incomplete, unmatched, crossed })
}

/// The rows of some files as one timeline: each file in order of time, no time twice.
fn timeline(
    request: &Request,
    sheets: &[Sheet],
    first_file: usize,
) -> Result<Vec<(Place, Row)>, ImportError> {
    let mut problems = Problems::default();
    let mut rows: Vec<(Place, Row)> = Vec::new();
    for (file, sheet) in sheets.iter().enumerate() {
        let mut before: Option<Row> = None;
        for row in &sheet.rows {
            let mut row = *row;
            if request.align {
                row.time = aligned(row.time, request.timeframe);
            }
            match before {
                Some(Row { time, line, .. }) if row.time < time => {
                    let fault = RowFault::OutOfOrder { time: row.time, before: time, line };
                    problems.add(&sheet.file, row.line, fault);
                }
                Some(Row { time, line, .. }) if row.time == time => {
                    let first = format!("line {line}");
                    problems.add(&sheet.file, row.line, RowFault::Repeated { time, first });
                }
                _ => {}
            }
            before = Some(row);
            rows.push((Place { file: first_file + file, line: row.line }, row));
        }
    }
    problems.into_result()?;
    // Files may be named in any order; each is in order by now, so this mostly finds its work done.
    rows.sort_by_key(|(_, row)| row.time);
    let mut problems = Problems::default();
    let same = |one: &Row, other: &Row| one.prices == other.prices && one.volume == other.volume;
    for two in rows.windows(2) {
        let ((first, one), (second, other)) = (&two[0], &two[1]);
        if one.time == other.time && !same(one, other) {
            let name = |place: &Place| sheets.get(place.file - first_file).map_or("?", |sheet| &sheet.file);
            let first = format!("{}:{}, with other content", name(first), first.line);
            problems.add(name(second), second.line, RowFault::Repeated { time: one.time, first });
        }
    }
    problems.into_result()?;
    // What is left twice stands with the same content in two files that overlap.
    rows.dedup_by_key(|(_, row)| row.time);
    Ok(rows)
}

fn aligned(time: Timestamp, timeframe: Timeframe) -> Timestamp {
    let grid = timeframe.grid_seconds();
    Timestamp::from_second(time.as_second().div_euclid(grid) * grid).unwrap_or(time)
}

fn sourced(place: Place, row: &Row, (bid, ask): (Ohlc, Ohlc)) -> Sourced {
    Sourced { candle: Candle { time: row.time, bid, ask, volume: row.volume }, place }
}

fn both(prices: Prices) -> (Ohlc, Ohlc) {
    match prices {
        Prices::Two { bid, ask } => (bid, ask),
        Prices::One(one) => (one, one),
    }
}

/// Pips as ticks.
fn spread_ticks(pips: Decimal) -> Result<i32, ImportError> {
    pips.checked_mul(Decimal::TEN)
        .filter(Decimal::is_integer)
        .and_then(|ticks| ticks.to_i32())
        .filter(|ticks| (0..=MAX_SPREAD).contains(ticks))
        .ok_or(ImportError::Spread { found: pips })
}

/// Bid and ask from one of them, or from the middle between them (of an odd spread, the larger half lies
/// above).
fn with_spread(prices: Prices, side: PriceSide, spread: i32) -> (Ohlc, Ohlc) {
    let (one, _) = both(prices);
    let moved = |by: i32| {
        let tick = |price: Ticks| Ticks::new(price.get().saturating_add(by));
        Ohlc { open: tick(one.open), high: tick(one.high), low: tick(one.low), close: tick(one.close) }
    };
    match side {
        PriceSide::Bid => (one, moved(spread)),
        PriceSide::Ask => (moved(-spread), one),
        PriceSide::Mid => (moved(-(spread / 2)), moved(spread - spread / 2)),
    }
}

/// Bars that both sides have; the others are an error, unless they are to be left out.
fn pair_up(
    request: &Request,
    sheets: &Sheets,
    bids: &[(Place, Row)],
    asks: &[(Place, Row)],
    unmatched: &mut usize,
) -> Result<Vec<Sourced>, ImportError> {
    let by_time: HashMap<Timestamp, &Row> = asks.iter().map(|(_, row)| (row.time, row)).collect();
    let mut candles = Vec::with_capacity(bids.len());
    let mut alone: Option<(Timestamp, Place)> = None;
    for (place, bid) in bids {
        match by_time.get(&bid.time) {
            Some(ask) => {
                let (prices, _) = both(bid.prices);
                candles.push(sourced(*place, bid, (prices, both(ask.prices).0)));
            }
            None => {
                *unmatched += 1;
                alone.get_or_insert((bid.time, *place));
            }
        }
    }
    if candles.len() < asks.len() {
        let times: HashMap<Timestamp, ()> = candles.iter().map(|sourced| (sourced.candle.time, ())).collect();
        for (place, ask) in asks.iter().filter(|(_, ask)| !times.contains_key(&ask.time)) {
            *unmatched += 1;
            alone.get_or_insert((ask.time, *place));
        }
    }
    match alone {
        Some((time, place)) if !request.skip_unmatched => {
            Err(ImportError::Unmatched { total: *unmatched, time, place: sheets.place(place) })
        }
        _ => Ok(candles),
    }
}

/// Checks each bar; gives back how many are crossed and kept.
fn check_each(request: &Request, sheets: &Sheets, candles: &[Sourced]) -> Result<usize, ImportError> {
    let mut problems = Problems::default();
    let (mut crossed, mut first_crossed) = (0, None);
    for Sourced { candle, place } in candles {
        let mut is_crossed = false;
        for fault in candle.faults(request.timeframe) {
            let file = sheets.sheets.get(place.file).map_or("?", |sheet| sheet.file.as_str());
            match fault {
                CandleFault::Crossed { .. } => {
                    is_crossed = true;
                    first_crossed.get_or_insert((*place, fault));
                }
                CandleFault::OffGrid { .. } => problems.add(file, place.line, RowFault::OffGrid(fault)),
                fault => problems.add(file, place.line, RowFault::Candle(fault)),
            }
        }
        crossed += usize::from(is_crossed);
    }
    problems.into_result()?;
    match first_crossed {
        Some((place, fault)) if !request.keep_crossed => Err(ImportError::Crossed {
            total: crossed,
            candles: candles.len(),
            place: sheets.place(place),
            fault,
        }),
        _ => Ok(crossed),
    }
}

fn check_jumps(sheets: &Sheets, candles: &[Sourced]) -> Result<(), ImportError> {
    candles.windows(2).try_for_each(|two| check_jump(sheets, two[1].place, &two[0].candle, &two[1].candle))
}

fn check_jump(sheets: &Sheets, place: Place, before: &Candle, after: &Candle) -> Result<(), ImportError> {
    let (close, open) = (before.bid.close.get(), after.bid.open.get());
    let near = after.time.duration_since(before.time) <= NEAR;
    if near && (i64::from(open) - i64::from(close)).abs() * JUMP_PARTS > i64::from(close) {
        return Err(ImportError::Jump {
            place: sheets.place(place),
            time: after.time,
            found: open,
            before_time: before.time,
            before: close,
        });
    }
    Ok(())
}

/// The first and last bar against their neighbours in the store: prices of another pair do not fit there.
pub(super) fn check_against_store(
    store: &Store,
    request: &Request,
    sheets: &Sheets,
    candles: &[Sourced],
) -> Result<(), ImportError> {
    if request.allow_jumps || request.replace {
        return Ok(());
    }
    let (Some(first), Some(last)) = (candles.first(), candles.last()) else {
        return Ok(());
    };
    let around = |time| store.around(request.pair, request.timeframe, time);
    if let (Some(before), _) = around(first.candle.time)? {
        check_jump(sheets, first.place, &before, &first.candle)?;
    }
    let after = last.candle.time + SignedDuration::from_secs(1);
    if let (_, Some(after)) = around(after)? {
        check_jump(sheets, last.place, &last.candle, &after)?;
    }
    Ok(())
}
