//! Named places at which a test can end the program, compiled in for tests alone.

/// With the feature `failpoints`: if `SEPCTL_FAILPOINT` names this place, says so and ends as by SIGKILL.
pub fn hit(name: &str) {
    #[cfg(feature = "failpoints")]
    if std::env::var("SEPCTL_FAILPOINT").is_ok_and(|wanted| wanted == name) {
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "failpoint {name} hit");
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
    #[cfg(not(feature = "failpoints"))]
    let _ = name;
}
