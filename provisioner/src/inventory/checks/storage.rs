//! The volume and its budgets.

use crate::inventory::findings::Findings;
use crate::inventory::model::Host;
use crate::inventory::problem::{Notice, Problem, nearest};
use crate::inventory::units::about_size;

/// Folders that may not be mounted over, themselves or anything beneath them.
const SYSTEM_TREES: [&str; 17] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/tmp",
    "/usr",
    "/opt/sep",
    "/var/lib/sep",
    "/var/log",
];

/// Folders that may not be mounted over, though something beneath them may.
const SYSTEM_FOLDERS: [&str; 9] =
    ["/home", "/media", "/mnt", "/opt", "/srv", "/var", "/var/lib", "/var/lib/postgresql", "/var/cache"];

/// A droplet's system disk is at least 25 GB; half of it is the most that logs may fill.
const MOST_LOGS: u64 = 12_500_000_000;

/// The least that makes sense for a database, a set of backups or a journal.
const LEAST: u64 = 100_000_000;

pub(super) fn check(host: &Host, findings: &mut Findings<'_>) {
    device(&host.volume.device, findings);
    mount(&host.volume.mount, findings);
    options(&host.volume.options, findings);
    let filesystem = &host.volume.filesystem;
    if !["ext4", "xfs"].contains(&filesystem.as_str()) {
        let suggestion = nearest(filesystem, ["ext4", "xfs"]);
        let problem = Problem::Choice { found: filesystem.clone(), expected: "`ext4` or `xfs`", suggestion };
        findings.refuse("volume.filesystem", problem);
    }
    budgets(host, findings);
}

fn device(device: &str, findings: &mut Findings<'_>) {
    if device.is_empty() {
        return; // Told as missing.
    }
    let found = device.to_owned();
    let by_name = ["/dev/disk/by-id/", "/dev/disk/by-uuid/"].iter().find_map(|dir| device.strip_prefix(dir));
    match by_name {
        Some(name) if !name.is_empty() && !name.contains('/') && !name.contains(char::is_whitespace) => {
            if let Some(volume) = name.strip_prefix("scsi-0DO_Volume_").filter(|volume| volume.contains('_'))
            {
                let instead = format!("/dev/disk/by-id/scsi-0DO_Volume_{}", volume.replace('_', "-"));
                findings.warn("volume.device", Notice::VolumeName { found, instead });
            }
        }
        None if device.starts_with("/dev/") && !device.starts_with("/dev/disk/") => {
            findings.refuse("volume.device", Problem::KernelDevice { found });
        }
        _ => findings.refuse("volume.device", Problem::Device { found }),
    }
}

fn mount(mount: &str, findings: &mut Findings<'_>) {
    let safe = |b: u8| b.is_ascii_alphanumeric() || b"/_-.".contains(&b);
    let under = |tree: &str| mount.strip_prefix(tree).is_some_and(|rest| rest.starts_with('/'));
    let why = if !mount.starts_with('/') {
        "which is not an absolute path"
    } else if mount == "/" {
        "which is the system disk"
    } else if !mount.bytes().all(safe) {
        "which holds characters other than letters, digits, `/`, `_`, `-` and `.`"
    } else if mount.split('/').skip(1).any(|part| matches!(part, "" | "." | "..")) {
        "which is not written plainly (an empty part, `.`, `..` or a slash at its end)"
    } else if SYSTEM_TREES.iter().any(|tree| mount == *tree || under(tree)) || SYSTEM_FOLDERS.contains(&mount)
    {
        "which is a folder of the system"
    } else {
        return;
    };
    findings.refuse("volume.mount", Problem::MountPoint { found: mount.to_owned(), why });
}

fn options(options: &str, findings: &mut Findings<'_>) {
    for option in options.split(',') {
        let why = match option {
            "ro" => "with which the database could not write",
            "noauto" => "with which the volume would be missing after a reboot",
            "nofail" => "which sepctl always adds",
            "" => "which is empty",
            _ if option.contains(|c: char| c.is_whitespace() || c == '#') => "which holds a blank or `#`",
            _ => continue,
        };
        findings.refuse("volume.options", Problem::MountOption { found: option.to_owned(), why });
    }
}

fn budgets(host: &Host, findings: &mut Findings<'_>) {
    let budgets = &host.budgets;
    let least = [
        ("volume.size", host.volume.size),
        ("budgets.database", budgets.database),
        ("budgets.backups", budgets.backups),
        ("budgets.logs", budgets.logs),
    ];
    for (key, size) in least {
        if size < LEAST {
            findings.refuse(key, Problem::Range { found: about_size(size), expected: "at least 100MB" });
        }
    }
    if budgets.logs > MOST_LOGS {
        findings.refuse("budgets.logs", Problem::LogsOverDisk { found: budgets.logs, most: MOST_LOGS });
    }
    let parts = [budgets.database, budgets.backups, budgets.cache, budgets.reserve];
    let sum = parts.into_iter().fold(0, u64::saturating_add);
    if sum > host.volume.size {
        let keys = ["volume.size", "budgets.database", "budgets.backups", "budgets.cache", "budgets.reserve"];
        findings.refuse_any(&keys, Problem::OverVolume { sum, parts, volume: host.volume.size });
    }
}
