//! Migrations: run by refinery from here, over a forwarded socket, as the schema's owner.

use refinery::Runner;
use tokio_postgres::NoTls;

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
    let mut client = connect(connection, socket, database, role).await?;
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

/// A client of the host's PostgreSQL as `role`; pg_ident lets the SSH user be it.
pub async fn connect(
    connection: &Connection,
    socket: &str,
    database: &str,
    role: &str,
) -> Result<tokio_postgres::Client, String> {
    let stream = connection.unix_stream(socket).await.map_err(|e| e.to_string())?;
    let mut config = tokio_postgres::Config::new();
    config.user(role).dbname(database).application_name("sepctl");
    let (client, driver) = config.connect_raw(stream, NoTls).await.map_err(|e| match e.as_db_error() {
        Some(db) => format!("PostgreSQL does not let `{role}` into {database}: {}", db.message()),
        None => format!("cannot talk to PostgreSQL at {socket}: {e}"),
    })?;
    // Ends with the client, or with the connection, whose error then comes up in the client's calls.
    tokio::spawn(async move { drop(driver.await) });
    Ok(client)
}
