//! A database role. No passwords: peer authentication and pg_ident decide who may be whom.

use serde::{Deserialize, Serialize};

use super::{Ahead, ApplyError, Finding, Kind, Workstation};
use crate::machine::{Machine, MachineError, PostgresTarget, identifier, literal};
use crate::plan::{Action, diff};

/// A role that may log in and has no special rights.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PostgresRole {
    pub port: u16,
    pub name: String,
    /// -1: no limit.
    pub connection_limit: i32,
    /// Roles whose rights it has, sorted.
    pub member_of: Vec<String>,
    /// `default_transaction_read_only=on` and the like, sorted.
    pub settings: Vec<String>,
}

impl PostgresRole {
    fn target(&self) -> PostgresTarget {
        PostgresTarget { port: self.port, database: "postgres".into() }
    }

    fn wanted(&self) -> String {
        shown(
            "login",
            &self.connection_limit.to_string(),
            &self.member_of.join(","),
            &self.settings.join(","),
        )
    }

    fn found(&self, machine: &Machine) -> Result<Option<String>, MachineError> {
        let sql = format!(
            "select concat_ws(' ', case when rolcanlogin then 'login' else 'nologin' end, \
               case when rolsuper then 'superuser' end, case when rolcreaterole then 'createrole' end, \
               case when rolcreatedb then 'createdb' end, case when rolreplication then 'replication' end, \
               case when rolbypassrls then 'bypassrls' end, case when not rolinherit then 'noinherit' end), \
             rolconnlimit, \
             (select coalesce(string_agg(g.rolname, ',' order by g.rolname), '') from pg_auth_members m \
               join pg_roles g on g.oid = m.roleid where m.member = r.oid), \
             coalesce((select string_agg(c, ',' order by c) from unnest(rolconfig) c), '') \
             from pg_roles r where rolname = {}",
            literal(&self.name)
        );
        let rows = machine.ask(&self.target(), &sql)?;
        Ok(rows.first().map(|row| {
            let text = |i: usize| row.get(i).cloned().flatten().unwrap_or_default();
            shown(&text(0), &text(1), &text(2), &text(3))
        }))
    }
}

fn shown(attributes: &str, limit: &str, member_of: &str, settings: &str) -> String {
    format!("attributes {attributes}\nconnection limit {limit}\nmember of {member_of}\nsettings {settings}\n")
}

impl Kind for PostgresRole {
    fn id(&self) -> String {
        format!("postgres_role {}", self.name)
    }

    fn check(&self, machine: &Machine, ahead: &Ahead) -> Result<Option<Finding>, MachineError> {
        if ahead.changes_kind("postgres_cluster") || !machine.postgres_listens(self.port) {
            return Ok(Some(Finding::with(Action::Create, "is missing", diff("", &self.wanted()))));
        }
        let found = match self.found(machine) {
            Ok(found) => found,
            Err(MachineError::PostgresShut { reason, .. }) if ahead.changes_kind("postgres_config") => {
                let why = format!("cannot be looked at before the server's files are mended ({reason})");
                return Ok(Some(Finding::new(Action::Update, why)));
            }
            Err(error) => return Err(error),
        };
        Ok(match found {
            None => Some(Finding::with(Action::Create, "is missing", diff("", &self.wanted()))),
            Some(found) if found == self.wanted() => None,
            Some(found) => Some(Finding::with(
                Action::Update,
                "has other rights or settings",
                diff(&found, &self.wanted()),
            )),
        })
    }

    fn apply(&self, machine: &Machine, _: &mut dyn Workstation) -> Result<(), ApplyError> {
        let name = identifier(&self.name);
        let mut sql = String::from("begin; ");
        if self.found(machine)?.is_none() {
            sql.push_str(&format!("create role {name}; "));
        }
        sql.push_str(&format!(
            "alter role {name} login nosuperuser nocreaterole nocreatedb noreplication nobypassrls inherit \
             connection limit {}; alter role {name} reset all; ",
            self.connection_limit
        ));
        for setting in &self.settings {
            if let Some((key, value)) = setting.split_once('=') {
                sql.push_str(&format!("alter role {name} set {} = {}; ", identifier(key), literal(value)));
            }
        }
        let current = format!(
            "select g.rolname from pg_auth_members m join pg_roles g on g.oid = m.roleid \
             join pg_roles r on r.oid = m.member where r.rolname = {}",
            literal(&self.name)
        );
        for row in machine.ask(&self.target(), &current)? {
            if let Some(Some(group)) = row.first()
                && !self.member_of.contains(group)
            {
                sql.push_str(&format!("revoke {} from {name}; ", identifier(group)));
            }
        }
        for group in &self.member_of {
            sql.push_str(&format!("grant {} to {name}; ", identifier(group)));
        }
        sql.push_str("commit");
        Ok(machine.tell(&self.target(), &sql)?)
    }
}
