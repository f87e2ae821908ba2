//! The droplet's volume: a sparse file under a loop device.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::SandboxError;
use super::place::{Name, Place};
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
    let mut left = Vec::new();
    let gone = wait_for(DETACH_LIMIT, || {
        left = devices(&Place::of(name).volume())?;
        for device in &left {
            // Fails where the kernel let go of it in between: the next look tells.
            let _ = run("losetup", &["--detach", device], LOSETUP_LIMIT);
        }
        Ok(left.is_empty().then_some(()))
    })?;
    gone.ok_or_else(|| SandboxError::NotReleased {
        name: name.to_string(),
        what: left.join(", "),
        seconds: DETACH_LIMIT.as_secs(),
    })
}

/// The loop devices over this very file. Its path alone does not tell: in a container's mount namespace it may be
/// another file, and that of another machine's droplet.
pub fn devices(file: &Path) -> Result<Vec<String>, SandboxError> {
    if !file.exists() || !is_backing(file) {
        return Ok(Vec::new());
    }
    let args = ["--associated", &file.to_string_lossy(), "--noheadings", "--output", "NAME"];
    Ok(run("losetup", &args, LOSETUP_LIMIT)?.split_whitespace().map(str::to_owned).collect())
}

/// Whether any loop device names this path; spares the start of losetup when none does.
fn is_backing(file: &Path) -> bool {
    let blocks = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let mut files =
        blocks.filter_map(|entry| fs::read_to_string(entry.path().join("loop/backing_file")).ok());
    files.any(|backing| Path::new(backing.trim_end()) == file)
}
