//! Trades computed by hand, to the tick and to the hundredth of a tick, on a pair of five digits and on one
//! of yen.
//!
//! All amounts are per unit, in centi-ticks: a tick is the price's last digit, a pip ten ticks.

use sep_contract::{Side, Timeframe};
use sep_gpu::backtest::{Costs, Exit, Run, Trade};
use sep_gpu::lane::Distance;

use crate::scripted::{Row, Script, lane};

const BUY: Option<Side> = Some(Side::Buy);
const SELL: Option<Side> = Some(Side::Sell);
/// 0.2 pips slippage, 0.7 pips commission; a night costs a BUY 1 pip and earns a SELL 0.3.
const EURO: Costs = Costs { slippage: 2, commission: 700, swap_buy: 1_000, swap_sell: -300 };
/// 0.3 pips slippage, 0.4 pips commission; a night earns a BUY 1.1 pips and costs a SELL 2.4.
const YEN: Costs = Costs { slippage: 3, commission: 400, swap_buy: -1_100, swap_sell: 2_400 };

fn play(script: &Script, costs: Costs, hold: i32, (stop, target): (i32, i32)) -> Vec<Trade> {
    let lane = lane(stop, target, hold);
    let run = Run { bars: &script.bars, features: &script.features, lane: &lane, costs: &costs };
    let mut trades = Vec::new();
    let stats = run.play(0..script.bars.len(), |trade| trades.push(*trade));
    assert_eq!(stats.net, trades.iter().map(|trade| i64::from(trade.net)).sum::<i64>());
    assert_eq!(stats.trades as usize, trades.len());
    trades
}

/// EUR_USD, spread 1.2 pips. The BUY is said at a close of 1.10000 / 1.10012: stop 50 ticks below the ask
/// at 1.09962, target 80 above it at 1.10092. It enters at the next open of 1.10003 / 1.10015, two ticks
/// worse: at 1.10017.
fn euro(third: [i32; 4], hold: i32) -> Trade {
    let rows = [
        Row("2025-07-22T10:00:00Z", [110_000, 110_005, 109_995, 110_000], BUY),
        Row("2025-07-22T10:01:00Z", [110_003, 110_020, 109_990, 110_010], None),
        Row("2025-07-22T10:02:00Z", third, None),
    ];
    let trades = play(&Script::new("EUR_USD", Timeframe::M1, 12, &rows), EURO, hold, (50, 80));
    let [trade] = trades.as_slice() else { panic!("{trades:?}") };
    assert_eq!((trade.signal_bar, trade.entry_bar, trade.exit_bar), (0, 1, 2));
    assert_eq!((trade.side, trade.entry, trade.stop, trade.target), (Side::Buy, 110_017, 109_962, 110_092));
    *trade
}

fn close(trade: Trade) -> (Exit, i32, i32) {
    (trade.exit_by, trade.exit, trade.net)
}

#[test]
fn a_buy_on_five_digits() {
    for (what, third, hold, expected) in [
        // The bid falls to 1.09960: filled two ticks below the stop, at 1.09960.
        // 109960 - 110017 = -57 ticks, less 7 of commission.
        ("stop", [109_995, 110_000, 109_960, 109_970], 9, (Exit::Stop, 109_960, -6_400)),
        // Touched to the tick is touched.
        ("stop, just", [109_995, 110_000, 109_962, 109_970], 9, (Exit::Stop, 109_960, -6_400)),
        // The bid rises to 1.10095: filled at the target, without slippage. 110092 - 110017 = 75, less 7.
        ("target", [110_010, 110_095, 110_005, 110_090], 9, (Exit::Target, 110_092, 6_800)),
        // No bar tells which came first: the stop counts.
        ("both", [110_010, 110_095, 109_960, 110_000], 9, (Exit::Stop, 109_960, -6_400)),
        // Opens at 1.09940: that is what the stop fills at, two ticks worse. 109938 - 110017 = -79, less 7.
        ("gap below the stop", [109_940, 110_095, 109_930, 110_000], 9, (Exit::Gap, 109_938, -8_600)),
        // Opens at 1.10100: the target order fills there. 110100 - 110017 = 83, less 7.
        ("gap above the target", [110_100, 110_110, 109_900, 110_000], 9, (Exit::Gap, 110_100, 7_600)),
        // One bar is the longest holding time: out at the next open, two ticks worse.
        // 110006 - 110017 = -11, less 7.
        ("longest hold", [110_008, 110_095, 109_960, 110_000], 1, (Exit::Time, 110_006, -1_800)),
        // The series ends: out at the last close, two ticks worse. 110019 - 110017 = 2, less 7.
        ("end", [110_008, 110_030, 110_000, 110_021], 9, (Exit::End, 110_019, -500)),
    ] {
        assert_eq!(close(euro(third, hold)), expected, "{what}");
    }
}

/// USD_JPY, spread 1.5 pips. The SELL is said at a close of 155.000 / 155.015: stop 60 ticks above the bid
/// at 155.060, target 90 below it at 154.910; both are compared with the ask. It enters at the next open of
/// 154.996 / 155.011, three ticks worse: at 154.993.
fn yen(third: [i32; 4], hold: i32) -> Trade {
    let rows = [
        Row("2025-07-22T10:00:00Z", [155_000, 155_010, 154_990, 155_000], SELL),
        Row("2025-07-22T10:01:00Z", [154_996, 155_005, 154_985, 154_990], None),
        Row("2025-07-22T10:02:00Z", third, None),
    ];
    let trades = play(&Script::new("USD_JPY", Timeframe::M1, 15, &rows), YEN, hold, (60, 90));
    let [trade] = trades.as_slice() else { panic!("{trades:?}") };
    assert_eq!((trade.side, trade.entry, trade.stop, trade.target), (Side::Sell, 154_993, 155_060, 154_910));
    *trade
}

#[test]
fn a_sell_of_yen() {
    for (what, third, hold, expected) in [
        // The ask rises to 155.061: filled at 155.063. 154993 - 155063 = -70 ticks, less 4 of commission.
        ("stop", [154_990, 155_046, 154_980, 155_040], 9, (Exit::Stop, 155_063, -7_400)),
        // The bid falls to 154.896, the ask to 154.911: one tick above the target, not reached.
        // Out at the last ask of 154.935, three ticks worse. 154993 - 154938 = 55, less 4.
        ("target missed", [154_990, 154_995, 154_896, 154_920], 9, (Exit::End, 154_938, 5_100)),
        // The ask falls to 154.910. 154993 - 154910 = 83, less 4.
        ("target", [154_990, 154_995, 154_895, 154_920], 9, (Exit::Target, 154_910, 7_900)),
        ("both", [154_990, 155_046, 154_895, 154_920], 9, (Exit::Stop, 155_063, -7_400)),
        // The ask opens at 155.115: filled at 155.118. 154993 - 155118 = -125, less 4.
        ("gap above the stop", [155_100, 155_110, 154_800, 154_900], 9, (Exit::Gap, 155_118, -12_900)),
        // The ask opens at 154.885: filled there. 154993 - 154885 = 108, less 4.
        ("gap below the target", [154_870, 155_110, 154_860, 154_900], 9, (Exit::Gap, 154_885, 10_400)),
        // The ask opens at 155.003: filled at 155.006. 154993 - 155006 = -13, less 4.
        ("longest hold", [154_988, 155_110, 154_800, 154_900], 1, (Exit::Time, 155_006, -1_700)),
    ] {
        assert_eq!(close(yen(third, hold)), expected, "{what}");
    }
}

#[test]
fn stop_and_target_count_from_the_bar_of_the_entry_on() {
    let rows = [
        Row("2025-07-22T10:00:00Z", [110_000, 110_005, 109_995, 110_000], BUY),
        Row("2025-07-22T10:01:00Z", [110_003, 110_092, 109_990, 110_010], SELL),
        // The close of the bar that ended the trade speaks again: SELL, entered at 1.10005 less two ticks.
        Row("2025-07-22T10:02:00Z", [110_005, 110_020, 110_000, 110_010], None),
    ];
    let trades = play(&Script::new("EUR_USD", Timeframe::M1, 12, &rows), EURO, 9, (50, 80));
    assert_eq!(trades.len(), 2);
    assert_eq!((trades[0].entry_bar, trades[0].exit_bar), (1, 1));
    assert_eq!(close(trades[0]), (Exit::Target, 110_092, 6_800));
    // Out at the last ask of 1.10022, two ticks worse: 110003 - 110024 = -21, less 7.
    assert_eq!((trades[1].entry, close(trades[1])), (110_003, (Exit::End, 110_024, -2_800)));
}

#[test]
fn stops_move_with_the_range() {
    // The mean range is 10 ticks at the first close, so twice and three times the range are 20 and 30.
    let rows = [
        Row("2025-07-22T10:00:00Z", [110_000, 110_005, 109_995, 110_000], BUY),
        Row("2025-07-22T10:01:00Z", [110_003, 110_020, 109_998, 110_010], None),
    ];
    let script = Script::new("EUR_USD", Timeframe::M1, 12, &rows);
    let ranges = |times: i32| Distance { ticks: 5, ranges: times * 256 };
    let lane = sep_gpu::lane::Lane { stop: ranges(2), target: ranges(3), ..lane(1, 1, 9) };
    let run = Run { bars: &script.bars, features: &script.features, lane: &lane, costs: &EURO };
    let mut trades = Vec::new();
    run.play(0..2, |trade| trades.push(*trade));
    // From the ask of 1.10012: 25 down, 35 up.
    assert_eq!((trades[0].stop, trades[0].target), (109_987, 110_047));
}

#[test]
fn entries_that_no_one_could_have_had_are_refused() {
    for (what, time, open) in [
        ("a minute is missing", "2025-07-22T10:02:00Z", 110_003),
        ("opens at the stop", "2025-07-22T10:01:00Z", 109_962),
        ("opens at the target", "2025-07-22T10:01:00Z", 110_092),
    ] {
        let rows = [
            Row("2025-07-22T10:00:00Z", [110_000, 110_005, 109_995, 110_000], BUY),
            Row(time, [open, 110_100, 109_900, 110_010], None),
        ];
        let trades = play(&Script::new("EUR_USD", Timeframe::M1, 12, &rows), EURO, 9, (50, 80));
        assert_eq!(trades, [], "{what}");
    }
    // One tick within stop and target is enough.
    for open in [109_963, 110_091] {
        let rows = [
            Row("2025-07-22T10:00:00Z", [110_000, 110_005, 109_995, 110_000], BUY),
            Row("2025-07-22T10:01:00Z", [open, 110_100, 109_900, 110_010], None),
        ];
        let trades = play(&Script::new("EUR_USD", Timeframe::M1, 12, &rows), EURO, 9, (50, 80));
        assert_eq!(trades[0].entry, open + 12 + 2);
    }
}

/// A position from 20:59 UTC of a day, a minute before New York's 17:00 in July, to some later minute.
fn overnight(
    pair: &str,
    side: Option<Side>,
    costs: Costs,
    opened: [&'static str; 2],
    closed: &'static str,
) -> i32 {
    let quiet = [155_000, 155_001, 154_999, 155_000];
    let rows = [Row(opened[0], quiet, side), Row(opened[1], quiet, None), Row(closed, quiet, None)];
    let trades = play(&Script::new(pair, Timeframe::M1, 10, &rows), costs, 9, (500, 500));
    assert_eq!(trades[0].exit_by, Exit::End);
    trades[0].fees
}

#[test]
fn nights_are_paid_for_and_wednesdays_three_times() {
    let tuesday = ["2025-07-22T20:58:00Z", "2025-07-22T20:59:00Z"];
    let wednesday = ["2025-07-23T20:58:00Z", "2025-07-23T20:59:00Z"];
    let friday = ["2025-07-25T20:58:00Z", "2025-07-25T20:59:00Z"];
    for (what, fees, expected) in [
        // 0.7 pips of commission, and no night yet.
        ("same day", overnight("EUR_USD", BUY, EURO, ["2025-07-22T20:57:00Z", tuesday[0]], tuesday[1]), 700),
        // Commission and one night.
        ("Tuesday", overnight("EUR_USD", BUY, EURO, tuesday, "2025-07-22T21:00:00Z"), 700 + 1_000),
        ("Wednesday", overnight("EUR_USD", BUY, EURO, wednesday, "2025-07-23T21:00:00Z"), 700 + 3 * 1_000),
        ("a SELL earns", overnight("EUR_USD", SELL, EURO, wednesday, "2025-07-23T21:00:00Z"), 700 - 3 * 300),
        // Tuesday's one, Wednesday's three, Thursday's one.
        ("to Thursday", overnight("EUR_USD", BUY, EURO, tuesday, "2025-07-24T21:00:00Z"), 700 + 5 * 1_000),
        // The weekend is paid for on Wednesday, so Friday's night is one.
        ("to Sunday", overnight("USD_JPY", SELL, YEN, friday, "2025-07-27T21:00:00Z"), 400 + 2_400),
        (
            "a BUY of dollars earns",
            overnight("USD_JPY", BUY, YEN, wednesday, "2025-07-24T10:00:00Z"),
            400 - 3_300,
        ),
    ] {
        assert_eq!(fees, expected, "{what}");
    }
}
