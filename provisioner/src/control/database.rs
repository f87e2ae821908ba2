//! The droplet's PostgreSQL, reached through the SSH connection: a forwarded unix socket, never an open port.

use tokio_postgres::NoTls;

use crate::ssh::{Connection, SshError};

/// Why the database was not to be had, or refused something.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error(transparent)]
    Ssh(#[from] Box<SshError>),
    #[error("PostgreSQL does not let `{role}` into {database}: {reason}")]
    Denied { role: String, database: String, reason: String },
    #[error("cannot talk to PostgreSQL at {socket}: {source}")]
    Broken { socket: String, source: tokio_postgres::Error },
}

/// A client as `role`: pg_ident on the host says whether the SSH user may be it.
pub async fn connect(
    connection: &Connection,
    socket: &str,
    database: &str,
    role: &str,
) -> Result<tokio_postgres::Client, DatabaseError> {
    let stream = connection.unix_stream(socket).await.map_err(Box::new)?;
    let mut config = tokio_postgres::Config::new();
    config.user(role).dbname(database).application_name("sepctl");
    let (client, driver) =
        config.connect_raw(stream, NoTls).await.map_err(|source| match source.as_db_error() {
            Some(db) => DatabaseError::Denied {
                role: role.to_owned(),
                database: database.to_owned(),
                reason: db.message().to_owned(),
            },
            None => DatabaseError::Broken { socket: socket.to_owned(), source },
        })?;
    // Ends with the client, or with the connection, whose error then comes up in the client's calls.
    tokio::spawn(async move { drop(driver.await) });
    Ok(client)
}
