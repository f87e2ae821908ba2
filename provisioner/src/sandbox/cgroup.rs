//! The droplet's own cgroup: keeps its processes together, and from all devices but its volume.
//!
//! Where systemd runs the outer machine it makes the cgroup (a scope); elsewhere it is made by hand, in each
//! hierarchy that matters: cgroup2, systemd's named one and, with cgroup v1, devices.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::SandboxError;
use super::place::Name;
use super::program::{Process, wait_for};

/// A killed tree is empty within milliseconds; a droplet that flushes a big volume may take longer.
const EMPTY_LIMIT: Duration = Duration::from_secs(30);
/// null, zero, full, random, urandom, tty, console, ptmx, pseudo terminals: what systemd's own containers get.
const PSEUDO_DEVICES: [&str; 9] = [
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:1 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
];

/// The mounted hierarchies that matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchies {
    unified: PathBuf,
    /// `name=systemd` of cgroup v1.
    named: Option<PathBuf>,
    /// The `devices` controller of cgroup v1.
    devices: Option<PathBuf>,
    /// Whether systemd runs the outer machine.
    systemd: bool,
}

impl Hierarchies {
    /// What this machine has.
    pub fn find() -> Result<Self, SandboxError> {
        let mounts = Path::new("/proc/self/mounts");
        let text = fs::read_to_string(mounts).map_err(SandboxError::io("read", mounts))?;
        Self::parse(&text, Path::new("/run/systemd/system").is_dir()).ok_or(SandboxError::NoCgroup2)
    }

    fn parse(mounts: &str, systemd: bool) -> Option<Self> {
        let (mut unified, mut named, mut devices) = (None, None, None);
        for line in mounts.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let [_, path, kind, options, ..] = fields.as_slice() else { continue };
            let has = |option: &str| *kind == "cgroup" && options.split(',').any(|o| o == option);
            if *kind == "cgroup2" {
                unified.get_or_insert(PathBuf::from(path));
            } else if has("name=systemd") {
                named.get_or_insert(PathBuf::from(path));
            } else if has("devices") {
                devices.get_or_insert(PathBuf::from(path));
            }
        }
        Some(Self { unified: unified?, named, devices, systemd })
    }

    fn parents(&self) -> Vec<PathBuf> {
        let slice = |path: &PathBuf| if self.systemd { path.join("system.slice") } else { path.clone() };
        [Some(&self.unified), self.named.as_ref(), self.devices.as_ref()]
            .into_iter()
            .flatten()
            .map(slice)
            .collect()
    }
}

/// The cgroup of one droplet.
#[derive(Debug, Clone)]
pub struct Cgroup {
    hierarchies: Hierarchies,
    unit: String,
}

impl Cgroup {
    /// That of the droplet, whether it exists or not.
    pub fn of(hierarchies: &Hierarchies, name: &Name) -> Self {
        Self { hierarchies: hierarchies.clone(), unit: name.unit() }
    }

    fn folder_name(&self) -> String {
        if self.hierarchies.systemd { format!("{}.scope", self.unit) } else { self.unit.clone() }
    }

    fn dirs(&self) -> Vec<PathBuf> {
        self.hierarchies.parents().iter().map(|parent| parent.join(self.folder_name())).collect()
    }

    /// The first of [`Self::dirs`] is that of cgroup2.
    fn unified(&self) -> PathBuf {
        let parent = self.hierarchies.unified.clone();
        let parent = if self.hierarchies.systemd { parent.join("system.slice") } else { parent };
        parent.join(self.folder_name())
    }

    /// Makes the cgroup ready for a droplet whose volume is this block device (`MAJOR:MINOR`, path), and gives the
    /// words to put before a command that shall run in it, and the `cgroup.procs` files it must enter by itself.
    pub fn prepare(
        &self,
        device: &str,
        device_path: &str,
    ) -> Result<(Vec<String>, Vec<PathBuf>), SandboxError> {
        if self.hierarchies.systemd {
            let words = [
                "systemd-run",
                "--scope",
                "--quiet",
                "--collect",
                "--slice=system.slice",
                &format!("--unit={}", self.unit),
                "--description=Droplet of sepctl sandbox",
                "--property=Delegate=yes",
                "--property=DevicePolicy=closed",
                "--property=DeviceAllow=char-pts rw",
                &format!("--property=DeviceAllow={device_path} rwm"),
            ];
            return Ok((words.map(str::to_owned).to_vec(), Vec::new()));
        }
        let dirs = self.dirs();
        for dir in &dirs {
            fs::create_dir_all(dir).map_err(SandboxError::io("make", dir))?;
        }
        if let Some(devices) = &self.hierarchies.devices {
            let dir = devices.join(&self.unit);
            write(&dir.join("devices.deny"), "a")?;
            for rule in PSEUDO_DEVICES {
                write(&dir.join("devices.allow"), rule)?;
            }
            write(&dir.join("devices.allow"), &format!("b {device} rwm"))?;
        }
        Ok((Vec::new(), dirs.iter().map(|dir| dir.join("cgroup.procs")).collect()))
    }

    /// Whether the droplet's devices are limited by a cgroup (without systemd and cgroup v1 nothing can).
    pub fn limits_devices(&self) -> bool {
        self.hierarchies.systemd || self.hierarchies.devices.is_some()
    }

    /// The `cgroup.procs` files of the very groups that this process is in: what joins them is under its limits.
    pub fn joining(&self, inner: Process) -> Result<Vec<PathBuf>, SandboxError> {
        let path = PathBuf::from(format!("/proc/{}/cgroup", inner.pid));
        let text = fs::read_to_string(&path).map_err(SandboxError::io("read", &path))?;
        Ok(self.joining_of(&text))
    }

    fn joining_of(&self, text: &str) -> Vec<PathBuf> {
        let found = text.lines().filter_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            let mount = match controllers {
                "" => Some(&self.hierarchies.unified),
                "name=systemd" => self.hierarchies.named.as_ref(),
                "devices" => self.hierarchies.devices.as_ref(),
                _ => None,
            }?;
            Some(mount.join(path.trim_start_matches('/')).join("cgroup.procs"))
        });
        found.collect()
    }

    /// Stops every process of the droplet where it is, or lets them run again.
    pub fn freeze(&self, frozen: bool) -> Result<(), SandboxError> {
        let dir = self.unified();
        write(&dir.join("cgroup.freeze"), if frozen { "1" } else { "0" })?;
        let wanted = if frozen { "frozen 1" } else { "frozen 0" };
        let events = dir.join("cgroup.events");
        let reached = wait_for(EMPTY_LIMIT, || {
            let text = fs::read_to_string(&events).map_err(SandboxError::io("read", &events))?;
            Ok(text.lines().any(|line| line == wanted).then_some(()))
        })?;
        reached.ok_or(SandboxError::NotReleased {
            name: self.unit.clone(),
            what: format!("{} ('{wanted}' did not come)", events.display()),
            seconds: EMPTY_LIMIT.as_secs(),
        })
    }

    /// Whether there is one, empty or not.
    pub fn exists(&self) -> bool {
        self.dirs().iter().any(|dir| dir.exists())
    }

    /// Whether the droplet is frozen, as a crashed copy would leave it.
    pub fn is_frozen(&self) -> bool {
        fs::read_to_string(self.unified().join("cgroup.freeze")).is_ok_and(|text| text.trim() == "1")
    }

    /// Ends every process in it and removes it. Nothing to do is success.
    pub fn destroy(&self, name: &Name) -> Result<(), SandboxError> {
        let kill = self.unified().join("cgroup.kill");
        match fs::write(&kill, "1") {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(SandboxError::io("write", &kill)(error)),
        }
        for dir in self.dirs() {
            let gone = wait_for(EMPTY_LIMIT, || {
                // Removal fails with EBUSY as long as a process is on its way out.
                remove_tree(&dir);
                Ok((!dir.exists()).then_some(()))
            })?;
            gone.ok_or_else(|| SandboxError::NotReleased {
                name: name.to_string(),
                what: dir.display().to_string(),
                seconds: EMPTY_LIMIT.as_secs(),
            })?;
        }
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> Result<(), SandboxError> {
    fs::write(path, text).map_err(SandboxError::io("write", path))
}

/// Depth first, as far as it goes: a cgroup's files cannot be removed, its folders can when empty.
fn remove_tree(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    let _ = fs::remove_dir(dir);
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
        cgroup /sys/fs/cgroup/devices cgroup rw,relatime,devices 0 0\n\
        cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,name=systemd 0 0\n\
        cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n";

    #[test]
    fn hybrid_without_systemd_uses_three_hierarchies() {
        let found = Hierarchies::parse(HYBRID, false).unwrap();
        let cgroup = Cgroup::of(&found, &Name::new("box").unwrap());
        assert_eq!(
            cgroup.dirs(),
            ["unified", "systemd", "devices"]
                .map(|hierarchy| PathBuf::from(format!("/sys/fs/cgroup/{hierarchy}/sepctl-sandbox-box")))
        );
        let text = "9:name=systemd:/sepctl-sandbox-box/payload\n5:devices:/sepctl-sandbox-box\n4:memory:/x\n\
            0::/sepctl-sandbox-box/payload/init.scope\n";
        assert_eq!(
            cgroup.joining_of(text),
            [
                "/sys/fs/cgroup/systemd/sepctl-sandbox-box/payload/cgroup.procs",
                "/sys/fs/cgroup/devices/sepctl-sandbox-box/cgroup.procs",
                "/sys/fs/cgroup/unified/sepctl-sandbox-box/payload/init.scope/cgroup.procs",
            ]
            .map(PathBuf::from)
        );
    }

    #[test]
    fn with_systemd_outside_the_cgroup_is_a_scope() {
        let found = Hierarchies::parse("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n", true).unwrap();
        let cgroup = Cgroup::of(&found, &Name::new("box").unwrap());
        let scope = Path::new("/sys/fs/cgroup/system.slice/sepctl-sandbox-box.scope");
        assert_eq!(cgroup.dirs(), [scope]);
        assert_eq!(cgroup.unified(), scope);
        let (words, files) = cgroup.prepare("7:3", "/dev/loop3").unwrap();
        assert!(words.contains(&"--property=DeviceAllow=/dev/loop3 rwm".to_owned()) && files.is_empty());
    }

    #[test]
    fn without_cgroup2_there_is_no_droplet() {
        assert_eq!(Hierarchies::parse("cgroup /sys/fs/cgroup/devices cgroup rw,devices 0 0\n", false), None);
    }
}
