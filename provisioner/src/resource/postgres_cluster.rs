//! A PostgreSQL cluster on the volume, made by Debian's own tools.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Ahead, ApplyError, Finding, Kind, Workstation};
use crate::machine::{Command, Machine, MachineError, Ownership};
use crate::plan::Action;

/// A cluster; its settings are [`super::PostgresConfig`]'s.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PostgresCluster {
    pub version: u16,
    /// Debian's cluster name: `sep`.
    pub name: String,
    /// Data directory; never the root of a mount (`lost+found`).
    pub data: String,
    pub port: u16,
}

impl PostgresCluster {
    fn configuration(&self) -> String {
        format!("/etc/postgresql/{}/{}", self.version, self.name)
    }

    /// pg_createcluster takes over data only together with the files that initdb had put beside it, and moves these
    /// to /etc. Ours went with the host that had them; new ones are as initdb's own.
    fn lay_out_configuration(&self, machine: &Machine) -> Result<(), MachineError> {
        let sample = format!("/usr/share/postgresql/{}/postgresql.conf.sample", self.version);
        let settings = machine.read(Path::new(&sample))?.unwrap_or_default();
        let ownership = Ownership { owner: "postgres".into(), group: "postgres".into(), mode: 0o640 };
        for (name, text) in
            [("postgresql.conf", settings.as_str()), ("pg_hba.conf", ""), ("pg_ident.conf", "")]
        {
            let path = Path::new(&self.data).join(name);
            if machine.metadata(&path)?.is_none() {
                machine.write(&path, text.as_bytes(), &ownership)?;
            }
        }
        Ok(())
    }
}

impl Kind for PostgresCluster {
    fn id(&self) -> String {
        format!("postgres_cluster {}/{}", self.version, self.name)
    }

    fn check(&self, machine: &Machine, ahead: &Ahead) -> Result<Option<Finding>, MachineError> {
        let data = Path::new(&self.data).join("PG_VERSION");
        let hidden = ahead.mounts_over(&self.data);
        let has_data = !hidden && machine.metadata(&data)?.is_some();
        let configuration = Path::new(&self.configuration()).join("postgresql.conf");
        let text = machine.read(&configuration)?;
        let Some(text) = text else {
            let (why, line) = if has_data {
                (
                    "its data is on the volume, its configuration is missing",
                    "+configuration for the data found",
                )
            } else {
                ("is missing", "+data checksums, locale C.UTF-8")
            };
            return Ok(Some(Finding::with(
                Action::Create,
                why,
                vec![format!("+{}", self.data), line.into()],
            )));
        };
        let found = text
            .lines()
            .find_map(|line| line.trim().strip_prefix("data_directory")?.split('\'').nth(1))
            .unwrap_or_default();
        if found != self.data {
            return Err(MachineError::Expectation(format!(
                "found a cluster {}/{} with its data in {found}, expected {}; move it away (pg_renamecluster), or correct `volume.mount` in the inventory",
                self.version, self.name, self.data
            )));
        }
        if !has_data && !hidden {
            return Err(MachineError::Expectation(format!(
                "{} holds no data, though the cluster is configured; sepctl makes no new cluster in its place. Attach the volume that holds it, or remove the configuration with pg_dropcluster",
                self.data
            )));
        }
        Ok(None)
    }

    fn apply(&self, machine: &Machine, _: &mut dyn Workstation) -> Result<(), ApplyError> {
        let (version, port) = (self.version.to_string(), self.port.to_string());
        let mut args = vec![version.as_str(), &self.name, "--datadir", &self.data, "--port", &port];
        args.extend(["--start-conf", "auto"]);
        if machine.metadata(&Path::new(&self.data).join("PG_VERSION"))?.is_none() {
            // C.UTF-8 sorts by code point: no upgrade of the C library can break an index.
            args.extend(["--locale", "C.UTF-8", "--", "--data-checksums"]);
        } else {
            self.lay_out_configuration(machine)?;
        }
        machine.run(&Command::new("pg_createcluster", args).limit(Duration::from_secs(180)))?;
        machine.run(&Command::new("systemctl", ["daemon-reload"]))?;
        Ok(())
    }
}
