//! What the intake reads: settings, pending signals, and the wake-up calls for both.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use postgres::fallible_iterator::FallibleIterator;
use postgres::{Row, Statement};
use rust_decimal::Decimal;

use crate::engine::model::{Batch, PairSettings, Quote, Settings, Side, Signal};
use crate::store::{Session, StoreError, answers, failed};

/// Signals in one batch: a backlog is worked off in pieces that stay small in memory.
pub const BATCH: usize = 256;

/// The intake's connection.
pub struct Reader {
    client: Session,
    account: String,
    pending: Statement,
    quotes: Statement,
}

/// Settings that can be used, or what is wrong with them.
pub type FoundSettings = Result<Settings, String>;

impl Reader {
    /// Prepares what will be asked, and listens.
    pub fn open(mut client: Session, account: &str) -> Result<Self, StoreError> {
        answers(&mut client)?;
        let pending = client
            .prepare(
                "select id, strategy, pair, timeframe, bar_close, side, confidence, stop, target, expires_at,
                        clock_timestamp() as now
                 from trading_signals where account = $1 and decided_at is null order by id limit $2",
            )
            .map_err(failed("prepare the query for pending signals"))?;
        let quotes = client
            .prepare(
                "select w.pair, w.timeframe, c.time + timeframe_length(w.timeframe) as time, c.bid_close, c.ask_close
                 from unnest($1::text[], $2::text[]) w(pair, timeframe), newest_candles(w.pair, w.timeframe, 1) c",
            )
            .map_err(failed("prepare the query for candles"))?;
        client.batch_execute("listen trading_signals; listen system_config").map_err(failed("listen"))?;
        Ok(Self { client, account: account.to_owned(), pending, quotes })
    }

    /// The settings of the account as they are now.
    pub fn settings(&mut self) -> Result<FoundSettings, StoreError> {
        answers(&mut self.client)?;
        let rows = self
            .client
            .query("select key, value::text from system_config where account = $1", &[&self.account])
            .map_err(failed("read system_config"))?;
        let values: BTreeMap<String, String> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let rows = self
            .client
            .query("select pair, enabled, digits from trading_pairs", &[])
            .map_err(failed("read trading_pairs"))?;
        let pair = |row: &Row| {
            let digits = u32::try_from(row.get::<_, i16>("digits")).unwrap_or_default();
            (row.get("pair"), PairSettings { enabled: row.get("enabled"), digits })
        };
        Ok(assemble(&self.account, &values, rows.iter().map(pair).collect()))
    }

    /// The oldest signals without a decision, with what the market last quoted for them.
    pub fn pending(&mut self, settings: &Settings) -> Result<Option<Batch>, StoreError> {
        answers(&mut self.client)?;
        let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
        let rows = self
            .client
            .query(&self.pending, &[&self.account, &limit])
            .map_err(failed("read trading_signals"))?;
        let Some(first) = rows.first() else { return Ok(None) };
        let now = first.get("now");
        let mut signals = rows.iter().map(signal).collect::<Result<Vec<_>, _>>()?;
        let quotes = self.quotes(&signals, settings)?;
        for signal in &mut signals {
            // An older candle says nothing about the market that the signal was made for.
            signal.quote = quotes
                .get(&(signal.pair.clone(), signal.timeframe.clone()))
                .filter(|quote| quote.time >= signal.bar_close)
                .cloned();
        }
        Ok(Some(Batch { now, signals }))
    }

    fn quotes(
        &mut self,
        signals: &[Signal],
        settings: &Settings,
    ) -> Result<BTreeMap<(String, String), Quote>, StoreError> {
        let series: BTreeSet<(&str, &str)> = signals
            .iter()
            .filter(|signal| settings.pairs.contains_key(&signal.pair))
            .map(|signal| (signal.pair.as_str(), signal.timeframe.as_str()))
            .collect();
        let (pairs, timeframes): (Vec<&str>, Vec<&str>) = series.into_iter().unzip();
        let rows =
            self.client.query(&self.quotes, &[&pairs, &timeframes]).map_err(failed("read market_candles"))?;
        let quote = |row: &Row| {
            let pair: String = row.get("pair");
            let digits = settings.pairs.get(&pair).map_or(0, |known| known.digits);
            let price = |column: &str| Decimal::new(row.get::<_, i32>(column).into(), digits);
            let quote = Quote { time: row.get("time"), bid: price("bid_close"), ask: price("ask_close") };
            ((pair, row.get("timeframe")), quote)
        };
        Ok(rows.iter().map(quote).collect())
    }

    /// Waits until something was announced, `timeout` at most.
    pub fn wait(&mut self, timeout: Duration) -> Result<(), StoreError> {
        let mut notifications = self.client.notifications();
        notifications.timeout_iter(timeout).next().map_err(failed("wait for notifications"))?;
        // Whatever else has come by now is answered by the same reading.
        while notifications.iter().next().map_err(failed("wait for notifications"))?.is_some() {}
        drop(notifications);
        if self.client.is_closed() { Err(StoreError::Closed) } else { Ok(()) }
    }
}

fn signal(row: &Row) -> Result<Signal, StoreError> {
    let side: String = row.get("side");
    let side = Side::from_text(&side).ok_or(StoreError::Unexpected { column: "side", found: side })?;
    let time = |column: &str| row.get::<_, Timestamp>(column);
    Ok(Signal {
        id: row.get("id"),
        strategy: row.get("strategy"),
        pair: row.get("pair"),
        timeframe: row.get("timeframe"),
        bar_close: time("bar_close"),
        side,
        confidence: row.get("confidence"),
        stop: row.get("stop"),
        target: row.get("target"),
        expires_at: time("expires_at"),
        quote: None,
    })
}

fn assemble(
    account: &str,
    values: &BTreeMap<String, String>,
    pairs: BTreeMap<String, PairSettings>,
) -> FoundSettings {
    let value = |key: &str| {
        let missing = || format!("system_config has no row for account {account} and key {key}");
        values.get(key).ok_or_else(missing)
    };
    let wrong = |key: &str, found: &str, expected: &str| {
        format!("system_config: {key} of account {account} is {found}, expected {expected}")
    };
    let halted = value("halted")?;
    let min_confidence = value("min_confidence")?;
    Ok(Settings {
        halted: halted.parse().map_err(|_| wrong("halted", halted, "true or false"))?,
        min_confidence: min_confidence
            .parse()
            .map_err(|_| wrong("min_confidence", min_confidence, "a number from 0 to 1"))?,
        pairs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_are_missing_or_strange_are_named() {
        let found = |rows: &[(&str, &str)]| {
            let values = rows.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            assemble("primary", &values, BTreeMap::new())
        };
        let good = found(&[("halted", "true"), ("min_confidence", "0.65")]).unwrap();
        assert_eq!((good.halted, good.min_confidence.to_string().as_str()), (true, "0.65"));
        for (rows, expected) in [
            (
                &[("halted", "true")][..],
                "system_config has no row for account primary and key min_confidence",
            ),
            (&[("min_confidence", "1")], "system_config has no row for account primary and key halted"),
            (
                &[("halted", "1"), ("min_confidence", "1")],
                "system_config: halted of account primary is 1, expected true or false",
            ),
            (
                &[("halted", "false"), ("min_confidence", "\"x\"")],
                "system_config: min_confidence of account primary is \"x\", expected a number from 0 to 1",
            ),
        ] {
            assert_eq!(found(rows).unwrap_err(), expected);
        }
    }
}
