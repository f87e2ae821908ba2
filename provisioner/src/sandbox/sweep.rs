//! Gives back what droplets occupy on the outer machine: those that end, and those whose command was killed.
//!
//! Touches only what carries a droplet's name, and only while holding that droplet's lock.

use std::fs;
use std::path::Path;

use super::cgroup::{Cgroup, Hierarchies};
use super::error::SandboxError;
use super::network;
use super::place::{self, Lock, Name, Place, STATE_ROOT};
use super::state::State;
use super::volume;

/// Where systemd-nspawn keeps a folder for each machine, which stays when it is killed.
const NSPAWN_DIRS: [&str; 2] = ["/run/systemd/nspawn/propagate", "/run/systemd/nspawn/unix-export"];

/// Ends a droplet's processes and takes its cable, loop devices and cgroups away. Nothing to do is success.
pub fn release(name: &Name, state: Option<&State>, hierarchies: &Hierarchies) -> Result<(), SandboxError> {
    if let Some(inner) = state.and_then(State::running) {
        inner.kill();
    }
    Cgroup::of(hierarchies, name).destroy(name)?;
    if let Some(state) = state {
        network::disconnect(state.subnet)?;
    }
    volume::detach(name)?;
    for dir in NSPAWN_DIRS {
        // Not there, mostly: nspawn removes its own when it ends by itself.
        let _ = fs::remove_dir(Path::new(dir).join(name.unit()));
    }
    Ok(())
}

/// Removes a droplet's folder: the state first, so that what a crash leaves counts as a leftover.
pub fn remove(place: &Place) -> Result<(), SandboxError> {
    let state = place.state();
    if state.exists() {
        fs::remove_file(&state).map_err(SandboxError::io("remove", &state))?;
    }
    fs::remove_dir_all(place.dir()).map_err(SandboxError::io("remove", place.dir()))
}

/// Cleans up after commands that were killed; gives the names of the droplets it did something about.
///
/// A droplet's folder is made before anything else of it and removed after, so that only those with a folder are
/// looked at: what has none may be another machine's, seen through a container's wall.
pub fn orphans(hierarchies: &Hierarchies) -> Result<Vec<String>, SandboxError> {
    let mut swept = Vec::new();
    for name in place::names()? {
        let place = Place::of(&name);
        // Held: a command is at work on it.
        let Some(_lock) = Lock::try_take(place.dir())? else { continue };
        let cgroup = Cgroup::of(hierarchies, &name);
        match State::load(&name) {
            Ok(Some(state)) if state.running().is_some() => {
                if !cgroup.is_frozen() {
                    continue;
                }
                cgroup.freeze(false)?;
            }
            Ok(Some(state)) => {
                if !is_occupied(&name, &state, &cgroup)? {
                    continue;
                }
                release(&name, Some(&state), hierarchies)?;
            }
            Ok(None) => {
                release(&name, None, hierarchies)?;
                remove(&place)?;
            }
            // Whoever asks for this droplet is told; `down` removes it.
            Err(_) => continue,
        }
        swept.push(name.to_string());
    }
    forget_empty_root();
    Ok(swept)
}

/// Whether a droplet that does not run still holds anything besides its folder.
fn is_occupied(name: &Name, state: &State, cgroup: &Cgroup) -> Result<bool, SandboxError> {
    Ok(cgroup.exists()
        || network::is_connected(state.subnet)
        || NSPAWN_DIRS.iter().any(|dir| Path::new(dir).join(name.unit()).exists())
        || !volume::devices(&Place::of(name).volume())?.is_empty())
}

/// Removes the folder of all droplets when there is none left.
pub fn forget_empty_root() {
    let _ = fs::remove_dir(STATE_ROOT);
}
