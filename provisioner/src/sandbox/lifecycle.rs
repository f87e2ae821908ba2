//! The verbs: what `sepctl sandbox` does to one droplet, from nothing to nothing.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::boot::boot;
use super::cgroup::{Cgroup, Hierarchies};
use super::error::SandboxError;
use super::inside::{ask, enter};
use super::place::{self, Lock, Name, Place, STATE_ROOT};
use super::program::{Process, wait_for};
use super::state::State;
use super::steps::Steps;
use super::{DEFAULT_NAME, DEFAULT_VOLUME, DEFAULT_VOLUME_SIZE};
use super::{image, network, seed, subnet, sweep};

/// How long a droplet may take to shut down: systemd itself gives services 90 s.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(120);
/// After SIGKILL to its PID 1 everything is gone within 50 ms.
const POWER_LIMIT: Duration = Duration::from_secs(20);
const ASK_LIMIT: Duration = Duration::from_secs(60);

/// What `up` may be asked for. `None`: the default, or what the droplet has.
#[derive(Debug, Default, Clone)]
pub struct UpOptions {
    /// Start as a copy of this droplet.
    pub from: Option<Name>,
    /// Name of the volume.
    pub volume: Option<String>,
    /// Bytes of the volume.
    pub volume_size: Option<u64>,
}

/// Makes sure that the droplet runs: makes it, boots it, or finds it running.
pub fn up(
    name: &Name,
    options: &UpOptions,
    hierarchies: &Hierarchies,
    steps: &mut Steps<'_>,
) -> Result<(), SandboxError> {
    let place = Place::of(name);
    let _locks = lock(name, options.from.as_ref())?;
    match State::load(name)? {
        Some(mut state) if state.made => {
            refuse_differences(name, &state, options)?;
            // One that is still booting although nobody waits for it was left by a killed command: boot it again.
            if state.is_up() {
                steps.finish("is running already");
                return Ok(());
            }
            boot(name, &mut state, hierarchies, false, steps)?;
        }
        unfinished => {
            let mut state = allot(name, unfinished, options)?;
            match &options.from {
                None => make_bare(name, &mut state, steps)?,
                Some(from) => make_copy(name, &mut state, from, hierarchies, steps)?,
            }
            state.made = true;
            state.save(&place)?;
            boot(name, &mut state, hierarchies, options.from.is_none(), steps)?;
        }
    }
    steps.finish("up");
    Ok(())
}

/// Locks the droplet, and the one it is made from; always in the same order, so that two cannot block each other.
fn lock(name: &Name, from: Option<&Name>) -> Result<Vec<Lock>, SandboxError> {
    if from == Some(name) {
        return Err(SandboxError::FromItself { name: name.to_string() });
    }
    if let Some(from) = from {
        known(from)?;
    }
    let names: BTreeSet<&Name> = from.into_iter().chain([name]).collect();
    names.into_iter().map(|name| Lock::take(Place::of(name).dir(), &format!("droplet '{name}'"))).collect()
}

fn refuse_differences(name: &Name, state: &State, options: &UpOptions) -> Result<(), SandboxError> {
    if let Some(from) = &options.from {
        return Err(SandboxError::Exists { name: name.to_string(), from: from.to_string() });
    }
    let differs = |what, has: String, asked: String| {
        Err(SandboxError::Differs { name: name.to_string(), what, has, asked })
    };
    match (&options.volume, options.volume_size) {
        (Some(volume), _) if *volume != state.volume => {
            differs("the volume", state.volume.clone(), volume.clone())
        }
        (_, Some(size)) if size != state.volume_size => {
            let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
            differs("a volume of", mib(state.volume_size), mib(size))
        }
        _ => Ok(()),
    }
}

/// Gives the droplet its network and writes it down, before anything of it is made.
fn allot(name: &Name, unfinished: Option<State>, options: &UpOptions) -> Result<State, SandboxError> {
    let origin = match &options.from {
        Some(from) => Some(known(from)?),
        None => None,
    };
    let (volume, size, image) = match &origin {
        Some(origin) => (origin.volume.clone(), origin.volume_size, origin.image.clone()),
        None => (
            options.volume.clone().unwrap_or_else(|| DEFAULT_VOLUME.to_owned()),
            options.volume_size.unwrap_or(DEFAULT_VOLUME_SIZE),
            image::key(),
        ),
    };
    let _lock = Lock::take(Path::new(STATE_ROOT), "the list of droplets")?;
    let subnet = match unfinished {
        Some(unfinished) => unfinished.subnet,
        None => {
            let mut taken = BTreeSet::new();
            for other in place::names()?.iter().filter(|other| *other != name) {
                // One whose state cannot be read still shows in the routes while it runs.
                taken.extend(State::load(other).ok().flatten().map(|state| state.subnet));
            }
            subnet::choose(name.as_str() == DEFAULT_NAME, &taken, &network::routes()?)?
        }
    };
    let state = State::new(subnet, volume, size, image);
    state.save(&Place::of(name))?;
    Ok(state)
}

fn make_bare(name: &Name, state: &mut State, steps: &mut Steps<'_>) -> Result<(), SandboxError> {
    if !image::exists(&state.image) {
        steps.note("making the droplet image: once on this machine, about a minute");
        image::make()?;
        let states = place::names()?.into_iter().filter_map(|name| State::load(&name).ok()?);
        image::prune(&states.map(|state| state.image).collect::<Vec<_>>())?;
        steps.done("image made");
    }
    seed::bare(&Place::of(name), name, state)?;
    steps.done(&format!("bare layers, keys and a volume of {} MiB", state.volume_size >> 20));
    Ok(())
}

/// Copies another droplet as a power cut at this moment would leave it, except that what it has written is on disk.
fn make_copy(
    name: &Name,
    state: &mut State,
    from: &Name,
    hierarchies: &Hierarchies,
    steps: &mut Steps<'_>,
) -> Result<(), SandboxError> {
    let origin = known(from)?;
    let cgroup = Cgroup::of(hierarchies, from);
    let running = origin.running().is_some();
    if running {
        // Most of it before the freeze, so that the freeze is short.
        rustix::fs::sync();
        cgroup.freeze(true)?;
        rustix::fs::sync();
    }
    let copied = seed::copy(&Place::of(name), name, state, &Place::of(from));
    if running {
        cgroup.freeze(false)?;
    }
    copied?;
    steps.done(&format!("copy of {} droplet '{from}'", if running { "running" } else { "stopped" }));
    Ok(())
}

/// Removes every trace. A droplet that is not there is success.
pub fn down(name: &Name, hierarchies: &Hierarchies, steps: &mut Steps<'_>) -> Result<(), SandboxError> {
    let place = Place::of(name);
    // Without a folder it may still run: somebody removed the folder by hand.
    if !place.dir().exists() && !Cgroup::of(hierarchies, name).exists() {
        steps.note(&format!("is not there ({}): nothing to take down", known_names()?));
        return Ok(());
    }
    {
        let _lock = Lock::take(place.dir(), &format!("droplet '{name}'"))?;
        // An unreadable state does not keep a droplet from being removed.
        let state = State::load(name).ok().flatten();
        sweep::release(name, state.as_ref(), hierarchies)?;
        steps.done("stopped");
        sweep::remove(&place)?;
    }
    steps.finish("down, nothing left");
    Ok(())
}

/// Bare again: empty layers and volume; same keys, same address.
pub fn reset(name: &Name, hierarchies: &Hierarchies, steps: &mut Steps<'_>) -> Result<(), SandboxError> {
    let place = Place::of(name);
    known(name)?;
    let _lock = lock(name, None)?;
    let mut state = known(name)?;
    sweep::release(name, Some(&state), hierarchies)?;
    steps.done("stopped");
    state.made = false;
    state.boot = None;
    state.image = image::key();
    state.save(&place)?;
    make_bare(name, &mut state, steps)?;
    state.made = true;
    state.save(&place)?;
    boot(name, &mut state, hierarchies, true, steps)?;
    steps.finish("reset");
    Ok(())
}

/// A clean shutdown and another boot.
pub fn reboot(name: &Name, hierarchies: &Hierarchies, steps: &mut Steps<'_>) -> Result<(), SandboxError> {
    known(name)?;
    let _lock = lock(name, None)?;
    let (mut state, inner) = running(name)?;
    // --no-block: the answer comes before systemd begins to end what asks.
    ask(&Cgroup::of(hierarchies, name), inner, "systemctl --no-block reboot", ASK_LIMIT)?;
    wait_for_end(name, &state, SHUTDOWN_LIMIT)?;
    steps.done("shut down");
    boot(name, &mut state, hierarchies, false, steps)?;
    steps.finish("rebooted");
    Ok(())
}

/// Everything in it ends at once, as when the power goes; then it boots again, unless it is to stay off.
pub fn cut_power(
    name: &Name,
    stay_off: bool,
    hierarchies: &Hierarchies,
    steps: &mut Steps<'_>,
) -> Result<(), SandboxError> {
    known(name)?;
    let _lock = lock(name, None)?;
    let (mut state, inner) = running(name)?;
    inner.kill();
    wait_for_end(name, &state, POWER_LIMIT)?;
    steps.done("power cut");
    if stay_off {
        sweep::release(name, Some(&state), hierarchies)?;
        steps.finish("off");
        return Ok(());
    }
    boot(name, &mut state, hierarchies, false, steps)?;
    steps.finish("booted after the power cut");
    Ok(())
}

/// Runs a command inside with the caller's stdin, stdout and stderr.
pub fn exec(name: &Name, argv: &[String], hierarchies: &Hierarchies) -> Result<(), SandboxError> {
    known(name)?;
    let (_, inner) = running(name)?;
    let mut command = enter(&Cgroup::of(hierarchies, name), inner, argv)?;
    let status =
        command.status().map_err(|source| SandboxError::Start { program: "nsenter".to_owned(), source })?;
    if status.success() {
        return Ok(());
    }
    // Ended by a signal: no code; 255 as ssh has it.
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(255);
    Err(SandboxError::CommandFailed { name: name.to_string(), code })
}

/// The state of a droplet that must exist.
fn known(name: &Name) -> Result<State, SandboxError> {
    let unknown = || Ok(SandboxError::Unknown { name: name.to_string(), known: known_names()? });
    match State::load(name)? {
        Some(state) => Ok(state),
        None => unknown().and_then(Err),
    }
}

fn running(name: &Name) -> Result<(State, Process), SandboxError> {
    let state = known(name)?;
    let inner = state.running().ok_or_else(|| SandboxError::NotRunning { name: name.to_string() })?;
    Ok((state, inner))
}

fn known_names() -> Result<String, SandboxError> {
    let names: Vec<String> = place::names()?.iter().map(Name::to_string).collect();
    Ok(if names.is_empty() {
        "there are none".to_owned()
    } else {
        format!("there are: {}", names.join(", "))
    })
}

/// Waits until both the droplet's PID 1 and the nspawn above it have ended.
fn wait_for_end(name: &Name, state: &State, limit: Duration) -> Result<(), SandboxError> {
    let Some(boot) = &state.boot else { return Ok(()) };
    let ended = || Ok((!boot.inner.is_alive() && !boot.supervisor.is_alive()).then_some(()));
    wait_for(limit, ended)?.ok_or_else(|| SandboxError::NotReleased {
        name: name.to_string(),
        what: format!("its processes (`sepctl sandbox cut-power {name}` ends them)"),
        seconds: limit.as_secs(),
    })
}
