//! `sepctl sandbox` on real droplets.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::droplet::{Droplet, can_boot, said, sepctl, unique_name, wait_until};

const VOLUME: &str = "/dev/disk/by-id/scsi-0DO_Volume_sep-data";

#[test]
fn a_droplet_is_a_whole_server() {
    if !can_boot("a_droplet_is_a_whole_server") {
        return;
    }
    let droplet = Droplet::up("whole");
    assert_eq!(droplet.told("systemctl is-system-running"), "running");
    let output = droplet.ssh("hostname; cat /etc/debian_version; id -un");
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines[0], lines[2]), (droplet.name.as_str(), "root"));
    assert!(lines[1].starts_with("13"), "{text}");
    let output = droplet.ssh_as("admin", "sudo -n id -un");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "root\n", "{}", said(&output));

    // The volume is a disk of 50 GiB under DigitalOcean's name, and every program sees it as one.
    assert_eq!(
        droplet.told(&format!("readlink {VOLUME}; blockdev --getsize64 {VOLUME}")),
        "../../sda\n53687091200"
    );
    droplet.told(&format!(
        "mkfs.ext4 -q {VOLUME} && mount {VOLUME} /mnt && echo kept > /mnt/file && umount /mnt"
    ));

    // Another `up` leaves it alone, and the exit status of a command inside is that of `exec`.
    let pid = |droplet: &Droplet| String::from_utf8_lossy(&droplet.verb("status").stdout).into_owned();
    let before = pid(&droplet);
    let output = droplet.verb("up");
    assert!(said(&output).contains("is running already"), "{}", said(&output));
    assert_eq!(pid(&droplet), before);
    assert_eq!(droplet.exec("exit 7").status.code(), Some(7));
}

#[test]
fn packages_install_without_a_network() {
    if !can_boot("packages_install_without_a_network") {
        return;
    }
    let droplet = Droplet::up("apt");
    // There is no route, so whatever apt says it has, it has on disk (and has checked the hash).
    assert_eq!(droplet.told("ip route show default"), "");
    let packages = sepctl::sandbox::PREFETCH.join(" ");
    droplet.told(&format!("apt-get install --yes --download-only --install-recommends {packages}"));
    droplet.told(&format!("apt-get install --yes --download-only --no-install-recommends {packages}"));
    droplet.told("DEBIAN_FRONTEND=noninteractive apt-get install --yes rsync && rsync --version");
}

#[test]
fn it_comes_back_after_a_reboot_and_a_power_cut() {
    if !can_boot("it_comes_back_after_a_reboot_and_a_power_cut") {
        return;
    }
    let droplet = Droplet::up("back");
    droplet.told(&format!(
        "mkfs.ext4 -q {VOLUME} && mkdir /mnt/data && echo '{VOLUME} /mnt/data ext4 nofail,noatime 0 2' >> /etc/fstab && \
         systemctl daemon-reload && systemctl start mnt-data.mount && echo kept > /mnt/data/file && echo kept > /root/file && sync"
    ));
    let mark = "touch /run/this-boot";
    let came_back = |how: &str| {
        assert_eq!(
            droplet.told("cat /root/file; test -e /run/this-boot || echo another boot"),
            "kept\nanother boot",
            "{how}"
        );
        // Like a disk, the volume is there before systemd mounts what is in fstab.
        assert_eq!(
            droplet.told("findmnt -no OPTIONS /mnt/data; cat /mnt/data/file"),
            "rw,noatime\nkept",
            "{how}"
        );
        let output = droplet.ssh("true");
        assert!(output.status.success(), "{how}: {}", said(&output));
    };

    droplet.told(mark);
    droplet.verb("reboot");
    came_back("reboot");
    // It was a clean shutdown: systemd said goodbye to the journal.
    assert!(droplet.told("journalctl -b -1 --no-pager | tail -n 5").contains("Journal stopped"));

    droplet.told(mark);
    droplet.verb("cut-power");
    came_back("cut-power");
    assert!(!droplet.told("journalctl -b -1 --no-pager | tail -n 5").contains("Journal stopped"));

    // A reboot typed inside ends it; `up` is the power button.
    droplet.told(mark);
    droplet.exec("systemctl --no-block reboot");
    wait_until("the end of the droplet", Duration::from_secs(60), || droplet.state() == "stopped");
    let output = sepctl(&["sandbox", "reboot", &droplet.name]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("is not running: `sepctl sandbox up"), "{}", said(&output));
    droplet.verb("up");
    came_back("up after a reboot inside");

    let output = sepctl(&["sandbox", "cut-power", "--stay-off", &droplet.name]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(droplet.state(), "stopped");
    assert_eq!(
        traces(&droplet.name),
        [PathBuf::from("/var/lib/sepctl-sandbox").join(&droplet.name).display().to_string()]
    );
}

#[test]
fn reset_makes_it_bare_and_keeps_its_keys() {
    if !can_boot("reset_makes_it_bare_and_keeps_its_keys") {
        return;
    }
    let droplet = Droplet::up("reset");
    let machine = droplet.told("cat /etc/machine-id");
    let inventory = fs::read_to_string(&droplet.inventory).unwrap();
    droplet.told(&format!("mkfs.ext4 -q {VOLUME} && echo x > /root/file && rm /etc/debian_version"));
    droplet.verb("reset");
    assert_eq!(
        droplet.told("test -e /root/file || echo gone; test -e /etc/debian_version && echo bare"),
        "gone\nbare"
    );
    assert_eq!(droplet.told(&format!("blkid -p {VOLUME} || echo empty")), "empty");
    assert_ne!(droplet.told("cat /etc/machine-id"), machine);
    assert_eq!(fs::read_to_string(&droplet.inventory).unwrap(), inventory);
    let output = droplet.ssh("true");
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn two_droplets_have_nothing_in_common() {
    if !can_boot("two_droplets_have_nothing_in_common") {
        return;
    }
    let other = thread::spawn(|| Droplet::up("left"));
    let right = Droplet::up("right");
    let left = other.join().unwrap();
    assert_ne!(left.address, right.address);
    assert_ne!(fs::read(&left.identity).unwrap(), fs::read(&right.identity).unwrap());
    for (one, another) in [(&left, &right), (&right, &left)] {
        let output = one.ssh_with(&another.identity, "root", "true");
        assert!(said(&output).contains("Permission denied"), "{}", said(&output));
    }
    // Same unit name, another cgroup.
    let cron = right.told("systemctl show -P MainPID cron");
    left.told("systemctl kill --signal=KILL cron");
    wait_until("the end of cron", Duration::from_secs(20), || {
        left.told("systemctl show -P NRestarts,MainPID cron | tr '\\n' ' '") != format!("0 {cron} ")
    });
    assert_eq!(right.told("systemctl show -P MainPID cron"), cron);
    // And no way from one to the other.
    let probe = format!("timeout 3 bash -c '</dev/tcp/{}/22'", left.address);
    assert_ne!(right.exec(&probe).status.code(), Some(0));

    // What it takes on the outer machine, and that `down` gives it all back, the other one untouched.
    let found = traces(&left.name).join("\n");
    for kind in ["backing_file", "cgroup", "process", "sepctl-sandbox/"] {
        assert!(found.contains(kind), "no {kind} in:\n{found}");
    }
    let (name, gateway) = (left.name.clone(), gateway(&left));
    assert!(addresses().contains(&gateway));
    left.down();
    assert_eq!(traces(&name), Vec::<String>::new());
    assert!(!addresses().contains(&gateway));
    assert_eq!(right.told("systemctl is-system-running"), "running");
}

#[test]
fn a_copy_is_another_machine_with_the_same_contents() {
    if !can_boot("a_copy_is_another_machine_with_the_same_contents") {
        return;
    }
    let origin = Droplet::up("origin");
    origin.told(&format!("mkfs.ext4 -q {VOLUME} && mkdir /mnt/data && mount {VOLUME} /mnt/data"));
    // Written and not synced, beside a process that goes on writing.
    origin.told("echo kept > /root/file; echo kept > /mnt/data/file; rm /etc/debian_version");
    origin.told("systemd-run --unit=writer sh -c 'while true; do echo x >> /mnt/data/log; done'");
    let copy = Droplet::from(&origin, "copy");
    assert_eq!(
        copy.told("cat /root/file; test -e /etc/debian_version || echo removed; hostname"),
        format!("kept\nremoved\n{}", copy.name)
    );
    assert_eq!(copy.told(&format!("mount {VOLUME} /mnt/data && cat /mnt/data/file")), "kept");
    assert_ne!(copy.told("cat /etc/machine-id"), origin.told("cat /etc/machine-id"));
    assert_ne!(fs::read(&copy.known_hosts).unwrap(), fs::read(&origin.known_hosts).unwrap());
    let output = copy.ssh("hostname");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end(), copy.name, "{}", said(&output));
    // The origin was stopped for a moment only.
    assert_eq!(origin.told("systemctl is-active writer"), "active");
    let size = |droplet: &Droplet| droplet.told("stat -c %s /mnt/data/log").parse::<u64>().unwrap();
    let then = size(&origin);
    wait_until("growth of the log", Duration::from_secs(20), || size(&origin) > then);
}

#[test]
fn a_droplet_cannot_reach_the_outer_machine() {
    if !can_boot("a_droplet_cannot_reach_the_outer_machine") {
        return;
    }
    let droplet = Droplet::up("inside");
    let before = SystemTime::now();
    let root_disk = "mkdir -p /tmp/dev && mount -t devtmpfs none /tmp/dev && ls /tmp/dev | grep -E '^(vd|sd|nvme|xvd|dm-|zram|mem$|kmsg$)'";
    for through in ["exec", "ssh"] {
        let run = |line: &str| if through == "exec" { droplet.exec(line) } else { droplet.ssh(line) };
        let output = run("date --set=2001-01-01");
        assert!(said(&output).contains("Operation not permitted"), "{through}: {}", said(&output));
        let output = run("mknod /tmp/disk b 8 0");
        assert!(said(&output).contains("Operation not permitted"), "{through}: {}", said(&output));
        // All nodes of the outer machine can be listed; none but the harmless ones can be opened.
        let output = run(root_disk);
        let listed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!listed.trim().is_empty(), "{through}: {}", said(&output));
        for node in listed.lines() {
            let output = run(&format!("head -c 1 /tmp/dev/{node}"));
            assert!(said(&output).contains("Operation not permitted"), "{through} {node}: {}", said(&output));
        }
        run("umount /tmp/dev");
    }
    assert!(SystemTime::now().duration_since(before).is_ok_and(|passed| passed < Duration::from_secs(600)));
}

#[test]
fn a_killed_up_leaves_nothing_that_the_next_one_trips_over() {
    if !can_boot("a_killed_up_leaves_nothing_that_the_next_one_trips_over") {
        return;
    }
    let name = unique_name("killed");
    for step in ["bare layers", "started", "booted", "sshd answers"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sepctl"))
            .args(["sandbox", "up", &name])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.contains(step)), "step '{step}' was not reached");
        child.kill().unwrap();
        child.wait().unwrap();
        // Another droplet's verb takes nothing from it that it needs, and `up` completes it.
        let output = sepctl(&["--json", "sandbox", "up", &name]);
        assert!(output.status.success(), "killed after '{step}': {}", said(&output));
        let droplet = Droplet::describe(&output);
        let output = droplet.ssh("systemctl is-system-running");
        assert!(output.status.success(), "killed after '{step}': {}", said(&output));
        droplet.down();
        assert_eq!(traces(&name), Vec::<String>::new(), "killed after '{step}'");
    }
}

#[test]
fn refusals_say_what_to_do() {
    if !can_boot("refusals_say_what_to_do") {
        return;
    }
    let refused = |args: &[&str], code: i32, expected: &str| {
        let output = sepctl(args);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(String::from_utf8_lossy(&output.stderr).contains(expected), "{}", said(&output));
        assert!(output.stdout.is_empty(), "{}", said(&output));
    };
    let name = unique_name("none");
    refused(&["sandbox", "reset", &name], 1, &format!("`sepctl sandbox up {name}` makes one"));
    refused(&["sandbox", "up", &name, "--from", "nowhere"], 1, "no droplet named 'nowhere'");
    refused(&["sandbox", "up", "Bad_Name"], 2, "cannot name a droplet");
    refused(&["sandbox", "up", &name, "--volume-size", "50"], 2, "such as 50GiB");
    refused(&["sandbox", "up", &name, "--from", &name], 1, "cannot be made from itself");
    assert_eq!(traces(&name), Vec::<String>::new());

    // As nobody: a copy of the program where nobody may run it.
    let dir = std::env::temp_dir().join(unique_name("nobody"));
    fs::create_dir(&dir).unwrap();
    let program = dir.join("sepctl");
    fs::copy(env!("CARGO_BIN_EXE_sepctl"), &program).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--clear-groups"])
        .arg(&program)
        .args(["sandbox", "up"])
        .output();
    fs::remove_dir_all(&dir).unwrap();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("sudo sepctl sandbox up"), "{}", said(&output));
}

/// The outer end of a droplet's cable: the address before the droplet's own.
fn gateway(droplet: &Droplet) -> String {
    let address: std::net::Ipv4Addr = droplet.address.parse().expect("an IPv4 address");
    format!("{}/30", std::net::Ipv4Addr::from(u32::from(address) - 1))
}

fn addresses() -> String {
    let output = Command::new("ip").args(["-brief", "address"]).output().expect("ip is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Everything on the outer machine that carries the droplet's name.
fn traces(name: &str) -> Vec<String> {
    let read = |path: PathBuf| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let list = |path: &str| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found = Vec::new();
    let folder = Path::new("/var/lib/sepctl-sandbox").join(name);
    if folder.exists() {
        found.push(folder.display().to_string());
    }
    let mounts = read("/proc/self/mountinfo".into());
    found.extend(mounts.lines().filter(|line| line.contains(name)).map(|line| format!("mount {line}")));
    for file in list("/sys/block").map(|device| device.join("loop/backing_file")) {
        if read(file.clone()).contains(name) {
            found.push(file.display().to_string());
        }
    }
    for process in list("/proc") {
        let command = read(process.join("cmdline")).replace('\0', " ");
        // A zombie waits for the outer machine's PID 1 and holds nothing.
        let dead = read(process.join("status")).contains("State:\tZ");
        if !dead && (command.contains(name) || read(process.join("cgroup")).contains(name)) {
            found.push(format!("process {} {command}", process.display()));
        }
    }
    for root in ["/sys/fs/cgroup", "/run/systemd/nspawn"] {
        find(Path::new(root), name, 4, &mut found);
    }
    found
}

fn find(dir: &Path, name: &str, depth: u32, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().contains(name) {
            found.push(entry.path().display().to_string());
        } else if depth > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            find(&entry.path(), name, depth - 1, found);
        }
    }
}
