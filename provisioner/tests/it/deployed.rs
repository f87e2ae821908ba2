//! Deployed droplets for the tests of what runs on them: one base for all, and copies of it for tests that disturb.

use std::fs;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::droplet::{Droplet, said};

/// A droplet as a first deployment leaves it, shared by all tests of this run and taken down with its last user.
///
/// Nobody changes it but by statements that are rolled back; whoever disturbs takes a [`copy`].
pub fn deployed() -> Arc<Droplet> {
    static SHARED: Mutex<Weak<Droplet>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(droplet) = shared.upgrade() {
        return droplet;
    }
    let droplet = for_tests(Droplet::up("base"));
    let output = on(&droplet, &["deploy", "--yes"]);
    assert!(output.status.success(), "{}", said(&output));
    let droplet = Arc::new(droplet);
    *shared = Arc::downgrade(&droplet);
    droplet
}

/// A deployed droplet of the test's own.
pub fn copy(base: &Droplet, label: &str) -> Droplet {
    for_tests(Droplet::from(base, label))
}

/// With an inventory of its own beside the generated one: tests knock more often than people.
fn for_tests(mut droplet: Droplet) -> Droplet {
    let text = fs::read_to_string(&droplet.inventory).expect("`sandbox up` wrote an inventory");
    let changed = text.replace("    hardware:", "    firewall: { ssh_rate: 6000 }\n    hardware:");
    assert_ne!(text, changed, "the generated inventory has another form");
    droplet.inventory.set_file_name("tests.yaml");
    fs::write(&droplet.inventory, changed).expect("the droplet's folder is writable");
    droplet
}

/// `sepctl` with the droplet's inventory, ready to be started.
pub fn command(droplet: &Droplet, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sepctl"));
    command.arg("--inventory").arg(&droplet.inventory).args(args).stdin(Stdio::null());
    command
}

/// Runs `sepctl` with the droplet's inventory to its end.
pub fn on(droplet: &Droplet, args: &[&str]) -> Output {
    command(droplet, args).output().expect("sepctl is built")
}

/// As [`on`], which must succeed: its standard output without the last line end.
pub fn done(droplet: &Droplet, args: &[&str]) -> String {
    let output = on(droplet, args);
    assert!(output.status.success(), "{args:?}: {}", said(&output));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// As [`on`], which must fail with this code; gives what it said on standard error.
pub fn refused(droplet: &Droplet, args: &[&str], code: i32) -> String {
    let output = on(droplet, args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}", said(&output));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Asks the database on the droplet as its superuser: rows of cells divided by `|`, one a line.
pub fn sql(droplet: &Droplet, database: &str, query: &str) -> String {
    droplet.told(&format!("psql -XAtq -v ON_ERROR_STOP=1 -U postgres -d {database} <<'END'\n{query};\nEND"))
}
