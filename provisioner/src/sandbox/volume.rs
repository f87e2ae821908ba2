//! The droplet's volume: a sparse file under a loop device.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::SandboxError;
use super::place::{Name, Place, STATE_ROOT};
use super::program::{run, wait_for};

/// `losetup --find` takes the device in a second step, and another may have taken it by then: try again that often.
const ATTACH_TRIES: u32 = 20;
/// The kernel lets go of a loop device when its last mount has gone, which a dying mount namespace does late.
const DETACH_LIMIT: Duration = Duration::from_secs(30);
const LOSETUP_LIMIT: Duration = Duration::from_secs(10);

/// Makes an empty volume of this size, in place of what was there.
pub fn make(place: &Place, size: u64) -> Result<(), SandboxError> {
    let path = place.volume();
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path);
    file.and_then(|file| file.set_len(size)).map_err(SandboxError::io("make", &path))
}

/// Puts a loop device under the volume; gives its path and its `MAJOR:MINOR`.
pub fn attach(place: &Place) -> Result<(String, String), SandboxError> {
    let file = place.volume();
    let args = ["--find", "--show", &file.to_string_lossy()];
    let mut attached = run("losetup", &args, LOSETUP_LIMIT);
    for _ in 1..ATTACH_TRIES {
        if attached.is_ok() {
            break;
        }
        attached = run("losetup", &args, LOSETUP_LIMIT);
    }
    let path = attached?.trim().to_owned();
    let number = PathBuf::from(format!("/sys/block/{}/dev", path.trim_start_matches("/dev/")));
    let number = fs::read_to_string(&number).map_err(SandboxError::io("read", &number))?;
    Ok((path, number.trim().to_owned()))
}

/// Takes all loop devices from under the volume and waits until they are gone. None is success.
pub fn detach(name: &Name) -> Result<(), SandboxError> {
    let devices = || attached().into_iter().filter(|(owner, _)| owner == name).map(|(_, device)| device);
    let gone = wait_for(DETACH_LIMIT, || {
        let mut left = false;
        for device in devices() {
            left = true;
            // Fails where somebody else detached it in between: the next look tells.
            let _ = run("losetup", &["--detach", &device], LOSETUP_LIMIT);
        }
        Ok((!left).then_some(()))
    })?;
    gone.ok_or_else(|| SandboxError::NotReleased {
        name: name.to_string(),
        what: devices().collect::<Vec<_>>().join(", "),
        seconds: DETACH_LIMIT.as_secs(),
    })
}

/// Loop devices whose file lies in a droplet's folder, with that droplet's name.
pub fn attached() -> Vec<(Name, String)> {
    let blocks = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let found = blocks.filter_map(|entry| {
        let file = fs::read_to_string(entry.path().join("loop/backing_file")).ok()?;
        Some((owner(file.trim())?, format!("/dev/{}", entry.file_name().to_str()?)))
    });
    found.collect()
}

/// The droplet in whose folder a backing file lies; the kernel says ` (deleted)` after those that are gone.
fn owner(file: &str) -> Option<Name> {
    let file = file.strip_suffix(" (deleted)").unwrap_or(file);
    let rest = Path::new(file).strip_prefix(STATE_ROOT).ok()?;
    Name::new(rest.components().next()?.as_os_str().to_str()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backing_files_tell_their_droplet() {
        assert_eq!(owner("/var/lib/sepctl-sandbox/box/disks/volume.img").unwrap().as_str(), "box");
        assert_eq!(owner("/var/lib/sepctl-sandbox/box/disks/volume.img (deleted)").unwrap().as_str(), "box");
        assert_eq!(owner("/var/lib/other/box/volume.img"), None);
        assert_eq!(owner("/home/x/disk.img"), None);
    }
}
