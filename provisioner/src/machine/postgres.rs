//! Connections to the host's own PostgreSQL, as its superuser through the socket (pg_ident maps root).

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use postgres::{Client, Config, NoTls};
use serde::{Deserialize, Serialize};

use super::{Machine, MachineError, lock};

/// Which server and database to talk to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresTarget {
    pub port: u16,
    pub database: String,
}

/// An open connection.
pub struct Database {
    client: Client,
    name: String,
}

impl PostgresTarget {
    /// The socket that clients on the host, and those who come through SSH, connect to.
    pub fn socket(&self) -> String {
        socket(self.port)
    }
}

/// PostgreSQL's socket for a port, in Debian's place.
pub fn socket(port: u16) -> String {
    format!("/var/run/postgresql/.s.PGSQL.{port}")
}

impl Machine {
    /// Whether something listens at the server's socket; asked once, as the server forks for each try.
    pub fn postgres_listens(&self, port: u16) -> bool {
        let tried = || Path::new(&socket(port)).exists() && UnixStream::connect(socket(port)).is_ok();
        *lock(&self.listening).entry(port).or_insert_with(tried)
    }

    /// The connection to a database, opened once.
    pub fn database(&self, target: &PostgresTarget) -> Result<Arc<Mutex<Database>>, MachineError> {
        let key = format!("{}/{}", target.port, target.database);
        if let Some(database) = lock(&self.databases).get(&key) {
            return Ok(Arc::clone(database));
        }
        let client = Config::new()
            .host_path("/var/run/postgresql")
            .port(target.port)
            .user("postgres")
            .dbname(&target.database)
            .application_name("sepctl")
            .connect_timeout(Duration::from_secs(10))
            .options("-c statement_timeout=120s -c lock_timeout=20s -c client_min_messages=warning")
            .connect(NoTls)
            .map_err(|e| explain(&target.database, &e))?;
        let database = Arc::new(Mutex::new(Database { client, name: target.database.clone() }));
        lock(&self.databases).insert(key, Arc::clone(&database));
        Ok(database)
    }

    /// Asks one question, without parameters, and gives the rows as text.
    pub fn ask(&self, target: &PostgresTarget, sql: &str) -> Result<Vec<Vec<Option<String>>>, MachineError> {
        let database = self.database(target)?;
        lock(&database).ask(sql)
    }

    /// Runs statements that answer nothing.
    pub fn tell(&self, target: &PostgresTarget, sql: &str) -> Result<(), MachineError> {
        self.ask(target, sql).map(|_| ())
    }
}

impl Database {
    fn ask(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, MachineError> {
        let messages = self.client.simple_query(sql).map_err(|e| explain(&self.name, &e))?;
        let mut rows = Vec::new();
        for message in messages {
            if let postgres::SimpleQueryMessage::Row(row) = message {
                rows.push((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect());
            }
        }
        Ok(rows)
    }
}

fn explain(database: &str, error: &postgres::Error) -> MachineError {
    let reason = match error.as_db_error() {
        Some(db) if db.code().code().starts_with("28") => {
            let reason = db.message().to_owned();
            return MachineError::PostgresShut { database: database.to_owned(), reason };
        }
        Some(db) => format!("{} (SQLSTATE {})", db.message(), db.code().code()),
        None => error.to_string(),
    };
    MachineError::Postgres { database: database.to_owned(), reason }
}

/// A name as an SQL identifier.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as an SQL literal.
pub fn literal(text: &str) -> String {
    if text.contains('\\') {
        format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}
