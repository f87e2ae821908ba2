//! Named places at which a test can end or hold the program, compiled in for tests alone.

/// Names a place for every process of the machine: the host's side inherits no environment. For root alone, as /run is.
#[cfg(feature = "failpoints")]
const FILE: &str = "/run/sepctl-failpoint";

/// With the feature `failpoints`: if `SEPCTL_FAILPOINT`, or the file /run/sepctl-failpoint, names this place, says so
/// and ends as by SIGKILL. A file that says `hold NAME` is rewritten to `held NAME`, and waited for until it is gone.
pub fn hit(name: &str) {
    #[cfg(feature = "failpoints")]
    {
        let wanted = std::fs::read_to_string(FILE).unwrap_or_default();
        if wanted.trim() == format!("hold {name}") {
            let _ = std::fs::write(FILE, format!("held {name}\n"));
            while std::path::Path::new(FILE).exists() {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        } else if wanted.trim() == name
            || std::env::var("SEPCTL_FAILPOINT").is_ok_and(|wanted| wanted == name)
        {
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "failpoint {name} hit");
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }
    #[cfg(not(feature = "failpoints"))]
    let _ = name;
}
