//! What the outer machine must have before anything is touched: root, and the programs that are driven.

use std::path::Path;

use super::error::SandboxError;
use super::place::STATE_ROOT;
use super::program::is_installed;

/// Magic number of overlayfs in statfs.
const OVERLAY_MAGIC: u64 = 0x794c_7630;

struct Needed {
    program: &'static str,
    debian: &'static str,
    fedora: &'static str,
}

const fn needed(program: &'static str, debian: &'static str, fedora: &'static str) -> Needed {
    Needed { program, debian, fedora }
}

const NEEDED: [Needed; 9] = [
    needed("mmdebstrap", "mmdebstrap debian-archive-keyring", "mmdebstrap debian-keyring"),
    needed("systemd-nspawn", "systemd-container", "systemd-container"),
    needed("losetup", "mount", "util-linux-core"),
    needed("ip", "iproute2", "iproute"),
    needed("ssh-keygen", "openssh-client", "openssh"),
    needed("nsenter", "util-linux", "util-linux-core"),
    needed("unshare", "util-linux", "util-linux-core"),
    needed("setpriv", "util-linux", "util-linux"),
    needed("setsid", "util-linux", "util-linux"),
];

/// Refuses when something is missing; `verb` is what the user asked for.
pub fn check(verb: &str) -> Result<(), SandboxError> {
    let uid = rustix::process::geteuid();
    if !uid.is_root() {
        let command = format!("sepctl sandbox {verb}");
        return Err(SandboxError::NotRoot { uid: uid.as_raw(), command });
    }
    match missing(is_installed) {
        Some(error) => Err(error),
        None => check_file_system(),
    }
}

fn missing(is_installed: impl Fn(&str) -> bool) -> Option<SandboxError> {
    let missing: Vec<&Needed> = NEEDED.iter().filter(|needed| !is_installed(needed.program)).collect();
    let join = |part: fn(&Needed) -> &'static str, separator: &str| {
        let mut parts: Vec<&str> = missing.iter().map(|needed| part(needed)).collect();
        parts.dedup();
        parts.join(separator)
    };
    (!missing.is_empty()).then(|| SandboxError::MissingPrograms {
        missing: join(|needed| needed.program, ", "),
        debian: join(|needed| needed.debian, " "),
        fedora: join(|needed| needed.fedora, " "),
    })
}

/// Looks at where the droplets lie, or at the nearest folder above that exists.
fn check_file_system() -> Result<(), SandboxError> {
    for path in Path::new(STATE_ROOT).ancestors() {
        match rustix::fs::statfs(path) {
            Ok(stat) if u64::try_from(stat.f_type) == Ok(OVERLAY_MAGIC) => {
                return Err(SandboxError::OverlayOnOverlay { path: STATE_ROOT.into() });
            }
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(SandboxError::io("look at", path)(error.into())),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_missing_programs_are_named_for_both_families() {
        let error =
            missing(|program| program != "ip" && program != "nsenter" && program != "unshare").unwrap();
        let text = error.to_string();
        assert!(text.contains("missing: ip, nsenter, unshare"), "{text}");
        assert!(text.contains("apt install iproute2 util-linux\n"), "{text}");
        assert!(text.ends_with("dnf install iproute util-linux-core"), "{text}");
        assert!(missing(|_| true).is_none());
    }
}
