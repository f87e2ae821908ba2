//! Gives back what droplets occupy on the outer machine: those that end, and those whose command was killed.
//!
//! Touches only what carries a droplet's name, and only while holding that droplet's lock.

use std::collections::BTreeSet;
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
pub fn orphans(hierarchies: &Hierarchies) -> Result<Vec<String>, SandboxError> {
    let mut swept = Vec::new();
    let occupied = occupied(hierarchies);
    for name in place::names()?.into_iter().chain(occupied.clone()).collect::<BTreeSet<_>>() {
        let place = Place::of(&name);
        // Held: a command is at work on it.
        let Some(_lock) = Lock::try_take(place.dir())? else { continue };
        match State::load(&name) {
            Ok(Some(state)) if state.running().is_some() => {
                let cgroup = Cgroup::of(hierarchies, &name);
                if cgroup.is_frozen() {
                    cgroup.freeze(false)?;
                    swept.push(name.to_string());
                }
            }
            Ok(Some(state)) => {
                if occupied.contains(&name) {
                    release(&name, Some(&state), hierarchies)?;
                    swept.push(name.to_string());
                }
            }
            Ok(None) => {
                release(&name, None, hierarchies)?;
                remove(&place)?;
                swept.push(name.to_string());
            }
            // Whoever asks for this droplet is told; `down` removes it.
            Err(_) => {}
        }
    }
    sweep_links(&mut swept)?;
    forget_empty_root();
    Ok(swept)
}

/// Names of droplets of which there is something on the machine besides their folder.
fn occupied(hierarchies: &Hierarchies) -> BTreeSet<Name> {
    let mut names: BTreeSet<Name> = hierarchies.droplets().into_iter().collect();
    names.extend(volume::attached().into_iter().map(|(owner, _)| owner));
    for entry in NSPAWN_DIRS.iter().flat_map(fs::read_dir).flatten().flatten() {
        names.extend(entry.file_name().to_str().and_then(Name::of_unit));
    }
    names
}

/// Cables that belong to no droplet. A droplet's state is written before its cable is laid.
fn sweep_links(swept: &mut Vec<String>) -> Result<(), SandboxError> {
    let links = network::links();
    if links.is_empty() {
        return Ok(());
    }
    let mut claimed = BTreeSet::new();
    for name in place::names()? {
        match State::load(&name) {
            Ok(Some(state)) => {
                claimed.insert(state.subnet);
            }
            Ok(None) => {}
            // Its subnet cannot be known, so nothing is certain.
            Err(_) => return Ok(()),
        }
    }
    for link in links.into_iter().filter(|link| !claimed.contains(link)) {
        network::disconnect(link)?;
        swept.push(link.link());
    }
    Ok(())
}

/// Removes the folder of all droplets when there is none left.
pub fn forget_empty_root() {
    let _ = fs::remove_dir(STATE_ROOT);
}
