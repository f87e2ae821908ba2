//! A sandbox droplet for the length of a test: booted through the built `sepctl`, taken down when dropped.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A running droplet of this test alone.
pub struct Droplet {
    pub name: String,
    pub address: String,
    /// Private key that root and admin let in.
    pub identity: PathBuf,
    pub known_hosts: PathBuf,
    /// An inventory with this droplet as its one host.
    pub inventory: PathBuf,
}

impl Droplet {
    /// Boots a bare droplet. The label (at most 16 of a-z, 0-9, '-') tells people which test it belongs to.
    pub fn up(label: &str) -> Self {
        Self::make(label, &[])
    }

    /// Boots a copy of another one, deployments and volume and all.
    pub fn from(other: &Self, label: &str) -> Self {
        Self::make(label, &["--from", &other.name])
    }

    fn make(label: &str, options: &[&str]) -> Self {
        let name = unique_name(label);
        let mut args = vec!["--json", "sandbox", "up", &name];
        args.extend(options);
        let output = sepctl(&args);
        assert!(output.status.success(), "{}", said(&output));
        Self::describe(&output)
    }

    /// The first droplet of a `--json` answer.
    pub fn describe(output: &Output) -> Self {
        let report: Value = serde_json::from_slice(&output.stdout).expect("the answer is JSON");
        let text = |key: &str| report["droplets"][0][key].as_str().expect(key).to_owned();
        Self {
            name: text("name"),
            address: text("address"),
            identity: text("identity").into(),
            known_hosts: text("known_hosts").into(),
            inventory: text("inventory").into(),
        }
    }

    /// `running` or `stopped`.
    pub fn state(&self) -> String {
        let output = sepctl(&["--json", "sandbox", "status", &self.name]);
        let report: Value = serde_json::from_slice(&output.stdout).expect("the answer is JSON");
        report["droplets"][0]["state"].as_str().expect("a state").to_owned()
    }

    /// `sepctl sandbox VERB NAME`, which must succeed.
    pub fn verb(&self, verb: &str) -> Output {
        let output = sepctl(&["sandbox", verb, &self.name]);
        assert!(output.status.success(), "{}", said(&output));
        output
    }

    /// A shell line inside, as root, without network or sshd.
    pub fn exec(&self, line: &str) -> Output {
        sepctl(&["sandbox", "exec", &self.name, "--", "sh", "-c", line])
    }

    /// As [`Self::exec`], which must succeed: its standard output without the last line end.
    pub fn told(&self, line: &str) -> String {
        let output = self.exec(line);
        assert!(output.status.success(), "{line}: {}", said(&output));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// A shell line as root through OpenSSH's client, host key checked strictly.
    pub fn ssh(&self, line: &str) -> Output {
        self.ssh_as("root", line)
    }

    /// As [`Self::ssh`], as another user.
    pub fn ssh_as(&self, user: &str, line: &str) -> Output {
        self.ssh_with(&self.identity, user, line)
    }

    /// As [`Self::ssh_as`], with another private key.
    pub fn ssh_with(&self, identity: &Path, user: &str, line: &str) -> Output {
        let known_hosts = format!("UserKnownHostsFile={}", self.known_hosts.display());
        let options = ["-F", "/dev/null", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"];
        let strict = [
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
            "GlobalKnownHostsFile=/dev/null",
            "-o",
            "ConnectTimeout=10",
        ];
        Command::new("ssh")
            .args(options)
            .args(strict)
            .args(["-o", &known_hosts, "-i"])
            .arg(identity)
            .args([&format!("{user}@{}", self.address), line])
            .stdin(Stdio::null())
            .output()
            .expect("OpenSSH's client is installed")
    }

    /// Names a place at which the next `sepctl host` ends (`NAME`) or waits (`hold NAME`).
    pub fn set_failpoint(&self, text: &str) {
        self.told(&format!("echo '{text}' > /run/sepctl-failpoint"));
    }

    /// Lets programs pass again.
    pub fn clear_failpoint(&self) {
        self.told("rm -f /run/sepctl-failpoint");
    }

    /// Takes it down now, and demands that this succeeds.
    pub fn down(self) {
        let output = sepctl(&["sandbox", "down", &self.name]);
        assert!(output.status.success(), "{}", said(&output));
        std::mem::forget(self);
    }
}

impl Drop for Droplet {
    fn drop(&mut self) {
        let output = sepctl(&["sandbox", "down", &self.name]);
        if !output.status.success() {
            // A panic in drop would hide the test's own.
            let _ = writeln!(std::io::stderr(), "droplet {} stays: {}", self.name, said(&output));
        }
    }
}

/// Whether droplets can be booted here; without root the test is told to be skipped, past libtest's capture.
pub fn can_boot(test: &str) -> bool {
    let root = Command::new("id").arg("-u").output().expect("id is installed").stdout == b"0\n";
    if !root {
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: booting a droplet needs root");
    }
    root
}

/// A name that no other test and no other run has. Droplets of runs that died are taken down first.
pub fn unique_name(label: &str) -> String {
    static SWEEP: Once = Once::new();
    static COUNT: AtomicU32 = AtomicU32::new(0);
    SWEEP.call_once(sweep_dead_runs);
    format!("t{}-{label}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

fn sweep_dead_runs() {
    let output = sepctl(&["--json", "sandbox", "status"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("the answer is JSON");
    for droplet in report["droplets"].as_array().expect("droplets") {
        let name = droplet["name"].as_str().expect("a name");
        let process = name.strip_prefix('t').and_then(|rest| rest.split('-').next());
        let Some(process) = process.filter(|text| text.parse::<u32>().is_ok()) else { continue };
        if !Path::new("/proc").join(process).exists() {
            sepctl(&["sandbox", "down", name]);
        }
    }
}

/// Runs the built `sepctl` to its end.
pub fn sepctl(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sepctl"))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("sepctl is built")
}

/// All that a program said, for the message of a failed assertion.
pub fn said(output: &Output) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\nstdout: {stdout}\nstderr: {stderr}", output.status)
}

/// Looks at a condition until it holds; fails with `what` after the limit.
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + limit;
    while !condition() {
        assert!(Instant::now() < end, "{what} did not come about within {limit:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
