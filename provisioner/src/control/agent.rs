//! Our own binary on the host: found there by its hash, or put there once for each version.

use std::path::PathBuf;

use object::LittleEndian;
use object::elf::FileHeader64;
use object::read::elf::FileHeader;

use super::ControlError;
use crate::desired::{AGENTS, INSTALLED};
use crate::facts::{Bootstrap, Facts};
use crate::hash;
use crate::ssh::sudo;

/// Free space that the upload and the packages of a first deployment need.
const NEEDED_FREE: u64 = 1024 * 1024 * 1024;
/// First line of the answer where the binary is missing; a frame never begins like this.
pub const BOOTSTRAP_MARK: &str = "sepctl-bootstrap";

/// This very program.
pub struct Agent {
    pub bytes: Vec<u8>,
    pub sha256: String,
}

impl Agent {
    /// Reads the running binary.
    pub fn load() -> Result<Self, ControlError> {
        let path = PathBuf::from("/proc/self/exe");
        let bytes = std::fs::read(&path).map_err(|source| ControlError::Read { path, source })?;
        let sha256 = hash::sha256(&bytes);
        Ok(Self { bytes, sha256 })
    }

    /// The shell command that runs the host's side, or, where this version is not there yet (or not whole), tells
    /// what has to be known to put it there. Nothing secret and nothing from outside stands in it.
    pub fn command(&self, user: &str, verb: &str) -> String {
        let path = format!("{AGENTS}/{}/sepctl", self.sha256);
        let sudo = sudo(user);
        format!(
            "if [ -x {path} ] && echo '{hash}  {path}' | sha256sum -c --status; then exec {sudo}{path} {verb}; fi; \
             echo {BOOTSTRAP_MARK}; uname -m; . /etc/os-release; echo \"$ID\"; echo \"$VERSION_ID\"; \
             getconf GNU_LIBC_VERSION; awk '/MemTotal/ {{print $2}}' /proc/meminfo; nproc; \
             df -Pk /opt 2>/dev/null | awk 'END {{print $4}}'; \
             uid=$({sudo}id -u) && echo \"$uid\" && mktemp -d",
            hash = self.sha256,
        )
    }

    /// The shell command that checks the upload and moves it to its place.
    pub fn install_command(&self, user: &str, upload_dir: &str) -> String {
        let sudo = sudo(user);
        let (hash, place) = (&self.sha256, format!("{AGENTS}/{}", self.sha256));
        format!(
            "echo '{hash}  {upload_dir}/sepctl' | sha256sum -c --status || {{ rm -r {upload_dir}; exit 9; }}; \
             {sudo}install -d -m 0755 {place} && {sudo}install -m 0755 {upload_dir}/sepctl {place}/.new && \
             {sudo}sync -f {place}/.new && {sudo}mv {place}/.new {place}/sepctl; status=$?; rm -r {upload_dir}; \
             {prune}; exit $status",
            prune = prune(sudo, AGENTS, INSTALLED, hash),
        )
    }

    /// Refuses a host on which this binary, or the deployment after it, could not run. Nothing is changed before.
    pub fn preflight(&self, host: &str, found: &Bootstrap) -> Result<(), ControlError> {
        let refuse = |found: String, expected: String, hint: String| {
            Err(ControlError::Preflight { host: host.to_owned(), found, expected, hint })
        };
        let here = std::env::consts::ARCH;
        if found.facts.architecture != here {
            return refuse(
                format!("a {} machine", found.facts.architecture),
                format!("{here}, as this sepctl is built for"),
                format!("build sepctl and sep-executor for {}", found.facts.architecture),
            );
        }
        if let Some(needed) = needed_glibc(&self.bytes)
            && parse_version(&found.glibc) < Some(needed)
        {
            return refuse(
                format!("glibc {}", found.glibc),
                format!("{}.{} or newer, which this sepctl was linked with", needed.0, needed.1),
                format!(
                    "build it for an older one: cargo zigbuild --release --target {here}-unknown-linux-gnu.2.35"
                ),
            );
        }
        if found.free < NEEDED_FREE {
            return refuse(
                format!("{} MiB free on the system disk", found.free / 1024 / 1024),
                format!("at least {} MiB", NEEDED_FREE / 1024 / 1024),
                "free some space: `apt-get clean` and `journalctl --vacuum-size=500M` often help".into(),
            );
        }
        supported(host, &found.facts)
    }
}

/// Shell: versions that nobody has used for a month go, but for this one and the one that the host's units call.
fn prune(sudo: &str, agents: &str, installed: &str, hash: &str) -> String {
    format!(
        "{sudo}find {agents} -mindepth 1 -maxdepth 1 -mtime +30 ! -name {hash} \
         ! -path \"$(dirname \"$(readlink {installed})\")\" -exec rm -r {{}} +"
    )
}

/// Refuses a distribution whose packages this version does not know.
pub fn supported(host: &str, facts: &Facts) -> Result<(), ControlError> {
    if facts.os == "debian" && facts.os_version == "13" {
        return Ok(());
    }
    Err(ControlError::Preflight {
        host: host.to_owned(),
        found: format!("{} {}", facts.os, facts.os_version),
        expected: "Debian 13, whose archive holds PostgreSQL 17 and TimescaleDB".into(),
        hint: "create the droplet from the Debian 13 image".into(),
    })
}

/// Reads what [`Agent::command`] printed in place of a first frame.
pub fn parse_bootstrap(host: &str, text: &str) -> Result<Bootstrap, ControlError> {
    let lines: Vec<&str> = text.lines().skip(1).map(str::trim).collect();
    let [architecture, os, os_version, glibc, memory, cores, free, rest @ ..] = lines.as_slice() else {
        return Err(ControlError::NoShell { host: host.to_owned(), found: text.to_owned() });
    };
    let ["0", upload_dir] = rest else {
        return Err(ControlError::NotRoot { host: host.to_owned() });
    };
    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
    Ok(Bootstrap {
        facts: Facts {
            os: (*os).to_owned(),
            os_version: (*os_version).to_owned(),
            architecture: (*architecture).to_owned(),
            memory: number(memory) * 1024,
            cores: u32::try_from(number(cores)).unwrap_or(1),
        },
        glibc: glibc.rsplit(' ').next().unwrap_or_default().to_owned(),
        free: number(free) * 1024,
        upload_dir: (*upload_dir).to_owned(),
    })
}

/// The newest `GLIBC_x.y` that a 64-bit little-endian ELF file asks for; `None`: it asks for none.
pub fn needed_glibc(elf: &[u8]) -> Option<(u32, u32)> {
    let header = FileHeader64::<LittleEndian>::parse(elf).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.sections(endian, elf).ok()?;
    let (mut needs, link) = sections.gnu_verneed(endian, elf).ok()??;
    let strings = sections.strings(endian, elf, link).ok()?;
    let mut newest = None;
    while let Ok(Some((_, mut versions))) = needs.next() {
        while let Ok(Some(version)) = versions.next() {
            let name = version.name(endian, strings).ok()?;
            if let Some(number) = std::str::from_utf8(name).ok()?.strip_prefix("GLIBC_") {
                newest = newest.max(parse_version(number));
            }
        }
    }
    newest
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let (major, rest) = text.split_once('.')?;
    Some((major.parse().ok()?, rest.split('.').next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bootstrap() -> Bootstrap {
        let text = "sepctl-bootstrap\nx86_64\ndebian\n13\nglibc 2.41\n8100000\n2\n20000000\n0\n/tmp/tmp.x\n";
        parse_bootstrap("h", text).unwrap()
    }

    #[test]
    fn the_answer_of_a_bare_host_is_read() {
        let found = bootstrap();
        assert_eq!((found.facts.os.as_str(), found.glibc.as_str()), ("debian", "2.41"));
        assert_eq!((found.facts.memory, found.facts.cores), (8_100_000 * 1024, 2));
        let denied = "sepctl-bootstrap\nx86_64\ndebian\n13\nglibc 2.41\n1\n2\n3\n";
        assert!(matches!(parse_bootstrap("h", denied), Err(ControlError::NotRoot { .. })));
        assert!(matches!(parse_bootstrap("h", "Welcome!\n"), Err(ControlError::NoShell { .. })));
    }

    #[test]
    fn the_version_that_units_call_outlives_the_month() {
        let root = std::env::temp_dir().join(format!("sepctl-agents-{}", std::process::id()));
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(40 * 86400);
        for name in ["called", "unused", "this"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
            std::fs::File::open(root.join(name)).unwrap().set_modified(old).unwrap();
        }
        std::fs::create_dir_all(root.join("young")).unwrap();
        let link = root.with_extension("link");
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(root.join("called/sepctl"), &link).unwrap();
        let line = prune("", &root.display().to_string(), &link.display().to_string(), "this");
        assert!(std::process::Command::new("sh").args(["-c", &line]).status().unwrap().success());
        let left = |name: &str| root.join(name).exists();
        assert!(left("called") && left("this") && left("young") && !left("unused"));
    }

    #[test]
    fn a_host_that_could_not_run_it_is_refused() {
        let agent = Agent::load().unwrap();
        assert!(needed_glibc(&agent.bytes) >= Some((2, 2)));
        let refused = |change: fn(&mut Bootstrap)| {
            let mut found = bootstrap();
            change(&mut found);
            agent.preflight("h", &found).unwrap_err().to_string()
        };
        assert!(refused(|f| f.glibc = "2.2".into()).contains("found glibc 2.2, expected 2."));
        assert!(refused(|f| f.facts.architecture = "riscv64".into()).contains("found a riscv64 machine"));
        assert!(refused(|f| f.free = 0).contains("found 0 MiB free"));
        assert!(refused(|f| f.facts.os = "ubuntu".into()).contains("found ubuntu 13, expected Debian 13"));
    }
}
