//! The server's settings and who may connect: files, and whether the running server has taken them over.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Ahead, ApplyError, Finding, Kind, Workstation};
use crate::machine::{Command, Machine, MachineError, Ownership, PostgresTarget, identifier, literal};
use crate::plan::{Action, diff};

/// `conf.d/90-sep.conf`, `pg_hba.conf` and `pg_ident.conf` of one cluster.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PostgresConfig {
    pub version: u16,
    pub cluster: String,
    pub port: u16,
    /// By name, values in PostgreSQL's own notation.
    pub settings: BTreeMap<String, String>,
    pub hba: String,
    pub ident: String,
}

/// What the running server is behind with.
#[derive(Debug, Default, PartialEq)]
struct Behind {
    /// Settings that wait for a restart.
    restart: Vec<String>,
    /// A file is newer than the last reload.
    reload: bool,
    /// Settings that ALTER SYSTEM overrides.
    overridden: Vec<String>,
}

impl PostgresConfig {
    fn folder(&self) -> PathBuf {
        PathBuf::from(format!("/etc/postgresql/{}/{}", self.version, self.cluster))
    }

    fn unit(&self) -> String {
        format!("postgresql@{}-{}.service", self.version, self.cluster)
    }

    fn target(&self) -> PostgresTarget {
        PostgresTarget { port: self.port, database: "postgres".into() }
    }

    fn settings_text(&self) -> String {
        let mut text =
            String::from("# Written by sepctl; a change made here is undone by the next deployment.\n");
        for (name, value) in &self.settings {
            text.push_str(&format!("{name} = {}\n", crate::tuning::quoted(value)));
        }
        text
    }

    /// Path, wanted content and mode of each file.
    fn files(&self) -> [(PathBuf, String, u32); 3] {
        let folder = self.folder();
        [
            (folder.join("conf.d/90-sep.conf"), self.settings_text(), 0o644),
            (folder.join("pg_hba.conf"), self.hba.clone(), 0o640),
            (folder.join("pg_ident.conf"), self.ident.clone(), 0o640),
        ]
    }

    fn file_lines(&self, machine: &Machine) -> Result<Vec<String>, MachineError> {
        let mut lines = Vec::new();
        for (path, wanted, mode) in self.files() {
            let found = machine.read(&path)?.unwrap_or_default();
            let metadata = machine.metadata(&path)?;
            let ownership = Ownership { owner: "postgres".into(), group: "postgres".into(), mode };
            let mut of_this = diff(&found, &wanted);
            if let Some(metadata) = metadata {
                of_this.extend(super::file::ownership_diff(&metadata.ownership, &ownership));
            }
            if !of_this.is_empty() {
                lines.push(format!(" {}", path.display()));
                lines.extend(of_this);
            }
        }
        Ok(lines)
    }

    fn behind(&self, machine: &Machine) -> Result<Behind, MachineError> {
        let names: Vec<String> = self.settings.keys().map(|name| literal(name)).collect();
        let sql = format!(
            "select name, pending_restart, coalesce(sourcefile, '') like '%postgresql.auto.conf', null, \
             extract(epoch from pg_conf_load_time())::numeric(20,6) from pg_settings where name in ({}) \
             union all select name, error is not null and not applied, false, error, null \
             from pg_file_settings where sourcefile = {} and error is not null",
            names.join(","),
            literal(&self.folder().join("conf.d/90-sep.conf").display().to_string())
        );
        let mut behind = Behind::default();
        let mut loaded = None;
        for row in machine.ask(&self.target(), &sql)? {
            let [name, restart, overridden, error, load_time] = row.as_slice() else { continue };
            let name = name.clone().unwrap_or_default();
            if let Some(error) = error
                && error != "setting could not be applied"
            {
                return Err(MachineError::Expectation(format!(
                    "PostgreSQL does not accept {name}: {error}; correct it under `postgres.settings` in the inventory"
                )));
            }
            if restart.as_deref() == Some("t") && !behind.restart.contains(&name) {
                behind.restart.push(name.clone());
            }
            if overridden.as_deref() == Some("t") {
                behind.overridden.push(name);
            }
            loaded = load_time.as_deref().and_then(micros).or(loaded);
        }
        for (path, _, _) in self.files() {
            let modified = machine.metadata(&path)?.map(|m| m.modified);
            behind.reload |= modified > loaded;
        }
        Ok(behind)
    }

    /// Of the settings whose text differs from the file's, those that only a restart applies.
    fn will_restart(&self, machine: &Machine) -> Result<Vec<String>, MachineError> {
        let (path, _, _) = &self.files()[0];
        let found = machine.read(path)?.unwrap_or_default();
        let wanted = self.settings_text();
        let changed: Vec<String> = diff(&found, &wanted)
            .iter()
            .filter(|line| line.starts_with(['+', '-']))
            .filter_map(|line| line[1..].split(" = ").next().map(literal))
            .collect();
        if changed.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "select name from pg_settings where context = 'postmaster' and name in ({})",
            changed.join(",")
        );
        Ok(machine.ask(&self.target(), &sql)?.into_iter().filter_map(|row| row.into_iter().next()?).collect())
    }
}

impl Kind for PostgresConfig {
    fn id(&self) -> String {
        format!("postgres_config {}/{}", self.version, self.cluster)
    }

    fn check(&self, machine: &Machine, ahead: &Ahead) -> Result<Option<Finding>, MachineError> {
        let mut lines = self.file_lines(machine)?;
        if !machine.postgres_listens(self.port) || ahead.changes_kind("postgres_cluster") {
            return Ok((!lines.is_empty()).then(|| Finding::with(Action::Update, "its files differ", lines)));
        }
        if !lines.is_empty() {
            // pg_hba may just be what keeps us out; then the files are mended first.
            let restart = self.will_restart(machine).unwrap_or_default();
            let why = if restart.is_empty() {
                "its files differ; a reload applies them".to_owned()
            } else {
                format!("its files differ; the server is restarted for {}", restart.join(", "))
            };
            let action = if restart.is_empty() { Action::Update } else { Action::Restart };
            return Ok(Some(Finding::with(action, why, lines)));
        }
        let behind = match self.behind(machine) {
            Ok(behind) => behind,
            // The files are right and not read yet: they are what lets us in.
            Err(MachineError::PostgresShut { reason, .. }) => {
                let why = format!("the server has not read its newest files ({reason})");
                return Ok(Some(Finding::new(Action::Reload, why)));
            }
            Err(error) => return Err(error),
        };
        lines.extend(behind.overridden.iter().map(|name| format!("-alter system set {name}")));
        lines.extend(behind.restart.iter().map(|name| format!("+{name} (waits for a restart)")));
        if !behind.restart.is_empty() {
            let why = "the server was started with other settings";
            return Ok(Some(Finding::with(Action::Restart, why, lines)));
        }
        if !behind.overridden.is_empty() {
            return Ok(Some(Finding::with(Action::Update, "ALTER SYSTEM overrides settings", lines)));
        }
        Ok(behind.reload.then(|| Finding::new(Action::Reload, "the server has not read its newest files")))
    }

    fn apply(&self, machine: &Machine, _: &mut dyn Workstation) -> Result<(), ApplyError> {
        let before: Vec<Option<String>> =
            self.files().iter().map(|(path, _, _)| machine.read(path)).collect::<Result<_, _>>()?;
        for (path, wanted, mode) in self.files() {
            let ownership = Ownership { owner: "postgres".into(), group: "postgres".into(), mode };
            if machine.read(&path)?.as_deref() == Some(&wanted) {
                machine.set_ownership(&path, &ownership)?;
            } else {
                machine.write(&path, wanted.as_bytes(), &ownership)?;
            }
        }
        crate::failpoint::hit("host-postgres-files-written");
        if !machine.postgres_listens(self.port) {
            return Ok(()); // the service starts with them
        }
        machine.run(&Command::new("systemctl", ["reload", &self.unit()]))?;
        machine.forget();
        let mut behind = wait_for_reload(self, machine)?;
        for name in &behind.overridden {
            machine.tell(&self.target(), &format!("alter system reset {}", identifier(name)))?;
        }
        if !behind.overridden.is_empty() {
            machine.tell(&self.target(), "select pg_reload_conf()")?;
            machine.forget();
            behind = self.behind(machine)?;
        }
        if behind.restart.is_empty() {
            return Ok(());
        }
        let restarted = restart(machine, &self.unit(), self.port);
        if let Err(error) = restarted {
            for ((path, _, mode), text) in self.files().iter().zip(before) {
                let ownership = Ownership { owner: "postgres".into(), group: "postgres".into(), mode: *mode };
                if let Some(text) = text {
                    machine.write(path, text.as_bytes(), &ownership)?;
                }
            }
            restart(machine, &self.unit(), self.port)?;
            return Err(ApplyError::RolledBack(format!(
                "PostgreSQL did not start with the new settings and runs with the old ones again: {error}"
            )));
        }
        Ok(())
    }
}

/// Restarts and waits for answers: Debian's unit reports success even where the server did not start.
fn restart(machine: &Machine, unit: &str, port: u16) -> Result<(), MachineError> {
    machine.forget();
    machine.run(&Command::new("systemctl", ["restart", unit]).limit(Duration::from_secs(180)))?;
    wait_until_ready(machine, port)
}

/// Waits until the server accepts connections.
pub(super) fn wait_until_ready(machine: &Machine, port: u16) -> Result<(), MachineError> {
    let port = port.to_string();
    let ready = Command::new("pg_isready", ["-q", "-h", "/var/run/postgresql", "-p", &port]);
    let end = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        if machine.try_run(&ready)?.0 == Some(0) {
            return Ok(());
        }
        if std::time::Instant::now() > end {
            return Err(MachineError::Expectation(format!(
                "PostgreSQL does not accept connections on port {port} after 60 s; see `journalctl -u 'postgresql@*'` and /var/log/postgresql on the host"
            )));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A reload is a signal: the server takes a moment to read its files.
fn wait_for_reload(config: &PostgresConfig, machine: &Machine) -> Result<Behind, MachineError> {
    let end = std::time::Instant::now() + Duration::from_secs(10);
    loop {
        let behind = config.behind(machine);
        // Until it has read them, the old pg_hba.conf decides.
        let unread =
            matches!(behind, Ok(Behind { reload: true, .. }) | Err(MachineError::PostgresShut { .. }));
        if !unread || std::time::Instant::now() > end {
            return behind;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// `1795218961.123456` seconds as microseconds.
fn micros(seconds: &str) -> Option<i64> {
    let (whole, fraction) = seconds.split_once('.')?;
    let fraction = format!("{fraction:0<6}");
    Some(whole.parse::<i64>().ok()? * 1_000_000 + fraction.get(..6)?.parse::<i64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_microseconds() {
        assert_eq!(micros("1795218961.123456"), Some(1_795_218_961_123_456));
        assert_eq!(micros("1.5"), Some(1_500_000));
    }

    #[test]
    fn settings_are_quoted_one_a_line_in_order() {
        let config = PostgresConfig {
            version: 17,
            cluster: "sep".into(),
            port: 5432,
            settings: [("work_mem", "64MB"), ("log_line_prefix", "%m 'x'")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
            hba: String::new(),
            ident: String::new(),
        };
        let text = config.settings_text();
        assert!(text.ends_with("log_line_prefix = '%m ''x'''\nwork_mem = 64MB\n"), "{text}");
    }
}
