//! The database as this daemon uses it. Each thread has a connection of its own and a type that says what is
//! done over it: [`reader`] for the intake, [`writer`] for the engine, [`report`] for the status.
//!
//! Owns the SQL, how connections are made and how errors are told. Must not decide anything.

pub mod dial;
pub mod reader;
pub mod report;
pub mod writer;

use std::error::Error;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use postgres::Client;

use crate::config::Database;

/// The newest migration whose tables and functions this release relies on.
const NEEDED_SCHEMA: i32 = 6;

/// A live server answers an empty query within this; later it counts as away.
const ANSWER: Duration = Duration::from_millis(1_500);

/// Why the database could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot connect: {}", cause(.0))]
    Connect(#[source] postgres::Error),
    #[error("no answer to a connection within {} s", .0.as_secs_f32())]
    Hung(Duration),
    #[error("not tried again yet; the last attempt: {last}")]
    Waiting { last: String },
    #[error("cannot start a thread for the connection: {0}")]
    Thread(#[source] std::io::Error),
    #[error("cannot {what}: {}", cause(.source))]
    Query { what: &'static str, source: postgres::Error },
    #[error("the connection was closed")]
    Closed,
    #[error("no answer within {} s", ANSWER.as_secs_f32())]
    Silent,
    #[error("the database holds no migrations; run them first (sepctl deploy)")]
    NoSchema,
    #[error(
        "the schema is at version {found}, this release needs {NEEDED_SCHEMA}; run the migrations first (sepctl deploy)"
    )]
    OldSchema { found: i32 },
    #[error("account {account} is unknown; found in the table accounts: {known}")]
    UnknownAccount { account: String, known: String },
    #[error("settings: {0}")]
    Settings(String),
    #[error("column {column} holds {found:?}, which this release does not know")]
    Unexpected { column: &'static str, found: String },
}

/// The server's own words, or the lowest cause: `db error` and `error connecting` help nobody.
fn cause(error: &postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", db.message(), db.code().code());
    }
    let mut lowest: &dyn Error = error;
    while let Some(source) = lowest.source() {
        lowest = source;
    }
    lowest.to_string()
}

/// Turns an error of `postgres` into ours, with what was being done.
fn failed(what: &'static str) -> impl FnOnce(postgres::Error) -> StoreError {
    move |source| StoreError::Query { what, source }
}

/// Whether the server answers now. Asked before every piece of work: the statement timeout is kept by the
/// server, and one that hangs keeps nothing.
fn answers(client: &mut Client) -> Result<(), StoreError> {
    let asked = Instant::now();
    client.is_valid(ANSWER).map_err(|_| match asked.elapsed() < ANSWER {
        true => StoreError::Closed,
        false => StoreError::Silent,
    })
}

/// A connection. Closing one waits for outstanding answers, which a hung server never gives: so it is let go in
/// a thread of its own, whoever drops it and why.
pub struct Session(Option<Client>);

impl Session {
    /// Takes a connection over.
    pub fn new(client: Client) -> Self {
        Self(Some(client))
    }
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.0.as_ref().expect("only drop takes the client out")
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Client {
        self.0.as_mut().expect("only drop takes the client out")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let client = self.0.take();
        // Where no thread can be had, the closure and with it the client is dropped here and now.
        let _ = std::thread::Builder::new()
            .name("let-go".to_owned())
            .stack_size(STACK)
            .spawn(move || drop(client));
    }
}

/// Enough for a connection attempt, and for every thread here that does no more than talk to the database.
pub const STACK: usize = 256 * 1024;

/// Checks the schema's version; gives it.
fn check_schema(client: &mut Client) -> Result<i32, StoreError> {
    let found: Option<i32> = match client.query_one("select max(version) from refinery_schema_history", &[]) {
        Ok(row) => row.get(0),
        Err(error) if error.code() == Some(&postgres::error::SqlState::UNDEFINED_TABLE) => None,
        Err(error) => return Err(failed("read refinery_schema_history")(error)),
    };
    match found {
        None => Err(StoreError::NoSchema),
        Some(found) if found < NEEDED_SCHEMA => Err(StoreError::OldSchema { found }),
        Some(found) => Ok(found),
    }
}

/// Checks that the daemon could work here: reachable, migrated, account known, settings usable. Gives the
/// schema's version.
pub fn probe(database: &Database, account: &str) -> Result<i32, StoreError> {
    let mut client = dial::Dialer::new(database, "check").dial(Duration::from_secs(5))?;
    answers(&mut client)?;
    let schema = check_schema(&mut client)?;
    check_account(&mut client, account)?;
    let mut reader = reader::Reader::open(client, account)?;
    reader.settings()?.map_err(StoreError::Settings)?;
    Ok(schema)
}

fn check_account(client: &mut Client, account: &str) -> Result<(), StoreError> {
    let row = client
        .query_one(
            "select coalesce(bool_or(account = $1), false), coalesce(string_agg(account, ', ' order by account), 'none')
             from accounts",
            &[&account],
        )
        .map_err(failed("read accounts"))?;
    if row.get(0) {
        return Ok(());
    }
    Err(StoreError::UnknownAccount { account: account.to_owned(), known: row.get(1) })
}
