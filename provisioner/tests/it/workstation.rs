//! A workstation of a test's own: an inventory, a cache, and `sepctl` with both.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::droplet::{Droplet, said};

/// What a user would have before them.
pub struct Workstation {
    /// The inventory, in the droplet's own folder, so that it goes with the droplet.
    pub inventory: PathBuf,
    host: String,
    values: Value,
    cache: PathBuf,
}

/// How a deployment ended.
#[derive(Debug)]
pub struct Deployed {
    pub code: Option<i32>,
    /// Ids of the resources that the plan named.
    pub planned: Vec<String>,
    pub applied: usize,
    pub failed: Option<String>,
    pub stderr: String,
}

impl Workstation {
    /// The droplet's generated inventory; tests connect far more often than people do.
    pub fn of(droplet: &Droplet) -> Self {
        let text = fs::read_to_string(&droplet.inventory).unwrap();
        let values: Value = serde_yaml::from_str(&text).unwrap();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let folder = format!("workstation-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = droplet.inventory.with_file_name(folder);
        fs::create_dir_all(&folder).unwrap();
        let own = Self {
            inventory: folder.join("inventory.yaml"),
            host: droplet.name.clone(),
            values,
            cache: folder.join("cache"),
        };
        own.set("firewall.ssh_rate", json!(6000))
    }

    /// Another value for a key of the host, by its dotted path; `null` removes it.
    pub fn set(mut self, key: &str, value: Value) -> Self {
        let mut place = &mut self.values["hosts"][&self.host];
        let mut words = key.split('.').peekable();
        while let Some(word) = words.next() {
            if words.peek().is_none() && value.is_null() {
                place.as_object_mut().unwrap().remove(word);
                break;
            }
            place = &mut place[word];
            if words.peek().is_none() {
                *place = value.clone();
            }
        }
        fs::write(&self.inventory, serde_yaml::to_string(&self.values).unwrap()).unwrap();
        self
    }

    /// `sepctl` with this inventory, not started yet.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sepctl"));
        command.arg("--inventory").arg(&self.inventory).args(args);
        command.env("XDG_CACHE_HOME", &self.cache).env_remove("SSH_AUTH_SOCK").stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub fn sepctl(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("sepctl is built")
    }

    /// Runs it beside the test.
    pub fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("sepctl is built")
    }

    /// The plan's changes, as JSON; `--check` must end as they say.
    pub fn changes(&self) -> Vec<Value> {
        let output = self.sepctl(&["plan", "--check", "--json"]);
        let code = output.status.code();
        assert!(code == Some(0) || code == Some(3), "{}", said(&output));
        let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
        let changes = plan["hosts"][0]["changes"].as_array().unwrap().clone();
        assert_eq!(code, Some(if changes.is_empty() { 0 } else { 3 }), "{}", said(&output));
        changes
    }

    /// Ids of the resources that the plan names.
    pub fn plan(&self) -> Vec<String> {
        ids(&self.changes())
    }

    /// The one error that a command ends with; nothing stands on standard output.
    pub fn refused(&self, args: &[&str], code: i32) -> String {
        let output = self.sepctl(args);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(output.stdout.is_empty(), "{}", said(&output));
        String::from_utf8(output.stderr).unwrap()
    }

    /// Deploys without asking.
    pub fn deploy(&self) -> Deployed {
        Deployed::of(&self.sepctl(&["deploy", "--yes", "--json"]))
    }

    /// Deploys, which must succeed and change something.
    pub fn mend(&self) -> Deployed {
        let deployed = self.deploy();
        assert_eq!((deployed.code, &deployed.failed), (Some(0), &None), "{deployed:#?}");
        assert!(deployed.applied >= 1, "{deployed:#?}");
        deployed
    }
}

impl Deployed {
    /// Reads the answer of `deploy --json`.
    pub fn of(output: &Output) -> Self {
        let answer: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(output)));
        let host = &answer["hosts"][0];
        Self {
            code: output.status.code(),
            planned: ids(host["changes"].as_array().unwrap()),
            applied: usize::try_from(host["applied"].as_u64().unwrap()).unwrap(),
            failed: host["failed"].as_str().map(str::to_owned),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

fn ids(changes: &[Value]) -> Vec<String> {
    changes.iter().map(|change| change["resource"].as_str().unwrap().to_owned()).collect()
}
