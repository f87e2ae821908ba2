//! What a droplet is, read top to bottom. Start here.
//!
//! A pure function of the inventory, the host's facts and what the workstation brings along; the order is the order
//! in which things are brought about.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::facts::Facts;
use crate::inventory::model::Host;
use crate::render::{RenderError, Templates};
use crate::resource::{
    Absent, Ballast, Certificate, Directory, File, Filesystem, Firewall, Link, Migration, Mount, Packages,
    PostgresCluster, PostgresConfig, PostgresDatabase, PostgresRole, Ready, Release, Resource, Schema,
    Service, Text, User,
};
use crate::secret::Secret;
use crate::tuning;

/// Where the host keeps versions of `sepctl`, root's own, one folder a hash.
pub const AGENTS: &str = "/opt/sep/agent";
/// The link to the version that the last deployment made the host's own; its units call it.
pub const INSTALLED: &str = "/opt/sep/bin/sepctl";
/// Debian's name of our cluster.
pub const CLUSTER: &str = "sep";
/// Observing, practice and live trading.
pub const TRADING: &str = "sep_trading";
/// Made-up candles and trades, which never mix with real ones.
pub const REHEARSAL: &str = "sep_rehearsal";
/// The socket on which the executor serves its API to nginx.
pub const API_SOCKET: &str = "/run/sep-executor/api.sock";

/// The host's time zone: cron's 02:00 is UTC's, and so is every time in a log.
const LOCALTIME: &str = "/etc/localtime";
const CERTIFICATE: &str = "/etc/sep/tls/certificate.pem";
const KEY: &str = "/etc/sep/tls/key.pem";

/// What the workstation adds to inventory and facts.
pub struct Inputs<'a> {
    pub templates: &'a Templates,
    /// SHA-256 of the executor's binary.
    pub executor: &'a str,
    /// SHA-256 of this `sepctl`, which the host's own units call.
    pub agent: &'a str,
    pub migrations: &'a [Migration],
    /// By credential name.
    pub credentials: &'a BTreeMap<String, Secret>,
    /// Certificate and key, if the user gave them.
    pub tls: Option<(&'a str, &'a Secret)>,
}

/// Everything that one droplet has.
pub fn desired(host: &Host, facts: &Facts, inputs: &Inputs<'_>) -> Result<Vec<Resource>, RenderError> {
    let d = Droplet { host, facts, inputs };
    let mut all = Vec::new();
    all.extend(d.packages()?);
    all.extend(d.access()?);
    all.extend(d.upkeep()?);
    all.extend(d.volume());
    all.extend(d.postgres()?);
    all.extend(d.databases());
    all.extend(d.backup()?);
    all.extend(d.executor()?);
    all.extend(d.web()?);
    Ok(all)
}

struct Droplet<'a> {
    host: &'a Host,
    facts: &'a Facts,
    inputs: &'a Inputs<'a>,
}

/// Packages whose upgrade needs a plan: the server, and the library that every database has loaded.
fn held(version: u16) -> [String; 2] {
    [format!("postgresql-{version}"), format!("postgresql-{version}-timescaledb")]
}

/// All packages of a droplet, by name.
pub fn packages(version: u16) -> Vec<String> {
    let mut names: Vec<String> = [
        "ca-certificates",
        "cron",
        "e2fsprogs",
        "nftables",
        "nginx-light",
        "openssl",
        "sudo",
        "systemd-timesyncd",
        "unattended-upgrades",
        "xfsprogs",
    ]
    .map(str::to_owned)
    .into();
    names.extend(held(version));
    names.push(format!("postgresql-client-{version}"));
    names
}

/// The units that a droplet lives by, for its status.
pub fn services(host: &Host) -> Vec<String> {
    let mut units = vec![format!("postgresql@{}-{CLUSTER}.service", host.postgres.version)];
    if host.executor.enabled {
        units.push("sep-executor.service".into());
    }
    let rest = ["nginx", "ssh", "cron", "sep-firewall", "systemd-timesyncd", "sep-backup"];
    units.extend(rest.iter().map(|name| format!("{name}.service")));
    units.push("sep-retention.timer".into());
    units
}

impl Droplet<'_> {
    fn packages(&self) -> Result<Vec<Resource>, RenderError> {
        let version = self.host.postgres.version;
        Ok(vec![
            self.file("etc/postgresql-common/createcluster.d/sep.conf", &json!({}))?.into(),
            Packages { install: packages(version), hold: held(version).into() }.into(),
        ])
    }

    /// Who reaches the droplet: firewall first, so that nothing below is ever open by accident.
    fn access(&self) -> Result<Vec<Resource>, RenderError> {
        let (v4, v6): (Vec<&String>, Vec<&String>) =
            self.host.firewall.ssh_from.iter().partition(|network| !network.contains(':'));
        let rules = self.render(
            "etc/sep/firewall.nft",
            &json!({
                "ssh_port": self.host.ssh.port,
                "ssh_from_v4": v4,
                "ssh_from_v6": v6,
                "ssh_rate": self.host.firewall.ssh_rate,
                "open": self.host.firewall.open,
            }),
        )?;
        let sshd = self.file("etc/ssh/sshd_config.d/10-sep.conf", &json!({ "user": self.host.ssh.user }))?;
        let loads = sshd.path.clone();
        Ok(vec![
            Firewall { path: "/etc/sep/firewall.nft".into(), table: "inet sep".into(), rules }.into(),
            self.file("etc/systemd/system/sep-firewall.service", &json!({}))?.into(),
            Service::new("sep-firewall.service", &[]).into(),
            sshd.into(),
            Service::new("ssh.service", &[&loads]).reloaded_after(&["/usr/sbin/sshd", "-t"]).into(),
        ])
    }

    /// Logs that do not fill the disk, the time, security updates.
    fn upkeep(&self) -> Result<Vec<Resource>, RenderError> {
        let logs_mib = self.host.budgets.logs / 1024 / 1024;
        let journald = self.file("etc/systemd/journald.conf.d/sep.conf", &json!({ "logs_mib": logs_mib }))?;
        let journald_service =
            Service { enabled: None, ..Service::new("systemd-journald.service", &[&journald.path]) };
        Ok(vec![
            journald.into(),
            journald_service.into(),
            Service::new("systemd-timesyncd.service", &[]).into(),
            Link { path: LOCALTIME.into(), target: "/usr/share/zoneinfo/Etc/UTC".into() }.into(),
            self.file("etc/apt/apt.conf.d/52sep-unattended", &json!({}))?.into(),
            Service::new("cron.service", &[LOCALTIME]).into(),
        ])
    }

    fn volume(&self) -> Vec<Resource> {
        let volume = &self.host.volume;
        let below = |name: &str| format!("{}/{name}", volume.mount);
        vec![
            Filesystem { device: volume.device.clone(), filesystem: volume.filesystem.clone() }.into(),
            Mount {
                device: volume.device.clone(),
                path: volume.mount.clone(),
                filesystem: volume.filesystem.clone(),
                options: volume.options.clone(),
            }
            .into(),
            Directory::new(below("postgresql"), "postgres", 0o755).into(),
            Directory::new(below("backups"), "postgres", 0o750).into(),
            Directory::new(below("cache"), "root", 0o755).into(),
            Ballast { path: below("ballast"), size: self.host.budgets.reserve / 2 }.into(),
        ]
    }

    fn postgres(&self) -> Result<Vec<Resource>, RenderError> {
        let pg = &self.host.postgres;
        let memory = self.host.hardware.memory.unwrap_or(self.facts.memory);
        let cores = self.host.hardware.cores.unwrap_or(self.facts.cores);
        let ident = self.ident();
        let config = PostgresConfig {
            version: pg.version,
            cluster: CLUSTER.into(),
            port: pg.port,
            settings: tuning::settings(memory, cores, pg),
            hba: self.render("etc/postgresql/pg_hba.conf", &json!({}))?,
            ident: self.render("etc/postgresql/pg_ident.conf", &json!({ "ident": ident }))?,
        };
        let guard = self.render(
            "etc/systemd/system/postgresql@.service.d/sep.conf",
            &json!({ "volume_mount": self.host.volume.mount }),
        )?;
        Ok(vec![
            File::new(format!("/etc/systemd/system/{}.d/sep.conf", self.postgres_unit()), guard).into(),
            PostgresCluster {
                version: pg.version,
                name: CLUSTER.into(),
                data: format!("{}/postgresql/{}/{CLUSTER}", self.host.volume.mount, pg.version),
                port: pg.port,
            }
            .into(),
            config.into(),
            Service {
                enabled: None, // pg_createcluster's start.conf says so
                ready: Some(Ready::Postgres { port: pg.port }),
                ..Service::new(self.postgres_unit(), &[])
            }
            .into(),
        ])
    }

    /// Which user of the host may be which role of the database.
    fn ident(&self) -> Vec<(String, String)> {
        let mut lines = Vec::new();
        let mut may = |user: &str, roles: &[&str]| {
            lines.extend(roles.iter().map(|role| (user.to_owned(), (*role).to_owned())));
        };
        may("postgres", &["postgres", "sep_owner"]);
        may("root", &["postgres", "sep_owner", "sep_sync", "sep_readonly", "root"]);
        may("sep", &["sep_executor"]);
        if self.host.ssh.user != "root" {
            may(&self.host.ssh.user, &["sep_owner", "sep_sync", "sep_readonly"]);
        }
        lines
    }

    fn databases(&self) -> Vec<Resource> {
        let port = self.host.postgres.port;
        let role = |name: &str, connection_limit: i32, member_of: &[&str], settings: &[&str]| {
            PostgresRole {
                port,
                name: name.to_owned(),
                connection_limit,
                member_of: member_of.iter().map(|&r| r.to_owned()).collect(),
                settings: settings.iter().map(|&s| s.to_owned()).collect(),
            }
            .into()
        };
        let read_only = ["default_transaction_read_only=on", "statement_timeout=30s"];
        let mut all: Vec<Resource> = vec![
            role("sep_owner", -1, &[], &[]),
            role("sep_executor", 8, &[], &["statement_timeout=10s"]),
            role("sep_sync", 4, &[], &["statement_timeout=120s"]),
            role("sep_readonly", 6, &[], &read_only),
            // `ssh root@DROPLET "psql -d sep_trading -c 'SELECT * FROM v_open_trades;'"`
            role("root", 4, &["sep_readonly"], &read_only),
        ];
        let connect: Vec<String> =
            ["root", "sep_executor", "sep_readonly", "sep_sync"].map(str::to_owned).into();
        for name in [TRADING, REHEARSAL] {
            all.push(
                PostgresDatabase {
                    port,
                    name: name.into(),
                    owner: "sep_owner".into(),
                    connect: connect.clone(),
                    extensions: vec!["timescaledb".into()],
                }
                .into(),
            );
            all.push(
                Schema {
                    port,
                    database: name.into(),
                    role: "sep_owner".into(),
                    migrations: self.inputs.migrations.to_vec(),
                }
                .into(),
            );
        }
        all
    }

    /// The nightly dump, and what old rows make room.
    fn backup(&self) -> Result<Vec<Resource>, RenderError> {
        let values = json!({
            "volume_mount": self.host.volume.mount,
            "postgres_unit": self.postgres_unit(),
            "postgres_port": self.host.postgres.port,
            "postgres_version": self.host.postgres.version,
            "keep": self.host.backup.keep,
            "schedule": self.host.backup.schedule,
            "budget": self.host.budgets.backups,
            "reserve": self.host.budgets.reserve,
            "databases": [TRADING, REHEARSAL],
            "candles_days": self.host.retention.market_candles,
            "logs_days": self.host.retention.system_logs,
        });
        let backup = self.file("etc/systemd/system/sep-backup.service", &values)?;
        let backup_service = Service::on_demand("sep-backup.service", &backup.path);
        let retention = self.file("etc/systemd/system/sep-retention.service", &values)?;
        let retention_service = Service::on_demand("sep-retention.service", &retention.path);
        let timer = self.file("etc/systemd/system/sep-retention.timer", &values)?;
        let timer_service = Service::new("sep-retention.timer", &[&timer.path]);
        Ok(vec![
            Directory::new("/opt/sep/bin", "root", 0o755).into(),
            Link { path: INSTALLED.into(), target: format!("{}/{}/sepctl", AGENTS, self.inputs.agent) }
                .into(),
            backup.into(),
            backup_service.into(),
            self.file("etc/cron.d/sep-backup", &values)?.into(),
            retention.into(),
            retention_service.into(),
            timer.into(),
            timer_service.into(),
        ])
    }

    fn executor(&self) -> Result<Vec<Resource>, RenderError> {
        if !self.host.executor.enabled {
            return Ok(Vec::new());
        }
        let config = self.file(
            "etc/sep/executor.yaml",
            &json!({
                "mode": self.host.executor.mode,
                "account": self.host.executor.account,
                "postgres_port": self.host.postgres.port,
            }),
        )?;
        let credentials: Vec<File> =
            self.inputs.credentials.iter().map(|(name, secret)| credential(name, secret)).collect();
        let unit = self.file(
            "etc/systemd/system/sep-executor.service",
            &json!({
                "postgres_version": self.host.postgres.version,
                "volume_mount": self.host.volume.mount,
                "credentials": credentials.iter().map(|file| &file.path).collect::<Vec<_>>(),
            }),
        )?;
        let mut loads: Vec<&str> = vec![&config.path, &unit.path, "release sep-executor"];
        loads.extend(credentials.iter().map(|file| file.path.as_str()));
        let check = ["check", "--config", "/etc/sep/executor.yaml"].map(str::to_owned);
        // What the executor would wait for in silence (an account that is not there, say), its check says at once.
        let trial = ["runuser", "--user", "sep", "--", "/opt/sep/current/sep-executor"].map(str::to_owned);
        let service = Service {
            validate: trial.into_iter().chain(check.clone()).collect(),
            ..Service::new("sep-executor.service", &loads)
        };
        let mut all: Vec<Resource> = vec![
            User { name: "sep".into() }.into(),
            Directory::new("/etc/sep/credentials", "root", 0o700).into(),
        ];
        all.extend(credentials.into_iter().map(Resource::from));
        all.extend([
            config.into(),
            unit.into(),
            Release {
                root: "/opt/sep".into(),
                program: "sep-executor".into(),
                sha256: self.inputs.executor.to_owned(),
                unit: "sep-executor.service".into(),
                socket: API_SOCKET.into(),
                check: check.into(),
                user: "sep".into(),
            }
            .into(),
            service.into(),
        ]);
        Ok(all)
    }

    /// nginx in front of the executor.
    fn web(&self) -> Result<Vec<Resource>, RenderError> {
        let nginx = &self.host.nginx;
        let mut all: Vec<Resource> = match self.inputs.tls {
            None => vec![
                Certificate {
                    certificate: CERTIFICATE.into(),
                    key: KEY.into(),
                    name: self.host.ssh.address.clone(),
                }
                .into(),
            ],
            Some((certificate, key)) => vec![
                Directory::new("/etc/sep/tls", "root", 0o700).into(),
                File::new(CERTIFICATE, certificate).into(),
                File { content: sensitive(key), ..File::new(KEY, "").owned("root", "root", 0o600) }.into(),
            ],
        };
        let site = self.file(
            "etc/nginx/conf.d/sep.conf",
            &json!({
                "http_port": nginx.http_port,
                "https_port": nginx.https_port,
                "extra_port": nginx.extra_port,
                "certificate": CERTIFICATE,
                "key": KEY,
            }),
        )?;
        let service = Service::new(
            "nginx.service",
            &[&site.path, CERTIFICATE, KEY, "absent /etc/nginx/sites-enabled/default"],
        )
        .reloaded_after(&["nginx", "-t", "-q"]);
        all.extend([
            Absent {
                path: "/etc/nginx/sites-enabled/default".into(),
                why: "the distribution's welcome page holds port 80".into(),
            }
            .into(),
            site.into(),
            service.into(),
        ]);
        Ok(all)
    }

    fn postgres_unit(&self) -> String {
        format!("postgresql@{}-{CLUSTER}.service", self.host.postgres.version)
    }

    fn render(&self, path: &str, values: &Value) -> Result<String, RenderError> {
        self.inputs.templates.render(path, values)
    }

    /// A file whose template mirrors its path.
    fn file(&self, path: &str, values: &Value) -> Result<File, RenderError> {
        Ok(File::new(format!("/{path}"), self.render(path, values)?))
    }
}

fn sensitive(secret: &Secret) -> Text {
    Text::sensitive(String::from_utf8_lossy(secret.expose()))
}

fn credential(name: &str, secret: &Secret) -> File {
    let file = File::new(format!("/etc/sep/credentials/{name}"), "").owned("root", "root", 0o600);
    File { content: sensitive(secret), ..file }
}
