//! Made-up signals for the tests of this crate.

use rust_decimal::Decimal;

use crate::{Confidence, Digest, QfhMetrics, Side, Signal, Timeframe};

/// A sound signal; `minute` makes its key, and its side and pair change with it.
pub(crate) fn signal(minute: i64) -> Signal {
    let bar_close = jiff::Timestamp::new(1_753_303_200 + minute * 60, 0).unwrap();
    let mut made = Signal {
        account: "primary".into(),
        strategy: "qfh".into(),
        pair: "EUR_USD".parse().unwrap(),
        timeframe: Timeframe::M1,
        bar_close,
        side: Side::Buy,
        confidence: Confidence::from_millionths(712_345).unwrap(),
        metrics: QfhMetrics::from_values([0.5, 0.25, 0.75, 0.25, 0.5, 0.25, 1.0, 0.0]),
        stop: Decimal::new(110_400, 5),
        target: Decimal::new(110_610, 5),
        expires_at: bar_close + jiff::SignedDuration::from_secs(600),
        model_hash: Digest::of(b"model"),
        override_reason: None,
    };
    if minute % 3 == 0 {
        made.side = Side::Sell;
        made.pair = "USD_JPY".parse().unwrap();
        (made.stop, made.target) = (Decimal::new(155_500, 3), Decimal::new(154_123, 3));
        made.metrics.entropy = 1.0 / 3.0;
        made.override_reason = Some("kept, although \"weak\" \u{2013} see notes".into());
    }
    made
}
