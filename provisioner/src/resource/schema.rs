//! The migrations of one database: looked at on the host, run from the workstation through the SSH connection.

use serde::{Deserialize, Serialize};

use super::{Ahead, ApplyError, Finding, Kind, Workstation};
use crate::exchange::Ask;
use crate::machine::{Machine, MachineError, PostgresTarget, socket};
use crate::plan::Action;

/// All migrations that a database must have, in order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Schema {
    pub port: u16,
    pub database: String,
    /// Who owns the tables.
    pub role: String,
    pub migrations: Vec<Migration>,
}

/// One migration, as refinery names and hashes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migration {
    pub version: i64,
    pub name: String,
    pub checksum: String,
}

impl Schema {
    fn target(&self) -> PostgresTarget {
        PostgresTarget { port: self.port, database: self.database.clone() }
    }

    fn applied(&self, machine: &Machine) -> Result<Vec<Migration>, MachineError> {
        let history = "select to_regclass('public.refinery_schema_history') is not null";
        let exists = machine.ask(&self.target(), history)?;
        if exists.first().and_then(|row| row.first()?.as_deref()) != Some("t") {
            return Ok(Vec::new());
        }
        let sql = "select version, name, checksum from public.refinery_schema_history order by version";
        let mut applied = Vec::new();
        for row in machine.ask(&self.target(), sql)? {
            let [Some(version), Some(name), Some(checksum)] = row.as_slice() else {
                return Err(self.damaged("a row with missing values"));
            };
            applied.push(Migration {
                version: version.parse().map_err(|_| self.damaged(version))?,
                name: name.clone(),
                checksum: checksum.clone(),
            });
        }
        Ok(applied)
    }

    fn damaged(&self, found: &str) -> MachineError {
        MachineError::Expectation(format!(
            "the migration history of {} is damaged: found {found} in refinery_schema_history; restore the table from a backup",
            self.database
        ))
    }

    /// The migrations that are not applied yet, or why the history does not fit.
    fn pending(&self, applied: &[Migration]) -> Result<Vec<&Migration>, MachineError> {
        for (position, found) in applied.iter().enumerate() {
            match self.migrations.get(position) {
                Some(wanted) if wanted == found => {}
                Some(wanted) if wanted.version == found.version => {
                    return Err(MachineError::Expectation(format!(
                        "migration V{}__{} was applied to {} with other content than V{}__{} has now; an applied migration never changes: restore the file and put the difference into a new one",
                        found.version, found.name, self.database, wanted.version, wanted.name
                    )));
                }
                _ => {
                    return Err(MachineError::Expectation(format!(
                        "{} has migration V{}__{}, which this sepctl does not know; use the version that applied it or a newer one",
                        self.database, found.version, found.name
                    )));
                }
            }
        }
        Ok(self.migrations.iter().skip(applied.len()).collect())
    }
}

impl Kind for Schema {
    fn id(&self) -> String {
        format!("schema {}", self.database)
    }

    fn check(&self, machine: &Machine, ahead: &Ahead) -> Result<Option<Finding>, MachineError> {
        let unmade = !machine.postgres_listens(self.port)
            || ahead.changes_kind("postgres_cluster")
            || ahead.changes(&format!("postgres_database {}", self.database));
        let applied = match self.applied(machine) {
            Ok(applied) => applied,
            Err(MachineError::Postgres { .. }) if unmade => Vec::new(),
            Err(MachineError::PostgresShut { .. }) if ahead.changes_kind("postgres_config") => Vec::new(),
            Err(error) => return Err(error),
        };
        let pending = self.pending(&applied)?;
        let lines = pending.iter().map(|m| format!("+V{}__{}", m.version, m.name)).collect::<Vec<_>>();
        Ok((!lines.is_empty()).then(|| Finding::with(Action::Update, "migrations are pending", lines)))
    }

    fn apply(&self, _: &Machine, workstation: &mut dyn Workstation) -> Result<(), ApplyError> {
        Ok(workstation.ask(Ask::Migrate {
            database: self.database.clone(),
            socket: socket(self.port),
            role: self.role.clone(),
        })?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migration(version: i64, checksum: &str) -> Migration {
        Migration { version, name: format!("m{version}"), checksum: checksum.into() }
    }

    fn schema() -> Schema {
        Schema {
            port: 5432,
            database: "d".into(),
            role: "o".into(),
            migrations: vec![migration(1, "a"), migration(2, "b")],
        }
    }

    #[test]
    fn what_is_not_applied_is_pending() {
        let schema = schema();
        assert_eq!(schema.pending(&[migration(1, "a")]).unwrap(), [&migration(2, "b")]);
        assert!(schema.pending(&schema.migrations).unwrap().is_empty());
    }

    #[test]
    fn a_changed_or_unknown_migration_is_refused() {
        let changed = schema().pending(&[migration(1, "x")]).unwrap_err().to_string();
        assert!(changed.contains("V1__m1 was applied to d with other content"), "{changed}");
        let mut applied = schema().migrations;
        applied.push(migration(3, "c"));
        let unknown = schema().pending(&applied).unwrap_err().to_string();
        assert!(unknown.contains("V3__m3, which this sepctl does not know"), "{unknown}");
    }
}
