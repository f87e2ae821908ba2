//! Reports: the page, the summary, the tables, and candles that are not the model's.

use std::fs;
use std::path::{Path, PathBuf};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Row;
use sep_gpu::model::Stored;
use sep_gpu::report::words;
use sep_gpu::trials::Grid;
use serde_json::Value;

use crate::sandbox::Sandbox;
use crate::trained::{kept, models, passing, real};

/// A sandbox with a model of made-up candles.
fn trained(name: &str, synth: &str) -> Sandbox {
    let sandbox = Sandbox::new(name);
    sandbox.ok(synth);
    let answer = sandbox.sep_gpu(&["train", "EUR_USD", "--quick", "--backend", "cpu"]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    sandbox
}

const NO_EDGE: &str = "synth EUR_USD --days 30 --seed 5";

fn model(sandbox: &Sandbox) -> Stored {
    models(sandbox).trained("EUR_USD".parse().unwrap()).unwrap().unwrap()
}

fn report(sandbox: &Sandbox, args: &[&str]) -> String {
    let answer = sandbox.sep_gpu(&[&["report"], args].concat());
    assert_eq!(answer.code, 0, "{args:?}: {}", answer.err);
    answer.out
}

fn page(sandbox: &Sandbox) -> String {
    report(sandbox, &["EUR_USD", "--out", "page.html"]);
    fs::read_to_string(sandbox.path("page.html")).unwrap()
}

#[test]
fn a_model_without_an_edge_is_reported_as_one() {
    let sandbox = trained("report-none", NO_EDGE);
    let stored = model(&sandbox);
    let out = report(&sandbox, &[]);
    assert!(out.starts_with("EUR_USD  No edge"), "{out}");
    assert!(out.contains("These candles are made up") && out.contains("FAILED"), "{out}");
    let written = stored.path.with_extension("html");
    assert!(out.contains(&format!("page    data/models/EUR_USD/{}.html", stored.hash)), "{out}");
    let page = fs::read_to_string(&written).unwrap();
    assert!(page.contains("<strong>No edge"), "no headline");
    assert!(page.contains("MADE-UP CANDLES") && page.contains("What a backtest is not"));
    for criterion in &stored.model.verdict.criteria {
        let sentence = words::sentence(&criterion.sentence);
        assert!(page.replace("&#x2f;", "/").replace("&#x27;", "'").contains(&sentence), "{sentence}");
    }
    let evidence = &stored.model.evidence;
    let sample = format!("{} trades, {} days", evidence.trades.trades, evidence.days.len());
    for text in [&out, &page] {
        assert!(text.contains(&sample) && text.contains("at least 100 trades, 20 days"), "{sample}");
        assert!(text.contains("confidence ") && text.contains("at least 95.0 %"), "{text}");
    }
    assert!(page.contains(&stored.hash.to_string()) && page.contains(&stored.model.data.hash.to_string()));
    // Every fold and every map is there.
    assert_eq!(page.matches("class=\"span\"").count(), 12);
    assert_eq!(page.matches("<table class=\"heat\"").count(), 2);
    // It needs nothing else, and is the same every time.
    for elsewhere in ["http:", "https:", " src=", "@import", "url(", "<link", "NaN", "inf"] {
        assert!(!page.replace("information", "").contains(elsewhere), "{elsewhere}");
    }
    report(&sandbox, &["EUR_USD"]);
    assert_eq!(fs::read_to_string(&written).unwrap(), page);
}

#[test]
fn json_has_the_verdict_and_the_evidence_and_needs_no_candles() {
    let sandbox = trained("report-json", NO_EDGE);
    fs::remove_dir_all(sandbox.path("data/candles")).unwrap();
    let stored = model(&sandbox);
    let out: Value = serde_json::from_str(&report(&sandbox, &["--json"])).unwrap();
    let shown = &out["models"][0];
    assert_eq!(shown["standing"], "refused");
    assert_eq!(shown["model"], stored.hash.to_string());
    let kept: Value = serde_json::from_slice(&fs::read(&stored.path).unwrap()).unwrap();
    for part in ["pair", "verdict", "evidence", "data", "searched", "variant"] {
        assert_eq!(shown[part], kept[part], "{part}");
    }
    let by_path = report(&sandbox, &[stored.path.to_str().unwrap(), "--json"]);
    let by_path: Value = serde_json::from_str(&by_path).unwrap();
    assert_eq!(by_path["models"][0]["verdict"], shown["verdict"]);
}

#[test]
fn an_override_is_told_and_what_it_says_stays_text() {
    let sandbox = trained("report-override", NO_EDGE);
    let reason = "<script>alert(\"I'm & sure\")</script>";
    models(&sandbox).promote(&model(&sandbox), Some(reason.to_owned())).unwrap();
    let page = page(&sandbox);
    assert!(page.contains("<strong>Overridden"));
    assert!(page.contains("&lt;script&gt;alert(&quot;I&#x27;m &amp; sure&quot;)&lt;&#x2f;script&gt;"));
    assert_eq!(page.matches("<script").count(), 1);
    let out: Value = serde_json::from_str(&report(&sandbox, &["--json"])).unwrap();
    assert_eq!(out["models"][0]["standing"], "overridden");
    assert_eq!(out["models"][0]["reason"], reason);
}

#[test]
fn an_override_is_told_of_a_model_that_passed_every_criterion() {
    let sandbox = trained("report-edge", "synth EUR_USD --days 60 --seed 3 --edge 0.5");
    assert!(page(&sandbox).contains("<strong>Passed, not yet promoted"));
    assert_eq!(sandbox.sep_gpu(&["promote", "EUR_USD"]).code, 1, "its candles are made up");
    assert_eq!(sandbox.sep_gpu(&["promote", "EUR_USD", "--override", "to try it out"]).code, 0);
    let told = "It passed all 11 criteria, but on made-up candles. It trades EUR_USD all the same, because \
                somebody decided so: “to try it out”";
    let page = page(&sandbox);
    assert!(page.contains("<strong>Overridden") && page.contains(told) && !page.contains("✗ failed"));
    let out = report(&sandbox, &["EUR_USD"]);
    assert!(out.starts_with("EUR_USD  Overridden\n") && out.contains(told), "{out}");
    let out: Value = serde_json::from_str(&report(&sandbox, &["--json"])).unwrap();
    assert_eq!(
        (&out["models"][0]["standing"], &out["models"][0]["reason"]),
        (&"overridden".into(), &"to try it out".into())
    );
}

#[test]
fn a_model_of_real_candles_that_passed_is_promoted_by_those_who_promote_it() {
    let sandbox = Sandbox::new("report-promoted");
    let stored = kept(&sandbox, &real(passing()));
    let standing = || {
        let out: Value = serde_json::from_str(&report(&sandbox, &["--json"])).unwrap();
        out["models"][0]["standing"].clone()
    };
    assert_eq!(standing(), "passed");
    models(&sandbox).promote(&stored, None).unwrap();
    assert_eq!(standing(), "promoted");
    // The summary needs no candles; the page does, and there are none.
    let answer = sandbox.sep_gpu(&["report", "EUR_USD"]);
    assert!(answer.out.starts_with("EUR_USD  Promoted\n"), "{}", answer.out);
    assert!(answer.out.contains("It passed all 11 criteria and speaks for EUR_USD."), "{}", answer.out);
    assert_eq!(answer.code, 1);
}

#[test]
fn later_candles_of_another_source_leave_the_models_candles_what_they_are() {
    let sandbox = trained("report-later", NO_EDGE);
    let before = model(&sandbox).model.data;
    // The next hour of the same month, with an assumed spread and another source.
    let close = before.last.as_second();
    let row = |at: i64| {
        let time = jiff::Timestamp::from_second(close + at * 60).unwrap();
        format!("{time},1.10000,1.10010,1.09990,1.10005\n")
    };
    let rows: String = (0..60).map(row).collect();
    sandbox.file("later.csv", format!("time,open,high,low,close\n{rows}"));
    sandbox.ok("import --pair EUR_USD --timeframe M1 --synthetic --allow-jumps --spread 1 --mid later.csv");
    assert!(sandbox.ok("show").contains("csv,synth-seed5"), "{}", sandbox.ok("show"));
    report(&sandbox, &["EUR_USD"]);
}

#[test]
fn other_candles_are_refused() {
    let sandbox = trained("report-candles", NO_EDGE);
    sandbox.ok("synth EUR_USD --days 30 --seed 6 --replace");
    let answer = sandbox.sep_gpu(&["report", "EUR_USD", "--out", "page.html"]);
    assert_eq!(answer.code, 1);
    let expected = model(&sandbox).model.data.hash.to_string();
    assert!(answer.err.contains("are not those that the model was trained on"), "{}", answer.err);
    assert!(answer.err.contains(&format!("the model says {expected}")), "{}", answer.err);
    assert!(!sandbox.path("page.html").exists());
}

#[test]
fn a_model_that_says_other_than_its_replay_is_refused() {
    let sandbox = trained("report-differs", NO_EDGE);
    let mut changed = model(&sandbox).model;
    changed.evidence.days[0] += 1;
    crate::trained::kept(&sandbox, &changed);
    let answer = sandbox.sep_gpu(&["report", "EUR_USD"]);
    assert_eq!(answer.code, 1);
    assert!(answer.err.contains("played again on the same candles it comes to"), "{}", answer.err);
}

fn rows(path: &Path) -> Vec<Row> {
    let reader = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    reader.get_row_iter(None).unwrap().map(Result::unwrap).collect()
}

/// The values of a column, as text.
fn column(rows: &[Row], name: &str) -> Vec<String> {
    let value = |row: &Row| row.get_column_iter().find(|(found, _)| *found == name).unwrap().1.to_string();
    rows.iter().map(value).collect()
}

/// A decimal column's sum, in thousandths.
fn thousandths<'a>(values: impl Iterator<Item = &'a String>) -> i64 {
    values.map(|value| value.replace('.', "").parse::<i64>().unwrap()).sum()
}

#[test]
fn tables_hold_every_trial_day_and_trade() {
    let sandbox = trained("report-tables", NO_EDGE);
    let before = page(&sandbox);
    let stored = model(&sandbox);
    // Without the grid the page says so; playing the search again gives the very same grid.
    fs::remove_file(stored.path.with_extension("grid.json")).unwrap();
    assert!(page(&sandbox).contains("No map of the trials"));
    report(&sandbox, &["EUR_USD", "--out", "page.html", "--parquet", "tables"]);
    assert_eq!(fs::read_to_string(sandbox.path("page.html")).unwrap(), before);

    let table = |name: &str| -> PathBuf { sandbox.path("tables/EUR_USD").join(format!("{name}.parquet")) };
    let (trials, days, trades) = (rows(&table("trials")), rows(&table("days")), rows(&table("trades")));
    let evidence = &stored.model.evidence;
    assert_eq!(trials.len(), stored.model.searched.variants);
    assert_eq!(days.len(), evidence.days.len());
    assert_eq!(thousandths(column(&days, "net_pips").iter()), evidence.trades.net);
    let depths = column(&days, "drawdown_pips");
    let deepest = depths.iter().map(|depth| thousandths(std::iter::once(depth))).max().unwrap();
    assert_eq!(deepest, evidence.drawdown.depth);
    let walked: Vec<bool> = column(&trades, "kind").iter().map(|kind| kind == "\"walk_forward\"").collect();
    assert_eq!(walked.iter().filter(|walked| **walked).count(), evidence.trades.trades as usize);
    let nets = column(&trades, "net_pips");
    let of =
        |kind: bool| thousandths(nets.iter().zip(&walked).filter(|(_, w)| **w == kind).map(|(net, _)| net));
    assert_eq!(of(true), evidence.trades.net);
    // The finalist's trades add up to its row among the trials, and its slices to the whole.
    let finalist = evidence.finalist.unwrap();
    assert_eq!(of(false), thousandths(std::iter::once(&column(&trials, "net_pips")[finalist])));
    let slices = (1..=16).map(|slice| column(&trials, &format!("net_pips_{slice:02}"))[finalist].clone());
    assert_eq!(of(false), thousandths(slices.collect::<Vec<_>>().iter()));
}

#[test]
fn the_grid_counts_every_variant_in_every_map() {
    let sandbox = trained("report-grid", NO_EDGE);
    let stored = model(&sandbox);
    let grid = Grid::read(&stored).unwrap().unwrap();
    let names: Vec<&str> = grid.dimensions.iter().map(|dimension| dimension.name.as_str()).collect();
    assert_eq!(names.len() * (names.len() - 1) / 2, grid.maps.len());
    let whole = |map: &sep_gpu::trials::Map| {
        let best = map.blocks.iter().map(|block| block.best).fold(f64::MIN, f64::max);
        map.blocks.iter().fold((0, 0, 0, 0, best), |(variants, traded, trades, net, best), block| {
            (variants + block.variants, traded + block.traded, trades + block.trades, net + block.net, best)
        })
    };
    let first = whole(&grid.maps[0]);
    assert_eq!(first.0 as usize, stored.model.searched.variants);
    assert_eq!(first.1 as usize, stored.model.evidence.trials.spread.trials);
    assert!(grid.maps.iter().all(|map| whole(map) == first));
    // The dimensions can be named, in either order; what was not varied cannot.
    report(&sandbox, &["EUR_USD", "--out", "page.html", "--heat", "hold,buy_above"]);
    let page = fs::read_to_string(sandbox.path("page.html")).unwrap();
    assert!(page.contains("by <b>buy above</b> (down) and <b>hold</b> (across)"));
    // It is refused before anything else is done, whether there is a grid or not.
    fs::remove_file(stored.path.with_extension("grid.json")).unwrap();
    for axes in ["hold,hours", "hold,hold", "nonsense,window"] {
        let answer = sandbox.sep_gpu(&["report", "EUR_USD", "--heat", axes, "--parquet", "tables"]);
        assert_eq!((answer.code, answer.out.as_str()), (2, ""), "{axes}");
        let expected = "expected two of what the search for EUR_USD varied: timeframe, window";
        assert!(answer.err.starts_with("error: --heat") && answer.err.contains(expected), "{}", answer.err);
    }
}

#[test]
fn what_cannot_be_reported_is_said() {
    let sandbox = Sandbox::new("report-usage");
    for (args, code, expected) in [
        (&["report"][..], 1, "there are no models in data/models"),
        (&["report", "EUR_USD"], 1, "there is no model of EUR_USD in data/models"),
        (&["report", "nothing.json"], 1, "cannot read nothing.json"),
        (&["report", "--heat", "window"], 2, "expected such as window,stop"),
        (&["report", "--json", "--parquet", "tables"], 2, "cannot be used with"),
        (&["report", "--json", "--out", "page.html"], 2, "cannot be used with"),
        (&["report", "EURUSD"], 2, "'EURUSD' is no pair"),
    ] {
        let answer = sandbox.sep_gpu(args);
        assert_eq!(answer.code, code, "{args:?}: {}", answer.err);
        assert!(answer.err.contains(expected), "{args:?}: {}", answer.err);
    }
    sandbox.ok("synth EUR_USD USD_JPY --days 30 --seed 5");
    let answer = sandbox.sep_gpu(&["train", "--all", "--quick", "--backend", "cpu"]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    let answer = sandbox.sep_gpu(&["report", "--out", "page.html"]);
    assert_eq!(answer.code, 2);
    assert!(answer.err.contains("--out names one file"), "{}", answer.err);
    let out = report(&sandbox, &[]);
    assert_eq!(out.matches("\npage    ").count(), 2, "{out}");
    // What is wrong with one model or its candles keeps no other from its report.
    fs::remove_dir_all(sandbox.path("data/candles/EUR_USD")).unwrap();
    fs::create_dir(sandbox.path("data/models/NZD_USD")).unwrap();
    let damaged = sandbox.path("data/models/AUD_USD/trained.json");
    fs::create_dir(damaged.parent().unwrap()).unwrap();
    fs::write(&damaged, "{").unwrap();
    let answer = sandbox.sep_gpu(&["report"]);
    assert_eq!(answer.code, 1);
    assert!(
        answer.out.contains("EUR_USD  No edge") && answer.out.contains("USD_JPY  No edge"),
        "{}",
        answer.out
    );
    assert_eq!(answer.out.matches("\npage    ").count(), 1, "{}", answer.out);
    let told: Vec<&str> = answer.err.lines().collect();
    assert!(told.len() == 2 && told[0].contains("AUD_USD/trained.json"), "{told:?}");
    assert!(told[1].starts_with("error: no EUR_USD candles"), "{told:?}");
    let answer = sandbox.sep_gpu(&["report", "--json"]);
    let json: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(answer.code, 1);
    assert_eq!(json["models"].as_array().unwrap().len(), 2);
    assert!(json["problems"][0].as_str().unwrap().contains("AUD_USD/trained.json"), "{json}");
}
