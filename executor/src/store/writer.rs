//! What the engine writes: decisions and log entries, over the one connection that holds the account's lock.
//!
//! Lock and decisions share the connection on purpose: when it is lost, so is the right to write.

use std::time::Duration;

use jiff::Timestamp;
use postgres::{Client, Statement};

use crate::config::Config;
use crate::engine::Lock;
use crate::engine::model::Decision;
use crate::journal::Entry;
use crate::store::dial::Dialer;
use crate::store::{Session, StoreError, answers, check_account, check_schema, failed};

/// A connection to a live server is there at once; the engine has other things to do than to wait for longer.
const PATIENCE: Duration = Duration::from_millis(500);

/// The engine's connection, or the way to the next one.
pub struct Writer {
    dialer: Dialer,
    open: Option<Open>,
    account: String,
    mode: &'static str,
    release: String,
}

struct Open {
    client: Session,
    record: Statement,
    log: Statement,
}

/// What became of the connection while it was looked after.
pub enum Tended {
    AsBefore,
    Connected,
    Lost(StoreError),
}

impl Writer {
    /// Not connected yet.
    pub fn new(config: &Config, release: String) -> Self {
        Self {
            dialer: Dialer::new(&config.database, "engine"),
            open: None,
            account: config.account.clone(),
            mode: config.mode.as_str(),
            release,
        }
    }

    /// Connects where no connection is, and asks the one that is there for a sign of life.
    pub fn tend(&mut self) -> Tended {
        if let Some(open) = &mut self.open {
            return match answers(&mut open.client) {
                Ok(()) => Tended::AsBefore,
                Err(error) => Tended::Lost(self.lose(error)),
            };
        }
        match self.dialer.dial(PATIENCE).and_then(|client| self.prepare(client)) {
            Ok(open) => {
                self.open = Some(open);
                Tended::Connected
            }
            Err(StoreError::Waiting { .. }) => Tended::AsBefore,
            Err(error) => Tended::Lost(error),
        }
    }

    fn prepare(&mut self, mut client: Session) -> Result<Open, StoreError> {
        let account = self.account.clone();
        let (record, log) =
            Self::statements(&mut client, &account).map_err(|error| self.dialer.back_off(error))?;
        Ok(Open { client, record, log })
    }

    fn statements(client: &mut Client, account: &str) -> Result<(Statement, Statement), StoreError> {
        answers(client)?;
        check_schema(client)?;
        check_account(client, account)?;
        let record = client
            .prepare(
                "insert into signal_decisions (signal_id, account, strategy, decision, reason_code, reason, mode, release)
                 select d.signal_id, $1, d.strategy, d.decision, d.reason_code, d.reason, $2, $3
                 from unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[])
                      d(signal_id, strategy, decision, reason_code, reason)
                 on conflict (signal_id, account) do nothing returning signal_id",
            )
            .map_err(failed("prepare the statement for decisions"))?;
        let log = client
            .prepare(
                "insert into system_logs (time, level, component, account, strategy, message)
                 select e.time, e.level, 'executor/' || e.component, $1, e.strategy, e.message
                 from unnest($2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[])
                      e(time, level, component, strategy, message)",
            )
            .map_err(failed("prepare the statement for log entries"))?;
        Ok((record, log))
    }

    /// Asks for the lock that lets one executor decide for the account. It ends with the connection.
    pub fn try_lock(&mut self) -> Result<Lock, StoreError> {
        let account = self.account.clone();
        self.work(|open| {
            let row = open
                .client
                .query_one(
                    "select pg_try_advisory_lock(hashtextextended('sep-executor/' || $1, 0))",
                    &[&account],
                )
                .map_err(failed("ask for the account's lock"))?;
            Ok(if row.get(0) { Lock::Held } else { Lock::Elsewhere })
        })
    }

    /// Writes decisions; gives those that the database had not got already.
    pub fn record(&mut self, decisions: Vec<Decision>) -> Result<Vec<Decision>, StoreError> {
        let (account, mode, release) = (self.account.clone(), self.mode, self.release.clone());
        self.work(|open| {
            let ids: Vec<i64> = decisions.iter().map(|decision| decision.signal_id).collect();
            let text = |of: fn(&Decision) -> &str| decisions.iter().map(of).collect::<Vec<&str>>();
            let rows = open
                .client
                .query(
                    &open.record,
                    &[
                        &account,
                        &mode,
                        &release,
                        &ids,
                        &text(|decision| &decision.strategy),
                        &text(|decision| decision.outcome.as_str()),
                        &text(|decision| decision.code),
                        &text(|decision| &decision.reason),
                    ],
                )
                .map_err(failed("write signal_decisions"))?;
            let new: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
            Ok(decisions.into_iter().filter(|decision| new.contains(&decision.signal_id)).collect())
        })
    }

    /// Whether there is a connection to write over.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Writes log entries.
    pub fn log(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        let account = self.account.clone();
        self.work(|open| {
            let times: Vec<Timestamp> = entries.iter().map(|entry| entry.time).collect();
            let text = |of: fn(&Entry) -> &str| entries.iter().map(of).collect::<Vec<&str>>();
            let strategies: Vec<Option<&str>> =
                entries.iter().map(|entry| entry.strategy.as_deref()).collect();
            open.client
                .execute(
                    &open.log,
                    &[
                        &account,
                        &times,
                        &text(|entry| entry.level.as_str()),
                        &text(|entry| entry.component),
                        &strategies,
                        &text(|entry| &entry.message),
                    ],
                )
                .map(drop)
                .map_err(failed("write system_logs"))
        })
    }

    /// Lets go of the connection and with it of the lock.
    pub fn close(&mut self) {
        self.open = None;
    }

    /// Does `work` over the connection. Any failure ends the connection: what is true then is found out anew.
    fn work<T>(&mut self, work: impl FnOnce(&mut Open) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let Some(open) = &mut self.open else { return Err(StoreError::Closed) };
        let done = answers(&mut open.client).and_then(|()| work(open));
        done.map_err(|error| self.lose(error))
    }

    fn lose(&mut self, error: StoreError) -> StoreError {
        self.close();
        self.dialer.back_off(error)
    }
}
