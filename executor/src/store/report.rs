//! What the status is made of: counts, the last decision, the daily figures.

use std::time::Duration;

use jiff::Timestamp;
use postgres::Client;
use serde::Serialize;

use crate::config::Database;
use crate::store::dial::Dialer;
use crate::store::{Session, StoreError, answers, failed};

/// Whoever asks for the status waits for it: a connection that takes longer is told as missing.
const PATIENCE: Duration = Duration::from_millis(1_000);

/// Days of the daily figures.
const DAYS: i32 = 90;

/// The api's connection, made when it is needed.
pub struct Report {
    dialer: Dialer,
    client: Option<Session>,
    account: String,
}

/// What the database says about the signals of the account.
#[derive(Debug, Serialize)]
pub struct Signals {
    #[serde(skip)]
    pub schema_version: Option<i32>,
    pub pending: i64,
    /// Since midnight UTC.
    pub decided_today: i64,
    pub last_decision: Option<LastDecision>,
}

/// The newest decision.
#[derive(Debug, Serialize)]
pub struct LastDecision {
    pub decided_at: Timestamp,
    pub strategy: String,
    pub pair: String,
    pub timeframe: String,
    pub bar_close: Timestamp,
    pub side: String,
    pub decision: String,
    pub reason_code: String,
    pub reason: String,
}

impl Report {
    /// Not connected yet.
    pub fn new(database: &Database, account: &str) -> Self {
        Self { dialer: Dialer::new(database, "api"), client: None, account: account.to_owned() }
    }

    /// Counts and the last decision.
    pub fn signals(&mut self) -> Result<Signals, StoreError> {
        let account = self.account.clone();
        self.ask(|client| {
            let row = client
                .query_one(
                    "select (select max(version) from refinery_schema_history),
                            (select count(*) from trading_signals where account = $1 and decided_at is null),
                            (select count(*) from signal_decisions where account = $1
                             and decided_at >= date_trunc('day', now()))",
                    &[&account],
                )
                .map_err(failed("count signals"))?;
            let last = client
                .query_opt(
                    "select d.decided_at, s.strategy, s.pair, s.timeframe, s.bar_close, s.side, d.decision,
                            d.reason_code, d.reason
                     from signal_decisions d join trading_signals s on s.id = d.signal_id
                     where d.account = $1 order by d.decided_at desc limit 1",
                    &[&account],
                )
                .map_err(failed("read the last decision"))?;
            let last_decision = last.map(|row| LastDecision {
                decided_at: row.get(0),
                strategy: row.get(1),
                pair: row.get(2),
                timeframe: row.get(3),
                bar_close: row.get(4),
                side: row.get(5),
                decision: row.get(6),
                reason_code: row.get(7),
                reason: row.get(8),
            });
            let (pending, decided_today) = (row.get(1), row.get(2));
            Ok(Signals { schema_version: row.get(0), pending, decided_today, last_decision })
        })
    }

    /// The daily figures as JSON, newest first; money and ratios are strings, so that no reader turns them into
    /// binary floats.
    pub fn daily(&mut self) -> Result<String, StoreError> {
        let account = self.account.clone();
        self.ask(|client| {
            let row = client
                .query_one(
                    "select json_build_object('account', $1::text, 'days', coalesce(json_agg(row_to_json(v)), '[]'))::text
                     from (select day, strategy, signals, entries, refusals, trades, wins, losses,
                                  gross_profit::text, gross_loss::text, net_profit::text, financing::text,
                                  win_rate_percent::text, profit_factor::text, balance::text, nav::text,
                                  max_drawdown::text
                           from v_daily_performance
                           where account = $1 and day > (now() at time zone 'UTC')::date - $2::integer
                           order by day desc, strategy) v",
                    &[&account, &DAYS],
                )
                .map_err(failed("read v_daily_performance"))?;
            Ok(row.get(0))
        })
    }

    fn ask<T>(&mut self, ask: impl FnOnce(&mut Client) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut client = match self.kept()? {
            Some(client) => client,
            None => self.dialer.dial(PATIENCE)?,
        };
        match ask(&mut client) {
            Ok(answer) => {
                self.client = Some(client);
                Ok(answer)
            }
            Err(error) => Err(self.dialer.back_off(error)),
        }
    }

    /// The connection of the last question. One from before the server was restarted is no reason to report
    /// that server missing: there is none then, and another is made.
    fn kept(&mut self) -> Result<Option<Session>, StoreError> {
        let Some(mut client) = self.client.take() else { return Ok(None) };
        match answers(&mut client) {
            Ok(()) => Ok(Some(client)),
            Err(StoreError::Closed) => Ok(None),
            Err(error) => Err(self.dialer.back_off(error)),
        }
    }
}
