//! Commands inside a droplet by way of its namespaces: needs no network, and no sshd that lets one in.
//!
//! A command so started is under the droplet's limits: in its cgroups, without the capabilities that reach outside.

use std::process::Command;
use std::time::Duration;

use super::cgroup::Cgroup;
use super::error::SandboxError;
use super::program::{Process, command, run_command};

/// What a droplet may not do to the outer machine: set its clock, make nodes for its disks, load modules, read its log.
pub const DROPPED: [&str; 6] = ["sys_time", "mknod", "sys_module", "sys_rawio", "syslog", "wake_alarm"];

/// Joins the cgroups named up to `--`, then becomes the rest.
const JOIN: &str = r#"while [ "$1" != -- ]; do echo $$ > "$1" || exit 125; shift; done; shift; exec "$@""#;

/// A command that runs `argv` inside, as root, with a clean environment.
pub fn enter(cgroup: &Cgroup, inner: Process, argv: &[String]) -> Result<Command, SandboxError> {
    let dropped = DROPPED.map(|capability| format!("-{capability}")).join(",");
    let mut enter = command("sh");
    enter.args(["-c", JOIN, "sh"]).args(cgroup.joining(inner)?).arg("--");
    enter.args(["setpriv", &format!("--bounding-set={dropped}"), &format!("--inh-caps={dropped}")]);
    enter.args([
        "nsenter",
        "--target",
        &inner.pid.to_string(),
        "--mount",
        "--uts",
        "--ipc",
        "--net",
        "--pid",
    ]);
    enter.args(["--cgroup", "--root", "--wd"]);
    enter.args(["env", "--ignore-environment", "HOME=/root", "USER=root", "LANG=C.UTF-8"]);
    enter.arg("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    if let Ok(terminal) = std::env::var("TERM") {
        enter.arg(format!("TERM={terminal}"));
    }
    enter.args(argv);
    Ok(enter)
}

/// What a shell line inside says on its standard output, if it succeeds.
pub fn ask(cgroup: &Cgroup, inner: Process, line: &str, limit: Duration) -> Result<String, SandboxError> {
    let argv = ["sh", "-c", line].map(str::to_owned);
    run_command(enter(cgroup, inner, &argv)?, "", limit)
}
