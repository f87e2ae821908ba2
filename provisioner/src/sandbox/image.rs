//! The image that every droplet starts from: Debian 13 as DigitalOcean delivers it, and the packages that a
//! deployment installs, fetched in advance so that droplets need no network.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sha2::{Digest, Sha256};

use super::error::{LogTail, SandboxError};
use super::place::{CACHE_ROOT, make_dir};
use super::program::command;

/// Debian 13.
const SUITE: &str = "trixie";
/// Raised when the recipe changes in a way that its text does not show.
const RECIPE_VERSION: u32 = 1;
/// What is installed: what a fresh DigitalOcean droplet has, as far as a deployment can tell.
const BASE: &[&str] = &[
    "systemd",
    "systemd-sysv",
    "dbus",
    "libpam-systemd",
    "systemd-timesyncd",
    "udev",
    "procps",
    "openssh-server",
    "iproute2",
    "nftables",
    "cron",
    "ca-certificates",
    "curl",
    "sudo",
    "e2fsprogs",
];
/// What lies ready in /var/cache/apt/archives with all it depends on, and installs without a network.
pub const PREFETCH: &[&str] = &[
    "postgresql-17",
    "postgresql-17-timescaledb",
    "postgresql-client-17",
    "postgresql-common",
    "nginx-light",
    "nftables",
    "cron",
    "sudo",
    "systemd-timesyncd",
    "unattended-upgrades",
    "openssl",
    "xfsprogs",
    "ca-certificates",
    "curl",
    "logrotate",
    "rsync",
];
/// MiB that an image and its making take.
const NEEDED_MIB: u64 = 2048;

/// Runs in the outer machine with the new root as $1, before mmdebstrap ends.
const CUSTOMIZE: &str = r#"
set -eu
inside() { chroot "$1" env -u APT_CONFIG DEBIAN_FRONTEND=noninteractive sh -euc "$2"; }

cat > "$1/etc/apt/apt.conf.d/90sandbox" <<'END'
APT::Keep-Downloaded-Packages "true";
Binary::apt::APT::Keep-Downloaded-Packages "true";
// There is no network in a sandbox: the timers may run but need not try, and nothing is worth a second try.
APT::Periodic::Enable "0";
Acquire::Retries "0";
END

# systemd ignores the devices of /etc/fstab in a container. A droplet is to behave as a machine: this generator
# makes the mount units that systemd's own would make there.
mkdir -p "$1/etc/systemd/system-generators"
cat > "$1/etc/systemd/system-generators/sandbox-fstab" <<'END'
#!/bin/sh
set -eu
while read -r what where kind options _; do
    case "$what" in /dev/*) ;; *) continue ;; esac
    case ",$options," in *,noauto,*) continue ;; esac
    unit=$(systemd-escape --path --suffix=mount "$where")
    {
        printf '[Unit]\nSourcePath=/etc/fstab\n'
        case ",$options," in *,nofail,*) wants=wants ;; *) wants=requires; echo Before=local-fs.target ;; esac
        printf '\n[Mount]\nWhat=%s\nWhere=%s\nType=%s\nOptions=%s\n' "$what" "$where" "$kind" "$options"
    } > "$1/$unit"
    mkdir -p "$1/local-fs.target.$wants"
    ln -sf "../$unit" "$1/local-fs.target.$wants/$unit"
done < /etc/fstab
END
chmod 0755 "$1/etc/systemd/system-generators/sandbox-fstab"

inside "$1" "
    apt-get clean
    apt-get -q -y --download-only --option=Acquire::Retries=3 --install-recommends install $PREFETCH
    systemctl disable apt-daily.timer apt-daily-upgrade.timer
    useradd --create-home --shell /bin/bash admin
"
echo 'admin ALL=(ALL) NOPASSWD:ALL' > "$1/etc/sudoers.d/90-admin"
chmod 0440 "$1/etc/sudoers.d/90-admin"

# What must be new in each droplet.
rm -f "$1"/etc/ssh/ssh_host_* "$1/etc/hostname" "$1/etc/resolv.conf" "$1/var/lib/dbus/machine-id"
: > "$1/etc/machine-id"
"#;

/// What the image is made of, as a name for it: another recipe is another image.
pub fn key() -> String {
    let recipe =
        format!("{RECIPE_VERSION}\n{SUITE}\n{}\n{}\n{CUSTOMIZE}", BASE.join(" "), PREFETCH.join(" "));
    let digest = Sha256::digest(recipe.as_bytes());
    let hex: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("{SUITE}-{hex}")
}

/// Where the image of this key lies once it is made.
pub fn root(key: &str) -> PathBuf {
    Path::new(CACHE_ROOT).join(key)
}

/// Whether the image of this key is there, whole.
pub fn exists(key: &str) -> bool {
    root(key).is_dir()
}

/// Makes today's image unless it is there. One process makes it, others wait; a killed one leaves nothing that counts.
pub fn make() -> Result<(), SandboxError> {
    let (cache, target) = (Path::new(CACHE_ROOT), root(&key()));
    make_dir(cache, 0o700)?;
    let lock_path = cache.join("build.lock");
    let lock = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&lock_path);
    let lock = lock.map_err(SandboxError::io("open", &lock_path))?;
    lock.lock().map_err(SandboxError::io("lock", &lock_path))?;
    if target.is_dir() {
        return Ok(());
    }
    check_space(cache)?;
    let building = cache.join("building");
    remove(&building)?;
    let log_path = cache.join("build.log");
    let log = File::create(&log_path).map_err(SandboxError::io("make", &log_path))?;
    build(&building, lock, &log_path, log)?;
    fs::rename(&building, &target).map_err(SandboxError::io("publish", &target))
}

/// Runs mmdebstrap, in a mount namespace of its own so that its mounts end with it.
fn build(building: &Path, lock: File, log_path: &Path, log: File) -> Result<(), SandboxError> {
    let log_twin = log.try_clone().map_err(SandboxError::io("open", log_path))?;
    let status = command("unshare")
        .args(["--mount", "--propagation", "private", "mmdebstrap", "--mode=root", "--variant=minbase"])
        .args(["--skip=cleanup/apt", "--format=directory"])
        .arg(format!("--include={}", BASE.join(",")))
        .arg(format!("--customize-hook={CUSTOMIZE}"))
        .arg(SUITE)
        .arg(building)
        .env("PREFETCH", PREFETCH.join(" "))
        // The lock goes along: if we are killed, the next to build waits until the orphan has ended.
        .stdin(Stdio::from(lock))
        .stdout(log)
        .stderr(log_twin)
        .status()
        .map_err(|source| SandboxError::Start { program: "unshare mmdebstrap".to_owned(), source })?;
    if status.success() {
        return Ok(());
    }
    Err(SandboxError::ImageBuild { status: status.to_string(), log: LogTail::read(log_path) })
}

/// Removes images that no droplet uses and today's recipe does not make.
pub fn prune(used: &[String]) -> Result<(), SandboxError> {
    let today = key();
    for entry in fs::read_dir(CACHE_ROOT).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(&format!("{SUITE}-")) && name != today && !used.contains(&name) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn remove(dir: &Path) -> Result<(), SandboxError> {
    if !dir.exists() {
        return Ok(());
    }
    fs::remove_dir_all(dir).map_err(SandboxError::io("remove", dir))
}

fn check_space(dir: &Path) -> Result<(), SandboxError> {
    let stat = rustix::fs::statvfs(dir).map_err(|error| SandboxError::io("look at", dir)(error.into()))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize) >> 20;
    if free < NEEDED_MIB {
        return Err(SandboxError::NoSpace { path: dir.to_path_buf(), needed: NEEDED_MIB, free });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_steady_and_names_the_suite() {
        assert_eq!(key(), key());
        assert!(key().starts_with("trixie-") && key().len() == "trixie-".len() + 12, "{}", key());
    }
}
