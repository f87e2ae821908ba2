//! A database: its owner, who may connect, its extensions.

use serde::{Deserialize, Serialize};

use super::{Ahead, ApplyError, Finding, Kind, Workstation};
use crate::machine::{Machine, MachineError, PostgresTarget, identifier, literal};
use crate::plan::{Action, diff};

/// A database; its schema is [`super::Schema`]'s.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PostgresDatabase {
    pub port: u16,
    pub name: String,
    pub owner: String,
    /// Roles that may connect besides the owner, sorted; nobody else may.
    pub connect: Vec<String>,
    /// Kept at the newest version that the installed packages offer.
    pub extensions: Vec<String>,
}

impl PostgresDatabase {
    fn at(&self, database: &str) -> PostgresTarget {
        PostgresTarget { port: self.port, database: database.to_owned() }
    }

    fn wanted(&self) -> String {
        let mut text = format!("owner {}\n", self.owner);
        for role in &self.connect {
            text.push_str(&format!("connect {role}\n"));
        }
        text
    }

    fn found(&self, machine: &Machine) -> Result<Option<String>, MachineError> {
        let sql = format!(
            "select pg_get_userbyid(datdba), \
             (select coalesce(string_agg(p.line, E'\\n' order by p.line), '') from ( \
               select lower(a.privilege_type) || ' ' || \
                 case when a.grantee = 0 then 'everybody' else pg_get_userbyid(a.grantee) end as line \
               from aclexplode(coalesce(datacl, acldefault('d', datdba))) a where a.grantee <> datdba) p) \
             from pg_database where datname = {}",
            literal(&self.name)
        );
        let rows = machine.ask(&self.at("postgres"), &sql)?;
        Ok(rows.first().map(|row| {
            let text = |i: usize| row.get(i).cloned().flatten().unwrap_or_default();
            let rights = text(1);
            let end = if rights.is_empty() { "" } else { "\n" };
            format!("owner {}\n{rights}{end}", text(0))
        }))
    }

    /// Diff lines for extensions that are missing or older than their packages.
    fn extension_lines(&self, machine: &Machine) -> Result<Vec<String>, MachineError> {
        let names: Vec<String> = self.extensions.iter().map(|name| literal(name)).collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "select name, default_version, installed_version from pg_available_extensions where name in ({})",
            names.join(",")
        );
        let rows = machine.ask(&self.at(&self.name), &sql)?;
        let mut lines = Vec::new();
        for name in &self.extensions {
            let row = rows.iter().find(|row| row.first().cloned().flatten().as_ref() == Some(name));
            let Some([_, Some(newest), installed]) = row.map(Vec::as_slice) else {
                return Err(MachineError::Expectation(format!(
                    "PostgreSQL offers no extension `{name}`; is its package installed for this version?"
                )));
            };
            match installed {
                Some(version) if version == newest => {}
                Some(version) => {
                    lines.extend([
                        format!("-extension {name} {version}"),
                        format!("+extension {name} {newest}"),
                    ]);
                }
                None => lines.push(format!("+extension {name} {newest}")),
            }
        }
        Ok(lines)
    }
}

impl Kind for PostgresDatabase {
    fn id(&self) -> String {
        format!("postgres_database {}", self.name)
    }

    fn check(&self, machine: &Machine, ahead: &Ahead) -> Result<Option<Finding>, MachineError> {
        let missing = || {
            let mut lines = diff("", &self.wanted());
            lines.extend(self.extensions.iter().map(|name| format!("+extension {name}")));
            Finding::with(Action::Create, "is missing", lines)
        };
        if ahead.changes_kind("postgres_cluster") || !machine.postgres_listens(self.port) {
            return Ok(Some(missing()));
        }
        let found = match self.found(machine) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Some(missing())),
            Err(MachineError::PostgresShut { reason, .. }) if ahead.changes_kind("postgres_config") => {
                let why = format!("cannot be looked at before the server's files are mended ({reason})");
                return Ok(Some(Finding::new(Action::Update, why)));
            }
            Err(error) => return Err(error),
        };
        let mut lines = diff(&found, &self.wanted());
        lines.extend(self.extension_lines(machine)?);
        Ok((!lines.is_empty())
            .then(|| Finding::with(Action::Update, "has another owner, other rights or extensions", lines)))
    }

    fn apply(&self, machine: &Machine, _: &mut dyn Workstation) -> Result<(), ApplyError> {
        let (name, owner) = (identifier(&self.name), identifier(&self.owner));
        let server = self.at("postgres");
        if self.found(machine)?.is_none() {
            machine.tell(&server, &format!("create database {name} owner {owner} template template0"))?;
        }
        machine.tell(&server, &format!("alter database {name} owner to {owner}"))?;
        let grantees = format!(
            "select distinct case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end \
             from pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) a \
             where datname = {} and a.grantee <> datdba",
            literal(&self.name)
        );
        let mut sql = String::from("begin; ");
        for row in machine.ask(&server, &grantees)? {
            if let Some(Some(grantee)) = row.first() {
                sql.push_str(&format!("revoke all on database {name} from {grantee}; "));
            }
        }
        for role in &self.connect {
            sql.push_str(&format!("grant connect on database {name} to {}; ", identifier(role)));
        }
        sql.push_str("commit");
        machine.tell(&server, &sql)?;
        for extension in &self.extensions {
            let extension = identifier(extension);
            machine.tell(&self.at(&self.name), &format!("create extension if not exists {extension}"))?;
            // The update of TimescaleDB must be the first statement of its session.
            machine.forget();
            machine.tell(&self.at(&self.name), &format!("alter extension {extension} update"))?;
        }
        Ok(())
    }
}
