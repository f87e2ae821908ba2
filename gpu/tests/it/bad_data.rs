//! Bad data is named with file and line, and nothing is written.

use crate::sandbox::Sandbox;

const GOOD: &str = "time,open,high,low,close,volume\n\
    2025-07-23T20:40:00Z,1.10000,1.10020,1.09980,1.10010,5\n\
    2025-07-23T20:41:00Z,1.10010,1.10030,1.10000,1.10020,6\n\
    2025-07-23T20:42:00Z,1.10020,1.10040,1.10010,1.10030,7\n";

const JSON: &str = r#"{"instrument":"EUR_USD","granularity":"M1","candles":[
{"complete":true,"volume":1,"time":"2025-07-23T20:40:00Z",
 "mid":{"o":"1.1","h":"1.2","l":"1.0","c":"1.1"}},
{"complete":true,"volume":1,"time":"2025-07-23T20:41:00Z",
 "mid":{"o":"1.1","h":"1.2","l":"1.0","c":"1.1"}}]}"#;

/// Imports the text with a piece replaced and expects these words on stderr.
fn refused(sandbox: &Sandbox, file: &str, text: &str, (from, to): (&str, &str), words: &str) {
    assert!(text.contains(from), "{from}");
    sandbox.file(file, text.replacen(from, to, 1));
    let answer = sandbox.run(&format!("import --pair EUR_USD --timeframe M1 --mid {file} --spread 1"));
    assert_eq!((answer.code, answer.out.as_str()), (1, ""), "{to}: {}", answer.err);
    assert!(answer.err.contains(words), "{words}\n{}", answer.err);
    assert!(answer.err.ends_with("Nothing was written.\n"), "{}", answer.err);
    assert!(sandbox.stored().is_empty(), "{to}");
}

#[test]
fn rows_of_csv() {
    let sandbox = Sandbox::new("bad-csv");
    for (change, words) in [
        ((",1.10030,1.10000", ",NaN,1.10000"), "bad.csv:3: column high: 'NaN' is no price"),
        ((",1.10030,1.10000", ",0,1.10000"), "bad.csv:3: column high: price 0 is not above zero"),
        ((",1.10030,1.10000", ",-1.1,1.10000"), "bad.csv:3: column high: price -1.1 is not above zero"),
        ((",1.10030,1.10000", ",1.100305,1.10000"), "bad.csv:3: column high: price 1.100305 has 6 digits"),
        ((",1.10030,1.10000", ",,1.10000"), "bad.csv:3: column high: the value is missing"),
        ((",1.10030,1.10000", ",1.10005,1.10000"), "bad.csv:3: bid high 110000 is below its open 110005"),
        ((",1.10030,1.10000", ",1.10030,1.10015"), "bad.csv:3: bid low 110010 is above its open 110005"),
        (("20:42", "20:41"), "bad.csv:4: the bar of 2025-07-23T20:41:00Z is there twice: also at line 3"),
        (
            ("20:42", "20:39"),
            "bad.csv:4: the bar of 2025-07-23T20:39:00Z stands after that of 2025-07-23T20:41:00Z in line 3",
        ),
        (("20:41:00Z", "20:41:30Z"), "bad.csv:3: the bar opens at 2025-07-23T20:41:30Z, off the M1 grid"),
        (("2025-07-23T20:41:00Z", "23.07.2025"), "bad.csv:3: column time: '23.07.2025' is no time"),
        ((",6\n", ",-6\n"), "bad.csv:3: column volume: '-6' is no volume"),
        ((",6\n", "\n"), "bad.csv:3: 5 values: expected 6, as in the first row"),
        (
            (",high,", ",top,"),
            "bad.csv:1: no column for high: found time, open, top, low, close, volume. Say which it is with --columns high=NAME.",
        ),
        (
            ("1.10020,1.10040,1.10010,1.10030", "1.5,1.5,1.5,1.5"),
            "bad.csv:4: the bar of 2025-07-23T20:42:00Z opens at 149995, the one before, of 2025-07-23T20:41:00Z, closed at 110015",
        ),
    ] {
        refused(&sandbox, "bad.csv", GOOD, change, words);
    }
}

#[test]
fn the_wrong_pair_and_the_wrong_timeframe() {
    let sandbox = Sandbox::new("wrong-pair");
    let none = ("time", "time");
    refused(
        &sandbox,
        "DAT_ASCII_GBPUSD_M1_2012.csv",
        GOOD,
        none,
        "the file's name speaks of GBP_USD, --pair of EUR_USD",
    );
    let symbol =
        GOOD.replace(",volume\n", ",symbol\n").replace(",5\n", ",EUR/USD\n").replace(",6\n", ",GBP/USD\n");
    refused(&sandbox, "symbol.csv", &symbol, none, "symbol.csv:3: holds GBP/USD, --pair says EUR_USD");
    refused(&sandbox, "a.json", JSON, ("EUR_USD", "USD_JPY"), "a.json:1: holds USD_JPY, --pair says EUR_USD");
    refused(&sandbox, "a.json", JSON, ("M1", "M5"), "a.json:1: holds M5 candles, --timeframe says M1");
}

#[test]
fn bars_that_do_not_fit_the_stored_ones_look_like_another_pair() {
    let sandbox = Sandbox::new("other-prices");
    sandbox.file("good.csv", GOOD).file(
        "later.csv",
        "time,open,high,low,close\n2025-07-24T00:00:00Z,1.57000,1.57000,1.57000,1.57000\n",
    );
    let import = "import --pair EUR_USD --timeframe M1 --spread 1 --mid";
    sandbox.ok(&format!("{import} good.csv"));
    let before = sandbox.stored();
    let answer = sandbox.run(&format!("{import} later.csv"));
    assert_eq!(answer.code, 1);
    assert!(
        answer.err.contains("later.csv:2: the bar of 2025-07-24T00:00:00Z opens at 156995"),
        "{}",
        answer.err
    );
    assert!(answer.err.contains("is this another pair?"), "{}", answer.err);
    assert_eq!(sandbox.stored(), before);
    sandbox.ok(&format!("{import} later.csv --allow-jumps"));
}

#[test]
fn rows_of_json() {
    let sandbox = Sandbox::new("bad-json");
    for (change, words) in [
        (
            ("\"volume\":1,\"time\":\"2025-07-23T20:41", "\"volume\":1.5,\"time\":\"2025-07-23T20:41"),
            "a.json:4: column volume: '1.5' is no volume",
        ),
        (("20:41:00Z", "late"), "a.json:4: column time: '2025-07-23Tlate' is no time"),
        (("20:41:00Z\",\n \"mid\"", "20:41:00Z\",\n \"bid\""), "a.json:4: column mid: the value is missing"),
        (("\"h\":\"1.2\"", "\"h\":\"NaN\""), "a.json:2: column h: 'NaN' is no price"),
        (("1.1\"}}]}", "1.1\"}"), "a.json:5: the JSON breaks off or is damaged"),
        (("\"c\":\"1.1\"}},\n", "\"c\":1e5}},\n"), "a.json:2: column c: '1e5' is no price"),
    ] {
        refused(&sandbox, "a.json", JSON, change, words);
    }
}

#[test]
fn rows_of_histdata() {
    let sandbox = Sandbox::new("bad-histdata");
    let good = "20120201 000000;1.30660;1.30663;1.30656;1.30661;0\n20120201 000100;1.30660;1.30663;1.30656;1.30661;0\n";
    for (change, words) in [
        (
            ("20120201 000100", "20120201 0001"),
            "h.csv:2: column time: '20120201 0001' is no time: expected 20120201 000000",
        ),
        (
            ("1.30661;0\n20120201 0001", "1.30661\n20120201 0001"),
            "h.csv:1: 5 values: expected 6, with ';' between them",
        ),
        (("20120201 000100;1.30660", "20120201 000100;nan"), "h.csv:2: column open: 'nan' is no price"),
    ] {
        refused(&sandbox, "h.csv", good, change, words);
    }
}

#[test]
fn files_that_are_something_else() {
    let sandbox = Sandbox::new("bad-files");
    sandbox
        .file("a.zip", b"PK\x03\x04rest")
        .file("a.gz", [0x1f, 0x8b, 8])
        .file("a.bin", [b't', 0xff, 0xfe])
        .file("a.csv", " \n")
        .file("b.csv", "time,open,high,low,close\n");
    for (file, words) in [
        ("a.zip", "a.zip: a ZIP archive, which must be unpacked first: expected text"),
        ("a.gz", "a.gz: compressed with gzip"),
        ("a.bin", "a.bin: not UTF-8 from byte 2 on"),
        ("a.csv", "a.csv: the file is empty"),
        ("b.csv", "no complete candles in b.csv"),
        ("none.csv", "cannot read none.csv"),
    ] {
        let answer = sandbox.run(&format!("import --pair EUR_USD --timeframe M1 --mid {file} --spread 1"));
        assert_eq!(answer.code, 1, "{file}");
        assert!(answer.err.contains(words), "{words}\n{}", answer.err);
    }
    assert!(sandbox.stored().is_empty());
}

#[test]
fn a_truncated_month_in_the_store_is_named_and_left_alone() {
    let sandbox = Sandbox::new("truncated");
    sandbox.file("good.csv", GOOD).file("more.csv", GOOD.replace("T20:", "T21:"));
    let import = "import --pair EUR_USD --timeframe M1 --spread 1 --mid";
    sandbox.ok(&format!("{import} good.csv"));
    let (path, bytes) = sandbox.stored().pop_first().unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let before = sandbox.stored();
    for verb in [&format!("{import} more.csv"), "show EUR_USD M1 -n 3", "check"] {
        let answer = sandbox.run(verb);
        assert_eq!(answer.code, 1, "{verb}");
        let said = answer.out + &answer.err;
        assert!(said.contains("2025-07.parquet: truncated or damaged: its checksum"), "{verb}: {said}");
        assert!(said.contains("Remove the file and import that month again."), "{verb}: {said}");
        assert!(!said.contains("panicked"), "{verb}: {said}");
    }
    assert_eq!(sandbox.stored(), before);
}

#[test]
fn a_damaged_month_stands_in_no_other_months_way() {
    let sandbox = Sandbox::new("one-damaged");
    let moved = |month: &str| GOOD.replace("2025-07", month);
    sandbox.file("may.csv", moved("2025-05")).file("june.csv", moved("2025-06")).file("july.csv", GOOD);
    let import = |pair: &str, file: &str| {
        sandbox.run(&format!("import --pair {pair} --timeframe M1 --spread 1 --mid {file}"))
    };
    assert_eq!(import("EUR_USD", "may.csv").code, 0);
    assert_eq!(import("EUR_USD", "june.csv").code, 0);
    let damaged = sandbox.store().root().join("EUR_USD/M1/2025-05.parquet");
    std::fs::write(&damaged, "half").unwrap();
    for (pair, file) in [("GBP_USD", "may.csv"), ("EUR_USD", "july.csv"), ("EUR_USD", "june.csv")] {
        let answer = import(pair, file);
        assert_eq!(answer.code, 0, "{pair} {file}: {}", answer.err);
    }
    let mixed = sandbox.run("import --pair USD_CAD --timeframe M1 --spread 1 --synthetic --mid may.csv");
    assert!(
        mixed.err.contains("they never mix"),
        "the months that can be read say what they are: {}",
        mixed.err
    );
    let replaced = import("EUR_USD", "may.csv --replace");
    assert_eq!(replaced.code, 1);
    assert!(replaced.err.contains("2025-05.parquet: not a Parquet file"), "{}", replaced.err);
    assert!(replaced.err.contains("Remove the file and import that month again."), "{}", replaced.err);
    let shown = sandbox.run("show");
    assert_eq!(shown.code, 1);
    assert!(shown.out.contains("EUR_USD  M1              3     6"), "{}", shown.out);
    assert!(shown.out.contains("GBP_USD  M1              1     3"), "{}", shown.out);
    assert!(shown.err.starts_with("error: data/candles/EUR_USD/M1/2025-05.parquet: "), "{}", shown.err);
    let json: serde_json::Value = serde_json::from_str(&sandbox.run("show --json").out).unwrap();
    assert_eq!(json["problems"].as_array().unwrap().len(), 1);
    std::fs::remove_file(&damaged).unwrap();
    assert_eq!(import("EUR_USD", "may.csv").code, 0);
    assert_eq!(sandbox.run("show").code, 0);
}

#[test]
fn files_of_one_price_named_as_bid_and_ask_are_told_for_what_they_are() {
    let sandbox = Sandbox::new("one-price");
    sandbox
        .file("mid.json", JSON)
        .file("bid.json", JSON.replace("\"mid\"", "\"bid\""))
        .file("plain.csv", GOOD)
        .file("h.csv", "20120201 000000;1.30660;1.30663;1.30656;1.30661;0\n");
    for (file, holds) in [
        ("mid.json", "mid prices only"),
        ("bid.json", "bid prices only"),
        ("plain.csv", "one price for each bar"),
        ("h.csv", "one price for each bar"),
    ] {
        let answer = sandbox.run(&format!("import --pair EUR_USD --timeframe M1 {file}"));
        assert_eq!(answer.code, 1);
        let expected = format!(
            "error: {file}: holds {holds}, no bid and ask. Say which price it is with --bid, --ask or --mid before \
             its name, and which spread to assume with --spread PIPS.\nNothing was written.\n"
        );
        assert_eq!(answer.err, expected);
    }
}

#[test]
fn arguments_that_make_no_sense() {
    let sandbox = Sandbox::new("usage");
    sandbox.file("a.csv", GOOD);
    for (words, said) in [
        ("import --timeframe M1 a.csv", "--pair <PAIR>"),
        ("import --pair EURUSD --timeframe M1 a.csv", "'EURUSD' is no pair"),
        ("import --pair EUR_USD --timeframe M2 a.csv", "'M2' is no timeframe"),
        ("import --pair EUR_USD --timeframe M1", "no files"),
        ("import --pair EUR_USD --timeframe M1 --bid a.csv", "say --spread PIPS"),
        ("import --pair EUR_USD --timeframe M1 a.csv --spread 1", "--spread is for files of one price"),
        ("import --pair EUR_USD --timeframe M1 --mid a.csv --bid a.csv", "cannot be used with"),
        (
            "import --pair EUR_USD --timeframe M1 --mid a.csv --spread 1 --columns when=time",
            "'when' is no role",
        ),
        (
            "import --pair EUR_USD --timeframe M1 --mid a.csv --spread 1 --utc-offset CET",
            "expected an offset such as -05:00",
        ),
        (
            "import --pair EUR_USD --timeframe M1 --mid a.csv --spread 1 --time-format us",
            "expected iso, unix",
        ),
        ("show -n 3", "--newest shows the bars of one series"),
        (
            "import --pair EUR_USD --timeframe M1 --mid a.csv --spread 79228162514264337593543950335",
            "is no whole number of ticks from 0 to 10000",
        ),
        ("chekc", "unrecognized subcommand"),
    ] {
        let answer = sandbox.run(words);
        assert_eq!(answer.code, 2, "{words}: {}", answer.err);
        assert!(answer.err.contains(said), "{words}: {}", answer.err);
    }
    let answer = sandbox.run("import --pair EUR_USD --timeframe M1 --mid a.csv --spread 0.05");
    assert_eq!(answer.code, 2);
    assert!(answer.err.contains("the spread of 0.05 pips is no whole number of ticks"), "{}", answer.err);
    assert!(sandbox.stored().is_empty());
}
