//! Several runs as one account: one computed by hand to the cent, and many against the plain backtest.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use sep_contract::{Side, Timeframe};
use sep_gpu::account::{AccountError, Leg, Outcome, Refusal, Settings, play};
use sep_gpu::backtest::{Costs, Exit, Run, Trade};
use sep_gpu::bars::Bars;
use sep_gpu::history::History;
use sep_gpu::lane::Lane;
use sep_gpu::qfh::{Constants, Features};
use sep_gpu::variant::{Space, Variant};

use crate::made;
use crate::scripted::{Row, Script, lane};

const BUY: Option<Side> = Some(Side::Buy);
const SELL: Option<Side> = Some(Side::Sell);
const EURO: Costs = Costs { slippage: 2, commission: 700, swap_buy: 0, swap_sell: 0 };
const YEN: Costs = Costs { slippage: 3, commission: 400, swap_buy: 0, swap_sell: 0 };
const FREE: Costs = Costs { slippage: 0, commission: 0, swap_buy: 0, swap_sell: 0 };

fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn leg<'a>(script: &'a Script, lane: &'a Lane, costs: &'a Costs) -> Leg<'a> {
    Leg {
        run: Run { bars: &script.bars, features: &script.features, lane, costs },
        segment: 0..script.bars.len(),
        margin: dec("3.33"),
    }
}

fn euro() -> Script {
    let rows = [
        Row("2025-07-22T10:00:00Z", [110_000, 110_005, 109_995, 110_000], BUY),
        Row("2025-07-22T10:01:00Z", [110_003, 110_020, 109_990, 110_010], None),
        Row("2025-07-22T10:02:00Z", [110_010, 110_030, 110_000, 110_020], None),
        Row("2025-07-22T10:03:00Z", [110_030, 110_095, 110_025, 110_090], None),
    ];
    Script::new("EUR_USD", Timeframe::M1, 12, &rows)
}

fn yen() -> Script {
    let rows = [
        Row("2025-07-22T10:00:00Z", [155_000, 155_010, 154_990, 155_000], None),
        Row("2025-07-22T10:01:00Z", [155_000, 155_010, 154_990, 155_000], SELL),
        Row("2025-07-22T10:02:00Z", [154_996, 155_005, 154_985, 154_990], None),
        Row("2025-07-22T10:03:00Z", [154_990, 155_046, 154_980, 155_040], None),
    ];
    Script::new("USD_JPY", Timeframe::M1, 15, &rows)
}

fn two_pairs(risk: &str) -> Outcome {
    let (euro, yen) = (euro(), yen());
    let (of_euro, of_yen) = (lane(50, 80, 9), lane(60, 90, 9));
    let legs = [leg(&euro, &of_euro, &EURO), leg(&yen, &of_yen, &YEN)];
    let settings = Settings { risk_percent: dec(risk), sample_seconds: 60, ..Settings::default() };
    play(&legs, &[], &settings).unwrap()
}

/// 10,000 USD, 0.4 % at risk.
///
/// 10:01 EUR_USD is bought at 1.10017 with its stop at 1.09962: 40 / 0.00055 = 72,727.27, so 72,727 units;
/// margin 72,727 * 1.10009 * 3.33 % = 2,664.21 of 10,000.
/// 10:02 The bid is 1.10010: 72,727 * (-0.00007 - 0.00007 of commission) = -10.18; 9,989.82 are left.
/// USD_JPY is sold at 154.993 with its stop at 155.060, a dollar being worth 155.0035 yen:
/// 39.95928 / (0.067 / 155.0035) = 92,445.2, so 92,445 units; margin 92,445 * 3.33 % = 3,078.42.
/// 10:03 EUR_USD 72,727 * (0.00003 - 0.00007) = -2.90908; USD_JPY 92,445 * (-0.012 - 0.004) / 154.9975
/// = -9.54286: equity 9,987.55, margin 72,727 * 1.10026 * 3.33 % + 3,078.42 = 5,743.04, which are 57.50 %.
/// 10:04 EUR_USD has reached 1.10092: 72,727 * (0.00075 - 0.00007) = 49.45436, booked as 49.45. USD_JPY
/// was stopped at 155.063: 92,445 * (-0.070 - 0.004) / 155.0475 = -44.12151, booked as -44.12.
#[test]
fn an_account_of_two_pairs_by_hand() {
    let outcome = two_pairs("0.4");
    let booked: Vec<_> = outcome
        .bookings
        .iter()
        .map(|booking| {
            let money = [booking.units, booking.net, booking.fees, booking.slippage, booking.balance];
            (booking.leg, booking.trade.exit_by, money.map(|amount| amount.to_string()))
        })
        .collect();
    // Fees: 72,727 * 0.00007 = 5.09; 92,445 * 0.004 / 155.0475 = 2.38. Slippage: the target has none, so
    // 72,727 * 0.00002 = 1.45; both fills of the other, 92,445 * 0.006 / 155.0475 = 3.58.
    assert_eq!(
        booked,
        [
            (0, Exit::Target, ["72727", "49.45", "5.09", "1.45", "10049.45"].map(str::to_owned)),
            (1, Exit::Stop, ["92445", "-44.12", "2.38", "3.58", "10005.33"].map(str::to_owned)),
        ]
    );
    let equity: Vec<_> = outcome
        .equity
        .iter()
        .map(|at| [at.balance, at.equity, at.margin].map(|amount| amount.to_string()))
        .collect();
    assert_eq!(
        equity,
        [
            ["10000.00", "10000.00", "0"],
            ["10000.00", "10000.00", "0.00"],
            ["10000.00", "9989.82", "2664.38"],
            ["10000.00", "9987.55", "5743.04"],
            ["10005.33", "10005.33", "0.00"],
        ]
    );
    let times: Vec<i64> = outcome.equity.iter().map(|at| at.time - outcome.equity[0].time).collect();
    assert_eq!(times, [0, 60, 120, 180, 240]);
    assert_eq!(outcome.end, dec("10005.33"));
    // 12.45 below the beginning, 0.12 %.
    assert_eq!((outcome.drawdown.money, outcome.drawdown.percent), (dec("12.45"), dec("0.12")));
    assert_eq!(outcome.margin_peak, dec("57.50"));
}

#[test]
fn the_summary_adds_up() {
    let (euro, yen) = (euro(), yen());
    let (of_euro, of_yen) = (lane(50, 80, 9), lane(60, 90, 9));
    let legs = [leg(&euro, &of_euro, &EURO), leg(&yen, &of_yen, &YEN)];
    let summary = two_pairs("0.4").summary(&legs);
    let totals = &summary.totals;
    assert_eq!((totals.trades, totals.wins, totals.buys), (2, 1, 1));
    // 6.8 pips won, 7.4 lost; 49.45 / 44.12 = 1.1208.
    assert_eq!((totals.net_pips, totals.net), (dec("-0.6"), dec("5.33")));
    assert_eq!((totals.profit_factor, totals.drawdown), (Some(dec("1.12")), dec("44.12")));
    assert_eq!((totals.fees, totals.slippage), (dec("7.47"), dec("5.03")));
    assert_eq!((summary.net_percent, summary.start), (dec("0.05"), dec("10000")));
    assert_eq!(summary.legs[0].totals.profit_factor, None);
    // Entered at 10:01 and 10:02, booked at 10:04.
    assert_eq!(summary.legs.iter().map(|leg| leg.totals.mean_hold_seconds).collect::<Vec<_>>(), [180, 120]);
}

/// At one percent, EUR_USD takes 181,818 units and 6,660.54 of margin; USD_JPY would take 230,761 and
/// 7,684.34, where 9,974.55 - 6,660.96 are left.
#[test]
fn an_entry_without_margin_is_refused_and_counted() {
    let outcome = two_pairs("1");
    assert_eq!(outcome.refusals, [BTreeMap::new(), BTreeMap::from([(Refusal::Margin, 1)])]);
    assert_eq!(outcome.bookings.len(), 1);
    // 181,818 * (0.00075 - 0.00007) = 123.63624.
    assert_eq!(outcome.end, dec("10123.64"));
}

#[test]
fn an_entry_below_the_smallest_size_is_refused() {
    let (euro, lane) = (euro(), lane(50, 80, 9));
    let play = |settings| play(&[leg(&euro, &lane, &EURO)], &[], &settings).unwrap();
    // 1 % of 5 cents buys 0.9 units.
    let outcome = play(Settings { nav: dec("0.05"), ..Settings::default() });
    assert_eq!(outcome.refusals, [BTreeMap::from([(Refusal::BelowMinimum, 1)])]);
    assert_eq!((outcome.bookings.len(), outcome.end), (0, dec("0.05")));
    // And no more than the largest size is bought.
    let outcome = play(Settings { maximum_units: dec("1000"), ..Settings::default() });
    assert_eq!((outcome.bookings[0].units, outcome.end), (dec("1000"), dec("10000.68")));
}

/// EUR_GBP bought in an account of another currency, with the rates beside it.
fn cross(currency: &str, rates: &[&Script]) -> Result<Outcome, AccountError> {
    let rows = [
        Row("2025-07-22T10:00:00Z", [85_000, 85_000, 85_000, 85_000], BUY),
        Row("2025-07-22T10:01:00Z", [85_000, 85_200, 85_000, 85_100], None),
    ];
    let script = Script::new("EUR_GBP", Timeframe::M1, 0, &rows);
    let lane = lane(100, 100, 9);
    let bars: Vec<&Bars> = rates.iter().map(|rate| &rate.bars).collect();
    let settings = Settings { currency: currency.to_owned(), ..Settings::default() };
    play(&[leg(&script, &lane, &FREE)], &bars, &settings)
}

fn rate(pair: &str, price: i32) -> Script {
    let rows = [
        Row("2025-07-22T10:00:00Z", [price, price, price, price], None),
        Row("2025-07-22T10:01:00Z", [price, price, price, price + 1_000], None),
    ];
    Script::new(pair, Timeframe::M1, 20, &rows)
}

/// The stop is 0.00100 away. The trade gains 0.00100 a unit, booked at the close of 10:02, when the rate is
/// a thousand ticks higher.
#[test]
fn money_is_converted_directly_by_the_inverse_or_through_dollars() {
    let pound = rate("GBP_USD", 130_000);
    let franc = rate("USD_CHF", 80_000);
    for (currency, rates, units, net) in [
        // Directly: a pound is 1.30010 dollars, so 100 / 0.0013001 = 76,917.1 units;
        // 76,917 * 0.001 * 1.31010 = 100.768.
        ("USD", vec![&pound], "76917", "100.77"),
        // The account's own: 100 / 0.001 = 100,000 units.
        ("GBP", vec![], "100000", "100.00"),
        // Through the dollar: 1.30010 * 0.80010 = 1.04021; 100 / 0.00104021 = 96,134.4 units;
        // 96,134 * 0.001 * 1.31010 * 0.81010 = 102.0278.
        ("CHF", vec![&franc, &pound], "96134", "102.03"),
    ] {
        let outcome = cross(currency, &rates).unwrap();
        let booking = &outcome.bookings[0];
        assert_eq!((booking.units, booking.net), (dec(units), dec(net)), "{currency}");
    }
    // By the inverse: a pound is 1 / 0.85010 euros... of EUR_GBP itself, whose mid is 0.85000 at the entry:
    // 100 / (0.001 / 0.85) = 85,000 units; 85,000 * 0.001 / 0.85100 = 99.882.
    let booking = &cross("EUR", &[]).unwrap().bookings[0];
    assert_eq!((booking.units, booking.net), (dec("85000"), dec("99.88")));
}

#[test]
fn a_missing_pair_is_named_and_a_stale_rate_refuses_entries() {
    let error = cross("USD", &[]).unwrap_err().to_string();
    assert_eq!(
        error,
        "EUR_GBP is booked in USD, but no candles lead from GBP to USD: import GBP_USD or USD_GBP"
    );
    let error = cross("CHF", &[&rate("GBP_USD", 130_000)]).unwrap_err().to_string();
    assert!(error.ends_with("import GBP_CHF or CHF_GBP, or a pair of USD with each of them"), "{error}");

    let old = |time| {
        let prices = [130_000; 4];
        Script::new("GBP_USD", Timeframe::M1, 20, &[Row(time, prices, None)])
    };
    let refused = |outcome: Outcome| outcome.refusals[0].get(&Refusal::NoRate).copied();
    // Eight days before; six days before; not yet.
    assert_eq!(refused(cross("USD", &[&old("2025-07-14T10:00:00Z")]).unwrap()), Some(1));
    assert_eq!(refused(cross("USD", &[&old("2025-07-16T10:00:00Z")]).unwrap()), None);
    assert_eq!(refused(cross("USD", &[&old("2025-07-22T10:05:00Z")]).unwrap()), Some(1));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for (settings, expected) in [
        (Settings { currency: "EURO".into(), ..Settings::default() }, "the account's currency is 'EURO'"),
        (Settings { nav: Decimal::ZERO, ..Settings::default() }, "the account begins with 0"),
        (Settings { risk_percent: dec("101"), ..Settings::default() }, "the risk is 101 percent"),
        (Settings { risk_percent: dec("-1"), ..Settings::default() }, "the risk is -1 percent"),
    ] {
        let error = play(&[], &[], &settings).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let nothing = play(&[], &[], &Settings::default()).unwrap();
    assert_eq!((nothing.end, nothing.bookings.len()), (dec("10000.00"), 0));
}

/// What a variant trades in fixed units.
fn fixed(leg: &Leg) -> Vec<Trade> {
    let mut trades = Vec::new();
    leg.run.play(leg.segment.clone(), |trade| trades.push(*trade));
    trades
}

fn booked(outcome: &Outcome, leg: usize) -> Vec<Trade> {
    outcome.bookings.iter().filter(|booking| booking.leg == leg).map(|booking| booking.trade).collect()
}

#[test]
fn an_account_trades_what_the_backtest_trades() {
    let costs = Costs { slippage: 1, commission: 70, swap_buy: 55, swap_sell: -12 };
    let timeframes = [Timeframe::M1, Timeframe::M5];
    let walk = |pair, seed| History::of(Bars::new(&made::candles(pair, 6_000, seed)), &timeframes).unwrap();
    let (euro, yen) = (walk("EUR_USD", 7), walk("USD_JPY", 8));
    let space = Space::quick();
    let (mut compared, mut refused, mut unaffected) = (0, 0, 0);
    for number in (0..space.size().unwrap()).step_by(97) {
        let Variant { window, symmetric, .. } = space.at(number);
        let lane = Variant { min_confidence: 0.3, ..space.at(number) }.lane();
        // Two pairs, and two timeframes of one of them beside each other.
        let series = [
            euro.bars(Timeframe::M1).unwrap(),
            euro.bars(Timeframe::M5).unwrap(),
            yen.bars(Timeframe::M1).unwrap(),
        ];
        let features = series.map(|bars| Features::new(bars, window, symmetric, &Constants::default()));
        let segments = [150..series[0].len(), 30..series[1].len() - 7, 200..4_000];
        let legs = |margin: &str| -> Vec<Leg> {
            let legs = series.iter().zip(&features).zip(&segments);
            legs.map(|((bars, features), segment)| Leg {
                run: Run { bars, features, lane: &lane, costs: &costs },
                segment: segment.clone(),
                margin: dec(margin),
            })
            .collect()
        };
        let settings = Settings { risk_percent: dec("0.01"), ..Settings::default() };
        let free = legs("0.1");
        let outcome = play(&free, &[], &settings).unwrap();
        assert!(outcome.refusals.iter().all(BTreeMap::is_empty), "{:?}", outcome.refusals);
        for (at, leg) in free.iter().enumerate() {
            assert_eq!(booked(&outcome, at), fixed(leg), "variant {number}, run {at}");
        }
        compared += outcome.bookings.len();
        let sum: Decimal = outcome.bookings.iter().map(|booking| booking.net).sum();
        assert_eq!(outcome.end, settings.nav + sum);
        assert!(outcome.bookings.windows(2).all(|two| two[0].closed <= two[1].closed));
        // Where margin is scarce, runs that were never refused still trade the same.
        let risk_percent = dec("0.02");
        let scarce = play(&legs("90"), &[], &Settings { risk_percent, ..settings }).unwrap();
        for (at, leg) in free.iter().enumerate() {
            match scarce.refusals[at].get(&Refusal::Margin) {
                Some(count) => refused += count,
                None => {
                    assert_eq!(booked(&scarce, at), fixed(leg), "variant {number}, run {at}");
                    unaffected += booked(&scarce, at).len();
                }
            }
        }
    }
    assert!(refused > 100 && unaffected > 100, "{refused} refused, {unaffected} unaffected: too few");
    assert!(compared > 1_000, "{compared} trades: too few to compare anything");
}
