//! A self-signed certificate, for a host that was given none.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Ahead, ApplyError, Finding, Kind, Workstation};
use crate::machine::{Command, Machine, MachineError, Ownership};
use crate::plan::Action;

/// Made anew when less than this is left.
const RENEW_BEFORE: &str = "2592000"; // 30 days, in seconds
const VALID_DAYS: &str = "825";

/// A certificate and its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Certificate {
    pub certificate: String,
    pub key: String,
    /// The host's address, as the certificate's subject.
    pub name: String,
}

impl Certificate {
    fn still_valid(&self) -> Command {
        Command::new("openssl", ["x509", "-noout", "-checkend", RENEW_BEFORE, "-in", &self.certificate])
    }
}

impl Kind for Certificate {
    fn id(&self) -> String {
        format!("certificate {}", self.certificate)
    }

    fn probes(&self) -> Vec<Command> {
        vec![self.still_valid()]
    }

    fn check(&self, machine: &Machine, ahead: &Ahead) -> Result<Option<Finding>, MachineError> {
        let missing = machine.metadata(Path::new(&self.certificate))?.is_none()
            || machine.metadata(Path::new(&self.key))?.is_none();
        if missing {
            let line = format!("+self-signed for {}", self.name);
            return Ok(Some(Finding::with(Action::Create, "is missing", vec![line])));
        }
        let key = machine.metadata(Path::new(&self.key))?;
        if key.is_some_and(|key| key.ownership.mode & 0o077 != 0) {
            return Ok(Some(Finding::new(
                Action::Update,
                "its key can be read by others, so it is made anew",
            )));
        }
        if ahead.changes_kind("packages") && !Path::new("/usr/bin/openssl").exists() {
            return Ok(None);
        }
        let (status, _) = machine.probe(&self.still_valid())?;
        Ok((status != Some(0))
            .then(|| Finding::new(Action::Update, "expires within 30 days, or cannot be read")))
    }

    fn apply(&self, machine: &Machine, _: &mut dyn Workstation) -> Result<(), ApplyError> {
        if let Some(parent) = Path::new(&self.key).parent() {
            let private = Ownership { owner: "root".into(), group: "root".into(), mode: 0o700 };
            machine.create_dir(parent, &private)?;
        }
        let subject = format!("/CN={}", self.name);
        let kind = if self.name.parse::<std::net::IpAddr>().is_ok() { "IP" } else { "DNS" };
        let alternative = format!("subjectAltName={kind}:{}", self.name);
        let mut args =
            vec!["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        args.extend(["-days", VALID_DAYS, "-subj", &subject, "-addext", &alternative]);
        args.extend(["-keyout", &self.key, "-out", &self.certificate]);
        machine.run(&Command::new("openssl", args))?;
        let private = Ownership { owner: "root".into(), group: "root".into(), mode: 0o600 };
        machine.set_ownership(Path::new(&self.key), &private)?;
        Ok(())
    }
}
