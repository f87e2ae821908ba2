//! What a droplet is given before its first boot: empty layers, a volume, keys, an identity, an inventory.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::time::Duration;

use super::error::SandboxError;
use super::place::{Name, Place, make_dir};
use super::program::run;
use super::state::{State, replace};
use super::volume;

const KEYGEN_LIMIT: Duration = Duration::from_secs(20);
/// A deployed droplet is a few hundred megabytes; a full volume may be tens of gigabytes.
const COPY_LIMIT: Duration = Duration::from_secs(1800);
/// The first user that the image adds.
const ADMIN_ID: u32 = 1000;
/// What the inventory says of the hardware: the droplet sees the whole outer machine, so it is told what to be.
const MEMORY: &str = "8GiB";
const CORES: u32 = 2;

/// Makes a bare droplet's disks, in place of any there are. Keys that are there stay.
pub fn bare(place: &Place, name: &Name, state: &State) -> Result<(), SandboxError> {
    clear_layers(place)?;
    make_dir(&place.upper(), 0o755)?;
    volume::make(place, state.volume_size)?;
    make_key(&place.identity(), name)?;
    make_key(&place.disks().join("host_key"), name)?;
    let public = read(&place.identity().with_extension("pub"))?;
    let upper = place.upper();
    authorize(&upper.join("root"), 0o700, 0, &public)?;
    make_dir(&upper.join("home"), 0o755)?;
    authorize(&upper.join("home/admin"), 0o755, ADMIN_ID, &public)?;
    identity(place, name)?;
    describe(place, name, state)
}

/// Makes a droplet's disks out of another's, which must not write meanwhile: its layers, its volume and its client
/// key, with an identity of its own.
pub fn copy(place: &Place, name: &Name, state: &State, from: &Place) -> Result<(), SandboxError> {
    clear_layers(place)?;
    let copy = |source: &Path, target: &Path| {
        let (source, target) = (source.to_string_lossy(), target.to_string_lossy());
        let args =
            ["--archive", "--reflink=auto", "--sparse=always", "--no-target-directory", &source, &target];
        run("cp", &args, COPY_LIMIT).map(|_| ())
    };
    copy(&from.upper(), &place.upper())?;
    copy(&from.volume(), &place.volume())?;
    copy(&from.identity(), &place.identity())?;
    copy(&from.identity().with_extension("pub"), &place.identity().with_extension("pub"))?;
    make_key(&place.disks().join("host_key"), name)?;
    identity(place, name)?;
    describe(place, name, state)
}

fn clear_layers(place: &Place) -> Result<(), SandboxError> {
    for dir in [place.upper(), place.work(), place.merged(), place.by_id()] {
        if dir.exists() {
            fs::remove_dir_all(&dir).map_err(SandboxError::io("remove", &dir))?;
        }
    }
    make_dir(&place.disks(), 0o700)?;
    make_dir(&place.work(), 0o700)?;
    make_dir(&place.merged(), 0o755)?;
    make_dir(&place.by_id(), 0o755)
}

fn make_key(path: &Path, name: &Name) -> Result<(), SandboxError> {
    if path.exists() && path.with_extension("pub").exists() {
        return Ok(());
    }
    let _ = fs::remove_file(path);
    let args = ["-q", "-t", "ed25519", "-N", "", "-C", &name.unit(), "-f", &path.to_string_lossy()];
    run("ssh-keygen", &args, KEYGEN_LIMIT).map(|_| ())
}

/// Lets the client key in as the owner of this home folder.
fn authorize(home: &Path, mode: u32, owner: u32, public: &str) -> Result<(), SandboxError> {
    make_dir(home, mode)?;
    let ssh = home.join(".ssh");
    make_dir(&ssh, 0o700)?;
    let keys = ssh.join("authorized_keys");
    write(&keys, public, 0o600)?;
    for path in [home, &ssh, &keys] {
        chown(path, Some(owner), Some(owner)).map_err(SandboxError::io("give away", path))?;
    }
    Ok(())
}

/// What must differ between two machines: host key, machine id, name.
fn identity(place: &Place, name: &Name) -> Result<(), SandboxError> {
    let etc = place.upper().join("etc");
    make_dir(&etc, 0o755)?;
    make_dir(&etc.join("ssh"), 0o755)?;
    for entry in fs::read_dir(etc.join("ssh")).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("ssh_host_") {
            fs::remove_file(entry.path()).map_err(SandboxError::io("remove", &entry.path()))?;
        }
    }
    let key = place.disks().join("host_key");
    write(&etc.join("ssh/ssh_host_ed25519_key"), &read(&key)?, 0o600)?;
    write(&etc.join("ssh/ssh_host_ed25519_key.pub"), &read(&key.with_extension("pub"))?, 0o644)?;
    let id = read(Path::new("/proc/sys/kernel/random/uuid"))?.replace('-', "");
    // A deployment may have made the machine id read-only.
    let _ = fs::remove_file(etc.join("machine-id"));
    write(&etc.join("machine-id"), &id, 0o444)?;
    write(&etc.join("hostname"), &format!("{name}\n"), 0o644)?;
    let hosts =
        format!("127.0.0.1\tlocalhost\n127.0.1.1\t{name}\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    write(&etc.join("hosts"), &hosts, 0o644)
}

/// What the outer machine needs for reaching it: known_hosts, the inventory, the device's link.
fn describe(place: &Place, name: &Name, state: &State) -> Result<(), SandboxError> {
    let link = place.by_id().join(format!("scsi-0DO_Volume_{}", state.volume));
    symlink("../../sda", &link).map_err(SandboxError::io("make", &link))?;
    let public = read(&place.disks().join("host_key.pub"))?;
    // The third word is a comment.
    let host_key = public.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let address = state.subnet.inside().to_string();
    replace(&place.known_hosts(), format!("{address} {host_key}\n").as_bytes())?;
    replace(&place.inventory(), inventory(place, name, state, &host_key).as_bytes())?;
    give_to_user(place)
}

/// The droplet as `hosts:` of an inventory.
fn inventory(place: &Place, name: &Name, state: &State, host_key: &str) -> String {
    let (identity, known_hosts) = (place.identity(), place.known_hosts());
    format!(
        "# Written by `sepctl sandbox`; gone with the droplet.\n\
         hosts:\n\
         \x20 {name}:\n\
         \x20   ssh:\n\
         \x20     address: {}\n\
         \x20     user: root\n\
         \x20     host_key: \"{host_key}\"\n\
         \x20     identity: {}\n\
         \x20     known_hosts: {}\n\
         \x20   hardware: {{ memory: {MEMORY}, cores: {CORES} }}\n\
         \x20   volume: {{ device: /dev/disk/by-id/scsi-0DO_Volume_{} }}\n",
        state.subnet.inside(),
        identity.display(),
        known_hosts.display(),
        state.volume,
    )
}

/// Under sudo, the files that reach the droplet belong to the user who called: deployments need no root here.
fn give_to_user(place: &Place) -> Result<(), SandboxError> {
    let number = |variable| std::env::var(variable).ok()?.parse::<u32>().ok();
    let (Some(user), Some(group)) = (number("SUDO_UID"), number("SUDO_GID")) else { return Ok(()) };
    let public = place.identity().with_extension("pub");
    for path in [place.identity(), public, place.known_hosts(), place.inventory()] {
        chown(&path, Some(user), Some(group)).map_err(SandboxError::io("give away", &path))?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, SandboxError> {
    fs::read_to_string(path).map_err(SandboxError::io("read", path))
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), SandboxError> {
    fs::write(path, text).map_err(SandboxError::io("write", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(SandboxError::io("set the mode of", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::subnet::Subnet;

    #[test]
    fn inventory_is_yaml_with_what_a_deployment_needs() {
        let name = Name::new("box").unwrap();
        let state = State::new(Subnet::FIRST, "sep-data".into(), 1 << 30, "trixie-0".into());
        let text = inventory(&Place::of(&name), &name, &state, "ssh-ed25519 AAAA");
        let yaml: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
        let host = &yaml["hosts"]["box"];
        assert_eq!(host["ssh"]["address"], "10.213.0.2");
        assert_eq!(host["ssh"]["host_key"], "ssh-ed25519 AAAA");
        assert_eq!(host["ssh"]["identity"], "/var/lib/sepctl-sandbox/box/id_ed25519");
        assert_eq!(host["hardware"]["memory"], "8GiB");
        assert_eq!(host["volume"]["device"], "/dev/disk/by-id/scsi-0DO_Volume_sep-data");
    }
}
