//! Migrations: run by refinery from here, over a forwarded socket, as the schema's owner.

use refinery::Runner;

use super::database::connect;
use crate::resource::Migration;
use crate::ssh::Connection;

mod embedded {
    refinery::embed_migrations!("../migrations");
}

/// Every migration this version carries, in order.
pub fn migrations() -> Vec<Migration> {
    let mut all: Vec<Migration> = runner()
        .get_migrations()
        .iter()
        .map(|m| Migration {
            version: i64::from(m.version()),
            name: m.name().to_owned(),
            checksum: m.checksum().to_string(),
        })
        .collect();
    all.sort_by_key(|m| m.version);
    all
}

fn runner() -> Runner {
    embedded::migrations::runner()
}

/// Applies what is pending, each migration in a transaction of its own.
pub async fn run(connection: &Connection, socket: &str, database: &str, role: &str) -> Result<(), String> {
    let mut client = connect(connection, socket, database, role).await.map_err(|e| e.to_string())?;
    let report =
        runner().set_abort_divergent(true).set_abort_missing(true).run_async(&mut client).await.map_err(
            |e| {
                let cause = std::error::Error::source(&e).map(ToString::to_string).unwrap_or_default();
                format!("a migration of {database} failed: {e}: {cause}")
            },
        )?;
    drop(report);
    Ok(())
}
