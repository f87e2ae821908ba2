//! Boots a droplet: volume, cgroup, systemd-nspawn, cable, and the wait until it serves.
//!
//! The overlay is mounted in a mount namespace of the droplet's own, so it goes with the last process.

use std::fs::File;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use jiff::Timestamp;

use super::cgroup::{Cgroup, Hierarchies};
use super::error::{LogTail, SandboxError};
use super::inside::{DROPPED, ask};
use super::place::{CACHE_ROOT, Name, Place, make_dir};
use super::program::{Process, command, inner_init, wait_for};
use super::state::{Boot, State};
use super::steps::Steps;
use super::{image, network, sweep, volume};

/// From the start of nspawn to the droplet's PID 1: well under a second.
const START_LIMIT: Duration = Duration::from_secs(20);
/// A bare droplet is up in a second; one with a database to recover takes longer.
const UP_LIMIT: Duration = Duration::from_secs(180);
const SSH_LIMIT: Duration = Duration::from_secs(10);
const ASK_LIMIT: Duration = Duration::from_secs(10);
/// How many droplets may boot at once, and how long one waits for its turn.
const SLOTS: [&str; 2] = ["boot-0.lock", "boot-1.lock"];
const SLOT_LIMIT: Duration = Duration::from_secs(600);

/// Enters the cgroups named up to `--`, mounts the overlay, becomes the rest.
const START: &str = r#"
set -eu
options="lowerdir=$1,upperdir=$2,workdir=$3,index=off,metacopy=off,redirect_dir=on"; merged=$4
shift 4
while [ "$1" != -- ]; do echo $$ > "$1"; shift; done
shift
mount -t overlay sepctl-sandbox -o "$options" "$merged"
exec "$@"
"#;

/// Boots a stopped droplet. `first`: nothing is deployed on it yet, so sshd has to answer.
pub fn boot(
    name: &Name,
    state: &mut State,
    hierarchies: &Hierarchies,
    first: bool,
    steps: &mut Steps<'_>,
) -> Result<(), SandboxError> {
    let place = Place::of(name);
    sweep::release(name, Some(state), hierarchies)?;
    let _slot = take_slot(steps)?;
    let cgroup = Cgroup::of(hierarchies, name);
    if !cgroup.limits_devices() {
        steps.note("this machine has neither systemd nor a devices cgroup: the droplet's access to devices is limited by its capabilities alone");
    }
    let result = start(name, state, &cgroup, &place, steps).and_then(|(mut child, inner)| {
        wait_until_up(name, &place, &cgroup, inner, &mut child, steps)?;
        wait_for_ssh(name, state, &place, first, steps)?;
        if let Some(boot) = &mut state.boot {
            boot.up_since = Some(Timestamp::now());
        }
        state.save(&place)
    });
    if result.is_err() {
        // A droplet that does not come up must not hold on to anything; its console log stays for reading.
        sweep::release(name, Some(state), hierarchies)?;
    }
    result
}

fn start(
    name: &Name,
    state: &mut State,
    cgroup: &Cgroup,
    place: &Place,
    steps: &mut Steps<'_>,
) -> Result<(Child, Process), SandboxError> {
    let (device, number) = volume::attach(place)?;
    let (words, joined) = cgroup.prepare(&number, &device)?;
    let mut child = spawn(name, state, place, &device, &words, &joined)?;
    let mut found = || {
        if let Some(status) =
            child.try_wait().map_err(SandboxError::io("wait for", Path::new("systemd-nspawn")))?
        {
            return Err(died(name, place, &status.to_string()));
        }
        Ok(inner_init(child.id()))
    };
    let inner = wait_for(START_LIMIT, &mut found)?
        .ok_or_else(|| deadline(name, place, "its PID 1", START_LIMIT, "systemd-nspawn runs without one"))?;
    let supervisor = Process::of(child.id()).ok_or_else(|| died(name, place, "gone"))?;
    state.boot = Some(Boot { supervisor, inner, loop_device: device, up_since: None });
    state.save(place)?;
    network::connect(name, state.subnet, inner)?;
    steps.done(&format!("started, PID {} outside, {} inside", inner.pid, state.subnet.inside()));
    Ok((child, inner))
}

fn spawn(
    name: &Name,
    state: &State,
    place: &Place,
    device: &str,
    words: &[String],
    joined: &[std::path::PathBuf],
) -> Result<Child, SandboxError> {
    let path = place.console();
    let log = File::create(&path).map_err(SandboxError::io("make", &path))?;
    let log_twin = log.try_clone().map_err(SandboxError::io("open", &path))?;
    let capabilities = DROPPED.map(|capability| format!("CAP_{}", capability.to_uppercase())).join(",");
    // Every program on this line becomes the next by exec: the child's PID ends as that of systemd-nspawn.
    let mut line = command("setsid");
    line.args(words).args(["unshare", "--mount", "--propagation", "private", "sh", "-c", START, "sh"]);
    line.args([image::root(&state.image), place.upper(), place.work(), place.merged()]);
    line.args(joined).arg("--");
    line.args(["systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--private-network"]);
    line.args(["--console=pipe", "--resolv-conf=off", "--timezone=off", "--link-journal=no"]);
    line.arg(format!("--directory={}", place.merged().display()));
    line.arg(format!("--machine={}", name.unit())).arg(format!("--hostname={name}"));
    line.arg(format!("--drop-capability={capabilities}"));
    line.arg(format!("--bind={device}:/dev/sda"));
    line.arg(format!("--bind-ro={}:/dev/disk/by-id", place.by_id().display()));
    // The outer machine may still be on cgroup v1, which the droplet's systemd refuses.
    line.env("UNIFIED_CGROUP_HIERARCHY", "yes").env("SYSTEMD_NSPAWN_USE_CGNS", "1");
    line.stdin(Stdio::null()).stdout(log).stderr(log_twin);
    line.spawn()
        .map_err(|source| SandboxError::Start { program: "setsid ... systemd-nspawn".to_owned(), source })
}

fn wait_until_up(
    name: &Name,
    place: &Place,
    cgroup: &Cgroup,
    inner: Process,
    child: &mut Child,
    steps: &mut Steps<'_>,
) -> Result<(), SandboxError> {
    let mut last = "systemd has not begun".to_owned();
    let up = wait_for(UP_LIMIT, || {
        if let Some(status) =
            child.try_wait().map_err(SandboxError::io("wait for", Path::new("systemd-nspawn")))?
        {
            return Err(died(name, place, &status.to_string()));
        }
        // Until it has become systemd it is nspawn's own code, not yet in its own root.
        if inner.name() != "systemd" {
            return Ok(None);
        }
        // Fails as long as systemd does not listen yet.
        let answer = ask(cgroup, inner, "systemctl is-system-running || true", ASK_LIMIT).unwrap_or_default();
        last = format!("systemd says '{}'", answer.trim());
        Ok(matches!(answer.trim(), "running" | "degraded").then(|| answer.trim().to_owned()))
    })?;
    let Some(up) = up else {
        let jobs =
            ask(cgroup, inner, "systemctl list-jobs --no-legend --plain", ASK_LIMIT).unwrap_or_default();
        let found =
            if jobs.trim().is_empty() { last } else { format!("{last}, waiting for:\n{}", jobs.trim_end()) };
        return Err(deadline(name, place, "a finished boot", UP_LIMIT, &found));
    };
    steps.done(&format!("booted: {up}"));
    if up == "degraded" {
        let line = "systemctl list-units --failed --no-legend --plain | cut -d' ' -f1";
        let failed = ask(cgroup, inner, line, ASK_LIMIT).unwrap_or_default();
        steps.note(&format!("failed units: {}", failed.split_whitespace().collect::<Vec<_>>().join(", ")));
    }
    Ok(())
}

fn wait_for_ssh(
    name: &Name,
    state: &State,
    place: &Place,
    first: bool,
    steps: &mut Steps<'_>,
) -> Result<(), SandboxError> {
    let address = SocketAddr::from((state.subnet.inside(), 22));
    match wait_for(SSH_LIMIT, || Ok(greets(&address).then_some(())))? {
        Some(()) => steps.done(&format!("sshd answers on {address}")),
        None if first => {
            let what = format!("an answer of sshd on {address}");
            return Err(deadline(name, place, &what, SSH_LIMIT, "no greeting came"));
        }
        // What is deployed may have closed the port: that is what some come to see.
        None => steps.note(&format!(
            "sshd does not answer on {address} after {} s; `sepctl sandbox exec {name} -- COMMAND` gets in without it",
            SSH_LIMIT.as_secs()
        )),
    }
    Ok(())
}

fn greets(address: &SocketAddr) -> bool {
    let read = || -> std::io::Result<[u8; 4]> {
        let mut stream = TcpStream::connect_timeout(address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        let mut greeting = [0; 4];
        stream.read_exact(&mut greeting)?;
        Ok(greeting)
    };
    read().is_ok_and(|greeting| &greeting == b"SSH-")
}

/// One of the places for booting; free again when the file is closed.
fn take_slot(steps: &mut Steps<'_>) -> Result<File, SandboxError> {
    make_dir(Path::new(CACHE_ROOT), 0o700)?;
    let mut files = Vec::new();
    for slot in SLOTS {
        let path = Path::new(CACHE_ROOT).join(slot);
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        files.push(file.map_err(SandboxError::io("open", &path))?);
    }
    let mut told = false;
    let slot = wait_for(SLOT_LIMIT, || {
        if let Some(free) = files.iter().position(|file| file.try_lock().is_ok()) {
            return Ok(Some(free));
        }
        if !told {
            steps.note("two other droplets are booting: waiting for them");
            told = true;
        }
        Ok(None)
    })?;
    let what = || "the turn to boot".to_owned();
    slot.map(|slot| files.swap_remove(slot))
        .ok_or_else(|| SandboxError::Locked { what: what(), seconds: SLOT_LIMIT.as_secs() })
}

fn died(name: &Name, place: &Place, status: &str) -> SandboxError {
    let log = LogTail::read(&place.console());
    SandboxError::Died { name: name.to_string(), status: status.to_owned(), log }
}

fn deadline(name: &Name, place: &Place, what: &str, limit: Duration, found: &str) -> SandboxError {
    SandboxError::Deadline {
        name: name.to_string(),
        what: what.to_owned(),
        seconds: limit.as_secs(),
        found: found.to_owned(),
        log: LogTail::read(&place.console()),
    }
}
