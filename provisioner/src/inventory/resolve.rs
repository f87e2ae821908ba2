//! From the file's keys to a [`model::Host`]: fills in the defaults and reads sizes, lengths of time, paths
//! and references.
//!
//! A value that cannot be read is told and replaced by its default, so that the checks that follow can tell
//! the rest of what is wrong. Whether values make sense together is the checks' business.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::findings::Findings;
use super::model;
use super::problem::{Problem, nearest};
use super::spec::{self, Text};
use super::units::{parse_days, parse_size};
use crate::secret::SecretRef;

/// What relative paths and `~` stand for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Base<'a> {
    pub folder: &'a Path,
    pub home: Option<&'a Path>,
}

impl Base<'_> {
    fn path(&self, text: &str) -> PathBuf {
        match (text.strip_prefix('~'), self.home) {
            (Some(""), Some(home)) => home.to_owned(),
            (Some(rest), Some(home)) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
            _ => self.folder.join(text),
        }
    }
}

/// Resolves one host, `spec` being its own keys already laid over `defaults`.
pub(super) fn host(name: &str, spec: spec::Host, base: Base<'_>, findings: &mut Findings<'_>) -> model::Host {
    let mut read = Reader { base, findings };
    model::Host {
        name: name.to_owned(),
        ssh: read.ssh(spec.ssh.unwrap_or_default()),
        hardware: read.hardware(spec.hardware.unwrap_or_default()),
        volume: read.volume(spec.volume.unwrap_or_default()),
        postgres: postgres(spec.postgres.unwrap_or_default()),
        firewall: firewall(spec.firewall.unwrap_or_default()),
        nginx: read.nginx(spec.nginx.unwrap_or_default()),
        backup: backup(spec.backup.unwrap_or_default()),
        retention: read.retention(spec.retention.unwrap_or_default()),
        budgets: read.budgets(spec.budgets.unwrap_or_default()),
        executor: read.executor(spec.executor.unwrap_or_default()),
    }
}

fn text_or(text: Option<Text>, default: &str) -> String {
    text.map_or_else(|| default.to_owned(), |text| text.0)
}

fn postgres(spec: spec::Postgres) -> model::Postgres {
    model::Postgres {
        version: spec.version.unwrap_or(17),
        port: spec.port.unwrap_or(5432),
        max_connections: spec.max_connections.unwrap_or(24),
        settings: spec
            .settings
            .unwrap_or_default()
            .into_iter()
            .map(|(name, value)| (name, unquoted(value.0)))
            .collect(),
    }
}

/// Without the quotes of postgresql.conf, which whoever writes that file adds where they are needed.
fn unquoted(value: String) -> String {
    match value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        Some(inner) if !inner.contains('\'') => inner.to_owned(),
        _ => value,
    }
}

fn firewall(spec: spec::Firewall) -> model::Firewall {
    model::Firewall {
        open: spec.open.unwrap_or_else(|| vec![22, 80, 443]),
        ssh_from: spec.ssh_from.unwrap_or_default().into_iter().map(|network| network.0).collect(),
        ssh_rate: spec.ssh_rate.unwrap_or(30),
    }
}

fn backup(spec: spec::Backup) -> model::Backup {
    model::Backup { schedule: text_or(spec.schedule, "0 2 * * *"), keep: spec.keep.unwrap_or(7) }
}

struct Reader<'r, 'f> {
    base: Base<'r>,
    findings: &'r mut Findings<'f>,
}

impl Reader<'_, '_> {
    fn ssh(&mut self, spec: spec::Ssh) -> model::Ssh {
        let address =
            self.required("ssh.address", spec.address, "a DNS name or IP address", "address: 203.0.113.10");
        model::Ssh {
            address,
            port: spec.port.unwrap_or(22),
            user: text_or(spec.user, "root"),
            host_key: spec.host_key.map(|key| key.0.trim().to_owned()),
            identity: self.path("ssh.identity", spec.identity),
            known_hosts: self.path("ssh.known_hosts", spec.known_hosts),
        }
    }

    fn hardware(&mut self, spec: spec::Hardware) -> model::Hardware {
        let memory = spec.memory.and_then(|text| self.size("hardware.memory", text));
        model::Hardware { memory, cores: spec.cores }
    }

    fn volume(&mut self, spec: spec::Volume) -> model::Volume {
        let example = "device: /dev/disk/by-id/scsi-0DO_Volume_sep-data";
        model::Volume {
            device: self.required("volume.device", spec.device, "the volume's path", example),
            mount: text_or(spec.mount, "/mnt/sep_data"),
            filesystem: text_or(spec.filesystem, "ext4"),
            options: text_or(spec.options, "defaults,discard,noatime"),
            size: self.size_or("volume.size", spec.size, 50_000_000_000),
        }
    }

    fn nginx(&mut self, spec: spec::Nginx) -> model::Nginx {
        model::Nginx {
            http_port: spec.http_port.unwrap_or(80),
            https_port: spec.https_port.unwrap_or(443),
            extra_port: spec.extra_port,
            tls: spec.tls.and_then(|tls| self.tls(tls)),
        }
    }

    fn tls(&mut self, spec: spec::Tls) -> Option<model::Tls> {
        let missing = |expected, example| Problem::Missing { expected, example };
        if spec.certificate.is_none() {
            self.findings.refuse(
                "nginx.tls.certificate",
                missing("a PEM file beside the key", "certificate: fullchain.pem"),
            );
        }
        if spec.key.is_none() {
            self.findings.refuse(
                "nginx.tls.key",
                missing("a reference to the private key", "key: {file: privkey.pem}"),
            );
        }
        let certificate = self.path("nginx.tls.certificate", spec.certificate);
        let key = spec.key.and_then(|key| self.secret("nginx.tls.key", key));
        Some(model::Tls { certificate: certificate?, key: key? })
    }

    fn retention(&mut self, spec: spec::Retention) -> model::Retention {
        model::Retention {
            market_candles: self.days_or("retention.market_candles", spec.market_candles, 1095),
            system_logs: self.days_or("retention.system_logs", spec.system_logs, 90),
        }
    }

    fn budgets(&mut self, spec: spec::Budgets) -> model::Budgets {
        model::Budgets {
            database: self.size_or("budgets.database", spec.database, 35_000_000_000),
            backups: self.size_or("budgets.backups", spec.backups, 8_000_000_000),
            cache: self.size_or("budgets.cache", spec.cache, 5_000_000_000),
            reserve: self.size_or("budgets.reserve", spec.reserve, 2_000_000_000),
            logs: self.size_or("budgets.logs", spec.logs, 3_000_000_000),
        }
    }

    fn executor(&mut self, spec: spec::Executor) -> model::Executor {
        let mut credentials = BTreeMap::new();
        for (name, secret) in spec.credentials.unwrap_or_default() {
            if let Some(reference) = self.secret(&format!("executor.credentials.{name}"), secret) {
                credentials.insert(name, reference);
            }
        }
        model::Executor {
            enabled: spec.enabled.unwrap_or(true),
            account: text_or(spec.account, "primary"),
            mode: self.mode(spec.mode),
            binary: self.path("executor.binary", spec.binary),
            credentials,
        }
    }

    fn mode(&mut self, text: Option<Text>) -> model::Mode {
        let found = text_or(text, "observe");
        match found.as_str() {
            "observe" => {}
            "simulator" | "practice" | "live" => {
                self.findings.refuse("executor.mode", Problem::ModeNotReleased { found });
            }
            _ => {
                let suggestion = nearest(&found, ["observe"]);
                let problem = Problem::Choice { found, expected: "`observe`", suggestion };
                self.findings.refuse("executor.mode", problem);
            }
        }
        model::Mode::Observe
    }

    fn secret(&mut self, key: &str, secret: spec::Secret) -> Option<SecretRef> {
        let reference = match secret {
            spec::Secret::Inline => Err(Problem::InlineSecret),
            spec::Secret::Reference(SecretRef::Env(name)) => {
                let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_';
                let starts = name.bytes().next().is_some_and(letter);
                let whole = starts && name.bytes().all(|b| letter(b) || b.is_ascii_digit());
                if whole { Ok(SecretRef::Env(name)) } else { Err(Problem::EnvName) }
            }
            spec::Secret::Reference(SecretRef::File(path)) => match path.to_str() {
                Some("") => Err(Problem::EmptyPath),
                Some(text) => Ok(SecretRef::File(self.base.path(text))),
                None => Ok(SecretRef::File(self.base.folder.join(path))),
            },
            spec::Secret::Reference(SecretRef::Command(words)) => {
                let empty = words.first().is_none_or(|program| program.trim().is_empty());
                if empty { Err(Problem::EmptyCommand) } else { Ok(SecretRef::Command(words)) }
            }
        };
        reference.map_err(|problem| self.findings.refuse(key, problem)).ok()
    }

    fn required(
        &mut self,
        key: &str,
        text: Option<Text>,
        expected: &'static str,
        example: &'static str,
    ) -> String {
        let text = text.map(|text| text.0.trim().to_owned()).filter(|text| !text.is_empty());
        text.unwrap_or_else(|| {
            self.findings.refuse(key, Problem::Missing { expected, example });
            String::new()
        })
    }

    fn path(&mut self, key: &str, text: Option<Text>) -> Option<PathBuf> {
        let text = text?.0;
        if text.is_empty() {
            self.findings.refuse(key, Problem::EmptyPath);
            return None;
        }
        Some(self.base.path(&text))
    }

    fn size(&mut self, key: &str, text: Text) -> Option<u64> {
        let refused = |why| Problem::Size { found: text.0.clone(), why };
        parse_size(&text.0).map_err(|why| self.findings.refuse(key, refused(why))).ok()
    }

    fn size_or(&mut self, key: &str, text: Option<Text>, default: u64) -> u64 {
        text.and_then(|text| self.size(key, text)).unwrap_or(default)
    }

    fn days_or(&mut self, key: &str, text: Option<Text>, default: u32) -> u32 {
        let Some(Text(found)) = text else { return default };
        parse_days(&found).unwrap_or_else(|why| {
            self.findings.refuse(key, Problem::Days { found, why });
            default
        })
    }
}
