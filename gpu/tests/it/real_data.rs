//! Real files, where they are at hand in `shared/` beside the project; they are not part of it.

use std::io::Write;
use std::path::{Path, PathBuf};

use sep_contract::Timeframe;

use crate::sandbox::Sandbox;

/// A file of real data, or a word on stderr that the test is skipped.
pub fn real(test: &str, name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    // Written past the test harness, which would keep it to itself.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: no {}", path.display());
    None
}

#[test]
fn fxcm_bid_and_ask_of_2012() {
    let test = "fxcm_bid_and_ask_of_2012";
    let (Some(bid), Some(ask)) =
        (real(test, "fxcm-gbpusd-m1-bid-2012.csv"), real(test, "fxcm-gbpusd-m1-ask-2012.csv"))
    else {
        return;
    };
    let sandbox = Sandbox::new("real-fxcm");
    let (bid, ask) = (bid.display(), ask.display());
    let import = format!("import --pair GBP_USD --timeframe M1 --bid {bid} --ask {ask}");
    let answer = sandbox.run(&import);
    assert!(answer.err.contains("1203 of 30117 bars have a bid above the ask"), "{}", answer.err);
    sandbox.ok(&format!("{import} --keep-crossed"));
    let set = sandbox.load("GBP_USD", Timeframe::M1);
    assert_eq!(set.candles.len(), 30_117);
    assert_eq!(
        set.candles[0].bid.named().map(|(_, price)| price.get()),
        [157_597, 157_606, 157_576, 157_576]
    );
    assert_eq!(
        set.candles[0].ask.named().map(|(_, price)| price.get()),
        [157_608, 157_610, 157_585, 157_585]
    );
    let out = sandbox.ok("check");
    assert!(out.ends_with("0 errors, 0 warnings\n"), "{out}");
}

#[test]
fn oanda_mid_of_two_days() {
    let Some(file) = real("oanda_mid_of_two_days", "oanda-eur_usd-m1-2025-07-23.json") else {
        return;
    };
    let sandbox = Sandbox::new("real-oanda");
    sandbox.ok(&format!("import --pair EUR_USD --timeframe M1 --mid {} --spread 1.3", file.display()));
    let set = sandbox.load("EUR_USD", Timeframe::M1);
    assert_eq!((set.candles.len(), set.candles[0].volume), (2_880, 43));
    assert_eq!(set.candles[0].bid.close.get(), 117_717 - 6);
    assert!(sandbox.ok("check").ends_with("0 errors, 0 warnings\n"));
}

#[test]
fn made_up_bars_with_bid_and_ask() {
    let Some(file) = real("made_up_bars_with_bid_and_ask", "o-test-2.json") else {
        return;
    };
    let sandbox = Sandbox::new("real-made-up");
    let import = format!("import --pair EUR_USD --timeframe M1 {} --synthetic", file.display());
    let answer = sandbox.run(&import);
    assert!(answer.err.contains("o-test-2.json:3: the bar opens at 2025-07-23T20:04:33Z, off the M1 grid"));
    assert!(answer.err.contains("... and 1430 more bad rows"), "{}", answer.err);
    sandbox.ok(&format!("{import} --align"));
    let set = sandbox.load("EUR_USD", Timeframe::M1);
    assert!(set.provenance.synthetic && set.candles.len() == 1_440);
}
